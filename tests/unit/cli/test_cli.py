"""The command line: headlines, JSON, exit codes, text forms, closed pipes (C-3)."""

import base64
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from conftest import FIXTURES
from nitro_attest.cli.exit_codes import EXIT_CODES, exit_code_of
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.testing import FakeNitro

GENUINE = FIXTURES / "real/20250916_encl_us-east-1_tkhq_b1086cbb.bin"
DEBUG = FIXTURES / "real/20241114_encl_us-east-1_mystenlabs_7d81da0d.bin"
PCR0 = (
    "f67076a8f9796b90d7f0eb148ec6926f66fe04c808611519"
    "16961f7dec715b3c8a36e5908e9551c20048719da134b207"
)
TOOL = [sys.executable, "-m", "nitro_attest"]


@pytest.fixture
def enclave(fake, when, tmp_path):
    """A fake document and its root as files, and the options to verify it with."""
    document, root = tmp_path / "doc.bin", tmp_path / "root.pem"
    document.write_bytes(fake.document(at=when, nonce=b"\xab" * 16))
    root.write_bytes(fake.root_pem)
    return document, ["--root", root, "--at", when.isoformat()]


def first(text):
    return text.splitlines()[0]


def test_archive_mode_has_its_own_headline_even_with_measurements(tool):
    code, out, err = tool("verify", GENUINE, "--at", "document", "--pcr", f"0={PCR0}")
    assert (code, err) == (0, "")
    assert first(out) == "AUTHENTIC AT SIGNING TIME (archive mode; freshness not checked)"
    assert f"{PCR0}  as expected" in out


def test_a_verified_document_names_the_measurements_that_match(tool, enclave, fake, when):
    document, options = enclave
    code, out, _ = tool("verify", document, *options, "--json")
    pcrs = json.loads(out)["attestation"]["document"]["pcrs"]
    code, out, _ = tool(
        "verify", document, *options, "--pcr", f"0={pcrs['0']}", "--pcr", f"1=0x{pcrs['1'].upper()}"
    )
    assert code == 0
    assert first(out) == "VERIFIED (measurements match PCR0, PCR1)"


def test_without_measurements_the_headline_is_any_enclave(tool, enclave):
    document, options = enclave
    code, out, _ = tool("verify", document, *options)
    assert (code, first(out)) == (0, "AUTHENTIC, ANY ENCLAVE (no measurements were required)")
    assert "policy.none" in out
    code, out, _ = tool("verify", document, *options, "--any-enclave")
    assert code == 0
    assert "policy.none" not in out
    assert "freshness.unbound" in out


def test_fail_on_warning_exits_6(tool, enclave):
    document, options = enclave
    assert tool("verify", document, *options, "--fail-on-warning")[0] == 6


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--pcr", "0=" + "11" * 48], 6, "policy.pcr_mismatch"),
        (["--nonce", "cd" * 16], 6, "policy.nonce"),
        (["--user-data", "cd"], 6, "policy.user_data"),
        (["--max-age", "1s"], 6, "freshness.too_old"),
        (["--partition", "aws-us-gov"], 4, "chain.untrusted_root"),
    ],
)
def test_a_rejection_shows_its_code_and_exits_with_that_of_its_class(
    tool, enclave, when, options, code, reason
):
    document, root = enclave
    base = ["--at", (when + timedelta(seconds=2)).isoformat()]
    trusted = [] if "--partition" in options else root[:2]
    found, out, err = tool("verify", document, *trusted, *base, *options)
    assert (found, out) == (code, "")
    assert first(err) == f"REJECTED {reason}: {document}"


def test_expected_values_that_match_are_accepted(tool, enclave, fake, when, tmp_path):
    document, options = enclave
    assert tool("verify", document, *options, "--nonce", "ab" * 16, "--max-age", "10m")[0] == 0
    key = tmp_path / "key"
    key.write_bytes(b"the key")
    document.write_bytes(fake.document(at=when, public_key=b"the key", user_data=b"\1"))
    assert tool("verify", document, *options, "--public-key", key, "--user-data", "01")[0] == 0


def test_an_expired_document_gets_a_hint(tool):
    code, _, err = tool("verify", GENUINE)
    assert code == 4
    assert first(err).startswith("REJECTED cert.expired")
    assert "--at document" in err


def test_debug_mode_requires_allow_debug(tool):
    assert tool("verify", DEBUG, "--at", "document")[0] == 6
    assert tool("verify", DEBUG, "--at", "document", "--allow-debug")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["verify"],
        ["no-such-verb"],
        ["verify", GENUINE, "--pcr", ""],
        ["verify", GENUINE, "--pcr", "0="],
        ["verify", GENUINE, "--pcr", "0=12"],
        ["verify", GENUINE, "--pcr", f"00={PCR0}"],
        ["verify", GENUINE, "--pcr", f"32={PCR0}"],
        ["verify", GENUINE, "--pcr", f"0={PCR0}", "--pcr", f"0={PCR0}"],
        ["verify", GENUINE, "--pcr", f"0={PCR0}", "--any-enclave"],
        ["verify", GENUINE, "--pcr", "0=" + "0" * 96],
        ["verify", GENUINE, "--nonce", ""],
        ["verify", GENUINE, "--nonce", "abc"],
        ["verify", GENUINE, "--user-data", ""],
        ["verify", GENUINE, "--root", ""],
        ["verify", GENUINE, "--root", GENUINE],
        ["verify", GENUINE, "--root", GENUINE, "--partition", "aws"],
        ["verify", GENUINE, "--public-key", ""],
        ["verify", GENUINE, "--public-key", os.devnull],
        ["verify", GENUINE, "--at", ""],
        ["verify", GENUINE, "--at", "2026-01-01T00:00:00"],
        ["verify", GENUINE, "--at", "soon"],
        ["verify", GENUINE, "--at", "document", "--max-age", "10m"],
        ["verify", GENUINE, "--max-age", ""],
        ["verify", GENUINE, "--max-age", "10"],
        ["verify", GENUINE, "--max-age", "0m"],
        ["verify", GENUINE, "--format", "der"],
        ["verify", "no-such-file"],
        ["verify", ""],
        ["inspect", "no-such-file"],
    ],
)
def test_a_usage_error_exits_2_and_prints_no_result(tool, arguments):
    code, out, err = tool(*arguments)
    assert code == 2
    assert out == ""
    assert err


@pytest.mark.parametrize("wrap", ["hex", "HEX", "base64", "lines", "base64url", "pem"])
def test_c3_text_forms_are_recognised(tool, tmp_path, wrap):
    raw = GENUINE.read_bytes()
    text = {
        "hex": raw.hex().encode(),
        "HEX": b"0x" + raw.hex().upper().encode() + b"\n",
        "base64": base64.b64encode(raw),
        "lines": base64.encodebytes(raw),
        "base64url": base64.urlsafe_b64encode(raw).rstrip(b"="),
        "pem": b"-----BEGIN DOC-----\n" + base64.encodebytes(raw) + b"-----END DOC-----\n",
    }[wrap]
    path = tmp_path / "doc.txt"
    path.write_bytes(text)
    assert tool("verify", path, "--at", "document")[0] == 0
    assert tool("verify", path, "--at", "document", "--format", "raw")[0] == 3
    named = "hex" if wrap.lower() == "hex" else "base64"
    assert tool("verify", path, "--at", "document", "--format", named)[0] == 0


@pytest.mark.parametrize(
    "data", [b"", b"hello world!", b"\0" * 9, b"{}", b"abc=d", b"\x84" * 70000]
)
@pytest.mark.parametrize("form", [[], ["--format", "raw"], ["--format", "hex"]])
def test_c3_other_content_is_a_format_error(tool, tmp_path, data, form):
    path = tmp_path / "doc"
    path.write_bytes(data)
    code, out, err = tool("verify", path, *form)
    assert (code, out) == (3, "")
    assert first(err).startswith(("REJECTED document.", "REJECTED cose.", "REJECTED cbor."))


def test_several_documents_exit_with_the_code_of_the_first_failure(tool, tmp_path):
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x84")
    code, out, err = tool("verify", GENUINE, bad, DEBUG, "--at", "document")
    assert code == 3
    assert out.count("AUTHENTIC AT SIGNING TIME") == 1
    assert err.count("REJECTED") == 2


def test_json_is_one_object_per_document_accepted_or_rejected(tool, tmp_path):
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x84")
    missing = tmp_path / "missing"
    code, out, err = tool("verify", "--json", GENUINE, bad, DEBUG, missing, "--at", "document")
    good, broken, debug, unread = map(json.loads, out.splitlines())
    assert code == 3
    assert err == "1 of 4 verified, 1 cbor.truncated, 1 policy.debug, 1 input.file\n"
    assert good["schema"] == "nitro-attest/1"
    assert good["verified"] is True
    assert good["attestation"]["document"]["pcrs"]["0"] == PCR0
    assert broken["error"]["code"] == "cbor.truncated"
    assert broken["error"]["offset"] == 1
    assert debug["verified"] is False
    assert [f["code"] for f in debug["error"]["failures"]] == ["policy.debug"]
    assert unread["error"]["code"] == "input.file"


def test_inspect_begins_with_unverified(tool, tmp_path):
    code, out, _ = tool("inspect", GENUINE)
    assert code == 0
    assert out.startswith("UNVERIFIED")
    assert "VERIFIED" not in out.replace("UNVERIFIED", "")
    code, out, _ = tool("inspect", GENUINE, "--json")
    answer = json.loads(out)
    assert answer["verified"] is False
    assert answer["unverified"]["module_id"] == "i-02447a481344e9ec0-enc0199546b533fd5d0"
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x84")
    assert tool("inspect", bad)[0] == 3
    assert json.loads(tool("inspect", bad, "--json")[1])["error"]["code"] == "cbor.truncated"


def test_text_in_a_certificate_cannot_control_a_terminal(tool, tmp_path):
    path = tmp_path / "doc"
    path.write_bytes(GENUINE.read_bytes().replace(b".aws.nitro-", b"\x1b[2J.nitro-"))
    code, out, _ = tool("inspect", path)
    assert code == 0
    assert "\x1b" not in out
    assert "\\x1b[2J" in out


def spawn(*arguments, **options):
    return subprocess.run(
        [*TOOL, *map(str, arguments)], capture_output=True, check=False, **options
    )


def test_a_document_can_come_from_stdin():
    done = spawn("verify", "-", "--at", "document", input=GENUINE.read_bytes())
    assert done.returncode == 0
    assert done.stdout.startswith(b"AUTHENTIC AT SIGNING TIME")


def test_ctrl_c_exits_130_without_a_traceback():
    process = subprocess.Popen(
        [*TOOL, "verify", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    # The process reads stdin once it has emptied the pipe.
    process.stdin.write(b"\x84" * 65536)
    process.stdin.flush()
    wait_until_reading(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


def wait_until_reading(process):
    """Returns when the process has emptied the pipe and blocks in read()."""
    import fcntl
    import struct
    import termios

    while struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, b"\0" * 4))[0]:
        os.sched_yield()


def test_a_bug_exits_70_not_1(tool, monkeypatch):
    monkeypatch.setattr("nitro_attest.cli.inspect.parse_unverified", lambda *_, **__: 1 / 0)
    code, out, err = tool("inspect", GENUINE)
    assert (code, out) == (70, "")
    assert "ZeroDivisionError" in err


def test_version_and_help(tool):
    assert tool("--version")[:1] == (0,)
    assert "verify" in tool("--help")[1]
    assert "--max-age" in tool("verify", "--help")[1]


def test_every_class_of_error_has_an_exit_code():
    assert set(EXIT_CODES) == set(NitroAttestError.__subclasses__())
    assert exit_code_of(InputError("input.file", "")) == 2
    assert exit_code_of(NitroAttestError("none", "")) == 70


def test_a_derived_error_has_the_exit_code_of_its_base():
    class DerivedError(InputError):
        pass

    assert exit_code_of(DerivedError("input.file", "")) == 2


def test_a_hint_names_only_options_of_the_verb(tool, tmp_path):
    document = tmp_path / "doc"
    document.write_bytes(b"hello, world!")
    assert "hint: set the form with --format" in tool("verify", document)[2]
    archived = [DEBUG, "--at", "document"]
    assert "use --allow-debug" in tool("verify", *archived)[2]
    code, _, err = tool("kms-policy", "make", "--condition-only", "--document", *archived)
    assert code == 6
    assert first(err).startswith("REJECTED policy.debug")
    assert "hint: " not in err


def test_a_message_names_the_option_for_an_argument(verify_error):
    assert "pass --nonce, the challenge" in verify_error("pass nonce=, the challenge")
    assert "pass --pcr-index\n" in verify_error("pass pcr_index=")
    assert "at='now' and CN=x" in verify_error("at='now' and CN=x")


@pytest.fixture
def verify_error(tool, monkeypatch):
    """Shows a message of the library as an error of ``verify``."""

    def call(message):
        def fail(*_):
            raise InputError("input.expected", message)

        monkeypatch.setattr("nitro_attest.cli.verify.trusted_roots", fail)
        return tool("verify", GENUINE)[2]

    return call


def test_a_root_that_is_not_pem_is_named(tool, tmp_path):
    root = tmp_path / "root.txt"
    root.write_text("this is\nnot PEM\n")
    code, _, err = tool("verify", GENUINE, "--root", root)
    assert code == 2
    assert "root.txt: trusted root: expected a PEM certificate" in err
    assert "not its path" not in err


@pytest.mark.parametrize("verb", ["verify", "inspect"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], 3),
        (["--unknown-fields", "reject"], 3),
        (["--unknown-fields", "warn"], 0),
        (["--unknown-fields", "skip"], 2),
    ],
)
def test_p7_unknown_fields_rejects_or_warns(tool, fake, when, tmp_path, verb, options, expected):
    document, root = tmp_path / "doc.bin", tmp_path / "root.pem"
    document.write_bytes(fake.document(at=when, fault="P-7.structure"))
    root.write_bytes(fake.root_pem)
    if verb == "verify":
        options = [*options, "--any-enclave", "--root", root, "--at", when.isoformat()]
    code, out, err = tool(verb, document, *options)
    assert code == expected
    assert ("'measurement_log' at offset" in out) == (expected == 0)
    assert ("payload.unknown_key" in out) == (expected == 0 and verb == "verify")
    assert ("use --unknown-fields warn" in " ".join(err.split())) == (expected == 3)


@pytest.mark.parametrize("kind", ["enclave", "nitrotpm"])
@pytest.mark.parametrize(
    ("partition", "options", "expected"),
    [
        ("aws", [], 6),
        ("aws", ["--consistency", "refuse"], 6),
        ("aws", ["--consistency", "warn"], 0),
        ("aws-us-gov", [], 0),
        ("aws-us-gov", ["--consistency", "warn"], 0),
        ("aws-us-gov", ["--consistency", "refuse"], 6),
        ("aws-us-gov", ["--consistency", "off"], 2),
        ("aws-us-gov", ["--consistency", ""], 2),
    ],
)
def test_x24_consistency_rejects_or_warns(tool, when, tmp_path, kind, partition, options, expected):
    nitro = FakeNitro(seed=b"tests", partition=partition)
    document, root = tmp_path / "doc.bin", tmp_path / "root.pem"
    document.write_bytes(nitro.document(at=when, kind=kind, fault="X-24.leaf-suffix"))
    root.write_bytes(nitro.root_pem)
    options = [*options, "--kind", kind, "--root", root, "--at", when.isoformat()]
    code, out, err = tool("verify", document, *options)
    assert code == expected
    assert ("consistency.module_id" in out) == (expected == 0)
    assert ("consistency.module_id" in err) == (expected == 6)
    assert "in us-east-1" in out or partition == "aws" or expected
