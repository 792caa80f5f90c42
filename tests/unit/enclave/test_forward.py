"""The forwarder, and the relay in it, between Unix sockets and over TCP on loopback."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import cast

import pytest

from nitro_attest.enclave.connections import SocketStream
from nitro_attest.enclave.forward import Forwarder, ForwardLimits, forward
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.transport.connection import TcpEndpoint, UnixEndpoint, listen
from support.clock import PATIENT


class Between:
    """A forwarder in a thread, in front of a listening socket that plays the enclave."""

    def __init__(self, folder: Path, stack: ExitStack, limits: ForwardLimits | None) -> None:
        self._stack = stack
        self.front, back = UnixEndpoint(str(folder / "front"), None), str(folder / "back")
        self.enclave = stack.enter_context(listen(UnixEndpoint(back, None)))
        self.enclave.settimeout(PATIENT)
        self.forwarder = Forwarder(listen(self.front), UnixEndpoint(back, None), limits=limits)
        self.thread = threading.Thread(target=self.forwarder.run)
        self.thread.start()
        stack.callback(self.stop)

    def connect(self) -> socket.socket:
        client = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        client.settimeout(PATIENT)
        client.connect(self.front.path)
        return client

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Returns the two ends of a forwarded connection: the client's and the enclave's."""
        client = self.connect()
        enclave = self._stack.enter_context(self.enclave.accept()[0])
        enclave.settimeout(PATIENT)
        return client, enclave

    def stop(self) -> None:
        self.forwarder.stop()
        self.thread.join(PATIENT)
        assert not self.thread.is_alive()


def everything(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def send_until_it_fails(connection: socket.socket) -> None:
    while True:
        connection.sendall(bytes(65536))


def descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


Forwarding = Callable[..., Between]


@pytest.fixture
def forwarding(tmp_path: Path) -> Iterator[Forwarding]:
    before = threading.active_count(), descriptors()
    with ExitStack() as stack:
        yield lambda limits=None: Between(tmp_path, stack, limits)
    assert (threading.active_count(), descriptors()) == before


def test_bytes_pass_both_ways(forwarding: Forwarding) -> None:
    client, enclave = forwarding().pair()
    client.sendall(b"hello")
    assert enclave.recv(100) == b"hello"
    enclave.sendall(b"and back")
    assert client.recv(100) == b"and back"


@pytest.mark.skipif(not hasattr(socket, "SOCK_SEQPACKET"), reason="no socket keeps packets apart")
def test_no_send_is_longer_than_a_packet_of_vsock() -> None:
    async def send(connection: socket.socket) -> None:
        connection.setblocking(False)
        await SocketStream(connection).send(bytes(5000))

    try:
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:
        pytest.skip("no socket keeps packets apart")
    with ends[0], ends[1]:
        asyncio.run(send(ends[0]))
        assert [len(ends[1].recv(65536)) for _ in range(3)] == [2048, 2048, 904]


def test_a_stream_with_data_lets_other_tasks_run() -> None:
    turns: list[str] = []

    async def read(connection: socket.socket) -> None:
        connection.setblocking(False)
        stream = SocketStream(connection)
        for _ in range(3):
            await stream.receive(1)
            turns.append("stream")

    async def other() -> None:
        for _ in range(3):
            turns.append("other")
            await asyncio.sleep(0)

    async def both(connection: socket.socket) -> None:
        await asyncio.gather(read(connection), other())

    one, two = socket.socketpair()
    with one, two:
        one.sendall(b"123")
        asyncio.run(both(two))
    assert turns == ["other", "stream"] * 3


def test_a_large_message_arrives_unchanged(forwarding: Forwarding) -> None:
    client, enclave = forwarding().pair()
    data = os.urandom(1_000_003)
    sender = threading.Thread(target=lambda: (client.sendall(data), client.close()))
    sender.start()
    assert everything(enclave) == data
    sender.join(PATIENT)


@pytest.mark.parametrize("first", [0, 1])
def test_each_side_can_end_its_stream_first(forwarding: Forwarding, first: int) -> None:
    ends = forwarding().pair()
    one, other = ends[first], ends[1 - first]
    one.sendall(b"last")
    one.shutdown(socket.SHUT_WR)
    assert everything(other) == b"last"
    other.sendall(b"answer")
    assert one.recv(100) == b"answer"
    other.shutdown(socket.SHUT_WR)
    assert everything(one) == b""


@pytest.mark.parametrize("first", [0, 1])
def test_a_failed_connection_closes_both(forwarding: Forwarding, first: int) -> None:
    ends = forwarding().pair()
    one, other = ends[first], ends[1 - first]
    other.sendall(b"unread")
    assert one.recv(1) == b"u"
    one.close()  # with unread bytes: a reset
    assert everything(other) == b""
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_until_it_fails(other)


def test_an_idle_connection_is_closed(forwarding: Forwarding) -> None:
    client, enclave = forwarding(ForwardLimits(idle_seconds=0.05)).pair()
    assert (everything(client), everything(enclave)) == (b"", b"")


def test_a_half_closed_connection_has_its_own_limit(forwarding: Forwarding) -> None:
    client, enclave = forwarding(ForwardLimits(half_closed_seconds=0.05)).pair()
    client.shutdown(socket.SHUT_WR)
    assert everything(enclave) == b""
    assert everything(client) == b""


def test_a_peer_that_does_not_read_is_idle(forwarding: Forwarding) -> None:
    client, _ = forwarding(ForwardLimits(idle_seconds=0.5)).pair()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_until_it_fails(client)


def test_connections_above_the_limit_wait(forwarding: Forwarding) -> None:
    path = forwarding(ForwardLimits(connections=1))
    client, enclave = path.pair()
    waiting = path.connect()
    waiting.sendall(b"second")
    client.sendall(b"first")
    assert enclave.recv(100) == b"first"
    client.close()
    enclave.close()
    second = path.enclave.accept()[0]
    with second:
        assert second.recv(100) == b"second"


def test_a_stop_closes_open_connections(forwarding: Forwarding) -> None:
    path = forwarding(ForwardLimits(stop_seconds=0.05))
    client, enclave = path.pair()
    path.stop()
    assert (everything(client), everything(enclave)) == (b"", b"")


def test_nothing_listens_in_the_enclave(
    forwarding: Forwarding, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    path = forwarding()
    path.enclave.close()
    assert everything(path.connect()) == b""
    path.stop()
    [line] = [json.loads(record.getMessage()) for record in caplog.records]
    assert line["error"].startswith("transport.refused: nothing listens on unix:")
    assert (line["up"], line["down"]) == (0, 0)


def test_each_connection_is_logged_with_its_bytes(
    forwarding: Forwarding, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    path = forwarding()
    client, enclave = path.pair()
    client.sendall(b"12345")
    client.shutdown(socket.SHUT_WR)
    assert everything(enclave) == b"12345"
    enclave.sendall(b"abc")
    enclave.close()
    assert everything(client) == b"abc"
    path.stop()
    [line] = [json.loads(record.getMessage()) for record in caplog.records]
    assert (line["event"], line["up"], line["down"], line["error"]) == ("connection", 5, 3, None)


@pytest.mark.parametrize(("number", "fails"), [(errno.ENOTCONN, False), (errno.EIO, True)])
def test_a_stream_ends_once_its_peer_has_closed(number: int, fails: bool) -> None:
    class Closed:
        family = socket.AF_UNIX

        def shutdown(self, how: int) -> None:
            raise OSError(number, os.strerror(number))

    async def end() -> None:
        await SocketStream(cast(socket.socket, Closed())).end()

    with pytest.raises(OSError, match="error") if fails else nullcontext():
        asyncio.run(end())


@pytest.mark.parametrize(
    ("where", "to"),
    [
        ("http://127.0.0.1:1", "vsock:16:443"),
        ("127.0.0.1", "vsock:16:443"),
        ("127.0.0.1:70000", "vsock:16:443"),
        ("127.0.0.1:0", "nowhere"),
        ("127.0.0.1:0", "vsock:any:443"),
        ("unix:/run/monitor:443", "vsock:16:443"),
    ],
)
def test_an_invalid_endpoint_is_an_input_error(where: str, to: str) -> None:
    with pytest.raises(InputError) as caught:
        forward(where, to)
    assert caught.value.code == "input.endpoint"


def test_an_endpoint_in_use_is_reported(tmp_path: Path) -> None:
    with listen(TcpEndpoint("127.0.0.1", 0)) as taken, pytest.raises(EnclaveError) as caught:
        forward(f"127.0.0.1:{taken.getsockname()[1]}", "vsock:16:443")
    assert caught.value.code == "transport.listen"
    assert str(caught.value).startswith("transport.listen: cannot listen on 127.0.0.1:")


def test_the_program_forwards_over_tcp_until_sigterm(tmp_path: Path) -> None:
    back = str(tmp_path / "back")
    with listen(UnixEndpoint(back, None)) as enclave, listen(TcpEndpoint("127.0.0.1", 0)) as free:
        enclave.settimeout(PATIENT)
        port = free.getsockname()[1]
        free.close()
        program = [sys.executable, "-m", "nitro_attest.enclave", "forward"]
        with subprocess.Popen(
            [*program, "--listen", f"127.0.0.1:{port}", "--to", f"unix:{back}", "--idle", "60"],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            assert json.loads(process.stderr.readline())["event"] == "listening"
            with socket.create_connection(("127.0.0.1", port), PATIENT) as client:
                client.sendall(b"over TCP")
                with enclave.accept()[0] as accepted:
                    assert accepted.recv(100) == b"over TCP"
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENT) == 0
            events = [json.loads(line)["event"] for line in process.stderr]
    assert events == ["connection", "stopped"]
