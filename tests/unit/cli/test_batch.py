"""Several documents in one call of the tool: files, and the lines of a batch file."""

import base64
import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from collections import deque
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from nitro_attest import ANY_ENCLAVE, ANY_INSTANCE, NitroTpmVerifier, Verifier
from nitro_attest.__main__ import run
from nitro_attest.cli import batch, fields
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


def test_a_line_can_set_the_time_of_its_document(fake, when, roots, tmp_path, capsys):
    root = tmp_path / "root.pem"
    root.write_bytes(fake.root_pem)
    entry = {"document": fake.document(at=when).hex()}
    soon, late = (
        (when + hours).astimezone(timezone(timedelta(hours=2))).isoformat()
        for hours in (timedelta(hours=1), timedelta(hours=4))
    )
    lines = [entry | {"at": at} for at in (soon, late, "document", "now")]
    lines.append(entry | {"at": "document", "max_age": "1h"})
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b"".join(map(write, lines)))
    assert run(["verify", "--batch", str(path), "--root", str(root), "--json"]) == 4
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert codes(answers) == [None, "cert.expired", None, "cert.expired", "input.time"]
    found = [answer["attestation"] for answer in answers if answer["verified"]]
    assert [each["time_source"] for each in found] == ["given", "document"]
    moment = datetime.fromisoformat(found[0]["verified_at"])
    assert moment == (when + timedelta(hours=1)).replace(microsecond=250_000)
    assert run(["verify", "--batch", str(path), "--root", str(root)]) == 4
    shown = f"  verified as of {late_in_utc(when)}, as given"
    assert capsys.readouterr().err.count(shown) == 1


def late_in_utc(when):
    return f"{when + timedelta(hours=4):%Y-%m-%d %H:%M:%S}.250 UTC"


@pytest.mark.parametrize("at", ["now", "document", "2026-03-01T12:00:01Z"])
def test_a_time_given_by_both_line_and_option_is_rejected(fake, document, tmp_path, capsys, at):
    root, path = tmp_path / "root.pem", tmp_path / "batch.jsonl"
    root.write_bytes(fake.root_pem)
    path.write_bytes(write({"document": document.hex(), "at": "document"}))
    arguments = ["verify", "--batch", str(path), "--root", str(root), "--json"]
    assert run(arguments) == 0
    assert run([*arguments, "--at", at]) == 2
    _, answer = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert answer["error"]["code"] == "input.batch"
    assert answer["error"]["message"] == "at is given both by the line and by an option"


def test_a_value_given_by_both_line_and_option_is_rejected(verify_lines, document):
    entry = {"document": document.hex()}
    lines = [entry, entry | {"nonce": NONCE.hex()}]
    code, answers, _ = verify_lines(lines, "--nonce", NONCE.hex())
    assert (code, codes(answers)) == (2, [None, "input.batch"])


MALFORMED = [
    *(b"[]\n", b'"text"\n', b"null\n", b"7\n", b"{\n", b"{}\n", b"{} {}\n"),
    *(b'{"document": 1e999}\n', b'{"document": NaN}\n', b"\xff\n", b"\0\n", b"[" * 99 + b"\n"),
    *(b'{"document": "84", "document": "84"}\n', b'{"document": "84", "root": "aws"}\n'),
    *(b'{"document": "\xc3\xa9"}\n', b'{"document": "\\ud800"}\n', b'{"document": null}\n'),
    *(b'{"document": {"file": "-"}}\n', b'{"document": {"file": 7}}\n', b'{"document": {}}\n'),
    b'{"document": {"file": "a", "format": "hex"}}\n',
    *(b'{"document": "84", "id": %s}\n' % v for v in (b"1.5", b"true", b"[]", b"{}")),
    b'\xef\xbb\xbf{"document": "84"}\n',  # only the first line of a file may have this mark
    *(b'{"document": "84", "nonce": %s}\n' % v for v in (b"null", b'""', b'"abc"', b"7", b"[]")),
    *(b'{"document": "84", "at": %s}\n' % v for v in (b'""', b'"2026-03-01"', b"0", b"null")),
    b'{"document": "84", "at": "2026-03-01T12:00:00"}\n',
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


@pytest.mark.parametrize("name", ["nonce", "user_data", "public_key", "max_age", "at"])
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


# ---- gzip ---------------------------------------------------------------------------------------


def test_a_batch_may_be_compressed_in_one_or_more_members(verify_lines, document):
    lines = [write({"document": document.hex(), "id": number}) for number in range(40)]
    packed = [gzip.compress(b"".join(lines[:15])), gzip.compress(b"".join(lines[15:]))]
    code, answers, err = verify_lines(packed)
    assert (code, codes(answers)) == (0, [None] * 40)
    assert [answer["id"] for answer in answers] == [*range(40)]
    assert err == "40 of 40 verified\n"


def test_a_compressed_batch_can_come_from_stdin(options, document):
    done = subprocess.run(
        [*TOOL, "verify", "--batch", "-", *options],
        input=gzip.compress(write({"document": document.hex()}) * 3),
        capture_output=True,
        check=False,
    )
    assert codes(map(json.loads, done.stdout.splitlines())) == [None] * 3


@pytest.mark.parametrize(
    "broken",
    [
        lambda packed: packed[:-9],
        lambda packed: packed[:-1],
        lambda packed: packed[:-8] + bytes(8),
        lambda packed: packed + b"more",
        lambda packed: packed[:10] + b"\xff" * 20,
        lambda packed: packed[:2],
    ],
)
def test_where_compressed_data_break_the_batch_fails(verify_lines, document, broken):
    packed = gzip.compress(write({"document": document.hex()}) * 2)
    code, answers, _ = verify_lines([broken(packed)])
    assert code == 2
    *before, last = answers
    assert codes(before) == [None] * len(before)
    assert last["error"]["code"] == "input.file"
    assert "cannot read this line or any after it" in last["error"]["message"]


def test_a_compressed_line_without_an_end_takes_no_memory(tmp_path, document):
    path = tmp_path / "batch.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
        file.write(b"\n" + write({"document": document.hex()}))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    first, second = batch.from_batch(str(path), None, None, {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20
    assert (first.item.code, second.item.document) == ("input.batch", document)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that opens, but cannot be read")
def test_a_batch_that_opens_but_cannot_be_read_is_an_input_error(capsys):
    assert run(["verify", "--batch", "/proc/self/mem"]) == 2
    assert "input.file: cannot read '/proc/self/mem'" in capsys.readouterr().err


def test_the_lines_of_a_compressed_file_are_not_counted_ahead(tmp_path):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(b"{}\n" * 3)
    packed.write_bytes(gzip.compress(b"{}\n" * 3))
    assert (batch.line_count(str(plain)), batch.line_count(str(packed))) == (3, None)


# ---- Fields and summary -------------------------------------------------------------------------


def test_a_batch_gives_everything_but_the_certificates(verify_lines, document):
    (plain,) = verify_lines([{"document": document.hex()}])[1]
    (whole,) = verify_lines([{"document": document.hex()}], "--fields", "all")[1]
    assert whole["attestation"].pop("chain")
    assert whole["attestation"]["document"].pop("certificate")
    assert whole["attestation"]["document"].pop("cabundle")
    assert plain == whole


def test_one_document_has_all_fields_unless_some_are_asked_for(options, document, tmp_path, capsys):
    path = tmp_path / "doc.bin"
    path.write_bytes(document)
    found = []
    for more in ([], ["--fields", "all"], ["--fields", "module_id,matched"]):
        assert run(["verify", str(path), *options, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert found[0]["attestation"].keys() | found[0]["attestation"]["document"].keys() < fields.ALL
    module_id = found[0]["attestation"]["document"]["module_id"]
    assert found[2] == found[0] | {
        "attestation": {"document": {"module_id": module_id}, "matched": None}
    }


def test_every_field_exists(fake, when, roots):
    enclave = Verifier(roots, policy=ANY_ENCLAVE).verify(fake.document(at=when), at=when)
    instance = NitroTpmVerifier(roots, policy=ANY_INSTANCE).verify(
        fake.document(at=when, kind="nitrotpm"), at=when
    )
    extended = Verifier(roots, policy=ANY_ENCLAVE, unknown_fields="warn").verify(
        fake.document(at=when, fault="P-7.structure"), at=when
    )
    names = set()
    for attestation in (enclave, instance, extended):
        values = attestation.to_dict()
        assert fields.selected(attestation, fields.ALL) == values
        names |= values.keys() | values["document"].keys()
        for name, value in values.items():
            assert fields.selected(attestation, frozenset({name})) == {name: value}
        for name, value in values["document"].items():
            assert fields.selected(attestation, frozenset({name})) == {"document": {name: value}}
    assert names == fields.ALL


def test_fields_never_hide_whether_a_document_was_accepted(verify_lines, document):
    good = {"document": document.hex(), "id": "a"}
    _, answers, _ = verify_lines([good, good | {"nonce": "cd" * 16}], "--fields", "region")
    assert [answer["verified"] for answer in answers] == [True, False]
    assert [answer["id"] for answer in answers] == ["a", "a"]
    assert answers[0]["attestation"] == {"region": "us-east-1"}
    assert answers[1]["error"]["code"] == "policy.nonce"


def test_a_summary_has_the_number_of_documents_by_result(verify_lines, document, tmp_path, capsys):
    good = {"document": document.hex()}
    lines = [*[good] * 3, {}, {"document": document.hex()[2:]}, {}]
    code, (answer,), err = verify_lines(lines, "--summary")
    assert (code, err) == (2, "")
    assert answer == {
        "schema": "nitro-attest/1",
        "documents": 6,
        "results": {"verified": 3, "input.batch": 2, "cose.array": 1},
    }
    code, (answer,), err = verify_lines([good], "--summary", "--fail-on-warning")
    assert (code, err) == (6, "")
    assert answer["results"] == {"failed on a warning": 1}
    assert verify_lines([good] * 2, "--summary")[0] == 0


def test_a_summary_for_people_is_a_table(options, document, tmp_path, capsys):
    path = tmp_path / "batch.jsonl"
    path.write_bytes(write({"document": document.hex()}) * 12 + b"{}\n")
    assert run(["verify", "--batch", str(path), *options[:-1], "--summary"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "       12  verified\n        1  input.batch\n"
    assert captured.err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--summary", option] for option in ("-q", "--short")),
        ["--summary", "--json", "--fields", "region"],
        ["--fields", "region"],
        *(["--json", "--fields", names] for names in ("", "regions", "region,", "all,region")),
    ],
)
def test_options_of_the_output_that_contradict_each_other_are_usage_errors(arguments, capsys):
    assert run(["verify", "--batch", os.devnull, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage: " in captured.err


# ---- Progress -----------------------------------------------------------------------------------


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
    jobs = batch.from_batch(str(path), None, None, {})
    job = next(jobs)
    assert job.name == f"{path}:1"
    assert isinstance(job.item, InputError)
    assert len(deque(jobs)) == 4
