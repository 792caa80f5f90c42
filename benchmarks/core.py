"""Builds and runs the driver of the C core (``core.c``)."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
CSRC = HERE.parent / "csrc"


def compiler() -> str:
    """Returns the compiler, its version and target, on which instruction counts depend."""
    name = os.environ.get("CC", "cc")
    version = _run([*shlex.split(name), "-dumpfullversion"])
    machine = _run([*shlex.split(name), "-dumpmachine"])
    kind = "clang" if "clang" in _run([*shlex.split(name), "--version"]) else "gcc"
    return f"{kind} {version} {machine} -O2"


def build(folder: Path) -> Path:
    """Compiles the driver with -O2, as the wheel is compiled."""
    driver = folder / "core"
    _run(
        [
            *shlex.split(os.environ.get("CC", "cc")),
            *("-std=c99", "-D_POSIX_C_SOURCE=199309L", "-O2", "-g", f"-I{CSRC}"),
            *(str(HERE / "core.c"), str(CSRC / "nitro_cose.c"), "-o", str(driver)),
        ]
    )
    return driver


def nanoseconds(driver: Path, document: Path, count: int) -> tuple[str, float]:
    """Returns the error code of a document (or ``ok``) and the CPU time to parse it once."""
    code, elapsed = _run([str(driver), str(document), str(count)]).split()
    return code, float(elapsed)


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
