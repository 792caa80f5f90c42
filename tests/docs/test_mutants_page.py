"""docs/explanation/mutants.md lists mutants that exist, each once, and few of them."""

import functools
import subprocess
import sys

from support.paths import ROOT, TOOLS


@functools.cache
def mutate(option):
    command = [sys.executable, TOOLS / "mutate.py", option]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_listed_mutant_exists():
    run = mutate("--page")
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_mutant_is_listed_once_and_at_most_three_percent_are_listed(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from mutation.page import equivalents

    listed = equivalents(ROOT)
    made = mutate("--list").stdout.splitlines()
    assert len(set(made)) == len(made)
    assert len(set(listed)) == len(listed)
    assert 0 < len(listed) <= 0.03 * len(made)


def test_every_module_of_the_verifying_folder_has_mutants_or_no_code():
    package = ROOT / "src/nitro_attest"
    modules = {line.partition(": ")[0] for line in mutate("--list").stdout.splitlines()}
    files = {
        path.relative_to(package).with_suffix("").as_posix()
        for path in (package / "verification").rglob("*.py")
    } - {"verification/__init__"}
    assert files <= modules


def test_the_tests_of_a_module_come_before_all_others(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from mutation.python_runner import stages

    own, unit, conformance = stages("verification/path", ROOT)
    assert own == ("tests/unit/verification/test_path.py",)
    assert unit == ("tests/unit/verification",)
    assert "tests/conformance/test_rules.py" in conformance
    for test in (*own, *unit, *conformance):
        assert (ROOT / test.partition("::")[0]).exists()
