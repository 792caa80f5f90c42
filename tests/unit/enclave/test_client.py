"""The client, against a scripted peer on a Unix socket and against this package's server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    Attestation,
    ChainError,
    FormatError,
    PolicyError,
    TrustedRoots,
)
from nitro_attest.enclave import client
from nitro_attest.enclave.server import AttestationServer
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.testing import FakeNitro
from nitro_attest.transport.connection import UnixEndpoint, listen
from support.clock import PATIENT

NONCE = bytes(range(32))
Peer = Callable[..., str]
Fetch = Callable[..., client.Fetched]
Attest = Callable[..., Attestation]


@pytest.fixture(params=["fetch", "fetch_async"])
def fetch(request: pytest.FixtureRequest) -> Fetch:
    """Both forms of the function; that for event loops runs in a new one."""
    return client.fetch if request.param == "fetch" else in_loop(client.fetch_async)


@pytest.fixture(params=["attest", "attest_async"])
def attest(request: pytest.FixtureRequest) -> Attest:
    return client.attest if request.param == "attest" else in_loop(client.attest_async)


def in_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values, **named: asyncio.run(function(*values, **named))


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Callable[..., tuple[str, list[bytes]]]]:
    """Answers each connection with the next of the given bytes, then closes it."""
    path = str(tmp_path / "peer.sock")
    threads: list[threading.Thread] = []

    def start(*answers: bytes, close: bool = True) -> tuple[str, list[bytes]]:
        requests: list[bytes] = []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(8)

        def run() -> None:
            with listener:
                for answer in answers:
                    with listener.accept()[0] as connection:
                        connection.settimeout(PATIENT)
                        requests.append(connection.recv(4096))
                        with contextlib.suppress(OSError):  # the client may have heard enough
                            connection.sendall(answer)
                        if not close:
                            connection.recv(1)  # until the client disconnects

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"unix:{path}", requests

    yield start
    for thread in threads:
        thread.join(PATIENT)
        assert not thread.is_alive()


def answer(body: bytes, head: bytes = b"", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (size, head, body)


def test_a_document_is_fetched_for_the_given_nonce(peer: Peer, fetch: Fetch) -> None:
    endpoint, requests = peer(answer(b"document"))
    fetched = fetch(endpoint, NONCE)
    assert (fetched.document, fetched.nonce) == (b"document", NONCE)
    assert requests == [
        b"GET /attestation/raw?nonce=%s HTTP/1.1\r\nHost: enclave\r\n"
        b"Accept: application/octet-stream\r\nConnection: close\r\n\r\n" % NONCE.hex().encode()
    ]


def test_each_challenge_has_its_own_32_random_bytes(peer: Peer, fetch: Fetch) -> None:
    endpoint, requests = peer(answer(b"1"), answer(b"2"))
    first, second = fetch(endpoint), fetch(endpoint)
    assert len(first.nonce) == len(second.nonce) == 32
    assert first.nonce != second.nonce
    assert first.nonce.hex().encode() in requests[0]


def test_an_answer_ends_at_its_declared_length(peer: Peer, fetch: Fetch) -> None:
    endpoint, _ = peer(answer(b"document"), close=False)
    assert fetch(endpoint).document == b"document"


def test_the_largest_document_is_read(peer: Peer, fetch: Fetch) -> None:
    endpoint, _ = peer(answer(bytes(16384)))
    assert fetch(endpoint).document == bytes(16384)


def chunked(size: bytes, head: bytes = b"") -> bytes:
    coding = b"Transfer-Encoding: chunked\r\n"
    return b"HTTP/1.1 200 OK\r\n" + head + coding + b"\r\n%s\r\ndocument\r\n0\r\n\r\n" % size


def test_a_document_in_chunks_is_read(peer: Peer, fetch: Fetch) -> None:
    endpoint, _ = peer(chunked(b"8"))
    assert fetch(endpoint).document == b"document"


def declared(length: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\ndocument" % length


HOSTILE = {
    "transport.no_answer": {"nothing": b""},
    "transport.truncated": {"body_cut": answer(b"doc", length=8)},
    "transport.too_large": {
        "declared": answer(b"", length=16385),
        "declared_2^31": declared(b"%d" % 2**31),
        "declared_2^63-1": declared(b"%d" % (2**63 - 1)),
        "declared_2^80": declared(b"%d" % 2**80),
        "declared_in_5000_digits": declared(b"9" * 5000),
        "endless_status_line": b"HTTP/1.1 200 " + b"O" * 40000,
        "endless_header": answer(b"", head=b"X: " + b"y" * 40000),
        "endless_headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 7000,
        "binary": bytes(40000),
    },
    "transport.http": {
        "head_cut": b"HTTP/1.1 200 O",
        "not_http": b"SSH-2.0-x\r\n",
        "http_0_9": b"document\n",
        "http_2": b"HTTP/2 200 OK\r\nContent-Length: 1\r\n\r\n.",
        "no_length": b"HTTP/1.1 200 OK\r\n\r\ndocument",
        "empty": answer(b""),
        "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"document"),
        "endless_continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        "no_content": b"HTTP/1.1 204 No Content\r\n\r\n",
        "status_of_two_digits": b"HTTP/1.1 20 OK\r\nContent-Length: 8\r\n\r\ndocument",
        "chunk_size_cut": chunked(b"7"),
        "chunk_2^80": chunked(b"%x" % 2**80),
        "chunk_2^63-1": chunked(b"%x" % (2**63 - 1)),
        "chunk_2^62": chunked(b"%x" % 2**62),
        "chunk_of_8_GiB": chunked(b"%x" % 2**33),
        "chunk_negative": chunked(b"-5"),
        "chunk_underscore": chunked(b"0_8"),
        "chunk_of_5000_digits": chunked(b"f" * 5000),
        "chunk_and_length": chunked(b"8", b"Content-Length: 8\r\n"),
        "length_negative": declared(b"-5"),
        "length_signed": declared(b"+8"),
        "length_underscore": declared(b"0_8"),
        "length_hexadecimal": declared(b"0x8"),
        "length_octal": declared(b"010"),
        "length_list": declared(b"8, 8"),
        "length_superscript": declared("⁸".encode()),
        "two_lengths": answer(b"document", head=b"Content-Length: 8\r\n"),
        "two_different_lengths": answer(b"document", head=b"Content-Length: 3\r\n"),
        "folded": answer(b"document", head=b"X: y\r\n z\r\n"),
        "bare_line_feeds": answer(b"document").replace(b"\r\n", b"\n"),
        "nul_in_header": answer(b"document", head=b"X: \0\r\n"),
        "space_before_colon": answer(b"document", head=b"X : y\r\n"),
        "header_without_colon": answer(b"document", head=b"X\r\n"),
    },
    "transport.redirect": {
        "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n",
    },
    "transport.busy": {"busy": b"HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\n."},
    "transport.nsm_stalled": {"late": b"HTTP/1.1 504 Late\r\nContent-Length: 1\r\n\r\n."},
    "transport.status": {
        "not_found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n\x1b[2J",
    },
}


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(HOSTILE[code][name], code, id=name)
        for code in HOSTILE
        for name in HOSTILE[code]
    ],
)
def test_each_malformed_answer_has_its_code(
    peer: Peer, reply: bytes, code: str, fetch: Fetch
) -> None:
    endpoint, _ = peer(reply)
    with pytest.raises(EnclaveError) as caught:
        fetch(endpoint, NONCE)
    assert caught.value.code == code
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"", "transport.no_answer"),
        (b"HTTP", "transport.http"),
        (answer(b"doc", length=8), "transport.truncated"),
    ],
)
def test_a_reset_connection_has_the_code_of_a_closed_one(
    monkeypatch: pytest.MonkeyPatch, reply: bytes, code: str
) -> None:
    class Connection(io.BytesIO):
        def settimeout(self, seconds: float) -> None:
            pass

        def sendall(self, data: bytes) -> None:
            pass

        def recv(self, size: int) -> bytes:
            if data := self.read(size):
                return data
            raise ConnectionResetError

    monkeypatch.setattr(client, "connect", lambda *_: Connection(reply))
    with pytest.raises(EnclaveError) as caught:
        client.fetch("unix:/peer", NONCE)
    assert caught.value.code == code


def test_one_deadline_covers_the_whole_answer(peer: Peer, fetch: Fetch) -> None:
    endpoint, _ = peer(answer(b"doc", length=8), close=False)
    with pytest.raises(EnclaveError) as caught:
        fetch(endpoint, NONCE, timeout=0.05)
    assert caught.value.code == "transport.timeout"


def test_a_cancelled_task_closes_its_connection(tmp_path: Path) -> None:
    path = str(tmp_path / "peer.sock")

    async def cancel() -> bytes:
        loop = asyncio.get_running_loop()
        task = loop.create_task(client.fetch_async(f"unix:{path}", NONCE))
        peer, _ = await loop.sock_accept(listener)
        with peer:
            peer.setblocking(False)
            assert await loop.sock_recv(peer, 4096)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await asyncio.wait_for(loop.sock_recv(peer, 4096), PATIENT)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.setblocking(False)
        assert asyncio.run(cancel()) == b""


def test_a_reset_connection_of_an_event_loop_is_closed_too(tmp_path: Path) -> None:
    path = str(tmp_path / "peer.sock")

    async def reset() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(client.fetch_async(f"unix:{path}", NONCE))
        peer, _ = await loop.sock_accept(listener)
        assert await loop.sock_recv(peer, 1) == b"G"
        peer.close()  # with unread bytes: a reset
        with pytest.raises(EnclaveError) as caught:
            await task
        assert caught.value.code == "transport.no_answer"

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.setblocking(False)
        asyncio.run(reset())


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    monkeypatch.setattr(client.time, "sleep", naps.append)
    monkeypatch.setattr(client.asyncio, "sleep", nap)
    return naps


def test_attempts_without_an_answer_are_repeated_during_wait(
    peer: Peer, naps: list[float], fetch: Fetch
) -> None:
    endpoint, requests = peer(b"", b"", answer(b"document"))
    assert fetch(endpoint, NONCE, wait=PATIENT).document == b"document"
    assert len(requests) == 3
    assert naps == [0.25, 0.25]


def test_nothing_is_retried_without_wait(peer: Peer, naps: list[float], fetch: Fetch) -> None:
    endpoint, _ = peer(b"")
    with pytest.raises(EnclaveError):
        fetch(endpoint, NONCE)
    assert naps == []


@pytest.mark.parametrize("reply", [b"H", answer(b"d", length=2), b"HTTP/1.1 503 Busy\r\n\r\n"])
def test_nothing_is_retried_once_a_byte_was_received(
    peer: Peer, naps: list[float], reply: bytes, fetch: Fetch
) -> None:
    endpoint, _ = peer(reply)
    with pytest.raises(EnclaveError):
        fetch(endpoint, NONCE, wait=PATIENT)
    assert naps == []


@pytest.mark.parametrize("nonce", [b"", bytes(15), bytes(65), "00" * 16, bytearray(16)])
def test_an_invalid_nonce_is_rejected_before_connecting(nonce: object, fetch: Fetch) -> None:
    with pytest.raises(InputError) as caught:
        fetch("unix:/nowhere", nonce)
    assert caught.value.code == "input.nonce"


@pytest.mark.parametrize(
    ("timeout", "wait"), [(0, 0), (-1, 0), (float("nan"), 0), (float("inf"), 0), (1, -1), ("1", 0)]
)
def test_an_invalid_time_is_rejected_before_connecting(
    timeout: object, wait: object, fetch: Fetch
) -> None:
    with pytest.raises(InputError) as caught:
        fetch("unix:/nowhere", NONCE, timeout=timeout, wait=wait)
    assert caught.value.code == "input.time"


def test_proxy_variables_are_ignored(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, fetch: Fetch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    endpoint, _ = peer(answer(b"document"))
    assert fetch(endpoint).document == b"document"


@pytest.fixture
def served(tmp_path: Path, fake: FakeNitro) -> Iterator[str]:
    """This package's server, with a fake hypervisor as its NSM."""
    path = str(tmp_path / "server.sock")

    class FakeNsm:
        def attest(self, **fields: bytes | None) -> bytes:
            return fake.document(**fields)

    server = AttestationServer(listen(UnixEndpoint(path, None)), FakeNsm(), public_key=b"key")
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"unix:{path}"
    server.stop()
    thread.join(PATIENT)
    assert not thread.is_alive()


def test_attest_verifies_the_nonce_that_it_sent(
    served: str, fake: FakeNitro, attest: Attest
) -> None:
    roots = TrustedRoots.from_pem(fake.root_pem)
    attestation = attest(served, policy=ANY_ENCLAVE, roots=roots, nonce=NONCE)
    assert (attestation.nonce, attestation.public_key) == (NONCE, b"key")
    assert len(attest(served, policy=ANY_ENCLAVE, roots=roots).nonce) == 32


def test_attest_trusts_only_the_aws_root_by_default(served: str, attest: Attest) -> None:
    with pytest.raises(ChainError):
        attest(served, policy=ANY_ENCLAVE)


def test_attest_rejects_a_different_image(served: str, fake: FakeNitro, attest: Attest) -> None:
    roots = TrustedRoots.from_pem(fake.root_pem)
    with pytest.raises(PolicyError) as caught:
        attest(served, policy={0: b"\1" * 48}, roots=roots)
    assert caught.value.code == "policy.pcr_mismatch"


def test_attest_rejects_the_answer_to_a_different_challenge(
    peer: Peer, fake: FakeNitro, attest: Attest
) -> None:
    replayed = fake.document(nonce=NONCE)
    endpoint, _ = peer(answer(replayed))
    roots = TrustedRoots.from_pem(fake.root_pem)
    with pytest.raises(PolicyError) as caught:
        attest(endpoint, policy=ANY_ENCLAVE, roots=roots)
    assert caught.value.code == "policy.nonce"


@pytest.mark.usefixtures("clock")
def test_attest_rejects_a_document_above_the_maximum_age(
    peer: Peer, fake: FakeNitro, when: datetime, attest: Attest
) -> None:
    document = fake.document(nonce=NONCE, at=when - timedelta(minutes=10))
    endpoint, _ = peer(answer(document), answer(document))
    roots = TrustedRoots.from_pem(fake.root_pem)

    def challenge(max_age: timedelta) -> Attestation:
        return attest(endpoint, policy=ANY_ENCLAVE, roots=roots, nonce=NONCE, max_age=max_age)

    assert challenge(timedelta(minutes=11)).nonce == NONCE
    with pytest.raises(PolicyError) as caught:
        challenge(timedelta(minutes=9))
    assert caught.value.code == "freshness.too_old"


def test_attest_has_no_default_policy(served: str, attest: Attest) -> None:
    with pytest.raises(TypeError):
        attest(served)


def test_p7_attest_rejects_unknown_fields_unless_a_warning_is_enough(
    peer: Peer, attest: Attest, fake: FakeNitro
) -> None:
    document = fake.document(nonce=NONCE, fault="P-7.structure")
    endpoint, _ = peer(answer(document), answer(document))
    code = "payload.unknown_key"
    with pytest.raises(FormatError) as caught:
        attest(endpoint, policy=ANY_ENCLAVE, roots=fake.root_pem, nonce=NONCE)
    assert caught.value.code == code
    attestation = attest(
        endpoint, policy=ANY_ENCLAVE, roots=fake.root_pem, nonce=NONCE, unknown_fields="warn"
    )
    assert code in [warning.code for warning in attestation.warnings]


def test_x24_attest_rejects_names_that_disagree_unless_a_warning_is_enough(
    peer: Peer, attest: Attest, fake: FakeNitro
) -> None:
    document = fake.document(nonce=NONCE, fault="X-24.other-enclave")
    endpoint, _ = peer(answer(document), answer(document))
    code = "consistency.module_id"
    with pytest.raises(PolicyError) as caught:
        attest(endpoint, policy=ANY_ENCLAVE, roots=fake.root_pem, nonce=NONCE)
    assert caught.value.code == code
    attestation = attest(
        endpoint, policy=ANY_ENCLAVE, roots=fake.root_pem, nonce=NONCE, consistency="warn"
    )
    assert code in [warning.code for warning in attestation.warnings]
