"""``nitro-attest report``: verifies as ``verify`` does, and writes the report of any result."""

import base64
import json
import re

import pytest

from nitro_attest import parse_unverified

NONCE = b"n" * 32


@pytest.fixture
def desk(tmp_path, fake, when):
    """A folder with a document, a broken one, a root and revocation lists."""
    document = fake.document(at=when, nonce=NONCE)
    (tmp_path / "doc.bin").write_bytes(document)
    (tmp_path / "broken.bin").write_bytes(document[:-1])
    (tmp_path / "instance.bin").write_bytes(fake.document(at=when, kind="nitrotpm"))
    (tmp_path / "root.pem").write_bytes(fake.root_pem)
    (tmp_path / "crls").mkdir()
    for issuer in ("root", "regional"):
        data = fake.revocation_list(issuer, at=when)
        (tmp_path / f"crls/{issuer}.crl").write_bytes(data)
    return tmp_path


@pytest.fixture
def report(tool, desk, clock):
    """Runs the verb; returns exit code, stdout, stderr and the report."""

    def call(name, *options, file="report.html"):
        output = desk / file
        code, out, err = tool(
            "report", desk / name, "-o", output, "--root", desk / "root.pem", *options
        )
        return code, out, err, output.read_text(encoding="utf-8") if output.exists() else None

    return call


def values_in(html):
    return json.loads(re.search('type="application/json" id="report">(.*?)</script>', html)[1])


def test_a_verified_document(report, desk):
    pcr = parse_unverified((desk / "doc.bin").read_bytes()).pcrs[0].hex()
    code, out, err, html = report("doc.bin", "--pcr", f"0={pcr}", "--nonce", NONCE.hex())
    assert (code, err) == (0, "")
    assert out.startswith("VERIFIED (measurements match PCR0)\n")
    assert f"  report       {desk / 'report.html'}\n" in out
    assert "<h1>VERIFIED</h1>" in html
    assert values_in(html)["verified"] is True


def test_markdown(report):
    code, _, _, markdown = report("doc.bin", "--any-enclave", file="report.md")
    assert code == 0
    assert markdown.startswith("# AUTHENTIC, ANY ENCLAVE\n")


@pytest.mark.parametrize(
    ("name", "options", "code", "error"),
    [
        ("broken.bin", (), 3, "cbor.truncated"),
        ("doc.bin", ("--partition", "aws"), 4, "chain.untrusted_root"),
        ("doc.bin", ("--pcr", f"0={'ab' * 48}"), 6, "policy.pcr_mismatch"),
        ("instance.bin", (), 3, "payload.kind"),
        ("doc.bin", ("--at", "2036-01-01T00:00:00Z"), 4, "cert.expired"),
    ],
)
def test_a_rejected_document_has_a_report_and_the_exit_code_of_verify(
    tool, desk, clock, name, options, code, error
):
    root = () if "--partition" in options else ("--root", desk / "root.pem")
    document, output = desk / name, desk / "report.html"
    verified = tool("verify", document, *root, *options)
    written = tool("report", document, "-o", output, *root, *options)
    assert written[0] == verified[0] == code
    assert written[1] == ""
    assert written[2].splitlines()[0] == f"REJECTED {error}: {document}"
    html = output.read_text(encoding="utf-8")
    assert f"<h1>REJECTED {error}</h1>" in html
    assert values_in(html)["verified"] is False


def test_a_document_that_cannot_be_decoded_has_a_report_without_bytes(tool, desk):
    (desk / "text").write_text("not hex")
    result = tool("report", desk / "text", "--format", "hex", "-o", desk / "r.html")
    assert result[0] == 3
    html = (desk / "r.html").read_text()
    assert "<h1>REJECTED document.encoding</h1>" in html
    assert values_in(html)["document"] is None


def test_an_instance_and_an_archived_document(report, desk):
    code, _, _, html = report("instance.bin", "--kind", "nitrotpm", "--any-instance")
    assert code == 0
    assert "<h1>AUTHENTIC, ANY INSTANCE</h1>" in html
    (desk / "doc.txt").write_text(base64.b64encode((desk / "doc.bin").read_bytes()).decode())
    code, _, _, html = report("doc.txt", "--at", "document")
    assert code == 0
    assert "<h1>AUTHENTIC AT SIGNING TIME</h1>" in html


def test_revocation_is_not_checked_until_lists_are_given(report, desk):
    checks = {c["name"]: c for c in values_in(report("doc.bin")[3])["checks"]}
    assert checks["Revocation"]["status"] == "not checked"
    html = report("doc.bin", "--crl", desk / "crls")[3]
    checks = {c["name"]: c for c in values_in(html)["checks"]}
    assert checks["Revocation"]["status"] == "passed"
    assert "revocation list 1 of " in checks["Revocation"]["detail"]
    rejected = report("doc.bin", "--crl", desk / "crls", "--nonce", "00" * 16)[3]
    checks = {c["name"]: c for c in values_in(rejected)["checks"]}
    assert checks["Revocation"]["status"] == "passed"


def test_the_verification_time_of_a_rejected_document_is_shown(report):
    html = report("doc.bin", "--pcr", f"0={'ab' * 48}")[3]
    assert "Verification time: not known" not in html


@pytest.mark.parametrize(
    "options",
    [
        ("--max-age", "1m", "--at", "document"),
        ("--pcr", "0=ab"),
        ("--crl-max-age", "1d"),
        ("--policy", "no-such-file"),
        ("--any-instance",),
    ],
)
def test_a_usage_error_writes_nothing(report, options):
    code, out, _, html = report("doc.bin", *options)
    assert (code, out, html) == (2, "", None)


def test_a_report_never_replaces_the_document(tool, desk):
    document = desk / "doc.md"
    document.write_text((desk / "doc.bin").read_bytes().hex())
    before = document.read_bytes()
    code, _, err = tool("report", document, "-o", document)
    assert code == 2
    assert "would replace it" in err
    assert document.read_bytes() == before


def test_an_unreadable_document_and_an_unknown_form_write_nothing(report):
    assert report("no-such-file")[::3] == (2, None)
    code, _, err, written = report("doc.bin", file="report.pdf")
    assert (code, written) == (2, None)
    assert "expected FILE.html or FILE.md, found 'report.pdf'" in err


def test_a_policy_that_requires_a_nonce_without_one_is_a_usage_error(report, desk):
    (desk / "policy.json").write_text(
        json.dumps(
            {
                "schema": "nitro-attest-policy/1",
                "measurements": [{"pcrs": {"PCR0": "ab" * 48}}],
                "require_nonce": True,
            }
        )
    )
    assert report("doc.bin", "--policy", desk / "policy.json")[::3] == (2, None)


def test_a_report_that_cannot_be_written_has_an_exit_code_of_its_own(report):
    code, out, err, _ = report("doc.bin", file="missing/report.html")
    assert (code, out) == (74, "")
    assert err.startswith("nitro-attest: cannot write the result: ")
