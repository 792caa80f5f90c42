"""``nitro-attest verify`` with policies, policy files and images, for both kinds of document."""

import json
from datetime import datetime, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from conftest import FIXTURES
from nitro_attest.testing import FakeNitro
from nitro_attest.testing.eif import build_eif, self_signed_certificate

IMAGE = FIXTURES / "vectors/eif/synthetic.eif"
OTHER_IMAGE = FIXTURES / "vectors/eif/synthetic-one-ramdisk.eif"
FILES = FIXTURES / "vectors/policy"
ONES = "11" * 48
ZEROS = "00" * 48
SIGNER = json.loads((FILES / "pcr-input.json").read_text())["PCR"]


@pytest.fixture(scope="module")
def pcrs():
    """The measurements of IMAGE, by index, as hex."""
    vectors = json.loads((FIXTURES / "vectors/measurements.json").read_text())["eif"]
    [vector] = [item for item in vectors if item["id"] == "two-ramdisks"]
    return {int(index): value for index, value in vector["pcrs"].items()}


@pytest.fixture
def verify(tool, fake, when, pcrs, tmp_path):
    """Verifies a document of an enclave that runs IMAGE; options can change its content."""

    def call(*arguments, kind="enclave", debug=False, more=None, at=when, **options):
        root, document = tmp_path / "root.pem", tmp_path / "doc.bin"
        root.write_bytes(fake.root_pem)
        measured = {4: ONES} if kind == "nitrotpm" else {} if debug else pcrs
        values = {i: bytes.fromhex(v) for i, v in {**measured, **(more or {})}.items()}
        document.write_bytes(fake.document(at=when, kind=kind, debug=debug, pcrs=values, **options))
        return tool("verify", document, "--root", root, "--at", at.isoformat(), *arguments)

    return call


def first(text):
    return text.splitlines()[0]


@pytest.mark.parametrize(
    ("file", "options", "matched"),
    [
        ("build-enclave.txt", [], "PCR0, PCR1, PCR2"),
        ("eif_build.txt", [], "PCR0, PCR1, PCR2"),
        ("assigned.txt", [], "PCR0, PCR1, PCR2"),
        ("hex-first.pcrs", [], "PCR0, PCR1, PCR2"),
        ("describe-enclaves.json", ["--enclave-name", "app_1"], "PCR0, PCR1, PCR2"),
        ("describe-eif.json", [], "PCR0, PCR1, PCR2, PCR8"),
        ("sign-eif.json", [], "PCR0, PCR1, PCR2, PCR8"),
        ("pcr-signing-certificate.json", [], "PCR8"),
        ("pcr-input.json", ["--pcr-index", "8"], "PCR8"),
    ],
)
def test_policy_files_of_every_form_are_read(verify, file, options, matched):
    code, out, _ = verify("--policy", FILES / file, *options, more={8: SIGNER})
    assert (code, first(out)) == (0, f"VERIFIED (measurements match {matched})")


def test_l8_the_name_of_the_set_that_matched_is_shown(verify):
    options = ["--policy", FILES / "policy.json", "--nonce", "ab" * 16]
    code, out, _ = verify(*options, nonce=b"\xab" * 16)
    assert (code, first(out)) == (0, "VERIFIED (measurements match v1.4.3)")


def test_a_policy_that_requires_a_nonce_needs_one_in_the_call(verify):
    code, _, err = verify("--policy", FILES / "policy.json")
    assert code == 2
    assert first(err).startswith("REJECTED input.nonce")


def test_a_different_image_is_rejected_with_every_difference(verify):
    code, out, err = verify("--policy", FILES / "build-enclave.txt", more={0: ONES, 2: ONES})
    assert (code, out) == (6, "")
    assert err.count("policy.pcr_mismatch: PCR") == 2


def test_l5_a_rejection_shows_the_weaknesses_of_the_policy(verify):
    options = ["--policy", FILES / "describe-enclaves.json", "--enclave-name", "app_2"]
    code, _, err = verify(*options, debug=True)
    assert code == 6
    assert "warning: policy.debug_flag" in err


@pytest.mark.parametrize("allowed_by", ["file", "option", "both"])
def test_debug_mode_must_be_allowed_by_both_file_and_option(verify, tmp_path, allowed_by):
    form = {
        "schema": "nitro-attest-policy/1",
        "measurements": [{"pcrs": {"PCR8": ONES}}],
        "allow_debug": allowed_by != "option",
    }
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(form))
    options = ["--policy", path, *([] if allowed_by == "file" else ["--allow-debug"])]
    code, _, err = verify(*options, debug=True, more={8: ONES})
    assert code == (0 if allowed_by == "both" else 6)
    hint = 'use --allow-debug; a policy file must have "allow_debug": true too'
    assert (hint in err) == (allowed_by != "both")
    assert ("the policy does not allow it" in err) == (allowed_by != "both")


def test_debug_mode_needs_only_the_option_if_the_file_has_no_key_for_it(verify, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text(f"PCR8={ONES}\n")
    assert verify("--policy", path, debug=True, more={8: ONES})[0] == 6
    assert verify("--policy", path, "--allow-debug", debug=True, more={8: ONES})[0] == 0


def test_the_smaller_maximum_age_applies(verify, tmp_path, pcrs):
    form = {
        "schema": "nitro-attest-policy/1",
        "measurements": [{"pcrs": {"PCR0": pcrs[0]}}],
        "max_age_seconds": 0.5,
    }
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(form))
    later = datetime(2026, 3, 1, 12, 0, 2, tzinfo=timezone.utc)
    assert verify("--policy", path, "--max-age", "1h", at=later)[0] == 6
    assert verify("--policy", path, "--max-age", "1h")[0] == 0


def test_a_document_is_verified_against_an_image_file(verify):
    code, out, err = verify("--eif", IMAGE)
    assert (code, first(out), err) == (0, "VERIFIED (measurements match PCR0, PCR1, PCR2)", "")
    code, _, err = verify("--eif", OTHER_IMAGE)
    assert code == 6
    assert first(err).startswith("REJECTED policy.pcr_mismatch")


def test_pins_are_added_to_every_set(verify, pcrs):
    policy = ["--policy", FILES / "build-enclave.txt"]
    assert verify(*policy, "--pcr", f"16={ONES}", more={16: ONES})[0] == 0
    assert verify(*policy, "--pcr", f"16={ONES}")[0] == 6
    assert verify(*policy, "--eif", IMAGE, "--pcr", f"PCR0={pcrs[0]}")[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--policy", FILES / "build-enclave.txt", "--eif", OTHER_IMAGE],
        ["--policy", FILES / "build-enclave.txt", "--pcr", f"0={ONES}"],
        ["--eif", IMAGE, "--pcr", f"0={ONES}"],
        ["--pcr", f"8={ONES}", "--require-unsigned"],
    ],
)
def test_contradictory_pins_are_a_usage_error(verify, options):
    code, out, err = verify(*options)
    assert (code, out) == (2, "")
    assert "policyfile.duplicate" in err
    assert "has two expected values" in err


def test_l4_an_unsigned_image_can_be_required(verify):
    options = ["--eif", IMAGE, "--require-unsigned"]
    code, out, _ = verify(*options)
    assert (code, first(out)) == (0, "VERIFIED (measurements match PCR0, PCR1, PCR2, PCR8)")
    assert verify("--eif", IMAGE, more={8: ONES})[0] == 0
    assert verify(*options, more={8: ONES})[0] == 6


def test_s3_an_expired_image_signature_is_only_a_warning(verify, tmp_path):
    key = ec.derive_private_key(7, ec.SECP384R1())
    past = [datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2001, 2002)]
    certificate = self_signed_certificate(key, not_before=past[0], not_after=past[1])
    image = tmp_path / "signed.eif"
    image.write_bytes(
        build_eif(
            kernel=b"k",
            cmdline=b"c",
            ramdisks=[b"r"],
            metadata={},
            signing_key=key,
            certificate_pem=certificate,
        )
    )
    code, out, err = verify("--eif", image)
    assert (code, out) == (6, "")
    assert first(err).startswith("warning: eif.cert_expired")


def test_kind_nitrotpm_verifies_an_instance(verify):
    code, out, _ = verify("--kind", "nitrotpm", kind="nitrotpm")
    assert (code, first(out)) == (0, "AUTHENTIC, ANY INSTANCE (no measurements were required)")
    assert "policy.none" in out
    code, out, _ = verify("--kind", "nitrotpm", "--any-instance", kind="nitrotpm")
    assert code == 0
    assert "policy.none" not in out
    code, out, _ = verify("--kind", "nitrotpm", "--pcr", f"4={ONES}", kind="nitrotpm")
    assert (code, first(out)) == (0, "VERIFIED (measurements match PCR4)")
    assert verify("--kind", "nitrotpm", "--pcr", f"4={ZEROS}", kind="nitrotpm")[0] == 6


def test_t6_an_instance_is_verified_against_computed_pcrs(verify, tmp_path):
    measured = {"PCR4": ONES, "PCR7": ONES, "PCR12": ZEROS}
    path = tmp_path / "pcrs.json"
    path.write_text(json.dumps({"Measurements": {"HashAlgorithm": "SHA384 { ... }", **measured}}))
    options = ["--kind", "nitrotpm", "--policy", path]
    code, out, _ = verify(*options, kind="nitrotpm", more={7: ONES, 12: ZEROS})
    assert (code, first(out)) == (0, "VERIFIED (measurements match PCR4, PCR7, PCR12)")
    assert verify(*options, kind="nitrotpm", more={7: ZEROS, 12: ZEROS})[0] == 6
    answer = verify(*options, "--json", kind="nitrotpm", more={7: ONES, 12: ZEROS})[1]
    assert json.loads(answer)["attestation"]["document"]["nitrotpm_pcrs"]["4"] == ONES


def test_t1_each_kind_rejects_documents_of_the_other(verify):
    code, _, err = verify("--kind", "nitrotpm", "--any-instance")
    assert code == 3
    assert first(err).startswith("REJECTED payload.kind")
    assert "--kind" in err
    assert verify("--any-enclave", kind="nitrotpm")[0] == 3


@pytest.mark.parametrize("file", ["build-enclave.txt", "policy.json", "describe-eif.json"])
def test_t2_an_enclave_policy_is_rejected_for_instances(verify, file):
    code, _, err = verify("--kind", "nitrotpm", "--policy", FILES / file, kind="nitrotpm")
    assert code == 2
    assert "policyfile.format" in err


@pytest.mark.parametrize(
    "options",
    [
        ["--policy", ""],
        ["--policy", "no-such-file"],
        ["--policy", FIXTURES],
        ["--policy", IMAGE],
        ["--policy", FILES / "pcr-input.json"],
        ["--policy", FILES / "pcr-input.json", "--pcr-index", "32"],
        ["--policy", FILES / "pcr-input.json", "--pcr-index", ""],
        ["--policy", FILES / "build-enclave.txt", "--pcr-index", "0"],
        ["--policy", FILES / "build-enclave.txt", "--enclave-name", "app_1"],
        ["--policy", FILES / "build-enclave.txt", "--any-enclave"],
        ["--policy", FILES / "describe-enclaves.json"],
        ["--policy", FILES / "describe-enclaves.json", "--enclave-name", ""],
        ["--policy", FILES / "describe-enclaves.json", "--enclave-name", "app_3"],
        ["--enclave-name", "app_1"],
        ["--pcr-index", "0"],
        ["--pcr-index", "0", "--any-enclave"],
        ["--eif", ""],
        ["--eif", "no-such-file"],
        ["--eif", IMAGE, "--any-enclave"],
        ["--require-unsigned"],
        ["--require-unsigned", "--any-enclave"],
        ["--any-instance"],
        ["--kind", ""],
        ["--kind", "vm"],
        ["--kind", "nitrotpm", "--any-enclave"],
        ["--kind", "nitrotpm", "--allow-debug"],
        ["--kind", "nitrotpm", "--eif", IMAGE],
        ["--kind", "nitrotpm", "--require-unsigned"],
        ["--kind", "nitrotpm", "--pcr-index", "0"],
        ["--kind", "nitrotpm", "--enclave-name", "app_1"],
        ["--kind", "nitrotpm", "--any-instance", "--pcr", f"4={ONES}"],
        ["--pcr", f"PCR00={ONES}"],
        ["--pcr", f"PCR0={ONES}", "--pcr", f"0={ONES}"],
    ],
)
def test_a_usage_error_exits_2_and_prints_no_result(verify, options):
    code, out, err = verify(*options)
    assert (code, out) == (2, "")
    assert err


def test_a_malformed_image_exits_8(verify, tmp_path):
    path = tmp_path / "bad.eif"
    path.write_bytes(b".eif")
    code, out, err = verify("--eif", path)
    assert (code, out) == (8, "")
    assert "eif.truncated" in err


def test_a_policy_file_cannot_control_a_terminal(verify, tmp_path):
    path = tmp_path / "policy.json"
    path.write_text('{"Measurements": {"\x9b2J\u202e": 1}}')
    code, _, err = verify("--policy", path)
    assert code == 2
    assert err.isascii()


def test_an_untrusted_root_has_a_hint_to_partition(tool, tmp_path):
    path = tmp_path / "doc.bin"
    path.write_bytes(FakeNitro(seed=b"another").document())
    code, _, err = tool("verify", path, "--partition", "aws-us-gov")
    assert code == 4
    assert "--partition" in err
