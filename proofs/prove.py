"""Proves the contracts of the C core, for inputs of any length.

    python proofs/prove.py               proves every goal of every function of csrc/
    python proofs/prove.py --function cbor_take
    python proofs/prove.py --broken      shows that each break in broken.json makes its goal false
    python proofs/prove.py --record      does both, then writes proved.json if both passed
    python proofs/prove.py --recorded    compares proved.json with these sources and tools

Needs frama-c, why3, z3 and cvc4 (Debian: frama-c-base why3 z3 cvc4). Exits with 1 where a goal is
not proved, a function has none, or proved.json differs, and with 2 where a tool is missing. The
verdict does not depend on the machine or its load: provers stop after a number of steps. README.md
states what is proved.
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
from typing import Any, Final, NamedTuple

import record

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = ("nitro_cose.h", "cbor_reader.h", "cbor_skip.h", "nitro_cose.c")
PROCESSORS: Final = os.cpu_count() or 1
OPTIONS: Final = (
    *("-machdep", "gcc_x86_64", "-cpp-extra-args=-I."),
    *("-wp", "-wp-rte", "-wp-cache", "none", "-warn-unsigned-overflow"),
)
TIME_LIMIT: Final = 1800
"""Seconds for one prover and one goal: a safety net, many times what the steps below take."""

_DEFINITION: Final = re.compile(r"^(?:static )?(?:inline )?\w[\w ]*[ *](\w+)\([^;{]*\)\n\{", re.M)
_GOAL: Final = re.compile(r"^\[wp\] \[[^\]]+\] Goal typed_(\w+)(.*(?:\n  .*)*)", re.M)
_TOTAL: Final = re.compile(r"^\[wp\] Proved goals: +(\d+) / (\d+)$", re.M)
_REASON: Final = re.compile(r"^  [^:\n]+: (\w+(?: \w+)*)", re.M)
_UNPROVED: Final = {"Unknown", "Step limit"}
"""The reasons that a prover has on every machine; any other is a fault of the run."""

_CATEGORY: Final = re.compile("ensures|requires|invariant|assert")
# The one hypothesis about memory that is accepted: what a caller passes does not overlap the static
# tables of these functions, which no caller can name.
_WARNING: Final = re.compile(
    r"^\[\w+\].*(?:Warning|Error)"
    r"(?!: *\n +Memory model hypotheses for function "
    r"'(?:read_protected|read_digest|field_of_key)').*$",
    re.M,
)


class Steps(NamedTuple):
    """The steps after which each prover gives up on one goal, in units of its own rlimit option.

    An idle x86-64 core does about 50,000 steps of cvc4 or 700,000 steps of z3 in a second.
    """

    cvc4: int
    z3: int

    def times(self, effort: int) -> Steps:
        """Multiplies both limits."""
        return Steps(effort * self.cvc4, effort * self.z3)


STEPS: Final = Steps(cvc4=2_000_000, z3=30_000_000)
"""Enough for one of the two to prove each goal (cvc4 1.8, z3 4.8.12)."""

STEPS_OF_BREAKS: Final = Steps(cvc4=300_000, z3=1_000_000)
"""Enough for the goals that broken.json names, unless it gives other "steps" for one of them.

These limits are smaller because a false goal uses up all of its steps.
"""

# Every option is named here: Why3's own commands would limit the provers by seconds.
_PROVERS: Final = """\
[main]
magic = 14

[prover]
name = "CVC4"
version = "{versions[cvc4]}"
driver = "cvc4_17"
command = "cvc4 --stats --rlimit={steps.cvc4} --lang=smt2 %f"

[prover]
name = "Z3"
version = "{versions[z3]}"
driver = "z3_471"
command = "z3 -smt2 -st sat.random_seed=42 nlsat.randomize=false smt.random_seed=42 \
rlimit={steps.z3} %f"
"""


Break = dict[str, Any]
"""One entry of broken.json: a change of the core, and the goal that it makes false."""


class Proof(NamedTuple):
    """The goals proved of each function, and the faults: none when everything was proved."""

    proved: dict[str, list[str]]
    faults: list[str]

    def total(self) -> int:
        """Counts the goals that are proved."""
        return sum(map(len, self.proved.values()))


def main() -> int:
    """Runs the command line and returns the exit code."""
    parser = argparse.ArgumentParser(description="Proves the contracts of the C core.")
    parser.add_argument("--function", action="append", help="prove one function; repeatable")
    parser.add_argument("--effort", type=int, default=1, help="multiplies the step limits")
    alternatives = parser.add_mutually_exclusive_group()
    alternatives.add_argument("--broken", action="store_true", help="prove the deliberate breaks")
    alternatives.add_argument("--record", action="store_true", help="prove all, write proved.json")
    alternatives.add_argument("--recorded", action="store_true", help="only compare proved.json")
    options = parser.parse_args()
    if options.recorded:
        return report_record()
    missing = [tool for tool in record.TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"not proved: {', '.join(missing)} not found", file=sys.stderr)
        return 2
    if options.record:
        return prove_and_record()
    if options.broken:
        return 1 if prove_breaks() else 0
    names = options.function or functions(ROOT / "csrc")
    return 1 if prove_functions(names, STEPS.times(options.effort)).faults else 0


def report_record() -> int:
    """Prints whether proved.json records a proof of these sources with these tools."""
    differences = record.differences()
    for name in differences:
        print(f"differs from the recorded proof: {name}")
    if differences:
        return 1
    kept = record.read()
    print(
        f"left out: proofs/proved.json records that {kept['goals']} goals of {kept['functions']} "
        f"functions were proved and {kept['breaks']} breaks noticed, with these sources and tools"
    )
    return 0


def prove_and_record() -> int:
    """Proves every function and every break, and records the proof if all passed."""
    subject = record.subject()
    proof = prove_functions(functions(ROOT / "csrc"), STEPS)
    if proof.faults or prove_breaks():
        return 1
    if record.subject() != subject:
        print("not recorded: the sources or the tools changed during the proof")
        return 1
    counts = {"functions": len(proof.proved), "goals": proof.total(), "breaks": len(breaks())}
    record.write(subject, counts)
    return 0


def functions(folder: Path) -> list[str]:
    """Lists the functions that the sources define, in their order."""
    return [
        name for source in SOURCES for name in _DEFINITION.findall((folder / source).read_text())
    ]


def prove_functions(names: list[str], steps: Steps) -> Proof:
    """Proves these functions of csrc/ and prints the result."""
    started = time.monotonic()
    proof = prove(ROOT / "csrc", names, steps)
    for name in names:
        print(f"{name:24} {len(proof.proved[name]):4} goals proved")
    print(*proof.faults, sep="\n", end="\n" if proof.faults else "")
    print(
        f"{len(names)} functions, {proof.total()} goals proved, {len(proof.faults)} faults, "
        f"{time.monotonic() - started:.0f} s",
        flush=True,
    )
    return proof


def prove(
    folder: Path, names: list[str], steps: Steps, *options: str, at_once: int = PROCESSORS
) -> Proof:
    """Proves the goals of these functions.

    Args:
        folder: The folder with the sources.
        names: The functions.
        steps: The limits of the provers.
        options: Further options of frama-c.
        at_once: The number of provers that run side by side.
    """
    versions = record.versions()
    with tempfile.TemporaryDirectory() as scratch:
        provers = Path(scratch, "why3.conf")
        provers.write_text(_PROVERS.format(versions=versions, steps=steps))
        found = subprocess.run(
            (
                *("frama-c", *OPTIONS, *options, "-wp-fct", ",".join(names)),
                *("-wp-prover", f"CVC4:{versions['cvc4']},Z3:{versions['z3']}"),
                *("-wp-timeout", str(TIME_LIMIT), "-wp-par", str(at_once), "nitro_cose.c"),
            ),
            cwd=folder,
            # frama-c takes PWD for the directory that it is in.
            env={**os.environ, "WHY3CONFIG": str(provers), "PWD": str(folder)},
            capture_output=True,
            text=True,
        )
    return read_verdicts(found.stdout + found.stderr, names)


def read_verdicts(output: str, names: list[str]) -> Proof:
    """Reads what frama-c prints about the goals of these functions."""
    proved: dict[str, list[str]] = {name: [] for name in names}
    faults = []
    for goal, verdict in _GOAL.findall(output):
        owner = max((n for n in names if goal.startswith(f"{n}_")), key=len, default=None)
        if owner is not None and verdict.startswith(" : Valid"):
            proved[owner].append(goal)
        elif (reasons := set(_REASON.findall(verdict))) and reasons <= _UNPROVED:
            faults.append(f"not proved: {goal}")
        else:  # the time limit, or a prover that crashed
            faults.append(f"no verdict: {goal}{verdict}")
    faults += [f"has no goal: {name}" for name, goals in proved.items() if not goals]
    faults += _WARNING.findall(output)
    proof = Proof(proved, faults)
    totals = _TOTAL.findall(output)
    if not faults and totals != [(str(proof.total()), str(proof.total()))]:
        faults.append(f"frama-c counted other goals: {totals}\n{output[-2000:]}")
    return proof


def breaks() -> list[Break]:
    """Reads broken.json."""
    listed: list[Break] = json.loads((ROOT / "proofs" / "broken.json").read_text())
    return listed


def prove_breaks() -> int:
    """Breaks the core, one thing at a time, and returns the number of breaks that go unnoticed."""
    listed = breaks()
    unnoticed = 0
    with ThreadPoolExecutor(PROCESSORS) as pool:
        for broken, result in zip(listed, pool.map(result_of_break, listed), strict=True):
            unnoticed += result != "noticed"
            print(f"{broken['function']:20} {broken['what']:50} {result}", flush=True)
    print(f"{len(listed) - unnoticed} breaks noticed, {unnoticed} not noticed", flush=True)
    return unnoticed


def result_of_break(broken: Break, steps: Steps = STEPS_OF_BREAKS) -> str:
    """Returns "noticed", or the reason why this break is not noticed.

    That the goal is unproved once the core is broken would be too little: it may be too hard. So
    within the same steps it must be proved of the core as it is.
    """
    function, goal = broken["function"], broken["goal"]
    steps = steps._replace(**broken.get("steps", {}))
    options = ("-wp-prop", "@" + _CATEGORY.findall(goal)[-1])
    intact = prove(ROOT / "csrc", [function], steps, *options, at_once=1)
    if goal not in intact.proved[function]:
        return f"NOT NOTICED: {goal} is not proved of the core as it is"
    with tempfile.TemporaryDirectory() as scratch:
        break_core(broken, Path(scratch))
        found = prove(Path(scratch), [function], steps, *options, at_once=1)
    return "noticed" if f"not proved: {goal}" in found.faults else f"NOT NOTICED: {goal} holds"


def break_core(broken: Break, folder: Path) -> None:
    """Copies the core into the folder and makes this change to it."""
    for source in SOURCES:
        shutil.copy(ROOT / "csrc" / source, folder)
    path = folder / broken["file"]
    text = path.read_text()
    if text.count(broken["was"]) != 1:
        raise SystemExit(f"expected once, found {text.count(broken['was'])} times: {broken['was']}")
    path.write_text(text.replace(broken["was"], broken["is"]))


if __name__ == "__main__":
    sys.exit(main())
