"""The exchange of one connection, without a connection."""

import ssl
import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from nitro_attest import PolicyError
from nitro_attest.channel.bindings import Bound, TlsKey
from nitro_attest.channel.exchange import (
    DEFAULT_TIMEOUT,
    ChannelVerifier,
    Lifetime,
    check_host,
    peer_of,
)
from support.clock import PATIENT
from support.enclave_server import PCRS, http, identities
from support.errors import code_of, code_or_none, rejection

CERTIFICATE = ssl.PEM_cert_to_DER_cert(identities()[0].certificate_pem.decode())


@dataclass
class Tls:
    """A TLS connection after its handshake, as far as the exchange looks at it."""

    protocol: str | None = "TLSv1.3"
    alpn: str | None = "http/1.1"
    session_reused: bool = False
    certificate: bytes | None = field(default=CERTIFICATE, repr=False)

    def version(self):
        return self.protocol

    def selected_alpn_protocol(self):
        return self.alpn

    def getpeercert(self, binary_form):
        assert binary_form
        return self.certificate


@pytest.fixture
def channel(options):
    return ChannelVerifier(binding=TlsKey(), **options)


def nonce_in(exchange):
    return bytes.fromhex(exchange.request.split()[1].decode().partition("nonce=")[2])


@pytest.fixture
def honest(fake, when):
    def answer(exchange, **changes):
        fields = {"nonce": nonce_in(exchange), "public_key": identities()[0].spki, "pcrs": PCRS}
        return http(fake.document(at=when, **fields | changes))

    return answer


def test_the_request_is_one_challenge(channel):
    exchange = channel.begin(Tls(), "enclave.example")
    nonce = nonce_in(exchange)
    assert exchange.request == (
        b"GET /.well-known/nitro-attestation?nonce=%s HTTP/1.1\r\n"
        b"Host: enclave.example\r\nAccept: */*\r\n\r\n" % nonce.hex().encode()
    )
    assert len(nonce) == 32


@pytest.mark.parametrize(
    ("host", "header"),
    [(None, b"enclave"), ("::1", b"[::1]"), ("127.0.0.1", b"127.0.0.1")],
)
def test_the_host_header_names_the_server(channel, host, header):
    assert b"\r\nHost: %s\r\n" % header in channel.begin(Tls(), host).request


def test_each_exchange_has_its_own_nonce(channel):
    nonces = {nonce_in(channel.begin(Tls())) for _ in range(50)}
    assert len(nonces) == 50


@pytest.mark.parametrize("size", [1, 7, 4096, 65536])
def test_the_answer_is_verified_once_it_is_complete(channel, clock, honest, size):
    exchange = channel.begin(Tls())
    answer = honest(exchange)
    pieces = [answer[start : start + size] for start in range(0, len(answer), size)]
    results = [exchange.feed(piece) for piece in pieces]
    assert results[:-1] == [None] * (len(pieces) - 1)
    assert results[-1].attestation.pcrs[0] == PCRS[0]


def test_an_answer_to_a_different_connection_is_rejected(channel, clock, honest):
    one, other = channel.begin(Tls()), channel.begin(Tls())
    error = rejection(one.feed, honest(other))
    assert (type(error), error.code) == (PolicyError, "policy.nonce")


def test_a_document_for_a_different_key_is_rejected(channel, clock, honest):
    exchange = channel.begin(Tls())
    answer = honest(exchange, public_key=identities()[1].spki)
    assert code_of(exchange.feed, answer) == "policy.binding"


@pytest.mark.parametrize("rest", [b"\0", http(b"forged")])
def test_bytes_after_the_answer_are_rejected(channel, clock, honest, rest):
    exchange = channel.begin(Tls())
    error = rejection(exchange.feed, honest(exchange) + rest)
    assert error.code == "transport.http"
    assert f"found {len(rest)} byte" in error.message


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (b"", "transport.no_answer"),
        (b"HTTP/1.1 200", "transport.http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n....", "transport.truncated"),
    ],
)
def test_a_closed_connection_is_rejected(channel, received, code):
    exchange = channel.begin(Tls())
    if received:
        assert exchange.feed(received) is None
    assert code_of(exchange.feed, b"") == code


def test_an_answer_larger_than_any_encoded_document_is_rejected(channel):
    exchange = channel.begin(Tls())
    assert code_of(exchange.feed, http(bytes(32769))) == "transport.too_large"


@pytest.mark.parametrize(
    "wrong",
    [
        Tls(protocol=None),
        Tls(protocol="TLSv1.1"),
        Tls(alpn="h2"),
        Tls(session_reused=True),
        Tls(certificate=None),
    ],
    ids=repr,
)
def test_a_connection_that_proves_no_key_is_rejected(channel, wrong):
    assert code_of(channel.begin, wrong) == "transport.tls"


def test_a_connection_without_alpn_is_accepted(channel):
    assert channel.begin(Tls(alpn=None)).request


def handshake(server, client, session=None):
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, session=session),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0]


def test_a_resumed_session_proves_no_key(channel):
    server, client = identities()[0].context(), channel.context
    client.options &= ~ssl.OP_NO_TICKET
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # resumption without further messages
    first = handshake(server, client)
    assert peer_of(first).certificate == CERTIFICATE
    resumed = handshake(server, client, first.session)
    assert resumed.session_reused
    assert resumed.getpeercert(True) == CERTIFICATE  # from the session, not from the server
    assert code_of(peer_of, resumed) == "transport.tls"


def test_the_settings_of_tls(channel, options):
    context = channel.context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    both = ChannelVerifier(binding=TlsKey(), **options, webpki=True).context
    assert (both.verify_mode, both.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_keys_are_not_written_to_a_file(monkeypatch, tmp_path, options):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert ChannelVerifier(binding=TlsKey(), **options).context.keylog_filename is None


class Odd:
    """A binding of the user's own."""

    nonce_bytes = 20
    path = "/odd?"

    def target(self, nonce):
        return self.path + nonce.hex()

    def document(self, body):
        return bytes.fromhex(body.decode())

    def check(self, attestation, peer):
        return Bound("odd", peer.public_key)


def test_a_binding_of_the_users_own(options, clock, fake, when):
    exchange = ChannelVerifier(binding=Odd(), **options).begin(Tls())
    nonce = bytes.fromhex(exchange.request.split()[1].decode().partition("?")[2])
    assert len(nonce) == 20
    document = fake.document(at=when, nonce=nonce, pcrs=PCRS)
    attested = exchange.feed(http(document.hex().encode()))
    assert attested.bound == Bound("odd", identities()[0].spki)
    assert attested.document == document


@pytest.mark.parametrize("size", [-1, 1, 15, 1025, 32.0, None, True, False])
def test_a_nonce_of_any_other_size_is_a_usage_error(options, monkeypatch, size):
    monkeypatch.setattr(Odd, "nonce_bytes", size)
    assert code_of(ChannelVerifier, binding=Odd(), **options) == "input.nonce"


def test_a_binding_without_nonce_needs_a_maximum_age(options, monkeypatch, clock, fake, when):
    monkeypatch.setattr(Odd, "nonce_bytes", 0)
    assert code_of(ChannelVerifier, binding=Odd(), **options) == "input.time"
    channel = ChannelVerifier(binding=Odd(), **options, max_age=timedelta(seconds=10))
    for age, code in ((9, None), (11, "freshness.too_old")):
        exchange = channel.begin(Tls())
        assert exchange.request.startswith(b"GET /odd? HTTP/1.1\r\n")
        document = fake.document(at=when - timedelta(seconds=age), pcrs=PCRS)
        assert code_or_none(exchange.feed, http(document.hex().encode())) == code


@pytest.mark.parametrize("path", ["", "odd?", "/a b?", "/\r\nX: y?", "/\u00e9?", "http://x/?"])
def test_a_target_that_would_end_the_request_line_is_a_usage_error(options, monkeypatch, path):
    monkeypatch.setattr(Odd, "path", path)
    assert code_of(ChannelVerifier(binding=Odd(), **options).begin, Tls()) == "input.expected"


@pytest.mark.parametrize(
    "host", ["", "a b", "a\r\nX: y", "a/b", ".a", "-a", "\u00e9", "a" * 256, 5]
)
def test_a_host_that_would_end_its_header_is_a_usage_error(channel, host):
    assert code_of(channel.begin, Tls(), host) == "input.endpoint"


@pytest.mark.parametrize("host", ["a", "enclave.example", "fe80::1%eth0", "127.0.0.1", "a_b"])
def test_a_host(host):
    assert check_host(host) == host


def test_the_shorter_of_two_limits_is_the_deadline(channel):
    assert 5 < channel.deadline().remaining() <= PATIENT
    assert channel.deadline(5).remaining() <= 5
    assert 5 < channel.deadline(2 * PATIENT).remaining() <= PATIENT


def test_the_default_deadline(fake):
    channel = ChannelVerifier(policy=PCRS, binding=TlsKey())
    assert channel.timeout == DEFAULT_TIMEOUT == 15


def test_a_connection_expires_after_its_lifetime():
    now = 100.0
    has_expired = Lifetime(timedelta(seconds=10), lambda: now).start()
    assert not has_expired()
    now = 109.9
    assert not has_expired()
    now = 110.0
    assert has_expired()


def test_the_lifetime_is_measured_by_a_clock_that_never_goes_back():
    assert Lifetime(timedelta(days=1))._clock is time.monotonic


@pytest.mark.parametrize("reattest", [timedelta(0), timedelta(seconds=-1), 900, None])
def test_a_lifetime_is_positive(reattest):
    assert code_of(Lifetime, reattest) == "input.time"
