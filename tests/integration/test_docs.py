"""The commands on the pages run, and print what the pages show (form: CONTRIBUTING.md)."""

import hashlib
import itertools
import os
import re
import secrets
import subprocess
import sys

import pytest

from nitro_attest.testing import FakeNitro
from nitro_attest.testing.desk import desk_files
from nitro_attest.verification import roots
from support.paths import ROOT, TOOLS

sys.path.insert(0, str(TOOLS))
import make_desk_commands as desk
from make_desk_commands import DEMO, blocks, steps

LANDING = ROOT / "docs/index.md"
ABOUT_AWS = [ROOT / "README.md", LANDING, ROOT / "docs/reference/cli.md"]
"""Pages whose commands are about documents of AWS; they run on those of ``nitro-attest demo``."""

HOW_TO = sorted((ROOT / "docs/how-to").glob("*.md"))
MARK = "::exit code::"

TOOL = f"""\
#!{sys.executable}
from nitro_attest.__main__ import main
if __name__ == "__main__":
    main()
"""
"""As pip writes it: the processes of ``audit`` import the script again."""

WITH_OUR_ROOT = f"""\
#!{sys.executable}
import hashlib
from pathlib import Path
from nitro_attest.__main__ import main
from nitro_attest.verification import roots
if Path("root.pem").exists():
    root = roots._root_from_pem(Path("root.pem").read_bytes())
    roots.PINNED["aws"] = root.sha256
    roots._shipped_root = lambda _: root
if __name__ == "__main__":
    main()
"""
"""The tool with the fake root in place of the commercial AWS root; nothing else differs."""


def pattern(shown):
    """``...`` stands for the rest of a line, or alone for any number of lines."""
    lines = [
        r"(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in shown
    ]
    return "".join(lines)


def run(commands, folder, path=os.environ["PATH"]):
    """Runs commands in one bash, and compares exit codes and output command by command."""
    script = "".join(
        f"{command}\n_code=$?; echo '{MARK}'$_code; (exit $_code)\n" for command, _ in commands
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": path, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    results = re.findall(rf"(.*?){MARK}(\d+)\n", done.stdout, re.DOTALL)
    assert len(results) == len(commands), done.stdout
    for number, ((command, shown), (output, code)) in enumerate(
        zip(commands, results, strict=True)
    ):
        asked = number + 1 < len(commands) and commands[number + 1][0] == "echo $?"
        assert asked or code == "0", f"$ {command}\n{output}exit code {code}"
        assert not shown or re.fullmatch(pattern(shown), output), f"$ {command}\n{output}"


def commands_of(page):
    return [step for block in blocks(page.read_text(), "console") for step in steps(block)]


def path_to(tool, folder):
    """PATH with this ``nitro-attest`` first."""
    folder.mkdir()
    (folder / "nitro-attest").write_text(tool)
    (folder / "nitro-attest").chmod(0o755)
    return os.pathsep.join([str(folder), os.environ["PATH"]])


@pytest.fixture
def empty(tmp_path):
    """The folder in which a reader begins."""
    folder = tmp_path / "reader"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("page", desk.pages(), ids=lambda page: page.name)
def test_every_command_of_a_how_to_page_runs_from_an_empty_folder(page, empty, tmp_path):
    run(commands_of(page), empty, path_to(TOOL, tmp_path / "bin"))


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.name)
def test_a_how_to_page_with_commands_makes_their_files_first(page):
    assert [command for command, _ in commands_of(page)][:1] in ([], [DEMO])


@pytest.mark.parametrize("page", ABOUT_AWS, ids=lambda page: page.name)
def test_every_command_about_documents_of_aws_does_what_is_shown(page, empty, tmp_path):
    run([(DEMO, []), *commands_of(page)], empty, path_to(WITH_OUR_ROOT, tmp_path / "bin"))


def commands_not_run(page):
    """The arguments of commands in indented and in ``sh`` blocks, such as those for enclaves."""
    text = page.read_text()
    shown = "\n".join([*re.findall("^    (.*)$", text, re.M), *blocks(text, "sh")])
    one_line_each = re.sub(r"\\\n *", "", shown)
    command = r"^(?:nitro-attest |python3? -m nitro_attest\.(?=enclave))(.*)"
    return [found.split() for found in re.findall(command, one_line_each, re.M)]


@pytest.mark.parametrize("page", [LANDING, *HOW_TO], ids=lambda page: page.name)
def test_the_options_of_commands_that_are_not_run_exist(page):
    for words in commands_not_run(page):
        verb = list(itertools.takewhile(str.isalpha, words))
        known = subprocess.run(
            [sys.executable, "-m", "nitro_attest", *verb, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert not options - set(re.findall(r"--[a-z-]+", known)), words


def test_commands_that_are_not_run_are_found():
    found = commands_not_run(ROOT / "docs/how-to/enclave.md")
    assert {"fetch", "enclave"} <= {words[0] for words in found}


def test_the_folder_has_the_commands_of_the_how_to_pages(when):
    expected = desk.script()
    assert desk_files(when)["commands.sh"].decode() == expected, "run tools/make_desk_commands.py"
    for page in desk.pages():
        assert all(f"{command}\n" in expected for command, _ in commands_of(page)[1:])


@pytest.fixture(scope="module")
def fake_aws():
    return FakeNitro(seed=b"pages")


@pytest.mark.parametrize("page", [ROOT / "README.md", LANDING], ids=lambda page: page.name)
def test_every_python_block_of_an_overview_runs(page, fake_aws, monkeypatch):
    monkeypatch.setitem(roots.PINNED, "aws", hashlib.sha256(fake_aws.root_der).hexdigest())
    root = roots._root_from_pem(fake_aws.root_pem)
    monkeypatch.setattr(roots, "_shipped_root", lambda _: root)
    nonce = secrets.token_bytes(16)
    pcrs = {index: bytes([index + 1]) * 48 for index in range(3)}
    names = {f"pcr{index}": value for index, value in pcrs.items()}
    names |= {"nonce": nonce, "document": fake_aws.document(nonce=nonce, pcrs=pcrs)}
    python = blocks(page.read_text(), "python")
    assert python
    for block in python:
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize(
    ("block", "right"),
    [
        ("$ echo a\na\n", True),
        ("$ echo a\nb\n", False),
        ("$ echo a; echo b\na\n", False),
        ("$ echo a; echo b\n...\n", True),
        ("$ echo a long line\na ...\n", True),
        ("$ echo a >&2\na\n", True),
        ("$ echo a\n", True),
        ("$ false\n", False),
        ("$ (exit 6)\n$ echo $?\n6\n", True),
        ("$ (exit 6)\n$ echo $?\n5\n", False),
        ("$ echo a \\\n    b\na b\n", True),
        ("$ x=1\n$ echo $x\n1\n", True),
    ],
)
def test_a_page_that_shows_something_else_fails(block, right, tmp_path):
    if right:
        run(steps(block), tmp_path)
    else:
        with pytest.raises(AssertionError):
            run(steps(block), tmp_path)


def test_every_page_shows_commands():
    shown = {page.name for page in [*ABOUT_AWS, *desk.pages()] if commands_of(page)}
    assert shown >= {"README.md", "index.md", "cli.md", "pin-an-image.md", "rolling-release.md"}
    assert shown >= {"kms-key-policy.md", "instance-attestation.md", "check-revocation.md"}
