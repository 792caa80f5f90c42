"""``nitro-attest fetch URL``: the TLS server of an enclave."""

import base64
import json
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest.cli.attest_url import parse_url
from nitro_attest.transport.connection import TcpEndpoint
from support.enclave_server import MISBEHAVIOURS, PCRS, fake_enclave, http, identities

PIN = f"0={PCRS[0].hex()}"


@pytest.fixture
def serve(fake, when, clock):
    return lambda **options: fake_enclave(fake, when, **options)


@pytest.fixture
def root(tmp_path, fake):
    path = tmp_path / "root.pem"
    path.write_bytes(fake.root_pem)
    return path


def test_the_document_and_its_key_are_verified(serve, root, tool, tmp_path):
    with serve() as server:
        saved = tmp_path / "document.bin"
        code, out, err = tool("fetch", server.url, "--root", root, "--pcr", PIN, "--save", saved)
        assert (code, err) == (0, "")
        assert server.application() == b""
    assert out.startswith("VERIFIED (measurements match PCR0)\n")
    assert f"to the TLS key (SHA-256 {sha256(server.key).hexdigest()}) by tls-key\n" in out
    assert "relayed" not in out
    assert tool("verify", saved, "--root", root, "--pcr", PIN)[0] == 0


def test_the_key_in_json(serve, root, tool):
    with serve() as server:
        code, out, _ = tool("fetch", f"{server.url}/", "--root", root, "--pcr", PIN, "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["source"] == f"{server.url}/"
    assert answer["bound"] == {"binding": "tls-key", "public_key": server.key.hex()}


@pytest.mark.parametrize(
    ("name", "status"), [("relay", 6), ("other_image", 6), ("not_found", 7), ("old_tls", 7)]
)
def test_any_other_server_is_rejected(serve, root, tool, name, status):
    code, arguments = MISBEHAVIOURS[name]
    with serve(**arguments) as server:
        exit_code, out, err = tool("fetch", server.url, "--root", root, "--pcr", PIN)
    assert code in err
    assert (exit_code, out) == (status, "")


def test_expected_values_of_a_server_with_a_url(serve, root, tool, tmp_path):
    key = tmp_path / "key"
    with serve() as server:
        key.write_bytes(server.key)
        options = ["--root", root, "--pcr", PIN]
        assert tool("fetch", server.url, *options, "--public-key", key)[0] == 0
        key.write_bytes(b"another key")
        for values in (["--public-key", key], ["--user-data", "cd"]):
            rejected = tmp_path / "rejected"
            arguments = [*options, *values, "--save-rejected", rejected]
            code, out, err = tool("fetch", server.url, *arguments)
            assert (code, out) == (6, "")
            assert f"REJECTED policy.{values[0][2:].replace('-', '_')}" in err
            assert rejected.stat().st_size > 1000
            rejected.unlink()


def test_the_document_of_a_relay_can_be_saved_for_diagnosis(serve, root, tool, tmp_path):
    rejected = tmp_path / "rejected"
    with serve(**MISBEHAVIOURS["relay"][1]) as server:
        options = ["--root", root, "--pcr", PIN, "--save-rejected", rejected]
        assert tool("fetch", server.url, *options)[0] == 6
    assert tool("inspect", rejected)[0] == 0


def test_no_server(root, tool):
    code, _, err = tool("fetch", "https://127.0.0.1:1", "--root", root, "--pcr", PIN)
    assert (code, "transport.refused" in err) == (7, True)
    assert "nothing listens on 127.0.0.1:" in err


def certificate_digest():
    pem = identities()[0].certificate_pem
    return sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).digest()


def test_nitriding(serve, root, tool):
    user_data = b"\x12\x20" + certificate_digest() + b"\x12\x20" + bytes(32)

    def answer(server, nonce):
        assert len(nonce) == 20
        return http(base64.b64encode(server.document(nonce=nonce, user_data=user_data)))

    with serve(answer=answer) as server:
        options = ["--root", root, "--pcr", PIN]
        code, out, _ = tool("fetch", server.url, "--binding", "nitriding", *options)
    assert (code, "by nitriding" in out) == (0, True)


def test_evervault(serve, root, tool):
    def answer(server, nonce):
        document = server.document(nonce=bytes(256), user_data=server.key, public_key=None)
        return http(json.dumps({"attestation_doc": base64.b64encode(document).decode()}).encode())

    with serve(answer=answer) as server:
        options = ["--binding", "evervault", "--root", root, "--pcr", PIN]
        code, out, _ = tool("fetch", server.url, *options, "--max-age", "5m")
        assert (code, "by evervault" in out) == (0, True)
        code, _, err = tool("fetch", server.url, *options)
        assert (code, "requires --max-age" in err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["https://h", "--cid", "16"],
        ["https://h", "--enclave-name", "x"],
        ["https://h", "--endpoint", "unix:/x"],
        ["https://h", "--port", "1"],
        ["https://h", "--nonce", "00" * 32],
        ["https://h", "--wait", "1s"],
        ["https://h", "--binding", "oyster"],
        ["--endpoint", "unix:/x", "--binding", "tls-key"],
        ["http://h"],
        ["https://h/path"],
        [""],
        [],
    ],
    ids=" ".join,
)
def test_other_arguments_are_usage_errors(tool, arguments):
    assert tool("fetch", *arguments, "--any-enclave")[0] == 2


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://enclave.example", "enclave.example", 443),
        ("https://Enclave.example/", "Enclave.example", 443),
        ("https://enclave.example:8443/", "enclave.example", 8443),
        ("https://[::1]:1", "::1", 1),
        ("https://127.0.0.1", "127.0.0.1", 443),
    ],
)
def test_a_url(url, host, port):
    assert parse_url(url) == TcpEndpoint(host, port)


@pytest.mark.parametrize(
    "url",
    [
        "h",
        "https://",
        "https://h:0",
        "https://h:65536",
        "https://h:1:2",
        "https://u@h",
        "https://h?q",
    ],
)
def test_what_is_no_url_is_a_usage_error(tool, url):
    code, _, err = tool("fetch", url, "--any-enclave")
    assert (code, "expected a URL" in err) == (2, True)
