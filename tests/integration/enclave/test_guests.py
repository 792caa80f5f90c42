"""Real guests: a stock kernel with its own /dev/nsm, AF_VSOCK, and an emulated NSM that signs.

    NITRO_ATTEST_GUEST=1 python -m pytest tests/integration/enclave

The first run downloads about 80 MB of distribution packages and keeps them under
NITRO_ATTEST_GUEST_CACHE (default: ~/.cache/nitro-attest-guest). The host's own AF_VSOCK is never
opened: it connects to the guests through hybrid vsock, over Unix sockets.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from guest import initramfs
from guest.machine import ENCLAVE_CID, PARENT_CID, Guest, Host
from guest.packages import Parts, install_wheel, missing

from nitro_attest import ANY_ENCLAVE, EnclaveError, TrustedRoots
from nitro_attest.enclave.client import attest, fetch

pytestmark = pytest.mark.skipif(
    os.environ.get("NITRO_ATTEST_GUEST") != "1",
    reason="NITRO_ATTEST_GUEST is not 1: real guests are not run (they download 80 MB once)",
)

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def parts() -> Parts:
    reason = missing()
    if reason is not None:
        pytest.fail(f"NITRO_ATTEST_GUEST=1, but {reason}")
    return Parts()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    install_wheel(PROJECT, folder / "tree" / "app")
    initramfs.write(folder / "site.gz", folder / "tree")
    return folder / "site.gz"


@pytest.fixture
def host(parts: Parts, site: Path) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="nag") as folder:
        host = Host(parts, site, Path(folder))
        with host.devices():
            yield host


@pytest.fixture
def enclave(host: Host) -> Iterator[Guest]:
    with host.guest("in_enclave.py", ENCLAVE_CID, nsm=True) as guest:
        assert guest.expect("listening")["endpoint"] == "vsock:any:1300"
        yield guest


def endpoint(host: Host, port: int = 1300) -> str:
    return f"unix:{host.folder}/vm{ENCLAVE_CID}:{port}"


def test_one_guest_uses_the_real_device_and_serves_over_loopback(host: Host) -> None:
    with host.guest("in_loopback.py", ENCLAVE_CID, nsm=True) as guest:
        asked = guest.expect("asked")
        extended = hashlib.sha384(bytes(48) + b"\1\2\3").hexdigest()
        assert asked["module_id"].startswith("i-")
        assert asked["locked"] == list(range(16))
        assert asked["before"] == [False, "00" * 48]
        assert asked["extended"] == extended
        assert asked["after"] == [True, extended]
        assert asked["refusal"] == "nsm.read_only_index"
        assert asked["oversize"] == "nsm.input_too_large"
        assert asked["random"] == 256
        assert asked["pcrs"] == 18
        assert guest.expect("attested")["nonce"] == 32
        ended = guest.expect("ended")
        assert ended["code"] == 0
        assert ended["seconds"] < 2


def test_two_guests_challenge_each_other_over_vsock(host: Host, enclave: Guest) -> None:
    with host.guest("in_parent.py", PARENT_CID) as parent:
        attested = parent.expect("attested")
        assert (attested["code"], attested["error"]) == (0, None)
        assert attested["saved"] > 4000
        outcomes = parent.expect("outcomes")
    del outcomes["event"]
    assert outcomes == {
        "right_policy": [0, None],
        "wrong_root": [4, "chain.untrusted_root"],
        "wrong_policy": [6, "policy.pcr_mismatch"],
        "replayed": [6, "policy.nonce"],
        "no_cid": [7, "transport.no_cid"],
        "no_port": [7, "transport.refused"],
    }


def test_a_client_sends_its_secret_to_the_enclave_alone(host: Host) -> None:
    with (
        host.guest("in_channel_enclave.py", ENCLAVE_CID, nsm=True) as enclave,
        host.guest("in_channel_parent.py", PARENT_CID) as parent,
    ):
        assert enclave.expect("listening")["endpoint"] == "vsock:any:443"
        assert parent.expect("granted")["answers"] == ["granted", "granted"]
        pool = parent.expect("pool")
        found = parent.expect("outcomes")
        assert host.nsm is not None
        host.nsm.send_signal(signal.SIGUSR1)
        parent.send("")
        debug = parent.expect("debug")["codes"]
        enclave.send("")
        received = enclave.expect("received")["paths"]
    assert pool["attestations"] == [0, 0, 2]  # the third request has one of its own
    assert not pool["resumed"]
    assert found["outcomes"]["socket"] == found["outcomes"]["httpx"]
    assert found["outcomes"]["socket"] == {
        "other_image": "policy.pcr_mismatch",
        "relay_with_its_own_key": "policy.binding",
        "replayed_document": "policy.nonce",
        "answer_for_another_nonce": "policy.nonce",
        "answer_of_1_MiB": "transport.too_large",
        "redirect": "transport.redirect",
        "endless_answer": "transport.timeout",
    }
    assert debug == ["policy.debug", "policy.debug"]
    assert found["leaked"] == []
    # Those of the first clients and of the pool, and no other.
    assert received == ["/secret", "/secret", "/pool", "/pool", "/pool"]


def test_the_server_survives_faults_of_clients_and_nsm(host: Host, enclave: Guest) -> None:
    roots = TrustedRoots.from_pem(host.root_pem.read_bytes())
    attest(endpoint(host), policy=ANY_ENCLAVE, roots=roots)
    before = held_by_server(enclave)

    with pytest.raises(EnclaveError) as caught:
        fetch(endpoint(host, 9))
    assert caught.value.code == "transport.refused"

    with ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(socket.socket(socket.AF_UNIX))
            slow.connect(f"{host.folder}/vm{ENCLAVE_CID}")
            slow.sendall(b"CONNECT 1300\n")
            assert slow.recv(3) == b"OK "
            slow.sendall(os.urandom(100))
        challenge_at_once(host, roots, 200)

    stall(host, enclave, roots)
    assert held_by_server(enclave) == before

    assert host.nsm is not None
    host.nsm.kill()
    with pytest.raises(EnclaveError) as caught:
        fetch(endpoint(host))
    assert caught.value.code in ("transport.nsm_stalled", "transport.status")
    # The server has stopped. The kernel ends the process when the last ioctl returns (N-2).
    enclave.send("SIGTERM")
    assert enclave.expect("stopped")["seconds"] < 2


def test_a_client_of_a_killed_enclave_gets_an_error(host: Host, enclave: Guest) -> None:
    assert host.nsm is not None
    host.nsm.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(fetch, endpoint(host))
        enclave.send("SIGKILL")
        with pytest.raises(EnclaveError) as caught:
            answer.result(60)
    assert caught.value.code in ("transport.no_answer", "transport.refused")


def held_by_server(enclave: Guest) -> tuple[int, int]:
    """The server's descriptors and threads: the lowest of 20 counts, because a leak stays."""
    counts = []
    for _ in range(20):
        enclave.send("count")
        counted = enclave.expect("counted")
        counts.append((counted["fd"], counted["task"]))
    return min(counts)


def challenge_at_once(host: Host, roots: TrustedRoots, count: int) -> None:
    with ThreadPoolExecutor(count) as pool:
        answers = [
            pool.submit(attest, endpoint(host), policy=ANY_ENCLAVE, roots=roots, timeout=60)
            for _ in range(count)
        ]
    assert len({answer.result().nonce for answer in answers}) == count


def stall(host: Host, enclave: Guest, roots: TrustedRoots) -> None:
    assert host.nsm is not None
    host.nsm.send_signal(signal.SIGSTOP)
    with pytest.raises(EnclaveError) as caught:
        fetch(endpoint(host))
    assert caught.value.code == "transport.nsm_stalled"
    host.nsm.send_signal(signal.SIGCONT)
    attest(endpoint(host), policy=ANY_ENCLAVE, roots=roots)
