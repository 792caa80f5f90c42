"""CiphertextForRecipient as KMS writes it, by a writer that shares nothing with the reader."""

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


def envelope(plaintext: bytes, recipient: rsa.RSAPublicKey, *, constructed: bool = True) -> bytes:
    """A CiphertextForRecipient, byte for byte of the form that KMS gives it.

    Args:
        plaintext: What it holds.
        recipient: Who can open it.
        constructed: The ciphertext in parts, or in one piece.
    """
    spki = recipient.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    content_key, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    encryptor = Cipher(algorithms.AES(content_key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padder.update(plaintext) + padder.finalize())
    return enclose(
        hashlib.sha256(spki).digest(),
        recipient.encrypt(content_key, _OAEP),
        iv,
        ciphertext,
        constructed=constructed,
    )


def enclose(
    key_id: bytes, encrypted_key: bytes, iv: bytes, ciphertext: bytes, *, constructed: bool = True
) -> bytes:
    """The form alone, around any octets."""
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
