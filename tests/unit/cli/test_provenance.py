"""``policy statement`` and ``--provenance``: exactly one signer, shown in every result."""

import json

import pytest

from conftest import FIXTURES
from nitro_attest.measurements import measure
from nitro_attest.provenance import PREDICATE_TYPE, make_statement
from support.statements import KEY, OTHER_KEY, compact, pem_of, signed, statement

APP = FIXTURES / "vectors/eif/synthetic.eif"
OTHER = FIXTURES / "vectors/eif/synthetic-one-ramdisk.eif"


@pytest.fixture
def desk(fake, when, tmp_path, monkeypatch):
    """Files in the working folder, and the options that verify the document among them."""
    monkeypatch.chdir(tmp_path)
    files = {
        "doc.bin": fake.document(at=when, pcrs=measure(APP).measurements()),
        "other.bin": fake.document(at=when, pcrs=measure(OTHER).measurements()),
        "root.pem": fake.root_pem,
        "key.pem": pem_of(KEY),
        "other.pem": pem_of(OTHER_KEY),
        "app.json": signed(make_statement(APP)).encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return ("--root", "root.pem", "--at", when.isoformat())


BY_KEY = ("--provenance", "app.json", "--signer-key", "key.pem")


def test_the_statement_is_printed_whole_or_as_the_predicate_alone(tool):
    code, out, err = tool("policy", "statement", APP, "--builder", "https://ci.example/42")
    assert (code, err) == (0, "")
    assert json.loads(out) == make_statement(APP, builder={"id": "https://ci.example/42"})
    code, out, _ = tool("policy", "statement", APP, "--predicate-only")
    assert code == 0
    assert json.loads(out) == make_statement(APP)["predicate"]


def test_what_is_no_image_is_rejected_with_the_code_of_images(tool, desk):
    code, out, err = tool("policy", "statement", "key.pem")
    assert (code, out) == (8, "")
    assert err.startswith("REJECTED eif.")
    assert tool("policy", "statement", APP, "--max-size", "5")[0] == 8


def test_a_result_names_the_signer_and_the_subject(tool, desk):
    code, out, err = tool("verify", "doc.bin", *desk, *BY_KEY)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("VERIFIED (measurements match image signed by the key of SHA-256 ")
    assert any(line.startswith("  provenance   signed by the key of SHA-256 ") for line in lines)
    assert any(line.startswith("  statement    about synthetic.eif (SHA-256 ") for line in lines)
    code, out, _ = tool("verify", "doc.bin", *desk, *BY_KEY, "--json")
    found = json.loads(out)
    assert found["attestation"]["matched"].startswith("image signed by the key of SHA-256 ")
    assert found["provenance"]["statement"]["predicate_type"] == PREDICATE_TYPE
    assert found["provenance"]["signer"]["identity"] is None
    code, out, _ = tool("verify", "doc.bin", *desk, "--any-enclave", "--json")
    assert "provenance" not in json.loads(out)


def test_another_image_is_rejected(tool, desk):
    code, _, err = tool("verify", "other.bin", *desk, *BY_KEY)
    assert code == 6
    assert "policy.pcr_mismatch" in err


def test_the_other_requirements_are_added(tool, desk):
    assert tool("verify", "doc.bin", *desk, *BY_KEY, "--eif", APP)[0] == 0
    code, _, err = tool("verify", "doc.bin", *desk, *BY_KEY, "--eif", OTHER)
    assert (code, err.startswith("nitro-attest: provenance.subject: ")) == (2, True)
    assert tool("verify", "doc.bin", *desk, *BY_KEY, "--pcr", f"3={'ab' * 48}")[0] == 6
    code, _, err = tool("verify", "doc.bin", *desk, *BY_KEY, "--pcr", f"0={'ab' * 48}")
    assert (code, err.startswith("nitro-attest: policyfile.duplicate: ")) == (2, True)
    assert tool("verify", "doc.bin", *desk, *BY_KEY, "--require-unsigned")[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--provenance", "app.json"),
        ("--provenance", "app.json", "--issuer", "https://id.example"),
        ("--provenance", "app.json", "--signer-identity", "a"),
        (*BY_KEY, "--signer-identity", "a", "--issuer", "b"),
        (*BY_KEY, "--issuer", "b"),
        (*BY_KEY, "--signer-repository", "b"),
        (*BY_KEY, "--signer-ref", "b"),
        (*BY_KEY, "--sigstore-root", "root.pem"),
        ("--signer-key", "key.pem"),
        ("--predicate-type", "x", "--eif", str(APP)),
        (*BY_KEY, "--policy", "app.json"),
        (*BY_KEY, "--any-enclave"),
        (*BY_KEY, "--kind", "nitrotpm"),
        (*BY_KEY, "--signer-key", "other.pem"),
        ("--provenance", "app.json", "--signer-identity", "", "--issuer", "b"),
        ("--provenance", "app.json", "--signer-identity", "a", "--issuer", ""),
    ],
)
def test_anything_but_one_signer_is_a_usage_error(tool, desk, options):
    code, out, err = tool("verify", "doc.bin", *desk, *options)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: ")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--provenance", "app.json", "--signer-key", "other.pem"), "provenance.signature"),
        (("--provenance", "app.json", "--signer-key", "app.json"), "provenance.signer"),
        (("--provenance", "root.pem", "--signer-key", "key.pem"), "provenance.format"),
        ((*BY_KEY, "--predicate-type", "x"), "provenance.predicate_type"),
    ],
)
def test_a_statement_that_is_not_the_signers_exits_with_2(tool, desk, options, code):
    exit_code, out, err = tool("verify", "doc.bin", *desk, *options)
    assert (exit_code, out) == (2, "")
    assert err.startswith(f"nitro-attest: {code}: ")


def test_a_statement_of_another_type_is_read_if_it_is_named(tool, desk, tmp_path):
    values = [value.hex() for value in measure(APP).measurements().values()]
    other = statement(of={"registers": values}, predicateType="https://other.example/v1")
    (tmp_path / "foreign.json").write_text(signed(other))
    options = ("--provenance", "foreign.json", "--signer-key", "key.pem")
    named = (*options, "--predicate-type", "https://other.example/v1")
    assert tool("verify", "doc.bin", *desk, *named)[0] == 0
    code, _, err = tool("verify", "doc.bin", *desk, *options)
    assert code == 2
    assert "pass --predicate-type" in err


def test_a_bundle_names_repository_commit_and_workflow(tool, desk, tmp_path):
    pytest.importorskip("sigstore", reason="the extra provenance is not installed")
    from support import sigstore_instance as instance

    (tmp_path / "bundle.json").write_text(compact(instance.bundle(make_statement(APP))))
    (tmp_path / "sigstore.json").write_text(instance.trusted_root())
    options = (
        *("--provenance", "bundle.json", "--sigstore-root", "sigstore.json"),
        *("--signer-identity", instance.IDENTITY, "--issuer", instance.ISSUER),
        *("--signer-repository", instance.REPOSITORY, "--signer-ref", "refs/heads/main"),
    )
    code, out, err = tool("verify", "doc.bin", *desk, *options)
    assert (code, err) == (0, "")
    built = f"built by {instance.REPOSITORY} at commit {instance.COMMIT}"
    assert out.startswith(f"VERIFIED (measurements match image {built})\n")
    assert f"\n  provenance   {built}\n" in out
    assert f"\n  built from   refs/heads/main by {instance.IDENTITY}\n" in out
    assert f"\n  signer       {instance.IDENTITY} ({instance.ISSUER})\n" in out
    code, out, _ = tool("verify", "doc.bin", *desk, *options, "--json")
    assert json.loads(out)["provenance"]["signer"]["commit"] == instance.COMMIT


def test_a_key_policy_takes_the_measurements_of_the_statement(tool, desk):
    make = ("kms-policy", "make", "--condition-only")
    code, out, _ = tool(*make, *BY_KEY)
    assert code == 0
    assert measure(APP).pcr0.hex() in out
    assert out == tool(*make, "--eif", APP)[1]
    assert tool(*make, "--provenance", "app.json", "--signer-key", "other.pem")[0] == 2


def test_fetch_rejects_a_statement_before_it_asks_an_enclave(tool, desk):
    options = ("--provenance", "app.json", "--signer-key", "other.pem")
    code, _, err = tool("fetch", "--endpoint", "unix:/none", *options)
    assert code == 2
    assert err.startswith("nitro-attest: provenance.signature: ")
