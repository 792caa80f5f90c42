"""Policies and key policies from any bytes: a result or an InputError; nothing is lost."""

import json
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from nitro_attest import InputError, MeasurementSet, Policy
from nitro_attest.kms.findings import FINDINGS
from nitro_attest.kms.lint import lint
from nitro_attest.kms.statements import PLAINTEXT_ACTIONS, statements
from nitro_attest.policy_files import LoadedPolicy, parse_policy

HEX = "ab" * 48
WORDS = st.text("aé-.#1 ", min_size=1, max_size=9)
PCRS = st.dictionaries(
    st.integers(0, 31),
    st.binary(min_size=48, max_size=48).filter(any),
    min_size=1,
    max_size=4,
)
NAMES = st.none() | WORDS
PLACES = st.none() | st.sets(WORDS, min_size=1, max_size=3)


@st.composite
def policies(draw):
    sets = draw(
        st.lists(
            st.builds(MeasurementSet, PCRS, NAMES),
            min_size=1,
            max_size=3,
            unique_by=lambda item: item.name or object(),
        ).filter(lambda sets: not any((item.name or "").startswith("#") for item in sets))
    )
    return Policy(
        sets,
        draw(st.none() | st.timedeltas(timedelta(microseconds=1), timedelta(days=36500))),
        draw(st.booleans()),
        require_nonce=draw(st.booleans()),
        module_ids=draw(PLACES),
        instance_ids=draw(PLACES),
        regions=draw(PLACES),
        caveats=draw(st.sets(st.sampled_from(["policy.source_unattested", "policy.debug_flag"]))),
    )


def json_values(keys, leaves):
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from([HEX, "0" * 96, "Sha384 { ... }", "nitro-attest-policy/1", "DEBUG_MODE"])
)
POLICY_KEYS = st.sampled_from(
    [
        "PCR0",
        "pcr1",
        "PCR",
        "HashAlgorithm",
        "Measurements",
        "measurements",
        "schema",
        "pcrs",
        "name",
        "regions",
        "max_age_seconds",
        "EnclaveID",
        "EnclaveName",
        "Flags",
        "Metadata",
    ]
)
KEY_POLICY_KEYS = st.sampled_from(
    [
        "Statement",
        "Effect",
        "Action",
        "Principal",
        "NotAction",
        "Condition",
        "StringEquals",
        "ForAllValues:StringLikeIfExists",
        "Null",
        "kms:RecipientAttestation:ImageSha384",
        "kms:RecipientAttestation:PCR2",
        "kms:RecipientAttestation:x",
        "AWS",
    ]
)


@given(policies())
def test_a_policy_survives_its_json_form(policy):
    text = json.dumps(policy.to_dict(), indent=1)
    assert Policy.from_dict(json.loads(text)) == policy
    loaded = parse_policy(f"progress\n{text}\n")
    assert (loaded.policy, loaded.form) == (policy, "policy")


def read_or_rejected(content, **options):
    try:
        loaded = parse_policy(content, **options)
    except InputError as error:
        code, message = error.code, error.message
    else:
        assert isinstance(loaded, LoadedPolicy)
        assert all(item.pcrs for item in loaded.policy.measurements)
        return
    assert code.startswith("policyfile.")
    assert message


@given(st.binary() | st.text())
@example(b"")
@example("\x00")
@example("\ud800")
@example('{"\\ud800": 1}')
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example('{"' + "\\" * 100_001)
@example("PCR0=" + "9" * 100_000)
@example("1" * 100_000 + " PCR" + "1" * 100_000)
def test_any_content_is_a_policy_or_an_input_error(content):
    read_or_rejected(content)


@given(json_values(POLICY_KEYS, LEAVES), st.none() | st.just("x"), st.none() | st.just(16))
def test_any_json_is_a_policy_or_an_input_error(value, enclave_name, pcr_index):
    read_or_rejected(json.dumps(value), enclave_name=enclave_name, pcr_index=pcr_index)


@given(st.binary() | st.text() | json_values(KEY_POLICY_KEYS, LEAVES).map(json.dumps))
@example("{")
@example('{"Statement": {"Effect": "Allow", "Action": "\\ud800"}}')
def test_any_content_is_linted_or_rejected(content):
    try:
        found = lint(content)
    except InputError as error:
        code = error.code
    else:
        assert all(finding.code in FINDINGS for finding in found)
        return
    assert code.startswith("policyfile.")


@given(policies())
def test_k1_every_policy_is_written_so_that_the_linter_finds_no_unattested_way(policy):
    made = statements(policy, principals=["arn:aws:iam::111122223333:role/r"])
    codes = {finding.code for finding in lint(json.dumps({"Statement": made}))}
    assert codes <= {"keypolicy.no_image", "keypolicy.sandbox", "keypolicy.instance_pin"}
    assert len(made) == len(policy.measurements)
    assert set(made[0]["Action"]) <= set(PLAINTEXT_ACTIONS)
