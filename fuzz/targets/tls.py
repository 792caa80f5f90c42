"""The first bytes of a connection to the TLS server in an enclave."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from nitro_attest.enclave import tls_server
from nitro_attest.enclave.connections import SocketStream
from nitro_attest.transport.connection import MAX_HEAD_BYTES, UnixEndpoint
from targets.base import Target
from targets.messages import NONCE, Log

START = b"GET /.well-known/nitro-attestation"
CHALLENGE = re.compile(
    rb"GET /\.well-known/nitro-attestation\?nonce=([0-9A-Fa-f]{64}) HTTP/1\.1\r\n(?:.*\r\n)?\r\n",
    re.DOTALL,
)


class Plaintext:
    """The stream of the TLS server, without TLS."""

    def __init__(self, records: SocketStream, context: object) -> None:
        self.receive, self.send, self.end = records.receive, records.send, records.end

    async def handshake(self) -> None:
        """Does nothing."""


def check_tls_request(data: bytes) -> bool:
    """Sends a stream: a challenge is answered, and what is not for the server passes unchanged."""
    passed, answer = exchange(data)
    first = data[:MAX_HEAD_BYTES]
    if not first.startswith((START + b"?", START + b" ")):
        undecided = START.startswith(first)
        assert (passed, answer) == (b"" if undecided else data, b"")
        return not undecided
    asked = CHALLENGE.fullmatch(first)
    if asked is None or first.find(b"\r\n\r\n") + 4 != len(first):
        complete = b"\r\n\r\n" in first or len(first) == MAX_HEAD_BYTES
        assert answer[:12] in ((b"HTTP/1.1 400", b"HTTP/1.1 431") if complete else (b"",))
        assert passed == b""
        return False
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\ndocument for " + bytes.fromhex(asked[1].decode()))
    assert passed in (b"", data[len(first) :])
    return True


def exchange(data: bytes) -> tuple[bytes, bytes]:
    """Returns what the application received of a client's stream, and what the client received."""
    sockets = [*socket.socketpair(), *socket.socketpair(), socket.socket()]
    client, accepted, application, forwarded, listener = sockets
    with contextlib.ExitStack() as stack:
        for each in sockets:
            stack.enter_context(each)
            each.setblocking(False)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

        async def connect_async(*_: object) -> socket.socket:
            return forwarded

        for name, stub in (("_TlsStream", Plaintext), ("connect_async", connect_async)):
            stack.enter_context(mock.patch.object(tls_server, name, stub))
        stack.enter_context(mock.patch.object(tls_server, "LOG", Log()))
        identity = SimpleNamespace(document=b"document for ".__add__, ssl_context=lambda: None)
        served = tls_server.TlsServer(listener, cast(Any, identity), UnixEndpoint("/app", None))
        loop = served._server._loop

        async def run() -> bytes:
            handling = loop.create_task(served._server._close_after(accepted, "peer"))
            receiving = loop.create_task(receive_all(application))
            await asyncio.wait({handling, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if handling.done():
                forwarded.close()
            else:
                application.shutdown(socket.SHUT_WR)
            await handling
            return await receiving

        passed = loop.run_until_complete(run())
        answer = loop.run_until_complete(receive_all(client))
        served._worker.stop()
        if served._worker._thread.is_alive():  # started by the first challenge
            served._worker._thread.join()
        loop.close()
    return passed, answer


async def receive_all(connection: socket.socket) -> bytes:
    """Returns the bytes until the end; the server may close before it has read all of a request."""
    stream, received = SocketStream(connection), b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await stream.receive():
            received += piece
    return received


def tls_requests() -> Iterator[bytes]:
    """Challenges, malformed ones, and streams that begin differently."""
    challenge = START + b"?nonce=" + NONCE.hex().encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    yield from (challenge, challenge[:60], challenge + b"POST / HTTP/1.1\r\n\r\n", START, b"")
    yield challenge.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 9000 + b"\r\n\r\n")
    yield challenge.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    yield from (START + b" HTTP/1.1\r\n\r\n", challenge.replace(b"1.1", b"1.0"), START + b"/x")
    yield from (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"GET ", b"A" * 9000)


TARGETS = {
    "tls_request": Target(
        check_tls_request,
        tls_requests,
        (
            "enclave.tls_server:TlsServer._handle,TlsServer._serve,TlsServer._answer,"
            "TlsServer._pass_on,_may_be_challenge,_first_bytes,_receive_within",
        ),
        "text.dict",
        10000,
    )
}
