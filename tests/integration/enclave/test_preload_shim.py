"""The ioctl path: real system calls, with a preloaded library in place of the device."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import cbor2
import pytest

from nitro_attest.testing import FakeNitro

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(
    COMPILER is None or not sys.platform.startswith("linux"),
    reason="the preload shim needs Linux and a C compiler (cc, gcc or clang)",
)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("shim") / "nsm_shim.so"
    source = Path(__file__).with_name("nsm_shim.c")
    flags = ["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([str(COMPILER), *flags, "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.fixture
def enclave(tmp_path: Path, shim: Path, fake: FakeNitro) -> Iterator[Callable[..., tuple]]:
    """Runs a command with a fake hypervisor as /dev/nsm; returns its result and the requests."""
    path = str(tmp_path / "nsm.sock")
    requests: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(1)

    def answer() -> None:
        with suppress(OSError):  # the listener was shut down: the test is over
            while True:
                connection = listener.accept()[0]
                with connection:
                    while request := connection.recv(65536):
                        requests.append(request)
                        fields = cbor2.loads(request)["Attestation"]
                        document = fake.document(**fields)
                        connection.send(cbor2.dumps({"Attestation": {"document": document}}))

    thread = threading.Thread(target=answer)
    thread.start()

    def run(*command: str) -> tuple[subprocess.CompletedProcess[bytes], list[bytes]]:
        environment = os.environ | {"LD_PRELOAD": str(shim), "NSM_SHIM": path}
        done = subprocess.run(
            [sys.executable, *command], env=environment, capture_output=True, check=False
        )
        return done, requests

    yield run
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(30)
    assert not thread.is_alive()


def test_request_through_the_ioctl(enclave: Callable[..., tuple]) -> None:
    done, requests = enclave("-m", "nitro_attest.enclave", "request", "--nonce", "00" * 16)
    assert (done.returncode, done.stderr) == (0, b"")
    assert requests == [
        cbor2.dumps({"Attestation": {"user_data": None, "nonce": bytes(16), "public_key": None}})
    ]
    assert cbor2.loads(cbor2.loads(done.stdout)[2])["nonce"] == bytes(16)


ALSO_LOADED = """
import runpy, sys
sys.argv = ["enclave", "request", "--output", sys.argv[1]]
try:
    runpy.run_module("nitro_attest.enclave", run_name="__main__")
except SystemExit as end:
    names = {"click", "cryptography", "_cffi_backend", "nitro_attest.verification"}
    heavy = names & sys.modules.keys()
    print(end.code, heavy)
"""


def test_a_whole_request_loads_nothing_heavy(enclave: Callable[..., tuple], tmp_path: Path) -> None:
    done, _ = enclave("-c", ALSO_LOADED, str(tmp_path / "document"))
    assert done.stdout == b"0 set()\n"
    assert (tmp_path / "document").stat().st_size > 1000
