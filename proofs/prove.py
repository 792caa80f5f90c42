"""Proves the contracts of the C core again, for inputs of any length.

    python proofs/prove.py             every goal of every function of csrc/
    python proofs/prove.py --broken    that each break in broken.json leaves its goal unproved
    python proofs/prove.py --function cbor_take

Needs frama-c, why3, z3 and cvc4 (Debian: frama-c-base why3 z3 cvc4). Exit 1 where a goal is not
proved or a function has none; exit 2 where a tool is missing. README.md says what is proved.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = ("nitro_cose.h", "cbor_reader.h", "nitro_cose.c")
PROCESSORS: Final = os.cpu_count() or 1
TOOLS: Final = ("frama-c", "why3", "z3", "cvc4")
OPTIONS: Final = (
    *("-machdep", "gcc_x86_64", "-cpp-extra-args=-I."),
    *("-wp", "-wp-rte", "-wp-cache", "none", "-warn-unsigned-overflow"),
    *("-wp-prover", "cvc4,z3"),
)
_DEFINITION: Final = re.compile(r"^(?:static )?(?:inline )?\w[\w ]*[ *](\w+)\([^;{]*\)\n\{", re.M)
_GOAL: Final = re.compile(r"^\[wp\] \[(?P<by>[^\]]+)\] Goal typed_(?P<name>\w+)", re.M)
_TOTAL: Final = re.compile(r"^\[wp\] Proved goals: +(\d+) / (\d+)$", re.M)
# The one hypothesis about memory that is accepted: what a caller passes does not overlap the static
# tables of these functions, which no caller can name.
_WARNING: Final = re.compile(
    r"^\[\w+\].*(?:Warning|Error)"
    r"(?!: *\n +Memory model hypotheses for function "
    r"'(?:read_protected|read_digest|field_of_key)').*$",
    re.M,
)


class Proof(NamedTuple):
    """What the provers said: the goals proved of each function, and what was wrong."""

    proved: dict[str, int]
    faults: list[str]


def main() -> int:
    """Runs what the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description="Proves the contracts of the C core.")
    parser.add_argument("--function", action="append", help="one function only; repeatable")
    parser.add_argument("--broken", action="store_true", help="the deliberate breaks instead")
    parser.add_argument("--seconds", type=int, default=60, help="for one prover and one goal")
    options = parser.parse_args()
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"not proved: {', '.join(missing)} not found", file=sys.stderr)
        return 2
    if options.broken:
        return prove_that_breaks_are_found()
    started = time.monotonic()
    names = options.function or functions(ROOT / "csrc")
    proof = prove(ROOT / "csrc", names, options.seconds)
    for name in names:
        print(f"{name:24} {proof.proved[name]:4} goals proved")
    print(*proof.faults, sep="\n", end="\n" if proof.faults else "")
    total = sum(proof.proved.values())
    print(f"{len(names)} functions, {total} goals proved, {time.monotonic() - started:.0f} s")
    return 1 if proof.faults else 0


def functions(folder: Path) -> list[str]:
    """The functions that the sources define, in their order."""
    return [
        name for source in SOURCES for name in _DEFINITION.findall((folder / source).read_text())
    ]


def prove(folder: Path, names: list[str], seconds: int, at_once: int = PROCESSORS) -> Proof:
    """Has every goal of these functions proved, with so many provers at once."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            "WHY3CONFIG": f"{scratch}/why3.conf",
            "PWD": str(folder),  # frama-c takes this for the directory that it is in
        }
        subprocess.run(
            ("why3", "config", "detect"), env=environment, capture_output=True, check=True
        )
        limits = ("-wp-timeout", str(seconds), "-wp-par", str(at_once))
        found = subprocess.run(
            ("frama-c", *OPTIONS, *limits, "-wp-fct", ",".join(names), "nitro_cose.c"),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
    return _read(found.stdout + found.stderr, names)


def _read(output: str, names: list[str]) -> Proof:
    proved = dict.fromkeys(names, 0)
    faults = []
    for goal in _GOAL.finditer(output):
        owner = max((n for n in names if goal["name"].startswith(f"{n}_")), key=len, default=None)
        if owner is None or goal["by"] == "Failed":
            faults.append(f"not proved: {goal['name']}")
        else:
            proved[owner] += 1
    faults += [f"has no goal: {name}" for name, count in proved.items() if not count]
    faults += _WARNING.findall(output)
    totals = _TOTAL.findall(output)
    if not faults and totals != [(str(sum(proved.values())),) * 2]:
        faults.append(f"no such account of the goals: {totals}\n{output[-2000:]}")
    return Proof(proved, faults)


def prove_that_breaks_are_found() -> int:
    """Breaks the core on purpose, one thing at a time; the goal that it names must be unproved.

    That any goal is unproved would be too little: it may only have wanted more time. The goal that
    is named must be one that the break makes false: a slow one is proved on some days.
    """
    breaks = json.loads((ROOT / "proofs" / "broken.json").read_text())
    unnoticed = 0
    with ThreadPoolExecutor(PROCESSORS) as pool:
        for broken, found in zip(breaks, pool.map(faults_of_broken, breaks), strict=True):
            noticed = f"not proved: {broken['goal']}"
            unnoticed += noticed not in found
            said = noticed if noticed in found else "NOT NOTICED"
            print(f"{broken['function']:20} {broken['what']:50} {said}")
    return 1 if unnoticed else 0


def faults_of_broken(broken: dict[str, str]) -> list[str]:
    """What is wrong with the proof of one function once the core is broken in this way."""
    with tempfile.TemporaryDirectory() as scratch:
        for source in SOURCES:
            shutil.copy(ROOT / "csrc" / source, scratch)
        path = Path(scratch, broken["file"])
        text = path.read_text()
        if text.count(broken["was"]) != 1:
            raise SystemExit(f"stands there {text.count(broken['was'])} times: {broken['was']}")
        path.write_text(text.replace(broken["was"], broken["is"]))
        return prove(Path(scratch), [broken["function"]], seconds=3, at_once=1).faults


if __name__ == "__main__":
    sys.exit(main())
