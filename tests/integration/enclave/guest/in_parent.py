"""Runs in the parent guest: challenges the enclave over AF_VSOCK with the installed tool."""

import json
import subprocess
import sys
import traceback
from pathlib import Path

DOCUMENT = Path("/tmp/document.bin")
ROOT = ["--root", "/app/root.pem"]


def report(event, **values):
    print("@@" + json.dumps({"event": event, **values}), flush=True)


def tool(verb, *arguments):
    """Runs the tool; returns its exit code, the code of an error, and the attestation."""
    command = [sys.executable, "-m", "nitro_attest", verb, *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(done.stderr)
    answer = json.loads(done.stdout)
    return done.returncode, answer.get("error", {}).get("code"), answer.get("attestation")


def main():
    challenge = ["--cid", "16", *ROOT]
    save = ["--wait", "60s", "--save", str(DOCUMENT)]
    code, error, attested = tool("fetch", *challenge, "--any-enclave", *save)
    report("attested", code=code, error=error, saved=DOCUMENT.stat().st_size)
    pcr0 = attested["document"]["pcrs"]["0"]
    right, wrong = ["--pcr", f"0={pcr0}"], ["--pcr", "0=" + "01" * 48]
    outcomes = {
        "right_policy": tool("fetch", *challenge, *right),
        "wrong_root": tool("fetch", "--cid", "16", *right),
        "wrong_policy": tool("fetch", *challenge, *wrong),
        "replayed": tool("verify", str(DOCUMENT), *ROOT, *right, "--nonce", "00" * 32),
        "no_cid": tool("fetch", "--cid", "77", *right),
        "no_port": tool("fetch", "--cid", "16", "--port", "9", *right),
    }
    report("outcomes", **{name: outcome[:2] for name, outcome in outcomes.items()})


try:
    main()
except Exception:
    report("failed", error=traceback.format_exc())
