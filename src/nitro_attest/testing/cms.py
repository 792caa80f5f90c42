"""Writes CiphertextForRecipient as KMS does; shares no code with the parser in ``kms.cms``."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest.testing import _der as der

__all__ = ["encrypt_for"]

_OAEP: Final = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_TWO: Final = der.integer(2)
_SHA256: Final = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"), der.tlv(0x05, b""))
_RSAES_OAEP: Final = der.sequence(
    der.object_identifier("1.2.840.113549.1.1.7"),
    der.sequence(
        der.explicit(0, _SHA256),
        der.explicit(1, der.sequence(der.object_identifier("1.2.840.113549.1.1.8"), _SHA256)),
    ),
)


def encrypt_for(
    plaintext: bytes, recipient: rsa.RSAPublicKey, *, constructed: bool = True
) -> bytes:
    """Encrypts a plaintext to a recipient, in the exact form of a KMS answer (K-5, K-6).

    Args:
        plaintext: The plaintext, of any size.
        recipient: The public key of the recipient.
        constructed: Write the ciphertext in parts (True) or as one string; KMS does both.

    Returns:
        A CiphertextForRecipient.

    Example:
        >>> from cryptography.hazmat.primitives.serialization import load_der_public_key
        >>> from nitro_attest.kms.recipient import RecipientKey
        >>> from nitro_attest.testing.cms import encrypt_for
        >>> key = RecipientKey.generate()
        >>> key.decrypt(encrypt_for(b"secret", load_der_public_key(key.public_key_der)))
        b'secret'
    """
    spki = recipient.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    content_key, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    encryptor = Cipher(algorithms.AES(content_key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padder.update(plaintext) + padder.finalize())
    return encode_cms(
        hashlib.sha256(spki).digest(),
        recipient.encrypt(content_key, _OAEP),
        iv,
        ciphertext,
        constructed=constructed,
    )


def encode_cms(
    key_id: bytes, encrypted_key: bytes, iv: bytes, ciphertext: bytes, *, constructed: bool = True
) -> bytes:
    """Encodes given octets in the form of a CiphertextForRecipient; nothing is encrypted.

    Args:
        key_id: Subject key identifier.
        encrypted_key: The encrypted content key.
        iv: The IV; 16 bytes in a well-formed answer.
        ciphertext: The encrypted content.
        constructed: Write the ciphertext in parts (True) or as one string.

    Returns:
        The BER encoding.
    """
    recipient_info = der.sequence(
        _TWO, der.tlv(0x80, key_id), _RSAES_OAEP, der.octet_string(encrypted_key)
    )
    content = _indefinite(
        0x30,
        der.object_identifier("1.2.840.113549.1.7.1"),
        der.sequence(der.object_identifier("2.16.840.1.101.3.4.1.42"), der.octet_string(iv)),
        _indefinite(0xA0, der.octet_string(ciphertext))
        if constructed
        else der.tlv(0x80, ciphertext),
    )
    enveloped = _indefinite(0x30, _TWO, der.tlv(0x31, recipient_info), content)
    enveloped_data = der.object_identifier("1.2.840.113549.1.7.3")
    return _indefinite(0x30, enveloped_data, _indefinite(0xA0, enveloped))


def _indefinite(tag: int, *elements: bytes) -> bytes:
    return bytes([tag, 0x80]) + b"".join(elements) + b"\x00\x00"
