"""Files that verbs read: ``-`` and pipes, one error for all, and documents in every form."""

import base64
import io
import json
import os
import subprocess
import sys
import threading

import pytest

from conftest import FIXTURES, ROOT

EIF = FIXTURES / "vectors/eif/synthetic.eif"
UKI = FIXTURES / "vectors/uki/synthetic.efi"
TOOL = [sys.executable, "-m", "nitro_attest"]


@pytest.fixture
def stdin(monkeypatch):
    """Sets the content of standard input."""

    def fill(data):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return fill


@pytest.fixture
def verify(tool, fake, when, tmp_path):
    """Verifies a fake document with options."""
    document = tmp_path / "doc.bin"
    document.write_bytes(fake.document(at=when, public_key=b"key"))

    def call(*options):
        return tool("verify", document, "--at", when.isoformat(), *options)

    return call


def test_a_root_a_key_and_a_policy_are_read_from_stdin(verify, stdin, fake, tmp_path):
    root = tmp_path / "root.pem"
    root.write_bytes(fake.root_pem)
    stdin(fake.root_pem)
    answer = json.loads(verify("--root", "-", "--json")[1])
    pcrs = answer["attestation"]["document"]["pcrs"]
    stdin(b"key")
    assert verify("--root", root, "--public-key", "-")[0] == 0
    stdin(f"PCR0={pcrs['0']}\n".encode())
    assert verify("--root", root, "--policy", "-")[1].startswith("VERIFIED (measurements match")
    stdin(b"")
    assert verify("--root", root, "--policy", "-")[0] == 2


def test_images_are_read_from_stdin(tool, stdin, verify):
    stdin(EIF.read_bytes())
    assert (
        tool("eif", "-")[1].replace("image        -", f"image        {EIF}") == tool("eif", EIF)[1]
    )
    stdin(UKI.read_bytes())
    assert tool("pcr", "uki", "-")[1] == tool("pcr", "uki", UKI)[1]
    stdin(EIF.read_bytes())
    assert verify("--eif", "-")[0] == 4  # measured; the trusted root is that of AWS
    stdin(EIF.read_bytes()[:-1])
    assert verify("--eif", "-")[0] == 8


@pytest.mark.parametrize(("less", "code"), [(0, None), (1, "eif.too_large")])
def test_f7_an_image_from_a_pipe_has_the_maximum_size(tool, stdin, less, code):
    stdin(EIF.read_bytes())
    limit = EIF.stat().st_size - less
    answer = json.loads(tool("eif", "-", "--max-size", limit, "--json")[1])
    assert answer.get("error", {}).get("code") == code


def test_f7_no_more_of_a_pipe_is_copied_than_shows_that_it_is_too_large(tool, monkeypatch):
    class Endless:
        taken = 0

        def read(self, size):
            self.taken += size
            return bytes(size)

    endless = Endless()
    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": endless}))
    assert tool("eif", "-", "--max-size", "3MiB")[0] == 8
    assert endless.taken == (3 << 20) + 1


def test_an_image_is_read_from_a_named_pipe(tool, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(EIF.read_bytes(),))
    writer.start()
    code, out, _ = tool("eif", pipe)
    writer.join()
    assert (code, out.startswith("MEASURED")) == (0, True)


def test_process_substitution_and_stdin_work_in_a_shell(tmp_path, fake, when):
    (tmp_path / "root.crl").write_bytes(fake.revocation_list("root", at=when))
    script = (
        '"$0" -m nitro_attest eif <(cat "$1") && "$0" -m nitro_attest eif - < "$1" &&'
        ' "$0" -m nitro_attest crl show - < root.crl'
    )
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, EIF], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"MEASURED") == 2


def test_a_revocation_list_for_verify_is_read_from_stdin(tmp_path):
    document = FIXTURES / "real/20250916_encl_us-east-1_tkhq_b1086cbb.bin"
    command = [*TOOL, "verify", document, "--at", "document", "--crl", "-"]
    done = subprocess.run(command, input=b"no list", capture_output=True, check=False)
    assert (done.returncode, b"input.crl: '/dev/stdin'" in done.stderr) == (2, True)


def test_without_a_temporary_folder_a_pipe_is_an_input_error(tool, stdin, monkeypatch):
    def fail():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("nitro_attest.cli.image.TemporaryFile", fail)
    stdin(EIF.read_bytes())
    code, _, err = tool("eif", "-")
    assert (code, err.splitlines()[0]) == (2, "REJECTED input.file: -")


@pytest.mark.parametrize(
    "line",
    [
        "verify FILE",
        "inspect FILE",
        "verify DOC --policy FILE",
        "verify DOC --eif FILE",
        "verify DOC --root FILE",
        "verify DOC --public-key FILE",
        "verify DOC --crl FILE",
        "verify DOC --kind nitrotpm --policy FILE",
        "verify --batch FILE",
        "eif FILE",
        "pcr certificate FILE",
        "pcr uki FILE",
        "pcr uki IMAGE --pk FILE --db FILE",
        "crl needed FILE",
        "crl show FILE",
        "kms-policy make --condition-only --document FILE",
        "kms-policy make --condition-only --policy FILE",
        "kms-policy lint FILE",
    ],
)
def test_a_file_that_cannot_be_read_has_one_error(tool, tmp_path, line):
    missing = tmp_path / "missing"
    names = {"FILE": missing, "DOC": tmp_path / "doc.bin", "IMAGE": UKI}
    arguments = [names.get(word, word) for word in line.split()]
    code, out, err = tool(*arguments)
    assert (code, out) == (2, "")
    assert "input.file" in err
    assert f"cannot read '{missing}': No such file or directory" in err
    code, out, err = tool(*["" if word == missing else word for word in arguments])
    assert (code, out) == (2, "")
    assert "the value is empty" in err


def test_several_roots_are_trusted_at_once(verify, fake, tmp_path):
    """During a rotation, a document may be under the old root or the new one."""
    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    old.write_bytes((ROOT / "src/nitro_attest/verification/aws_roots/aws.pem").read_bytes())
    new.write_bytes(fake.root_pem)
    for roots in ([new], [old, new], [new, old], [new, new]):
        options = [part for root in roots for part in ("--root", root)]
        assert verify(*options)[0] == 0
    code, _, err = verify("--root", old, "--root", old)
    assert (code, "chain.untrusted_root" in err) == (4, True)
    assert "trusted roots: aws" in err


def test_one_root_that_is_not_pem_is_named(verify, fake, tmp_path):
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    good.write_bytes(fake.root_pem)
    bad.write_bytes(fake.root_pem * 2)
    code, out, err = verify("--root", good, "--root", bad)
    assert (code, out) == (2, "")
    assert "bad.pem: trusted root: expected exactly one certificate, found 2" in err
    code, _, err = verify("--root", good, "--partition", "aws")
    assert (code, "repeat --root" in err) == (2, True)


@pytest.fixture
def wrapped(fake, when, tmp_path):
    """A document in JSON, beside another member, and the options to verify it."""
    document, root = tmp_path / "answer.json", tmp_path / "root.pem"
    text = base64.b64encode(fake.document(at=when)).decode()
    document.write_text(json.dumps({"attestation": text, "id": "7"}))
    root.write_bytes(fake.root_pem)
    return document, ["--root", root, "--at", when.isoformat()]


def test_the_form_of_a_document_is_said_on_stderr_and_in_json(tool, wrapped):
    document, options = wrapped
    note = f"note: {document}: read as JSON member attestation, base64\n"
    code, out, err = tool("verify", document, *options)
    assert (code, out.startswith("AUTHENTIC"), err) == (0, True, note)
    for verb in (["verify", *options], ["inspect"]):
        answer = json.loads(tool(*verb, document, "--json")[1])
        assert answer["source"] == str(document)
        assert answer["read_as"] == "JSON member attestation, base64"
    rejected = json.loads(tool("verify", document, "--json")[1])
    assert (rejected["verified"], rejected["read_as"]) == (False, answer["read_as"])


def test_a_plain_form_is_not_said(tool, fake, when, tmp_path):
    document = tmp_path / "doc.hex"
    document.write_text(fake.document(at=when).hex())
    code, out, err = tool("inspect", document, "--json")
    assert (code, err, "read_as" in json.loads(out)) == (0, "", False)


def test_the_member_is_named_where_there_are_two_documents(tool, wrapped):
    document, options = wrapped
    answer = json.loads(document.read_text())
    document.write_text(json.dumps(answer | {"old": answer["attestation"]}))
    code, out, err = tool("verify", document, *options)
    assert (code, out) == (3, "")
    assert "found ['attestation', 'old']; name its member with --json-field" in err
    for verb in (
        ["verify", *options],
        ["inspect"],
        ["crl", "needed"],
        ["kms-policy", "make", "--condition-only", *options, "--document"],
    ):
        assert tool(*verb, document, "--json-field", "attestation")[0] == 0
        assert tool(*verb, document, "--json-field", "id")[0] == 3
        assert tool(*verb, document, "--json-field", "")[0] == 2
    code, _, err = tool("inspect", document, "--json-field", "old", "--format", "raw")
    assert (code, "--json-field cannot be combined with the form raw" in err) == (2, True)


def test_a_batch_reads_every_form_and_says_so_in_json(tool, wrapped, tmp_path):
    document, options = wrapped
    text = json.loads(document.read_text())["attestation"]
    batch = tmp_path / "batch"
    lines = [{"document": f"data:;base64,{text}"}, {"document": {"file": str(document)}}]
    batch.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, _ = tool("verify", "--batch", batch, *options, "--json")
    found = [json.loads(line)["read_as"] for line in out.splitlines()]
    assert (code, found) == (0, ["data: URL, base64", "JSON member attestation, base64"])


def test_a_name_in_json_cannot_control_a_terminal(tool, wrapped):
    document, _ = wrapped
    text = json.loads(document.read_text())["attestation"]
    document.write_text(json.dumps({"\x1b[2J": text}))
    assert "read as JSON member \\x1b[2J, base64" in tool("inspect", document)[2]
