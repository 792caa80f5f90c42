"""Documents of whole EC2 instances: verified as such, and never as an enclave's (T-1 to T-5)."""

import hashlib
from datetime import timedelta

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    Attestation,
    FormatError,
    InputError,
    MeasurementSet,
    NitroTpmAttestation,
    NitroTpmDocument,
    NitroTpmMeasurementSet,
    NitroTpmPolicy,
    NitroTpmVerifier,
    Policy,
    TrustedRoots,
    Verifier,
    parse_unverified,
    verify,
    verify_nitrotpm,
)
from nitro_attest._internal.pcrs import SECURE_BOOT_OFF_PCR7
from nitro_attest.testing import FakeNitro
from support.errors import code_of, warning_codes

ONES = b"\1" * 48


@pytest.fixture
def instance(fake, when):
    return fake.document(at=when, kind="nitrotpm", nonce=b"n" * 16)


@pytest.fixture
def judged(fake, when):
    return {"root_pem": fake.root_pem, "at": when}


def test_an_instances_document_is_verified_as_one(instance, judged):
    result = verify_nitrotpm(instance, **judged, nonce=b"n" * 16)
    assert isinstance(result, NitroTpmAttestation)
    assert isinstance(result.document, NitroTpmDocument)
    assert sorted(result.nitrotpm_pcrs) == list(range(24))
    assert result.module_id == f"{result.instance_id}-tpm0000000000000000"
    assert warning_codes(result) == ["policy.none", "root.custom"]
    assert set(result.to_dict()["document"]["nitrotpm_pcrs"]) == {str(i) for i in range(24)}


def test_t1_every_genuine_instance_document_verifies_as_one_and_only_so(corpus):
    instances = [(entry, data) for entry, data in corpus if entry["kind"] == "nitrotpm"]
    assert instances
    for entry, document in instances:
        result = verify_nitrotpm(document, at="document")
        assert result.module_id == entry["module_id"]
        assert result.region == entry["region"]
        assert code_of(verify, document, at="document") == "payload.kind"


def test_t1_every_genuine_enclave_document_is_refused_as_an_instance(corpus):
    for entry, document in corpus:
        if entry["expect"] == "genuine" and entry["kind"] == "enclave":
            assert code_of(verify_nitrotpm, document, at="document") == "payload.kind"


def test_t1_results_of_the_two_kinds_share_no_attribute_for_pcrs(fake, when, instance, judged):
    of_instance = verify_nitrotpm(instance, **judged)
    of_enclave = verify(fake.document(at=when), **judged)
    assert not hasattr(of_instance, "pcrs")
    assert not hasattr(of_instance.document, "pcrs")
    assert not hasattr(of_enclave, "nitrotpm_pcrs")
    assert not isinstance(of_instance, Attestation)
    assert not isinstance(of_enclave, NitroTpmAttestation)


def test_t1_policies_of_the_two_kinds_do_not_mix(fake, when, instance, judged):
    enclave = fake.document(at=when)
    for policy in (Policy([{4: ONES}]), ANY_ENCLAVE, {4: ONES}, [ONES]):
        assert code_of(verify_nitrotpm, instance, **judged, policy=policy) == "input.expected"
    for policy in (NitroTpmPolicy([{4: ONES}]), ANY_INSTANCE):
        assert code_of(verify, enclave, **judged, policy=policy) == "input.expected"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda: Verifier(policy=ANY_INSTANCE),
            "a Policy, ANY_ENCLAVE or a mapping of PCRs, found AnyInstance",
        ),
        (
            lambda: NitroTpmVerifier(policy=ANY_ENCLAVE),
            "a NitroTpmPolicy or ANY_INSTANCE, found AnyEnclave",
        ),
        (
            lambda: NitroTpmVerifier(policy={4: ONES}),
            "a NitroTpmPolicy or ANY_INSTANCE, found {4: ",
        ),
    ],
)
def test_t1_a_policy_of_the_other_kind_is_named_with_the_accepted_ones(make, expected):
    with pytest.raises(InputError, match=r"^input.expected: policy: expected ") as caught:
        make()
    assert expected in caught.value.message


def test_t1_a_document_of_the_other_kind_is_named(fake_document, instance, judged):
    with pytest.raises(FormatError, match=r"expected a NitroTPM document .*, found a document of"):
        verify_nitrotpm(fake_document, **judged)
    with pytest.raises(FormatError, match="expected a document of an enclave, found a NitroTPM"):
        verify(instance, **judged)


def test_t1_measurement_sets_of_the_two_kinds_do_not_mix():
    with pytest.raises(InputError):
        NitroTpmPolicy([MeasurementSet({4: ONES})])
    with pytest.raises(InputError):
        Policy([NitroTpmMeasurementSet({4: ONES})])


def test_t2_an_instance_cannot_pose_as_a_signed_enclave(fake, when, judged):
    """The forgery: its system extends PCR8 from zero by the digest of an enclave's certificate."""
    certificate = b"the certificate that signs the victim's enclave images"
    digest = hashlib.sha384(certificate).digest()
    pcr8 = hashlib.sha384(bytes(48) + digest).digest()
    forged = fake.document(at=when, kind="nitrotpm", pcrs={8: pcr8, 0: ONES, 1: ONES, 2: ONES})
    victim = {8: pcr8}
    assert parse_unverified(forged).pcrs[8] == pcr8
    assert code_of(verify, forged, **judged, policy=victim) == "payload.kind"
    assert code_of(verify, forged, **judged) == "payload.kind"
    assert code_of(verify_nitrotpm, forged, **judged, policy=Policy([victim])) == "input.expected"
    verifier = Verifier(TrustedRoots.from_pem(fake.root_pem), policy=Policy([victim]))
    assert code_of(verifier.verify, forged, at=when) == "payload.kind"


def test_t2_relabelling_the_registers_breaks_the_signature(fake, when, judged):
    document = fake.document(at=when, kind="nitrotpm")
    payload = parse_unverified(document).payload.replace(b"\x6dnitrotpm_pcrs", b"\x64pcrs")
    envelope = bytes.fromhex("8444a1013822a059") + len(payload).to_bytes(2, "big")
    renamed = envelope + payload + document[-98:]
    assert parse_unverified(renamed).kind == "enclave"
    assert code_of(verify, renamed, **judged) == "signature.invalid"


def test_pcrs_are_judged_as_for_enclaves(instance, judged):
    pcrs = verify_nitrotpm(instance, **judged).nitrotpm_pcrs
    good = NitroTpmPolicy([{4: ONES}, NitroTpmMeasurementSet({4: pcrs[4], 12: pcrs[12]}, "v2")])
    assert verify_nitrotpm(instance, **judged, policy=good).matched == "v2"
    for pins, code in (({4: ONES}, "policy.pcr_mismatch"), ({24: ONES}, "policy.pcr_absent")):
        policy = NitroTpmPolicy([pins])
        assert code_of(verify_nitrotpm, instance, **judged, policy=policy) == code


@pytest.mark.parametrize("name", ["nonce", "user_data", "public_key"])
def test_an_expected_value_must_equal_the_documents(fake, when, judged, name):
    document = fake.document(at=when, kind="nitrotpm", **{name: b"right" * 4})
    assert verify_nitrotpm(document, **judged, **{name: b"right" * 4})
    code = code_of(verify_nitrotpm, document, **judged, **{name: b"wrong" * 4})
    assert code == f"policy.{name}"


def test_x23_a_document_is_refused_a_millisecond_after_its_maximum_age(instance, fake, when):
    limit = timedelta(minutes=5)
    options = {"root_pem": fake.root_pem, "max_age": limit}
    assert verify_nitrotpm(instance, **options, at=when + limit)
    late = when + limit + timedelta(milliseconds=1)
    assert code_of(verify_nitrotpm, instance, **options, at=late) == "freshness.too_old"


@pytest.mark.usefixtures("clock")
def test_without_a_time_the_clocks_is_taken_and_without_a_root_that_of_aws(instance, fake, when):
    for policy in (None, ANY_INSTANCE):
        result = verify_nitrotpm(instance, fake.root_pem, policy=policy)
        assert (result.time_source, result.verified_at) == ("now", when)
    verifier = NitroTpmVerifier(fake.root_pem, policy=ANY_INSTANCE)
    assert verifier.verify(instance).verified_at == when
    assert code_of(verify_nitrotpm, instance) == "chain.untrusted_root"


def test_where_and_how_fresh_are_judged_as_for_enclaves(instance, judged):
    pcr4 = verify_nitrotpm(instance, **judged).nitrotpm_pcrs[4]
    here = NitroTpmPolicy([{4: pcr4}], regions=["us-east-1"], require_nonce=True)
    assert verify_nitrotpm(instance, **judged, policy=here, nonce=b"n" * 16)
    assert code_of(verify_nitrotpm, instance, **judged, policy=here) == "input.nonce"
    there = NitroTpmPolicy([{4: pcr4}], regions=["eu-west-1"])
    assert code_of(verify_nitrotpm, instance, **judged, policy=there) == "policy.module_id"


@pytest.mark.parametrize("name", ["module_id", "instance_id"])
def test_each_name_is_held_against_its_own_list(instance, judged, name):
    result = verify_nitrotpm(instance, **judged)
    pcr4, right = result.nitrotpm_pcrs[4], getattr(result, name)
    here = NitroTpmPolicy([{4: pcr4}], **{f"{name}s": [right]})
    assert verify_nitrotpm(instance, **judged, policy=here)
    there = NitroTpmPolicy([{4: pcr4}], **{f"{name}s": [f"{right}0"]})
    assert code_of(verify_nitrotpm, instance, **judged, policy=there) == "policy.module_id"


def test_pins_from_elsewhere_are_added_to_every_set_and_keep_the_rest():
    policy = NitroTpmPolicy([{4: ONES}, {7: ONES}], regions=["us-east-1"], require_nonce=True)
    assert policy.with_pins({12: ONES}) == NitroTpmPolicy(
        [{4: ONES, 12: ONES}, {7: ONES, 12: ONES}], regions=["us-east-1"], require_nonce=True
    )


def test_zero_registers_of_an_instance_are_not_debug_mode(fake, when, judged):
    zeros = fake.document(at=when, kind="nitrotpm", pcrs=dict.fromkeys((0, 1, 2), bytes(48)))
    assert "policy.debug" not in warning_codes(verify_nitrotpm(zeros, **judged))


@pytest.mark.parametrize(
    ("pins", "weak"),
    [
        ({4: ONES}, 0),
        ({7: ONES}, 0),
        ({7: SECURE_BOOT_OFF_PCR7}, 1),
        ({8: ONES}, 1),
        ({2: ONES, 3: ONES}, 1),
        ({0: ONES, 4: ONES}, 1),
        ({1: ONES, 4: ONES}, 1),
        ({0: ONES}, 2),
    ],
)
def test_t4_t5_pins_that_do_not_say_what_booted_are_reported(pins, weak):
    notices = NitroTpmMeasurementSet(pins).weaknesses()
    assert [notice.code for notice in notices] == ["policy.weak"] * weak


def test_govcloud_like_roots_work_for_both_kinds(when):
    """X-11: a root whose notAfter is a GeneralizedTime."""
    fake = FakeNitro(seed=b"govcloud", govcloud_dates=True)
    judged = {"root_pem": fake.root_pem, "at": when}
    assert verify(fake.document(at=when), **judged)
    assert verify_nitrotpm(fake.document(at=when, kind="nitrotpm"), **judged)
