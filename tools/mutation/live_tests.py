"""Tests that are collected once and run against many mutants, each in a fork of its own.

A first run records which functions of the package each test calls. A mutant is then tried with the
tests that call the changed function, the fastest first. A change outside functions takes effect
only while the module is imported: such a mutant is not for this module.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, cast

import pytest

from mutation.mutant import TIMEOUT, Mutant, SuiteError
from mutation.swap import Place, changed_functions, put

CANNOT: Final = "cannot"
"""The answer for a mutant that needs the module to be imported anew."""

_MEMORY: Final = 4 << 30
"""Bytes of address space for one mutant: a loop without end may collect results."""

_OPTIONS: Final = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider")


class LiveTests:
    """A process that has collected the tests and answers for one mutant after another.

    Args:
        tests: Files and folders of tests.
        mutants: All mutants that it may be asked about.
        package: The folder of the package, whose functions are recorded.

    Raises:
        SuiteError: The tests fail without a mutant.
    """

    def __init__(self, tests: Sequence[str], mutants: Sequence[Mutant], package: Path) -> None:
        self._mutants = {mutant.full_name: number for number, mutant in enumerate(mutants)}
        requests, self._requests = os.pipe()
        answers, writing = os.pipe()
        if os.fork() == 0:
            os.close(self._requests)
            os.close(answers)
            _serve(tests, mutants, package, requests, writing)
        os.close(requests)
        os.close(writing)
        self._answers = os.fdopen(answers, encoding="utf-8")
        ready = self._next()
        if ready is not None:
            raise SuiteError(f"without a mutant: {ready}")

    def killed_by(self, mutant: Mutant) -> str | None:
        """The test that fails first, or how the process ended; None if every test passes."""
        os.write(self._requests, f"{self._mutants[mutant.full_name]}\n".encode())
        return self._next()

    def _next(self) -> str | None:
        line = self._answers.readline()
        if not line:
            raise SuiteError("the process that runs the tests has ended")
        answer: str | None = json.loads(line)
        return answer


def _serve(
    tests: Sequence[str], mutants: Sequence[Mutant], package: Path, requests: int, answers: int
) -> None:
    code = 70
    try:
        with os.fdopen(requests, encoding="utf-8") as asked, os.fdopen(answers, "w") as answering:

            def answer(value: str | None) -> None:
                answering.write(json.dumps(value) + "\n")
                answering.flush()

            plugin = _Loop(mutants, package, asked.readline, answer)
            _without_output()
            code = int(pytest.main([*_OPTIONS, *tests], plugins=[plugin]))
            if not plugin.started:
                answer(f"pytest: {pytest.ExitCode(code).name}")
    finally:
        os._exit(code)


class _Loop:
    """Takes the place of pytest's own loop over the collected tests."""

    def __init__(
        self,
        mutants: Sequence[Mutant],
        package: Path,
        ask: Callable[[], str],
        answer: Callable[[str | None], None],
    ) -> None:
        self.started = False
        self._mutants = mutants
        self._package = str(package)
        self._ask, self._answer = ask, answer
        self._failed: str | None = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and self._failed is None:
            self._failed = report.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            return False
        self.started = True
        failed, record = _forked(lambda: self._record(session.items), limit=3600)
        self._answer(failed)
        tests = _Tests({item.nodeid: item for item in session.items}, record)
        for line in iter(self._ask, ""):
            self._answer(self._killed_by(self._mutants[int(line)], tests))
        return True

    def _killed_by(self, mutant: Mutant, tests: _Tests) -> str | None:
        try:
            changed = self._changed(mutant)
        except SyntaxError as error:  # the change is none that Python allows
            return type(error).__name__
        items, seconds = tests.that_call(changed or {})
        if not changed or not items:
            return CANNOT
        failed, _ = _forked(lambda: self._try(changed, items), limit=10 + int(10 * seconds))
        return cast(str | None, failed)

    def _changed(self, mutant: Mutant) -> dict[Place, CodeType] | None:
        mutated = mutant.build()
        path = Path(mutated.co_filename)
        original = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        return changed_functions(original, mutated)

    def _try(self, changed: dict[Place, CodeType], items: list[pytest.Item]) -> Any:
        if not put(changed):
            return CANNOT, None
        self._run(items)
        return self._failed, None

    def _run(self, items: list[pytest.Item]) -> None:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed is not None:
                return

    def _record(self, items: list[pytest.Item]) -> Any:
        """Runs each test once. The result has its seconds and the functions that it calls."""
        record = {}
        for item, following in zip(items, [*items[1:], None], strict=True):
            called: set[Place] = set()

            def profile(frame: FrameType, event: str, _: Any, called: set[Place] = called) -> None:
                if event == "call" and frame.f_code.co_filename.startswith(self._package):
                    called.add(Place.of(frame.f_code))

            began = time.perf_counter()
            threading.setprofile(profile)
            sys.setprofile(profile)
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            finally:
                sys.setprofile(None)
            if self._failed is not None:
                break
            record[item.nodeid] = (time.perf_counter() - began, sorted(called))
        return self._failed, record


class _Tests:
    """The collected tests by the functions that they call."""

    def __init__(self, items: dict[str, pytest.Item], record: Mapping[str, Any]) -> None:
        self._items = items
        self._seconds = {name: seconds for name, (seconds, _) in record.items()}
        self._names: dict[Place, set[str]] = defaultdict(set)
        for name, (_, called) in record.items():
            for place in called:
                self._names[Place(*place)].add(name)

    def that_call(self, places: Iterable[Place]) -> tuple[list[pytest.Item], float]:
        """The tests that call one of these functions, the fastest first, and all their seconds."""
        names: set[str] = set()
        names.update(*(self._names[place] for place in places))
        ordered = sorted(names, key=lambda name: self._seconds[name])
        return [self._items[name] for name in ordered], sum(map(self._seconds.__getitem__, names))


def _forked(run: Callable[[], Any], limit: int) -> Any:
    """Calls run() in a fork, for at most ``limit`` seconds.

    Returns:
        What it returns, a pair of a failure (or None) and a result. If the fork ends otherwise, how
        it ended is the failure.
    """
    with tempfile.TemporaryFile("w+") as result:  # a pipe would stay open in what a test forks
        child = os.fork()
        if child == 0:
            try:
                os.setpgid(0, 0)
                signal.alarm(limit)
                resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
                json.dump(run(), result)
                result.flush()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # what the tests have left running
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return (TIMEOUT if number == signal.SIGALRM else signal.Signals(number).name), None
        result.seek(0)
        output = result.read()
    return json.loads(output) if output else ("the test process ended by itself", None)


def _without_output() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
