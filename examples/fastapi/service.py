"""A FastAPI service that releases a secret to one enclave image, and to nobody else.

    pip install PATH/TO/nitro-attest fastapi uvicorn
    export PCR0=... PCR1=... PCR2=... CHALLENGES=challenges.db SECRET_FILE=secret
    uvicorn --factory service:from_environment

``POST /challenges`` returns a nonce. The enclave makes a document with this nonce and with an
X25519 key of its own, and posts the document to ``/challenges/NONCE``. The response is the secret,
sealed to that key: whoever relays the messages cannot open it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi import Path as UrlPath

from nitro_attest import (
    Challenger,
    InputError,
    NitroAttestError,
    Policy,
    SqliteStore,
    Verifier,
    load_public_key,
    seal_to,
)
from nitro_attest.limits import MAX_DOCUMENT_BYTES

INFO = b"example release 1"  # the enclave passes the same to hpke_suite().decrypt()

log = logging.getLogger(__name__)


async def document_of(request: Request) -> bytes:
    """Reads the body, but no more than the largest document."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_DOCUMENT_BYTES:
            raise HTTPException(413, "document.too_large")
    return bytes(body)


Nonce = Annotated[str, UrlPath(pattern="^[0-9a-f]{64}$")]
Document = Annotated[bytes, Depends(document_of)]


def create_app(challenger: Challenger, secret: bytes) -> FastAPI:
    """Builds the service around a challenger, whose policy names the image."""
    app = FastAPI(openapi_url=None)

    @app.post("/challenges", status_code=201)
    def issue() -> dict[str, str]:
        try:
            return {"nonce": challenger.issue().nonce.hex()}
        except InputError as error:  # the store is full, or cannot be used
            raise unavailable(error) from None

    @app.post("/challenges/{nonce}")
    def release(nonce: Nonce, document: Document) -> Response:
        try:
            # The nonce only names the challenge: it must be outstanding, and this uses it up.
            attestation = challenger.answer(bytes.fromhex(nonce), document)
            sealed = seal_to(load_public_key(attestation, "x25519"), secret, info=INFO)
        except InputError as error:
            raise unavailable(error) from None
        except NitroAttestError as error:
            log.warning("rejected: %s", error.code)
            raise HTTPException(403, error.code) from None
        log.info("released to %s", attestation.module_id)
        return Response(sealed, media_type="application/octet-stream")

    return app


def unavailable(error: InputError) -> HTTPException:
    """Logs an error of this side, and tells the client no more than that there is one."""
    log.error("unavailable: %s", error)
    return HTTPException(503, "unavailable")


def from_environment() -> FastAPI:
    """Builds the service from PCR0, PCR1, PCR2, CHALLENGES (a path) and SECRET_FILE."""
    policy = Policy([{index: os.environ[f"PCR{index}"] for index in (0, 1, 2)}], require_nonce=True)
    challenger = Challenger(Verifier(policy=policy), SqliteStore(os.environ["CHALLENGES"]))
    return create_app(challenger, Path(os.environ["SECRET_FILE"]).read_bytes())
