"""examples/attested_tls, each as a process with a fake NSM, on a Unix socket."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nitro_attest import ANY_ENCLAVE, TrustedRoots, Verifier, parse_unverified
from nitro_attest.testing import FakeNitro
from support.clock import PATIENT
from support.paths import ROOT

EXAMPLES = ROOT / "examples" / "attested_tls"
NONCE = bytes(range(32))

FAKE_IDENTITY = """
import runpy, sys
from nitro_attest.enclave.tls import AttestedIdentity
from nitro_attest.testing import FakeNitro

class FakeNsm:
    def attest(self, **fields):
        return nitro.document(**fields)

nitro = FakeNitro(seed=b"tests")
identity = AttestedIdentity.create(FakeNsm())
example = runpy.run_path(sys.argv[1])
"""
ASGI = """
from nitro_attest.transport.connection import listen, parse_stream_endpoint
with listen(parse_stream_endpoint("unix:" + sys.argv[2])) as listener:
    example["server_for"](identity).run(sockets=[listener])
"""
WSGI = """
example["Service"](identity, "unix:" + sys.argv[2]).run()
"""


@pytest.fixture(params=["asgi", "wsgi"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Starts the example; yields the path of its socket, and ends it by SIGTERM."""
    server, program = {"asgi": ("uvicorn", ASGI), "wsgi": ("gunicorn", WSGI)}[request.param]
    pytest.importorskip(server, reason=f"the example needs {server}: pip install {server}")
    path = tmp_path / "service.sock"
    example = EXAMPLES / f"{request.param}_service.py"
    with subprocess.Popen(
        [sys.executable, "-c", FAKE_IDENTITY + program, str(example), str(path)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for(path, process)
            yield str(path)
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=PATIENT)
    assert "Traceback" not in errors


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while True:
        assert process.poll() is None, process.stderr and process.stderr.read()
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                continue
            return


class Client(http.client.HTTPConnection):
    """HTTP over one TLS connection to a Unix socket, without WebPKI."""

    def __init__(self, path: str) -> None:
        super().__init__("enclave", timeout=PATIENT)
        self._path = path

    def connect(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(PATIENT)
        plain.connect(self._path)
        self.sock = context.wrap_socket(plain)

    def fetch(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        self.request(method, target, body)
        response = self.getresponse()
        return response.status, response.read()


@pytest.fixture
def connecting(service: str) -> Iterator[Callable[[], Client]]:
    with ExitStack() as stack:

        def connect() -> Client:
            client = Client(service)
            client.connect()
            stack.callback(client.close)
            return client

        yield connect


def test_the_attested_connection_serves_the_application(
    connecting: Callable[[], Client], fake: FakeNitro
) -> None:
    client = connecting()
    target = f"/.well-known/nitro-attestation?nonce={NONCE.hex()}"
    verifier = Verifier(TrustedRoots.from_pem(fake.root_pem), policy=ANY_ENCLAVE)
    connection = client.sock
    status, document = client.fetch("GET", target)
    attestation = verifier.verify(document, nonce=NONCE)
    certificate = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))
    assert status == 200
    assert attestation.public_key == spki(certificate)
    for size in (0, 6, 100_000):
        answer = client.fetch("POST", "/secrets", bytes(size))
        assert answer == (200, f"{size} bytes received in the enclave\n".encode())
    assert client.sock is connection  # one connection for the challenge and all requests


def test_all_connections_prove_one_key(connecting: Callable[[], Client]) -> None:
    keys = set()
    for _ in range(3):
        client = connecting()
        _, document = client.fetch("GET", f"/.well-known/nitro-attestation?nonce={NONCE.hex()}")
        keys.add(parse_unverified(document).public_key)
    assert len(keys) == 1


def test_a_malformed_challenge_is_rejected(connecting: Callable[[], Client]) -> None:
    status, body = connecting().fetch("GET", "/.well-known/nitro-attestation?nonce=00")
    assert (status, body[:12]) == (400, b"input.nonce:")


def spki(pem: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
