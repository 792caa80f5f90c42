"""Runs the tests against a mutant of a Python module, in a forked child of a warm interpreter.

The child loads the changed module in the place of the one on disk, before anything of ours is
imported, then runs pytest until the first failure. What the tests run in processes of their own
they run without the mutant; such tests are left out of the lists.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

import pytest

from mutation.mutant import TIMEOUT, Mutant, SuiteError

_ANSWERS: Final = "tests/conformance/test_vectors.py::test_we_answer_every_case_with_its_code"
_OPTIONS: Final = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider")
_WARM: Final = ("cbor2", "cffi", "click", "cryptography.x509", "hypothesis", "jsonschema")


def _unit(*names: str) -> tuple[str, ...]:
    return tuple([f"tests/unit/test_{name}.py" for name in names])


_RULES: Final = ("tests/conformance/test_rules.py",)
_REST: Final = (
    *_unit("requirements", "consistency", "chain", "signature", "certificate", "measurement_set"),
    *_unit("verifier", "core", "policy", "policy_files", "nitrotpm", "path_cache", "accelerators"),
    *_unit("hostile_certificates", "roots", "many", "cli_policy", "cli"),
    "tests/conformance/test_genuine.py",
    _ANSWERS,
)

SUITES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "frozen": (_unit("frozen"), _unit("policy", "verifier"), _RULES, _REST),
    "_core": (_unit("core"), _RULES, _REST),
    "chain": (_unit("chain", "path_cache", "hostile_certificates"), _RULES, _REST),
    "certificate": (_unit("certificate", "hostile_certificates", "roots"), _RULES, _REST),
    "signature": (_unit("signature"), _RULES, _REST),
    "policy": (_unit("policy", "policy_files"), _unit("verifier", "nitrotpm"), _RULES, _REST),
    "measurement_set": (_unit("measurement_set", "policy", "nitrotpm"), _RULES, _REST),
    "requirements": (_unit("requirements", "verifier"), _RULES, _REST),
    "consistency": (_unit("consistency", "verifier"), _RULES, _REST),
    "verifier": (_unit("verifier", "nitrotpm"), _RULES, _REST),
}
"""For each module the tests to run, in stages: what most likely notices comes first."""


class PythonJudge:
    """Judges mutants of one module.

    Args:
        module: Its name.
        root: The repository.

    Raises:
        SuiteError: The tests fail without a mutant.
    """

    def __init__(self, module: str, root: Path) -> None:
        self._stages = SUITES[module]
        self._limits = []
        _warm_up(root)
        for stage in self._stages:
            began = time.monotonic()
            failure = _run(stage, None, 600)
            if failure is not None:
                raise SuiteError(f"without a mutant: {failure}")
            self._limits.append(10 + 10 * int(time.monotonic() - began))

    def killed_by(self, mutant: Mutant) -> str | None:
        """The test that fails first, or what else ends the tests; None where all pass."""
        for stage, limit in zip(self._stages, self._limits, strict=True):
            failure = _run(stage, mutant, limit)
            if failure is not None:
                return failure
        return None


def _warm_up(root: Path) -> None:
    os.chdir(root)
    sys.path.insert(0, str(root / "tests"))
    for name in _WARM:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            importlib.import_module(name)
    package = importlib.util.find_spec("nitro_attest")
    if package is None or Path(package.origin or "").parent != root / "src/nitro_attest":
        raise SuiteError("nitro_attest is not the one of this tree: pip install -e .")
    # The same examples for every mutant.
    hypothesis = importlib.import_module("hypothesis")
    hypothesis.settings.register_profile("same", derandomize=True, database=None)
    hypothesis.settings.load_profile("same")


def _run(tests: Sequence[str], mutant: Mutant | None, limit: int) -> str | None:
    """What the tests failed with, if they did. The limit is in seconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(tests, mutant, limit, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return TIMEOUT if number == signal.SIGALRM else signal.Signals(number).name
    code = os.WEXITSTATUS(status)
    if code == pytest.ExitCode.OK:
        return None
    return said.partition("\n")[0] or f"pytest: {pytest.ExitCode(code).name}"


def _in_child(tests: Sequence[str], mutant: Mutant | None, limit: int, writing: int) -> None:
    code = 70
    try:
        signal.alarm(limit)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        if mutant is not None:
            sys.meta_path.insert(0, _Substitute(f"nitro_attest.{mutant.module}", mutant.build()))
        code = int(pytest.main([*_OPTIONS, *tests], plugins=[_Reporter(writing)]))
    finally:
        os._exit(code)


class _Reporter:
    """Tells the parent which test failed first."""

    def __init__(self, writing: int) -> None:
        self._writing = writing

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._tell(report)

    def pytest_collectreport(self, report: Any) -> None:
        self._tell(report)

    def _tell(self, report: Any) -> None:
        if report.failed:
            os.write(self._writing, f"{report.nodeid}\n".encode())


class _Substitute(importlib.machinery.SourceFileLoader):
    """Finds and loads one module whose code is given."""

    def __init__(self, name: str, code: CodeType) -> None:
        super().__init__(name, code.co_filename)
        self._code = code

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        return self._code
