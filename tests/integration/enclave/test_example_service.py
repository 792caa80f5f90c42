"""examples/enclave/service.py, with this package's server as the enclave."""

from __future__ import annotations

import runpy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest import TrustedRoots
from nitro_attest.enclave.client import attest
from nitro_attest.enclave.server import AttestationServer
from nitro_attest.testing import FakeNitro
from nitro_attest.transport.connection import UnixEndpoint, listen

testclient = pytest.importorskip(
    "fastapi.testclient", reason="the example needs fastapi and httpx: pip install fastapi httpx"
)

SERVICE = Path(__file__).parents[3] / "examples" / "enclave" / "service.py"
PCRS = {index: bytes([7 + index]) * 48 for index in (0, 1, 2)}
KEY, OTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed(text: str, key: Ed25519PrivateKey = KEY) -> dict[str, str]:
    return {"text": text, "signature": key.sign(text.encode()).hex()}


@pytest.fixture
def client(
    tmp_path: Path, fake: FakeNitro, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """The service, with its policy, in front of an enclave with the given PCRs and key."""
    for index, value in PCRS.items():
        monkeypatch.setenv(f"PCR{index}", value.hex())
    servers: list[tuple[AttestationServer, threading.Thread]] = []
    path = str(tmp_path / "server.sock")
    service = runpy.run_path(str(SERVICE))

    def start(pcrs: dict[int, bytes] | None = None, public_key: bytes | None = public(KEY)) -> Any:
        class FakeNsm:
            def attest(self, **fields: bytes | None) -> bytes:
                return fake.document(pcrs=PCRS | (pcrs or {}), **fields)

        server = AttestationServer(
            listen(UnixEndpoint(path, None)), FakeNsm(), public_key=public_key
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        return absent()

    def absent() -> Any:
        roots, policy = TrustedRoots.from_pem(fake.root_pem), service["policy_from_environment"]()
        enclave = service["PinnedEnclave"](
            lambda: attest(f"unix:{path}", policy=policy, roots=roots)
        )
        return testclient.TestClient(service["create_app"](enclave))

    start.absent = absent
    yield start
    for server, thread in servers:
        server.stop()
        thread.join(30)


def test_a_message_signed_with_the_attested_key_is_accepted(client: Callable[..., Any]) -> None:
    answer = client().post("/messages", json=signed("hello"))
    assert (answer.status_code, answer.json()) == (200, {"accepted": "hello"})


@pytest.mark.parametrize(
    "message",
    [
        signed("hello", OTHER_KEY),
        signed("hello") | {"text": "other"},
        {"text": "hello", "signature": ""},
        {"text": "hello", "signature": "zz"},
    ],
)
def test_other_messages_are_rejected(client: Callable[..., Any], message: dict[str, str]) -> None:
    assert client().post("/messages", json=message).status_code == 403


@pytest.mark.parametrize("index", PCRS)
def test_a_different_image_is_rejected(client: Callable[..., Any], index: int) -> None:
    answer = client(pcrs={index: b"\1" * 48}).post("/messages", json=signed("hello"))
    assert (answer.status_code, answer.json()["detail"]) == (502, "policy.pcr_mismatch")


@pytest.mark.parametrize("index", PCRS)
def test_no_policy_without_each_pcr(monkeypatch: pytest.MonkeyPatch, index: int) -> None:
    for other in PCRS.keys() - {index}:
        monkeypatch.setenv(f"PCR{other}", PCRS[other].hex())
    monkeypatch.delenv(f"PCR{index}", raising=False)
    with pytest.raises(KeyError, match=f"PCR{index}"):
        runpy.run_path(str(SERVICE))["policy_from_environment"]()


def test_an_enclave_without_a_key_is_rejected(client: Callable[..., Any]) -> None:
    answer = client(public_key=None).post("/messages", json=signed("hello"))
    assert (answer.status_code, answer.json()["detail"]) == (502, "policy.public_key")


def test_an_unreachable_enclave_is_a_server_error(client: Callable[..., Any]) -> None:
    answer = client.absent().post("/messages", json=signed("hello"))
    assert (answer.status_code, answer.json()["detail"]) == (503, "transport.refused")
