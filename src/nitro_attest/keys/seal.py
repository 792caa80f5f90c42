"""Encryption to the public key in a document, so that only the attested enclave can decrypt."""

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

__all__ = ["hpke_suite", "seal_to"]

_MIN_RSA_BITS: Final = 2048
_SUITES: Final = {
    "x25519": Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    "secp256r1": Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    "secp384r1": Suite(KEM.P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM),
    "secp521r1": Suite(KEM.P521, KDF.HKDF_SHA512, AEAD.AES_256_GCM),
}
"""RFC 9180 suites by key type: each KEM with a KDF over its own hash."""


def seal_to(public_key: PublicKeyTypes, data: bytes, *, info: bytes = b"") -> bytes:
    """Encrypts data to a public key. The ciphertext does not authenticate its sender.

    RSA keys of at least 2048 bits use RSAES-OAEP with SHA-256 (RFC 8017 section 7.1.1), for data of
    at most the key size less 66 bytes: 190 bytes at 2048 bits. X25519, P-256, P-384 and P-521 keys
    use HPKE in base mode (RFC 9180), for data of any size; decrypt with ``hpke_suite``.

    Args:
        public_key: The enclave's key: ``load_public_key()`` of a verified attestation.
        data: The plaintext.
        info: HPKE only: the purpose of the data, such as the name and version of the protocol.
            The recipient must pass the same bytes.

    Returns:
        OAEP: the ciphertext, as long as the RSA modulus. HPKE: the encapsulated key, followed by
        the ciphertext.

    Raises:
        InputError: ``input.expected``: unsupported key type, an RSA key below 2048 bits, an
            invalid key, data or info that are not bytes, data too long for OAEP, or ``info`` with
            an RSA key.

    Example:
        >>> from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        >>> from nitro_attest import hpke_suite, seal_to
        >>> enclave_key = X25519PrivateKey.generate()
        >>> sealed = seal_to(enclave_key.public_key(), b"secret", info=b"example v1")
        >>> hpke_suite(enclave_key.public_key()).decrypt(sealed, enclave_key, b"example v1")
        b'secret'
    """
    data, info = _bytes("data", data), _bytes("info", info)
    if isinstance(public_key, RSAPublicKey):
        return _oaep(public_key, data, info)
    key = _agreeing(public_key)
    try:
        return _suite(key).encrypt(data, key, info)
    except ValueError as error:
        # RFC 9180 section 7.1.4: the all-zero X25519 result of a point of small order.
        raise InputError(
            "input.expected", "invalid public key: a point of small order gives no shared secret"
        ) from error


def hpke_suite(public_key: PublicKeyTypes) -> Suite:
    """Returns the HPKE suite that ``seal_to`` uses for keys of this type (RFC 9180).

    The enclave decrypts with ``hpke_suite(key.public_key()).decrypt(sealed, key, info)``.

    Args:
        public_key: An X25519, P-256, P-384 or P-521 key.

    Returns:
        The suite, with AES-256-GCM.

    Raises:
        InputError: ``input.expected``: unsupported key type.
    """
    return _suite(_agreeing(public_key))


def _suite(key: X25519PublicKey | ec.EllipticCurvePublicKey) -> Suite:
    return _SUITES["x25519" if isinstance(key, X25519PublicKey) else key.curve.name]


def _bytes(name: str, value: object) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise InputError("input.expected", f"{name}: expected bytes, found {type(value).__name__}")
    return bytes(value)


def _agreeing(public_key: PublicKeyTypes) -> X25519PublicKey | ec.EllipticCurvePublicKey:
    if isinstance(public_key, X25519PublicKey):
        return public_key
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.name in _SUITES:
        return public_key
    raise InputError(
        "input.expected",
        f"unsupported key type: {type(public_key).__name__}; expected RSA, X25519, P-256, P-384 or "
        "P-521",
    )


def _oaep(public_key: RSAPublicKey, data: bytes, info: bytes) -> bytes:
    if public_key.key_size < _MIN_RSA_BITS:
        raise InputError(
            "input.expected",
            f"expected an RSA key of at least {_MIN_RSA_BITS} bits, found {public_key.key_size}",
        )
    if info:
        raise InputError("input.expected", "info= cannot be used with an RSA key, only with HPKE")
    largest = public_key.key_size // 8 - 2 * hashes.SHA256.digest_size - 2
    if len(data) > largest:
        raise InputError(
            "input.expected",
            f"expected at most {largest} bytes for this RSA key, found {len(data)}; use an X25519 "
            "key in the enclave, or seal a symmetric key",
        )
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    try:
        return public_key.encrypt(data, oaep)
    except ValueError as error:  # for example an even modulus: it loads, but cannot encrypt
        raise InputError(
            "input.expected", "invalid RSA key: its numbers are inconsistent"
        ) from error
