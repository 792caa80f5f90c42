"""A Django middleware that lets in only requests that one enclave image made.

    pip install PATH/TO/nitro-attest django

In the settings:

    MIDDLEWARE = ["attested.AttestationMiddleware", ...]
    ATTESTED_PCRS = {0: "...", 1: "...", 2: "..."}
    ATTESTED_CHALLENGES = "/var/lib/service/challenges.db"

``POST /attestation/challenges`` returns a nonce. The enclave makes a document with this nonce and
with ``request_digest`` as user_data, and sends it in base64 with the request:

    Nitro-Challenge: NONCE
    Nitro-Attestation: DOCUMENT

The document names method, target and body, so nobody can use it for a different request. Other
headers are not covered, and the response is not protected: seal what is secret in it to
``request.attestation.public_key``.
"""

from __future__ import annotations

import binascii
import hashlib
import logging
import re
from base64 import b64decode
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse

from nitro_attest import (
    Challenger,
    InputError,
    NitroAttestError,
    Policy,
    SqliteStore,
    TrustedRoots,
    Verifier,
)
from nitro_attest.limits import MAX_DOCUMENT_BYTES

CHALLENGES = "/attestation/challenges"
MAX_HEADER = -(-MAX_DOCUMENT_BYTES // 3) * 4  # characters of base64

log = logging.getLogger(__name__)


class AttestationMiddleware:
    """Passes on attested requests, with their ``attestation``; rejects all others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        policy = Policy([{n: settings.ATTESTED_PCRS[n] for n in (0, 1, 2)}], require_nonce=True)
        roots = getattr(settings, "ATTESTED_ROOTS", TrustedRoots.AWS)
        store = SqliteStore(settings.ATTESTED_CHALLENGES)
        self._challenger = Challenger(Verifier(roots, policy=policy), store)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answers one request; called by Django."""
        try:
            if (request.method, request.path) == ("POST", CHALLENGES):
                nonce = self._challenger.issue().nonce
                return JsonResponse({"nonce": nonce.hex()}, status=201)
            request.attestation = self._challenger.answer(
                _nonce(request), _document(request), user_data=_digest_of(request)
            )
        except _HeaderError as error:
            return JsonResponse({"detail": str(error)}, status=401)
        except RequestDataTooBig:  # more than settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            return JsonResponse({"detail": "body"}, status=413)
        except InputError as error:  # the store is full, or cannot be used
            log.error("unavailable: %s", error)
            return JsonResponse({"detail": "unavailable"}, status=503)
        except NitroAttestError as error:
            log.warning("rejected: %s", error.code)
            return JsonResponse({"detail": error.code}, status=403)
        return self._get_response(request)


def request_digest(method: str, target: str, body: bytes) -> bytes:
    """Returns the user_data for a request: a SHA-256 over its method, target and body.

    Args:
        method: Such as ``POST``.
        target: Path and query, as ``HttpRequest.get_full_path()`` writes them.
        body: The body.
    """
    head = f"{method}\n{target}\n".encode()
    return hashlib.sha256(head + hashlib.sha256(body).digest()).digest()


class _HeaderError(Exception):
    """The name of a header that is missing or malformed."""


def _digest_of(request: HttpRequest) -> bytes:
    return request_digest(request.method or "", request.get_full_path(), request.body)


def _nonce(request: HttpRequest) -> bytes:
    """Reads the nonce, which only names the challenge: the store must know it."""
    nonce = request.headers.get("Nitro-Challenge", "")
    if not re.fullmatch("[0-9a-f]{64}", nonce):
        raise _HeaderError("Nitro-Challenge")
    return bytes.fromhex(nonce)


def _document(request: HttpRequest) -> bytes:
    text = request.headers.get("Nitro-Attestation", "")
    if not 0 < len(text) <= MAX_HEADER:
        raise _HeaderError("Nitro-Attestation")
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _HeaderError("Nitro-Attestation") from None
