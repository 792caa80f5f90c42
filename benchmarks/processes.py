"""Measurements in separate processes: starts, imports, and verifiers installed from PyPI."""

from __future__ import annotations

import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bare import Pair
from hostile import GENUINE

HERE = Path(__file__).parent

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

PEERS = {"epsilon-attestation-verifier": "epsilon.py"}
"""Distributions on PyPI, each with the script in ``peers/`` that measures it."""


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


def peers(pairs: Iterable[Pair], rounds: int) -> dict[str, Any]:
    """Measures other verifiers on the genuine document, each in its own virtual environment.

    Each process also measures the baseline, with the ``cryptography`` installed for its verifier.
    The two alternate, so that the ratio comes from one run.
    """
    found = {}
    task = {
        "document": base64.b64encode(GENUINE.read_bytes()).decode(),
        "pairs": [[base64.b64encode(part).decode() for part in pair] for pair in pairs],
        "root": str(HERE.parent / "src/nitro_attest/verification/aws_roots/aws.pem"),
        "rounds": rounds,
    }
    for name, script in PEERS.items():
        with tempfile.TemporaryDirectory() as folder:
            python = Path(folder) / "bin/python"
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            install = [python, "-m", "pip", "install", "-q", "--only-binary", ":all:", name]
            subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
            done = subprocess.run(
                [python, HERE / "peers" / script],
                input=json.dumps(task).encode(),
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(HERE)},
                check=True,
            )
            found[name] = json.loads(done.stdout)
    return found
