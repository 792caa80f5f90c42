"""A process that is forked while other threads verify can verify too, and warns as before (X-1)."""

import os
import subprocess
import sys

import pytest

FORK = """
import os, signal, threading, warnings
import nitro_attest
from nitro_attest.testing import FakeNitro

fake = FakeNitro()
document = fake.document()
roots = nitro_attest.TrustedRoots.from_pem(fake.root_pem)

def verify():  # with a verifier of its own: every path is new
    nitro_attest.Verifier(roots, policy=nitro_attest.ANY_ENCLAVE).verify(document, at="document")

def verify_until_the_end():
    while not ended.is_set():
        verify()

ended = threading.Event()
filters = list(warnings.filters)
verify()  # imports everything: a fork during an import is Python's own matter
threads = [threading.Thread(target=verify_until_the_end) for _ in range(2)]
for thread in threads:
    thread.start()
failed = 0
for _ in range(40):
    if (child := os.fork()) == 0:
        signal.alarm(60)  # ends a child that waits for a lock of a thread it does not have
        if warnings.filters == filters:
            verify()
            os._exit(0)
        os._exit(1)
    failed += os.waitpid(child, 0)[1] != 0
ended.set()
print(failed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_process_forked_during_a_verification_verifies():
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
