"""The results of a run: every case with its outcome, the score, and the comparison of two runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from vectors_runner.suite import Case, kind_of
from vectors_runner.verifiers import Answer, Ask

SCHEMA: Final = "nitro-attest-results/1"
HEADINGS: Final = {
    "accepts_wrongly": "Accepts what must be rejected",
    "rejects_wrongly": "Rejects what must be accepted",
    "mismeasures": "Accepts, with other measurements than expected",
    "crashes": "Crashes, or does not answer in time or within the memory",
    "unsupported": "Answers unsupported, although the case needs no feature",
    "other_code": "Rejects with another code",
}
NO_ANSWER: Final = ("crash", "timeout", "excess")
IMPORTANCE: Final = ("critical", "high", "medium", "low")
COLUMNS: Final = (
    "class",
    "forgeries accepted",
    "other faults accepted",
    "valid rejected",
    "no answer",
    "acceptable",
    "not run",
)


class ResultsError(Exception):
    """A file of results is not what it should be."""


Answers = Mapping[str, Answer]
"""Answers by the id of the case."""


def ask_all(
    cases: Iterable[Case], ask: Ask, lacking: Callable[[Case], Collection[str]]
) -> dict[str, Answer]:
    """Asks about all cases; one whose needs the verifier lacks is not run."""
    answers = {}
    for case in cases:
        missing = ", ".join(sorted(lacking(case)))
        answers[case["id"]] = Answer("not-run", None, missing) if missing else ask(case)
    return answers


def results(
    cases: Iterable[Case], answers: Answers, *, version: str, harness: str, tool: tuple[str, str]
) -> dict[str, Any]:
    """Returns the content of a file of results, as its schema describes it."""
    return {
        "schema": SCHEMA,
        "suite_version": version,
        "harness": harness,
        "tool": tool[0],
        "tool_version": tool[1],
        "cases": [
            {
                "id": case["id"],
                "outcome": answers[case["id"]].outcome,
                "message": answers[case["id"]].message,
            }
            for case in cases
        ],
    }


def fault(case: Case, answer: Answer, *, codes: bool = False) -> str | None:
    """Returns the key of HEADINGS for a wrong answer; None for a right or an acceptable one.

    Args:
        case: The case.
        answer: The answer to it.
        codes: Compare with the result and the code of this project's verifier.
    """
    expected = case["expected"]
    wanted = expected["ours"] if codes else expected["result"]
    if answer.outcome in NO_ANSWER:
        return "crashes"
    if answer.outcome == "mismeasure":
        return "mismeasures" if wanted != "reject" else "accepts_wrongly"
    if not _was_run(case, answer):
        return None
    if answer.outcome == "unsupported":
        return "unsupported"
    if wanted not in (answer.outcome, "acceptable"):
        return f"{answer.outcome}s_wrongly"
    return "other_code" if codes and answer.code != expected["code"] else None


def _was_run(case: Case, answer: Answer) -> bool:
    """Every verifier supports the documents whose cases need no feature."""
    needs = case["features"] or kind_of(case) != "document"
    return answer.outcome != "not-run" and not (answer.outcome == "unsupported" and needs)


def report_of(cases: list[Case], answers: Answers, *, codes: bool = False) -> dict[str, Any]:
    """Returns the report, as ``--json`` prints it.

    Cases whose results are acceptable either way count neither as right nor as wrong.
    """
    report: dict[str, Any] = {"cases": len(cases), "run": 0, "right": 0}
    not_run: Counter[str] = Counter()
    acceptable: Counter[str] = Counter()
    wrong: dict[str, list[dict[str, Any]]] = {key: [] for key in HEADINGS}
    for case in cases:
        answer = answers[case["id"]]
        if not _was_run(case, answer):
            not_run[answer.message if answer.outcome == "not-run" else "unsupported"] += 1
            continue
        report["run"] += 1
        found = fault(case, answer, codes=codes)
        if found:
            wrong[found].append(_entry(case, answer))
        elif case["expected"]["result"] == "acceptable" and not codes:
            acceptable[answer.outcome] += 1
        else:
            report["right"] += 1
    for entries in wrong.values():
        entries.sort(key=lambda entry: IMPORTANCE.index(entry["importance"]))
    counted = {
        "acceptable": dict(sorted(acceptable.items())),
        "not_run": dict(sorted(not_run.items())),
    }
    return report | counted | wrong | {"classes": classes(cases, answers)}


def _entry(case: Case, answer: Answer) -> dict[str, Any]:
    names = ("id", "group", "class", "rules", "title", "why", "importance", "flags", "links")
    expected = case["expected"]
    return {name: case[name] for name in names} | {
        "judges": case["judges"],
        "expected": expected["code"] or expected["ours"],
        "found": answer.code or answer.outcome,
        "message": answer.message,
    }


def classes(cases: Iterable[Case], answers: Answers) -> dict[str, dict[str, list[int]]]:
    """Counts by class and direction, each as wrong answers and cases run.

    The members are COLUMNS but the first, with underscores. ``acceptable`` counts accepted ones.
    """
    counted: dict[str, dict[str, list[int]]] = {}
    for case in cases:
        answer, expected = answers[case["id"]], case["expected"]["result"]
        columns = counted.setdefault(case["class"], {_member(name): [0, 0] for name in COLUMNS[1:]})
        run = _was_run(case, answer)
        accepted = answer.outcome in ("accept", "mismeasure")
        _count(columns["not_run"], not run)
        if not run:
            continue
        _count(columns["no_answer"], answer.outcome in (*NO_ANSWER, "unsupported"))
        if expected == "acceptable":
            _count(columns["acceptable"], accepted)
        elif expected == "accept":
            _count(columns["valid_rejected"], answer.outcome == "reject")
        else:
            forgery = case["importance"] == "critical"
            _count(columns["forgeries_accepted" if forgery else "other_faults_accepted"], accepted)
    return counted


def _member(column: str) -> str:
    return column.replace(" ", "_")


def _count(pair: list[int], counts: bool) -> None:
    pair[0] += counts
    pair[1] += 1


def table(report: Mapping[str, Any]) -> str:
    """Returns the report for people."""
    either = ", ".join(f"{count} {outcome}" for outcome, count in report["acceptable"].items())
    score = f"{report['run']} of {report['cases']} cases run, {report['right']} right"
    lines = [score + (f", acceptable either way: {either}" if either else "")]
    lines += [f"  not run: {count} ({reason})" for reason, count in report["not_run"].items()]
    rows = [list(COLUMNS)]
    for name, counts in report["classes"].items():
        cells = [counts[_member(column)] for column in COLUMNS[1:]]
        rows.append([name, *(f"{found} of {run}" if run else "-" for found, run in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines.append("")
    for row in rows:
        padded = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(padded.rstrip())
    for key, heading in HEADINGS.items():
        if report[key]:
            lines += ["", *_listed(heading, report[key])]
    return "\n".join(lines)


def _listed(heading: str, entries: list[dict[str, Any]]) -> list[str]:
    alone = sum(not entry["judges"] for entry in entries)
    critical = sum(entry["importance"] == "critical" for entry in entries)
    counts = f"{len(entries)} ({critical} critical, {alone} by our reading alone)"
    width = max(len(entry["id"]) for entry in entries)
    return [f"{heading}: {counts}"] + [
        f"  {entry['id']:{width}}  {entry['importance']:8}  {entry['expected']}: {entry['title']}"
        for entry in entries
    ]


def read_results(path: Path) -> dict[str, Any]:
    """Reads a file of results.

    Raises:
        ResultsError: It is not one.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] == SCHEMA:
            content["outcomes"] = {case["id"]: case["outcome"] for case in content["cases"]}
            return content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path}: {error!r}") from None
    raise ResultsError(f"{path}: expected schema {SCHEMA}, found {content['schema']!r}")


def comparison(first: Mapping[str, Any], second: Mapping[str, Any], cases: Iterable[Case]) -> str:
    """Returns the cases that two runs answer differently, one per line; empty if none.

    Args:
        first: A file of results, as ``read_results`` returns it.
        second: Another.
        cases: The suite, for the expected results.
    """
    expected = {case["id"]: case["expected"]["result"] for case in cases}
    before, after = first["outcomes"], second["outcomes"]
    names = [*before, *(name for name in after if name not in before)]
    changed = [name for name in names if before.get(name) != after.get(name)]
    width = max(map(len, changed), default=0)
    lines = []
    for name in changed:
        pair = f"{before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        lines.append(f"  {name:{width}}  {pair} (expected {expected.get(name, 'unknown')})")
    if not lines:
        return ""
    titles = (
        f"{one['tool']} {one['tool_version']} (suite {one['suite_version']})"
        for one in (first, second)
    )
    counted = "1 case differs" if len(lines) == 1 else f"{len(lines)} cases differ"
    return "\n".join([f"{' -> '.join(titles)}: {counted}", *lines])
