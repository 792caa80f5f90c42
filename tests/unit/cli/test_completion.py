"""``nitro-attest completion``: the scripts in real shells, and what they may not change."""

import shutil
import subprocess
import sys

import pytest

from conftest import FIXTURES
from nitro_attest.cli.completion import VARIABLE
from nitro_attest.cli.expected import WARNINGS

DOCUMENT = str(FIXTURES / "real/20250916_encl_us-east-1_tkhq_b1086cbb.bin")

BASH = """
source {script}
COMP_WORDS=({line}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_nitro_attest_completion nitro-attest
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

# The builtins of zsh that show completions exist only while it completes a line.
ZSH = """
compdef() {{}}
_describe() {{ print -l -- "${{(@P)3}}" }}
compadd() {{ print -l -- "${{(@P)@[-1]}}" }}
source {script}
words=({line}) CURRENT=$#words
_nitro_attest_completion
"""

FISH = """
source {script}
complete --do-complete '{line}'
"""

SHELLS = {
    "bash": (["bash", "--norc", "-c"], BASH),
    "zsh": (["zsh", "-f", "-c"], ZSH),
    "fish": (["fish", "--no-config", "-c"], FISH),
}


@pytest.fixture(params=SHELLS)
def complete(request, tool, tmp_path, monkeypatch):
    """Completes a line in a real shell; returns the words that it offers."""
    command, template = SHELLS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    code, source, _ = tool("completion", request.param)
    assert code == 0
    script, program = tmp_path / "script", tmp_path / "nitro-attest"
    script.write_text(source)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m nitro_attest "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("HOME", str(tmp_path))

    def call(line):
        text = template.format(script=script, line=line)
        done = subprocess.run([*command, text], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        # zsh and fish show a description behind the word.
        return [
            word.partition("\t")[0].partition(":")[0] for word in done.stdout.split("\n") if word
        ]

    return call


def test_verbs_options_and_values_are_completed(complete):
    assert complete("nitro-attest ver") == ["verify"]
    assert complete("nitro-attest kms-policy l") == ["lint"]
    assert complete("nitro-attest verify --fail") == ["--fail-on-warning"]
    assert complete("nitro-attest verify doc.bin --at now --color al") == ["always"]
    expected = [code for code in WARNINGS if code.startswith("fresh")]
    assert complete("nitro-attest verify --accept-warning fresh") == expected


def test_an_option_that_was_given_twice_does_not_stop_completion(complete):
    assert complete("nitro-attest verify --at now --at now --all") == ["--allow-debug"]


def ask(monkeypatch, tool, words, *arguments, request="bash_complete"):
    monkeypatch.setenv(VARIABLE, request)
    if words is not None:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    return tool(*arguments)


def test_the_verbs_are_completed_without_loading_them(monkeypatch, tool):
    code, out, _ = ask(monkeypatch, tool, "nitro-attest ")
    assert code == 0
    assert {"plain,verify", "plain,completion"} <= set(out.splitlines())


def test_a_file_is_completed_by_the_shell(monkeypatch, tool):
    for line in ("verify --policy do", "verify --public-key do", "fetch --save do"):
        assert ask(monkeypatch, tool, f"nitro-attest {line}")[1].startswith("file,")


def test_the_variable_replaces_no_verification(monkeypatch, tool):
    arguments = ["verify", DOCUMENT, "--at", "2020-01-01T00:00:00Z"]
    expected = tool(*arguments)
    assert expected[0] == 4
    assert ask(monkeypatch, tool, "nitro-attest verify", *arguments) == expected


def test_a_position_that_is_no_number_is_ignored(monkeypatch, tool):
    monkeypatch.setenv("COMP_WORDS", "nitro-attest")
    monkeypatch.setenv("COMP_CWORD", "x")
    expected = tool()
    assert ask(monkeypatch, tool, None) == expected


@pytest.mark.parametrize(
    ("request_", "words"),
    [("bash_complete", None), ("bash_source", "x"), ("tcsh_complete", "x"), ("", "x"), ("1", "x")],
)
def test_any_other_value_of_the_variable_is_ignored(monkeypatch, tool, request_, words):
    expected = tool()
    assert "Usage: nitro-attest" in expected[1] + expected[2]
    assert ask(monkeypatch, tool, words, request=request_) == expected


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"], [""]])
def test_another_shell_is_a_usage_error(tool, arguments):
    assert tool("completion", *arguments)[0] == 2


def test_version_names_what_accepts_or_rejects_a_document(tool):
    import cryptography

    code, out, _ = tool("--version")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("nitro-attest ")
    assert lines[1].startswith(f"cryptography {cryptography.__version__}, OpenSSL ")
    assert lines[2].endswith(sys.version.split()[0])
