"""Runs in the parent's guest: challenges the enclave over AF_VSOCK, with the installed package."""

import json
import traceback
from pathlib import Path

from nitro_attest import ANY_ENCLAVE, NitroAttestError, TrustedRoots, Verifier
from nitro_attest.enclave.client import attest, fetch


def report(event, **values):
    print("@@" + json.dumps({"event": event, **values}), flush=True)


def code_of(action):
    try:
        action()
    except NitroAttestError as error:
        return error.code
    return "accepted"


def main():
    roots = TrustedRoots.from_pem(Path("/app/root.pem").read_bytes())
    enclave = "vsock:16:1300"
    attestation = attest(enclave, policy=ANY_ENCLAVE, roots=roots, wait=60)
    report("attested", module_id=attestation.module_id, root=attestation.root.name)
    pcr0 = attestation.pcrs[0]
    old = fetch(enclave)
    verifier = Verifier(roots, policy={0: pcr0})
    actions = {
        "right_policy": lambda: attest(enclave, policy={0: pcr0}, roots=roots),
        "wrong_root": lambda: attest(enclave, policy=ANY_ENCLAVE),
        "wrong_policy": lambda: attest(enclave, policy={0: b"\1" * 48}, roots=roots),
        "replayed": lambda: verifier.verify(old.document, nonce=bytes(32)),
        "no_cid": lambda: fetch("vsock:77:1300", timeout=30),
        "no_port": lambda: fetch("vsock:16:9"),
    }
    report("codes", **{name: code_of(action) for name, action in actions.items()})


try:
    main()
except Exception:
    report("failed", error=traceback.format_exc())
