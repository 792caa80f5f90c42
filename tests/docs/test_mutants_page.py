"""The mutants that docs/explanation/mutants.md says are equivalent are made, and are few."""

import subprocess
import sys

from conftest import ROOT

TOOLS = ROOT / "tools"


def test_each_is_named_once_is_still_made_and_they_are_at_most_three_percent(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from mutation.listed import equivalents

    command = [sys.executable, str(TOOLS / "mutate.py"), "--list"]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    named = equivalents(ROOT)
    assert len(set(named)) == len(named)
    assert set(named) <= set(made)
    assert 0 < len(named) <= 0.03 * len(made)
