"""A fake KMS for tests: returns plaintext only to enclaves that meet a key policy's condition.

It verifies documents with this package's own verifier. A separate, laxer implementation would let
tests pass that fail against KMS.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from nitro_attest.errors import InputError, NitroAttestError, PolicyError
from nitro_attest.keys.public_key import load_public_key
from nitro_attest.kms.statements import IMAGE_KEY, KEY_PREFIX
from nitro_attest.limits import MAX_PCRS
from nitro_attest.testing.cms import encrypt_for
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.policy import AnyEnclave
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Verifier

__all__ = ["AGREEMENT_KEY_ARN", "KEY_ARN", "FakeKms"]

KEY_ARN: Final = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000001"
"""ARN of the symmetric key."""

AGREEMENT_KEY_ARN: Final = (
    "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000002"
)
"""ARN of the P-256 key for DeriveSharedSecret."""

_MAX_REQUEST_BYTES: Final = 1 << 20
_NONCE_BYTES: Final = 12
_SPKI: Final = PublicFormat.SubjectPublicKeyInfo
_OPERATORS: Final[dict[str, Callable[[str], str]]] = {
    "StringEquals": str,
    "StringEqualsIgnoreCase": str.lower,
}
_CONDITION_KEYS: Final = {KEY_PREFIX + IMAGE_KEY: 0} | {
    f"{KEY_PREFIX}PCR{index}": index for index in range(MAX_PCRS)
}
_PAIRS: Final[dict[str, Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]]] = {
    "RSA_2048": lambda: rsa.generate_private_key(65537, 2048),
    "ECC_NIST_P256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ECC_NIST_P384": lambda: ec.generate_private_key(ec.SECP384R1()),
}


class _AnswerError(Exception):
    """An error answer of status 400; ``name`` is the name of a KMS exception."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name = name
        self.message = message


class FakeKms:
    """A KMS with two keys, both under one condition on the attestation document.

    Decrypt, GenerateDataKey, GenerateDataKeyPair and DeriveSharedSecret require a document that
    meets the condition. Encrypt needs no document. GenerateRandom uses no key, so the condition
    does not apply to it; with a document, it answers every enclave with a verified document.

    Args:
        root_pem: The trusted root of the documents: ``FakeNitro.root_pem``.
        condition: The ``Condition`` of a key policy statement, as ``kms.statements`` writes it:
            StringEquals and StringEqualsIgnoreCase on ImageSha384 and PCR0 to PCR31.
        clock: Returns the time at which documents are verified.
        constructed: The form of the ciphertext in answers, of the two that KMS uses: in parts
            (True), or as one string.

    Attributes:
        agreement_public_key_der: The public half of the key for DeriveSharedSecret, a DER
            SubjectPublicKeyInfo.

    Raises:
        InputError: ``input.expected``: the condition is empty, has other operators or keys, or does
            not have the form of a ``Condition``.
            ``input.root``: the root is not a root certificate.

    Example:
        >>> from nitro_attest.kms.statements import condition_block
        >>> from nitro_attest.testing import FakeKms
        >>> fake_kms = FakeKms(root_pem, condition_block({0: "ab" * 48}))
        >>> with fake_kms.serve() as url:
        ...     print(url.startswith("http://127.0.0.1:"))
        True

        With boto3:

        >>> with fake_kms.serve() as url:  # doctest: +SKIP
        ...     client = boto3.client("kms", endpoint_url=url, region_name="us-east-1")
        ...     client.encrypt(KeyId=KEY_ARN, Plaintext=b"secret")
    """

    def __init__(
        self,
        root_pem: bytes | str,
        condition: Mapping[str, Mapping[str, str | list[str]]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        constructed: bool = True,
    ) -> None:
        self._tests = _tests(condition)
        # KMS has no notion of debug mode: its zeros are only values that match no condition.
        self._verifier = Verifier(
            TrustedRoots.from_pem(root_pem), policy=AnyEnclave(allow_debug=True)
        )
        self._clock = clock
        self._constructed = constructed
        self._key = AESGCM(secrets.token_bytes(32))
        self._agreement_key = ec.generate_private_key(ec.SECP256R1())
        self.agreement_public_key_der = self._agreement_key.public_key().public_bytes(
            Encoding.DER, _SPKI
        )
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "Encrypt": self._encrypt,
            "Decrypt": self._decrypt,
            "GenerateDataKey": self._generate_data_key,
            "GenerateDataKeyPair": self._generate_data_key_pair,
            "GenerateRandom": self._generate_random,
            "DeriveSharedSecret": self._derive_shared_secret,
        }

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serves the JSON protocol of KMS over HTTP on a free port of 127.0.0.1.

        Yields:
            The ``endpoint_url`` for a boto3 client.
        """
        handler = partial(_Handler, self._answer)
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    def _answer(self, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            service, _, operation = target.partition(".")
            if service != "TrentService" or operation not in self._operations:
                raise _AnswerError("UnknownOperationException", f"unknown operation {target}")
            try:
                return 200, self._operations[operation](json.loads(body))
            except (KeyError, TypeError, ValueError) as error:
                raise _AnswerError(
                    "ValidationException", f"malformed request: {error!r}"
                ) from error
        except _AnswerError as error:
            return 400, {"__type": error.name, "message": error.message}

    def _encrypt(self, request: Mapping[str, Any]) -> dict[str, Any]:
        _require_key(request, KEY_ARN)
        blob = self._wrap(_bytes(request["Plaintext"]), request)
        return {"KeyId": KEY_ARN, "CiphertextBlob": _text(blob)}

    def _decrypt(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "KeyId" in request:
            _require_key(request, KEY_ARN)
        recipient = self._permitted(request)
        blob = _bytes(request["CiphertextBlob"])
        try:
            plaintext = self._key.decrypt(
                blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], _context(request)
            )
        except (InvalidTag, ValueError):
            raise _AnswerError(
                "InvalidCiphertextException", "not a ciphertext of this key"
            ) from None
        return {"KeyId": KEY_ARN} | self._sealed(plaintext, recipient)

    def _generate_data_key(self, request: Mapping[str, Any]) -> dict[str, Any]:
        _require_key(request, KEY_ARN)
        recipient = self._permitted(request)
        if "KeySpec" in request:
            size = {"AES_128": 16, "AES_256": 32}[request["KeySpec"]]
        else:
            size = _size(request)
        plaintext = secrets.token_bytes(size)
        blob = self._wrap(plaintext, request)
        sealed = self._sealed(plaintext, recipient)
        return {"KeyId": KEY_ARN, "CiphertextBlob": _text(blob)} | sealed

    def _generate_data_key_pair(self, request: Mapping[str, Any]) -> dict[str, Any]:
        _require_key(request, KEY_ARN)
        recipient = self._permitted(request)
        private_key = _PAIRS[request["KeyPairSpec"]]()
        plaintext = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return {
            "KeyId": KEY_ARN,
            "KeyPairSpec": request["KeyPairSpec"],
            "PublicKey": _text(private_key.public_key().public_bytes(Encoding.DER, _SPKI)),
            "PrivateKeyCiphertextBlob": _text(self._wrap(plaintext, request)),
        } | self._sealed(plaintext, recipient)

    def _generate_random(self, request: Mapping[str, Any]) -> dict[str, Any]:
        random = secrets.token_bytes(_size(request))
        if "Recipient" not in request:
            return {"Plaintext": _text(random)}
        return self._sealed(random, _public_key(self._attested(request)))

    def _derive_shared_secret(self, request: Mapping[str, Any]) -> dict[str, Any]:
        _require_key(request, AGREEMENT_KEY_ARN)
        recipient = self._permitted(request)
        peer = load_der_public_key(_bytes(request["PublicKey"]))
        if not isinstance(peer, ec.EllipticCurvePublicKey):
            raise _AnswerError("ValidationException", "PublicKey is not an elliptic curve key")
        secret = self._agreement_key.exchange(ec.ECDH(), peer)
        return {"KeyId": AGREEMENT_KEY_ARN} | self._sealed(secret, recipient)

    def _attested(self, request: Mapping[str, Any]) -> Attestation:
        recipient = request["Recipient"]
        if recipient["KeyEncryptionAlgorithm"] != "RSAES_OAEP_SHA_256":
            raise _AnswerError("ValidationException", "unknown KeyEncryptionAlgorithm")
        try:
            document = _bytes(recipient["AttestationDocument"])
            return self._verifier.verify(document, at=self._clock())
        except NitroAttestError as error:
            raise _AnswerError("ValidationException", f"attestation document: {error}") from error

    def _permitted(self, request: Mapping[str, Any]) -> rsa.RSAPublicKey:
        """Returns the recipient's key if the request has a document that meets the condition."""
        if "Recipient" not in request:
            raise _AnswerError("AccessDeniedException", "the request has no attestation document")
        attestation = self._attested(request)
        for index, fold, values in self._tests:
            found = attestation.pcrs.get(index)
            if found is None or fold(found.hex()) not in values:
                raise _AnswerError(
                    "AccessDeniedException", f"PCR{index} does not meet the condition"
                )
        return _public_key(attestation)

    def _wrap(self, plaintext: bytes, request: Mapping[str, Any]) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._key.encrypt(nonce, plaintext, _context(request))

    def _sealed(self, plaintext: bytes, recipient: rsa.RSAPublicKey) -> dict[str, Any]:
        blob = encrypt_for(plaintext, recipient, constructed=self._constructed)
        return {"CiphertextForRecipient": _text(blob)}


class _Handler(BaseHTTPRequestHandler):
    def __init__(
        self, answer: Callable[[str, bytes], tuple[int, dict[str, Any]]], *args: Any
    ) -> None:
        self._answer = answer
        super().__init__(*args)  # handles the request

    def do_POST(self) -> None:  # the base class calls this method
        length = int(self.headers.get("Content-Length", "0"))
        if length > _MAX_REQUEST_BYTES:
            self.send_error(413)
            return
        target = self.headers.get("X-Amz-Target", "")
        status, content = self._answer(target, self.rfile.read(length))
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any, **options: Any) -> None:
        """Logs nothing."""


def _tests(
    condition: Mapping[str, Mapping[str, str | list[str]]],
) -> list[tuple[int, Callable[[str], str], set[str]]]:
    """Returns for each test its PCR, the folding of text before the comparison, and the values."""
    names = {name.lower(): index for name, index in _CONDITION_KEYS.items()}
    tests = []
    for operator, keys in _mapping(condition).items():
        for name, values in _mapping(keys).items():
            if operator not in _OPERATORS or str(name).lower() not in names:
                raise InputError("input.expected", f"unsupported condition: {operator} on {name}")
            fold = _OPERATORS[operator]
            allowed = {fold(value) for value in _strings(values)}
            tests.append((names[name.lower()], fold, allowed))
    if not tests:
        raise InputError("input.expected", "empty condition: any enclave would meet it")
    return tests


def _mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError("input.expected", f"condition: expected a mapping, found {value!r}")
    return value


def _strings(values: str | list[str]) -> list[str]:
    strings = [values] if isinstance(values, str) else values
    if not isinstance(strings, list) or not all(isinstance(value, str) for value in strings):
        raise InputError("input.expected", f"condition: expected text values, found {values!r}")
    return strings


def _require_key(request: Mapping[str, Any], arn: str) -> None:
    if request["KeyId"] not in (arn, arn.rpartition("/")[2]):
        raise _AnswerError("NotFoundException", f"no such key for this operation: expected {arn}")


def _public_key(attestation: Attestation) -> rsa.RSAPublicKey:
    try:
        key = load_public_key(attestation)
    except PolicyError as error:
        raise _AnswerError("ValidationException", f"attestation document: {error}") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise _AnswerError("ValidationException", "the document's public_key is not an RSA key")
    return key


def _size(request: Mapping[str, Any]) -> int:
    size = request["NumberOfBytes"]
    if not 1 <= size <= 1024:
        raise _AnswerError(
            "ValidationException", f"NumberOfBytes: expected 1 to 1024, found {size}"
        )
    return int(size)


def _context(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request.get("EncryptionContext", {}), sort_keys=True).encode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
