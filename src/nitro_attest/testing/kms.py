"""A KMS that anybody can run: it gives plaintext to attested enclaves only, as a key policy says.

This is the one module of ``testing`` that verifies, and it does so with the package itself: a fake
that judged documents in a way of its own would let a test pass that KMS would not.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
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

from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.keys.public_key import load_public_key
from nitro_attest.kms.statements import IMAGE_KEY, KEY_PREFIX
from nitro_attest.limits import MAX_PCRS
from nitro_attest.testing.cms import encrypt_for
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.policy import AnyEnclave
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Verifier

KEY_ARN: Final = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000001"
"""The symmetric key."""

AGREEMENT_KEY_ARN: Final = (
    "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000002"
)
"""The P-256 key for DeriveSharedSecret."""

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


class _RefusalError(Exception):
    """What becomes an answer of status 400; named as KMS names its errors."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name = name
        self.message = message


class FakeKms:
    """A KMS with two keys, both under one condition on the attestation document.

    It knows Encrypt, which needs no document; Decrypt, GenerateDataKey, GenerateDataKeyPair and
    DeriveSharedSecret, which are refused without a document that meets the condition; and
    GenerateRandom, which no key policy governs: with a document it answers to any genuine enclave.

        with FakeKms(nitro.root_pem, condition_block({0: pcr0})).serve() as url:
            client = boto3.client("kms", endpoint_url=url, region_name="us-east-1", ...)

    Args:
        root_pem: The root that documents must lead to, ``FakeNitro.root_pem``.
        condition: The ``Condition`` of a key policy statement, such as ``kms.policy`` writes:
            StringEquals and StringEqualsIgnoreCase on ImageSha384 and PCR0 to PCR31.
        clock: The time to judge documents at.
        constructed: In which of the two shapes KMS answers in: the ciphertext in parts (True), or
            in one piece.

    Attributes:
        agreement_public_key_der: The public half of the key for DeriveSharedSecret.

    Raises:
        InputError: ``input.expected``: the condition is empty or has other operators or keys.
            ``input.root``: not a root certificate.
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
        # KMS compares registers and knows no debug mode: zeros are refused by what they are not.
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
        """Answers over HTTP on 127.0.0.1, at a free port, in the JSON protocol of KMS.

        Yields:
            The ``endpoint_url`` for a client.
        """
        handler = type("Handler", (_Handler,), {"answer": staticmethod(self._answer)})
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
                raise _RefusalError("UnknownOperationException", f"{target} is not known here")
            try:
                return 200, self._operations[operation](json.loads(body))
            except (KeyError, TypeError, ValueError) as error:
                raise _RefusalError(
                    "ValidationException", f"malformed request: {error!r}"
                ) from error
        except _RefusalError as refused:
            return 400, {"__type": refused.name, "message": refused.message}

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
            raise _RefusalError(
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
            raise _RefusalError("ValidationException", "PublicKey is not of an elliptic curve")
        secret = self._agreement_key.exchange(ec.ECDH(), peer)
        return {"KeyId": AGREEMENT_KEY_ARN} | self._sealed(secret, recipient)

    def _attested(self, request: Mapping[str, Any]) -> Attestation:
        recipient = request["Recipient"]
        if recipient["KeyEncryptionAlgorithm"] != "RSAES_OAEP_SHA_256":
            raise _RefusalError("ValidationException", "KeyEncryptionAlgorithm is not known")
        try:
            document = _bytes(recipient["AttestationDocument"])
            return self._verifier.verify(document, at=self._clock())
        except NitroAttestError as error:
            raise _RefusalError("ValidationException", f"attestation document: {error}") from error

    def _permitted(self, request: Mapping[str, Any]) -> rsa.RSAPublicKey:
        """The recipient's key, if the document meets the condition; none meets it without one."""
        if "Recipient" not in request:
            raise _RefusalError("AccessDeniedException", "the request has no attestation document")
        attestation = self._attested(request)
        for index, fold, values in self._tests:
            found = attestation.pcrs.get(index)
            if found is None or fold(found.hex()) not in values:
                raise _RefusalError(
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
    answer: Callable[[str, bytes], tuple[int, dict[str, Any]]]

    def do_POST(self) -> None:  # the base class looks for a method of this name
        length = int(self.headers.get("Content-Length", "0"))
        if length > _MAX_REQUEST_BYTES:
            self.send_error(413)
            return
        target = self.headers.get("X-Amz-Target", "")
        status, content = self.answer(target, self.rfile.read(length))
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any, **options: Any) -> None:
        """Nothing: a test's output is its own."""


def _tests(
    condition: Mapping[str, Mapping[str, str | list[str]]],
) -> list[tuple[int, Callable[[str], str], set[str]]]:
    """For each test: which PCR, how to fold text before comparing, what is allowed."""
    names = {name.lower(): index for name, index in _CONDITION_KEYS.items()}
    tests = []
    for operator, keys in condition.items():
        for name, values in keys.items():
            if operator not in _OPERATORS or name.lower() not in names:
                raise InputError(
                    "input.expected", f"the fake KMS cannot judge {operator} on {name}"
                )
            fold = _OPERATORS[operator]
            allowed = [values] if isinstance(values, str) else values
            tests.append((names[name.lower()], fold, {fold(value) for value in allowed}))
    if not tests:
        raise InputError("input.expected", "the condition is empty: any enclave would meet it")
    return tests


def _require_key(request: Mapping[str, Any], arn: str) -> None:
    if request["KeyId"] not in (arn, arn.rpartition("/")[2]):
        raise _RefusalError("NotFoundException", f"no such key for this operation; {arn} is")


def _public_key(attestation: Attestation) -> rsa.RSAPublicKey:
    try:
        key = load_public_key(attestation)
    except InputError as error:
        raise _RefusalError("ValidationException", f"attestation document: {error}") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise _RefusalError("ValidationException", "the document's public_key is not an RSA key")
    return key


def _size(request: Mapping[str, Any]) -> int:
    size = request["NumberOfBytes"]
    if not 1 <= size <= 1024:
        raise _RefusalError("ValidationException", f"NumberOfBytes is {size}")
    return int(size)


def _context(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request.get("EncryptionContext", {}), sort_keys=True).encode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
