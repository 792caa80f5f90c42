"""The arguments of verify() and Verifier: what they mean; none fails open (X-20 to X-24)."""

import pickle
from datetime import datetime, timedelta, timezone

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    UNCHECKED,
    AnyEnclave,
    AnyInstance,
    Attestation,
    ChainError,
    Limits,
    NitroTpmPolicy,
    NitroTpmVerifier,
    Policy,
    PolicyError,
    TrustedRoots,
    Verifier,
    parse_unverified,
    verify,
    verify_nitrotpm,
)
from nitro_attest.keys.public_key import load_public_key
from nitro_attest.testing import FAULTS, FakeNitro
from support.errors import code_of, code_or_none, warning_codes

ZERO = bytes(48)


@pytest.mark.usefixtures("clock")
def test_verify_takes_bytes_and_a_root_and_nothing_more(fake, when):
    attestation = verify(fake.document(at=when), fake.root_pem)
    assert attestation.module_id == fake.module_id
    assert (attestation.time_source, attestation.verified_at) == ("now", when)
    assert warning_codes(attestation) == ["policy.none", "freshness.unbound", "root.custom"]
    verifier = Verifier(TrustedRoots.from_pem(fake.root_pem), policy=ANY_ENCLAVE)
    assert verifier.verify(fake.document(at=when)).verified_at == when


def test_verify_without_a_root_trusts_the_aws_commercial_one(genuine, fake, when):
    document, made = genuine
    assert verify(document, at=made).root.name == "aws"
    assert code_of(verify, fake.document(at=when), at=when) == "chain.untrusted_root"


@pytest.mark.parametrize("name", ["nonce", "user_data", "public_key"])
@pytest.mark.parametrize("value", [None, b"", "", "text", 7, bytearray()])
def test_an_expected_value_that_is_none_or_empty_never_means_unchecked(
    fake_document, fake, when, name, value
):
    code = code_of(verify, fake_document, fake.root_pem, at=when, **{name: value})
    assert code == ("input.nonce" if name == "nonce" else "input.expected")


@pytest.mark.parametrize("name", ["nonce", "user_data", "public_key"])
def test_an_expected_value_must_equal_the_documents(fake, when, name):
    value = bytes(range(32))
    document = fake.document(at=when, **{name: value})
    assert getattr(verify(document, fake.root_pem, at=when, **{name: value}), name) == value
    assert verify(document, fake.root_pem, at=when, **{name: memoryview(value)})
    for wrong in (value[:-1], value + b"\0", bytes(32)):
        code = code_of(verify, document, fake.root_pem, at=when, **{name: wrong})
        assert code == f"policy.{name}"


@pytest.mark.parametrize("absent", [(), ("nonce",)])
def test_a_null_or_absent_field_fails_whatever_was_expected(fake, when, absent):
    document = fake.document(at=when, absent=absent)
    assert code_of(verify, document, fake.root_pem, at=when, nonce=b"x" * 16) == "policy.nonce"


def test_a_short_nonce_is_reported(fake, when):
    document = fake.document(at=when, nonce=b"short")
    attestation = verify(document, fake.root_pem, at=when, nonce=b"short", policy=ANY_ENCLAVE)
    assert warning_codes(attestation) == ["freshness.short_nonce", "root.custom"]


def test_x20_a_naive_time_and_a_word_that_is_none_are_refused(fake_document, when):
    for at in (when.replace(tzinfo=None), "yesterday", None, 7):
        assert code_of(verify, fake_document, at=at) == "input.time"


def test_x20_archive_mode_goes_with_no_maximum_age(fake_document, fake):
    age = timedelta(minutes=5)
    assert code_of(verify, fake_document, fake.root_pem, at="document", max_age=age) == "input.time"
    policy = Policy([{4: b"\1" * 48}], max_age=age)
    assert (
        code_of(verify, fake_document, fake.root_pem, at="document", policy=policy) == "input.time"
    )


def test_x20_a_time_that_is_given_is_the_one_judged_at(fake_document, fake, when):
    attestation = verify(fake_document, fake.root_pem, at=when + timedelta(seconds=1))
    assert attestation.time_source == "given"
    assert attestation.verified_at == when + timedelta(seconds=1)


def test_x20_archive_mode_says_so(fake_document, fake, when):
    attestation = verify(fake_document, fake.root_pem, at="document")
    assert attestation.time_source == "document"
    assert attestation.verified_at == when
    assert "time.document" in warning_codes(attestation)


@pytest.mark.parametrize("age", [timedelta(0), timedelta(seconds=-1), 60, "10m"])
def test_x23_a_maximum_age_that_is_no_positive_duration_is_refused(fake_document, age):
    assert code_of(verify, fake_document, max_age=age) == "input.time"
    assert code_of(AnyEnclave, max_age=age) == "input.time"


def test_x23_a_document_is_refused_a_millisecond_after_its_maximum_age(fake_document, fake, when):
    limit = timedelta(minutes=5)
    attestation = verify(fake_document, fake.root_pem, at=when + limit, max_age=limit)
    assert "freshness.unbound" not in warning_codes(attestation)
    late = when + limit + timedelta(milliseconds=1)
    code = code_of(verify, fake_document, fake.root_pem, at=late, max_age=limit)
    assert code == "freshness.too_old"


def test_x23_the_stricter_of_two_maximum_ages_holds(fake_document, roots, when):
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    for of_policy, of_call in ((minute, hour), (hour, minute)):
        verifier = Verifier(roots, policy=AnyEnclave(max_age=of_policy))
        late = when + 2 * minute
        code = code_of(verifier.verify, fake_document, at=late, max_age=of_call)
        assert code == "freshness.too_old"


def test_x22_the_clock_skew_allows_for_a_slow_clock_and_no_more(fake_document, roots, when):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, clock_skew=timedelta(seconds=2))
    assert verifier.verify(fake_document, at=when - timedelta(seconds=2))
    early = when - timedelta(seconds=2, milliseconds=1)
    assert code_of(verifier.verify, fake_document, at=early) == "freshness.future"


def test_x10_the_clock_skew_never_widens_expiry(fake_document, roots, when):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, clock_skew=timedelta(seconds=300))
    end = verifier.verify(fake_document, at=when).chain[0].not_valid_after_utc
    assert verifier.verify(fake_document, at=end)
    late = end + timedelta(milliseconds=1)
    assert code_of(verifier.verify, fake_document, at=late) == "cert.expired"


def test_x22_without_a_clock_skew_no_document_may_be_from_the_future(fake_document, roots, when):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, clock_skew=timedelta(0))
    assert verifier.verify(fake_document, at=when)
    early = when - timedelta(milliseconds=1)
    assert code_of(verifier.verify, fake_document, at=early) == "freshness.future"


@pytest.mark.parametrize("skew", [timedelta(seconds=301), timedelta(seconds=-1), 60])
def test_x20_a_clock_skew_out_of_range_is_refused(skew):
    assert code_of(Verifier, policy=ANY_ENCLAVE, clock_skew=skew) == "input.time"


def test_times_at_the_ends_of_the_calendar_are_judged_not_crashed(fake_document, fake):
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=23)))
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-23)))
    assert code_of(verify, fake_document, fake.root_pem, at=first) == "cert.not_yet_valid"
    assert code_of(verify, fake_document, fake.root_pem, at=last) == "cert.expired"


def test_x24_names_that_disagree_can_be_made_a_warning(fake, roots, when):
    document = fake.document(at=when, fault="X-24.other-enclave")
    refusing = Verifier(roots, policy=ANY_ENCLAVE)
    assert code_of(refusing.verify, document, at=when) == "consistency.module_id"
    warning = Verifier(roots, policy=ANY_ENCLAVE, consistency="warn")
    assert "consistency.module_id" in warning_codes(warning.verify(document, at=when))
    for wrong in ("off", "", True, []):
        assert code_of(Verifier, policy=ANY_ENCLAVE, consistency=wrong) == "input.expected"
        assert code_of(NitroTpmVerifier, policy=ANY_INSTANCE, consistency=wrong) == "input.expected"
        assert code_of(verify, document, consistency=wrong) == "input.expected"
        assert code_of(verify_nitrotpm, document, consistency=wrong) == "input.expected"


@pytest.mark.parametrize("kind", ["enclave", "nitrotpm"])
def test_p7_unknown_fields_can_be_made_a_warning(fake, roots, when, kind):
    document = fake.document(at=when, kind=kind, fault="P-7.structure")
    verifier, policy, call = {
        "enclave": (Verifier, ANY_ENCLAVE, verify),
        "nitrotpm": (NitroTpmVerifier, ANY_INSTANCE, verify_nitrotpm),
    }[kind]
    assert code_of(verifier(roots, policy=policy).verify, document, at=when) == (
        "payload.unknown_key"
    )
    assert code_of(call, document, roots, at=when) == "payload.unknown_key"
    skipping = verifier(roots, policy=policy, unknown_fields="warn")
    [outcome] = skipping.verify_many([document], at=when)
    for attestation in (
        skipping.verify(document, at=when),
        outcome.attestation,
        call(document, roots, policy=policy, at=when, unknown_fields="warn"),
    ):
        [field] = attestation.document.unknown_fields
        assert field.name == "measurement_log"
        assert field.value == bytes.fromhex("bf00820102616181a1f5f6ff")
        assert document.index(field.value) == field.offset
        [warning] = [each for each in attestation.warnings if each.code == "payload.unknown_key"]
        assert f"unknown field 'measurement_log' skipped: 12 bytes at offset {field.offset}" in (
            warning.message
        )
    for wrong in ("refuse", "", None, True, []):
        assert code_of(verifier, policy=policy, unknown_fields=wrong) == "input.expected"
        assert code_of(call, document, unknown_fields=wrong) == "input.expected"


def test_p7_a_document_without_unknown_fields_has_no_warning_of_them(fake, roots, when):
    skipping = Verifier(roots, policy=ANY_ENCLAVE, unknown_fields="warn")
    attestation = skipping.verify(fake.document(at=when), at=when)
    assert attestation.document.unknown_fields == ()
    assert "payload.unknown_key" not in warning_codes(attestation)


def test_p7_unknown_fields_that_are_signed_by_nobody_are_not_accepted(fake, roots, when):
    document = bytearray(fake.document(at=when, fault="P-7.structure"))
    skipping = Verifier(roots, policy=ANY_ENCLAVE, unknown_fields="warn")
    document[document.index(b"measurement_log")] ^= 1
    assert code_of(skipping.verify, bytes(document), at=when) == "signature.invalid"


@pytest.fixture(scope="session")
def govcloud():
    return FakeNitro(seed=b"govcloud", region="us-gov-west-1", partition="aws-us-gov")


@pytest.mark.parametrize("kind", ["enclave", "nitrotpm"])
@pytest.mark.parametrize("consistency", [None, "refuse", "warn"])
def test_x24_names_of_another_partition_that_agree_are_accepted(govcloud, when, kind, consistency):
    document = govcloud.document(at=when, kind=kind)
    call = verify if kind == "enclave" else verify_nitrotpm
    attestation = call(document, govcloud.root_pem, at=when, consistency=consistency)
    assert attestation.region == "us-gov-west-1"
    assert "consistency.module_id" not in warning_codes(attestation)


@pytest.mark.parametrize("kind", ["enclave", "nitrotpm"])
@pytest.mark.parametrize("partition", ["aws", "aws-us-gov"])
@pytest.mark.parametrize("consistency", [None, "refuse", "warn"])
def test_x24_by_default_only_the_commercial_partition_rejects_names_that_disagree(
    when, kind, partition, consistency
):
    nitro = FakeNitro(seed=b"partitions", region="eu-west-1", partition=partition)
    document = nitro.document(at=when, kind=kind, fault="X-24.leaf-suffix")
    call = verify if kind == "enclave" else verify_nitrotpm
    options = {"root_pem": nitro.root_pem, "at": when, "consistency": consistency}
    if consistency == "refuse" or (consistency is None and partition == "aws"):
        assert code_of(call, document, **options) == "consistency.module_id"
        return
    attestation = call(document, **options)
    assert warning_codes(attestation).count("consistency.module_id") == 1
    assert attestation.region == (None if partition == "aws" else "eu-west-1")


def test_x24_a_policy_can_require_a_region_of_another_partition(govcloud, when):
    document = govcloud.document(at=when, fault="X-24.leaf-suffix")
    for region, code in (("us-gov-west-1", None), ("us-gov-east-1", "policy.module_id")):
        policy = Policy(
            [{4: verify(document, govcloud.root_pem, at=when).pcrs[4]}], regions=[region]
        )
        assert code_or_none(verify, document, govcloud.root_pem, policy=policy, at=when) == code


def test_m2_debug_mode_is_refused_unless_the_call_and_the_policy_allow_it(fake, when):
    document = fake.document(at=when, debug=True)
    options = {"root_pem": fake.root_pem, "at": when}
    assert code_of(verify, document, **options) == "policy.debug"
    assert "policy.debug" in warning_codes(verify(document, **options, allow_debug=True))
    pcr4 = fake.document(at=when, debug=True)
    pins = {4: verify(pcr4, **options, allow_debug=True).pcrs[4]}
    for allow in (False, True):
        strict = Policy([pins], allow_debug=not allow)
        code = code_of(verify, document, **options, policy=strict, allow_debug=allow)
        assert code == "policy.debug"
    assert code_of(verify, document, **options, policy=AnyEnclave(allow_debug=True)) == (
        "policy.debug"
    )
    for lax in (Policy([pins], allow_debug=True), AnyEnclave(allow_debug=True), pins):
        assert verify(document, **options, policy=lax, allow_debug=True)


def test_all_failures_are_reported_not_the_first(fake, when):
    document = fake.document(at=when, debug=True)
    with pytest.raises(PolicyError) as caught:
        verify(
            document,
            fake.root_pem,
            at=when + timedelta(hours=1),
            policy={3: b"\7" * 48, 31: b"\7" * 48},
            nonce=b"n" * 16,
            max_age=timedelta(minutes=1),
        )
    found = [failure.code for failure in caught.value.failures]
    assert found == [
        "policy.debug",
        "freshness.too_old",
        "policy.pcr_mismatch",
        "policy.pcr_absent",
        "policy.nonce",
    ]
    assert caught.value.code == found[0]


def test_nothing_is_judged_by_policy_before_the_signature_holds(fake, when):
    """A PolicyError means authentic: a forger learns nothing of what would be accepted."""
    document = bytearray(fake.document(at=when, debug=True))
    document[-1] ^= 1
    code = code_of(verify, document, fake.root_pem, at=when, policy={0: b"\1" * 48})
    assert code == "signature.invalid"


@pytest.mark.parametrize("policy", [{}, {0: ZERO}, {0: "12"}, {99: b"\1" * 48}, {True: b"1" * 48}])
def test_a_policy_that_pins_nothing_or_nonsense_is_refused(fake_document, policy):
    assert code_of(verify, fake_document, policy=policy).startswith("policyfile.")


@pytest.mark.parametrize("value", [1, 0, "no", None])
def test_m2_allow_debug_is_a_bool_and_nothing_that_is_merely_true(fake_document, value):
    assert code_of(verify, fake_document, allow_debug=value) == "input.expected"
    assert code_of(AnyEnclave, allow_debug=value) == "policyfile.format"
    assert code_of(Policy, [{4: b"\1" * 48}], allow_debug=value) == "policyfile.format"


def test_limits_that_are_none_of_ours_are_refused():
    assert code_of(Verifier, policy=ANY_ENCLAVE, limits={"nonce": 9999}) == "input.limits"


def test_a_mapping_of_pcrs_is_a_policy_of_one_measurement_set(fake_document, roots, when):
    pcr2 = parse_unverified(fake_document).pcrs[2]
    assert Verifier(roots, policy={2: pcr2}).verify(fake_document, at=when)
    other = Verifier(roots, policy={2: b"\1" * 48})
    assert code_of(other.verify, fake_document, at=when) == "policy.pcr_mismatch"


def test_a_verifier_needs_a_policy_and_a_root():
    with pytest.raises(TypeError):
        Verifier()
    for policy in (None, "any", []):
        assert code_of(Verifier, policy=policy) == "input.expected"
    assert code_of(Verifier, TrustedRoots(()), policy=ANY_ENCLAVE) == "input.root"
    assert code_of(Verifier, "aws", policy=ANY_ENCLAVE) == "input.root"


def test_limits_let_longer_fields_pass_up_to_the_size_of_a_request(fake, roots, when):
    document = fake.document(at=when, user_data=bytes(4096))
    narrow, wide = (
        Verifier(roots, policy=ANY_ENCLAVE, limits=limits)
        for limits in (Limits(), Limits(user_data=4096))
    )
    assert code_of(narrow.verify, document, at=when) == "payload.user_data"
    assert len(wide.verify(document, at=when).user_data) == 4096


def test_an_attestation_is_made_by_verification_only(fake_document, fake, when):
    attestation = verify(fake_document, fake.root_pem, at=when)
    with pytest.raises(TypeError):
        Attestation()
    with pytest.raises(TypeError, match="verify it again"):
        pickle.dumps(attestation)
    with pytest.raises(AttributeError):
        attestation.root = None
    assert type(attestation.warnings) is tuple
    with pytest.raises(TypeError):
        attestation.pcrs[0] = ZERO


def test_an_attestation_has_a_short_repr(fake_document, fake, when):
    attestation = verify(fake_document, fake.root_pem, at=when)
    assert repr(attestation) == f"<Attestation of {fake.module_id} at {when.isoformat()}>"
    of_document = f"<AttestationDocument of {fake.module_id} at {when.isoformat()}>"
    assert repr(attestation.document) == of_document
    assert repr(UNCHECKED) == "UNCHECKED"


def test_an_attestation_names_its_chain_from_the_leaf_to_our_root(fake_document, fake, when):
    attestation = verify(fake_document, fake.root_pem, at=when)
    subjects = [c.subject.rfc4514_string().split(",") for c in attestation.chain]
    assert len(subjects) == 5
    assert any(part == f"CN={fake.module_id}.us-east-1.aws" for part in subjects[0])
    assert any("FAKE-NOT-AWS" in part for part in subjects[-1])
    assert attestation.instance_id == fake.module_id.rpartition("-")[0]
    assert attestation.region == "us-east-1"


def test_section_1_3_one_attestation_has_four_encodings_and_one_id(fake, when):
    base = {"at": when, "nonce": b"n" * 16}
    documents = {
        fake.document(**base, tagged=tagged, high_s=high_s)
        for tagged in (False, True)
        for high_s in (False, True)
    }
    assert len(documents) == 4
    ids = {verify(d, fake.root_pem, at=when).attestation_id for d in documents}
    assert len(ids) == 1


def test_to_dict_without_certificates_has_everything_else(fake, fake_document, when):
    result = verify(fake_document, fake.root_pem, at=when)
    full = result.to_dict()
    del full["chain"], full["document"]["certificate"], full["document"]["cabundle"]
    assert result.to_dict(certificates=False) == full


def test_to_dict_is_json_with_hex_null_and_empty(fake, when):
    import json

    document = fake.document(at=when, user_data=b"", nonce=None, public_key=b"\1\2")
    result = verify(document, fake.root_pem, at=when).to_dict()
    assert json.loads(json.dumps(result)) == result
    fields = result["document"]
    assert (fields["user_data"], fields["nonce"], fields["public_key"]) == ("", None, "0102")
    assert set(fields["pcrs"]) >= {"0", "1", "2", "15"}
    assert result["warnings"][0]["code"] == "policy.none"


def test_load_public_key_reads_subject_public_key_info_and_refuses_the_rest(fake, when):
    from cryptography.hazmat.primitives.asymmetric import x25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x25519.X25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    for encoding in (Encoding.DER, Encoding.PEM):
        data = key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        document = fake.document(at=when, public_key=data)
        assert load_public_key(verify(document, fake.root_pem, at=when)) == key
    for data in (None, b"", key.public_bytes_raw(), b"-----BEGIN nothing"):
        attestation = verify(fake.document(at=when, public_key=data), fake.root_pem, at=when)
        with pytest.raises(PolicyError):
            load_public_key(attestation)


def test_a_chain_error_is_not_a_policy_error(fake_document, fake, when):
    with pytest.raises(ChainError):
        verify(fake_document, fake.root_pem, at=when + timedelta(days=1))


class Hollow(dict):
    """A mapping that says it holds something and gives nothing."""

    def __len__(self):
        return 1

    def items(self):
        return ()


class HollowList(list):
    """The same as a list."""

    def __len__(self):
        return 1


def test_what_looks_full_and_gives_nothing_is_an_empty_policy(fake_document):
    assert code_of(verify, fake_document, policy=Hollow()) == "policyfile.empty"
    assert code_of(Policy, HollowList()) == "policyfile.empty"


def test_a_released_memoryview_as_an_expected_value_is_an_input_error(fake_document):
    view = memoryview(b"n" * 16)
    view.release()
    assert code_of(verify, fake_document, nonce=view) == "input.nonce"


@pytest.mark.parametrize("age", [60, timedelta(0)])
def test_x23_no_policy_takes_a_maximum_age_that_is_no_positive_duration(age):
    sets = [{4: b"\1" * 48}]
    assert code_of(Policy, sets, max_age=age) == "input.time"
    assert code_of(NitroTpmPolicy, sets, max_age=age) == "input.time"
    assert code_of(AnyInstance, max_age=age) == "input.time"


@pytest.mark.parametrize("size", [-1, 65537, 1.0, True, None])
def test_a_cache_size_out_of_range_is_refused(size):
    assert code_of(Verifier, policy=ANY_ENCLAVE, cache_size=size) == "input.limits"


@pytest.mark.parametrize("size", [0, 65536])
def test_a_cache_size_at_either_end_of_its_range_is_taken(fake_document, roots, when, size):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, cache_size=size)
    assert verifier.verify(fake_document, at=when)
    assert verifier.cache_info()["paths"] == min(size, 1)


def test_a_failure_says_what_was_expected_and_what_was_found(fake, when):
    document = fake.document(at=when, nonce=b"\1\2")
    with pytest.raises(PolicyError) as caught:
        verify(document, fake.root_pem, at=when, nonce=b"n" * 16, user_data=b"u")
    nonce, user_data = caught.value.failures
    assert (nonce.expected, nonce.found) == ((b"n" * 16).hex(), "0102")
    assert (user_data.expected, user_data.found) == ("75", None)


@pytest.mark.parametrize("kind", ["enclave", "nitrotpm"])
def test_t3_the_kind_is_judged_by_both_names_even_where_names_only_warn(fake, roots, when, kind):
    for name, fault in FAULTS.items():
        if fault.rule == "T-3" and fault.document.get("kind", "enclave") == kind:
            verifier = Verifier(roots, policy=ANY_ENCLAVE, consistency="warn")
            document = fake.document(at=when, fault=name)
            assert code_of(verifier.verify, document, at=when) == fault.code


def test_a_verifier_prints_its_roots_and_its_policy():
    shown = repr(Verifier(policy=ANY_ENCLAVE))
    assert shown.startswith("<Verifier: <TrustedRoots aws>, AnyEnclave(")
