"""KMS from inside an enclave, through a boto3 client of the caller."""

from __future__ import annotations

from typing import Any

from nitro_attest._internal.protocols import Attester
from nitro_attest.errors import InputError, KmsError
from nitro_attest.kms.recipient import RecipientKey

__all__ = ["AttestedKms"]


class AttestedKms:
    """The KMS operations that can answer an attested enclave, with the answers decrypted.

    Each call makes a fresh attestation document, sends it as ``Recipient``, and returns boto3's
    answer with the plaintext where it would be without an enclave. A program that used
    ``client.decrypt(...)["Plaintext"]`` uses this object instead and changes nothing else.

    Exceptions of boto3 and of the attester pass through unchanged.

    Args:
        client: ``boto3.client("kms", ...)``. Region, credentials, endpoint and the route out of
            the enclave are the caller's to configure. Its TLS connection must end inside the
            enclave; a proxy on the parent may forward it, but must not terminate it.
        attester: Makes the attestation documents: an ``Nsm``, or a fake in a test.
        key: The key that KMS encrypts answers to; by default a new RSA key of 2048 bits.

    Example:
        Inside an enclave::

            with Nsm() as nsm:
                kms = AttestedKms(boto3.client("kms", ...), nsm)
                secret = kms.decrypt(CiphertextBlob=blob)["Plaintext"]

        In a test, with fakes of the client and the NSM:

        >>> from types import SimpleNamespace
        >>> from nitro_attest.kms.client import AttestedKms
        >>> from nitro_attest.kms.recipient import RecipientKey
        >>> from nitro_attest.testing.cms import encrypt_for
        >>> from cryptography.hazmat.primitives.serialization import load_der_public_key
        >>> key = RecipientKey.generate()
        >>> recipient = load_der_public_key(key.public_key_der)
        >>> answer = {"CiphertextForRecipient": encrypt_for(b"secret", recipient)}
        >>> client = SimpleNamespace(decrypt=lambda **request: answer)
        >>> kms = AttestedKms(client, SimpleNamespace(attest=nitro.document), key)
        >>> kms.decrypt(CiphertextBlob=b"...")["Plaintext"]
        b'secret'
    """

    def __init__(self, client: Any, attester: Attester, key: RecipientKey | None = None) -> None:
        self._client = client
        self._attester = attester
        self._key = RecipientKey.generate() if key is None else key

    def decrypt(self, **request: Any) -> dict[str, Any]:
        """Calls Decrypt.

        Args:
            request: The arguments of boto3's ``decrypt``, without ``Recipient``.

        Returns:
            boto3's answer, with ``Plaintext`` decrypted.

        Raises:
            InputError: ``input.expected``: the request has a ``Recipient``.
            KmsError: ``kms.format``: KMS answered with a plaintext, or in an unknown form (K-5,
                K-6). ``kms.recipient``: the answer was encrypted to a different key (K-7).
                ``kms.decrypt``: the answer cannot be decrypted (K-8).
        """
        return self._call("decrypt", "Plaintext", request)

    def generate_data_key(self, **request: Any) -> dict[str, Any]:
        """Calls GenerateDataKey; for ``Raises`` see ``decrypt``.

        Args:
            request: The arguments of boto3's ``generate_data_key``, without ``Recipient``.

        Returns:
            boto3's answer, with ``Plaintext`` decrypted.
        """
        return self._call("generate_data_key", "Plaintext", request)

    def generate_data_key_pair(self, **request: Any) -> dict[str, Any]:
        """Calls GenerateDataKeyPair; for ``Raises`` see ``decrypt``.

        Args:
            request: The arguments of boto3's ``generate_data_key_pair``, without ``Recipient``.

        Returns:
            boto3's answer, with ``PrivateKeyPlaintext`` decrypted: PKCS #8 DER.
        """
        return self._call("generate_data_key_pair", "PrivateKeyPlaintext", request)

    def generate_random(self, **request: Any) -> dict[str, Any]:
        """Calls GenerateRandom; for ``Raises`` see ``decrypt``.

        Args:
            request: The arguments of boto3's ``generate_random``, without ``Recipient``.

        Returns:
            boto3's answer, with ``Plaintext`` decrypted.
        """
        return self._call("generate_random", "Plaintext", request)

    def derive_shared_secret(self, **request: Any) -> dict[str, Any]:
        """Calls DeriveSharedSecret; for ``Raises`` see ``decrypt``.

        Args:
            request: The arguments of boto3's ``derive_shared_secret``, without ``Recipient``.

        Returns:
            boto3's answer, with ``SharedSecret`` decrypted.
        """
        return self._call("derive_shared_secret", "SharedSecret", request)

    def _call(self, operation: str, field: str, request: dict[str, Any]) -> dict[str, Any]:
        if "Recipient" in request:
            raise InputError(
                "input.expected", "unexpected Recipient: omit it; one is made for each request"
            )
        recipient = self._key.recipient(self._key.attest(self._attester))
        answer = dict(getattr(self._client, operation)(Recipient=recipient, **request))
        sealed = answer.pop("CiphertextForRecipient", None)
        if not sealed or answer.get(field):
            values = {"CiphertextForRecipient": sealed, field: answer.get(field)}
            found = " and ".join(name for name, value in values.items() if value)
            raise KmsError(
                "kms.format",
                f"unexpected answer to {operation}: expected CiphertextForRecipient without "
                f"{field}, found {found or 'neither'}; check that KMS itself answered",
            )
        return answer | {field: self._key.decrypt(sealed)}
