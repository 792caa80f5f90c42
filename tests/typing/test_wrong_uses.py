"""Type checkers report every wrong use of wrong_uses.py, and no right one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

USES = Path(__file__).with_name("wrong_uses.py")
ENVIRONMENT = {
    **os.environ,
    "MYPYPATH": str(ROOT / "src"),
    "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",  # or it would ask for its newest version
}


def expected():
    """The code that each line with an error names, by line number."""
    lines = enumerate(USES.read_text(encoding="utf-8").splitlines(), 1)
    found = ((number, re.search(r"  # E: ([\w-]+)$", line)) for number, line in lines)
    return {number: match[1] for number, match in found if match}


def run(*command):
    """The standard output of a type checker, which also exits with 1 if it finds errors."""
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_mypy_reports_the_wrong_uses_and_no_other():
    pytest.importorskip("mypy", reason="mypy is not installed: the types were not checked")
    output = run(sys.executable, "-m", "mypy", "--strict", "--no-pretty", str(USES))
    errors = re.findall(r"wrong_uses\.py:(\d+): error: .*\[([\w-]+)\]$", output, re.MULTILINE)
    found = {(int(line), code) for line, code in errors}
    wanted = set(expected().items())
    assert not sorted(found - wanted), "unexpected:\n" + output
    assert not sorted(wanted - found), "not reported:\n" + output


def pyright():
    """The command of pyright, which needs a Node.js that it may have to download; or None."""
    command = shutil.which("pyright")
    if command is None:
        return None
    works = subprocess.run([command, "--version"], env=ENVIRONMENT, capture_output=True)
    return command if works.returncode == 0 else None


def test_pyright_reports_the_wrong_uses_and_no_other():
    command = pyright()
    if command is None:
        pytest.skip("pyright is not installed: the types were not checked with it")
    report = json.loads(run(command, "--outputjson", "--pythonpath", sys.executable, str(USES)))
    found = [each for each in report["generalDiagnostics"] if each["severity"] == "error"]
    lines = {each["range"]["start"]["line"] + 1 for each in found}
    assert lines == expected().keys(), json.dumps(found, indent=1)
