"""Serves attestation documents from inside the enclave, over HTTP/1.1.

    GET /attestation/raw?nonce=<hex>        the document, application/octet-stream
    GET /attestation/hex?nonce=<hex>        the same in hexadecimal
    GET /enclave/attestation?nonce=<hex>    the same in base64
    GET /healthz                            200, or 503 while the NSM is stalled

A client sends only the nonce. If it could also choose user_data or public_key, anyone could make
statements in the enclave's name; the operator of the enclave sets those two.

One thread serves all connections in an event loop, so a slow client costs only a descriptor. A
second thread calls the NSM, which processes one request at a time anyway.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from nitro_attest._internal.protocols import Attester
from nitro_attest.enclave.answers import LOG, Answer, NsmWorker, error_answer, head_too_large
from nitro_attest.enclave.connections import ConnectionServer, SocketStream, linger, listening
from nitro_attest.enclave.nsm import Nsm
from nitro_attest.limits import MAX_NONCE_BYTES, MIN_NONCE_BYTES
from nitro_attest.transport.connection import (
    DEFAULT_PORT,
    MAX_HEAD_BYTES,
    parse_endpoint,
)

__all__ = ["LOG", "AttestationServer", "Attester", "ServerLimits", "Source", "serve"]

Source = bytes | Callable[[bytes], bytes | None] | None
"""A field of the document: a fixed value, a function of the nonce, or None for an absent field.

The server calls the function in the thread that calls the NSM.
"""

_REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,4096}) HTTP/1\.[01]")
_NONCE_QUERY: Final = re.compile(
    f"nonce=((?:[0-9A-Fa-f]{{2}}){{{MIN_NONCE_BYTES},{MAX_NONCE_BYTES}}})"
)
_ENCODINGS: Final[dict[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "/attestation/raw": ("application/octet-stream", bytes),
    "/attestation/hex": ("text/plain", lambda document: document.hex().encode()),
    "/enclave/attestation": ("text/plain", base64.b64encode),
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
        self._limits = limits = limits or ServerLimits()

        def document(nonce: bytes) -> bytes:
            return attester.attest(
                nonce=nonce,
                user_data=_value(user_data, nonce),
                public_key=_value(public_key, nonce),
            )

        self._worker = NsmWorker(document, queued=limits.queued, seconds=limits.nsm_seconds)
        self._server = ConnectionServer(
            listener,
            self._handle,
            connections=limits.connections,
            stop_seconds=limits.stop_seconds,
        )

    def run(self) -> None:
        """Serves until ``stop`` is called; on the main thread also until SIGTERM or SIGINT."""
        try:
            self._server.run()
        finally:
            self._worker.stop()

    def stop(self) -> None:
        """Makes ``run`` return after the open requests; may be called from any thread."""
        self._server.stop()

    async def _handle(self, connection: socket.socket, peer: object) -> None:
        """Answers one request on one connection.

        Only the first line of the head is parsed, and no second request is read, so this server
        and a proxy in front of it cannot disagree about where a request ends.
        """
        started = time.monotonic()
        stream = SocketStream(connection)
        request, answer = await self._receive(stream)
        sent = answer is not None and await self._send(stream, answer)
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
            await linger(connection, self._limits.send_seconds)

    async def _receive(self, stream: SocketStream) -> tuple[str, Answer | None]:
        """Returns the request line and its answer; None if the client closed the connection."""
        try:
            head = await asyncio.wait_for(self._read_head(stream), self._limits.head_seconds)
        except asyncio.TimeoutError:
            return "", error_answer(408, "request timeout: the head is incomplete")
        except OSError:
            return "", None
        if isinstance(head, Answer):
            return "", head
        if head is None:
            return "", None
        return head.decode("ascii", "replace"), await self._answer(head)

    async def _read_head(self, stream: SocketStream) -> bytes | Answer | None:
        """Returns the request line, or None if the client closed the connection in the head."""
        head = b""
        while b"\r\n\r\n" not in head:
            if len(head) >= MAX_HEAD_BYTES:
                return head_too_large()
            piece = await stream.receive(MAX_HEAD_BYTES - len(head))
            if not piece:
                return None
            head += piece
        return head.partition(b"\r\n")[0]

    async def _answer(self, request_line: bytes) -> Answer:
        match = _REQUEST_LINE.fullmatch(request_line)
        if match is None:
            return error_answer(400, "malformed HTTP/1.1 request line")
        path, _, query = match[2].decode("ascii").partition("?")
        if path != "/healthz" and path not in _ENCODINGS:
            return error_answer(404, f"unknown path: expected {', '.join(_ENCODINGS)} or /healthz")
        if match[1] != b"GET":
            return error_answer(405, "unsupported method: expected GET")
        if path == "/healthz":
            if self._worker.stalled():
                return error_answer(503, "nsm.stalled: no answer of the NSM in time")
            return Answer(200, b"ok\n")
        nonce = _NONCE_QUERY.fullmatch(query)
        if nonce is None:
            return error_answer(
                400,
                f"input.nonce: invalid query: expected only nonce= with {2 * MIN_NONCE_BYTES} to "
                f"{2 * MAX_NONCE_BYTES} hexadecimal digits",
            )
        content_type, encode = _ENCODINGS[path]
        document = await self._worker.document(bytes.fromhex(nonce[1]))
        if isinstance(document, Answer):
            return document
        return Answer(200, encode(document), content_type)

    async def _send(self, stream: SocketStream, answer: Answer) -> bool:
        sending = stream.send(answer.encode(close=True))
        try:
            await asyncio.wait_for(sending, self._limits.send_seconds)
        except (OSError, asyncio.TimeoutError):
            return False
        return True


def _value(source: Source, nonce: bytes) -> bytes | None:
    return source(nonce) if callable(source) else source


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
        listener = stack.enter_context(listening(where))
        server = AttestationServer(
            listener, attester, user_data=user_data, public_key=public_key, limits=limits
        )
        LOG.info(json.dumps({"event": "listening", "endpoint": endpoint}))
        server.run()
        LOG.info(json.dumps({"event": "stopped"}))
