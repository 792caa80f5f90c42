"""Terminates TLS inside the enclave, answers the challenge, and passes on to an application.

    GET /.well-known/nitro-attestation?nonce=<64 hex digits>

as the first request of a connection is answered with a document for this nonce that names the TLS
key. All later bytes, and those of a connection that begins differently, are passed to the
application and back: no server can make a client verify it.

A client that ends its stream, by a close_notify alert, still receives what the application sends.
The connection is closed when the application ends its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from nitro_attest._internal.protocols import Attester
from nitro_attest.enclave.answers import (
    LOG,
    Answer,
    NsmWorker,
    answer_challenge,
    error_answer,
    head_too_large,
)
from nitro_attest.enclave.connections import (
    READ_BYTES,
    ConnectionServer,
    Relay,
    SocketStream,
    linger,
    listening,
)
from nitro_attest.enclave.nsm import Nsm
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.transport.connection import (
    CHALLENGE_PATH,
    DEFAULT_PORT,
    MAX_HEAD_BYTES,
    Deadline,
    StreamEndpoint,
    check_target,
    connect_async,
    parse_stream_endpoint,
)

if TYPE_CHECKING:
    from nitro_attest.enclave.tls import AttestedIdentity

__all__ = ["TlsServer", "TlsServerLimits", "serve_tls"]

_T = TypeVar("_T")

_START: Final = f"GET {CHALLENGE_PATH}".encode()
_REQUEST_LINE: Final = re.compile(rb"GET [!-~]{1,4096} HTTP/1\.1")
_CLOSE: Final = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TlsServerLimits:
    """Limits of a TLS server.

    Attributes:
        connections: Maximum number of open connections; more wait in the socket's backlog.
        queued: Maximum number of challenges that wait for the NSM; more are answered 503.
        head_seconds: Seconds until the handshake and the head of the first request must be
            complete; then the connection is closed.
        nsm_seconds: Seconds until the NSM must have answered; then 504.
        send_seconds: Seconds until the client must have received the answer to the challenge.
        connect_seconds: Seconds until the connection to the application must exist.
        idle_seconds: Seconds without any byte of the application or for it, after which the
            connection is closed.
        half_closed_seconds: The same after the client has ended its own stream.
        stop_seconds: Seconds for open connections after the server is stopped.
    """

    connections: int = 512
    queued: int = 256
    head_seconds: float = 5.0
    nsm_seconds: float = 10.0
    send_seconds: float = 5.0
    connect_seconds: float = 5.0
    idle_seconds: float = 300.0
    half_closed_seconds: float = 30.0
    stop_seconds: float = 1.5


class TlsServer:
    """Terminates TLS on a listening socket until it is stopped.

    Most programs call ``serve_tls`` instead, which opens the socket and the NSM.

    Args:
        listener: A listening stream socket of any family; ``run`` closes it.
        identity: The key, and the source of the documents.
        forward: The application: ``TcpEndpoint``, ``UnixEndpoint`` or ``VsockEndpoint``.
        limits: Limits of the server; by default those of ``TlsServerLimits()``.
    """

    def __init__(
        self,
        listener: socket.socket,
        identity: AttestedIdentity,
        forward: StreamEndpoint,
        *,
        limits: TlsServerLimits | None = None,
    ) -> None:
        self._limits = limits = limits or TlsServerLimits()
        self._forward = forward
        self._context = identity.ssl_context()
        self._worker = NsmWorker(
            identity.document, queued=limits.queued, seconds=limits.nsm_seconds
        )
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
        """Makes ``run`` return after the open connections; may be called from any thread."""
        self._server.stop()

    async def _handle(self, connection: socket.socket, peer: object) -> None:
        started = time.monotonic()
        log = _Log(str(peer))
        try:
            await self._serve(connection, log)
        except ssl.SSLEOFError:
            log.error = "the client closed the connection without close_notify"
        except (OSError, asyncio.TimeoutError, EnclaveError) as error:
            log.error = str(error) or "timeout"
        finally:
            log.ms = round((time.monotonic() - started) * 1000, 1)
            LOG.info(json.dumps({"event": "connection", **asdict(log)}))

    async def _serve(self, connection: socket.socket, log: _Log) -> None:
        limits = self._limits
        stream = _TlsStream(SocketStream(connection), self._context)
        data = await asyncio.wait_for(_first_bytes(stream), limits.head_seconds)
        if data and _may_be_challenge(data):
            answer = await self._answer(data)
            log.challenge = answer.status
            close = answer.status != 200 or _CLOSE.search(data) is not None
            await asyncio.wait_for(stream.send(answer.encode(close=close)), limits.send_seconds)
            data = b"" if close else await _receive_within(stream, limits.idle_seconds)
        if data:
            await self._pass_on(stream, data, log)
        await asyncio.wait_for(stream.end(), limits.send_seconds)
        await linger(connection, limits.send_seconds)

    async def _answer(self, request: bytes) -> Answer:
        head, end, rest = request.partition(b"\r\n\r\n")
        if not end:
            return head_too_large()
        line = head.partition(b"\r\n")[0]
        if not _REQUEST_LINE.fullmatch(line):
            return error_answer(400, "malformed HTTP/1.1 request line")
        if rest:
            return error_answer(400, "bytes after the challenge: expected none before its answer")
        query = line.split()[1].decode("ascii").partition("?")[2]
        return await answer_challenge(self._worker, "GET", query)

    async def _pass_on(self, stream: _TlsStream, data: bytes, log: _Log) -> None:
        limits = self._limits
        with await connect_async(self._forward, Deadline(limits.connect_seconds)) as application:
            relay = Relay(
                stream,
                SocketStream(application),
                idle_seconds=limits.idle_seconds,
                half_closed_seconds=limits.half_closed_seconds,
            )
            try:
                await relay.run(data, until_far_ends=True)
            finally:
                log.up, log.down = relay.up, relay.down


@dataclass(slots=True)
class _Log:
    """The line of the log for one connection."""

    peer: str
    challenge: int | None = None
    up: int = 0
    down: int = 0
    error: str | None = None
    ms: float = 0.0


def _may_be_challenge(data: bytes) -> bool:
    """Returns True for the challenge, or a part of it that may still become one."""
    after = data[len(_START) : len(_START) + 1]
    return _START.startswith(data[: len(_START)]) and after in (b"", b"?", b" ")


async def _first_bytes(stream: _TlsStream) -> bytes:
    """Returns the challenge, or the first bytes of a stream that begins differently.

    Returns no byte if the client ended the stream before either was received.
    """
    await stream.handshake()
    data = b""
    while _may_be_challenge(data) and b"\r\n\r\n" not in data and len(data) < MAX_HEAD_BYTES:
        piece = await stream.receive(MAX_HEAD_BYTES - len(data))
        if not piece:
            return b""
        data += piece
    return data


async def _receive_within(stream: _TlsStream, seconds: float) -> bytes:
    try:
        return await asyncio.wait_for(stream.receive(), seconds)
    except asyncio.TimeoutError:
        return b""


class _TlsStream:
    """The server's side of a TLS connection, over a stream of its records.

    One task at a time may receive, and one may send.
    """

    def __init__(self, records: SocketStream, context: ssl.SSLContext) -> None:
        self._records = records
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._sending = asyncio.Lock()

    async def handshake(self) -> None:
        """Does the handshake.

        Raises:
            OSError: It failed; so in the other methods.
        """
        await self._read(self._tls.do_handshake)

    async def receive(self, size: int = READ_BYTES) -> bytes:
        """Returns 1 to ``size`` bytes, or no byte after the client's close_notify."""
        try:
            return await self._read(lambda: self._tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    async def send(self, data: bytes) -> None:
        """Sends bytes."""
        while data:
            data = data[self._tls.write(data) :]
            await self._flush()

    async def end(self) -> None:
        """Sends close_notify, after which this stream neither sends nor receives."""
        with suppress(ssl.SSLError):  # the client's close_notify is missing, or data are before it
            self._tls.unwrap()
        await self._flush()

    async def _read(self, call: Callable[[], _T]) -> _T:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                with suppress(OSError):
                    await self._flush()  # an alert, if the client still receives
                raise
            finally:
                await self._flush()  # a part of the handshake, or a key update
            records = await self._records.receive()
            if records:
                self._incoming.write(records)
            else:
                self._incoming.write_eof()

    async def _flush(self) -> None:
        async with self._sending:
            if records := self._outgoing.read():
                await self._records.send(records)


def serve_tls(
    endpoint: str = f"vsock:any:{DEFAULT_PORT}",
    *,
    forward: str,
    attester: Attester | None = None,
    user_data: bytes | None = None,
    limits: TlsServerLimits | None = None,
) -> None:
    """Serves an application over TLS until SIGTERM or SIGINT; call it on the main thread.

    Makes a new key. Logs one JSON object per connection to the logger ``nitro_attest.enclave`` at
    level INFO: ``challenge`` is the status of the answer to the challenge, ``up`` and ``down`` the
    numbers of bytes that were passed to the application and to the client.

    Args:
        endpoint: The endpoint to listen on: ``vsock:any:PORT``, ``unix:/path`` or ``HOST:PORT``.
        forward: The application: ``unix:/path``, ``HOST:PORT`` or ``vsock:CID:PORT``.
        attester: Makes the documents; by default the NSM of this enclave.
        user_data: ``user_data`` of every document.
        limits: Limits of the server; by default those of ``TlsServerLimits()``.

    Raises:
        InputError: ``input.endpoint``: an endpoint is invalid, or hybrid vsock to listen on.
            ``input.nsm``: user_data is not bytes. ``input.extra``: the package cryptography is not
            installed.
        EnclaveError: ``nsm.device``: the NSM cannot be opened. ``transport.unsupported``,
            ``transport.resolve`` or ``transport.listen``: the server cannot listen.

    Example:
        >>> from nitro_attest.enclave.tls_server import serve_tls
        >>> serve_tls("vsock:any:443", forward="127.0.0.1:8080")  # doctest: +SKIP
    """
    try:
        from nitro_attest.enclave.tls import AttestedIdentity
    except ModuleNotFoundError as error:
        raise InputError(
            "input.extra",
            f"cryptography is not installed ({error}); install it in the enclave's image",
        ) from None

    where, application = parse_stream_endpoint(endpoint), parse_stream_endpoint(forward)
    check_target(application)
    with ExitStack() as stack:
        if attester is None:
            attester = stack.enter_context(Nsm())
        identity = AttestedIdentity.create(attester, user_data=user_data)
        listener = stack.enter_context(listening(where))
        LOG.info(json.dumps({"event": "listening", "endpoint": endpoint, "forward": forward}))
        TlsServer(listener, identity, application, limits=limits).run()
        LOG.info(json.dumps({"event": "stopped"}))
