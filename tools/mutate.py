"""Puts small faults into what judges documents, one at a time, and sees whether a test notices.

    python tools/mutate.py                        all mutants of all modules
    python tools/mutate.py --module chain         of one module; --c: of the C core
    python tools/mutate.py --sample 60 --seed 7   some of them, the same for the same seed
    python tools/mutate.py --list --module chain  only names them

Exit 1 where a mutant survives that docs/explanation/mutants.md does not show to be equivalent, or
where that page names one that is no more or that a test kills. The report keeps every verdict: a
mutant is not tried again while its module is the same, and the file of the test that killed it or,
where it survived, all tests.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from mutation import c_code, python_code
from mutation.c_judge import SOURCES, CJudge
from mutation.listed import equivalents
from mutation.mutant import TIMEOUT, Mutant
from mutation.python_judge import SUITES, PythonJudge

ROOT: Final = Path(__file__).resolve().parents[1]


def main() -> int:
    """Runs what the arguments say; the exit code."""
    options = _arguments()
    chosen = options.module or ([] if options.c else list(SUITES))
    files = {name: ROOT / f"src/nitro_attest/{name}.py" for name in chosen}
    if options.c or not options.module:
        files |= {name: ROOT / "csrc" / name for name in SOURCES}
    mutants = [mutant for name, path in files.items() for mutant in _mutants(name, path)]
    if options.list:
        print(*(_full(mutant) for mutant in mutants), sep="\n")
        return 0
    expected = {name for name in equivalents(ROOT) if _module_of(name, files)}
    faults = [f"no such mutant: {name}" for name in expected - {_full(m) for m in mutants}]
    if options.sample is not None:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    verdicts = _judged(mutants, files, options.report)
    for name, killed_by in verdicts.items():
        if killed_by is None and name not in expected:
            faults.append(f"survives: {name}")
        if killed_by is not None and name in expected:
            faults.append(f"said to be equivalent, but killed by {killed_by}: {name}")
    _print_table(mutants, verdicts, expected)
    print(*faults, sep="\n")
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation testing of what judges documents.")
    parser.add_argument("--module", action="append", choices=SUITES, help="one module; repeatable")
    parser.add_argument("--c", action="store_true", help="the C core")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants of those chosen")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--list", action="store_true", help="name the mutants, run nothing")
    parser.add_argument(
        "--report", type=Path, default=ROOT / "build/mutants.json", help="where verdicts are kept"
    )
    return parser.parse_args()


def _mutants(name: str, path: Path) -> list[Mutant]:
    return (c_code if name in SOURCES else python_code).mutants_of(path)


def _full(mutant: Mutant) -> str:
    return f"{mutant.module}.{mutant.name}"


def _module_of(full: str, files: dict[str, Path]) -> str | None:
    return next((name for name in files if full.startswith(f"{name}.")), None)


def _judged(mutants: list[Mutant], files: dict[str, Path], report: Path) -> dict[str, str | None]:
    """What killed each mutant. Every verdict is written down at once: a run can be broken off."""
    known: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    report.parent.mkdir(parents=True, exist_ok=True)
    judges: dict[str, Any] = {}
    verdicts = {}
    for mutant in sorted(mutants, key=lambda m: list(files).index(m.module)):
        name, path = _full(mutant), files[mutant.module]
        entry = known.get(name)
        if entry is None or entry["key"] != _key(path, entry["killed_by"]):
            kind = "C" if mutant.module in SOURCES else mutant.module
            if kind not in judges:
                judges[kind] = CJudge(ROOT) if kind == "C" else PythonJudge(kind, ROOT)
            killed_by = judges[kind].killed_by(mutant)
            known[name] = {"killed_by": killed_by, "key": _key(path, killed_by)}
            report.write_text(json.dumps(known, indent=1))
        verdicts[name] = known[name]["killed_by"]
    return verdicts


def _key(path: Path, killed_by: str | None) -> str:
    """What a verdict depends on: the module, and the file of the test that kills or all tests."""
    if killed_by is None:
        tests = sorted(file for file in (ROOT / "tests").rglob("*.[pch]*") if file.suffix != ".pyc")
    elif path.name in SOURCES:
        tests = [ROOT / "tests/c/test_nitro_cose.c"]
    else:
        tests = [ROOT / killed_by.partition("::")[0]]
    content = [file.read_bytes() for file in (path, *tests) if file.is_file()]
    return hashlib.sha256(b"".join(content)).hexdigest()


def _print_table(
    mutants: list[Mutant], verdicts: dict[str, str | None], expected: set[str]
) -> None:
    columns = ("mutants", "killed", "of these timeouts", "equivalent", "survived")
    counts: dict[str, Counter[str]] = {}
    for mutant in mutants:
        name = _full(mutant)
        killed_by = verdicts[name]
        row = counts.setdefault(mutant.module, Counter())
        row["mutants"] += 1
        row["killed"] += killed_by is not None
        row["of these timeouts"] += killed_by == TIMEOUT
        row["equivalent"] += killed_by is None and name in expected
        row["survived"] += killed_by is None and name not in expected
    counts["all"] = sum(counts.values(), Counter())
    print(f"{'module':16}", *(f"{column:>18}" for column in columns))
    for module, row in counts.items():
        print(f"{module:16}", *(f"{row[column]:18}" for column in columns))


if __name__ == "__main__":
    sys.exit(main())
