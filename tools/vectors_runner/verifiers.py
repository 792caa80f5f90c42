"""The verifier under test: a command for each case, or an adapter that answers all of them."""

from __future__ import annotations

import base64
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from vectors_runner.suite import BOUNDS, Case, kind_of, policy_file, request

CANNOT_RUN: Final = (126, 127)
RUST_PANIC: Final = 101
SHELL_SAYS_KILLED: Final = range(129, 193)
MESSAGE_CHARACTERS: Final = 300


class VerifierError(Exception):
    """The verifier under test cannot be run, or does not follow the protocol."""


class Answer(NamedTuple):
    """The answer to one case.

    Attributes:
        outcome: ``accept``, ``reject``, ``unsupported``, ``mismeasure`` (accepted, with other
            measurements than expected), ``crash`` (ended without an answer), ``timeout``,
            ``excess`` (took more memory than the bound), or ``not-run``.
        code: The code of a rejection, if the verifier gave one.
        message: An explanation, for people.
        status: The exit code of a process that crashed, or minus the number of its signal.
    """

    outcome: str
    code: str | None = None
    message: str = ""
    status: int | None = None


Ask = Callable[[Case], Answer]


def crash(status: int, *, abort_rejects: bool) -> Answer:
    """Returns the answer of a process that ended without one.

    Args:
        status: Its exit code, or minus the number of the signal that ended it.
        abort_rejects: A process that aborts rejects.
    """
    if status < 0:
        with suppress(ValueError):
            message = f"ended by {signal.Signals(-status).name}"
            aborted = -status in (signal.SIGABRT, signal.SIGILL, signal.SIGTRAP)
            outcome = "reject" if aborted and abort_rejects else "crash"
            return Answer(outcome, None, message, status)
        return Answer("crash", None, f"ended by signal {-status}", status)
    outcome = "reject" if status and abort_rejects else "crash"
    return Answer(outcome, None, f"ended with exit code {status} and without an answer", status)


@contextmanager
def command(
    templates: dict[str, str | None], timeout: float, *, abort_rejects: bool = False
) -> Iterator[Ask]:
    """Commands by the kind of case, one of which is run for each case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peaks: list[int] = []

        def ask(case: Case) -> Answer:
            values = _files(folder, case)
            words = _fill(shlex.split(templates[kind_of(case)] or ""), values)
            answer, printed, peak = _exit(words, timeout, abort_rejects=abort_rejects)
            peaks.append(peak)
            if excess := _excess(case, answer, peak - min(peaks)):
                return excess
            # The document shows what a policy file requires; of an image, the printed PCRs count.
            measured = case["expected"]["measurements"] if "image" in case else []
            missing = any(pcr not in printed for one in measured for pcr in one.values())
            return Answer("mismeasure") if answer.outcome == "accept" and missing else answer

        yield ask


def _files(folder: Path, case: Case) -> dict[str, str]:
    """Writes the files of a case, and returns the values of the placeholders."""
    contents = {"case": json.dumps(request(case)).encode()}
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
    return values


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


class Run(NamedTuple):
    """A command that ended; ``status`` is None if it was ended after the timeout."""

    status: int | None
    stdout: str
    stderr: str
    peak: int


def _run(words: list[str], timeout: float) -> Run:
    """Runs a command and measures the peak of its memory in KiB, with all that it waited for."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout, end)
        timer.start()
        # subprocess itself would wait without asking for the usage.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        timer.join()
        output = []
        for file in (stdout, stderr):
            file.seek(0)
            output.append(file.read().decode(errors="replace"))
    peak = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    return Run(None if late.is_set() else process.returncode, *output, peak)


def _exit(words: list[str], timeout: float, *, abort_rejects: bool) -> tuple[Answer, str, int]:
    """Returns the answer that the end of a command is, its output in lower case, and its peak."""
    try:
        run = _run(words, timeout)
    except OSError as error:
        raise VerifierError(f"{words[0]}: {error}") from None
    status = run.status
    if status in CANNOT_RUN:
        raise VerifierError(f"{shlex.join(words)}: exit code {status}")
    if status is None:
        answer = Answer("timeout", None, f"no answer within {timeout:g} s")
    elif status == RUST_PANIC:
        answer = crash(status, abort_rejects=abort_rejects)
    elif status < 0 or status in SHELL_SAYS_KILLED:
        answer = crash(status if status < 0 else 128 - status, abort_rejects=abort_rejects)
    else:
        said = run.stderr.strip()[-MESSAGE_CHARACTERS:]
        answer = Answer("accept" if status == 0 else "reject", None, said)
    return answer, run.stdout.lower(), run.peak


def _excess(case: Case, answer: Answer, more: int) -> Answer | None:
    """Returns the outcome of an answer that took too much memory, or None.

    Args:
        case: The case; only those with the flag have a bound.
        answer: The answer.
        more: Memory beyond that of an ordinary document, in KiB.
    """
    allowed = BOUNDS.mebibytes
    bounded = BOUNDS.flag in case["flags"] and answer.outcome in ("accept", "reject")
    if not bounded or more <= 1024 * allowed:
        return None
    return Answer("excess", None, f"took {more // 1024} MiB more than usual, {allowed} allowed")


def _peak(process: subprocess.Popen[str]) -> int:
    """Returns the peak of a running process's memory in KiB; 0 where the system has no /proc."""
    with suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
        if found := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            return int(found[1])
    return 0


class Adapter:
    """A process that answers; started again after a crash.

    Args:
        words: The command line.
        timeout: Seconds that an answer may take.
        abort_rejects: A process that aborts rejects the case.
    """

    def __init__(self, words: list[str], timeout: float, *, abort_rejects: bool = False) -> None:
        self._words = words
        self._timeout = timeout
        self._abort_rejects = abort_rejects
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()
        self._lines: queue.Queue[str] = queue.Queue()

    def __call__(self, case: Case) -> Answer:
        """Asks about one case."""
        process = self._process or self._start()
        assert process.stdin is not None
        before = _peak(process)
        try:
            process.stdin.write(json.dumps(request(case)) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._ended(process)
        try:
            line = self._lines.get(timeout=self._timeout)
        except queue.Empty:
            self.stop()
            return Answer("timeout", None, f"no answer within {self._timeout:g} s")
        if not line:
            return self._ended(process)
        answer = _answer(line, case)
        return _excess(case, answer, _peak(process) - before) or answer

    def _ended(self, process: subprocess.Popen[str]) -> Answer:
        """Returns the answer of a process that closed its output."""
        try:
            status = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            return Answer("crash", None, "closed its output without an answer")
        self.stop()
        return crash(status, abort_rejects=self._abort_rejects)

    def _start(self) -> subprocess.Popen[str]:
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
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


def _answer(line: str, case: Case) -> Answer:
    name, measured = case["id"], case["expected"].get("measurements")
    try:
        said = json.loads(line)
        if said["id"] == name and said["result"] in ("accept", "reject", "unsupported"):
            message = str(said.get("message") or "")[:MESSAGE_CHARACTERS]
            if said["result"] == "accept" and measured and said.get("measurements") != measured:
                return Answer("mismeasure", None, message)
            return Answer(said["result"], said.get("code"), message)
    except (ValueError, KeyError, TypeError):
        pass
    raise VerifierError(f"malformed answer to {name}: {line[:200]!r}")


@contextmanager
def adapter(template: str, timeout: float, *, abort_rejects: bool = False) -> Iterator[Ask]:
    """A process that answers all requests."""
    running = Adapter(shlex.split(template), timeout, abort_rejects=abort_rejects)
    try:
        yield running
    finally:
        running.stop()
