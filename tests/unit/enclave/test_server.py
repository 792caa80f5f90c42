"""The server, in the test's process: a real Unix socket and a fake attester."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from nitro_attest.enclave.client import fetch
from nitro_attest.enclave.server import AttestationServer, ServerLimits
from nitro_attest.errors import EnclaveError
from nitro_attest.transport.connection import UnixEndpoint, listen
from support.clock import PATIENT

NONCE = bytes(range(32))
Serving = Callable[..., "Running"]


class Attester:
    """Answers with its nonce; first waits for ``resume``, and may raise ``error``."""

    def __init__(self) -> None:
        self.resume = threading.Event()
        self.resume.set()
        self.asked = threading.Event()
        self.error: Exception | None = None
        self.calls: list[dict[str, bytes | None]] = []

    def attest(
        self,
        *,
        nonce: bytes | None = None,
        user_data: bytes | None = None,
        public_key: bytes | None = None,
    ) -> bytes:
        self.calls.append({"nonce": nonce, "user_data": user_data, "public_key": public_key})
        self.asked.set()
        assert self.resume.wait(PATIENT)
        if self.error is not None:
            raise self.error
        return b"document for " + (nonce or b"")


class Running:
    def __init__(self, path: str, server: AttestationServer, thread: threading.Thread) -> None:
        self.path, self.server, self.thread = path, server, thread

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENT)
        client.connect(self.path)
        return client

    def ask(self, request: bytes) -> tuple[int, bytes]:
        with self.connect() as client:
            client.sendall(request)
            return receive(client)

    def get(self, target: str) -> tuple[int, bytes]:
        return self.ask(f"GET {target} HTTP/1.1\r\nHost: enclave\r\n\r\n".encode())

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(PATIENT)
        assert not self.thread.is_alive()


def receive(client: socket.socket) -> tuple[int, bytes]:
    """Returns the status and body of the answer; status 0 if there is none."""
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    if not answer:
        return 0, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    return int(head.split()[1]), body


def descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


@contextmanager
def counted() -> Iterator[None]:
    """Fails if the block leaks a thread or a descriptor."""
    before = threading.active_count(), descriptors()
    yield
    for thread in threading.enumerate():
        if thread.name == "nitro-attest-nsm":
            thread.join(PATIENT)
    assert (threading.active_count(), descriptors()) == before


@pytest.fixture
def attester() -> Iterator[Attester]:
    attester = Attester()
    yield attester
    attester.resume.set()


@pytest.fixture
def serving(tmp_path: Path, attester: Attester) -> Iterator[Serving]:
    with counted(), ExitStack() as stack:

        def start(limits: ServerLimits | None = None, **fields: object) -> Running:
            path = str(tmp_path / "server.sock")
            server = AttestationServer(
                listen(UnixEndpoint(path, None)), attester, limits=limits, **fields
            )
            thread = threading.Thread(target=server.run)
            thread.start()
            running = Running(path, server, thread)
            stack.callback(running.stop)
            stack.callback(attester.resume.set)
            return running

        yield start


@pytest.mark.parametrize(
    ("path", "decode"),
    [
        ("/attestation/raw", bytes),
        ("/attestation/hex", lambda body: bytes.fromhex(body.decode())),
        ("/enclave/attestation", base64.b64decode),
    ],
)
def test_a_challenge_is_answered(
    serving: Serving, path: str, decode: Callable[[bytes], bytes]
) -> None:
    status, body = serving().get(f"{path}?nonce={NONCE.hex()}")
    assert (status, decode(body)) == (200, b"document for " + NONCE)


@pytest.mark.parametrize("size", [16, 20, 64])
def test_nonces_of_16_to_64_bytes_are_served(serving: Serving, size: int) -> None:
    status, body = serving().get(f"/attestation/raw?nonce={bytes(size).hex().upper()}")
    assert (status, body) == (200, b"document for " + bytes(size))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "?nonce=",
        "?nonce=" + "00" * 15,
        "?nonce=" + "00" * 65,
        "?nonce=" + "0" * 33,
        "?nonce=" + "0g" * 16,
        "?nonce=" + "%30" * 32,
        "?nonce=" + "00" * 16 + "&nonce=" + "00" * 16,
        "?nonce=" + "00" * 16 + "&user_data=00",
        "?public_key=00&nonce=" + "00" * 16,
        "?nonce=" + "00" * 16 + "\u0660\u0660",
    ],
)
def test_a_request_may_contain_only_a_nonce(
    serving: Serving, attester: Attester, query: str
) -> None:
    status, _ = serving().get("/attestation/raw" + query)
    assert status == 400
    assert attester.calls == []


def test_user_data_and_public_key_come_from_the_configuration(
    serving: Serving, attester: Attester
) -> None:
    running = serving(user_data=b"fixed", public_key=lambda nonce: b"key for " + nonce)
    assert running.get(f"/attestation/raw?nonce={NONCE.hex()}")[0] == 200
    assert attester.calls == [
        {"nonce": NONCE, "user_data": b"fixed", "public_key": b"key for " + NONCE}
    ]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /attestation/raw HTTP/2.0\r\n\r\n", 400),
        (b"GET  /healthz HTTP/1.1\r\n\r\n", 400),
        (b"get /healthz HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET http://enclave/healthz HTTP/1.1\r\n\r\n", 404),
        (b"POST /attestation/raw HTTP/1.1\r\nContent-Length: 9999\r\n\r\n" + b"a" * 9999, 405),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", 405),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 8162 + b"\r\n\r\n", 200),  # 8192 in all
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 8163 + b"\r\n\r\n", 431),
        (b"a" * 100_000, 431),
    ],
)
def test_each_malformed_request_has_its_status(
    serving: Serving, request_bytes: bytes, status: int
) -> None:
    running = serving()
    assert running.ask(request_bytes)[0] == status
    assert running.get("/healthz") == (200, b"ok\n")


def test_a_client_that_disconnects_early_is_ignored(serving: Serving, attester: Attester) -> None:
    running = serving()
    for sent in (b"", b"GET /attestation/raw?nonce=", b"GET /healthz HTTP/1.1\r\n\r\n"):
        with running.connect() as client:
            client.sendall(sent)
    assert running.get("/healthz") == (200, b"ok\n")
    assert attester.calls == []


def test_a_slow_client_is_answered_408(serving: Serving) -> None:
    running = serving(ServerLimits(head_seconds=0.05))
    with running.connect() as client:
        client.sendall(b"GET /hea")
        assert receive(client)[0] == 408


def test_slow_clients_do_not_block_others(serving: Serving) -> None:
    running = serving(ServerLimits(head_seconds=PATIENT, stop_seconds=0.05))
    with ExitStack() as stack:
        slow = [stack.enter_context(running.connect()) for _ in range(100)]
        for octet in b"GET /":
            for client in slow:
                client.sendall(bytes([octet]))
            assert running.get("/healthz") == (200, b"ok\n")
        running.stop()
        assert {receive(client)[0] for client in slow} == {0}


def test_a_stalled_nsm_is_reported_and_recovers(serving: Serving, attester: Attester) -> None:
    running = serving(ServerLimits(nsm_seconds=0.75, queued=1))
    target = f"/attestation/raw?nonce={NONCE.hex()}"
    attester.resume.clear()
    assert running.get(target)[0] == 504  # in the NSM, shortly after the request
    while running.get("/healthz")[0] != 503:
        pass
    assert running.get(target)[0] == 504  # in the queue
    assert running.get(target)[0] == 503  # the queue is full
    attester.calls.clear()
    attester.resume.set()
    while running.get("/healthz")[0] != 200:
        pass
    assert running.get(target)[0] == 200
    # A queued request whose client was answered 504 is never sent to the NSM.
    assert [call["nonce"] for call in attester.calls] == [NONCE]


def test_a_stalled_nsm_does_not_delay_the_stop(serving: Serving, attester: Attester) -> None:
    running = serving(ServerLimits(stop_seconds=0.05))
    attester.resume.clear()
    with running.connect() as client:
        client.sendall(f"GET /attestation/raw?nonce={NONCE.hex()} HTTP/1.1\r\n\r\n".encode())
        assert attester.asked.wait(PATIENT)
        running.stop()
        assert receive(client)[0] == 0


def test_an_open_request_is_answered_before_the_stop(serving: Serving, attester: Attester) -> None:
    running = serving(ServerLimits(stop_seconds=PATIENT))
    attester.resume.clear()
    with running.connect() as client:
        client.sendall(f"GET /attestation/raw?nonce={NONCE.hex()} HTTP/1.1\r\n\r\n".encode())
        assert attester.asked.wait(PATIENT)
        running.server.stop()
        attester.resume.set()
        assert receive(client) == (200, b"document for " + NONCE)


def test_200_concurrent_clients_are_answered(serving: Serving) -> None:
    running = serving()
    with ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(200)]
        nonces = [os.urandom(32) for _ in clients]
        for client, nonce in zip(clients, nonces, strict=True):
            client.sendall(f"GET /attestation/raw?nonce={nonce.hex()} HTTP/1.1\r\n\r\n".encode())
        answers = [receive(client) for client in clients]
    assert answers == [(200, b"document for " + nonce) for nonce in nonces]


def test_connections_above_the_limit_wait(serving: Serving) -> None:
    running = serving(ServerLimits(connections=2))
    with ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(20)]
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert [receive(client) for client in clients] == [(200, b"ok\n")] * 20


def test_an_error_of_the_nsm_is_sent_to_the_client(serving: Serving, attester: Attester) -> None:
    attester.error = EnclaveError("nsm.input_too_large", "user_data is too long")
    status, body = serving().get(f"/attestation/raw?nonce={NONCE.hex()}")
    assert (status, body) == (500, b"nsm.input_too_large: user_data is too long\n")


def test_a_failing_callback_is_logged_and_not_sent_to_the_client(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(nonce: bytes) -> bytes:
        raise KeyError("secret")

    running = serving(user_data=fail)
    status, body = running.get(f"/attestation/raw?nonce={NONCE.hex()}")
    assert (status, body) == (500, b"nsm.attester: cannot make a document\n")
    assert running.get("/healthz")[0] == 200
    assert "secret" in caplog.text


def test_each_request_is_logged_on_one_line(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nitro_attest.enclave")
    running = serving()
    running.get("/healthz")
    running.ask(b'GET /"\n{} HTTP/1.1\r\n\r\n')
    running.stop()
    lines = [json.loads(record.getMessage()) for record in caplog.records]
    assert [(line["event"], line["request"], line["status"]) for line in lines] == [
        ("request", "GET /healthz HTTP/1.1", 200),
        ("request", 'GET /"\n{} HTTP/1.1', 400),
    ]
    assert all("\n" not in record.getMessage() for record in caplog.records)


SERVE = """
import sys, threading
from nitro_attest.enclave.server import serve

class Stalled:
    def attest(self, **fields):
        print("asked", flush=True)
        threading.Event().wait()

serve("unix:" + sys.argv[1], attester=Stalled())
print("stopped", flush=True)
"""


def test_sigterm_ends_the_process_while_the_nsm_is_stalled(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        client = socket.socket(socket.AF_UNIX)
        with client:
            while True:
                try:
                    client.connect(str(path))
                    break
                except OSError:
                    assert process.poll() is None
            client.sendall(f"GET /attestation/raw?nonce={NONCE.hex()} HTTP/1.1\r\n\r\n".encode())
            assert process.stdout.readline() == "asked\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENT) == 0
        assert process.stdout.read() == "stopped\n"
    assert not path.exists()


SERVE_ONE = """
import logging, os, signal, sys
from nitro_attest.enclave.server import serve

class Last:
    def attest(self, **fields):
        os.kill(os.getpid(), signal.SIGTERM)
        return b"document"

if len(sys.argv) > 2:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
serve(sys.argv[1], attester=Last())
"""


@pytest.mark.parametrize(
    ("options", "events"), [(["logging"], ["listening", "request", "stopped"]), ([], [])]
)
def test_serve_logs_where_python_is_configured_to(
    tmp_path: Path, options: list[str], events: list[str]
) -> None:
    endpoint = f"unix:{tmp_path}/server.sock"
    command = [sys.executable, "-c", SERVE_ONE, endpoint, *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert fetch(endpoint, NONCE, wait=PATIENT).document == b"document"
        _, log = process.communicate(timeout=PATIENT)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in log.splitlines()] == events
