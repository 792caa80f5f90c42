"""Compares the instruction counts of the C core with recorded ones.

Runs the core under ``valgrind --tool=callgrind`` on a genuine document and on every class of
hostile input. Fails if a count exceeds the one in ``instructions.json`` by more than 2 %, or if no
counts are recorded for this compiler. Instruction counts do not depend on the load of the machine.

    python benchmarks/callgrind.py [--record]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import core
from hostile import inputs

RECORD = Path(__file__).parent / "instructions.json"
TOLERANCE = 0.02


def count(driver: Path, document: Path) -> int:
    """Returns the number of instructions that the core executes for one document."""
    command = [
        *("valgrind", "--tool=callgrind", "--toggle-collect=parse_document"),
        f"--callgrind-out-file={document}.callgrind",
        *(str(driver), str(document)),
    ]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", answer.stderr)
    if found is None or found[1] == "0":
        raise SystemExit(f"valgrind counted no instructions:\n{answer.stderr}")
    return int(found[1])


def counts() -> dict[str, int]:
    """Returns the instruction count of every input."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        driver = core.build(folder)
        found = {}
        for number, (name, content) in enumerate(inputs().items()):
            path = folder / str(number)
            path.write_bytes(content)
            found[name] = count(driver, path)
        return found


def compare(found: dict[str, int], known: dict[str, int]) -> list[str]:
    """Lists the counts that have grown too much, and the inputs without a counterpart."""
    failures = [f"{name}: not recorded" for name in found.keys() - known.keys()]
    failures += [f"{name}: no longer measured" for name in known.keys() - found.keys()]
    failures += [
        f"{name}: expected at most {known[name]} instructions + 2 %, found {found[name]}"
        for name in found.keys() & known.keys()
        if found[name] > known[name] * (1 + TOLERANCE)
    ]
    return sorted(failures)


def main() -> int:
    """Measures, then records or compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="record the counts found")
    arguments = parser.parse_args()
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    compiler, found = core.compiler(), counts()
    known = recorded.get(compiler, {})
    for name, number in found.items():
        print(f"{number:9}  {known.get(name, '-'):>9}  {name}")
    if arguments.record:
        RECORD.write_text(json.dumps(recorded | {compiler: found}, indent=2) + "\n")
        return 0
    if not known:
        print(f"no counts are recorded for {compiler}; record them with --record", file=sys.stderr)
        return 1
    failures = compare(found, known)
    print("\n".join(failures) or "no regression", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
