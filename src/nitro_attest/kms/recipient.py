"""The enclave's side of KMS: the key that KMS encrypts its answers to (K-5 to K-9).

The key is made inside the enclave, its public half goes into an attestation document, and KMS, once
it has judged that document against the key policy, encrypts the answer to it. The parent instance,
through which all of this passes, cannot read it.

The form of the answer does not authenticate it: its ciphertext can be changed on the way. What
vouches for it is the TLS connection to KMS, which must therefore end inside the enclave.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any, Final, NoReturn, Protocol

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest.errors import InputError, KmsError
from nitro_attest.kms.cms import IV_BYTES, Envelope, read_envelope
from nitro_attest.limits import MAX_DOCUMENT_BYTES

KEY_ENCRYPTION_ALGORITHM: Final = "RSAES_OAEP_SHA_256"
"""The only one that KMS has for recipients."""

KEY_BITS: Final = (2048, 3072, 4096)
"""Sizes of the RSA keys that KMS encrypts to."""

_CONTENT_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 32
_PADDED: Final = bytes([IV_BYTES]) * IV_BYTES
_OAEP: Final = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


class Nsm(Protocol):
    """What makes attestation documents, such as ``nitro_attest.enclave.nsm.Nsm``."""

    def attest(
        self,
        *,
        nonce: bytes | None = None,
        user_data: bytes | None = None,
        public_key: bytes | None = None,
    ) -> bytes:
        """A fresh attestation document with these fields."""


class RecipientKey:
    """An RSA key of this enclave. Its private half does not leave the object.

    ``generate`` makes one; the constructor is for a key that exists already. An object may be
    shared by threads.

    Args:
        private_key: RSA of 2048, 3072 or 4096 bits.

    Attributes:
        public_key_der: The public half, a DER SubjectPublicKeyInfo (294 bytes for 2048 bits).

    Raises:
        InputError: ``input.expected``: the key is of another kind or size.
    """

    __slots__ = ("_key_id", "_private_key", "public_key_der")

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        if not isinstance(private_key, rsa.RSAPrivateKey) or private_key.key_size not in KEY_BITS:
            raise InputError("input.expected", f"an RSA key of {KEY_BITS} bits was expected")
        self._private_key = private_key
        self.public_key_der = private_key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = hashlib.sha256(self.public_key_der).digest()

    @classmethod
    def generate(cls, bits: int = 2048) -> RecipientKey:
        """A new key, from the randomness of the operating system.

        An enclave's kernel must have been given entropy before, from the NSM.

        Raises:
            InputError: ``input.expected``: ``bits`` is not 2048, 3072 or 4096.
        """
        if bits not in KEY_BITS:
            raise InputError("input.expected", f"bits is {bits!r}; one of {KEY_BITS} was expected")
        return cls(rsa.generate_private_key(65537, bits))

    def attest(
        self, nsm: Nsm, *, user_data: bytes | None = None, nonce: bytes | None = None
    ) -> bytes:
        """An attestation document that carries this key.

        Raises:
            NitroAttestError: What the NSM raises.
        """
        return nsm.attest(public_key=self.public_key_der, user_data=user_data, nonce=nonce)

    def recipient(self, document: bytes) -> dict[str, Any]:
        """The ``Recipient`` of a KMS request, as boto3 takes it.

        Args:
            document: What ``attest`` gave, not long ago.

        Raises:
            InputError: ``input.expected``: it does not carry this key, so that the answer could not
                be opened, or is no document.
        """
        if not isinstance(document, bytes) or not 0 < len(document) <= MAX_DOCUMENT_BYTES:
            raise InputError(
                "input.expected",
                f"an attestation document of 1 to {MAX_DOCUMENT_BYTES} bytes was expected",
            )
        if self.public_key_der not in document:
            raise InputError(
                "input.expected", "the document does not carry this key; make it with attest()"
            )
        return {
            "KeyEncryptionAlgorithm": KEY_ENCRYPTION_ALGORITHM,
            "AttestationDocument": document,
        }

    def decrypt(self, ciphertext_for_recipient: bytes) -> bytes:
        """Opens an answer of KMS.

        Args:
            ciphertext_for_recipient: ``CiphertextForRecipient``, 1 to 6144 bytes: of boto3 as it
                is, of the JSON answer decoded from base64.

        Returns:
            The plaintext. That it is what KMS sent rests on the TLS connection that it came by.

        Raises:
            InputError: ``input.expected``: it is not bytes.
            KmsError: ``kms.format``: it is not of the form that KMS answers in (K-5, K-6).
                ``kms.recipient``: it was encrypted to another key (K-7). ``kms.decrypt``: it cannot
                be opened; nothing says why (K-8).
        """
        if not isinstance(ciphertext_for_recipient, bytes):
            found = type(ciphertext_for_recipient).__name__
            raise InputError("input.expected", f"the answer is {found}; bytes were expected")
        envelope = read_envelope(ciphertext_for_recipient)
        # Another length is an identifier of another form: no telling, so decryption must (K-7).
        if len(envelope.key_id) == _KEY_ID_BYTES and not hmac.compare_digest(
            envelope.key_id, self._key_id
        ):
            raise KmsError(
                "kms.recipient",
                f"encrypted to the key {envelope.key_id.hex()}, not to this one "
                f"({self._key_id.hex()}); which document did the request carry?",
            )
        plaintext = self._open(envelope)
        if plaintext is None:
            # Raised here, so that no context hangs on it which says what failed.
            raise KmsError("kms.decrypt", "could not decrypt the CiphertextForRecipient")
        return plaintext

    def _open(self, envelope: Envelope) -> bytes | None:
        """K-8: every step is taken whatever the one before gave; None does not say which failed.

        Exceptions take time, so each failure is made to cost one: what a wrong content key yields
        is not looked at, and something of good padding in its place.
        """
        if not envelope.ciphertext or len(envelope.ciphertext) % IV_BYTES:
            return None
        content_key, genuine = algorithms.AES256(secrets.token_bytes(_CONTENT_KEY_BYTES)), True
        try:
            content_key = algorithms.AES256(
                self._private_key.decrypt(envelope.encrypted_key, _OAEP)
            )
        except ValueError:  # of OAEP, or of a key that has not 32 bytes
            genuine = False
        decryptor = Cipher(content_key, modes.CBC(envelope.iv)).decryptor()
        padded = decryptor.update(envelope.ciphertext) + decryptor.finalize()
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
        raise TypeError("a RecipientKey cannot be copied or pickled: it does not leave the enclave")
