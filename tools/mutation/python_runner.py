"""Runs the tests against a mutant that takes effect while a Python module is imported.

Each mutant has a forked child of a warm interpreter. The child loads the changed module in place of
the one on disk, before any other module of the package is imported, then runs pytest until the
first failure. Processes that a test starts run without the mutant.
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
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

import pytest

from mutation.mutant import TIMEOUT, Mutant, SuiteError

_PACKAGE: Final = "nitro_attest"
_UNIT: Final = "tests/unit"
_VERIFICATION: Final = "verification"
_CONFORMANCE: Final = (
    "tests/conformance/test_rules.py",
    "tests/conformance/test_genuine.py",
    "tests/conformance/test_vectors.py::test_we_answer_every_case_with_its_code",
)
"""Without the conformance tests that run the library in processes of their own."""

_OPTIONS: Final = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider")
_WARM: Final = ("cbor2", "cffi", "click", "cryptography.x509", "hypothesis", "jsonschema")


def stages(module: str, root: Path) -> list[tuple[str, ...]]:
    """The tests to run for a module, in the order in which they are likely to fail.

    Args:
        module: Path in the package without the suffix, such as ``verification/path``.
        root: The repository.

    Returns:
        The module's own test file, where there is one, or that of its package; all unit tests of
        its folder; for ``verification/``, the conformance tests.
    """
    place = Path(module)
    own = [place, *[folder for folder in place.parents if folder.name]]
    files = [f"{_UNIT}/{(one.parent / f'test_{one.name}.py').as_posix()}" for one in own]
    first = next(((file,) for file in files if (root / file).exists()), None)
    folder = [(f"{_UNIT}/{place.parts[0]}",)] if len(place.parts) > 1 else []
    conformance = [_CONFORMANCE] if place.parts[0] == _VERIFICATION else []
    return [*([first] if first else []), *folder, *conformance]


class PythonRunner:
    """Runs the tests against mutants of one module.

    Args:
        module: Path in the package without the suffix.
        root: The repository.
    """

    def __init__(self, module: str, root: Path) -> None:
        self._stages = stages(module, root)

    def killed_by(self, mutant: Mutant) -> str | None:
        """The test that fails first, or how the child ended; None if every test passes."""
        for stage in self._stages:
            failure = _run(stage, mutant, _limit(stage))
            if failure is not None:
                return failure
        return None


@cache
def _limit(stage: tuple[str, ...]) -> int:
    """The seconds that the tests of a stage have, from how many they need without a mutant."""
    began = time.monotonic()
    failure = _run(stage, None, 3600)
    if failure is not None:
        raise SuiteError(f"without a mutant: {failure}")
    return 30 + 10 * int(time.monotonic() - began)


def warm_up(root: Path) -> None:
    """Prepares this process for tests; it must not have imported the package.

    Args:
        root: The repository.

    Raises:
        SuiteError: The installed package is that of another tree.
    """
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
    """Runs tests for at most ``limit`` seconds; returns how they failed, or None."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(tests, mutant, limit, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        output = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return TIMEOUT if number == signal.SIGALRM else signal.Signals(number).name
    code = os.WEXITSTATUS(status)
    if code == pytest.ExitCode.OK:
        return None
    return output.partition("\n")[0] or f"pytest: {pytest.ExitCode(code).name}"


def _in_child(tests: Sequence[str], mutant: Mutant | None, limit: int, writing: int) -> None:
    code = 70
    try:
        signal.alarm(limit)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        if mutant is not None:
            sys.meta_path.insert(0, _Substitute(_import_name(mutant.module), mutant.build()))
        code = int(pytest.main([*_OPTIONS, *tests], plugins=[_Reporter(writing)]))
    finally:
        os._exit(code)


def _import_name(module: str) -> str:
    return f"{_PACKAGE}.{module.replace('/', '.')}".removesuffix(".__init__")


class _Reporter:
    """Sends the parent the id of the test that failed first."""

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
    """Finds one module and loads it from the given code object."""

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
