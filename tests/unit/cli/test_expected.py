"""The options about warnings: which of them fail, and which may be accepted."""

import json
import re

import pytest

from conftest import ROOT
from nitro_attest.cli.expected import WARNINGS


@pytest.fixture
def verify(tool, fake, when, tmp_path):
    """Verifies a document under a custom root, of any enclave and any age."""
    document, root = tmp_path / "doc.bin", tmp_path / "root.pem"
    document.write_bytes(fake.document(at=when))
    root.write_bytes(fake.root_pem)
    options = ["--root", root, "--at", when.isoformat(), "--any-enclave"]
    return lambda *more: tool("verify", document, *options, *more)


def accept(*codes):
    return [word for code in codes for word in ("--accept-warning", code)]


def test_fail_on_warning_names_the_warnings_on_stderr(verify):
    code, out, err = verify("--fail-on-warning")
    assert code == 6
    assert err.startswith("FAILED ON WARNING freshness.unbound, root.custom: ")
    assert "--accept-warning CODE" in out
    assert out.startswith("FAILED ON WARNING freshness.unbound, root.custom\n")
    assert "AUTHENTIC" not in out


def test_a_warning_that_is_accepted_is_no_failure_but_is_shown(verify):
    code, out, err = verify("--fail-on-warning", *accept("root.custom", "freshness.unbound"))
    assert (code, err) == (0, "")
    assert "root.custom: " in out


@pytest.mark.parametrize("accepted", ["root.custom", "policy.none"])
def test_any_other_warning_still_fails(verify, accepted):
    code, _, err = verify("--fail-on-warning", *accept(accepted))
    assert code == 6
    assert "freshness.unbound" in err
    assert accepted not in err


@pytest.mark.parametrize("code", ["", "root", "root.Custom", "root.customs", "eif.crc", "*"])
def test_an_unknown_warning_is_a_usage_error(verify, code):
    assert verify("--fail-on-warning", "--accept-warning", code)[:2] == (2, "")


def test_accept_warning_alone_is_a_usage_error(verify):
    code, _, err = verify(*accept("root.custom"))
    assert code == 2
    assert "--accept-warning requires --fail-on-warning" in err


def test_json_has_the_warnings_that_it_failed_on(verify):
    code, out, err = verify("--fail-on-warning", "--json", *accept("root.custom"))
    assert code == 6
    assert json.loads(out)["failed_on"] == ["freshness.unbound"]
    assert json.loads(out)["verified"] is False
    assert json.loads(verify("--json")[1])["verified"] is True
    assert err.startswith("FAILED ON WARNING freshness.unbound: ")
    assert "failed_on" not in json.loads(verify("--json")[1])


def test_the_summary_counts_documents_that_fail_on_a_warning(tool, fake, when, tmp_path):
    (tmp_path / "root").write_bytes(fake.root_pem)
    for number, nonce in enumerate((b"n" * 16, None)):
        (tmp_path / str(number)).write_bytes(fake.document(at=when, nonce=nonce))
    options = ["--root", tmp_path / "root", "--at", when.isoformat(), "--fail-on-warning"]
    code, _, err = tool("verify", tmp_path / "0", tmp_path / "1", "absent", *options)
    assert code == 6
    assert err.splitlines()[-1] == "0 of 3 verified, 2 failed on a warning, 1 input.file"


def test_every_warning_of_a_verification_can_be_accepted():
    text = (ROOT / "docs/reference/codes.md").read_text()
    section = text.partition("## Warnings")[2].partition("\n## ")[0]
    codes = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", section, re.MULTILINE)
    assert [code for code in codes if not code.startswith("eif.")] == sorted(WARNINGS)
