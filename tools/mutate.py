"""Mutation testing of the C core and of what security rests on: changes one thing, runs the tests.

    python tools/mutate.py                        all mutants of all modules
    python tools/mutate.py --module verification  mutants of a folder or module; --c: of the C core
    python tools/mutate.py --sample 60 --seed 7   a random sample, the same for the same seed
    python tools/mutate.py --list                 print the mutants' names, run nothing
    python tools/mutate.py --page                 compare docs/explanation/mutants.md with the
                                                  mutants, run nothing

The modules are those in PLACES at the time of the run. Exits with 1 if a mutant survives that the
page does not list as equivalent, if the page lists a mutant that does not exist, or if a test kills
a listed one. The report keeps every result: a mutant is not run again
while its module is unchanged, and so is the file of the test that killed it or, if it survived,
every test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mutation import c_code, python_code
from mutation.c_runner import SOURCES, CRunner
from mutation.live_tests import CANNOT, LiveTests
from mutation.mutant import TIMEOUT, Mutant
from mutation.page import candidates, equivalents
from mutation.python_runner import PythonRunner, stages, warm_up

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "src/nitro_attest"
PLACES: Final = (
    *("verification/**/*.py", "freshness/*.py", "keys/*.py", "measurements/**/*.py"),
    *("policy_files.py", "kms/*.py", "transport/*.py", "channel/**/*.py", "enclave/client.py"),
    *("cli/verify.py", "cli/fetch.py"),
)
"""The files of the package that have mutants."""
WORTH_COLLECTING: Final = 100
"""From this many mutants on, a first run of all their tests is quicker than to do without."""


def main() -> int:
    """Runs the command line.

    Returns:
        The exit code.
    """
    modules = _python_modules()
    options = _arguments()
    wanted = options.module or ([] if options.c else [""])
    files = {name: path for name, path in modules.items() if name.startswith(tuple(wanted))}
    if wanted and not files:
        sys.exit(f"no module begins with {' or '.join(wanted)}")
    if options.c or not options.module:
        files |= {name: ROOT / "csrc" / name for name in SOURCES}
    mutants = [mutant for name, path in files.items() for mutant in _mutants(name, path)]
    listed = {name for name in equivalents(ROOT) if name.partition(": ")[0] in files}
    if not options.module and not options.c:
        listed = set(equivalents(ROOT))
    if options.list:
        print(*(mutant.full_name for mutant in mutants), sep="\n")
        return 0
    problems = _missing(listed, mutants)
    if options.page:
        print(*problems or ["every listed mutant exists"], sep="\n")
        return 1 if problems else 0
    if options.sample is not None:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    results = _run(mutants, files, options.report)
    for name, killed_by in results.items():
        if killed_by is None and name not in listed:
            problems.append(f"survives: {name}")
        if killed_by is not None and name in listed:
            problems.append(f"listed as equivalent, but killed by {killed_by}: {name}")
    _print_table(mutants, results, listed)
    print(*problems, sep="\n")
    return 1 if problems else 0


def _python_modules() -> dict[str, Path]:
    """The modules of all places, by their path in the package without the suffix."""
    paths = [path for place in PLACES for path in sorted(PACKAGE.glob(place))]
    return {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in paths}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation testing of the verifying code.")
    parser.add_argument("--module", action="append", help="a module or folder; repeatable")
    parser.add_argument("--c", action="store_true", help="the C core")
    parser.add_argument("--sample", type=int, metavar="N", help="run N mutants, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--list", action="store_true", help="print the names, run nothing")
    parser.add_argument("--page", action="store_true", help="check mutants.md, run nothing")
    parser.add_argument(
        "--report", type=Path, default=ROOT / "build/mutants.json", help="file with the results"
    )
    return parser.parse_args()


def _mutants(name: str, path: Path) -> list[Mutant]:
    return (c_code if name in SOURCES else python_code).mutants_of(name, path)


def _missing(listed: set[str], mutants: Sequence[Mutant]) -> list[str]:
    """Lines about listed mutants that do not exist, each with those it may have become."""
    names = [mutant.full_name for mutant in mutants]
    lines = []
    for name in sorted(listed - set(names)):
        lines.append(f"listed, but no such mutant: {name}")
        lines += [f"    perhaps now: {other}" for other in candidates(name, names)]
    return lines


def _run(
    mutants: Sequence[Mutant], files: Mapping[str, Path], report: Path
) -> dict[str, str | None]:
    """The test that killed each mutant. Each result is saved at once: a run can be interrupted."""
    known: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    report.parent.mkdir(parents=True, exist_ok=True)
    to_run = [mutant for mutant in mutants if not _is_known(mutant, files, known)]
    for mutant, killed_by in _results(to_run):
        key = _key(files[mutant.module], killed_by)
        known[mutant.full_name] = {"killed_by": killed_by, "key": key}
        report.write_text(json.dumps(known, indent=1))
    return {mutant.full_name: known[mutant.full_name]["killed_by"] for mutant in mutants}


def _is_known(mutant: Mutant, files: Mapping[str, Path], known: Mapping[str, Any]) -> bool:
    entry = known.get(mutant.full_name)
    return entry is not None and entry["key"] == _key(files[mutant.module], entry["killed_by"])


def _results(mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str | None]]:
    """Runs the tests; the mutants that need a new import are the slow ones, and come last."""
    in_c = [mutant for mutant in mutants if mutant.module in SOURCES]
    if in_c:
        core = CRunner(ROOT)
        yield from ((mutant, core.killed_by(mutant)) for mutant in in_c)
    in_python = [mutant for mutant in mutants if mutant.module not in SOURCES]
    if in_python:
        warm_up(ROOT)
    slow = in_python
    if len(in_python) >= WORTH_COLLECTING:
        slow = []
        tests = {test for one in in_python for stage in stages(one.module, ROOT) for test in stage}
        live = LiveTests(sorted(tests), in_python, PACKAGE)
        for mutant in in_python:
            killed_by = live.killed_by(mutant)
            if killed_by == CANNOT:
                slow.append(mutant)
            else:
                yield mutant, killed_by
    yield from ((mutant, PythonRunner(mutant.module, ROOT).killed_by(mutant)) for mutant in slow)


def _key(path: Path, killed_by: str | None) -> str:
    """A hash of what a result depends on: the module, and the killing test's file or all tests."""
    if killed_by is None:
        tests = sorted(file for file in (ROOT / "tests").rglob("*.[pch]*") if file.suffix != ".pyc")
    elif path.name in SOURCES:
        tests = [ROOT / "tests/c/test_nitro_cose.c"]
    else:
        tests = [ROOT / killed_by.partition("::")[0]]
    content = [file.read_bytes() for file in (path, *tests) if file.is_file()]
    return hashlib.sha256(b"".join(content)).hexdigest()


def _print_table(
    mutants: Sequence[Mutant], results: Mapping[str, str | None], listed: set[str]
) -> None:
    columns = ("mutants", "killed", "of these timeouts", "equivalent", "survived")
    counts: dict[str, Counter[str]] = {}
    for mutant in mutants:
        name = mutant.full_name
        killed_by = results[name]
        row = counts.setdefault(mutant.module, Counter())
        row["mutants"] += 1
        row["killed"] += killed_by is not None
        row["of these timeouts"] += killed_by == TIMEOUT
        row["equivalent"] += killed_by is None and name in listed
        row["survived"] += killed_by is None and name not in listed
    counts["all"] = sum(counts.values(), Counter())
    print(f"{'module':24}", *(f"{column:>18}" for column in columns))
    for module, row in counts.items():
        print(f"{module:24}", *(f"{row[column]:18}" for column in columns))


if __name__ == "__main__":
    sys.exit(main())
