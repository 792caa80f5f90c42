"""Values that only the owner knows are placeholders, all of them listed in .github/OWNER.md."""

import re
import subprocess

import pytest

from support.paths import ROOT

OWNER = ROOT / ".github/OWNER.md"
pytestmark = pytest.mark.skipif(
    not OWNER.exists() or not (ROOT / ".git").exists(), reason=".github is not part of an sdist"
)

PLACEHOLDER = re.compile(
    r"github\.com/OWNER/nitro-attest|@OWNER/[a-z]+|nitro-attest\.readthedocs\.io"
    r"|\bOWNER\b(?!\.md|/NAME)"
)
"""The placeholders by name, and the word OWNER anywhere else. OWNER/NAME is only an example."""

LISTS_THEM = {".github/OWNER.md", "tests/docs/test_owner.py"}


def rows():
    """The placeholders of OWNER.md, each with the files of its row."""
    cells = [line.split("|")[1:4:2] for line in OWNER.read_text().splitlines() if line[:3] == "| `"]
    return {name.strip(" `"): set(re.findall(r"`([^`]+)`", files)) for name, files in cells}


def uses():
    """The placeholders in the files of the repository, each with its files."""
    files = subprocess.run(
        ("git", "ls-files", "-co", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = {}
    for name in sorted(set(files) - LISTS_THEM):
        if (ROOT / name).is_file():
            text = (ROOT / name).read_bytes().decode(errors="replace")
            for match in PLACEHOLDER.findall(text):
                found.setdefault(match, set()).add(name)
    return found


def test_every_placeholder_and_every_file_that_uses_it_is_listed():
    assert uses() == rows()


def test_contributing_names_the_list():
    assert "`.github/OWNER.md`" in (ROOT / "CONTRIBUTING.md").read_text()
