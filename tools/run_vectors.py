"""Runs any verifier over the conformance vectors and says where it differs from them.

    python tools/run_vectors.py --cmd 'other-tool {doc} {root} {time}'
    python tools/run_vectors.py --policy-cmd 'other-tool {doc} {root} {time} {policy}'
    python tools/run_vectors.py --crl-cmd 'other-tool {doc} {root} {time} {crls}'
    python tools/run_vectors.py --image-cmd 'other-tool {image}'
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
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "fixtures" / "vectors" / "conformance"
SCHEMAS: Final = ("nitro-attest-vectors/1", "nitro-attest-image-vectors/1")
PROTOCOL: Final = 1
CANNOT_RUN: Final = (126, 127)
SHELL_SAYS_KILLED: Final = range(129, 193)

Case = dict[str, Any]
Verdict = tuple[str, str | None]
"""``accept``, ``reject``, ``mismeasure``, ``crash`` or ``unsupported``; and the code, if any."""

Judge = Callable[[Case], Verdict]


class VerifierError(Exception):
    """The verifier under test cannot be run, or does not keep to the protocol."""


class SuiteError(Exception):
    """The case files are not what they should be."""


def load(folder: Path, groups: list[str] | None, rules: list[str] | None) -> Iterator[Case]:
    """The cases of these groups and about these rules (None: all), with document and root."""
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("schema") not in SCHEMAS or (groups and content["group"] not in groups):
            continue
        for case in content["cases"]:
            if not rules or case["rules"][0] in rules:
                read = {"group": content["group"], "raw": judged(folder, case)}
                if "root" in case:
                    read["pem"] = (folder / "roots" / f"{case['root']}.pem").read_text()
                yield case | read


def judged(folder: Path, case: Case) -> bytes:
    """The raw document or image of a case.

    Raises:
        SuiteError: It is not the one that the case was made with.
    """
    what = "image" if "image" in case else "document"
    stored: dict[str, str] = case[what]
    if "file" in stored:
        raw = (folder / stored["file"]).read_bytes()
    else:
        raw = base64.b64decode(stored["base64"], validate=True)
    if hashlib.sha256(raw).hexdigest() != stored["sha256"]:
        raise SuiteError(f"the {what} of {case['id']} is not the one that was stored")
    return raw


def question(case: Case) -> dict[str, Any]:
    """Returns a case as a verifier receives it: without the expected result."""
    raw = base64.b64encode(case["raw"]).decode()
    asked = {"protocol": PROTOCOL, "id": case["id"], "time": case["time"]}
    if "image" in case:
        return asked | {"image": raw, "ignore_crc": case["ignore_crc"]}
    asked |= {"document": raw, "root": case["pem"], "policy": case["policy"]}
    if "policy_file" in case:
        file = case["policy_file"]
        content = base64.b64encode(policy_file(file)).decode()
        chosen = {name: file[name] for name in ("enclave_name", "pcr_index")}
        asked["policy_file"] = {"base64": content} | chosen
    if "revocation" in case:
        lists = [one["base64"] for one in case["revocation"]["lists"]]
        asked["revocation"] = {"max_age_ms": case["revocation"]["max_age_ms"], "lists": lists}
    return asked


def policy_file(stored: dict[str, Any]) -> bytes:
    """The bytes of a policy file."""
    if "text" in stored:
        return str(stored["text"]).encode()
    return base64.b64decode(stored["base64"], validate=True)


def kind_of(case: Case) -> str:
    """Returns the kind of command that a case is for."""
    kinds = {"image": "image", "policy_file": "policy", "revocation": "crl"}
    return next((kind for member, kind in kinds.items() if member in case), "document")


@contextmanager
def command(templates: dict[str, str | None], timeout: float) -> Iterator[Judge]:
    """Commands by the kind of case, one of which is run for each case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def judge(case: Case) -> Verdict:
            contents = {"case": json.dumps(question(case)).encode()}
            values = {"{time}": case["time"] or ""}
            if "image" in case:
                contents["image"] = case["raw"]
            else:
                contents |= {"doc": case["raw"], "root": case["pem"].encode()}
                values["{kind}"] = case["policy"]["kind"]
            if "policy_file" in case:
                contents["policy"] = policy_file(case["policy_file"])
            for name, content in contents.items():
                (folder / name).write_bytes(content)
                values[f"{{{name}}}"] = str(folder / name)
            if "revocation" in case:
                values["{crls}"] = str(_write_lists(folder / "crls", case["revocation"]["lists"]))
            words = _fill(shlex.split(templates[kind_of(case)] or ""), values)
            result, printed = _exit(words, timeout)
            # A policy file is put to the test by a document, an image by what is printed of it.
            measured = case["expected"]["measurements"] if "image" in case else []
            values_missing = (pcr not in printed for one in measured for pcr in one.values())
            return "mismeasure" if result == "accept" and any(values_missing) else result, None

        yield judge


def _write_lists(folder: Path, lists: list[dict[str, str]]) -> Path:
    """Writes the revocation lists of one case, and nothing else, into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, one in enumerate(lists):
        (folder / f"{number}.crl").write_bytes(base64.b64decode(one["base64"], validate=True))
    return folder


def _fill(words: list[str], values: dict[str, str]) -> list[str]:
    return [
        re.sub("{[a-z]+}", lambda found: values.get(found[0], found[0]), word) for word in words
    ]


def _exit(words: list[str], timeout: float) -> tuple[str, str]:
    """Returns how a command ended and its output in lower case."""
    try:
        run = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return "crash", ""
    except OSError as error:
        raise VerifierError(f"{words[0]}: {error}") from None
    if run.returncode in CANNOT_RUN:
        raise VerifierError(f"{shlex.join(words)}: exit code {run.returncode}")
    if run.returncode < 0 or run.returncode in SHELL_SAYS_KILLED:
        return "crash", ""
    printed = run.stdout.decode(errors="replace").lower()
    return "accept" if run.returncode == 0 else "reject", printed


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
        return _answer(line, case)

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


def _answer(line: str, case: Case) -> Verdict:
    name, measured = case["id"], case["expected"].get("measurements")
    try:
        said = json.loads(line)
        if said["id"] == name and said["result"] in ("accept", "reject", "unsupported"):
            if said["result"] == "accept" and measured and said.get("measurements") != measured:
                return "mismeasure", None
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


def untold(options: argparse.Namespace, case: Case) -> set[str]:
    """The features of a case, or its kind, that the verifier cannot be told of."""
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
    """The commands by the kind of case."""
    return {
        "document": options.cmd,
        "policy": options.policy_cmd,
        "crl": options.crl_cmd,
        "image": options.image_cmd,
    }


def run(
    cases: list[Case], judge: Judge, lacking: Callable[[Case], set[str]], *, codes: bool
) -> Case:
    """Asks about all cases and sorts the answers.

    Args:
        cases: What to ask about.
        judge: Whom to ask.
        lacking: What of a case it cannot be told of.
        codes: Compare the codes of refusals too.

    Returns:
        The report, as ``--json`` prints it.
    """
    report: Case = {"cases": len(cases), "run": 0, "right": 0, "not_run": {}}
    wrong: dict[str, list[Case]] = {
        "accepts_wrongly": [],
        "rejects_wrongly": [],
        "mismeasures": [],
        "crashes": [],
        "other_code": [],
    }
    not_run: Counter[str] = Counter()
    for case in cases:
        missing = lacking(case)
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
        elif result == "mismeasure":
            wrong["mismeasures"].append(entry)
        elif result != expected["result"]:
            wrong[f"{result}s_wrongly"].append(entry)
        elif codes and code != expected["code"]:
            wrong["other_code"].append(entry)
        else:
            report["right"] += 1
    return report | {"not_run": dict(sorted(not_run.items()))} | wrong


HEADINGS: Final = {
    "accepts_wrongly": "Accepts what must be rejected",
    "rejects_wrongly": "Refuses what must be accepted",
    "mismeasures": "Accepts, and measures or demands other values",
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
    parser.add_argument("--cmd", help="with {doc} {root} {time} {kind} {case}; exit 0 accepts")
    parser.add_argument("--policy-cmd", help="the same with {policy}, for policy files")
    parser.add_argument("--crl-cmd", help="the same with {crls}, a folder of revocation lists")
    parser.add_argument("--image-cmd", help="with {image} {case}; exit 0, and prints the PCRs")
    parser.add_argument("--adapter", help="a process that answers one JSON object per line")
    parser.add_argument("--vectors", type=Path, default=FOLDER, help="folder of the case files")
    parser.add_argument("--group", action="append", help="only this file's cases (repeatable)")
    parser.add_argument("--rule", action="append", help="only cases about this rule (repeatable)")
    parser.add_argument("--features", default="", help="what --cmd does besides, comma-separated")
    parser.add_argument("--codes", action="store_true", help="compare the codes of refusals too")
    parser.add_argument("--timeout", type=float, default=10, help="seconds per case (10)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args()
    if bool(options.adapter) == any(commands(options).values()):
        parser.error("commands or an adapter are needed, and not both")
    return options


def main() -> int:
    """Runs the cases; the exit code."""
    options = _options()
    try:
        cases = list(load(options.vectors, options.group, options.rule))
        if not cases:
            raise SuiteError("no case is selected")
    except (SuiteError, OSError, ValueError, KeyError) as error:
        print(f"cannot read the vectors: {error}", file=sys.stderr)
        return 2
    try:
        with (
            adapter(options.adapter, options.timeout)
            if options.adapter
            else command(commands(options), options.timeout)
        ) as judge:
            report = run(cases, judge, partial(untold, options), codes=options.codes)
    except VerifierError as error:
        print(f"cannot run the verifier: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report, indent=1) if options.json else table(report))
    return 1 if any(report[key] for key in HEADINGS) else 0


if __name__ == "__main__":
    sys.exit(main())
