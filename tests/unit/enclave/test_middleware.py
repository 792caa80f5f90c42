"""The middleware, called as a server calls it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nitro_attest.enclave.middleware import AsgiAttestation, WsgiAttestation
from nitro_attest.enclave.tls import AttestedIdentity
from nitro_attest.errors import EnclaveError
from nitro_attest.transport.connection import CHALLENGE_PATH
from support.clock import PATIENT

NONCE = bytes(range(32))
QUERY = f"nonce={NONCE.hex()}"


class FakeNsm:
    """Answers with its nonce; first waits for ``resume``, and may raise ``error``."""

    def __init__(self) -> None:
        self.resume = threading.Event()
        self.resume.set()
        self.error: Exception | None = None
        self.nonces: list[bytes | None] = []

    def attest(self, *, nonce: bytes | None = None, **fields: bytes | None) -> bytes:
        self.nonces.append(nonce)
        assert self.resume.wait(PATIENT)
        if self.error is not None:
            raise self.error
        return b"document for " + (nonce or b"")


@pytest.fixture
def nsm() -> Iterator[FakeNsm]:
    nsm = FakeNsm()
    yield nsm
    nsm.resume.set()


Result = tuple[int, dict[str, str], bytes]


def call_asgi(middleware: AsgiAttestation, method: str, path: str, query: str) -> Result:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the middleware reads no body")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
    asyncio.run(middleware(scope, receive, send))
    start, body = sent
    headers = {name.decode().title(): text.decode() for name, text in start["headers"]}
    return start["status"], headers, body["body"]


def call_wsgi(middleware: WsgiAttestation, method: str, path: str, query: str) -> Result:
    started: list[Any] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    body = b"".join(middleware(environ, lambda *values: started.append(values)))
    [(status, headers)] = started
    return int(status.split()[0]), dict(headers), body


async def asgi_application(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", scope["type"].encode())]
    await send({"type": "http.response.start", "status": 299, "headers": headers})
    await send({"type": "http.response.body", "body": b"application"})


def wsgi_application(environ: Any, start_response: Any) -> list[bytes]:
    start_response("299 Application", [("Content-Type", "http")])
    return [b"application"]


Call = Callable[..., Result]
Wrapping = Callable[..., Call]


@pytest.fixture(params=["asgi", "wsgi"])
def wrapping(request: pytest.FixtureRequest, nsm: FakeNsm) -> Iterator[Wrapping]:
    """Puts the middleware in front of an application; its result takes path, query and method."""
    identity, opened = AttestedIdentity.create(nsm), []

    def wrap(**limits: Any) -> Call:
        if request.param == "asgi":
            asgi = AsgiAttestation(asgi_application, identity, **limits)
            opened.append(asgi)
            return lambda path, query, method="GET": call_asgi(asgi, method, path, query)
        wsgi = WsgiAttestation(wsgi_application, identity, **limits)
        opened.append(wsgi)
        return lambda path, query, method="GET": call_wsgi(wsgi, method, path, query)

    before = threading.active_count()
    yield wrap
    nsm.resume.set()
    for middleware in opened:
        middleware.close()
    for thread in threading.enumerate():
        if thread.name == "nitro-attest-nsm":
            thread.join(PATIENT)
    assert threading.active_count() == before


def test_a_challenge_is_answered(wrapping: Wrapping, nsm: FakeNsm) -> None:
    status, headers, body = wrapping()(CHALLENGE_PATH, QUERY)
    assert (status, body) == (200, b"document for " + NONCE)
    assert headers == {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }


def test_upper_case_digits_are_accepted(wrapping: Wrapping, nsm: FakeNsm) -> None:
    assert wrapping()(CHALLENGE_PATH, f"nonce={NONCE.hex().upper()}")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "", CHALLENGE_PATH + "/", "/x" + CHALLENGE_PATH, CHALLENGE_PATH.upper()]
)
def test_other_paths_reach_the_application(wrapping: Wrapping, nsm: FakeNsm, path: str) -> None:
    status, _, body = wrapping()(path, QUERY)
    assert (status, body) == (299, b"application")
    assert nsm.nonces == []


def test_other_types_of_asgi_reach_the_application(nsm: FakeNsm) -> None:
    middleware = AsgiAttestation(asgi_application, AttestedIdentity.create(nsm))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    for scope_type in ("lifespan", "websocket"):
        asyncio.run(middleware({"type": scope_type, "path": CHALLENGE_PATH}, None, send))
    assert len(sent) == 4


@pytest.mark.parametrize(
    "query",
    [
        "",
        "nonce=",
        "nonce=" + "00" * 31,
        "nonce=" + "00" * 33,
        "nonce=" + "00" * 31 + "0g",
        "nonce=" + "%30" * 64,
        QUERY + "&" + QUERY,
        QUERY + "&user_data=00",
        "user_data=00&" + QUERY,
        QUERY + "\n",
        "NONCE=" + NONCE.hex(),
        "nonce=" + "\u0660" * 64,
        "nonce=" + "00" * 100_000,
    ],
)
def test_a_query_may_contain_only_one_nonce(wrapping: Wrapping, nsm: FakeNsm, query: str) -> None:
    status, _, body = wrapping()(CHALLENGE_PATH, query)
    assert (status, body[:12]) == (400, b"input.nonce:")
    assert nsm.nonces == []


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get"])
def test_other_methods_are_rejected(wrapping: Wrapping, nsm: FakeNsm, method: str) -> None:
    status, headers, _ = wrapping()(CHALLENGE_PATH, QUERY, method)
    assert (status, headers["Allow"]) == (405, "GET")
    assert nsm.nonces == []


def test_an_error_of_the_nsm_is_sent_to_the_client(wrapping: Wrapping, nsm: FakeNsm) -> None:
    nsm.error = EnclaveError("nsm.internal_error", "it failed")
    status, _, body = wrapping()(CHALLENGE_PATH, QUERY)
    assert (status, body) == (500, b"nsm.internal_error: it failed\n")


def test_a_stalled_nsm_is_reported_and_its_queue_is_bounded(
    wrapping: Wrapping, nsm: FakeNsm
) -> None:
    middleware = wrapping(nsm_seconds=0.2, queued=1)
    queued = bytes(32)
    nsm.resume.clear()
    assert middleware(CHALLENGE_PATH, QUERY)[0] == 504  # in the NSM
    assert middleware(CHALLENGE_PATH, f"nonce={queued.hex()}")[0] == 504  # in the queue
    assert middleware(CHALLENGE_PATH, QUERY)[0] == 503  # the queue is full
    nsm.resume.set()
    while middleware(CHALLENGE_PATH, QUERY)[0] != 200:
        pass
    assert queued not in nsm.nonces  # its client was answered 504 before
