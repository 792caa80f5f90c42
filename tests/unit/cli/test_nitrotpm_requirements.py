"""Requirements for EC2 instances: files of PCRs (T-6) and their KMS conditions (T-2)."""

import json
import pickle

import pytest

from nitro_attest import (
    InputError,
    MeasurementSet,
    NitroTpmMeasurementSet,
    NitroTpmPolicy,
    Policy,
)
from nitro_attest._internal.pcrs import SECURE_BOOT_OFF_PCR7
from nitro_attest.kms.lint import lint
from nitro_attest.kms.statements import (
    condition_block,
    nitrotpm_condition_block,
    nitrotpm_statements,
    statements,
    unenforced,
)
from nitro_attest.policy_files import load_nitrotpm_policy, parse_nitrotpm_policy, parse_policy

ONES, TWOS = "11" * 48, "22" * 48
PCRS = {"PCR4": ONES, "PCR7": TWOS, "PCR12": "00" * 48}
ROLE = "arn:aws:iam::123456789012:role/instance"


def computed(**members):
    """The output of nitro-tpm-pcr-compute."""
    measurements = {"HashAlgorithm": "SHA384 { ... }", **PCRS, **members}
    return {"Measurements": {name: value for name, value in measurements.items() if value}}


def error_code(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return caught.value.code


def test_t6_the_output_of_nitro_tpm_pcr_compute_is_a_policy(tmp_path):
    path = tmp_path / "pcrs.json"
    path.write_text("Computing...\n" + json.dumps(computed(), indent=2))
    [expected] = load_nitrotpm_policy(path).measurements
    assert isinstance(expected, NitroTpmMeasurementSet)
    assert expected.to_named() == PCRS
    assert error_code(load_nitrotpm_policy, tmp_path / "missing") == "input.file"


@pytest.mark.parametrize(
    ("missing", "opened"),
    [((), []), (("PCR12",), ["PCR12"]), (("PCR7",), ["PCR7"])],
    ids=["none", "PCR12", "PCR7"],
)
def test_t6_an_output_without_pcr7_or_pcr12_is_read_with_a_warning(missing, opened):
    policy = parse_nitrotpm_policy(json.dumps(computed(**dict.fromkeys(missing))))
    assert policy.measurements[0].to_named() == {
        name: value for name, value in PCRS.items() if name not in missing
    }
    found = policy.weaknesses()
    assert [warning.code for warning in found] == ["policy.unpinned"] * len(opened)
    assert [warning.message.partition(" is not pinned: ")[0] for warning in found] == opened
    pinned = policy.with_pins({int(name[3:]): PCRS[name] for name in missing} or {5: ONES})
    assert pinned.weaknesses() == []
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_t6_each_of_several_outputs_has_its_own_warning():
    policy = parse_nitrotpm_policy(json.dumps([computed(), computed(PCR12=None, PCR4=TWOS)]))
    [warning] = policy.weaknesses()
    assert warning.message.endswith("(measurement set '#2')")


def test_t6_pins_of_the_caller_are_no_reference_file():
    assert NitroTpmPolicy([{4: ONES}]).weaknesses() == []
    assert parse_nitrotpm_policy(f"PCR4={ONES}").weaknesses() == []
    assert error_code(NitroTpmPolicy, [{4: ONES}], from_reference="yes") == "policyfile.format"


def test_l8_several_outputs_are_alternatives():
    policy = parse_nitrotpm_policy(json.dumps([computed(), computed(PCR4=TWOS)]))
    assert [item.pcrs[4].hex() for item in policy.measurements] == [ONES, TWOS]


def test_lines_of_pcrs_are_a_policy():
    [expected] = parse_nitrotpm_policy(f"PCR4={ONES}\nPCR7={TWOS}\n").measurements
    assert sorted(expected.pcrs) == [4, 7]


@pytest.mark.parametrize(
    "content",
    [
        {"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": ONES, "PCR1": ONES}},
        {"Measurements": PCRS | {"PCR0": ONES}},
        {"Measurements": PCRS, "EifVersion": 4},
        {"Measurements": PCRS, "EnclaveName": "app"},
        {"Measurements": {"PCR4": ONES}},
        {"Measurements": {"PCR7": ONES, "PCR12": ONES}},
        {"Measurements": {"PCR4": ONES, "PCR7": ONES, "PCR8": ONES}},
        {"Measurements": ONES},
        {"schema": "nitro-attest-policy/1", "measurements": [{"pcrs": PCRS}]},
        {"PCR": ONES},
        PCRS,
        [computed(), {"Measurements": {"PCR0": ONES, "PCR1": ONES, "PCR2": ONES}}],
        [1],
    ],
)
def test_t2_enclave_policies_are_rejected_for_instances(content):
    assert error_code(parse_nitrotpm_policy, json.dumps(content)) == "policyfile.format"


def test_t2_instance_policies_are_rejected_for_enclaves():
    assert error_code(parse_policy, json.dumps(computed())) == "policyfile.format"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "policyfile.empty"),
        ("[]", "policyfile.empty"),
        ('{"Measurements": {"PCR4": 1, "PCR4": 1}}', "policyfile.duplicate"),
        (json.dumps(computed(PCR4="11")), "policyfile.hex"),
        (json.dumps(computed(PCRO=ONES)), "policyfile.unknown_key"),
        (json.dumps(computed(HashAlgorithm="SHA256")), "policyfile.hash_algorithm"),
        ("{", "policyfile.format"),
    ],
)
def test_a_malformed_file_is_rejected(content, code):
    assert error_code(parse_nitrotpm_policy, content) == code


def test_weaknesses_and_pins_cover_every_set():
    policy = NitroTpmPolicy([{7: SECURE_BOOT_OFF_PCR7}, {12: bytes(48)}])
    assert [warning.code for warning in policy.weaknesses()] == ["policy.weak"] * 2
    pinned = policy.with_pins({4: ONES})
    assert pinned.weaknesses() == []
    assert error_code(pinned.with_pins, {4: TWOS}) == "policyfile.duplicate"


def test_kms_conditions_on_instances_have_separate_keys():
    block = nitrotpm_condition_block(NitroTpmMeasurementSet({4: ONES, 12: TWOS}))
    prefix = "kms:RecipientAttestation:NitroTPMPCR"
    assert block == {"StringEqualsIgnoreCase": {f"{prefix}4": ONES, f"{prefix}12": TWOS}}


def test_kms_statements_for_instances_have_no_findings():
    policy = NitroTpmPolicy([{4: ONES}, {4: TWOS}], regions=["us-east-1"])
    made = nitrotpm_statements(policy, principals=[ROLE])
    assert [statement["Sid"] for statement in made] == ["NitroInstance1", "NitroInstance2"]
    assert lint(json.dumps({"Statement": made})) == []
    assert unenforced(policy) == ["regions"]


def test_t2_kms_conditions_reject_the_other_kind():
    enclave, instance = MeasurementSet({0: ONES}), NitroTpmMeasurementSet({4: ONES})
    assert error_code(condition_block, instance) == "input.expected"
    assert error_code(nitrotpm_condition_block, enclave) == "input.expected"
    assert error_code(nitrotpm_condition_block, {4: ONES}) == "input.expected"
    options = {"principals": [ROLE]}
    assert error_code(statements, NitroTpmPolicy([instance]), **options) == "input.expected"
    assert error_code(nitrotpm_statements, Policy([enclave]), **options) == "input.expected"
    assert error_code(nitrotpm_statements, {4: ONES}, **options) == "input.expected"
