"""The COSE signature: ECDSA P-384 with SHA-384 over the received bytes (C-14, C-16)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from nitro_attest.errors import SignatureError
from nitro_attest.limits import SIGNATURE_BYTES
from nitro_attest.verification.certificate import SigningKey
from nitro_attest.verification.document import UnverifiedDocument

P384_ORDER: Final = int(
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
    16,
)

_HALF: Final = SIGNATURE_BYTES // 2
_ZERO: Final = bytes(_HALF)
_ORDER: Final = P384_ORDER.to_bytes(_HALF, "big")
_ALGORITHM: Final = ec.ECDSA(Prehashed(SHA384()))


def sig_structure(protected: bytes, payload: bytes) -> bytes:
    """Builds the bytes that are signed (RFC 9052 section 4.4).

    Args:
        protected: The protected header as received: less than 24 bytes.
        payload: The payload as received: less than 65536 bytes.

    Returns:
        The CBOR array ["Signature1", protected, external_aad (empty), payload].
    """
    return b"".join(
        (
            b"\x84\x6aSignature1",
            bytes((0x40 | len(protected),)),
            protected,
            b"\x40",
            _byte_string_head(len(payload)),
            payload,
        )
    )


def _byte_string_head(size: int) -> bytes:
    if size < 24:
        return bytes((0x40 | size,))
    if size < 256:
        return bytes((0x58, size))
    return b"\x59" + size.to_bytes(2, "big")


class SignatureClaim(NamedTuple):
    """The claim that a key signed a digest: the input of an ECDSA verification.

    Attributes:
        key: The key.
        signature: r and s, 48 bytes each.
        digest: SHA-384 of what was signed.
    """

    key: SigningKey
    signature: bytes
    digest: bytes


SignatureCheck = Callable[[SignatureClaim], bool]
"""Verifies a claim: True if it holds."""


def der_signature(signature: bytes) -> bytes:
    """Encodes r and s, 48 bytes each, as the DER that most libraries expect."""
    return encode_dss_signature(
        int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
    )


def check_with_cryptography(claim: SignatureClaim) -> bool:
    """Verifies a claim. The authoritative check; accelerators can only confirm."""
    try:
        claim.key.loaded.verify(der_signature(claim.signature), claim.digest, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def claim_of(document: UnverifiedDocument, key: SigningKey) -> SignatureClaim:
    """Returns the claim of a document: that the key of its signing certificate signed it."""
    signed = sig_structure(document.protected, document.payload)
    return SignatureClaim(key, document.signature, hashlib.sha384(signed).digest())


def check_signature(
    document: UnverifiedDocument, key: SigningKey, check: SignatureCheck = check_with_cryptography
) -> bytes:
    """Verifies the signature of a document under the key of its verified certificate.

    Both s and n - s are accepted: half of all genuine signatures have the greater one (C-15).

    Args:
        document: The document as parsed.
        key: The signing certificate's key.
        check: Verifies the ECDSA signature.

    Returns:
        SHA-384 of the Sig_structure, 48 bytes: the same for every encoding of one attestation, and
        so the only safe identifier to detect a replay by.

    Raises:
        SignatureError: ``signature.range`` (C-14) or ``signature.invalid`` (C-16).
    """
    signature = document.signature
    r, s = signature[:_HALF], signature[_HALF:]
    if not (_ZERO < r < _ORDER and _ZERO < s < _ORDER):  # equal lengths, so compared as numbers
        name = "s" if _ZERO < r < _ORDER else "r"
        raise SignatureError(
            "signature.range",
            f"signature value {name} is out of range: expected 1 to the order of P-384 minus 1",
        )
    claim = claim_of(document, key)
    if not check(claim):
        raise SignatureError(
            "signature.invalid",
            "the signature does not match the document and its signing certificate: the document "
            "was altered, or signed with another key",
        )
    return claim.digest
