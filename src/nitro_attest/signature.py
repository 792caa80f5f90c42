"""The COSE signature: ECDSA P-384 with SHA-384 over the bytes as received (C-14, C-16)."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from nitro_attest.document import UnverifiedDocument
from nitro_attest.errors import SignatureError
from nitro_attest.limits import SIGNATURE_BYTES

P384_ORDER: Final = int(
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
    16,
)

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


def check_signature(document: UnverifiedDocument, key: ec.EllipticCurvePublicKey) -> bytes:
    """Checks the signature of a document under the key of its verified certificate.

    Both of s and n - s are accepted: half of all genuine signatures have the greater one (C-15).

    Args:
        document: The document as parsed.
        key: The signing certificate's key.

    Returns:
        SHA-384 of the Sig_structure, 48 bytes: the same for every encoding of this attestation, so
        the only safe key to recognise a replay by.

    Raises:
        SignatureError: ``signature.range`` (C-14) or ``signature.invalid`` (C-16).
    """
    half = SIGNATURE_BYTES // 2
    r = int.from_bytes(document.signature[:half], "big")
    s = int.from_bytes(document.signature[half:], "big")
    if not (1 <= r < P384_ORDER and 1 <= s < P384_ORDER):
        name = "s" if 1 <= r < P384_ORDER else "r"
        raise SignatureError(
            "signature.range",
            f"signature value {name} is out of range; 1 to the order of P-384 less 1 was expected",
        )
    digest = hashlib.sha384(sig_structure(document.protected, document.payload)).digest()
    try:
        key.verify(encode_dss_signature(r, s), digest, _ALGORITHM)
    except InvalidSignature as error:
        raise SignatureError(
            "signature.invalid",
            "the document's signature does not match its certificate: the document was altered, or "
            "signed with another key",
        ) from error
    return digest
