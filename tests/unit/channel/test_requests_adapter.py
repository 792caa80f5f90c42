"""The adapter for requests: pools, redirects, proxies."""

import gc
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
import requests
import urllib3

from nitro_attest import InputError, NitroAttestError
from nitro_attest.channel import AttestedAdapter
from support.channel_clients import SECRET
from support.clock import PATIENT, Clock
from support.enclave_server import ConnectProxy, document, honest
from support.errors import code_of


@contextmanager
def attested(**options):
    with requests.Session() as session:
        session.mount("https://", AttestedAdapter(**options))
        yield session


def cause_of(kind, call, *arguments, **fields):
    """The code in the cause of the error, which is of exactly this kind."""
    with pytest.raises(kind) as caught:
        call(*arguments, **fields)
    assert type(caught.value) is kind
    assert caught.value.request is not None
    return caught.value.__cause__.code


def test_a_kept_connection_is_attested_once(server, options):
    with attested(**options) as session:
        responses = [session.post(server.url, data=SECRET) for _ in range(5)]
    assert len({id(response.nitro_attestation) for response in responses}) == 1
    assert responses[0].raw.nitro_attestation is responses[0].nitro_attestation
    assert (len(server.connections), server.attestations) == (1, 1)


def test_a_connection_is_closed_when_it_expires(server, options):
    clock = Clock()
    with attested(**options, clock=clock, reattest=timedelta(seconds=10)) as session:
        session.post(server.url)
        clock.now = 9.9
        session.post(server.url)
        assert server.attestations == 1
        clock.now = 10
        session.post(server.url)
    assert (len(server.connections), server.attestations) == (2, 2)


def test_an_expired_connection_may_lead_to_a_server_that_is_rejected_now(serve, options):
    answers = [document(public_key=b"another"), honest]
    server, clock = serve(answer=lambda server, nonce: answers.pop()(server, nonce)), Clock()
    with attested(**options, clock=clock) as session:
        session.post(server.url)
        clock.now = 15 * 60
        code = cause_of(requests.ConnectionError, session.post, server.url, data=SECRET)
    assert code == "policy.binding"
    assert SECRET not in server.application()


@pytest.mark.parametrize("path", ["/close", "/abort"])
def test_a_connection_that_the_server_closed_is_attested_anew(server, options, path):
    with attested(**options) as session:
        try:
            session.post(server.url + path)
        except requests.ConnectionError:
            assert path == "/abort"
        server.application()
        assert session.post(server.url).nitro_attestation
    assert server.attestations == len(server.connections) == 2


def test_a_response_after_which_the_server_disconnects_has_its_attestation(server, options):
    with attested(**options) as session:
        assert session.post(f"{server.url}/close").nitro_attestation.public_key == server.key


def test_a_redirect_to_another_enclave_is_attested_too(serve, options):
    one, other = serve(), serve()
    with attested(**options) as session:
        response = session.post(f"{one.url}/to?{other.url}/there")
    assert response.history[0].nitro_attestation
    assert other.attestations == 1
    assert other.paths == ["/there"]


def test_a_redirect_on_the_same_host_is_followed(server, options):
    with attested(**options) as session:
        session.post(f"{server.url}/to?/there")
    assert server.paths == ["/to?/there", "/there"]
    assert server.attestations == 1


def test_a_redirect_to_a_server_that_is_not_attested_is_rejected(serve, options):
    one, relay = serve(), serve(relay=True)
    with attested(**options) as session:
        url = f"{one.url}/to?{relay.url}/there"
        assert cause_of(requests.ConnectionError, session.post, url) == "policy.binding"
    assert relay.application() == b""


def test_a_redirect_to_plain_http_is_rejected(server, options):
    with socket.create_server(("127.0.0.1", 0)) as plain, attested(**options) as session:
        target = f"http://127.0.0.1:{plain.getsockname()[1]}/"
        for form in (target, target.upper()):
            code = cause_of(requests.ConnectionError, session.post, f"{server.url}/to?{form}")
            assert code == "transport.plaintext"
        plain.settimeout(0)
        with pytest.raises(BlockingIOError):
            plain.accept()
    gc.collect()


def test_plain_http_is_rejected(options):
    with requests.Session() as session:
        session.mount("http://", AttestedAdapter(**options))
        code = cause_of(requests.ConnectionError, session.post, "http://127.0.0.1:1/")
    assert code == "transport.plaintext"


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_host_that_tls_cannot_name_is_rejected(options, host, proxy):
    with attested(**options, proxy=proxy.url) as session:
        code = cause_of(requests.ConnectionError, session.post, f"https://{host}/")
    assert code == "input.endpoint"


def test_proxies_of_the_environment_are_ignored(server, options, proxy, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    with attested(**options) as session:
        session.post(server.url, data=SECRET)
    assert proxy.heads == []


def test_a_proxy_of_the_session_is_a_usage_error(server, options, proxy):
    with attested(**options) as session:
        session.proxies = {"https": proxy.url}
        assert code_of(session.post, server.url, data=SECRET) == "input.expected"
    assert server.connections == []


def test_a_client_certificate_is_a_usage_error(server, options):
    with attested(**options) as session:
        assert code_of(session.post, server.url, cert="client.pem") == "input.expected"


@pytest.mark.parametrize("verify", [True, False])
def test_the_argument_verify_has_no_effect(serve, options, verify):
    server, relay = serve(), serve(relay=True)
    with attested(**options) as session:
        assert session.post(server.url, verify=verify).nitro_attestation
        code = cause_of(requests.ConnectionError, session.post, relay.url, verify=verify)
    assert code == "policy.binding"


def test_a_proxy_that_the_caller_names_relays_ciphertext(server, options, proxy):
    named = proxy.url.replace("http://", "http://user:word@")
    with attested(**options, proxy=named) as session:
        for _ in range(2):
            response = session.post(f"{server.url}/secret", data=SECRET)
    assert response.nitro_attestation.public_key == server.key
    (head,) = proxy.heads
    assert head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1." % server.port)
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in head
    assert server.attestations == 1
    assert server.application().endswith(SECRET)


def test_a_relay_behind_a_proxy_is_rejected(serve, options, proxy):
    relay = serve(relay=True)
    with attested(**options, proxy=proxy.url, pool_maxsize=1, pool_block=True) as session:
        for _ in range(3):
            code = cause_of(requests.ConnectionError, session.post, relay.url, data=SECRET)
            assert code == "policy.binding"
    assert relay.application() == b""


def test_a_proxy_that_refuses(server, options):
    proxy = ConnectProxy(b"403 Forbidden")
    with attested(**options, proxy=proxy.url) as session, pytest.raises(requests.ConnectionError):
        session.post(server.url, data=SECRET)
    proxy.close()
    assert server.connections == []


@pytest.mark.parametrize("proxy", ["https://p:1", "socks5://p:1", "p:1", "http://", "", 5])
def test_any_other_proxy_is_a_usage_error(options, proxy):
    assert code_of(AttestedAdapter, **options, proxy=proxy) == "input.endpoint"


def test_the_duration_until_the_next_attestation_is_positive(options):
    assert code_of(AttestedAdapter, **options, reattest=timedelta(0)) == "input.time"


@pytest.mark.parametrize("arguments", [{"relay": True}, {"refuse": True}])
def test_a_rejected_server_is_not_tried_again(serve, options, arguments):
    server = serve(**arguments)
    retries = urllib3.Retry(5, backoff_factor=0)
    with attested(**options, max_retries=retries) as session:
        with pytest.raises(requests.ConnectionError) as caught:
            session.post(server.url, data=SECRET)
        assert isinstance(caught.value.__cause__, NitroAttestError)
    assert server.application() == b""
    assert len(server.connections) == 1


def test_a_refused_connection_is_an_error_of_requests_alone(options):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with attested(**options) as session, pytest.raises(requests.ConnectionError) as caught:
        session.post(url)
    assert not isinstance(caught.value.__cause__, InputError)


@pytest.mark.parametrize("arguments", [{"mute": True}, {"answer": lambda server, nonce: b"HTTP"}])
def test_the_connect_timeout_of_the_call_limits_the_attestation(serve, options, arguments):
    server = serve(**arguments)
    with attested(**options) as session:
        code = cause_of(
            requests.ConnectTimeout, session.post, server.url, data=SECRET, timeout=(0.3, None)
        )
    assert code == "transport.timeout"
    assert server.application() == b""


def test_the_read_timeout_of_the_call_applies_after_the_attestation(server, options):
    release = threading.Event()
    server.hold = release.wait
    with attested(**options) as session, pytest.raises(requests.ReadTimeout):
        session.post(server.url, timeout=(None, 0.2))
    release.set()


CONNECTIONS, REQUESTS = 20, 200


def test_two_hundred_requests_on_twenty_connections_attest_twenty_times(server, options):
    barrier = threading.Barrier(CONNECTIONS)
    server.hold = partial(barrier.wait, PATIENT)  # until twenty requests are under way
    pool = {"pool_maxsize": CONNECTIONS, "pool_block": True}
    with attested(**options, **pool) as session, ThreadPoolExecutor(REQUESTS) as threads:
        responses = list(
            threads.map(lambda _: session.post(server.url, data=SECRET), range(REQUESTS))
        )
    assert all(response.text == "done" for response in responses)
    assert len({id(response.nitro_attestation) for response in responses}) == CONNECTIONS
    assert [connection.challenges for connection in server.connections] == [1] * CONNECTIONS
    assert len(server.paths) == REQUESTS
