"""Runs in the guest with the NSM: starts the server, and follows commands from the console."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

LOG = Path("/tmp/server.log")


def report(event, **values):
    print("@@" + json.dumps({"event": event, **values}), flush=True)


def counts(process):
    folder = Path("/proc", str(process.pid))
    return {name: sum(1 for _ in (folder / name).iterdir()) for name in ("fd", "task")}


def main():
    command = [sys.executable, "-m", "nitro_attest.enclave", "serve", "--port", "1300"]
    with LOG.open("wb") as log:
        server = subprocess.Popen(command, stderr=log)
    while not LOG.stat().st_size:
        time.sleep(0.05)
    with LOG.open(encoding="utf-8") as log:
        report("listening", endpoint=json.loads(log.readline())["endpoint"])
    for line in sys.stdin:
        if line.strip() == "count":
            report("counted", **counts(server))
            continue
        started = time.monotonic()
        server.send_signal(signal.Signals[line.strip()])
        while b'"stopped"' not in LOG.read_bytes() and server.poll() is None:
            time.sleep(0.01)
        report("stopped", seconds=time.monotonic() - started)
        return


main()
