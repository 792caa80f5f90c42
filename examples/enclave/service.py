"""A service that accepts messages from one attested enclave only.

    pip install PATH/TO/nitro-attest fastapi uvicorn
    ENCLAVE=vsock:16:1300 PCR0=... PCR1=... PCR2=... uvicorn --factory service:from_environment

It challenges the enclave, verifies the document against the PCRs of the image, and pins the Ed25519
key in it. From then on it accepts only messages signed with this key: the document proves that the
enclave has the key, the signature proves that the message is from the enclave. The key must be made
inside the enclave and never leave it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from nitro_attest import Attestation, EnclaveError, NitroAttestError, Policy, load_public_key
from nitro_attest.enclave.client import attest


class PinnedEnclave:
    """The key of the first enclave that is verified. Restart the service to accept a new key."""

    def __init__(self, challenge: Callable[[], Attestation]) -> None:
        self._challenge = challenge
        self._lock = threading.Lock()
        self._key: Ed25519PublicKey | None = None

    def key(self) -> Ed25519PublicKey:
        """Returns the pinned key. Challenges the enclave first if no key is pinned yet.

        Raises:
            NitroAttestError: No document came from the enclave, or it was rejected.
            ValueError: The document has no Ed25519 key.
        """
        with self._lock:
            if self._key is None:
                key = load_public_key(self._challenge())
                if not isinstance(key, Ed25519PublicKey):
                    raise ValueError("the enclave's public_key is not an Ed25519 key")
                self._key = key
            return self._key


class Message(BaseModel):
    """A message from the enclave, and the signature over its UTF-8 text, in hex."""

    text: str
    signature: str


def create_app(enclave: PinnedEnclave) -> FastAPI:
    """Builds the service around one enclave."""
    app = FastAPI()

    @app.post("/messages")
    def accept(message: Message) -> dict[str, str]:
        try:
            key = enclave.key()
        except EnclaveError as error:  # no document came: try again later
            raise HTTPException(503, error.code) from None
        except NitroAttestError as error:  # the document was rejected
            raise HTTPException(502, error.code) from None
        except ValueError as error:
            raise HTTPException(502, str(error)) from None
        try:
            key.verify(bytes.fromhex(message.signature), message.text.encode())
        except (InvalidSignature, ValueError):
            raise HTTPException(403, "not signed by the attested enclave") from None
        return {"accepted": message.text}

    return app


def policy_from_environment() -> Policy:
    """Makes the policy from the variables PCR0, PCR1 and PCR2, 96 hex digits each."""
    return Policy([{index: os.environ[f"PCR{index}"] for index in (0, 1, 2)}])


def from_environment() -> FastAPI:
    """Builds the service from the variables ENCLAVE (an endpoint), PCR0, PCR1 and PCR2."""
    endpoint, policy = os.environ["ENCLAVE"], policy_from_environment()
    return create_app(PinnedEnclave(lambda: attest(endpoint, policy=policy)))
