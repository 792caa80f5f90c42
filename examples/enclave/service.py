"""A service that trusts messages of one enclave, and of nobody else.

    pip install nitro-attest fastapi uvicorn
    ENCLAVE=vsock:16:1300 PCR0=... uvicorn --factory service:from_environment

It challenges the enclave, verifies the answer against the expected measurement, and pins the
Ed25519 key that the document holds. From then on only what this key signed is accepted: the
document proves who holds the key, the signature proves who speaks. The key must be made inside the
enclave and never leave it.
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
    """The key of the first enclave that passed; another key needs a restart of this service."""

    def __init__(self, challenge: Callable[[], Attestation]) -> None:
        self._challenge = challenge
        self._lock = threading.Lock()
        self._key: Ed25519PublicKey | None = None

    def key(self) -> Ed25519PublicKey:
        """Returns the pinned key; challenges the enclave if there is none yet.

        Raises:
            NitroAttestError: The enclave could not be reached, or is not the expected one.
            ValueError: Its document holds no Ed25519 key.
        """
        with self._lock:
            if self._key is None:
                key = load_public_key(self._challenge())
                if not isinstance(key, Ed25519PublicKey):
                    raise ValueError("the enclave's public_key is not an Ed25519 key")
                self._key = key
            return self._key


class Message(BaseModel):
    """What the enclave says, and its signature over the UTF-8 text, in hexadecimal."""

    text: str
    signature: str


def create_app(enclave: PinnedEnclave) -> FastAPI:
    """Builds the service around one enclave."""
    app = FastAPI()

    @app.post("/messages")
    def accept(message: Message) -> dict[str, str]:
        try:
            key = enclave.key()
        except EnclaveError as error:  # nobody answered: try again later
            raise HTTPException(503, error.code) from None
        except NitroAttestError as error:  # somebody else answered
            raise HTTPException(502, error.code) from None
        except ValueError as error:
            raise HTTPException(502, str(error)) from None
        try:
            key.verify(bytes.fromhex(message.signature), message.text.encode())
        except (InvalidSignature, ValueError):
            raise HTTPException(403, "not signed by the attested enclave") from None
        return {"accepted": message.text}

    return app


def from_environment() -> FastAPI:
    """Builds the service from ENCLAVE (an endpoint) and PCR0 (96 hexadecimal digits)."""
    endpoint, policy = os.environ["ENCLAVE"], Policy([{0: os.environ["PCR0"]}])
    return create_app(PinnedEnclave(lambda: attest(endpoint, policy=policy)))
