"""The commands on the pages run, and print what the pages show (form: CONTRIBUTING.md)."""

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys

import pytest

from nitro_attest.measurements import measure, uki_measurements
from nitro_attest.provenance import make_statement
from nitro_attest.testing import FakeNitro
from nitro_attest.verification import roots
from support.paths import FIXTURES, ROOT
from support.statements import KEY, OTHER_KEY, pem_of, signed

PAGES = [
    ROOT / "README.md",
    ROOT / "docs/reference/cli.md",
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]
MARK = "::exit code::"
USUAL_KEY_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}


def blocks(page, language):
    """The fenced blocks of a page that are marked with the language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def steps(block):
    """Commands, which follow ``$ `` and may go on after a backslash, each with what it shows."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        else:
            found[-1][1].append(line)
    return found


def pattern(shown):
    """``...`` stands for the rest of a line, or alone for any number of lines."""
    lines = [
        r"(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in shown
    ]
    return "".join(lines)


def run_block(block, folder, environment):
    """Runs a block in one shell, and compares exit codes and output command by command."""
    commands = steps(block)
    script = "".join(
        f"{command}\n_code=$?; echo '{MARK}'$_code; (exit $_code)\n" for command, _ in commands
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
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


@pytest.fixture(scope="module")
def fake_aws():
    return FakeNitro(seed=b"pages")


@pytest.fixture
def desk(fake_aws, tmp_path):
    """The files and the environment that the pages speak of."""
    images = FIXTURES / "vectors/eif"
    for source, name in {
        images / "synthetic.eif": "app.eif",
        images / "synthetic-one-ramdisk.eif": "app-2.eif",
        FIXTURES / "vectors/uki/synthetic.efi": "instance.efi",
        FIXTURES / "vectors/policy/build-enclave.txt": "build.txt",
        FIXTURES / "vectors/policy/policy.json": "policy.json",
        FIXTURES / "vectors/policy/describe-enclaves.json": "enclaves.json",
        ROOT / "src/nitro_attest/verification/aws_roots/aws.pem": "signer.pem",
    }.items():
        shutil.copy(source, tmp_path / name)
    stated = signed(make_statement(tmp_path / "app.eif"))
    (tmp_path / "app.intoto.json").write_text(stated)
    (tmp_path / "builder.pem").write_bytes(pem_of(KEY))
    (tmp_path / "other.pem").write_bytes(pem_of(OTHER_KEY))
    nonce = secrets.token_bytes(16)
    app, instance = measure(tmp_path / "app.eif"), uki_measurements(tmp_path / "instance.efi")
    second = measure(tmp_path / "app-2.eif")
    build = {f"PCR{index}": value.hex() for index, value in second.measurements().items()}
    (tmp_path / "build-2.txt").write_text(json.dumps({"Measurements": build}, indent=2) + "\n")
    (tmp_path / "key-policy.json").write_text(json.dumps(USUAL_KEY_POLICY, indent=2) + "\n")
    for name, options in {
        "doc.bin": {"pcrs": app.measurements()},
        "instance.bin": {"pcrs": instance.measurements(), "kind": "nitrotpm"},
        "debug.bin": {"debug": True},
    }.items():
        (tmp_path / name).write_bytes(fake_aws.document(nonce=nonce, **options))
    (tmp_path / "crls").mkdir()
    for issuer in ("root", "regional"):
        (tmp_path / f"crls/{issuer}.crl").write_bytes(fake_aws.revocation_list(issuer))
    path = os.pathsep.join([str(tool(fake_aws, tmp_path / "bin")), os.environ["PATH"]])
    variables = {"PATH": path, "NONCE": nonce.hex(), "PCR0": app.pcr0.hex(), "LC_ALL": "C"}
    return tmp_path, os.environ | variables


def tool(fake_aws, folder):
    """A ``nitro-attest`` whose commercial AWS root is the fake one; nothing else differs."""
    folder.mkdir()
    program = folder / "nitro-attest"
    program.write_text(
        f"#!{sys.executable}\n"
        "from nitro_attest import __main__\n"
        "from nitro_attest.verification import roots\n"
        f"roots.PINNED['aws'] = {hashlib.sha256(fake_aws.root_der).hexdigest()!r}\n"
        f"roots._shipped_root = lambda _: roots._root_from_pem({fake_aws.root_pem!r})\n"
        "__main__.main()\n"
    )
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_the_page_does_what_is_shown(page, desk):
    folder, environment = desk
    for block in blocks(page, "console"):
        run_block(block, folder, environment)


def test_every_python_block_of_the_readme_runs(fake_aws, monkeypatch):
    monkeypatch.setitem(roots.PINNED, "aws", hashlib.sha256(fake_aws.root_der).hexdigest())
    root = roots._root_from_pem(fake_aws.root_pem)
    monkeypatch.setattr(roots, "_shipped_root", lambda _: root)
    nonce = secrets.token_bytes(16)
    pcrs = {index: bytes([index + 1]) * 48 for index in range(3)}
    names = {f"pcr{index}": value for index, value in pcrs.items()}
    names |= {"nonce": nonce, "document": fake_aws.document(nonce=nonce, pcrs=pcrs)}
    python = blocks(ROOT / "README.md", "python")
    assert python
    for block in python:
        exec(compile(block, "README.md", "exec"), names)


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
        run_block(block, tmp_path, os.environ)
    else:
        with pytest.raises(AssertionError):
            run_block(block, tmp_path, os.environ)


def test_every_page_shows_commands():
    shown = {page.name for page in PAGES if blocks(page, "console")}
    assert shown >= {"README.md", "cli.md", "pin-an-image.md", "rolling-release.md"}
    assert shown >= {"kms-key-policy.md", "instance-attestation.md", "check-revocation.md"}
