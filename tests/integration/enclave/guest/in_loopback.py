"""Runs in a single guest: every request to the real device, then the server over loopback."""

import json
import subprocess
import sys
import time
import traceback
from pathlib import Path

from nitro_attest import ANY_ENCLAVE, EnclaveError, TrustedRoots, verify
from nitro_attest.enclave.client import attest
from nitro_attest.enclave.nsm import Nsm


def report(event, **values):
    print("@@" + json.dumps({"event": event, **values}), flush=True)


def ask_everything(nsm, root):
    described = nsm.describe_nsm()
    before = nsm.describe_pcr(16)
    extended = nsm.extend_pcr(16, b"\1\2\3")
    nsm.lock_pcr(16)
    after = nsm.describe_pcr(16)
    nsm.lock_pcrs(18)
    try:
        nsm.extend_pcr(17, b"x")
        refusal = "accepted"
    except EnclaveError as error:
        refusal = error.code
    try:
        nsm.attest(nonce=bytes(513))
        oversize = "accepted"
    except EnclaveError as error:
        oversize = error.code
    document = nsm.attest(nonce=bytes(16), user_data=b"u" * 512, public_key=b"k" * 1024)
    evidence = verify(document, root, nonce=bytes(16), user_data=b"u" * 512)
    report(
        "asked",
        module_id=described.module_id,
        locked=list(described.locked_pcrs),
        before=[before.lock, before.data.hex()],
        extended=extended.hex(),
        after=[after.lock, after.data.hex()],
        refusal=refusal,
        oversize=oversize,
        random=len(nsm.get_random()),
        pcrs=len(evidence.pcrs),
    )


def main():
    root = Path("/app/root.pem").read_bytes()
    with Nsm() as nsm:
        ask_everything(nsm, root)
    command = [sys.executable, "-m", "nitro_attest.enclave", "serve"]
    with subprocess.Popen(command) as server:
        roots = TrustedRoots.from_pem(root)
        evidence = attest("vsock:1:1300", policy=ANY_ENCLAVE, roots=roots, wait=30)
        report("attested", nonce=len(evidence.nonce))
        started = time.monotonic()
        server.terminate()
        report("ended", code=server.wait(), seconds=time.monotonic() - started)


try:
    main()
except Exception:
    report("failed", error=traceback.format_exc())
