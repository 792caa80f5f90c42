"""Write enclave image files (EIF) for tests and examples.

``build_eif`` writes what an image builder writes. ``assemble`` writes any sequence of sections,
also ones that no builder would, with a header that agrees with them.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_EIF_SECTIONS
from nitro_attest.measurements.eif_layout import (
    CRC_OFFSET,
    FLAG_AARCH64,
    HEADER,
    MAGIC,
    SECTION_HEAD,
    SectionKind,
)
from nitro_attest.measurements.eif_signature import SCHEMES, register_payload, signed_bytes
from nitro_attest.measurements.pcr import image_measurement

BUILDER_ORDER: Final = (
    SectionKind.KERNEL,
    SectionKind.CMDLINE,
    SectionKind.METADATA,
    SectionKind.RAMDISK,
    SectionKind.SIGNATURE,
)
"""The order in which the image builder writes (F-8)."""

_MEASURED: Final = {SectionKind.KERNEL, SectionKind.CMDLINE, SectionKind.RAMDISK}


def build_eif(
    *,
    kernel: bytes,
    cmdline: bytes,
    ramdisks: Iterable[bytes],
    metadata: Mapping[str, Any] | None = None,
    signing_key: ec.EllipticCurvePrivateKey | None = None,
    certificate_pem: bytes | None = None,
    version: int = 4,
    architecture: str = "x86_64",
    section_order: Sequence[SectionKind] = BUILDER_ORDER,
) -> bytes:
    """Build an image.

    Args:
        kernel: The kernel image.
        cmdline: The kernel's command line.
        ramdisks: The first is measured in PCR1, the others in PCR2.
        metadata: Becomes a section of compact JSON. None: no such section.
        signing_key: Key on P-256, P-384 or P-521; needs ``certificate_pem``. None: unsigned.
        certificate_pem: The certificate of that key.
        version: Format version in the header.
        architecture: ``x86_64`` or ``aarch64``.
        section_order: All kinds in the order in which they are written.

    Returns:
        The content of the file.

    Raises:
        InputError: ``input.expected`` if only one of key and certificate is given.
    """
    if (signing_key is None) is not (certificate_pem is None):
        raise InputError("input.expected", "a signed image needs a key and its certificate")
    sections = [(SectionKind.KERNEL, kernel), (SectionKind.CMDLINE, cmdline)]
    sections += [(SectionKind.RAMDISK, ramdisk) for ramdisk in ramdisks]
    if metadata is not None:
        text = json.dumps(metadata, separators=(",", ":"))
        sections.append((SectionKind.METADATA, text.encode()))
    sections.sort(key=lambda section: section_order.index(section[0]))
    if signing_key is not None and certificate_pem is not None:
        measured = b"".join(data for kind, data in sections if kind in _MEASURED)
        pcr0 = image_measurement(hashlib.sha384(measured).digest())
        signature = signature_section(pcr0, signing_key, certificate_pem)
        sections.append((SectionKind.SIGNATURE, signature))
        sections.sort(key=lambda section: section_order.index(section[0]))
    return assemble(
        sections, version=version, flags=FLAG_AARCH64 if architecture == "aarch64" else 0
    )


def assemble(sections: Sequence[tuple[int, bytes]], *, version: int = 4, flags: int = 0) -> bytes:
    """Lay (type, data) pairs out in order behind a header of 1 GiB and 2 CPUs that lists them."""
    body = bytearray()
    offsets = [0] * MAX_EIF_SECTIONS
    sizes = [0] * MAX_EIF_SECTIONS
    for index, (kind, data) in enumerate(sections):
        offsets[index] = HEADER.size + len(body)
        sizes[index] = len(data)
        body += SECTION_HEAD.pack(kind, 0, len(data)) + data
    header = HEADER.pack(
        MAGIC, version, flags, 1 << 30, 2, 0, len(sections), *offsets, *sizes, 0, 0
    )
    return with_crc(header + body)


def with_crc(image: bytes) -> bytes:
    """The image with its CRC-32 made right, as after an edit."""
    crc = zlib.crc32(image[HEADER.size :], zlib.crc32(image[:CRC_OFFSET]))
    return image[:CRC_OFFSET] + struct.pack(">I", crc) + image[HEADER.size :]


def self_signed_certificate(
    signing_key: ec.EllipticCurvePrivateKey,
    *,
    not_before: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc),
    not_after: datetime = datetime(2027, 1, 1, tzinfo=timezone.utc),
) -> bytes:
    """A certificate of the key, in PEM, such as image builders are given."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "EIF signer for tests")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signing_key.public_key())
        .serial_number(1)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .sign(signing_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def signature_section(
    pcr0: bytes, signing_key: ec.EllipticCurvePrivateKey, certificate_pem: bytes
) -> bytes:
    """The data of a signature section: one COSE_Sign1 over PCR0, and its certificate."""
    scheme = SCHEMES[signing_key.curve.name]
    protected = cbor2.dumps({1: scheme.cose_algorithm})
    payload = register_payload(pcr0)
    der = signing_key.sign(signed_bytes(protected, payload), ec.ECDSA(scheme.hash))
    raw = b"".join(
        number.to_bytes(scheme.integer_bytes, "big") for number in decode_dss_signature(der)
    )
    cose = cbor2.dumps([protected, {}, payload, raw])
    return cbor2.dumps([{"signing_certificate": list(certificate_pem), "signature": list(cose)}])
