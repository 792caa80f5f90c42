"""Measurements in separate processes: starts and imports."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from hostile import GENUINE

FIRST = """
import sys
import nitro_attest
with open(sys.argv[1], "rb") as file:
    nitro_attest.verify(file.read(), at="document")
"""

STARTS = {
    "python -c pass": ["-c", "pass"],
    "import nitro_attest": ["-c", "import nitro_attest"],
    "import cryptography.x509": ["-c", "import cryptography.x509"],
    "import nitro_attest.verification.verifier": [
        "-c",
        "import nitro_attest.verification.verifier",
    ],
    "a first verify()": ["-c", FIRST, str(GENUINE)],
    "nitro-attest --help": ["-m", "nitro_attest", "--help"],
    "nitro-attest verify DOC": ["-m", "nitro_attest", "verify", str(GENUINE), "--at", "document"],
}


def starts(rounds: int) -> dict[str, float]:
    """Returns the median CPU time of whole processes in milliseconds; the processes alternate.

    All but the first processes find compiled byte code, as in an installed package.
    """
    found: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(rounds):
        for name, arguments in STARTS.items():
            found[name].append(_cpu_time([sys.executable, *arguments]))
    return {name: round(statistics.median(times), 1) for name, times in found.items()}


def _cpu_time(command: list[str]) -> float:
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} failed")
    return (usage.ru_utime + usage.ru_stime) * 1000
