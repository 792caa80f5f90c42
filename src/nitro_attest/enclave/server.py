"""Serves attestation documents from inside the enclave, over HTTP/1.1.

    GET /attestation/raw?nonce=<hex>        the document, application/octet-stream
    GET /attestation/hex?nonce=<hex>        in hexadecimal
    GET /enclave/attestation?nonce=<hex>    in base64
    GET /healthz                            200, or 503 while the NSM is stalled

Only the nonce comes from the wire. A server that put a caller's user_data or public_key into a
document would let anyone speak in the enclave's name: those two come from who runs the enclave.

One thread holds all connections in an event loop, so that slow clients cost a descriptor each and
nothing more; one thread asks the NSM, which answers one request at a time anyway. An NSM request
cannot be cancelled (N-2): when it outlasts its deadline the client is told so, and the thread waits
on alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import queue
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from nitro_attest.enclave.nsm import Nsm
from nitro_attest.enclave.transport import (
    DEFAULT_PORT,
    MAX_HEAD_BYTES,
    UnixEndpoint,
    listen,
    parse_endpoint,
)
from nitro_attest.errors import EnclaveError, NitroAttestError
from nitro_attest.limits import MAX_NONCE_BYTES, MIN_NONCE_BYTES

LOG: Final = logging.getLogger("nitro_attest.enclave")
"""One line per connection, a JSON object; at level INFO."""

Source = bytes | Callable[[bytes], bytes | None] | None
"""A field of the document: fixed, or called with the nonce in the NSM's thread, or absent."""

# A vsock packet carries what one call sent, and a guest's receive buffers have 4 KiB: measured
# between two guests, a longer packet ends the connection where nothing on the way splits it.
_PIECE_BYTES: Final = 2048

_REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,4096}) HTTP/1\.[01]")
_NONCE_QUERY: Final = re.compile(
    f"nonce=((?:[0-9A-Fa-f]{{2}}){{{MIN_NONCE_BYTES},{MAX_NONCE_BYTES}}})"
)
_ENCODINGS: Final[dict[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "/attestation/raw": ("application/octet-stream", bytes),
    "/attestation/hex": ("text/plain", lambda document: document.hex().encode()),
    "/enclave/attestation": ("text/plain", base64.b64encode),
}
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


class Attester(Protocol):
    """What the server asks for documents: an ``Nsm``, or a fake one in a test."""

    def attest(
        self,
        *,
        nonce: bytes | None = None,
        user_data: bytes | None = None,
        public_key: bytes | None = None,
    ) -> bytes:
        """Returns a document, or raises a NitroAttestError."""


@dataclass(frozen=True)
class ServerLimits:
    """What a server spends on its clients; all times in seconds.

    Attributes:
        connections: Open at once; further ones wait in the listening socket's backlog.
        queued: Requests that wait for the NSM; further ones are answered 503.
        head_seconds: From the connection to the end of the request's head; then 408.
        nsm_seconds: From the request to the NSM's answer; then 504.
        send_seconds: For the client to take the answer; then it is cut off.
        stop_seconds: For what is under way when the server is stopped; then it is cut off.
    """

    connections: int = 512
    queued: int = 256
    head_seconds: float = 5.0
    nsm_seconds: float = 10.0
    send_seconds: float = 5.0
    stop_seconds: float = 1.5


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = "text/plain"


class AttestationServer:
    """Answers challenges on a listening socket until it is stopped.

    Args:
        listener: A listening stream socket of any family; ``run`` closes it.
        attester: Asked for each document, in one thread only.
        user_data: What every document says in user_data.
        public_key: What every document says in public_key.
        limits: What to spend on clients.
    """

    def __init__(
        self,
        listener: socket.socket,
        attester: Attester,
        *,
        user_data: Source = None,
        public_key: Source = None,
        limits: ServerLimits | None = None,
    ) -> None:
        self._listener = listener
        self._limits = limits or ServerLimits()
        self._worker = _NsmWorker(attester, user_data, public_key, self._limits)
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()

    def run(self) -> None:
        """Serves until ``stop``; on the main thread also until SIGTERM or SIGINT."""
        self._listener.setblocking(False)
        self._worker.start()
        try:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGTERM, signal.SIGINT):
                    self._loop.add_signal_handler(number, self._stopped.set)
            self._loop.run_until_complete(self._serve())
        finally:
            self._worker.stop()
            self._listener.close()
            self._loop.close()

    def stop(self) -> None:
        """Makes ``run`` return once what is under way is answered; callable from any thread."""
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self) -> None:
        places = asyncio.Semaphore(self._limits.connections)
        conversations: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            conversations.discard(task)
            places.release()

        async def accept() -> None:
            while True:
                await places.acquire()
                try:
                    connection, peer = await self._loop.sock_accept(self._listener)
                except OSError as error:  # the client gave up, or descriptors ran out
                    places.release()
                    LOG.warning(json.dumps({"event": "accept", "error": str(error)}))
                    await asyncio.sleep(0.05)
                    continue
                connection.setblocking(False)
                task = self._loop.create_task(self._converse(connection, peer))
                conversations.add(task)
                task.add_done_callback(ended)

        accepting = self._loop.create_task(accept())
        accepting.add_done_callback(lambda _: self._stopped.set())  # never deaf in silence
        await self._stopped.wait()
        accepting.cancel()
        if conversations:
            await asyncio.wait(conversations, timeout=self._limits.stop_seconds)
        for task in tuple(conversations):
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        with suppress(asyncio.CancelledError):
            await accepting

    async def _converse(self, connection: socket.socket, peer: object) -> None:
        """One connection: one head, one answer, and it is closed.

        Nothing of the head but its first line is looked at, and no second request is read, so a
        proxy in front cannot be made to disagree about where a request ends.
        """
        started = time.monotonic()
        with connection:
            request, answer = await self._receive(connection)
            sent = answer is not None and await self._send(connection, answer)
            LOG.info(
                json.dumps(
                    {
                        "event": "request",
                        "peer": str(peer),
                        "request": request[:256],
                        "status": answer.status if answer else None,
                        "bytes": len(answer.body) if answer else 0,
                        "sent": sent,
                        "ms": round((time.monotonic() - started) * 1000, 1),
                    }
                )
            )
            if answer is not None and answer.status != 200:
                await self._linger(connection)

    async def _receive(self, connection: socket.socket) -> tuple[str, _Answer | None]:
        """Returns the request line and its answer; None when the client has left."""
        try:
            head = await asyncio.wait_for(self._read_head(connection), self._limits.head_seconds)
        except asyncio.TimeoutError:
            return "", _refusal(408, "the request did not arrive in time")
        except _HeadTooLongError:
            return "", _refusal(431, f"the request's head exceeds {MAX_HEAD_BYTES} bytes")
        except OSError:
            return "", None
        if head is None:
            return "", None
        return head.decode("ascii", "replace"), await self._answer(head)

    async def _read_head(self, connection: socket.socket) -> bytes | None:
        """Returns the request line, or None when the client left before the end of the head."""
        head = b""
        while b"\r\n\r\n" not in head:
            if len(head) >= MAX_HEAD_BYTES:
                raise _HeadTooLongError
            piece = await self._loop.sock_recv(connection, MAX_HEAD_BYTES - len(head))
            if not piece:
                return None
            head += piece
        return head.partition(b"\r\n")[0]

    async def _answer(self, request_line: bytes) -> _Answer:
        match = _REQUEST_LINE.fullmatch(request_line)
        if match is None:
            return _refusal(400, "this is no HTTP/1.1 request line")
        path, _, query = match[2].decode("ascii").partition("?")
        if path != "/healthz" and path not in _ENCODINGS:
            return _refusal(404, f"served are {', '.join(_ENCODINGS)} and /healthz")
        if match[1] != b"GET":
            return _refusal(405, "only GET is served")
        if path == "/healthz":
            if self._worker.stalled():
                return _refusal(503, "nsm.stalled: the NSM has not answered in time")
            return _Answer(200, b"ok\n")
        nonce = _NONCE_QUERY.fullmatch(query)
        if nonce is None:
            return _refusal(
                400,
                f"input.nonce: the query must be nonce= and {2 * MIN_NONCE_BYTES} to "
                f"{2 * MAX_NONCE_BYTES} hexadecimal digits, and nothing else",
            )
        content_type, encode = _ENCODINGS[path]
        document = await self._document(bytes.fromhex(nonce[1]))
        if isinstance(document, _Answer):
            return document
        return _Answer(200, encode(document), content_type)

    async def _document(self, nonce: bytes) -> bytes | _Answer:
        future = self._worker.submit(nonce)
        if future is None:
            return _refusal(503, "nsm.busy: too many requests wait for the NSM")
        try:
            return await asyncio.wait_for(
                asyncio.wrap_future(future, loop=self._loop), self._limits.nsm_seconds
            )
        except asyncio.TimeoutError:
            return _refusal(504, "nsm.stalled: the NSM has not answered in time")
        except NitroAttestError as error:
            return _refusal(500, str(error))

    async def _send(self, connection: socket.socket, answer: _Answer) -> bool:
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n"
            f"Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            + ("Allow: GET\r\n" if answer.status == 405 else "")
            + "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        whole = head.encode("ascii") + answer.body

        async def send() -> None:
            for start in range(0, len(whole), _PIECE_BYTES):
                await self._loop.sock_sendall(connection, whole[start : start + _PIECE_BYTES])

        try:
            await asyncio.wait_for(send(), self._limits.send_seconds)
        except (OSError, asyncio.TimeoutError):
            return False
        return True

    async def _linger(self, connection: socket.socket) -> None:
        # A refused request may not have been read to its end, and to close on unread bytes resets
        # the connection and takes the answer along (RFC 9112 section 9.6).
        async def discard() -> None:
            connection.shutdown(socket.SHUT_WR)
            while await self._loop.sock_recv(connection, MAX_HEAD_BYTES):
                pass

        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(discard(), self._limits.send_seconds)


class _HeadTooLongError(Exception):
    pass


class _NsmWorker:
    """The thread that asks the NSM; a daemon, since nothing can make a stalled request return."""

    def __init__(
        self, attester: Attester, user_data: Source, public_key: Source, limits: ServerLimits
    ) -> None:
        self._attester = attester
        self._user_data = user_data
        self._public_key = public_key
        self._limits = limits
        self._jobs: queue.SimpleQueue[tuple[Future[bytes], bytes] | None] = queue.SimpleQueue()
        self._since: float | None = None
        self._thread = threading.Thread(target=self._work, name="nitro-attest-nsm", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._jobs.put(None)

    def stalled(self) -> bool:
        since = self._since
        return since is not None and time.monotonic() - since > self._limits.nsm_seconds

    def submit(self, nonce: bytes) -> Future[bytes] | None:
        """Returns where the document will be, or None when the queue is full."""
        if self._jobs.qsize() >= self._limits.queued:
            return None
        future: Future[bytes] = Future()
        self._jobs.put((future, nonce))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, nonce = job
            if not future.set_running_or_notify_cancel():  # its client was answered 504 meanwhile
                continue
            self._since = time.monotonic()
            try:
                future.set_result(self._attest(nonce))
            except NitroAttestError as error:
                future.set_exception(error)
            except Exception:  # of a callback: for the log, not for the client
                LOG.exception(json.dumps({"event": "attester"}))
                future.set_exception(EnclaveError("nsm.attester", "no document could be made"))
            self._since = None

    def _attest(self, nonce: bytes) -> bytes:
        return self._attester.attest(
            nonce=nonce,
            user_data=_value(self._user_data, nonce),
            public_key=_value(self._public_key, nonce),
        )


def _value(source: Source, nonce: bytes) -> bytes | None:
    return source(nonce) if callable(source) else source


def _refusal(status: int, sentence: str) -> _Answer:
    return _Answer(status, sentence.encode() + b"\n")


def serve(
    endpoint: str = f"vsock:any:{DEFAULT_PORT}",
    *,
    attester: Attester | None = None,
    user_data: Source = None,
    public_key: Source = None,
    limits: ServerLimits | None = None,
) -> None:
    """Serves attestation until SIGTERM or SIGINT; call it on the main thread.

    Args:
        endpoint: Where to listen: ``vsock:any:PORT``, ``unix:/path`` or ``http://host:port``.
        attester: Asked for the documents; by default the NSM of this enclave.
        user_data: What every document says in user_data.
        public_key: What every document says in public_key.
        limits: What to spend on clients.

    Raises:
        InputError: ``input.endpoint``.
        EnclaveError: ``nsm.device``, or ``transport.*``: cannot listen.
    """
    where = parse_endpoint(endpoint)
    with ExitStack() as stack:
        if attester is None:
            attester = stack.enter_context(Nsm())
        listener = stack.enter_context(listen(where))
        if isinstance(where, UnixEndpoint):
            stack.callback(Path(where.path).unlink, missing_ok=True)
        server = AttestationServer(
            listener, attester, user_data=user_data, public_key=public_key, limits=limits
        )
        LOG.info(json.dumps({"event": "listening", "endpoint": endpoint}))
        server.run()
        LOG.info(json.dumps({"event": "stopped"}))
