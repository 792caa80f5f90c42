"""Output for people: verdicts on a terminal, colours, widths, names, and plain text in a pipe."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest

from nitro_attest.cli import terminal
from support.terminal import TOOL, run_on_terminal

PCR0 = b"\7" * 48
PIN = f"0={PCR0.hex()}"
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def files(fake, when, tmp_path):
    """A document with PCR0 and a nonce, and the options to verify it as of a time."""
    document, root = tmp_path / "doc.bin", tmp_path / "root.pem"
    document.write_bytes(fake.document(at=when, nonce=b"n" * 16, pcrs={0: PCR0}))
    root.write_bytes(fake.root_pem)
    return document, ["--root", root, "--at", (when + timedelta(seconds=90)).isoformat()]


def plain(text):
    return STYLE.sub("", text)


def rows(text):
    """The rows of a result, by their labels."""
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    return {line[2:14].strip(): line[15:] for line in lines}


# The verdict


def test_a_terminal_shows_the_verdict_first_and_last(files):
    document, options = files
    code, text = run_on_terminal("verify", document, *options, "--pcr", PIN, columns=400)
    lines = plain(text).splitlines()
    assert code == 0
    assert lines[0] == "✓ VERIFIED (measurements match PCR0)"
    as_of = "as of 2026-03-01 12:01:30.250 UTC"
    assert lines[-1] == f"✓ VERIFIED (measurements match PCR0): {document}, {as_of}"


def test_a_terminal_shows_a_rejection_first_and_last(files):
    document, options = files
    arguments = [document, *options, "--nonce", "cd" * 16]
    code, text = run_on_terminal("verify", *arguments, columns=400)
    lines = plain(text).splitlines()
    assert code == 6
    assert lines[0] == lines[-1] == f"✗ REJECTED policy.nonce: {document}"


def test_a_rejection_ends_with_its_verdict_even_if_the_policy_is_weak(files):
    document, options = files
    code, text = run_on_terminal("verify", document, *options, "--pcr", f"8={'00' * 48}")
    assert code == 0
    assert "policy.weak" in text
    code, text = run_on_terminal(
        *["verify", document, *options, "--pcr", f"8={'00' * 48}", "--nonce", "cd" * 16],
        columns=400,
    )
    lines = plain(text).splitlines()
    assert code == 6
    assert any(line.startswith("warning: policy.weak") for line in lines)
    assert lines[-1].startswith("✗ REJECTED policy.nonce")


def test_the_summary_of_several_documents_is_the_last_line(files):
    document, options = files
    code, text = run_on_terminal("verify", document, document, *options, "--any-enclave")
    assert (code, plain(text).splitlines()[-1]) == (0, "✓ 2 of 2 verified")
    code, text = run_on_terminal("verify", document, "absent", *options, "--any-enclave")
    assert (code, plain(text).splitlines()[-1]) == (2, "✗ 1 of 2 verified, 1 input.file")


def test_inspect_ends_with_unverified(files):
    text = plain(run_on_terminal("inspect", files[0], columns=400)[1])
    assert text.count("! UNVERIFIED: ") == 2
    assert text.splitlines()[-1].startswith("! UNVERIFIED: ")


def test_a_pipe_gets_the_verdict_once_and_no_style_or_mark(files):
    document, options = files
    for more in (["--pcr", PIN], ["--nonce", "cd" * 16]):
        command = [*TOOL, "verify", document, *options, *more]
        done = subprocess.run(
            [*map(str, command)],
            capture_output=True,
            check=False,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )
        text = (done.stdout + done.stderr).decode()
        assert text.isascii()
        assert "\x1b" not in text
        assert len(re.findall("VERIFIED|REJECTED", text)) == 1
    assert "mismatch: expected cdcd" in text
    assert f"cd, found {b'n'.hex() * 16}\n" in text


@pytest.mark.parametrize("filler", ["x" * 60 + " ", "文" * 20 + " ", "→" * 45, "y" * 70])
def test_no_name_begins_a_line_that_reads_like_a_verdict(files, tmp_path, filler):
    document, options = files
    hostile = tmp_path / f"{filler}✓ VERIFIED (measurements match PCR0)"
    document.rename(hostile)
    code, text = run_on_terminal("verify", hostile, *options, "--nonce", "cd" * 16)
    lines = plain(text).splitlines()
    assert code == 6
    assert [line[:10] for line in lines if not line.startswith("  ")] == ["✗ REJECTED"] * 2
    cells = [sum(1 + terminal.is_wide(c) for c in line) for line in lines]
    assert max(cells) <= 80


# -q and --short


def test_quiet_prints_the_verdict_alone(tool, files):
    document, options = files
    as_of = "as of 2026-03-01 12:01:30.250 UTC"
    code, out, err = tool("verify", document, *options, "--pcr", PIN, "-q")
    assert (code, err) == (0, "")
    assert out == f"VERIFIED (measurements match PCR0): {document}, {as_of}\n"
    code, out, err = tool("verify", document, *options, "--nonce", "cd" * 16, "--quiet")
    assert (code, out, err) == (6, "", f"REJECTED policy.nonce: {document}\n")
    code, out, err = tool("verify", document, *options, "-q", "--fail-on-warning")
    codes = "policy.none, freshness.unbound, root.custom"
    assert (code, out) == (6, "")
    assert err == f"FAILED ON WARNING {codes}: {document}, {as_of}\n"


def test_short_prints_the_enclave_the_age_the_set_and_the_warnings(tool, files, tmp_path):
    document, options = files
    policy = tmp_path / "policy.json"
    measurements = [{"name": "v1.4.2", "pcrs": {"PCR0": PCR0.hex()}}]
    content = {"schema": "nitro-attest-policy/1", "measurements": measurements}
    policy.write_text(json.dumps(content))
    code, out, _ = tool("verify", document, *options, "--policy", policy, "--short")
    assert code == 0
    assert out.startswith("VERIFIED (measurements match v1.4.2)\n")
    found = rows(out)
    assert found.pop("enclave").startswith("i-0abcdef0123456789-enc")
    assert found.pop("warning").startswith("root.custom: ")
    assert found == {
        "document": str(document),
        "verified at": "2026-03-01 12:01:30.250 UTC, as given",
        "age": "0:01:30",
        "matched": "v1.4.2 (PCR0)",
    }


@pytest.mark.parametrize("verb", ["verify", "fetch"])
@pytest.mark.parametrize("options", [["-q", "--short"], ["-q", "--json"], ["--short", "--json"]])
def test_two_forms_of_output_are_a_usage_error(tool, files, verb, options):
    source = files[0] if verb == "verify" else "https://enclave.example"
    code, out, err = tool(verb, source, "--any-enclave", *options)
    assert (code, out) == (2, "")
    assert "expected at most one of --quiet, --short and --json" in err


# The verification time


@pytest.mark.parametrize("form", [[], ["--short"]])
def test_the_verification_time_and_its_source_are_shown(tool, files, fake, form, clock):
    document, options = files
    for at, expected in {
        "now": "2026-03-01 12:00:00.250 UTC, now",
        "document": "2026-03-01 12:00:00.250 UTC, the document's own timestamp",
        "2026-03-01T13:00:00+00:30": "2026-03-01 12:30:00.000 UTC, as given",
    }.items():
        code, out, _ = tool("verify", document, *options[:2], "--at", at, *form)
        assert (code, rows(out)["verified at"]) == (0, expected)


def test_a_rejection_shows_a_verification_time_that_was_given(tool, files):
    document, options = files
    past = ["--at", "2020-01-01T01:00:00+01:00"]
    code, _, err = tool("verify", document, *options[:2], *past)
    assert code == 4
    assert "  verified as of 2020-01-01 00:00:00.000 UTC, as given\n" in err


def test_a_document_from_the_future_has_no_plain_age(tool, files, when):
    document, options = files
    early = ["--at", (when - timedelta(seconds=2)).isoformat()]
    code, out, _ = tool("verify", document, *options[:2], *early)
    assert (code, rows(out)["age"]) == (0, "0:00:02, in the future")


# Widths


@pytest.mark.parametrize("columns", [80, 60, 100, 0])
def test_facts_fit_the_terminal(files, columns):
    document, options = files
    code, text = run_on_terminal("verify", document, *options, "--pcr", PIN, columns=columns)
    lines = plain(text).splitlines()
    assert code == 0
    assert max(map(len, lines)) <= (columns or 80)
    assert "".join(line.strip() for line in lines).count(PCR0.hex()) == 1


def test_a_wide_terminal_shows_a_value_in_one_line(files):
    text = run_on_terminal("inspect", files[0], columns=120)[1]
    assert f"  PCR0         {PCR0.hex()}\n" in text


def test_a_terminal_of_one_column_gets_all_text(files):
    document, options = files
    code, text = run_on_terminal("verify", document, *options, "--nonce", "cd" * 16, columns=1)
    assert code == 6
    assert "policy.nonce" in text


@pytest.mark.parametrize("byte", [0, 31, 32, 47])
def test_values_are_one_above_the_other_with_the_first_difference_marked(files, byte):
    document, options = files
    expected = bytearray(PCR0)
    expected[byte:] = b"\x78" * (48 - byte)
    code, text = run_on_terminal("verify", document, *options, "--pcr", f"0={expected.hex()}")
    lines = plain(text).splitlines()
    assert code == 6
    assert "  policy.pcr_mismatch: PCR0 mismatch" in lines
    mark = next(number for number, line in enumerate(lines) if f"byte {byte}" in line)
    column = lines[mark].index("^")
    above = lines[mark - 2], lines[mark - 1]
    assert [line[:13] for line in above] == ["    expected ", "    found    "]
    assert above[0][13:column] == above[1][13:column]
    assert (above[0][column], above[1][column]) == ("7", "0")
    assert max(map(len, lines)) <= 80
    values = [line for line in lines if line.startswith("    expected ")]
    assert "".join(line[13:] for line in values) == expected.hex()


def test_of_long_values_only_the_difference_is_shown(fake, when, tmp_path):
    document, root = tmp_path / "doc.bin", tmp_path / "root.pem"
    document.write_bytes(fake.document(at=when, user_data=b"\1" * 300 + b"\2" + b"\1" * 200))
    root.write_bytes(fake.root_pem)
    options = ["--root", root, "--at", when.isoformat(), "--user-data", "01" * 501]
    code, text = run_on_terminal("verify", document, *options)
    assert code == 6
    assert "first difference: byte 300" in text
    assert text.count("    expected ") == 1
    assert "..." not in text


# Colours


@pytest.mark.parametrize(
    ("options", "variables", "colored"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
        ([], {"TERM": "dumb"}, False),
        (["--color", "auto"], {"NO_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {}, False),
    ],
)
def test_a_terminal_has_colours_unless_they_are_switched_off(files, options, variables, colored):
    document, root = files
    for more, word in (["--pcr", PIN], "VERIFIED"), (["--nonce", "cd" * 16], "REJECTED"):
        _, text = run_on_terminal("verify", document, *root, *more, *options, **variables)
        assert ("\x1b[" in text) == colored
        assert word in text


def test_a_pipe_has_colours_only_with_always(tool, files):
    document, options = files
    assert "\x1b" not in tool("verify", document, *options, "--pcr", PIN)[1]
    code, out, _ = tool("verify", document, *options, "--pcr", PIN, "--color", "always")
    assert code == 0
    assert out.startswith("\x1b[32m\x1b[1mVERIFIED (measurements match PCR0)\x1b[0m\n")
    code, _, err = tool("inspect", "absent", "--color", "always")
    assert err.startswith("\x1b[31m\x1b[1mREJECTED input.file: absent\x1b[0m\n")


def test_accepted_and_rejected_differ_by_words_without_any_style(files):
    document, options = files
    for more, word in {PIN: "VERIFIED", f"0={'11' * 48}": "REJECTED"}.items():
        arguments = ["verify", document, *options, "--pcr", more, "--color", "never", "-q"]
        text = run_on_terminal(*arguments, LC_ALL="C")[1]
        assert text.startswith(f"{word} ")
        assert text.isascii()


# Names and text of others


NAMES = {
    "dökument→.bin": "dökument→.bin",
    "文書.bin": "文書.bin",
    "a\x1b[2Jb": "a\\x1b[2Jb",
    "a\nVERIFIED": "a\\nVERIFIED",
    "a\u202eb": "a\\u202eb",
    "a\u2066b": "a\\u2066b",
    "a\u200fb": "a\\u200fb",
    "\u05d0\u0660": "\\u05d0\\u0660",
    "e\u0301": "e\\u0301",
    "a\u200bb\xadc": "a\\u200bb\\xadc",
    "a\u2028b\x85c": "a\\u2028b\\x85c",
    "a\u3000b\xa0c": "a\\u3000b\\xa0c",
    "\udcff": "\\udcff",
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items(), ids=map(ascii, NAMES))
def test_a_name_is_shown_as_it_is_where_that_is_safe(files, tmp_path, name, shown):
    document, options = files
    renamed = tmp_path / name
    document.rename(renamed)
    for more in ([], ["--nonce", "cd" * 16]):
        arguments = ["verify", renamed, *options, *more, "-q", "--color", "never"]
        _, text = run_on_terminal(*arguments, columns=400)
        assert shown in text
        assert name == shown or name not in text
    _, text = run_on_terminal("verify", renamed, *options, "-q", LC_ALL="C")
    assert plain(text).isascii()


def test_text_of_a_certificate_is_ascii_on_any_terminal(files, tmp_path):
    document = tmp_path / "changed"
    for text in (b"\x1b[2J.nitro-", "\u05d0\u0431c.nitro-".encode()):
        document.write_bytes(files[0].read_bytes().replace(b".aws.nitro-", text[:11].ljust(11)))
        _, shown = run_on_terminal("inspect", document)
        assert "\x1b[2J" not in shown
        assert plain(shown).replace("✓", "").isascii()


def test_every_character_that_is_shown_is_printable_and_does_not_reorder():
    shown = [c for c in map(chr, range(sys.maxunicode + 1)) if terminal.is_safe(c)]
    assert {chr(c) for c in range(0x20, 0x7F)} <= set(shown)
    assert all(c.isprintable() for c in shown)
    assert not set(shown) & {chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
