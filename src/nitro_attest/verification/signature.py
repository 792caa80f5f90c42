"""The COSE signature: ECDSA P-384 with SHA-384 over the bytes as received (C-14, C-16)."""

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
    """What the signature is made over (RFC 9052 section 4.4).

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
    """That a key signed a digest: all that an ECDSA verification is about.

    Attributes:
        key: The key.
        signature: r and s, 48 bytes each.
        digest: SHA-384 of what was signed.
    """

    key: SigningKey
    signature: bytes
    digest: bytes


SignatureCheck = Callable[[SignatureClaim], bool]
"""Whether a claim holds."""


def der_signature(signature: bytes) -> bytes:
    """The form of r and s, 48 bytes each, that most libraries take."""
    return encode_dss_signature(
        int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
    )


def check_with_cryptography(claim: SignatureClaim) -> bool:
    """The check that decides, whatever any other one says no to."""
    try:
        claim.key.loaded.verify(der_signature(claim.signature), claim.digest, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def claim_of(document: UnverifiedDocument, key: SigningKey) -> SignatureClaim:
    """What a document says of its signing certificate's key."""
    signed = sig_structure(document.protected, document.payload)
    return SignatureClaim(key, document.signature, hashlib.sha384(signed).digest())


def check_signature(
    document: UnverifiedDocument, key: SigningKey, check: SignatureCheck = check_with_cryptography
) -> bytes:
    """Checks the signature of a document under the key of its verified certificate.

    Both of s and n - s are accepted: half of all genuine signatures have the greater one (C-15).

    Args:
        document: The document as parsed.
        key: The signing certificate's key.
        check: How the curve is asked.

    Returns:
        SHA-384 of the Sig_structure, 48 bytes: the same for every encoding of this attestation, so
        the only safe key to recognise a replay by.

    Raises:
        SignatureError: ``signature.range`` (C-14) or ``signature.invalid`` (C-16).
    """
    signature = document.signature
    r, s = signature[:_HALF], signature[_HALF:]
    if not (_ZERO < r < _ORDER and _ZERO < s < _ORDER):  # of one length, so as numbers
        name = "s" if _ZERO < r < _ORDER else "r"
        raise SignatureError(
            "signature.range",
            f"signature value {name} is out of range; 1 to the order of P-384 less 1 was expected",
        )
    claim = claim_of(document, key)
    if not check(claim):
        raise SignatureError(
            "signature.invalid",
            "the document's signature does not match its certificate: the document was altered, or "
            "signed with another key",
        )
    return claim.digest
