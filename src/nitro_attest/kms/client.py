"""KMS from inside an enclave, through a boto3 client of the caller's."""

from __future__ import annotations

from typing import Any

from nitro_attest.errors import InputError, KmsError
from nitro_attest.kms.recipient import Nsm, RecipientKey


class AttestedKms:
    """The operations of KMS that answer to an attested enclave, with the answers opened.

    Each call makes a fresh attestation document, sends it along as ``Recipient``, and returns the
    answer of boto3 with the plaintext where it would stand without an enclave: a program that used
    ``client.decrypt(...)["Plaintext"]`` uses this object instead and changes nothing else.

    What boto3 raises passes through, and so does what the NSM raises.

    Args:
        client: ``boto3.client("kms", ...)``, used as it is: its region, credentials, endpoint and
            way out of the enclave are the caller's. Its TLS connection must end inside the enclave;
            a proxy on the parent may carry it, not open it.
        nsm: What makes the documents.
        key: What answers are encrypted to; by default a new one of 2048 bits.
    """

    def __init__(self, client: Any, nsm: Nsm, key: RecipientKey | None = None) -> None:
        self._client = client
        self._nsm = nsm
        self._key = RecipientKey.generate() if key is None else key

    def decrypt(self, **request: Any) -> dict[str, Any]:
        """Decrypt: ``Plaintext``.

        Args:
            request: The arguments of boto3's ``decrypt`` without ``Recipient``.

        Raises:
            InputError: ``input.expected``: a ``Recipient`` was given.
            KmsError: ``kms.format``: KMS answered in the clear, or in an unknown form.
                ``kms.recipient``, ``kms.decrypt``: the answer cannot be opened.
        """
        return self._ask("decrypt", "Plaintext", request)

    def generate_data_key(self, **request: Any) -> dict[str, Any]:
        """GenerateDataKey: ``Plaintext``, with the same key encrypted. Otherwise as ``decrypt``."""
        return self._ask("generate_data_key", "Plaintext", request)

    def generate_data_key_pair(self, **request: Any) -> dict[str, Any]:
        """GenerateDataKeyPair: ``PrivateKeyPlaintext``, PKCS #8 DER. Otherwise as ``decrypt``."""
        return self._ask("generate_data_key_pair", "PrivateKeyPlaintext", request)

    def generate_random(self, **request: Any) -> dict[str, Any]:
        """GenerateRandom: ``Plaintext``. Otherwise as ``decrypt``."""
        return self._ask("generate_random", "Plaintext", request)

    def derive_shared_secret(self, **request: Any) -> dict[str, Any]:
        """DeriveSharedSecret: ``SharedSecret``. Otherwise as ``decrypt``."""
        return self._ask("derive_shared_secret", "SharedSecret", request)

    def _ask(self, operation: str, field: str, request: dict[str, Any]) -> dict[str, Any]:
        if "Recipient" in request:
            raise InputError("input.expected", "leave Recipient out: it is made for each request")
        recipient = self._key.recipient(self._key.attest(self._nsm))
        answer = dict(getattr(self._client, operation)(Recipient=recipient, **request))
        sealed = answer.pop("CiphertextForRecipient", None)
        if not sealed or answer.get(field):
            raise KmsError(
                "kms.format",
                f"the answer to {operation} has {'a' if sealed else 'no'} CiphertextForRecipient "
                f"and {'a' if answer.get(field) else 'no'} {field}; the first alone was expected "
                "(was the request answered by KMS itself?)",
            )
        return answer | {field: self._key.decrypt(sealed)}
