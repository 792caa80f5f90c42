"""attested_socket: what it does beside what every client does (test_every_client.py)."""

import socket
import ssl

import pytest

from nitro_attest.channel import attested_socket
from nitro_attest.transport.connection import Deadline, UnixEndpoint, connect
from support.enclave_server import PCRS
from support.errors import code_of


@pytest.fixture
def plain(server):
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        yield plain


def test_the_timeout_of_the_socket_is_kept(plain, options):
    plain.settimeout(77)
    tls, _ = attested_socket(plain, **options)
    with tls:
        assert tls.gettimeout() == 77


def test_the_socket_is_taken_over(plain, options):
    tls, _ = attested_socket(plain, **options)
    with tls:
        assert plain.fileno() == -1
        assert isinstance(tls, ssl.SSLSocket)


def test_the_socket_is_closed_if_the_server_is_rejected(plain, options):
    options["policy"] = {0: bytes([7]) * 48}
    assert code_of(attested_socket, plain, **options) == "policy.pcr_mismatch"
    assert plain.fileno() == -1


def test_the_server_name_is_sent_in_both_forms(serve, options):
    names = []

    def with_names(context):
        context.sni_callback = lambda tls, name, context: names.append(name)

    server = serve(context=with_names)
    plain = socket.create_connection(("127.0.0.1", server.port))
    attested_socket(plain, **options, server_hostname="enclave.example")[0].close()
    assert server.application() == b""
    (connection,) = server.connections
    assert b"\r\nHost: enclave.example\r\n" in connection.received
    assert names == ["enclave.example"]


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", ".a"])
def test_a_name_that_tls_cannot_send_is_a_usage_error(plain, options, name):
    assert code_of(attested_socket, plain, **options, server_hostname=name) == "input.endpoint"


def test_webpki_needs_a_name(plain, options):
    assert code_of(attested_socket, plain, **options, webpki=True) == "input.expected"
    assert plain.fileno() > 0


def test_a_socket_that_is_not_connected_is_rejected(options):
    with socket.socket() as plain:
        assert code_of(attested_socket, plain, **options) == "transport.tls"


def test_an_endpoint_that_is_no_tcp_address(serve, options, tmp_path):
    server = serve(family=socket.AF_UNIX, address=str(tmp_path / "enclave.sock"))
    plain = connect(UnixEndpoint(server.address, None), Deadline(30))
    tls, attestation = attested_socket(plain, **options)
    tls.close()
    assert attestation.pcrs[0] == PCRS[0]
