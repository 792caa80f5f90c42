"""Internal: the answers of the servers in an enclave, and the thread that calls the NSM for them.

An NSM request cannot be cancelled (N-2): when it exceeds its time limit, the client is answered 504
and the thread keeps waiting.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from typing import Final

from nitro_attest.errors import EnclaveError, NitroAttestError
from nitro_attest.limits import NONCE_BYTES
from nitro_attest.transport.connection import MAX_HEAD_BYTES

LOG: Final = logging.getLogger("nitro_attest.enclave")
"""Logger of the servers; ``serve`` describes what it logs."""

_NONCE_QUERY: Final = re.compile(f"nonce=([0-9A-Fa-f]{{{2 * NONCE_BYTES}}})")
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: Status code, one of those in this module.
        body: The body.
        content_type: Media type of the body.
    """

    status: int
    body: bytes
    content_type: str = "text/plain"

    @property
    def status_text(self) -> str:
        """The status code with its reason phrase."""
        return f"{self.status} {_REASONS[self.status]}"

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values of the header fields."""
        fields = [
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
            ("Cache-Control", "no-store"),
        ]
        return [*fields, ("Allow", "GET")] if self.status == 405 else fields

    def encode(self, *, close: bool) -> bytes:
        """Returns the whole answer in the form of HTTP/1.1 (RFC 9112).

        Args:
            close: True to announce that the connection is closed after the answer.
        """
        lines = [f"HTTP/1.1 {self.status_text}"]
        lines += [f"{name}: {text}" for name, text in self.headers]
        if close:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "\r\n"]).encode("ascii") + self.body


def error_answer(status: int, message: str) -> Answer:
    """Returns an answer with a sentence for people.

    Args:
        status: Status code.
        message: The sentence, with an error code before it if it has one.
    """
    return Answer(status, message.encode() + b"\n")


def head_too_large() -> Answer:
    """Returns the answer to a request whose head exceeds the maximum size."""
    return error_answer(431, f"head too large: expected at most {MAX_HEAD_BYTES} bytes")


class NsmWorker:
    """The thread that calls the NSM; a daemon, because a stalled request cannot be cancelled.

    The thread is started by the first request, so that a server may fork before.

    Args:
        attest: Makes the document for a nonce; called in this thread only.
        queued: Maximum number of requests that wait for the NSM; more are answered 503.
        seconds: Seconds until the NSM must have answered; then 504.
    """

    def __init__(
        self,
        attest: Callable[[bytes], bytes],
        *,
        queued: int,
        seconds: float,
    ) -> None:
        self._attest = attest
        self._queued = queued
        self._seconds = seconds
        self._jobs: queue.SimpleQueue[tuple[futures.Future[bytes], bytes] | None]
        self._jobs = queue.SimpleQueue()
        self._since: float | None = None
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="nitro-attest-nsm", daemon=True)

    def stop(self) -> None:
        """Ends the thread after the requests in the queue, without waiting for it."""
        self._jobs.put(None)

    def stalled(self) -> bool:
        """Returns True while a request exceeds its time limit."""
        since = self._since
        return since is not None and time.monotonic() - since > self._seconds

    async def document(self, nonce: bytes) -> bytes | Answer:
        """Returns the document for a nonce, or the answer that explains why there is none."""
        future = self._submit(nonce)
        if future is None:
            return _busy()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except (asyncio.TimeoutError, NitroAttestError) as error:
            return _failed(error)

    def wait_for_document(self, nonce: bytes) -> bytes | Answer:
        """Does the same as ``document()`` outside an event loop."""
        future = self._submit(nonce)
        if future is None:
            return _busy()
        try:
            return future.result(self._seconds)
        except (futures.TimeoutError, NitroAttestError) as error:
            future.cancel()
            return _failed(error)

    def _submit(self, nonce: bytes) -> futures.Future[bytes] | None:
        """Returns a future for the document, or None if the queue is full."""
        with self._starting:
            if self._thread.ident is None:  # not started yet
                self._thread.start()
        if self._jobs.qsize() >= self._queued:
            return None
        future: futures.Future[bytes] = futures.Future()
        self._jobs.put((future, nonce))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, nonce = job
            if not future.set_running_or_notify_cancel():  # its client got 504 already
                continue
            self._since = time.monotonic()
            try:
                future.set_result(self._attest(nonce))
            except NitroAttestError as error:
                future.set_exception(error)
            except Exception:  # from a callback: logged, not sent to the client
                LOG.exception(json.dumps({"event": "attester"}))
                future.set_exception(EnclaveError("nsm.attester", "cannot make a document"))
            self._since = None


async def answer_challenge(worker: NsmWorker, method: str, query: str) -> Answer:
    """Returns the answer to a request for CHALLENGE_PATH.

    Args:
        worker: Makes the document.
        method: Method of the request.
        query: Query of its target, without the question mark; it may contain a nonce of 32 bytes
            in hex and nothing else.
    """
    nonce = _challenge_nonce(method, query)
    return nonce if isinstance(nonce, Answer) else _document_answer(await worker.document(nonce))


def wait_for_challenge_answer(worker: NsmWorker, method: str, query: str) -> Answer:
    """Does the same as ``answer_challenge`` outside an event loop."""
    nonce = _challenge_nonce(method, query)
    if isinstance(nonce, Answer):
        return nonce
    return _document_answer(worker.wait_for_document(nonce))


def _challenge_nonce(method: str, query: str) -> bytes | Answer:
    if method != "GET":
        return error_answer(405, "unsupported method: expected GET")
    match = _NONCE_QUERY.fullmatch(query)
    if match is None:
        return error_answer(
            400,
            f"input.nonce: invalid query: expected only nonce= with {2 * NONCE_BYTES} hexadecimal "
            "digits",
        )
    return bytes.fromhex(match[1])


def _document_answer(document: bytes | Answer) -> Answer:
    if isinstance(document, Answer):
        return document
    return Answer(200, document, "application/octet-stream")


def _busy() -> Answer:
    return error_answer(503, "nsm.busy: too many requests are waiting for the NSM")


def _failed(error: Exception) -> Answer:
    if isinstance(error, NitroAttestError):
        return error_answer(500, str(error))
    return error_answer(504, "nsm.stalled: no answer of the NSM in time")
