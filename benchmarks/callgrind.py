"""Instruction counts of the C core: the same on a busy machine, so a regression shows at once.

Runs the core under ``valgrind --tool=callgrind`` over a genuine document and each class of hostile
input, and compares with the counts in ``instructions.json``. Fails if one has grown by more than
2 %, or if none are recorded for this compiler.

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
    """Instructions from the call of the core to its return."""
    command = [
        *("valgrind", "--tool=callgrind", "--toggle-collect=judge"),
        f"--callgrind-out-file={document}.callgrind",
        *(str(driver), str(document)),
    ]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", answer.stderr)
    if found is None or found[1] == "0":
        raise SystemExit(f"valgrind counted nothing:\n{answer.stderr}")
    return int(found[1])


def counts() -> dict[str, int]:
    """All of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        driver = core.build(folder)
        found = {}
        for number, (what, content) in enumerate(inputs().items()):
            path = folder / str(number)
            path.write_bytes(content)
            found[what] = count(driver, path)
        return found


def compare(found: dict[str, int], known: dict[str, int]) -> list[str]:
    """Returns a sentence for each count that has grown too much or has no counterpart."""
    faults = [f"{what}: not recorded" for what in found.keys() - known.keys()]
    faults += [f"{what}: no longer measured" for what in known.keys() - found.keys()]
    faults += [
        f"{what}: {found[what]} instructions, {known[what]} recorded"
        for what in found.keys() & known.keys()
        if found[what] > known[what] * (1 + TOLERANCE)
    ]
    return sorted(faults)


def main() -> int:
    """Measure, then record or compare."""
    parser = argparse.ArgumentParser(description="Instruction counts of the C core.")
    parser.add_argument("--record", action="store_true", help="write them down as the new measure")
    arguments = parser.parse_args()
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    compiler, found = core.compiler(), counts()
    known = recorded.get(compiler, {})
    for what, number in found.items():
        print(f"{number:9}  {known.get(what, '-'):>9}  {what}")
    if arguments.record:
        RECORD.write_text(json.dumps(recorded | {compiler: found}, indent=2) + "\n")
        return 0
    if not known:
        print(f"no counts are recorded for {compiler}; --record writes them", file=sys.stderr)
        return 1
    faults = compare(found, known)
    print("\n".join(faults) or "no regression", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
