"""Serves attestation documents from inside the enclave, over HTTP/1.1.

    GET /attestation/raw?nonce=<hex>        the document, application/octet-stream
    GET /attestation/hex?nonce=<hex>        the same in hexadecimal
    GET /enclave/attestation?nonce=<hex>    the same in base64
    GET /healthz                            200, or 503 while the NSM is stalled

A client sends only the nonce. If it could also choose user_data or public_key, anyone could make
statements in the enclave's name; the operator of the enclave sets those two.

One thread serves all connections in an event loop, so a slow client costs only a descriptor. A
second thread calls the NSM, which processes one request at a time anyway. An NSM request cannot be
cancelled (N-2): when it exceeds its time limit, the client is answered 504 and the thread keeps
waiting.
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
from typing import Final

from nitro_attest._internal.protocols import Attester
from nitro_attest.enclave.nsm import Nsm
from nitro_attest.errors import EnclaveError, NitroAttestError
from nitro_attest.limits import MAX_NONCE_BYTES, MIN_NONCE_BYTES
from nitro_attest.transport.connection import (
    DEFAULT_PORT,
    MAX_HEAD_BYTES,
    UnixEndpoint,
    listen,
    parse_endpoint,
)

__all__ = ["LOG", "AttestationServer", "Attester", "ServerLimits", "Source", "serve"]

LOG: Final = logging.getLogger("nitro_attest.enclave")
"""Logger of the server; ``serve`` describes what it logs."""

Source = bytes | Callable[[bytes], bytes | None] | None
"""A field of the document: a fixed value, a function of the nonce, or None for an absent field.

The server calls the function in the thread that calls the NSM.
"""

# One send becomes one vsock packet, and a guest's receive buffers have 4 KiB. Measured between two
# guests: a longer packet ends the connection, unless something in between splits it.
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


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of a server.

    Attributes:
        connections: Maximum number of open connections; more wait in the socket's backlog.
        queued: Maximum number of requests that wait for the NSM; more are answered 503.
        head_seconds: Seconds until the request's head must be complete; then 408.
        nsm_seconds: Seconds until the NSM must have answered; then 504.
        send_seconds: Seconds until the client must have received the answer; then the connection
            is closed.
        stop_seconds: Seconds for open requests after the server is stopped; then their
            connections are closed.
    """

    connections: int = 512
    queued: int = 256
    head_seconds: float = 5.0
    nsm_seconds: float = 10.0
    send_seconds: float = 5.0
    stop_seconds: float = 1.5


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = "text/plain"


class AttestationServer:
    """Answers challenges on a listening socket until it is stopped.

    Most programs call ``serve`` instead, which opens the socket and the NSM.

    Args:
        listener: A listening stream socket of any family; ``run`` closes it.
        attester: Makes the documents; called in one thread only.
        user_data: ``user_data`` of every document.
        public_key: ``public_key`` of every document.
        limits: Limits of the server; by default those of ``ServerLimits()``.

    Example:
        A server with a fake NSM, and a client for it:

        >>> import os, tempfile, threading
        >>> from types import SimpleNamespace
        >>> from nitro_attest import ANY_ENCLAVE, TrustedRoots
        >>> from nitro_attest.enclave.client import attest
        >>> from nitro_attest.enclave.server import AttestationServer
        >>> from nitro_attest.transport.connection import listen, parse_endpoint
        >>> folder = tempfile.TemporaryDirectory()
        >>> endpoint = "unix:" + os.path.join(folder.name, "socket")
        >>> nsm = SimpleNamespace(attest=nitro.document)
        >>> server = AttestationServer(listen(parse_endpoint(endpoint)), nsm, user_data=b"v1")
        >>> thread = threading.Thread(target=server.run)
        >>> thread.start()
        >>> roots = TrustedRoots.from_pem(root_pem)
        >>> attest(endpoint, policy=ANY_ENCLAVE, roots=roots).user_data
        b'v1'
        >>> server.stop()
        >>> thread.join()
        >>> folder.cleanup()
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
        """Serves until ``stop`` is called; on the main thread also until SIGTERM or SIGINT."""
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
        """Makes ``run`` return after the open requests; may be called from any thread."""
        with suppress(RuntimeError):  # run() has already returned
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self) -> None:
        slots = asyncio.Semaphore(self._limits.connections)
        tasks: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            slots.release()

        async def accept() -> None:
            while True:
                await slots.acquire()
                try:
                    connection, peer = await self._loop.sock_accept(self._listener)
                except OSError as error:  # the client gave up, or descriptors ran out
                    slots.release()
                    LOG.warning(json.dumps({"event": "accept", "error": str(error)}))
                    await asyncio.sleep(0.05)
                    continue
                connection.setblocking(False)
                task = self._loop.create_task(self._handle(connection, peer))
                tasks.add(task)
                task.add_done_callback(ended)

        accepting = self._loop.create_task(accept())
        # Stop if accepting fails, rather than run without listening.
        accepting.add_done_callback(lambda _: self._stopped.set())
        await self._stopped.wait()
        accepting.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._limits.stop_seconds)
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(asyncio.CancelledError):
            await accepting

    async def _handle(self, connection: socket.socket, peer: object) -> None:
        """Answers one request on one connection, and closes it.

        Only the first line of the head is parsed, and no second request is read, so this server
        and a proxy in front of it cannot disagree about where a request ends.
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
        """Returns the request line and its answer; None if the client closed the connection."""
        try:
            head = await asyncio.wait_for(self._read_head(connection), self._limits.head_seconds)
        except asyncio.TimeoutError:
            return "", _error(408, "request timeout: the head is incomplete")
        except _HeadTooLongError:
            return "", _error(431, f"head too large: expected at most {MAX_HEAD_BYTES} bytes")
        except OSError:
            return "", None
        if head is None:
            return "", None
        return head.decode("ascii", "replace"), await self._answer(head)

    async def _read_head(self, connection: socket.socket) -> bytes | None:
        """Returns the request line, or None if the client closed the connection in the head."""
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
            return _error(400, "malformed HTTP/1.1 request line")
        path, _, query = match[2].decode("ascii").partition("?")
        if path != "/healthz" and path not in _ENCODINGS:
            return _error(404, f"unknown path: expected {', '.join(_ENCODINGS)} or /healthz")
        if match[1] != b"GET":
            return _error(405, "unsupported method: expected GET")
        if path == "/healthz":
            if self._worker.stalled():
                return _error(503, "nsm.stalled: no answer of the NSM in time")
            return _Answer(200, b"ok\n")
        nonce = _NONCE_QUERY.fullmatch(query)
        if nonce is None:
            return _error(
                400,
                f"input.nonce: invalid query: expected only nonce= with {2 * MIN_NONCE_BYTES} to "
                f"{2 * MAX_NONCE_BYTES} hexadecimal digits",
            )
        content_type, encode = _ENCODINGS[path]
        document = await self._document(bytes.fromhex(nonce[1]))
        if isinstance(document, _Answer):
            return document
        return _Answer(200, encode(document), content_type)

    async def _document(self, nonce: bytes) -> bytes | _Answer:
        future = self._worker.submit(nonce)
        if future is None:
            return _error(503, "nsm.busy: too many requests are waiting for the NSM")
        try:
            return await asyncio.wait_for(
                asyncio.wrap_future(future, loop=self._loop), self._limits.nsm_seconds
            )
        except asyncio.TimeoutError:
            return _error(504, "nsm.stalled: no answer of the NSM in time")
        except NitroAttestError as error:
            return _error(500, str(error))

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
        # A rejected request may be only partly read. Closing a socket with unread bytes resets the
        # connection, and the client may lose the answer (RFC 9112 section 9.6).
        async def discard() -> None:
            connection.shutdown(socket.SHUT_WR)
            while await self._loop.sock_recv(connection, MAX_HEAD_BYTES):
                pass

        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(discard(), self._limits.send_seconds)


class _HeadTooLongError(Exception):
    pass


class _NsmWorker:
    """The thread that calls the NSM; a daemon, because a stalled request cannot be cancelled."""

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
        """Returns a future for the document, or None if the queue is full."""
        if self._jobs.qsize() >= self._limits.queued:
            return None
        future: Future[bytes] = Future()
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

    def _attest(self, nonce: bytes) -> bytes:
        return self._attester.attest(
            nonce=nonce,
            user_data=_value(self._user_data, nonce),
            public_key=_value(self._public_key, nonce),
        )


def _value(source: Source, nonce: bytes) -> bytes | None:
    return source(nonce) if callable(source) else source


def _error(status: int, message: str) -> _Answer:
    return _Answer(status, message.encode() + b"\n")


def serve(
    endpoint: str = f"vsock:any:{DEFAULT_PORT}",
    *,
    attester: Attester | None = None,
    user_data: Source = None,
    public_key: Source = None,
    limits: ServerLimits | None = None,
) -> None:
    """Serves attestation documents until SIGTERM or SIGINT; call it on the main thread.

    Logs one JSON object when it listens, for each connection, and when it stops, to the logger
    ``nitro_attest.enclave`` at level INFO. Python discards them until logging is configured, such
    as by ``logging.basicConfig(level=logging.INFO, format="%(message)s")``. The command line does
    this itself.

    Args:
        endpoint: The endpoint to listen on: ``vsock:any:PORT``, ``unix:/path`` or
            ``http://host:port``.
        attester: Makes the documents; by default the NSM of this enclave.
        user_data: ``user_data`` of every document: a fixed value, or a function of the nonce.
        public_key: ``public_key`` of every document: a fixed value, or a function of the nonce.
        limits: Limits of the server; by default those of ``ServerLimits()``.

    Raises:
        InputError: ``input.endpoint``: the endpoint is invalid, or hybrid vsock.
        EnclaveError: ``nsm.device``: the NSM cannot be opened. ``transport.unsupported``,
            ``transport.resolve`` or ``transport.listen``: the server cannot listen.

    Example:
        >>> from nitro_attest.enclave.server import serve
        >>> serve("vsock:any:1300", public_key=public_key_der)  # doctest: +SKIP
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
