"""``nitro-attest crl``, and ``--crl`` of the verbs that verify (R-1 to R-7)."""

import json

import pytest

LISTS = ("root", "regional")


@pytest.fixture
def desk(tmp_path, fake, fake_document, when):
    """A folder with a document, its root, and both revocation lists."""
    (tmp_path / "doc.bin").write_bytes(fake_document)
    (tmp_path / "root.pem").write_bytes(fake.root_pem)
    (tmp_path / "crls").mkdir()
    for issuer in LISTS:
        data = fake.revocation_list(issuer, at=when)
        (tmp_path / f"crls/{issuer}.crl").write_bytes(data)
    revoking = fake.revocation_list("root", at=when, fault="R-7.key-compromise")
    (tmp_path / "revoking.crl").write_bytes(revoking)
    return tmp_path


@pytest.fixture
def verify(tool, desk, clock):
    def call(*arguments):
        return tool("verify", desk / "doc.bin", "--root", desk / "root.pem", *arguments)

    return call


def test_without_lists_the_result_says_that_revocation_was_not_checked(verify):
    code, out, _ = verify()
    assert code == 0
    assert "revocation (CRLs)" in out


def test_r6_a_folder_of_current_lists_is_used_and_shown(verify, desk):
    code, out, _ = verify("--crl", desk / "crls")
    assert code == 0
    assert out.count("not revoked by revocation list 1 of ") == 2
    assert "revocation (CRLs)" not in out


def test_r6_a_missing_list_rejects_and_names_the_address(verify, desk):
    code, _, err = verify("--crl", desk / "crls/root.crl")
    assert code == 4
    assert err.startswith("REJECTED cert.revocation_unknown: ")
    assert "http://crl.invalid/crl/zonal.crl" in err


def test_r7_a_revoked_certificate_rejects(verify, desk):
    code, _, err = verify("--crl", desk / "crls", "--crl", desk / "revoking.crl")
    assert code == 4
    assert "reason: keyCompromise" in err


def test_r3_the_maximum_age_needs_lists_and_is_checked(verify, desk):
    assert verify("--crl-max-age", "1d")[0] == 2
    assert verify("--crl", desk / "crls", "--crl-max-age", "1s")[0] == 0
    other = json.loads(verify("--crl", desk / "crls", "--json")[1])
    assert len(other["attestation"]["revocation_lists"]) == 2


def test_r1_a_file_that_is_no_list_is_a_usage_error(verify, desk):
    code, _, err = verify("--crl", desk / "doc.bin")
    assert code == 2
    assert "input.crl" in err
    assert "doc.bin" in err


def test_needed_prints_each_address_once(tool, desk):
    code, out, _ = tool("crl", "needed", desk / "doc.bin", desk / "doc.bin")
    assert (code, out.split()) == (
        0,
        ["http://crl.invalid/crl/regional.crl", "http://crl.invalid/crl/zonal.crl"],
    )


def test_needed_rejects_what_is_no_document(tool, desk):
    code, out, err = tool("crl", "needed", desk / "doc.bin", desk / "root.pem")
    assert (code, out) == (3, "")
    assert "root.pem" in err


def test_show_marks_a_list_as_unverified(tool, desk):
    code, out, _ = tool("crl", "show", desk / "revoking.crl")
    assert code == 0
    assert out.startswith("UNVERIFIED: ")
    assert "  revoked      1 certificate\n" in out
    shown = json.loads(tool("crl", "show", desk / "revoking.crl", "--json")[1])
    assert (shown["verified"], shown["list"]["entries"]) == (False, 1)


def test_show_of_a_list_without_a_next_update(tool, desk, fake, when):
    data = fake.revocation_list("root", at=when, fault="R-3.no-next-update")
    (desk / "endless.crl").write_bytes(data)
    assert "no time given" in tool("crl", "show", desk / "endless.crl")[1]


def test_show_rejects_what_is_no_list(tool, desk):
    code, _, err = tool("crl", "show", desk / "doc.bin")
    assert (code, err.startswith("REJECTED input.crl: ")) == (2, True)
