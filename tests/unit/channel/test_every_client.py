"""Each client of the channel against an honest enclave and every other kind of server."""

import gc

import pytest

from nitro_attest.channel.bindings import TlsKey
from support.channel_clients import CLIENTS, SECRET, rejection_by
from support.enclave_server import MISBEHAVIOURS, PCRS, honest, identities
from support.errors import code_of

each_client = pytest.mark.parametrize("client", CLIENTS)


@each_client
def test_an_enclave_is_attested_before_the_first_byte_of_the_application(client, server, options):
    attestation = client(server, **options)
    assert attestation.pcrs[0] == PCRS[0]
    assert attestation.public_key == server.key
    assert server.application().endswith(SECRET)
    (connection,) = server.connections
    assert bytes(connection.received).startswith(b"GET /.well-known/nitro-attestation?nonce=")
    assert connection.challenges == 1


@each_client
@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_nothing_is_sent_to_any_other_server(client, name, serve, options):
    code, arguments = MISBEHAVIOURS[name]
    server = serve(**arguments)
    if code == "transport.timeout":
        options["timeout"] = 0.3
    error = rejection_by(client, server, **options)
    assert error.code == code
    assert server.application() == b""  # which also waits until the client has disconnected
    gc.collect()  # reports a socket that was left to the collector as a ResourceWarning


@each_client
def test_a_stolen_key_is_accepted(client, serve, options):
    enclave = serve()
    thief = serve(answer=lambda server, nonce: honest(enclave, nonce))  # has the enclave's TLS key
    assert client(thief, **options).public_key == enclave.key


@each_client
def test_a_session_is_not_resumed(client, server, options):
    for _ in range(2):
        client(server, **options)
    assert [connection.resumed for connection in server.connections] == [False, False]
    assert server.attestations == 2


@each_client
def test_webpki_is_a_second_condition(client, serve, options, monkeypatch, tmp_path):
    server, relay = serve(), serve(relay=True)
    assert rejection_by(client, server, **options, webpki=True).code == "transport.tls"
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(b"".join(identity.certificate_pem for identity in identities()))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    assert client(server, **options, webpki=True)
    assert rejection_by(client, relay, **options, webpki=True).code == "policy.binding"
    assert relay.application() == b""


@each_client
def test_the_path_belongs_to_the_binding(client, server, options):
    error = rejection_by(client, server, **options, binding=TlsKey(path="/other"))
    assert error.code == "document.encoding"  # the server's answer to any other path


@each_client
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"policy": None}, "input.expected"),
        ({"roots": b""}, "input.root"),
        ({"timeout": 0}, "input.time"),
        ({"timeout": 86401}, "input.time"),
        ({"timeout": "1"}, "input.time"),
        ({"max_age": 5}, "input.time"),
        ({"consistency": "ignore"}, "input.expected"),
        ({"unknown_fields": "ignore"}, "input.expected"),
        ({"revocation": []}, "input.crl"),
    ],
)
def test_a_wrong_argument_is_found_before_a_connection_is_opened(
    client, server, options, wrong, code
):
    try:
        assert code_of(client, server, **{**options, **wrong}) == code
    finally:
        assert all(not connection.received for connection in server.connections)
