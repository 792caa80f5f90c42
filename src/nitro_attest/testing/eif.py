"""Writes enclave image files (EIF) for tests and examples.

``build_eif`` makes the image that an image builder makes. ``assemble`` writes any sequence of
sections, including ones that no builder makes, with a consistent header. Equal arguments give equal
bytes: signatures are deterministic (RFC 6979).
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

__all__ = [
    "BUILDER_ORDER",
    "CMDLINE",
    "KERNEL",
    "METADATA",
    "RAMDISK",
    "SIGNATURE",
    "assemble",
    "build_eif",
    "self_signed_certificate",
    "signature_section",
    "with_crc",
]

KERNEL: Final = 1
CMDLINE: Final = 2
RAMDISK: Final = 3
SIGNATURE: Final = 4
METADATA: Final = 5
BUILDER_ORDER: Final = (KERNEL, CMDLINE, METADATA, RAMDISK, SIGNATURE)
"""The order of sections that the image builder writes (F-8)."""

_HEADER: Final = struct.Struct(f">4sHHQQHH{MAX_EIF_SECTIONS}Q{MAX_EIF_SECTIONS}QII")
_SECTION_HEAD: Final = struct.Struct(">HHQ")
_CRC_OFFSET: Final = 0x220
_SCHEMES: Final[Mapping[str, tuple[int, int, hashes.HashAlgorithm]]] = {
    "secp256r1": (-7, 32, hashes.SHA256()),
    "secp384r1": (-35, 48, hashes.SHA384()),
    "secp521r1": (-36, 66, hashes.SHA512()),
}


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
    section_order: Sequence[int] = BUILDER_ORDER,
) -> bytes:
    """Builds an image.

    Args:
        kernel: The kernel image.
        cmdline: The kernel's command line.
        ramdisks: The first is measured in PCR1, the others in PCR2.
        metadata: Written as a section of compact JSON. None: no metadata section.
        signing_key: Key on P-256, P-384 or P-521; requires ``certificate_pem``. None: not signed.
        certificate_pem: The certificate of the key.
        version: Format version in the header.
        architecture: ``x86_64`` or ``aarch64``.
        section_order: All section types, in the order in which they are written.

    Returns:
        The content of the file.

    Raises:
        InputError: ``input.expected``: only one of key and certificate is given.
    """
    if (signing_key is None) is not (certificate_pem is None):
        raise InputError("input.expected", "signing_key= and certificate_pem= require each other")
    sections = [(KERNEL, kernel), (CMDLINE, cmdline)]
    sections += [(RAMDISK, ramdisk) for ramdisk in ramdisks]
    if metadata is not None:
        text = json.dumps(metadata, separators=(",", ":"))
        sections.append((METADATA, text.encode()))
    sections.sort(key=lambda section: section_order.index(section[0]))
    if signing_key is not None and certificate_pem is not None:
        measured = b"".join(data for kind, data in sections if kind != METADATA)
        pcr0 = _double_hash(measured)
        signature = signature_section(pcr0, signing_key, certificate_pem)
        sections.append((SIGNATURE, signature))
        sections.sort(key=lambda section: section_order.index(section[0]))
    return assemble(sections, version=version, flags=int(architecture == "aarch64"))


def assemble(sections: Sequence[tuple[int, bytes]], *, version: int = 4, flags: int = 0) -> bytes:
    """Writes sections behind a consistent header with 1 GiB of memory and 2 CPUs.

    Args:
        sections: Pairs of type and data, in the order of the file.
        version: Format version in the header.
        flags: Flags in the header.

    Returns:
        The content of the file.
    """
    body = bytearray()
    offsets = [0] * MAX_EIF_SECTIONS
    sizes = [0] * MAX_EIF_SECTIONS
    for index, (kind, data) in enumerate(sections):
        offsets[index] = _HEADER.size + len(body)
        sizes[index] = len(data)
        body += _SECTION_HEAD.pack(kind, 0, len(data)) + data
    header = _HEADER.pack(
        b".eif", version, flags, 1 << 30, 2, 0, len(sections), *offsets, *sizes, 0, 0
    )
    return with_crc(header + body)


def with_crc(image: bytes) -> bytes:
    """Returns an edited image with its CRC-32 corrected."""
    crc = zlib.crc32(image[_HEADER.size :], zlib.crc32(image[:_CRC_OFFSET]))
    return image[:_CRC_OFFSET] + struct.pack(">I", crc) + image[_HEADER.size :]


def self_signed_certificate(
    signing_key: ec.EllipticCurvePrivateKey,
    *,
    not_before: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc),
    not_after: datetime = datetime(2027, 1, 1, tzinfo=timezone.utc),
) -> bytes:
    """Makes a self-signed certificate for a signing key.

    Args:
        signing_key: The key.
        not_before: Start of the validity.
        not_after: End of the validity.

    Returns:
        The certificate in PEM.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "EIF signer for tests")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signing_key.public_key())
        .serial_number(1)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .sign(signing_key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def signature_section(
    pcr0: bytes, signing_key: ec.EllipticCurvePrivateKey, certificate_pem: bytes
) -> bytes:
    """Makes the data of a signature section: one COSE_Sign1 over PCR0, with its certificate.

    Args:
        pcr0: PCR0 of the image, 48 bytes.
        signing_key: Key on P-256, P-384 or P-521.
        certificate_pem: The certificate of the key.

    Returns:
        The data of the section.
    """
    algorithm, size, digest = _SCHEMES[signing_key.curve.name]
    protected = cbor2.dumps({1: algorithm})
    payload = cbor2.dumps({"register_index": 0, "register_value": list(pcr0)})
    to_sign = cbor2.dumps(["Signature1", protected, b"", payload])
    r_and_s = decode_dss_signature(
        signing_key.sign(to_sign, ec.ECDSA(digest, deterministic_signing=True))
    )
    raw = b"".join(number.to_bytes(size, "big") for number in r_and_s)
    cose = cbor2.dumps([protected, {}, payload, raw])
    return cbor2.dumps([{"signing_certificate": list(certificate_pem), "signature": list(cose)}])


def _double_hash(data: bytes) -> bytes:
    return hashlib.sha384(bytes(48) + hashlib.sha384(data).digest()).digest()
