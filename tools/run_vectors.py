"""Runs any verifier over the conformance vectors and reports where it differs from them.

    python tools/run_vectors.py --cmd 'other-tool {doc} {root} {time}'
    python tools/run_vectors.py --policy-cmd 'other-tool {doc} {root} {time} {policy}'
    python tools/run_vectors.py --crl-cmd 'other-tool {doc} {root} {time} {crls}'
    python tools/run_vectors.py --image-cmd 'other-tool {image}'
    python tools/run_vectors.py --adapter 'python tools/adapters/nitro_attest_adapter.py'
    python tools/run_vectors.py --compare before.json after.json

A command is run once for each case and accepts with exit code 0. An adapter is started once and
answers one JSON object per line. docs/reference/conformance.md describes both. Control cases come
first: a program that accepts no valid one or rejects no wrong one has no score. The exit code is 0
where nothing differed, 1 where something did, 2 for wrong arguments or a program that is not a
verifier.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from functools import partial
from pathlib import Path

from vectors_runner.control import ControlError, check_control
from vectors_runner.report import (
    HEADINGS,
    Answers,
    ResultsError,
    ask_all,
    comparison,
    read_results,
    report_of,
    results,
    table,
)
from vectors_runner.suite import BOUNDS, FOLDER, Case, SuiteError, kind_of, load, suite_version
from vectors_runner.verifiers import Answer, VerifierError, adapter, command


def main() -> int:
    """Runs the cases, or compares two runs; the exit code."""
    options = _options()
    try:
        suite = list(load(options.vectors))
        version = suite_version(options.vectors)
        cases = list(load(options.vectors, options.group, options.rule))
        if not cases:
            raise SuiteError("no case is selected")
    except (SuiteError, OSError, ValueError, KeyError) as error:
        print(f"cannot read the vectors: {error}", file=sys.stderr)
        return 2
    if options.compare:
        return _compare(options.compare, suite)
    try:
        answers = _answers(options, suite, cases)
    except SuiteError as error:
        print(f"cannot read the vectors: {error}", file=sys.stderr)
        return 2
    except ControlError as error:
        print(f"no score: {error}", file=sys.stderr)
        return 2
    except VerifierError as error:
        print(f"cannot run the verifier: {error}", file=sys.stderr)
        return 2
    report = report_of(cases, answers, codes=options.codes)
    if options.out and report["run"]:
        content = results(
            cases,
            answers,
            version=version,
            harness=options.harness,
            tool=(options.tool or _tool(options), options.tool_version),
        )
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1) if options.json else table(report))
    if not report["run"]:
        print("no score: no case was run", file=sys.stderr)
        return 2
    return 1 if any(report[key] for key in HEADINGS) else 0


def _answers(options: argparse.Namespace, suite: list[Case], cases: list[Case]) -> Answers:
    """Asks about the control cases, and then about the selected ones."""
    lacking = partial(untold, options)
    kinds = {kind_of(case) for case in cases if not lacking(case)}
    verifier = (
        adapter(options.adapter, options.timeout, abort_rejects=options.abort_rejects)
        if options.adapter
        else command(commands(options), options.timeout, abort_rejects=options.abort_rejects)
    )
    with verifier as ask:
        unsupported = check_control(suite, kinds, ask, lacking)
        asked = [case for case in cases if kind_of(case) not in unsupported]
        others = (case["id"] for case in cases if kind_of(case) in unsupported)
        return ask_all(asked, ask, lacking) | dict.fromkeys(others, Answer("unsupported"))


def untold(options: argparse.Namespace, case: Case) -> set[str]:
    """Returns the features of a case, or its kind, that the verifier cannot be given."""
    template = commands(options)[kind_of(case)]
    if options.adapter or (template and "{case}" in template):
        return set()
    if template is None:
        return {f"{kind_of(case)} cases"}
    told = set(options.features.split(","))
    told |= {
        feature
        for placeholder, feature in {"{kind}": "nitrotpm", "{crls}": "crl"}.items()
        if placeholder in template
    }
    return set(case["features"]) - told


def commands(options: argparse.Namespace) -> dict[str, str | None]:
    """Returns the commands by the kind of case."""
    return {
        "document": options.cmd,
        "policy": options.policy_cmd,
        "crl": options.crl_cmd,
        "image": options.image_cmd,
    }


def _tool(options: argparse.Namespace) -> str:
    """Returns the name of the program that is run."""
    template = options.adapter or next(filter(None, commands(options).values()))
    return Path(shlex.split(template)[0]).name


def _compare(paths: list[Path], suite: list[Case]) -> int:
    try:
        first, second = map(read_results, paths)
    except ResultsError as error:
        print(f"cannot read the results: {error}", file=sys.stderr)
        return 2
    found = comparison(first, second, suite)
    print(found or "no case differs")
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs a verifier over the conformance vectors.")
    parser.add_argument("--cmd", help="with {doc} {root} {time} {kind} {case}; exit 0 accepts")
    parser.add_argument("--policy-cmd", help="the same with {policy}, for policy files")
    parser.add_argument("--crl-cmd", help="the same with {crls}, a folder of revocation lists")
    parser.add_argument("--image-cmd", help="with {image} {case}; exit 0, and prints the PCRs")
    parser.add_argument("--adapter", help="a process that answers one JSON object per line")
    parser.add_argument("--vectors", type=Path, default=FOLDER, help="folder, or vectors.json")
    parser.add_argument("--group", action="append", help="only this file's cases (repeatable)")
    parser.add_argument("--rule", action="append", help="only cases about this rule (repeatable)")
    parser.add_argument("--features", default="", help="what --cmd does besides, comma-separated")
    parser.add_argument("--codes", action="store_true", help="compare with this project's codes")
    parser.add_argument(
        "--timeout", type=float, default=BOUNDS.seconds, help="seconds per case (10)"
    )
    parser.add_argument(
        "--abort-as-reject",
        dest="abort_rejects",
        action="store_true",
        help="a verifier that aborts, as by an assertion, rejects the case",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--out", type=Path, help="write the outcome of every case to this file")
    parser.add_argument("--harness", default="run_vectors.py", help="its name, for --out")
    parser.add_argument("--tool", help="the verifier's name, for --out")
    parser.add_argument("--tool-version", default="unknown", help="its version, for --out")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar="RESULTS", help="compare two files of --out"
    )
    options = parser.parse_args()
    if not options.compare and bool(options.adapter) == any(commands(options).values()):
        parser.error("commands or an adapter are needed, and not both")
    return options


if __name__ == "__main__":
    sys.exit(main())
