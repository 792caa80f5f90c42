"""The signature section of an enclave image: who signed its PCR0 (spec section 4.3).

The section is a CBOR array; each entry pairs a PEM certificate with a COSE_Sign1 over one register.
Everything in that COSE_Sign1 but the signature value follows from PCR0 and the certificate, so it
is built here and compared; no value parsed out of it is ever trusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from nitro_attest._internal.quiet import quietly
from nitro_attest.errors import ImageError, InputError
from nitro_attest.measurements.pcr import first_pem_certificate, image_measurement


class _Scheme(NamedTuple):
    """How a curve signs: name and COSE number of the algorithm, bytes of r and of s, hash."""

    name: str
    cose_algorithm: int
    integer_bytes: int
    hash: hashes.HashAlgorithm


_SCHEMES: Final[Mapping[str, _Scheme]] = {
    "secp256r1": _Scheme("ES256", -7, 32, hashes.SHA256()),
    "secp384r1": _Scheme("ES384", -35, 48, hashes.SHA384()),
    "secp521r1": _Scheme("ES512", -36, 66, hashes.SHA512()),
}
"""By the name of the curve. RFC 9053 section 2.1; the image format fixes one scheme per curve."""

_ENTRY_KEYS: Final = {"signing_certificate", "signature"}
_MAX_NESTING: Final = 3  # array, map, array of integers


@dataclass(frozen=True)
class SignatureInfo:
    """A signature that holds: S-1 and S-2 were checked before this object was made.

    It proves that the key of ``certificate`` signed this image's PCR0. Who holds that key is for
    the reader to know: no chain is verified (S-4).

    Attributes:
        certificate: DER of the signing certificate: what PCR8 measures.
        subject: Its subject (RFC 4514). The signer chose it freely.
        not_before: Start of its validity, UTC.
        not_after: End of its validity, UTC.
        algorithm: ``ES256``, ``ES384`` or ``ES512``.
        entries: How many signatures the section holds; only the first is looked at.
    """

    certificate: bytes
    subject: str
    not_before: datetime
    not_after: datetime
    algorithm: str
    entries: int

    @property
    def pcr8(self) -> bytes:
        """PCR8 of the image, 48 bytes."""
        return image_measurement(hashlib.sha384(self.certificate).digest())

    def to_dict(self) -> dict[str, Any]:
        """The signature as JSON-ready values; bytes as lower-case hex."""
        return {
            "certificate": self.certificate.hex(),
            "subject": self.subject,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "algorithm": self.algorithm,
            "entries": self.entries,
        }


def register_payload(pcr0: bytes) -> bytes:
    """What a signer of an image signs: register 0 and its value, as an array of integers."""
    return cbor2.dumps({"register_index": 0, "register_value": list(pcr0)})


def check_signature_section(section: bytes, pcr0: bytes, offset: int) -> SignatureInfo:
    """Checks the first signature of a section against PCR0 (S-1, S-2).

    Args:
        section: Data of the section, at most 32768 bytes.
        pcr0: The PCR0 that was measured, 48 bytes.
        offset: Where the section starts in the file; for the errors.

    Raises:
        ImageError: ``eif.signature_pcr0`` if another PCR0 was signed; ``eif.signature`` for
            anything else: malformed CBOR, certificate or COSE_Sign1, another algorithm than the
            key's, a wrong signature.
    """
    try:
        entries = _read_entries(section)
        certificate, cose = entries[0]
        return _check(certificate, cose, pcr0, len(entries))
    except ImageError as error:
        raise ImageError(error.code, error.message, offset) from error.__cause__


def _read_entries(section: bytes) -> list[tuple[bytes, bytes]]:
    """The (certificate, COSE_Sign1) pairs of the section, of which there is at least one."""
    value = _decode(section, "the signature section")
    if type(value) is not list or not value:
        raise _refused("the signature section is not an array of at least one signature")
    entries = []
    for entry in value:
        if type(entry) is not dict or entry.keys() != _ENTRY_KEYS:
            raise _refused(
                "an entry of the signature section is not a map of signing_certificate and "
                "signature"
            )
        entries.append((_octets(entry["signing_certificate"]), _octets(entry["signature"])))
    _require_canonical(value, section, "the signature section")
    return entries


def _octets(value: Any) -> bytes:
    """Builders write an array of integers; a byte string is read as well (S-5)."""
    if type(value) is bytes:
        return value
    if type(value) is list and all(type(item) is int and 0 <= item <= 255 for item in value):
        return bytes(value)
    raise _refused("a value in the signature section is not an array of bytes")


def _check(certificate: bytes, cose: bytes, pcr0: bytes, entries: int) -> SignatureInfo:
    info, key, scheme = _read_certificate(certificate, entries)
    value = _decode(cose, "the COSE_Sign1")
    if type(value) is not list or len(value) != 4:
        raise _refused("the signature is not an untagged COSE_Sign1 (an array of 4)")
    protected, unprotected, payload, signature = value
    if protected != cbor2.dumps({1: scheme.cose_algorithm}) or unprotected != {}:
        raise _refused(
            f"the headers of the COSE_Sign1 are not {{alg: {scheme.name}}}, which the "
            "certificate's key calls for, and an empty map"
        )
    if payload != register_payload(pcr0):
        raise ImageError(
            "eif.signature_pcr0",
            f"the signature is for another image: this one has PCR0 {pcr0.hex()}",
        )
    if type(signature) is not bytes or len(signature) != 2 * scheme.integer_bytes:
        raise _refused(f"{scheme.name} needs a signature of {2 * scheme.integer_bytes} bytes")
    _require_canonical(value, cose, "the COSE_Sign1")
    r = int.from_bytes(signature[: scheme.integer_bytes], "big")
    s = int.from_bytes(signature[scheme.integer_bytes :], "big")
    signed = cbor2.dumps(["Signature1", protected, b"", payload])  # RFC 9052 section 4.4
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(scheme.hash))
    except InvalidSignature as error:
        raise _refused("the signature does not match the signing certificate's key") from error
    return info


def _read_certificate(
    pem: bytes, entries: int
) -> tuple[SignatureInfo, ec.EllipticCurvePublicKey, _Scheme]:
    try:
        der = first_pem_certificate(pem)
        key, subject, validity = quietly(_decode_certificate, der)
    except InputError as error:
        raise _refused(f"the signing certificate is malformed: {error.message}") from error
    except Exception as error:  # of many types: a subject alone can give ValueError or TypeError
        raise _refused(f"the signing certificate is malformed: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _SCHEMES:
        raise _refused("the key of the signing certificate is not on P-256, P-384 or P-521")
    scheme = _SCHEMES[key.curve.name]
    return SignatureInfo(der, subject, *validity, scheme.name, entries), key, scheme


def _decode_certificate(der: bytes) -> tuple[Any, str, tuple[datetime, datetime]]:
    certificate = x509.load_der_x509_certificate(der)
    key, subject = certificate.public_key(), certificate.subject.rfc4514_string()
    return key, subject, (certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _refused(message: str) -> ImageError:
    return ImageError("eif.signature", message)


class _NoTags(dict[int, Any]):
    """Has a decoder for every CBOR tag, and it refuses: a tag can call costly conversions."""

    def __missing__(self, tag: int) -> Any:
        raise ValueError(f"tag {tag} is not expected here")


def _decode(data: bytes, what: str) -> Any:
    try:
        return cbor2.loads(
            data,
            semantic_decoders=_NoTags(),
            max_depth=_MAX_NESTING,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except Exception as error:  # which exceptions a decoder raises is no contract to rely on
        raise _refused(f"{what} is not well-formed CBOR: {error}") from error


def _require_canonical(value: Any, data: bytes, what: str) -> None:
    """Refuses bytes after the item and heads longer than needed: re-encoding drops both."""
    if cbor2.dumps(value) != data:
        raise _refused(f"{what} is not in shortest form, or bytes follow it")
