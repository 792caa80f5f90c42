"""Encryption to the key in a document, so that only the attested enclave can read what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from nitro_attest.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_MIN_RSA_BITS: Final = 2048
_SUITES: Final = {
    "x25519": Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    "secp256r1": Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    "secp384r1": Suite(KEM.P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM),
    "secp521r1": Suite(KEM.P521, KDF.HKDF_SHA512, AEAD.AES_256_GCM),
}
"""RFC 9180, by the kind of key: each key agreement with the hash that its own KEM uses."""


def seal_to(public_key: PublicKeyTypes, data: bytes, *, info: bytes = b"") -> bytes:
    """Encrypts data to a public key: once, for one reader, without saying who sent it.

    For RSA of 2048 bits and more this is RSAES-OAEP with SHA-256 (RFC 8017 section 7.1.1), for data
    of at most the key's size less 66 bytes: 190 bytes at 2048 bits. For X25519, P-256, P-384 and
    P-521 it is HPKE in base mode (RFC 9180), for data of any size; ``hpke_suite`` opens it.

    Args:
        public_key: The key of the enclave: ``load_public_key()`` of a verified attestation.
        data: What to send.
        info: HPKE only: what the data is for, such as the protocol's name and version. The reader
            must give the same.

    Returns:
        OAEP: as many bytes as the key has. HPKE: the encapsulated key, then the ciphertext.

    Raises:
        InputError: ``input.expected``: the key is of another kind, too short for its kind or no
            key at all, the data is too long for OAEP, or ``info`` was given for RSA, which cannot
            carry it.
    """
    if isinstance(public_key, RSAPublicKey):
        return _oaep(public_key, data, info)
    key = _agreeing(public_key)
    try:
        return hpke_suite(key).encrypt(data, key, info)
    except ValueError as error:
        # RFC 9180 section 7.1.4: the all-zero X25519 result of a point of small order.
        raise InputError(
            "input.expected", "the key is a point that gives no shared secret with any other"
        ) from error


def hpke_suite(public_key: PublicKeyTypes) -> Suite:
    """The HPKE suite that ``seal_to`` uses for keys of this kind.

    The enclave opens with it: ``hpke_suite(key.public_key()).decrypt(sealed, key, info)``.

    Raises:
        InputError: ``input.expected``: no suite is for keys of this kind.
    """
    key = _agreeing(public_key)
    return _SUITES["x25519" if isinstance(key, X25519PublicKey) else key.curve.name]


def _agreeing(public_key: PublicKeyTypes) -> X25519PublicKey | ec.EllipticCurvePublicKey:
    if isinstance(public_key, X25519PublicKey):
        return public_key
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.name in _SUITES:
        return public_key
    raise InputError(
        "input.expected",
        f"nothing can be sealed to a {type(public_key).__name__}; RSA, X25519, P-256, P-384 and "
        "P-521 keys were expected",
    )


def _oaep(public_key: RSAPublicKey, data: bytes, info: bytes) -> bytes:
    if public_key.key_size < _MIN_RSA_BITS:
        raise InputError(
            "input.expected",
            f"the RSA key has {public_key.key_size} bits; at least {_MIN_RSA_BITS} were expected",
        )
    if info:
        raise InputError("input.expected", "info belongs to HPKE; this is an RSA key")
    largest = public_key.key_size // 8 - 2 * hashes.SHA256.digest_size - 2
    if len(data) > largest:
        raise InputError(
            "input.expected",
            f"{len(data)} bytes do not fit this RSA key, which takes {largest}; have the enclave "
            "give an X25519 key, or seal a symmetric key",
        )
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    try:
        return public_key.encrypt(data, oaep)
    except ValueError as error:  # an even modulus, for one, is read but not computed with
        raise InputError("input.expected", "the numbers of the RSA key make no key") from error
