"""The signature section of an enclave image: the signature over its PCR0 (S-1 to S-5).

The section is a CBOR array; each entry pairs a PEM certificate with a COSE_Sign1 over one register.
All of that COSE_Sign1 except the signature value follows from PCR0 and the certificate, so it is
built here and compared; no value parsed from it is trusted.

Source: github.com/aws/aws-nitro-enclaves-image-format, ``src/utils/eif_signer.rs``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from nitro_attest._internal.cbor import has_tag_or_indefinite
from nitro_attest._internal.quiet import quietly
from nitro_attest.errors import ImageError, InputError
from nitro_attest.measurements.pcr import first_pem_certificate, image_measurement

__all__ = ["SignatureInfo", "check_signature_section", "register_payload"]


class _Scheme(NamedTuple):
    """The signature scheme of a curve; ``integer_bytes`` is the size of r and of s."""

    name: str
    cose_algorithm: int
    integer_bytes: int
    hash: hashes.HashAlgorithm


_SCHEMES: Final[Mapping[str, _Scheme]] = {
    "secp256r1": _Scheme("ES256", -7, 32, hashes.SHA256()),
    "secp384r1": _Scheme("ES384", -35, 48, hashes.SHA384()),
    "secp521r1": _Scheme("ES512", -36, 66, hashes.SHA512()),
}
"""Schemes by curve name (RFC 9053 section 2.1). The image format fixes one per curve (S-2)."""

_ENTRY_KEYS: Final = {"signing_certificate", "signature"}
_MAX_NESTING: Final = 4  # array, map, array of integers; cbor2 5.9 rejects the last level


@dataclass(frozen=True, slots=True)
class SignatureInfo:
    """A valid signature of an image (S-1, S-2).

    It proves that the key of ``certificate`` signed this image's PCR0. It does not prove who holds
    that key: no chain is verified (S-4).

    Attributes:
        certificate: The signing certificate in DER, which PCR8 measures.
        subject: Its subject (RFC 4514), chosen freely by the signer.
        not_before: Start of its validity, UTC.
        not_after: End of its validity, UTC.
        algorithm: ``ES256``, ``ES384`` or ``ES512``.
        entries: Number of signatures in the section; only the first is verified.
    """

    certificate: bytes
    subject: str
    not_before: datetime
    not_after: datetime
    algorithm: str
    entries: int

    @property
    def pcr8(self) -> bytes:
        """PCR8 of the image, 48 bytes (S-4)."""
        return image_measurement(hashlib.sha384(self.certificate).digest())

    def to_dict(self) -> dict[str, Any]:
        """Returns the signature as JSON-ready values, with bytes in lower-case hex."""
        return {
            "certificate": self.certificate.hex(),
            "subject": self.subject,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "algorithm": self.algorithm,
            "entries": self.entries,
        }


def register_payload(pcr0: bytes) -> bytes:
    """Encodes the payload that is signed: register 0 and its value (S-1).

    Args:
        pcr0: PCR0 of the image, 48 bytes.

    Returns:
        CBOR; the value is an array of integers.
    """
    return cbor2.dumps({"register_index": 0, "register_value": list(pcr0)})


def check_signature_section(section: bytes, pcr0: bytes, offset: int) -> SignatureInfo:
    """Verifies the first signature of a section over PCR0 (S-1, S-2).

    Args:
        section: Data of the section, at most 32768 bytes.
        pcr0: The measured PCR0, 48 bytes.
        offset: Offset of the section in the file, for the errors.

    Returns:
        The valid signature.

    Raises:
        ImageError: ``eif.signature_pcr0``: a different PCR0 was signed (S-1). ``eif.signature``:
            malformed CBOR, certificate or COSE_Sign1, an algorithm that does not fit the key, or
            an invalid signature (S-2, S-5).
    """
    try:
        entries = _read_entries(section)
        certificate, cose = entries[0]
        return _check(certificate, cose, pcr0, len(entries))
    except ImageError as error:
        raise ImageError(error.code, error.message, offset) from error.__cause__


def _read_entries(section: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the (certificate, COSE_Sign1) pairs of the section, at least one."""
    value = _decode(section, "the signature section")
    if type(value) is not list or not value:
        raise _invalid("the signature section is not an array of at least one entry")
    entries = []
    for entry in value:
        if type(entry) is not dict or entry.keys() != _ENTRY_KEYS:
            raise _invalid(
                "an entry of the signature section is not a map of signing_certificate and "
                "signature"
            )
        entries.append((_octets(entry["signing_certificate"]), _octets(entry["signature"])))
    _require_canonical(value, section, "the signature section")
    return entries


def _octets(value: Any) -> bytes:
    """Decodes bytes from an array of integers, as builders write them, or a byte string (S-5)."""
    if type(value) is bytes:
        return value
    if type(value) is list and all(type(item) is int and 0 <= item <= 255 for item in value):
        return bytes(value)
    raise _invalid("a value in the signature section is not an array of bytes")


def _check(certificate: bytes, cose: bytes, pcr0: bytes, entries: int) -> SignatureInfo:
    info, key, scheme = _read_certificate(certificate, entries)
    value = _decode(cose, "the COSE_Sign1")
    if type(value) is not list or len(value) != 4:
        raise _invalid("the signature is not an untagged COSE_Sign1 (an array of 4)")
    protected, unprotected, payload, signature = value
    if protected != cbor2.dumps({1: scheme.cose_algorithm}) or unprotected != {}:
        raise _invalid(
            "unexpected headers of the COSE_Sign1: for this certificate's key, expected "
            f"{{alg: {scheme.name}}} and an empty map"
        )
    if payload != register_payload(pcr0):
        raise ImageError(
            "eif.signature_pcr0",
            f"the signature is for a different image; this image has PCR0 {pcr0.hex()}",
        )
    if type(signature) is not bytes or len(signature) != 2 * scheme.integer_bytes:
        raise _invalid(
            f"expected a signature of {2 * scheme.integer_bytes} bytes for {scheme.name}"
        )
    _require_canonical(value, cose, "the COSE_Sign1")
    r = int.from_bytes(signature[: scheme.integer_bytes], "big")
    s = int.from_bytes(signature[scheme.integer_bytes :], "big")
    signed = cbor2.dumps(["Signature1", protected, b"", payload])  # RFC 9052 section 4.4
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(scheme.hash))
    except InvalidSignature as error:
        raise _invalid("the signature does not match the signing certificate's key") from error
    return info


def _read_certificate(
    pem: bytes, entries: int
) -> tuple[SignatureInfo, ec.EllipticCurvePublicKey, _Scheme]:
    try:
        der = first_pem_certificate(pem)
        certificate = quietly(x509.load_der_x509_certificate, der)
        key = quietly(x509.Certificate.public_key, certificate)
        subject = quietly(attrgetter("subject"), certificate).rfc4514_string()
        validity = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except InputError as error:
        raise _invalid(f"the signing certificate is malformed: {error.message}") from error
    except Exception as error:  # of many types: a subject alone can raise ValueError or TypeError
        raise _invalid(f"the signing certificate is malformed: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _SCHEMES:
        raise _invalid("expected a signing certificate with a key on P-256, P-384 or P-521")
    scheme = _SCHEMES[key.curve.name]
    return SignatureInfo(der, subject, *validity, scheme.name, entries), key, scheme


def _invalid(message: str) -> ImageError:
    return ImageError("eif.signature", message)


def _decode(data: bytes, what: str) -> Any:
    if has_tag_or_indefinite(data):  # a tag can trigger costly conversions
        raise _invalid(f"{what} is not well-formed CBOR: a tag or an indefinite length")
    try:
        return cbor2.loads(data, max_depth=_MAX_NESTING)
    except Exception as error:  # the decoder does not document all of its exceptions
        raise _invalid(f"{what} is not well-formed CBOR: {error}") from error


def _require_canonical(value: Any, data: bytes, what: str) -> None:
    """Rejects trailing bytes, duplicate keys and long heads: encoding again removes them."""
    if cbor2.dumps(value) != data:
        raise _invalid(f"{what} is not in shortest form, or has duplicate keys or trailing bytes")
