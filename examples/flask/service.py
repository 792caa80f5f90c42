"""A Flask service that releases a secret to one enclave image, and to nobody else.

    pip install PATH/TO/nitro-attest flask gunicorn
    export PCR0=... PCR1=... PCR2=... CHALLENGES=challenges.db SECRET_FILE=secret
    gunicorn 'service:from_environment()'

``POST /challenges`` returns a nonce. The enclave makes a document with this nonce and with an
X25519 key of its own, and posts the document to ``/challenges/NONCE``. The response is the secret,
sealed to that key: whoever relays the messages cannot open it.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from flask import Flask, Response, request

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


def create_app(challenger: Challenger, secret: bytes) -> Flask:
    """Builds the service around a challenger, whose policy names the image."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_DOCUMENT_BYTES  # Flask answers 413 to more

    @app.errorhandler(InputError)
    def unavailable(error: InputError) -> tuple[dict[str, str], int]:
        log.error("unavailable: %s", error)  # an error of this side: the client sees no details
        return {"detail": "unavailable"}, 503

    @app.errorhandler(NitroAttestError)
    def rejected(error: NitroAttestError) -> tuple[dict[str, str], int]:
        log.warning("rejected: %s", error.code)
        return {"detail": error.code}, 403

    @app.post("/challenges")
    def issue() -> tuple[dict[str, str], int]:
        return {"nonce": challenger.issue().nonce.hex()}, 201

    @app.post("/challenges/<nonce>")
    def release(nonce: str) -> Response | tuple[dict[str, str], int]:
        if not re.fullmatch("[0-9a-f]{64}", nonce):
            return {"detail": "nonce"}, 404
        # The nonce only names the challenge: it must be outstanding, and this uses it up.
        attestation = challenger.answer(bytes.fromhex(nonce), request.get_data())
        sealed = seal_to(load_public_key(attestation, "x25519"), secret, info=INFO)
        log.info("released to %s", attestation.module_id)
        return Response(sealed, mimetype="application/octet-stream")

    return app


def from_environment() -> Flask:
    """Builds the service from PCR0, PCR1, PCR2, CHALLENGES (a path) and SECRET_FILE."""
    policy = Policy([{index: os.environ[f"PCR{index}"] for index in (0, 1, 2)}], require_nonce=True)
    challenger = Challenger(Verifier(policy=policy), SqliteStore(os.environ["CHALLENGES"]))
    return create_app(challenger, Path(os.environ["SECRET_FILE"]).read_bytes())
