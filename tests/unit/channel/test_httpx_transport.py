"""The transports for httpx: pools, redirects, proxies, cancellation."""

import asyncio
import gc
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from nitro_attest import InputError
from nitro_attest.channel import AsyncAttestedTransport, AttestedTransport
from support.channel_clients import SECRET
from support.clock import PATIENT, Clock
from support.enclave_server import ConnectProxy, document, honest
from support.errors import code_of


@contextmanager
def sync_client(limit=None, **options):
    with httpx.Client(
        transport=AttestedTransport(**options), timeout=limit, follow_redirects=True
    ) as client:
        yield client.post


@contextmanager
def async_client(limit=None, **options):
    """An AsyncClient in a thread of its own, called from this one."""
    with start_blocking_portal() as portal:
        client = httpx.AsyncClient(
            transport=AsyncAttestedTransport(**options), timeout=limit, follow_redirects=True
        )
        with portal.wrap_async_context_manager(client):
            yield lambda *arguments, **fields: portal.call(
                partial(client.post, *arguments, **fields)
            )


each_client = pytest.mark.parametrize("client", [sync_client, async_client])


def cause_of(kind, call, *arguments, **fields):
    """The code in the cause of the error, which is of exactly this kind."""
    with pytest.raises(kind) as caught:
        call(*arguments, **fields)
    assert type(caught.value) is kind
    return caught.value.__cause__.code


@each_client
def test_a_kept_connection_is_attested_once(client, server, options):
    with client(**options) as post:
        responses = [post(f"{server.url}/{number}", content=SECRET) for number in range(5)]
    assert len({id(response.extensions["nitro_attestation"]) for response in responses}) == 1
    assert (len(server.connections), server.attestations) == (1, 1)


@each_client
def test_a_connection_is_closed_when_it_expires(client, server, options):
    clock = Clock()
    with client(**options, clock=clock, reattest=timedelta(seconds=10)) as post:
        post(server.url)
        clock.now = 9.9
        post(server.url)
        assert server.attestations == 1
        clock.now = 10
        post(server.url)
    assert (len(server.connections), server.attestations) == (2, 2)


@each_client
def test_an_expired_connection_may_lead_to_a_server_that_is_rejected_now(client, serve, options):
    answers = [document(public_key=b"another"), honest]
    server, clock = serve(answer=lambda server, nonce: answers.pop()(server, nonce)), Clock()
    with client(**options, clock=clock) as post:
        post(server.url)
        clock.now = 15 * 60
        assert cause_of(httpx.ConnectError, post, server.url, content=SECRET) == "policy.binding"
    assert SECRET not in server.application()


@each_client
def test_a_connection_that_the_server_closed_is_not_used_again(client, server, options):
    with client(**options) as post:
        post(f"{server.url}/close")
        server.application()
        post(server.url)
    assert server.attestations == len(server.connections) == 2


@each_client
def test_a_redirect_to_another_enclave_is_attested_too(client, serve, options):
    one, other = serve(), serve()
    with client(**options) as post:
        response = post(f"{one.url}/to?{other.url}/there")
    assert response.history[0].extensions["nitro_attestation"]
    assert other.attestations == 1
    assert other.paths == ["/there"]


@each_client
def test_a_redirect_to_a_server_that_is_not_attested_is_rejected(client, serve, options):
    one, relay = serve(), serve(relay=True)
    with client(**options) as post:
        code = cause_of(httpx.ConnectError, post, f"{one.url}/to?{relay.url}/there")
    assert code == "policy.binding"
    assert relay.application() == b""


@each_client
@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_redirect_to_plain_http_is_rejected(client, server, options, scheme):
    with socket.create_server(("127.0.0.1", 0)) as plain:
        target = f"{scheme}://127.0.0.1:{plain.getsockname()[1]}/"
        with client(**options) as post:
            code = cause_of(httpx.UnsupportedProtocol, post, f"{server.url}/to?{target}")
            assert cause_of(httpx.UnsupportedProtocol, post, target) == "transport.plaintext"
        assert code == "transport.plaintext"
        plain.settimeout(0)
        with pytest.raises(BlockingIOError):
            plain.accept()


@each_client
def test_proxies_of_the_environment_are_ignored(client, server, options, proxy, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    with client(**options) as post:
        post(server.url, content=SECRET)
    assert proxy.heads == []


@each_client
def test_a_proxy_that_the_caller_names_relays_ciphertext(client, server, options, proxy):
    with client(**options, proxy=httpx.Proxy(proxy.url, auth=("user", "word"))) as post:
        for _ in range(2):
            response = post(f"{server.url}/secret", content=SECRET)
    assert response.extensions["nitro_attestation"].public_key == server.key
    (head,) = proxy.heads
    assert head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % server.port)
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in head
    assert server.attestations == 1
    assert server.application().endswith(SECRET)


@each_client
def test_a_relay_behind_a_proxy_is_rejected_and_leaves_no_place_in_the_pool_taken(
    client, serve, options, proxy
):
    relay = serve(relay=True)
    limits = httpx.Limits(max_connections=1)
    limit = httpx.Timeout(None, pool=PATIENT)
    with client(**options, proxy=proxy.url, limits=limits, limit=limit) as post:
        for _ in range(3):
            code = cause_of(httpx.ConnectError, post, relay.url, content=SECRET)
            assert code == "policy.binding"
    assert relay.application() == b""


@each_client
def test_a_connection_through_a_proxy_expires_too(client, server, options, proxy):
    clock = Clock()
    with client(**options, proxy=proxy.url, clock=clock) as post:
        post(server.url)
        clock.now = 15 * 60
        post(server.url)
    assert server.attestations == len(proxy.heads) == 2


@each_client
def test_a_proxy_that_refuses(client, server, options):
    proxy = ConnectProxy(b"403 Forbidden")
    with client(**options, proxy=proxy.url) as post, pytest.raises(httpx.ProxyError):
        post(server.url, content=SECRET)
    proxy.close()
    assert server.connections == []


@each_client
def test_a_host_that_tls_cannot_name_is_rejected(client, options, proxy):
    with client(**options, proxy=proxy.url) as post:
        code = cause_of(
            httpx.ConnectError, post, "https://127.0.0.1", extensions={"sni_hostname": "a..b"}
        )
    assert code in ("input.endpoint", "transport.tls")


@pytest.mark.parametrize("transport", [AttestedTransport, AsyncAttestedTransport])
@pytest.mark.parametrize("proxy", ["https://p:1", "socks5://p:1", "p:1", "http://", "", 5, b"p"])
def test_any_other_proxy_is_a_usage_error(transport, options, proxy):
    assert code_of(transport, **options, proxy=proxy) == "input.endpoint"


@pytest.mark.parametrize("transport", [AttestedTransport, AsyncAttestedTransport])
def test_the_duration_until_the_next_attestation_is_positive(transport, options):
    assert code_of(transport, **options, reattest=timedelta(0)) == "input.time"


@each_client
def test_a_refused_connection_is_an_error_of_httpx_alone(client, options):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with client(**options) as post, pytest.raises(httpx.ConnectError) as caught:
        post(url)
    assert not isinstance(caught.value.__cause__, InputError)


@each_client
def test_the_connect_timeout_of_the_client_limits_the_attestation(client, serve, options):
    server = serve(answer=lambda server, nonce: b"HTTP/1.1 ")
    with client(**options, limit=httpx.Timeout(None, connect=0.3)) as post:
        code = cause_of(httpx.ConnectTimeout, post, server.url, content=SECRET)
    assert code == "transport.timeout"
    assert server.application() == b""


@each_client
def test_later_errors_are_those_of_httpx(client, server, options):
    release = threading.Event()
    with client(**options, limit=httpx.Timeout(None, read=0.2)) as post:
        with pytest.raises(httpx.RemoteProtocolError):
            post(f"{server.url}/abort")
        server.hold = release.wait
        with pytest.raises(httpx.ReadTimeout):
            post(server.url)
        release.set()
        assert post(server.url).text == "done"
    assert server.attestations == len(server.connections)


@each_client
def test_a_body_that_breaks_off_is_an_error_of_httpx(client, server, options):
    with (
        client(**options) as post,
        pytest.raises(httpx.RemoteProtocolError, match="complete"),
    ):
        post(f"{server.url}/broken")


CONNECTIONS, REQUESTS = 20, 200


def test_twenty_threads_of_connections_are_attested_twenty_times(server, options):
    barrier = threading.Barrier(CONNECTIONS)
    server.hold = partial(barrier.wait, PATIENT)  # until twenty requests are under way
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    with (
        sync_client(**options, limits=limits) as post,
        ThreadPoolExecutor(REQUESTS) as threads,
    ):
        responses = list(threads.map(lambda _: post(server.url, content=SECRET), range(REQUESTS)))
    check_pool(server, responses)


def test_two_hundred_tasks_on_twenty_connections_attest_twenty_times(server, options):
    barrier = threading.Barrier(CONNECTIONS)
    server.hold = partial(barrier.wait, PATIENT)
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)

    async def post_all():
        transport = AsyncAttestedTransport(**options, limits=limits)
        async with httpx.AsyncClient(transport=transport, timeout=None) as client:
            return await asyncio.gather(
                *(client.post(server.url, content=SECRET) for _ in range(REQUESTS))
            )

    check_pool(server, asyncio.run(post_all()))


def check_pool(server, responses):
    assert all(response.text == "done" for response in responses)
    assert len({id(response.extensions["nitro_attestation"]) for response in responses}) == 20
    assert len(server.connections) == server.attestations == CONNECTIONS
    assert [connection.challenges for connection in server.connections] == [1] * CONNECTIONS
    assert len(server.paths) == REQUESTS


@pytest.mark.parametrize(
    "arguments", [{"mute": True}, {"answer": lambda server, nonce: b"HTTP/1.1 "}, {}]
)
@pytest.mark.parametrize("proxied", [False, True])
def test_a_cancelled_task_leaves_no_socket_open(serve, options, arguments, proxied, proxy):
    server, release = serve(**arguments), threading.Event()
    server.hold = release.wait

    async def cancel():
        transport = AsyncAttestedTransport(**options, proxy=proxy.url if proxied else None)
        async with httpx.AsyncClient(transport=transport, timeout=None) as client:
            task = asyncio.create_task(client.post(server.url, content=SECRET))
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, server.received.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            release.set()
            await loop.run_in_executor(None, server.application)  # until it is disconnected

    asyncio.run(cancel())
    gc.collect()
    if arguments:
        assert server.application() == b""
