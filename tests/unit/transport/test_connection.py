"""Endpoints and connections. AF_VSOCK is never opened here: a fake replaces it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.transport import connection
from nitro_attest.transport.connection import (
    Deadline,
    HttpEndpoint,
    TcpEndpoint,
    UnixEndpoint,
    VsockEndpoint,
    connect,
    connect_async,
    listen,
    parse_endpoint,
    parse_stream_endpoint,
)
from support.clock import PATIENT

Connect = Callable[[Any, Deadline], socket.socket]


@pytest.fixture(params=["connect", "connect_async"])
def connecting(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Both ways to connect, each with a blocking socket as its result."""
    if request.param == "connect":
        yield connect
        return
    loop = asyncio.new_event_loop()

    def run(endpoint: Any, deadline: Deadline) -> socket.socket:
        sock = loop.run_until_complete(connect_async(endpoint, deadline))
        sock.settimeout(PATIENT)
        return sock

    yield run
    loop.close()


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("vsock:16:1300", VsockEndpoint(16, 1300)),
        ("vsock:any:1300", VsockEndpoint(None, 1300)),
        ("vsock:4294967294:4294967294", VsockEndpoint(0xFFFFFFFE, 0xFFFFFFFE)),
        ("unix:/run/vm.sock:1300", UnixEndpoint("/run/vm.sock", 1300)),
        ("unix:/run/server.sock", UnixEndpoint("/run/server.sock", None)),
        ("unix:/run/a:b", UnixEndpoint("/run/a:b", None)),
        ("unix:/run/a:1:2", UnixEndpoint("/run/a:1", 2)),
        ("http://127.0.0.1:8080", HttpEndpoint("127.0.0.1", 8080)),
        ("http://[::1]:8080", HttpEndpoint("::1", 8080)),
        ("http://gateway.test:80", HttpEndpoint("gateway.test", 80)),
    ],
)
def test_an_endpoint_is_parsed_and_formatted(text: str, endpoint: object) -> None:
    assert parse_endpoint(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "vsock", "vsock:16", "vsock:-1:1300", "vsock:16:4294967295", "vsock:4294967295:1"),
        *("vsock:16:1300 ", "vsock:\u0661:1300", "vsock:16:1300\n", "VSOCK:16:1300"),
        *("unix:", "unix:relative", "unix:/a\0b", "unix:/run/vm.sock:99999999999"),
        *("http://host", "http://host:65536", "https://host:443", "http://u:p@host:80"),
        *("http://host:80/path", "http://host:80?x", "http://a\r\nb:80", "http://[::1:80"),
        *("ftp://host:21", "16:1300"),
    ],
)
def test_an_invalid_endpoint_is_rejected(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_endpoint(text)
    assert caught.value.code == "input.endpoint"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("vsock:16:443", VsockEndpoint(16, 443)),
        ("unix:/run/vm.sock:443", UnixEndpoint("/run/vm.sock", 443)),
        ("unix:/run/app.sock", UnixEndpoint("/run/app.sock", None)),
        ("127.0.0.1:8080", TcpEndpoint("127.0.0.1", 8080)),
        ("[::]:443", TcpEndpoint("::", 443)),
        ("gateway.test:80", TcpEndpoint("gateway.test", 80)),
    ],
)
def test_an_endpoint_of_a_stream_is_parsed_and_formatted(text: str, endpoint: object) -> None:
    assert parse_stream_endpoint(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "vsock:16", "unix:1", "vsock:16:x", "unix:relative", "host", "host:", ":443"),
        *("host:65536", "http://host:80", "https://host:443", "host:443/", "user@host:443"),
        *("::1:443", "host:443 ", "host:\u0661", "[::1:443", "[host]:443", "a\r\nb:80"),
    ],
)
def test_an_invalid_endpoint_of_a_stream_is_rejected(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_stream_endpoint(text)
    assert caught.value.code == "input.endpoint"


@pytest.mark.parametrize("parse", [parse_endpoint, parse_stream_endpoint])
def test_an_endpoint_that_is_no_text_is_rejected(parse: Callable[[Any], object]) -> None:
    with pytest.raises(InputError, match="found bytes"):
        parse(b"vsock:16:443")


@given(st.text() | st.from_regex(r"(vsock|unix|http)://?[^ ]*:[0-9]+"))
def test_any_text_is_an_endpoint_or_an_input_error(text: str) -> None:
    try:
        code = str(parse_endpoint(text)) and "input.read"
    except InputError as error:
        code = error.code
    assert code in ("input.read", "input.endpoint")


def test_connecting_to_vsock_any_is_rejected(connecting: Connect) -> None:
    with pytest.raises(InputError, match="give a CID"):
        connecting(VsockEndpoint(None, 1300), Deadline(PATIENT))


def test_listening_on_hybrid_vsock_is_rejected() -> None:
    with pytest.raises(InputError, match="vsock:any:1300"):
        listen(UnixEndpoint("/run/vm.sock", 1300))


class NoVsock:
    """Replaces ``socket.socket``: connecting fails with the kernel's error."""

    def __init__(self, number: int, *, at_once: bool = False) -> None:
        self.error = OSError(number, os.strerror(number))
        self.at_once = at_once
        self.closed = False

    def __call__(self, *_: object) -> NoVsock:
        if self.at_once:
            raise self.error
        return self

    family = None

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def fileno(self) -> int:
        return 1_000_000

    def connect(self, address: tuple[int, int]) -> None:
        assert address == (16, 1300)
        raise self.error

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ECONNRESET, "transport.refused"),
        (errno.ECONNREFUSED, "transport.refused"),
        (errno.ETIMEDOUT, "transport.no_cid"),
        (errno.EHOSTUNREACH, "transport.no_cid"),
        (errno.ENODEV, "transport.unsupported"),
        (errno.EACCES, "transport.unreachable"),
    ],
)
def test_each_vsock_failure_has_its_code(
    monkeypatch: pytest.MonkeyPatch, number: int, code: str, connecting: Connect
) -> None:
    fake_socket = NoVsock(number)
    monkeypatch.setattr(connection.socket, "socket", fake_socket)
    with pytest.raises(EnclaveError) as caught:
        connecting(VsockEndpoint(16, 1300), Deadline(PATIENT))
    assert caught.value.code == code
    assert fake_socket.closed


def test_a_machine_without_vsock_is_reported(
    monkeypatch: pytest.MonkeyPatch, connecting: Connect
) -> None:
    monkeypatch.setattr(connection.socket, "socket", NoVsock(errno.EAFNOSUPPORT, at_once=True))
    for use in (lambda end: connecting(end, Deadline(PATIENT)), listen):
        with pytest.raises(EnclaveError) as caught:
            use(VsockEndpoint(16, 1300))
        assert caught.value.code == "transport.unsupported"


def test_a_python_without_vsock_is_reported(
    monkeypatch: pytest.MonkeyPatch, connecting: Connect
) -> None:
    monkeypatch.delattr(connection.socket, "AF_VSOCK", raising=False)
    with pytest.raises(EnclaveError) as caught:
        connecting(VsockEndpoint(16, 1300), Deadline(PATIENT))
    assert caught.value.code == "transport.unsupported"


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Any]:
    """A fake virtual machine monitor: accepts one connection, and answers one CONNECT."""
    path = str(tmp_path / "vm.sock")
    threads = []

    def start(answer: bytes) -> tuple[str, list[bytes]]:
        received: list[bytes] = []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)

        def run() -> None:
            with listener, listener.accept()[0] as connection:
                connection.settimeout(PATIENT)
                received.append(connection.recv(100))
                connection.sendall(answer)
                if answer.startswith(b"OK"):
                    received.append(connection.recv(100))

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return path, received

    yield start
    for thread in threads:
        thread.join(PATIENT)
        assert not thread.is_alive()


def test_hybrid_vsock_reads_the_ok_line_and_nothing_more(monitor: Any, connecting: Connect) -> None:
    path, received = monitor(b"OK 1073741824\nHTTP")
    with connecting(UnixEndpoint(path, 1300), Deadline(PATIENT)) as connection:
        assert received == [b"CONNECT 1300\n"]
        assert connection.recv(4, socket.MSG_WAITALL) == b"HTTP"
        connection.sendall(b"GET")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "transport.refused"),
        (b"NO\n", "transport.hybrid"),
        (b"OK", "transport.hybrid"),
        (b"OK \n", "transport.hybrid"),
        (b"OK " + b"1" * 100, "transport.hybrid"),
        (b"HTTP/1.1 400 Bad Request\r\n", "transport.hybrid"),
    ],
)
def test_hybrid_vsock_without_ok_is_rejected(
    tmp_path: Path, answer: bytes, code: str, connecting: Connect
) -> None:
    path = str(tmp_path / "vm.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)

        def answer_once() -> None:
            with listener.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        with pytest.raises(EnclaveError) as caught:
            connecting(UnixEndpoint(path, 1300), Deadline(PATIENT))
        thread.join(PATIENT)
    assert caught.value.code == code


def test_a_silent_monitor_times_out(tmp_path: Path, connecting: Connect) -> None:
    path = str(tmp_path / "vm.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        with pytest.raises(EnclaveError) as caught:
            connecting(UnixEndpoint(path, 1300), Deadline(0.05))
    assert caught.value.code == "transport.timeout"


def test_connecting_where_nothing_listens_is_refused(tmp_path: Path, connecting: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for endpoint in (
        UnixEndpoint(str(tmp_path / "absent"), None),
        UnixEndpoint(str(tmp_path / "absent"), 1300),
        HttpEndpoint("127.0.0.1", port),
    ):
        with pytest.raises(EnclaveError) as caught:
            connecting(endpoint, Deadline(PATIENT))
        assert caught.value.code == "transport.refused"


def test_a_path_that_is_too_long_is_reported(tmp_path: Path, connecting: Connect) -> None:
    endpoint = UnixEndpoint(str(tmp_path / ("a" * 200)), None)
    with pytest.raises(EnclaveError) as caught:
        connecting(endpoint, Deadline(PATIENT))
    assert caught.value.code == "transport.unreachable"
    with pytest.raises(EnclaveError) as caught:
        listen(endpoint)
    assert caught.value.code == "transport.listen"


def test_an_unknown_host_is_reported(monkeypatch: pytest.MonkeyPatch, connecting: Connect) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(connection.socket, "getaddrinfo", unknown)
    with pytest.raises(EnclaveError, match=r"gateway\.test") as caught:
        connecting(HttpEndpoint("gateway.test", 80), Deadline(PATIENT))
    assert caught.value.code == "transport.resolve"


def test_a_resolver_that_hangs_times_out(
    monkeypatch: pytest.MonkeyPatch, connecting: Connect
) -> None:
    resume = threading.Event()

    def hang(*_: object, **__: object) -> list[tuple[object, ...]]:
        resume.wait(PATIENT)
        return [(socket.AF_INET, 0, 0, "", ("127.0.0.1", 80))]

    monkeypatch.setattr(connection.socket, "getaddrinfo", hang)
    with pytest.raises(EnclaveError) as caught:
        connecting(HttpEndpoint("gateway.test", 80), Deadline(0.05))
    resume.set()
    assert caught.value.code == "transport.timeout"


def test_listening_on_an_address_in_use_is_reported(tmp_path: Path) -> None:
    endpoint = UnixEndpoint(str(tmp_path / "server.sock"), None)
    with listen(endpoint), pytest.raises(EnclaveError) as caught:
        listen(endpoint)
    assert caught.value.code == "transport.listen"


def test_a_unix_socket_with_a_full_backlog_is_refused(tmp_path: Path, connecting: Connect) -> None:
    endpoint = UnixEndpoint(str(tmp_path / "server.sock"), None)
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as stack:
        listener.bind(endpoint.path)
        listener.listen(0)
        stack.enter_context(connect(endpoint, Deadline(PATIENT)))
        with pytest.raises(EnclaveError) as caught:
            connecting(endpoint, Deadline(PATIENT))
    assert caught.value.code == "transport.refused"


def test_a_deadline_that_has_passed_cancels_the_next_step() -> None:
    async def step() -> None:
        raise AssertionError

    async def run() -> None:
        await Deadline(0).limit(step())

    with pytest.raises(EnclaveError) as caught:
        asyncio.run(run())
    assert caught.value.code == "transport.timeout"


def test_a_cancelled_connection_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "vm.sock")

    async def cancel() -> bytes:
        loop = asyncio.get_running_loop()
        task = loop.create_task(connect_async(UnixEndpoint(path, 1300), Deadline(PATIENT)))
        monitor, _ = await loop.sock_accept(listener)
        with monitor:
            monitor.setblocking(False)
            assert await loop.sock_recv(monitor, 100) == b"CONNECT 1300\n"
            task.cancel()
            return await asyncio.wait_for(loop.sock_recv(monitor, 100), PATIENT)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.setblocking(False)
        assert asyncio.run(cancel()) == b""
