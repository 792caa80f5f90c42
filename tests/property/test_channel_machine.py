"""Pools over open, reuse, expire, error and close: no connection is ever used unattested."""

from contextlib import ExitStack
from datetime import timedelta

import httpx
import pytest
import requests
from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from nitro_attest.channel import AsyncAttestedTransport, AttestedAdapter, AttestedTransport
from support.channel_clients import SECRET
from support.clock import Clock
from support.enclave_server import (
    CHALLENGE,
    PCRS,
    document,
    fake_enclave,
    honest,
    identities,
)

REATTEST = 100
ANSWERS = {
    "honest": (honest, None),
    "relay": (document(public_key=identities()[1].spki), "policy.binding"),
    "other_image": (document(pcrs={**PCRS, 0: bytes([9]) * 48}), "policy.pcr_mismatch"),
    "replay": (document(nonce=bytes(32)), "policy.nonce"),
    "closed": (lambda server, nonce: b"", "transport.no_answer"),
}


def with_httpx(stack, **options):
    client = stack.enter_context(httpx.Client(transport=AttestedTransport(**options)))
    return lambda url: client.post(url, content=SECRET).extensions["nitro_attestation"]


def with_async_httpx(stack, **options):
    portal = stack.enter_context(start_blocking_portal())
    client = httpx.AsyncClient(transport=AsyncAttestedTransport(**options))
    stack.enter_context(portal.wrap_async_context_manager(client))

    async def post(url):
        return (await client.post(url, content=SECRET)).extensions["nitro_attestation"]

    return lambda url: portal.call(post, url)


def with_requests(stack, **options):
    session = stack.enter_context(requests.Session())
    session.mount("https://", AttestedAdapter(**options))
    return lambda url: session.post(url, data=SECRET).nitro_attestation


class Pools(RuleBasedStateMachine):
    """One client and two servers, and the model: when the one connection to each was attested."""

    def __init__(self, make_client, fake, when):
        super().__init__()
        self.make_client = make_client
        self.options = {"policy": PCRS, "roots": fake.root_pem, "timeout": 30.0}
        self.servers_stack = ExitStack()
        self.servers = [self.servers_stack.enter_context(fake_enclave(fake, when)) for _ in "ab"]
        self.answers = dict.fromkeys(self.servers, "honest")
        self.clock = Clock()
        self.open_client()

    def open_client(self):
        self.client_stack = ExitStack()
        reattest = timedelta(seconds=REATTEST)
        self.post = self.make_client(
            self.client_stack, **self.options, clock=self.clock, reattest=reattest
        )
        self.attested_at = dict.fromkeys(self.servers)

    def teardown(self):
        self.client_stack.close()
        for server in self.servers:
            server.application()  # waits until every connection is closed: none is left open
        self.servers_stack.close()

    @rule(which=st.integers(0, 1), path=st.sampled_from(["/", "/", "/", "/close", "/abort"]))
    def request(self, which, path):
        server = self.servers[which]
        known = self.attested_at[server]
        reused = known is not None and self.clock.now - known < REATTEST
        code = None if reused else ANSWERS[self.answers[server]][1]
        before = server.attestations
        try:
            attestation = self.post(server.url + path)
        except (httpx.TransportError, requests.ConnectionError) as error:
            found = getattr(error.__cause__, "code", None)
            assert found == code
            assert code or path == "/abort"
        else:
            assert code is None
            assert path != "/abort"
            assert attestation.public_key == server.key
        assert server.attestations == before + (not reused)
        if code or path != "/":
            self.attested_at[server] = None
        elif not reused:
            self.attested_at[server] = self.clock.now

    @rule(which=st.integers(0, 1), answer=st.sampled_from(sorted(ANSWERS)))
    def change_server(self, which, answer):
        server = self.servers[which]
        self.answers[server] = answer
        server.answer = ANSWERS[answer][0]

    @rule(seconds=st.sampled_from([1, REATTEST - 1, REATTEST]))
    def pass_time(self, seconds):
        self.clock.now += seconds

    @rule(which=st.integers(0, 1))
    def drop_connections(self, which):
        self.servers[which].drop()
        self.attested_at[self.servers[which]] = None

    @rule()
    def close_client(self):
        self.client_stack.close()
        self.open_client()

    @invariant()
    def every_connection_begins_with_its_only_challenge(self):
        for server in self.servers:
            for connection in server.connections:
                assert not connection.received or CHALLENGE.match(connection.received)
                assert connection.challenges <= 1
                assert not connection.application or connection.accepted


@pytest.mark.parametrize("make_client", [with_httpx, with_async_httpx, with_requests])
def test_no_connection_is_used_unattested(make_client, fake, when, clock):
    run_state_machine_as_test(
        lambda: Pools(make_client, fake, when),
        settings=settings(max_examples=12, stateful_step_count=20, deadline=None),
    )
