"""Several documents in one call of the tool: files, and the lines of a batch file."""

import base64
import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from nitro_attest.__main__ import run
from nitro_attest.cli import batch
from nitro_attest.errors import InputError
from support.terminal import TOOL, run_on_terminal

NONCE = b"\xab" * 16


@pytest.fixture
def options(fake, when, tmp_path):
    root = tmp_path / "root.pem"
    root.write_bytes(fake.root_pem)
    return ["--root", str(root), "--at", when.isoformat(), "--json"]


@pytest.fixture
def document(fake, when):
    return fake.document(at=when, nonce=NONCE, user_data=b"u", public_key=b"p")


@pytest.fixture
def verify_lines(options, tmp_path, capsys):
    """Verifies a batch file of these lines: exit code, results, stderr."""

    def call(lines, *more, at=None):
        path = tmp_path / "batch.jsonl"
        path.write_bytes(b"".join(line if type(line) is bytes else write(line) for line in lines))
        given = options if at is None else [*options[:2], "--at", at.isoformat(), *options[4:]]
        code = run(["verify", "--batch", str(path), *given, *more])
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return call


def write(entry):
    return json.dumps(entry).encode() + b"\n"


def codes(answers):
    return [None if answer["verified"] else answer["error"]["code"] for answer in answers]


def test_several_files_give_results_in_order_and_a_summary(options, document, tmp_path, capsys):
    paths = [tmp_path / f"{number}.bin" for number in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(document if number % 3 else b"\x84")
    code = run(["verify", *map(str, paths), str(tmp_path / "none"), *options])
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines()]
    assert code == 3
    assert [answer["source"] for answer in answers] == [*map(str, paths), str(tmp_path / "none")]
    assert codes(answers) == [*["cbor.truncated", None, None] * 10, "input.file"]
    assert captured.err == "20 of 31 verified, 10 cbor.truncated, 1 input.file\n"


def test_a_line_gives_its_document_as_hex_base64_or_file(verify_lines, document, tmp_path):
    path = tmp_path / "doc.bin"
    path.write_bytes(document)
    forms = [document.hex(), base64.b64encode(document).decode(), {"file": str(path)}]
    code, answers, err = verify_lines([{"document": form} for form in forms])
    assert (code, codes(answers)) == (0, [None] * 3)
    assert [answer["source"].rpartition(":")[2] for answer in answers] == ["1", "2", "3"]
    assert err == "3 of 3 verified\n"


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("nonce", NONCE.hex(), "cd" * 16),
        ("user_data", b"u".hex(), "cd"),
        ("public_key", b"p".hex(), "cd"),
    ],
)
def test_a_line_can_require_values_of_its_document(verify_lines, document, name, right, wrong):
    entry = {"document": document.hex()}
    code, answers, _ = verify_lines([entry | {name: right}, entry | {name: wrong}, entry])
    assert (code, codes(answers)) == (6, [None, f"policy.{name}", None])


def test_a_line_can_lower_the_maximum_age_but_not_raise_it(verify_lines, fake, when, document):
    late = when.replace(minute=2)
    entry = {"document": document.hex()}
    lines = [entry | {"max_age": "1m"}, entry | {"max_age": "1h"}]
    assert codes(verify_lines(lines, at=late)[1]) == ["freshness.too_old", None]
    found = verify_lines(lines, "--max-age", "90s", at=late)[1]
    assert codes(found) == ["freshness.too_old"] * 2


def test_a_value_given_by_both_line_and_option_is_rejected(verify_lines, document):
    entry = {"document": document.hex()}
    lines = [entry, entry | {"nonce": NONCE.hex()}]
    code, answers, _ = verify_lines(lines, "--nonce", NONCE.hex())
    assert (code, codes(answers)) == (2, [None, "input.batch"])


MALFORMED = [
    *(b"[]\n", b'"text"\n', b"null\n", b"7\n", b"{\n", b"{}\n", b"{} {}\n"),
    *(b'{"document": 1e999}\n', b'{"document": NaN}\n', b"\xff\n", b"\0\n", b"[" * 99 + b"\n"),
    *(b'{"document": "84", "document": "84"}\n', b'{"document": "84", "at": "document"}\n'),
    *(b'{"document": "\xc3\xa9"}\n', b'{"document": "\\ud800"}\n', b'{"document": null}\n'),
    *(b'{"document": {"file": "-"}}\n', b'{"document": {"file": 7}}\n', b'{"document": {}}\n'),
    b'{"document": {"file": "a", "format": "hex"}}\n',
    *(b'{"document": "84", "id": %s}\n' % v for v in (b"1.5", b"true", b"[]", b"{}")),
    b'\xef\xbb\xbf{"document": "84"}\n',  # only the first line of a file may have this mark
    *(b'{"document": "84", "nonce": %s}\n' % v for v in (b"null", b'""', b'"abc"', b"7", b"[]")),
    *(b'{"document": "84", "max_age": %s}\n' % v for v in (b'"0m"', b'"10"', b"600", b"null")),
    b'{"document": "' + b"84" * 70000 + b'"}\n',
]


@pytest.mark.parametrize("line", MALFORMED, ids=lambda line: line[:40].decode("latin-1").strip())
def test_a_malformed_line_fails_alone(verify_lines, document, line):
    good = {"document": document.hex()}
    code, answers, _ = verify_lines([good, line, good])
    assert (code, codes(answers)) == (2, [None, "input.batch", None])


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"document": ""}, "document.empty"),
        ({"document": "hello, world!"}, "document.encoding"),
        ({"document": "84" * 20000}, "document.too_large"),
        ({"document": {"file": "no such file"}}, "input.file"),
        ({"document": {"file": ""}}, "input.file"),
        ({"document": {"file": "a\0b"}}, "input.file"),
    ],
)
def test_a_line_with_a_malformed_document_gets_its_error(verify_lines, document, entry, code):
    assert codes(verify_lines([entry, {"document": document.hex()}])[1]) == [code, None]


def test_the_id_of_a_line_is_passed_through(verify_lines, document):
    good = {"document": document.hex()}
    ids = ["a-\u00e9", 7, 2**70, "", 0]
    _, answers, _ = verify_lines(
        [*(good | {"id": each} for each in ids), good | {"id": None}, good]
    )
    assert [answer.get("id", "absent") for answer in answers] == [*ids, "absent", "absent"]
    bad = [good | {"id": 1, "nonce": "x"}, {"id": 2, "document": "84"}, {"id": 3}]
    assert [answer["id"] for answer in verify_lines(bad)[1]] == [1, 2, 3]


def test_empty_lines_are_skipped_and_counted(verify_lines, document):
    good = {"document": document.hex()}
    code, answers, err = verify_lines([b"\n", good, b" \t\r\n", b"\r\n", good, b"  "])
    assert (code, codes(answers)) == (0, [None, None])
    assert [answer["source"].rpartition(":")[2] for answer in answers] == ["2", "5"]
    assert err == "2 of 2 verified\n"


def test_a_file_may_begin_with_a_byte_order_mark(verify_lines, document):
    line = b"\xef\xbb\xbf" + write({"document": document.hex()})
    assert codes(verify_lines([line])[1]) == [None]


@pytest.mark.parametrize("name", ["nonce", "user_data", "public_key", "max_age"])
def test_null_never_means_unchecked(verify_lines, document, name):
    code, answers, _ = verify_lines([{"document": document.hex(), name: None}])
    assert (code, codes(answers)) == (2, ["input.batch"])
    message = answers[0]["error"]["message"]
    assert message == f"{name} is null; to require none, leave the key out"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{}\n", 'the object has no document; expected hex, base64 or {"file": PATH}'),
        (b'{"document": 7}\n', 'document: expected hex, base64 or {"file": PATH}'),
        (b"{,}\n", "column 2: not JSON"),
    ],
)
def test_an_error_in_a_line_names_what_is_wrong_with_it(verify_lines, line, message):
    error = verify_lines([b"\n", line])[1][0]["error"]
    assert error["message"].startswith(message)


def test_the_last_line_needs_no_line_feed(verify_lines, document):
    line = json.dumps({"document": document.hex()}).encode()
    assert codes(verify_lines([line])[1]) == [None]


@pytest.mark.parametrize("lines", [[], [b"\n"], [b" \r\n", b"\n"]])
def test_a_batch_without_lines_verifies_nothing_and_fails(verify_lines, lines):
    code, answers, err = verify_lines(lines)
    assert (code, answers) == (2, [])
    assert "has no lines" in err


@pytest.mark.parametrize("arguments", [[], ["doc.bin", "--batch", os.devnull], ["--batch", ""]])
def test_documents_come_from_either_arguments_or_a_batch_file(arguments, capsys):
    assert run(["verify", *arguments]) == 2
    assert capsys.readouterr().out == ""


def test_a_batch_can_come_from_stdin(options, document):
    done = subprocess.run(
        [sys.executable, "-m", "nitro_attest", "verify", "--batch", "-", *options],
        input=write({"document": document.hex()}) * 3 + b"{}\n",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert codes(map(json.loads, done.stdout.splitlines())) == [None, None, None, "input.batch"]
    assert done.stderr == b"3 of 4 verified, 1 input.batch\n"


def screen(text):
    """The lines that a terminal shows: a carriage return goes back to the first column."""
    lines = []
    for line in text.split("\n"):
        cells = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


@pytest.mark.parametrize("form", ["--json", "-q"])
def test_progress_is_shown_on_a_terminal_and_erased(options, document, tmp_path, form):
    path, results = tmp_path / "batch.jsonl", tmp_path / "results"
    path.write_bytes(write({"document": document.hex()}) * 3)
    with results.open("wb") as file:
        arguments = ["--batch", path, *options[:-1], form, "--color", "never"]
        code, text = run_on_terminal("verify", *arguments, stdout=file)
    assert code == 0
    assert results.read_bytes().count(b"\n") == 3
    assert text.startswith("verifying [--------------------] 0 %")
    assert screen(text) == ["✓ 3 of 3 verified", ""]


def test_no_line_is_glued_to_the_progress(options, tmp_path):
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b"{}\n" * 3)
    with Path(os.devnull).open("wb") as file:
        arguments = ["--batch", path, *options[:-1], "-q", "--color", "never"]
        code, text = run_on_terminal("verify", *arguments, stdout=file, columns=400)
    assert code == 2
    assert "verifying [" in text
    rejected = [f"✗ REJECTED input.batch: {path}:{number}" for number in (1, 2, 3)]
    assert screen(text) == [*rejected, "✗ 0 of 3 verified, 3 input.batch", ""]


def test_a_batch_from_a_pipe_shows_how_many_documents_are_done(options, document, tmp_path):
    reader, writer = os.pipe()
    os.write(writer, b"{}\n" * 2)
    os.close(writer)
    with Path(os.devnull).open("wb") as file:
        arguments = ["--batch", f"/dev/fd/{reader}", *options]
        code, text = run_on_terminal("verify", *arguments, stdout=file, pass_fds=[reader])
    os.close(reader)
    assert code == 2
    assert text.startswith("verifying 0")


def test_no_progress_where_the_results_are_shown_or_there_is_no_terminal(options, tmp_path):
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b"{}\n" * 3)
    assert "verifying" not in run_on_terminal("verify", "--batch", path, *options)[1]
    done = subprocess.run(
        [*TOOL, "verify", "--batch", str(path), *options], capture_output=True, check=False
    )
    assert b"verifying" not in done.stderr


def test_lines_are_read_on_demand(tmp_path):
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b"{}\n" * 5)
    jobs = batch.from_batch(str(path), "auto", {})
    job = next(jobs)
    assert job.name == f"{path}:1"
    assert isinstance(job.item, InputError)
    assert len(deque(jobs)) == 4
