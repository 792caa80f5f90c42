"""Runs any verifier over the conformance vectors and says where it differs from them.

    python tools/run_vectors.py --cmd 'other-tool {doc} {root} {time}'
    python tools/run_vectors.py --adapter 'python tools/adapters/nitro_attest_adapter.py'

A command is run once for each case and accepts with exit code 0. An adapter is started once and
answers one JSON object per line. docs/reference/conformance.md describes both. The exit code is 0
where nothing differed, 1 where something did, 2 for wrong arguments or a verifier that cannot run.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import queue
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "fixtures" / "vectors" / "conformance"
SCHEMA: Final = "nitro-attest-vectors/1"
PROTOCOL: Final = 1
CANNOT_RUN: Final = (126, 127)
SHELL_SAYS_KILLED: Final = range(129, 193)

Case = dict[str, Any]
Verdict = tuple[str, str | None]
"""``accept``, ``reject``, ``crash`` or ``unsupported``; and the code, where there is one."""

Judge = Callable[[Case], Verdict]


class VerifierError(Exception):
    """The verifier under test cannot be run, or does not keep to the protocol."""


class SuiteError(Exception):
    """The case files are not what they should be."""


def load(folder: Path, groups: list[str] | None, rules: list[str] | None) -> Iterator[Case]:
    """The cases of these groups and about these rules (None: all), with document and root."""
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("schema") != SCHEMA or (groups and content["group"] not in groups):
            continue
        for case in content["cases"]:
            if not rules or case["rules"][0] in rules:
                root = (folder / "roots" / f"{case['root']}.pem").read_text()
                raw = document(folder, case)
                yield case | {"group": content["group"], "raw": raw, "pem": root}


def document(folder: Path, case: Case) -> bytes:
    """The raw document of a case.

    Raises:
        SuiteError: It is not the one that the case was made with.
    """
    stored: dict[str, str] = case["document"]
    if "file" in stored:
        raw = (folder / stored["file"]).read_bytes()
    else:
        raw = base64.b64decode(stored["base64"], validate=True)
    if hashlib.sha256(raw).hexdigest() != stored["sha256"]:
        raise SuiteError(f"the document of {case['id']} is not the one that was stored")
    return raw


def question(case: Case) -> dict[str, Any]:
    """What a verifier is told of a case: all but what must come out."""
    return {
        "protocol": PROTOCOL,
        "id": case["id"],
        "document": base64.b64encode(case["raw"]).decode(),
        "root": case["pem"],
        "time": case["time"],
        "policy": case["policy"],
    }


@contextmanager
def command(template: str, timeout: float) -> Iterator[Judge]:
    """A command that is run for each case."""
    words = shlex.split(template)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def judge(case: Case) -> Verdict:
            (folder / "document.bin").write_bytes(case["raw"])
            (folder / "root.pem").write_text(case["pem"])
            (folder / "case.json").write_text(json.dumps(question(case)))
            values = {
                "{doc}": str(folder / "document.bin"),
                "{root}": str(folder / "root.pem"),
                "{time}": case["time"],
                "{kind}": case["policy"]["kind"],
                "{case}": str(folder / "case.json"),
            }
            return _exit(_fill(words, values), timeout), None

        yield judge


def _fill(words: list[str], values: dict[str, str]) -> list[str]:
    return [
        re.sub("{[a-z]+}", lambda found: values.get(found[0], found[0]), word) for word in words
    ]


def _exit(words: list[str], timeout: float) -> str:
    try:
        run = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return "crash"
    except OSError as error:
        raise VerifierError(f"{words[0]}: {error}") from None
    if run.returncode in CANNOT_RUN:
        raise VerifierError(f"{shlex.join(words)}: exit code {run.returncode}")
    if run.returncode < 0 or run.returncode in SHELL_SAYS_KILLED:
        return "crash"
    return "accept" if run.returncode == 0 else "reject"


class Adapter:
    """A process that answers; started again after a crash.

    Args:
        words: The command line.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, words: list[str], timeout: float) -> None:
        self._words = words
        self._timeout = timeout
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()
        self._lines: queue.Queue[str] = queue.Queue()

    def __call__(self, case: Case) -> Verdict:
        """Asks about one case."""
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question(case)) + "\n")
            process.stdin.flush()
            line = self._lines.get(timeout=self._timeout)
        except (BrokenPipeError, queue.Empty):
            line = ""
        if not line:
            self.stop()
            return "crash", None
        return _answer(line, case["id"])

    def _start(self) -> subprocess.Popen[str]:
        try:
            process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise VerifierError(f"{self._words[0]}: {error}") from None
        lines: queue.Queue[str] = queue.Queue()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put("")

        self._process, self._lines = process, lines
        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        return process

    def stop(self) -> None:
        """Ends the process, if it runs."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None and process.stdout is not None:
            process.kill()
            process.wait()
            self._reader.join()
            process.stdout.close()
            with suppress(BrokenPipeError):
                process.stdin.close()


def _answer(line: str, name: str) -> Verdict:
    try:
        said = json.loads(line)
        if said["id"] == name and said["result"] in ("accept", "reject", "unsupported"):
            return said["result"], said.get("code")
    except (ValueError, KeyError, TypeError):
        pass
    raise VerifierError(f"no answer to {name} of the protocol: {line[:200]!r}")


@contextmanager
def adapter(template: str, timeout: float) -> Iterator[Judge]:
    """A process that answers all questions."""
    running = Adapter(shlex.split(template), timeout)
    try:
        yield running
    finally:
        running.stop()


def understood(options: argparse.Namespace) -> set[str] | None:
    """The features that a verifier can be told of; None for all."""
    if options.adapter or "{case}" in options.cmd:
        return None
    features = set(options.features.split(",")) - {""}
    return features | ({"nitrotpm"} if "{kind}" in options.cmd else set())


def run(cases: list[Case], judge: Judge, features: set[str] | None, *, codes: bool) -> Case:
    """Asks about all cases and sorts the answers.

    Args:
        cases: What to ask about.
        judge: Whom to ask.
        features: What it can be told of; None for everything.
        codes: Compare the codes of refusals too.

    Returns:
        The report, as ``--json`` prints it.
    """
    report: Case = {"cases": len(cases), "run": 0, "right": 0, "not_run": {}}
    wrong: dict[str, list[Case]] = {
        "accepts_wrongly": [],
        "rejects_wrongly": [],
        "crashes": [],
        "other_code": [],
    }
    not_run: Counter[str] = Counter()
    for case in cases:
        missing = set() if features is None else set(case["features"]) - features
        result, code = ("unsupported", None) if missing else judge(case)
        if result == "unsupported":
            not_run[", ".join(sorted(missing)) or "unsupported"] += 1
            continue
        report["run"] += 1
        expected = case["expected"]
        entry = {
            "id": case["id"],
            "group": case["group"],
            "rules": case["rules"],
            "title": case["title"],
            "why": case["why"],
            "judges": case["judges"],
            "expected": expected["code"] or expected["result"],
            "found": code or result,
        }
        if result == "crash":
            wrong["crashes"].append(entry)
        elif result != expected["result"]:
            wrong[f"{result}s_wrongly"].append(entry)
        elif codes and code != expected["code"]:
            wrong["other_code"].append(entry)
        else:
            report["right"] += 1
    return report | {"not_run": dict(sorted(not_run.items()))} | wrong


HEADINGS: Final = {
    "accepts_wrongly": "Accepts what must be refused",
    "rejects_wrongly": "Refuses what must be accepted",
    "crashes": "Crashes, or does not answer in time",
    "other_code": "Refuses with another code",
}


def table(report: Case) -> str:
    """The report for people."""
    lines = [f"{report['run']} of {report['cases']} cases run, {report['right']} right"]
    for reason, count in report["not_run"].items():
        lines.append(f"  not run: {count} ({reason})")
    for key, heading in HEADINGS.items():
        if report[key]:
            alone = sum(not entry["judges"] for entry in report[key])
            lines += ["", f"{heading}: {len(report[key])} ({alone} by our reading alone)"]
            width = max(len(entry["id"]) for entry in report[key])
            for entry in report[key]:
                lines.append(f"  {entry['id']:{width}}  {entry['expected']}: {entry['title']}")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs a verifier over the conformance vectors.")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--cmd", help="with {doc} {root} {time} {kind} {case}; exit 0 accepts")
    who.add_argument("--adapter", help="a process that answers one JSON object per line")
    parser.add_argument("--vectors", type=Path, default=FOLDER, help="folder of the case files")
    parser.add_argument("--group", action="append", help="only this file's cases (repeatable)")
    parser.add_argument("--rule", action="append", help="only cases about this rule (repeatable)")
    parser.add_argument("--features", default="", help="what --cmd does besides, comma-separated")
    parser.add_argument("--codes", action="store_true", help="compare the codes of refusals too")
    parser.add_argument("--timeout", type=float, default=10, help="seconds per case (10)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser.parse_args()


def main() -> int:
    """Runs the cases; the exit code."""
    options = _options()
    start = command if options.cmd else adapter
    try:
        cases = list(load(options.vectors, options.group, options.rule))
        if not cases:
            raise SuiteError("no case is selected")
    except (SuiteError, OSError, ValueError, KeyError) as error:
        print(f"cannot read the vectors: {error}", file=sys.stderr)
        return 2
    try:
        with start(options.cmd or options.adapter, options.timeout) as judge:
            report = run(cases, judge, understood(options), codes=options.codes)
    except VerifierError as error:
        print(f"cannot run the verifier: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report, indent=1) if options.json else table(report))
    return 1 if any(report[key] for key in HEADINGS) else 0


if __name__ == "__main__":
    sys.exit(main())
