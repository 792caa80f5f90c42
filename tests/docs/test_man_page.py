"""The manual page is what its tool writes, and roff has nothing to warn about."""

import importlib.util
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

PAGE = ROOT / "docs/man/nitro-attest.1"


@pytest.fixture(scope="module")
def tool():
    """The module tools/make_man_page.py."""
    spec = importlib.util.spec_from_file_location("make_man_page", ROOT / "tools/make_man_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_written_by_its_tool(tool, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["make_man_page.py", "--check"])
    assert tool.main() == 0, "run: python tools/make_man_page.py"


def test_another_page_is_found(tool, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "PAGE", tmp_path / "page.1")
    monkeypatch.setattr(sys, "argv", ["make_man_page.py", "--check"])
    (tmp_path / "page.1").write_text(PAGE.read_text() + "more\n")
    assert tool.main() == 1
    assert "page.1 differs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".so /etc/passwd", "\\&.so /etc/passwd"),
        ("a\n.b", "a\n\\&.b"),
        ("'tis", "\\(aqtis"),
        ("a\\fBb", "a\\efBb"),
        ("--at", "\\-\\-at"),
    ],
)
def test_no_text_is_a_command_of_roff(tool, text, expected):
    assert tool.roff(text) == expected


def test_every_verb_option_and_exit_code_is_on_the_page():
    text = PAGE.read_text()
    for words in (
        ".SH VERIFY",
        ".SS kms\\-policy lint",
        "\\fB\\-\\-accept\\-warning\\fR",
        "\\fB130\\fR",
    ):
        assert words in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_roff_has_no_warnings():
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", PAGE], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "NITRO-ATTEST(1)" in done.stdout
