"""The TLS server between a client of the ssl module and an application, on Unix sockets."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nitro_attest import ANY_ENCLAVE, TrustedRoots, Verifier, parse_unverified
from nitro_attest.enclave.forward import Forwarder
from nitro_attest.enclave.tls import AttestedIdentity
from nitro_attest.enclave.tls_server import TlsServer, TlsServerLimits, serve_tls
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.testing import FakeNitro
from nitro_attest.transport.connection import UnixEndpoint, listen
from support.clock import PATIENT

NONCE = bytes(range(32))
PATH = "/.well-known/nitro-attestation"
CUT_OFF = (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError)
"""The end of a connection without close_notify, as the releases of OpenSSL report it."""
CHALLENGE = f"GET {PATH}?nonce={NONCE.hex()} HTTP/1.1\r\nHost: enclave\r\n\r\n".encode()


class FakeNsm:
    """Makes genuine-looking documents; first waits for ``resume``, and may raise ``error``."""

    def __init__(self, nitro: FakeNitro) -> None:
        self._nitro = nitro
        self.resume = threading.Event()
        self.resume.set()
        self.error: Exception | None = None
        self.calls = 0

    def attest(self, **fields: bytes | None) -> bytes:
        self.calls += 1
        assert self.resume.wait(PATIENT)
        if self.error is not None:
            raise self.error
        return self._nitro.document(**fields)


def client_context(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Enclave:
    """A TLS server in a thread, and a listening socket that plays the application."""

    def __init__(
        self, folder: Path, stack: ExitStack, nsm: FakeNsm, limits: TlsServerLimits | None
    ) -> None:
        self._stack = stack
        self.front, back = str(folder / "front"), UnixEndpoint(str(folder / "back"), None)
        self.application = stack.enter_context(listen(back))
        self.application.settimeout(PATIENT)
        self.identity = AttestedIdentity.create(nsm)
        self.server = TlsServer(
            listen(UnixEndpoint(self.front, None)), self.identity, back, limits=limits
        )
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        stack.callback(self.stop)
        stack.callback(nsm.resume.set)

    def dial(self) -> socket.socket:
        client = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        client.settimeout(PATIENT)
        client.connect(self.front)
        return client

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        plain = self.dial()
        client = (context or client_context()).wrap_socket(plain, suppress_ragged_eofs=False)
        return self._stack.enter_context(client)

    def accept(self) -> socket.socket:
        connection = self._stack.enter_context(self.application.accept()[0])
        connection.settimeout(PATIENT)
        return connection

    def nothing_was_passed_on(self) -> bool:
        self.application.settimeout(0)
        try:
            self.application.accept()[0].close()
        except BlockingIOError:
            return True
        return False

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(PATIENT)
        assert not self.thread.is_alive()


def receive_answer(client: ssl.SSLSocket) -> tuple[int, dict[str, str], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(1)
    lines = data.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines[1:] if line)
    body = b""
    while len(body) < int(headers["Content-Length"]):
        body += client.recv(int(headers["Content-Length"]) - len(body))
    return int(lines[0].split()[1]), headers, body


def everything(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


Starting = Callable[..., Enclave]


@pytest.fixture
def nsm(fake: FakeNitro) -> FakeNsm:
    return FakeNsm(fake)


@pytest.fixture
def starting(tmp_path: Path, nsm: FakeNsm) -> Iterator[Starting]:
    before = threading.active_count(), descriptors()
    with ExitStack() as stack:
        yield lambda limits=None: Enclave(tmp_path, stack, nsm, limits)
    for thread in threading.enumerate():
        if thread.name == "nitro-attest-nsm":
            thread.join(PATIENT)
    assert (threading.active_count(), descriptors()) == before


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_challenge_is_answered_and_then_bytes_pass_both_ways(
    starting: Starting, fake: FakeNitro, version: ssl.TLSVersion
) -> None:
    enclave = starting()
    client = enclave.connect(client_context(version))
    client.sendall(CHALLENGE)
    status, headers, document = receive_answer(client)
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert "Connection" not in headers
    verifier = Verifier(TrustedRoots.from_pem(fake.root_pem), policy=ANY_ENCLAVE)
    attestation = verifier.verify(document, nonce=NONCE)
    assert attestation.public_key == enclave.identity.public_key
    assert client.getpeercert(binary_form=True) == enclave.identity.certificate
    client.sendall(b"POST /secrets HTTP/1.1\r\n\r\n")
    application = enclave.accept()
    assert application.recv(100) == b"POST /secrets HTTP/1.1\r\n\r\n"
    application.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.recv(100) == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_a_challenge_in_pieces_is_answered(starting: Starting) -> None:
    client = starting().connect()
    for octet in CHALLENGE:
        client.sendall(bytes([octet]))
    assert receive_answer(client)[0] == 200


def test_only_the_first_request_is_a_challenge(starting: Starting, nsm: FakeNsm) -> None:
    enclave = starting()
    client = enclave.connect()
    client.sendall(CHALLENGE)
    receive_answer(client)
    client.sendall(CHALLENGE)
    assert enclave.accept().recv(4096) == CHALLENGE
    assert nsm.calls == 1


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"G",
        b"POST /.well-known/nitro-attestation HTTP/1.1\r\n\r\n",
        b"GET /.well-known/nitro-attestation-2?nonce=00 HTTP/1.1\r\n\r\n",
        b"GET /.well-known/nitro-attestation/ HTTP/1.1\r\n\r\n",
        b"get /.well-known/nitro-attestation HTTP/1.1\r\n\r\n",
        b"\x00\xff" * 5000,
    ],
)
def test_other_first_bytes_are_passed_on(starting: Starting, nsm: FakeNsm, first: bytes) -> None:
    enclave = starting()
    client = enclave.connect()
    client.sendall(first)
    if first == b"G":  # may still become a challenge
        client.sendall(b"X")
        first = b"GX"
    application = enclave.accept()
    received = b""
    while len(received) < len(first):
        received += application.recv(65536)
    assert received == first
    assert nsm.calls == 0


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (CHALLENGE.replace(NONCE.hex().encode(), b""), 400),
        (CHALLENGE.replace(NONCE.hex().encode(), b"00" * 31), 400),
        (CHALLENGE.replace(NONCE.hex().encode(), b"00" * 33), 400),
        (CHALLENGE.replace(NONCE.hex().encode(), b"0g" * 32), 400),
        (CHALLENGE.replace(b"?nonce", b"?user_data=00&nonce"), 400),
        (CHALLENGE.replace(b" HTTP", b"&nonce=" + b"00" * 32 + b" HTTP"), 400),
        (CHALLENGE.replace(b" HTTP", b"#fragment HTTP"), 400),
        (CHALLENGE.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (CHALLENGE.replace(b"HTTP/1.1", b"HTTP/2.0"), 400),
        (f"GET {PATH} HTTP/1.1\r\n\r\n".encode(), 400),
        (CHALLENGE + b"POST /secrets HTTP/1.1\r\n\r\n", 400),
        (CHALLENGE[:-2] + b"X: " + b"a" * 9000 + b"\r\n\r\n", 431),
    ],
)
def test_a_malformed_challenge_is_rejected_and_nothing_is_passed_on(
    starting: Starting, nsm: FakeNsm, request_bytes: bytes, status: int
) -> None:
    enclave = starting()
    client = enclave.connect()
    client.sendall(request_bytes)
    found, headers, _ = receive_answer(client)
    assert (found, headers["Connection"]) == (status, "close")
    assert client.recv(1) == b""
    client.close()
    enclave.stop()
    assert enclave.nothing_was_passed_on()
    assert nsm.calls == 0


def test_a_client_may_ask_to_close_after_the_answer(starting: Starting) -> None:
    enclave = starting()
    client = enclave.connect()
    client.sendall(CHALLENGE[:-2] + b"connection:  Close\r\n\r\n")
    status, headers, _ = receive_answer(client)
    assert (status, headers["Connection"]) == (200, "close")
    assert client.recv(1) == b""
    client.close()
    enclave.stop()
    assert enclave.nothing_was_passed_on()


def test_an_error_of_the_nsm_is_sent_to_the_client(starting: Starting, nsm: FakeNsm) -> None:
    nsm.error = EnclaveError("nsm.internal_error", "it failed")
    client = starting().connect()
    client.sendall(CHALLENGE)
    status, _, body = receive_answer(client)
    assert (status, body) == (500, b"nsm.internal_error: it failed\n")


def test_a_stalled_nsm_is_reported(starting: Starting, nsm: FakeNsm) -> None:
    nsm.resume.clear()
    client = starting(TlsServerLimits(nsm_seconds=0.05)).connect()
    client.sendall(CHALLENGE)
    status, _, body = receive_answer(client)
    assert (status, body[:11]) == (504, b"nsm.stalled")


def test_large_messages_arrive_unchanged_in_both_directions(starting: Starting) -> None:
    enclave = starting()
    client = enclave.connect()
    data = os.urandom(1_000_003)
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    application, received = enclave.accept(), b""
    while len(received) < len(data):
        received += application.recv(65536)
    sender.join(PATIENT)
    assert received == data
    sender = threading.Thread(target=lambda: (application.sendall(data), application.close()))
    sender.start()
    assert everything(client) == data  # until close_notify; without it, recv() raises
    sender.join(PATIENT)


class MemoryClient:
    """A TLS client that can end its stream and still receive, which SSLSocket cannot."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context().wrap_bio(self._incoming, self._outgoing)
        self.do(self.tls.do_handshake)

    def do(self, call: Callable[[], object]) -> object:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.flush()
                self._incoming.write(self._connection.recv(65536))
            finally:
                self.flush()

    def flush(self) -> None:
        self._connection.sendall(self._outgoing.read())

    def close(self) -> None:
        self._connection.close()

    def send_close_notify(self) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()


def test_a_client_that_ended_its_stream_receives_the_rest(starting: Starting) -> None:
    enclave = starting()
    client = MemoryClient(enclave.dial())
    client.do(lambda: client.tls.write(b"last request"))
    client.send_close_notify()
    application = enclave.accept()
    assert everything(application) == b"last request"
    application.sendall(b"answer")
    assert client.do(lambda: client.tls.read(100)) == b"answer"
    application.close()
    with pytest.raises(ssl.SSLZeroReturnError):
        client.do(lambda: client.tls.read(100))


def test_a_stream_that_is_cut_off_is_no_end_of_a_request(
    starting: Starting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    enclave = starting()
    client = enclave.connect()
    client.sendall(b"half a request")
    application = enclave.accept()
    assert application.recv(14) == b"half a request"
    client.close()  # without close_notify
    everything(application)
    enclave.stop()
    assert log_of(caplog)[0]["error"] == "the client closed the connection without close_notify"


def test_an_application_that_fails_is_no_end_of_an_answer(starting: Starting) -> None:
    enclave = starting()
    client = enclave.connect()
    client.sendall(b"request")
    application = enclave.accept()
    application.recv(3)
    application.sendall(b"half an ans")
    assert client.recv(100) == b"half an ans"
    application.close()  # with unread bytes: a reset
    with pytest.raises(CUT_OFF):
        everything(client)


def test_an_application_that_is_not_there_closes_the_connection(
    starting: Starting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    enclave = starting()
    enclave.application.close()
    client = enclave.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(CUT_OFF):
        client.recv(1)
    enclave.stop()
    assert log_of(caplog)[0]["error"].startswith("transport.refused: nothing listens on unix:")


@pytest.mark.parametrize("sent", [b"", CHALLENGE[:20], CHALLENGE[:-2]])
def test_a_client_that_ends_before_its_first_request_gets_no_answer(
    starting: Starting, nsm: FakeNsm, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    enclave = starting()
    client = MemoryClient(enclave.dial())
    if sent:
        client.do(lambda: client.tls.write(sent))
    client.send_close_notify()
    with pytest.raises(ssl.SSLZeroReturnError):
        client.do(lambda: client.tls.read(100))
    client.close()
    enclave.stop()
    [line] = log_of(caplog)
    assert (line["challenge"], line["error"], line["up"]) == (None, None, 0)
    assert enclave.nothing_was_passed_on()
    assert nsm.calls == 0


def test_a_forwarder_before_the_server_changes_nothing(
    starting: Starting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    enclave = starting()
    parent = UnixEndpoint(str(tmp_path / "parent"), None)
    forwarder = Forwarder(listen(parent), UnixEndpoint(enclave.front, None))
    thread = threading.Thread(target=forwarder.run)
    thread.start()
    enclave.front = parent.path
    client = enclave.connect()
    client.sendall(CHALLENGE)
    status, _, document = receive_answer(client)
    assert (status, parse_unverified(document).public_key) == (200, enclave.identity.public_key)
    client.sendall(b"request")
    application = enclave.accept()
    assert application.recv(100) == b"request"
    application.sendall(bytes(100_000))
    application.close()
    assert everything(client) == bytes(100_000)
    client.close()
    enclave.stop()
    forwarder.stop()
    thread.join(PATIENT)
    relay, server = sorted(log_of(caplog), key=lambda line: "challenge" in line)
    assert (server["up"], server["down"], server["error"]) == (7, 100_000, None)
    assert relay["down"] > 100_000 + len(document)  # records of TLS


def test_a_client_without_tls_is_rejected(
    starting: Starting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    enclave = starting()
    client = enclave.dial()
    client.sendall(CHALLENGE)
    assert everything(client)[:1] in (b"\x15", b"")  # an alert, or nothing
    client.close()
    enclave.stop()
    assert log_of(caplog)[0]["error"]
    assert enclave.nothing_was_passed_on()


def test_a_slow_handshake_is_cut_off(starting: Starting) -> None:
    client = starting(TlsServerLimits(head_seconds=0.05)).dial()
    assert client.recv(1) == b""


def test_a_slow_first_request_is_cut_off(starting: Starting) -> None:
    enclave = starting(TlsServerLimits(head_seconds=1.0))

    def begin() -> None:
        client = enclave.connect()
        client.sendall(CHALLENGE[:20])
        client.recv(1)

    with pytest.raises(CUT_OFF):
        begin()
    assert enclave.nothing_was_passed_on()


def test_an_attested_connection_that_stays_idle_is_closed(starting: Starting) -> None:
    client = starting(TlsServerLimits(idle_seconds=0.05)).connect()
    client.sendall(CHALLENGE)
    assert receive_answer(client)[0] == 200
    assert client.recv(1) == b""


def test_an_idle_exchange_is_closed(starting: Starting) -> None:
    enclave = starting(TlsServerLimits(idle_seconds=0.2))
    client = enclave.connect()
    client.sendall(b"request")
    assert everything(enclave.accept()) == b"request"
    with pytest.raises(CUT_OFF):
        client.recv(1)


def test_no_session_is_resumed(starting: Starting) -> None:
    enclave = starting()
    context = client_context(ssl.TLSVersion.TLSv1_2)
    session = enclave.connect(context).session
    again = context.wrap_socket(enclave.dial(), session=session)
    with again:
        assert not again.session_reused


def test_a_stop_closes_open_connections(starting: Starting) -> None:
    enclave = starting(TlsServerLimits(stop_seconds=0.05))
    client = enclave.connect()
    client.sendall(b"request")
    application = enclave.accept()
    enclave.stop()
    assert everything(application) == b"request"


def test_connections_above_the_limit_wait(starting: Starting) -> None:
    enclave = starting(TlsServerLimits(connections=2))
    clients = [MemoryClient(enclave.dial()) for _ in range(2)]
    waiting = enclave.dial()
    waiting.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client_context().wrap_socket(waiting)
    for client in clients:
        client.send_close_notify()


def test_each_connection_is_logged(starting: Starting, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    enclave = starting()
    client = enclave.connect()
    client.sendall(CHALLENGE)
    receive_answer(client)
    client.sendall(b"12345")
    application = enclave.accept()
    assert application.recv(100) == b"12345"
    application.sendall(b"abc")
    application.close()
    assert everything(client) == b"abc"
    client.close()
    enclave.stop()
    [line] = log_of(caplog)
    assert (line["event"], line["challenge"], line["error"]) == ("connection", 200, None)
    assert (line["up"], line["down"]) == (5, 3)


def log_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    return [json.loads(record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize(
    ("endpoint", "forward"),
    [
        ("http://127.0.0.1:1", "127.0.0.1:8080"),
        ("127.0.0.1:0", "http://127.0.0.1:8080"),
        ("127.0.0.1:0", "vsock:any:1"),
        ("127.0.0.1:0", ""),
    ],
)
def test_an_invalid_endpoint_is_an_input_error(nsm: FakeNsm, endpoint: str, forward: str) -> None:
    with pytest.raises(InputError) as caught:
        serve_tls(endpoint, forward=forward, attester=nsm)
    assert caught.value.code == "input.endpoint"


def test_a_missing_cryptography_is_explained() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from nitro_attest.enclave.__main__ import main\n"
        "sys.exit(main(['serve', '--tls', '--forward', '127.0.0.1:1']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: input.extra: cryptography is not installed")


SERVE = """
import sys
from nitro_attest.enclave.tls_server import serve_tls

class NoNsm:
    def attest(self, **fields):
        raise AssertionError

serve_tls("unix:" + sys.argv[1], forward="unix:/absent", attester=NoNsm())
print("stopped", flush=True)
"""


def test_sigterm_ends_the_process(tmp_path: Path) -> None:
    path = tmp_path / "front"
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                    client.sendall(b"not TLS")
                    client.recv(1)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENT) == 0
        assert process.stdout.read() == "stopped\n"
    assert not path.exists()
