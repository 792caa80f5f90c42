"""The enclave's side of KMS: the key that KMS encrypts its answers to (K-5 to K-9).

The key is made inside the enclave, and an attestation document carries its public half. KMS
verifies the document against the key policy and encrypts its answer to that key. The parent
instance forwards all of this and cannot read the answer.

The answer is encrypted but not authenticated: its ciphertext can be changed in transit. Only the
TLS connection to KMS authenticates it, so that connection must end inside the enclave.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any, Final, NoReturn

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest._internal.protocols import Attester
from nitro_attest._internal.wording import size_or_type
from nitro_attest.errors import InputError, KmsError
from nitro_attest.kms.cms import IV_BYTES, EnvelopedData, parse_enveloped_data
from nitro_attest.limits import MAX_DOCUMENT_BYTES

__all__ = ["KEY_BITS", "KEY_ENCRYPTION_ALGORITHM", "Attester", "RecipientKey"]

KEY_ENCRYPTION_ALGORITHM: Final = "RSAES_OAEP_SHA_256"
"""The only ``KeyEncryptionAlgorithm`` that KMS accepts in a ``Recipient``."""

KEY_BITS: Final = (2048, 3072, 4096)
"""Sizes in bits of the RSA keys that KMS encrypts to."""

_CONTENT_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 32
_PADDED: Final = bytes([IV_BYTES]) * IV_BYTES
_OAEP: Final = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_SIZES: Final = f"{KEY_BITS[0]}, {KEY_BITS[1]} or {KEY_BITS[2]} bits"


class RecipientKey:
    """An RSA key of an enclave, for answers of KMS. The private key is never exported.

    Use ``generate`` to make a key; the constructor wraps an existing one. Thread-safe.

    Args:
        private_key: An RSA key of 2048, 3072 or 4096 bits.

    Attributes:
        public_key_der: The public half, a DER SubjectPublicKeyInfo (294 bytes for 2048 bits).

    Raises:
        InputError: ``input.expected``: the key is of a different type or size.

    Example:
        >>> from types import SimpleNamespace
        >>> from nitro_attest.kms.recipient import RecipientKey
        >>> key = RecipientKey.generate()
        >>> attester = SimpleNamespace(attest=nitro.document)  # in an enclave: Nsm()
        >>> recipient = key.recipient(key.attest(attester))
        >>> sorted(recipient)
        ['AttestationDocument', 'KeyEncryptionAlgorithm']

        Send ``recipient`` to KMS as ``Recipient``, and decrypt its answer:

        >>> answer = client.decrypt(CiphertextBlob=blob, Recipient=recipient)  # doctest: +SKIP
        >>> secret = key.decrypt(answer["CiphertextForRecipient"])  # doctest: +SKIP
    """

    __slots__ = ("_key_id", "_private_key", "public_key_der")

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        if not isinstance(private_key, rsa.RSAPrivateKey):
            found = type(private_key).__name__
            raise InputError("input.expected", f"expected an RSA private key, found {found}")
        if private_key.key_size not in KEY_BITS:
            raise InputError(
                "input.expected",
                f"RSA key size mismatch: expected {_SIZES}, found {private_key.key_size}",
            )
        self._private_key = private_key
        self.public_key_der = private_key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = hashlib.sha256(self.public_key_der).digest()

    @classmethod
    def generate(cls, bits: int = 2048) -> RecipientKey:
        """Makes a new key from the randomness of the operating system.

        Before that, the enclave's kernel must have received entropy from the NSM.

        Args:
            bits: Size of the modulus: 2048, 3072 or 4096.

        Returns:
            The key.

        Raises:
            InputError: ``input.expected``: ``bits`` is not 2048, 3072 or 4096.
        """
        if bits not in KEY_BITS:
            raise InputError("input.expected", f"invalid bits: expected {_SIZES}, found {bits!r}")
        return cls(rsa.generate_private_key(65537, bits))

    def attest(
        self, attester: Attester, *, user_data: bytes | None = None, nonce: bytes | None = None
    ) -> bytes:
        """Makes an attestation document that carries this key as its ``public_key``.

        Args:
            attester: Makes the document: an ``Nsm``, or a fake in a test.
            user_data: The document's ``user_data``. KMS ignores it.
            nonce: The document's ``nonce``. KMS ignores it.

        Returns:
            The document.

        Raises:
            NitroAttestError: Whatever the attester raises.
        """
        return attester.attest(public_key=self.public_key_der, user_data=user_data, nonce=nonce)

    def recipient(self, document: bytes) -> dict[str, Any]:
        """Builds the ``Recipient`` of a KMS request, as boto3 takes it.

        Args:
            document: A document that ``attest`` made recently, 1 to 16384 bytes.

        Returns:
            A dict with ``KeyEncryptionAlgorithm`` and ``AttestationDocument``.

        Raises:
            InputError: ``input.expected``: the document does not carry this key, so the answer
                could not be decrypted; or it is not bytes, or too long.
        """
        if not isinstance(document, bytes) or not 0 < len(document) <= MAX_DOCUMENT_BYTES:
            raise InputError(
                "input.expected",
                f"invalid attestation document: expected 1 to {MAX_DOCUMENT_BYTES} bytes, "
                f"found {size_or_type(document)}",
            )
        if self.public_key_der not in document:
            raise InputError(
                "input.expected", "the document does not contain this key; make it with attest()"
            )
        return {
            "KeyEncryptionAlgorithm": KEY_ENCRYPTION_ALGORITHM,
            "AttestationDocument": document,
        }

    def decrypt(self, ciphertext_for_recipient: bytes) -> bytes:
        """Decrypts an answer of KMS.

        Args:
            ciphertext_for_recipient: The ``CiphertextForRecipient``, 1 to 6144 bytes (K-9), as
                boto3 returns it; in KMS's JSON it is base64.

        Returns:
            The plaintext. Only the TLS connection that the answer came over authenticates it.

        Raises:
            InputError: ``input.expected``: the argument is not bytes.
            KmsError: ``kms.format``: the answer does not have the form of KMS (K-5, K-6).
                ``kms.recipient``: it was encrypted to a different key (K-7). ``kms.decrypt``: it
                cannot be decrypted; the error is the same for every cause (K-8).

        Example:
            >>> from cryptography.hazmat.primitives.serialization import load_der_public_key
            >>> from nitro_attest.kms.recipient import RecipientKey
            >>> from nitro_attest.testing.cms import encrypt_for
            >>> key = RecipientKey.generate()
            >>> answer = encrypt_for(b"secret", load_der_public_key(key.public_key_der))
            >>> key.decrypt(answer)
            b'secret'
        """
        if not isinstance(ciphertext_for_recipient, bytes):
            raise InputError(
                "input.expected",
                "invalid CiphertextForRecipient: expected bytes, found "
                f"{size_or_type(ciphertext_for_recipient)}",
            )
        enveloped = parse_enveloped_data(ciphertext_for_recipient)
        # An identifier of another size has another form and cannot be compared; then decryption
        # decides (K-7).
        if len(enveloped.key_id) == _KEY_ID_BYTES and not hmac.compare_digest(
            enveloped.key_id, self._key_id
        ):
            raise KmsError(
                "kms.recipient",
                f"recipient mismatch: expected key {self._key_id.hex()}, found "
                f"{enveloped.key_id.hex()}; use the key whose document the request contained",
            )
        plaintext = self._decrypt(enveloped)
        if plaintext is None:
            # Raised here rather than in _decrypt, so that __context__ does not reveal what failed.
            raise KmsError("kms.decrypt", "could not decrypt the CiphertextForRecipient")
        return plaintext

    def _decrypt(self, enveloped: EnvelopedData) -> bytes | None:
        """Decrypts; None does not reveal which step failed, and neither does the time (K-8).

        Every step runs even if an earlier one failed. Exceptions take time, so each failure costs
        exactly one: after a wrong content key, correctly padded dummy data is unpadded in place of
        the decrypted text.
        """
        if not enveloped.ciphertext or len(enveloped.ciphertext) % IV_BYTES:
            return None
        content_key, genuine = algorithms.AES256(secrets.token_bytes(_CONTENT_KEY_BYTES)), True
        try:
            content_key = algorithms.AES256(
                self._private_key.decrypt(enveloped.encrypted_key, _OAEP)
            )
        except ValueError:  # wrong OAEP padding, or a content key that is not 32 bytes
            genuine = False
        decryptor = Cipher(content_key, modes.CBC(enveloped.iv)).decryptor()
        padded = decryptor.update(enveloped.ciphertext) + decryptor.finalize()
        unpadder = padding.PKCS7(algorithms.AES256.block_size).unpadder()
        try:
            plaintext = unpadder.update(padded if genuine else _PADDED) + unpadder.finalize()
        except ValueError:
            return None
        return plaintext if genuine else None

    def __repr__(self) -> str:
        bits = self._private_key.key_size
        return f"<RecipientKey of {bits} bits, SHA-256 of public key {self._key_id.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot copy or pickle a RecipientKey: it does not leave the enclave")
