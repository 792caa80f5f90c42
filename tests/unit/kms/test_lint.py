"""The linter: findings in key policies, and text that is not a key policy (K-1 to K-4)."""

import json

import pytest

from nitro_attest._internal.pcrs import EMPTY_RAMDISKS, SECURE_BOOT_OFF_PCR7
from nitro_attest.kms.findings import FINDINGS
from nitro_attest.kms.lint import lint
from nitro_attest.kms.parse import MAX_KEY_POLICY_BYTES
from nitro_attest.kms.statements import PLAINTEXT_ACTIONS
from support.errors import code_of

A, B = "ab" * 48, "cd" * 48
ZERO = "0" * 96
ROLE = "arn:aws:iam::111122223333:role/enclaves"
ROOT = "arn:aws:iam::111122223333:root"
KEY = "kms:RecipientAttestation:"
IMAGE = KEY + "ImageSha384"
SAFE = {"StringEqualsIgnoreCase": {IMAGE: A}}
GUARD = {"StringNotEqualsIgnoreCase": {IMAGE: [A, B]}}


def allow(condition=None, actions="kms:Decrypt", principal=None, **more):
    statement = {
        "Effect": "Allow",
        "Principal": principal or {"AWS": ROLE},
        "Action": actions,
        "Resource": "*",
    }
    return statement | ({} if condition is None else {"Condition": condition}) | more


def deny(condition, **more):
    return allow(condition, list(PLAINTEXT_ACTIONS), "*", Effect="Deny") | more


def codes(*items):
    return [finding.code.removeprefix("keypolicy.") for finding in findings(*items)]


def findings(*items):
    return lint(json.dumps({"Version": "2012-10-17", "Statement": list(items)}))


# Findings about single conditions


@pytest.mark.parametrize("operator", ["StringEqualsIgnoreCase", "stringequalsignorecase"])
@pytest.mark.parametrize("key", [IMAGE, IMAGE.upper(), KEY + "PCR0", KEY + "pcr8"])
def test_k1_k2_names_in_the_recommended_condition_are_case_insensitive(operator, key):
    assert codes(allow({operator: {key: A}})) == []
    assert codes(allow({operator: {key: [A.upper(), B]}})) == []


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike"])
def test_k1_a_case_sensitive_operator_is_a_warning(operator):
    [finding] = findings(allow({operator: {IMAGE: A}}))
    assert (finding.code, finding.severity) == ("keypolicy.case", "warning")
    assert finding.where == f"/Statement/0/Condition/{operator}/{IMAGE}"


@pytest.mark.parametrize("value", [A[1:], A + "0", "0x" + A[2:], "", 7, None, "${aws:x}", []])
def test_k2_a_value_that_is_not_96_hex_digits_is_found(value):
    assert codes(allow({"StringEqualsIgnoreCase": {IMAGE: value}})) == ["hex"]
    if value != []:
        assert codes(allow({"StringEqualsIgnoreCase": {IMAGE: [A, value]}})) == ["hex"]


@pytest.mark.parametrize("name", ["ImageSha384", "PCR0", "PCR1", "PCR2", "pcr0"])
def test_k2_a_zero_pin_of_the_image_is_found(name):
    assert codes(allow({"StringEqualsIgnoreCase": {KEY + name: ZERO}})) == ["zero_pin"]
    assert codes(allow({"StringEqualsIgnoreCase": {KEY + name: [A, ZERO]}})) == ["zero_pin"]
    both = {"StringEqualsIgnoreCase": {IMAGE: A, KEY + "PCR8": ZERO}}
    assert codes(allow(both)) == []


def test_k2_m4_the_constant_pcr2_is_found_if_nothing_else_identifies_the_image():
    constant = EMPTY_RAMDISKS.hex()
    alone = {"StringEqualsIgnoreCase": {KEY + "PCR2": [B, constant.upper()]}}
    assert codes(allow(alone)) == ["constant_pcr2", "no_image"]
    beside = {"StringEqualsIgnoreCase": {IMAGE: A, KEY + "PCR2": constant}}
    assert codes(allow(beside)) == []


def test_k2_a_pin_of_the_instance_is_found():
    beside = {"StringEqualsIgnoreCase": {IMAGE: A, KEY + "PCR4": B}}
    assert codes(allow(beside)) == ["instance_pin"]
    assert codes(allow({"StringEqualsIgnoreCase": {IMAGE: A, KEY + "PCR3": B}})) == []


@pytest.mark.parametrize("name", ["PCR1", "PCR2", "PCR3", "PCR16", "NitroTPMPCR0", "NitroTPMPCR12"])
def test_k11_registers_that_do_not_identify_the_code_are_not_enough(name):
    [finding] = findings(allow({"StringEqualsIgnoreCase": {KEY + name: A}}))
    assert (finding.code, finding.severity) == ("keypolicy.no_image", "error")
    assert finding.where == "/Statement/0/Condition"


@pytest.mark.parametrize("pcr2", [B, EMPTY_RAMDISKS.hex()])
def test_k11_pcr1_and_pcr2_together_identify_the_image(pcr2):
    condition = {"StringEqualsIgnoreCase": {KEY + "PCR1": A, KEY + "PCR2": pcr2}}
    assert codes(allow(condition)) == []


@pytest.mark.parametrize("values", [ZERO, [A, ZERO]])
def test_k11_pcr8_of_an_unsigned_image_identifies_nothing(values):
    condition = {"StringEqualsIgnoreCase": {KEY + "PCR8": values}}
    assert codes(allow(condition)) == ["unsigned", "no_image"]


@pytest.mark.parametrize("value", [SECURE_BOOT_OFF_PCR7.hex().upper(), ZERO])
def test_k11_pcr7_without_secure_boot_identifies_nothing(value):
    condition = {"StringEqualsIgnoreCase": {KEY + "NitroTPMPCR7": value}}
    assert codes(allow(condition)) == ["secure_boot_off", "no_image"]
    condition["StringEqualsIgnoreCase"][KEY + "NitroTPMPCR4"] = A
    assert codes(allow(condition)) == []


def test_k11_pcr4_of_an_instance_is_not_zero():
    assert codes(allow({"StringEqualsIgnoreCase": {KEY + "NitroTPMPCR4": ZERO}})) == ["no_image"]


def test_k11_pcr17_of_a_sandbox_is_enough_only_beside_the_image():
    alone = {"StringEqualsIgnoreCase": {KEY + "PCR17": A}}
    [finding] = findings(allow(alone))
    assert (finding.code, finding.severity) == ("keypolicy.sandbox", "error")
    assert "Nitro Sandbox" in finding.message
    assert codes(allow({"StringEqualsIgnoreCase": {IMAGE: A, KEY + "PCR17": A}})) == []
    guard = deny({"StringNotEqualsIgnoreCase": {KEY + "PCR17": A}})
    assert codes(allow(alone), guard) == ["sandbox"]
    assert codes(allow(alone), guard, deny(GUARD)) == []


def test_k11_a_test_that_holds_without_a_document_requires_no_kind():
    condition = {
        "StringEqualsIgnoreCaseIfExists": {KEY + "NitroTPMPCR4": A},
        "StringEqualsIgnoreCase": {IMAGE: A},
    }
    assert codes(allow(condition)) == ["if_exists"]


def test_k11_registers_of_an_enclave_and_of_an_instance_exclude_one_another():
    condition = {"StringEqualsIgnoreCase": {IMAGE: A, KEY + "NitroTPMPCR4": B}}
    assert codes(allow(condition)) == ["mixed_kinds"]
    condition = {"StringEqualsIgnoreCase": {IMAGE: A, KEY + "PCR4": B}}
    assert "mixed_kinds" not in codes(allow(condition))


def test_k11_value_lists_under_two_keys_allow_mixtures():
    condition = {"StringEqualsIgnoreCase": {IMAGE: [A, B], KEY + "PCR1": [B, A]}}
    [finding] = findings(allow(condition))
    assert (finding.code, finding.severity) == ("keypolicy.mixture", "warning")
    condition["StringEqualsIgnoreCase"][KEY + "PCR1"] = [B, B.upper()]
    assert codes(allow(condition)) == []
    other = deny({"StringNotEqualsIgnoreCase": {KEY + "PCR1": [A, B]}})
    assert codes(allow(), deny(GUARD), other) == ["mixture"]


@pytest.mark.parametrize("name", ["NitroTPMPCR4", "nitrotpmpcr7"])
def test_nitrotpm_keys_are_known(name):
    assert codes(allow({"StringEqualsIgnoreCase": {KEY + name: A}})) == []
    assert codes(allow({"StringEqualsIgnoreCase": {KEY + name: A[2:]}})) == ["hex"]


@pytest.mark.parametrize(
    "name", ["PCR32", "PCR00", "PCR", "ImageSha256", "", "NitroTPMPCR99", "PCR0 "]
)
def test_a_key_that_kms_does_not_have_is_found(name):
    assert codes(allow({"StringEqualsIgnoreCase": {KEY + name: A}})) == ["unknown_key"]


@pytest.mark.parametrize("key", [KEY[:-1], KEY[:-1].lower(), KEY[:-1] + "/PCR0"])
def test_a_prefix_without_a_register_is_not_a_key(key):
    assert codes(allow({"StringEqualsIgnoreCase": {key: A}})) == ["unknown_key"]
    assert codes(allow(SAFE), deny({"Null": {key: "true"}})) == ["unknown_key"]


@pytest.mark.parametrize(
    "operator", ["StringEqualsIgnoreCas", "NumericEquals", "ArnLike", "ForMany:StringEquals", ""]
)
def test_an_operator_that_does_not_compare_strings_is_found(operator):
    assert codes(allow({operator: {IMAGE: A}})) == ["operator"]


def test_k3_if_exists_is_true_for_a_request_without_a_document():
    assert codes(allow({"StringEqualsIgnoreCaseIfExists": {IMAGE: A}})) == ["if_exists"]
    assert codes(deny({"StringNotEqualsIgnoreCaseIfExists": {IMAGE: A}})) == []


@pytest.mark.parametrize("statement", [allow, deny])
def test_k3_for_all_values_is_true_for_a_request_without_a_document(statement):
    condition = {"ForAllValues:StringEqualsIgnoreCase": {IMAGE: A}}
    assert codes(statement(condition)) == ["for_all_values"]


def test_k3_for_any_value_is_false_for_a_request_without_a_document():
    assert codes(allow({"ForAnyValue:StringEqualsIgnoreCase": {IMAGE: A}})) == []
    assert codes(deny({"ForAnyValue:StringNotEqualsIgnoreCase": {IMAGE: A}})) == ["deny_equals"]


@pytest.mark.parametrize("value", ["*", A[:-1] + "*", "?" * 96])
def test_k3_a_wildcard_is_found_and_a_like_without_one_is_not(value):
    assert codes(allow({"StringLike": {IMAGE: value}})) == ["case", "wildcard"]
    assert codes(allow({"StringLike": {IMAGE: A}})) == ["case"]
    assert codes(allow({"StringEqualsIgnoreCase": {IMAGE: value}})) == ["hex"]


@pytest.mark.parametrize("operator", ["StringNotEqualsIgnoreCase", "StringNotEquals"])
def test_k3_an_allow_with_a_negated_operator_is_found(operator):
    assert "negated" in codes(allow({operator: {IMAGE: A}}))
    assert "negated" not in codes(deny({operator: {IMAGE: A}}))


@pytest.mark.parametrize("operator", ["StringEqualsIgnoreCase", "StringEquals", "StringLike"])
def test_k3_a_deny_with_an_equality_operator_is_found(operator):
    assert "deny_equals" in codes(deny({operator: {IMAGE: A}}))
    assert "deny_equals" not in codes(allow({operator: {IMAGE: A}}))


def test_k3_for_any_value_with_a_negated_operator_needs_a_document_but_not_the_right_one():
    assert codes(allow({"ForAnyValue:StringNotEquals": {IMAGE: A}})) == ["case", "no_image"]
    both = {"StringEqualsIgnoreCase": {IMAGE: A}, "ForAnyValue:StringNotEquals": {IMAGE: B}}
    assert codes(allow(both)) == ["case"]


def test_k3_null_is_evaluated_for_an_absent_key():
    assert codes(allow({"Null": {IMAGE: "true"}})) == ["negated"]
    assert codes(allow({"Null": {IMAGE: "false"}})) == ["no_image"]
    assert codes(deny({"Null": {IMAGE: True}})) == []
    assert codes(deny({"Null": {IMAGE: "false"}})) == ["deny_equals"]


def test_k3_a_deny_with_several_keys_is_found():
    several = {"StringNotEqualsIgnoreCase": {IMAGE: A, KEY + "PCR1": B}}
    assert codes(deny(several)) == ["deny_several"]
    apart = [deny({"StringNotEqualsIgnoreCase": {key: A}}) for key in (IMAGE, KEY + "PCR1")]
    assert codes(*apart) == []


@pytest.mark.parametrize(("other", "found"), [(A, []), (A.upper(), []), (B, ["image_and_pcr0"])])
def test_k4_two_values_for_pcr0_are_found(other, found):
    condition = {"StringEqualsIgnoreCase": {IMAGE: A, KEY + "PCR0": other}}
    assert codes(allow(condition)) == found


# Findings about whole statements


@pytest.mark.parametrize(
    "actions",
    [
        "kms:Decrypt",
        "KMS:decrypt",
        "kms:De*",
        "*",
        ["kms:Encrypt", "kms:GenerateDataKey?air"],
        "kms:DeriveSharedSecret",
        ["kms:GenerateDataKey"],
    ],
)
def test_k3_plaintext_without_any_attestation_is_found(actions):
    other = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    assert codes(allow(other, actions))[0] == "unattested"
    assert set(codes(allow(SAFE, actions))) <= {"no_document"}


@pytest.mark.parametrize(
    "actions", ["kms:Describe*", "kms:Encrypt", "kms:GenerateDataKeyWithoutPlaintext", [], "s3:*"]
)
def test_k3_operations_that_return_no_plaintext_need_no_attestation(actions):
    assert codes(allow(None, actions)) == []


@pytest.mark.parametrize(
    "principal", [{"AWS": ROOT}, {"AWS": ["111122223333"]}, {"AWS": "arn:aws-us-gov" + ROOT[7:]}]
)
def test_k3_an_allowed_account_is_found(principal):
    assert codes(allow(None, "kms:*", principal)) == ["account_root", "way_around"]
    assert codes(allow(None, "kms:Describe*", principal)) == []
    assert codes(allow(SAFE, "kms:Decrypt", principal)) == []


def test_k3_an_account_and_a_role_are_two_findings():
    found = codes(allow(None, "kms:Decrypt", {"AWS": [ROOT, ROLE]}))
    assert found == ["account_root", "unattested"]


@pytest.mark.parametrize(
    "action",
    [
        *("kms:CreateGrant", "kms:PutKeyPolicy", "kms:ReplicateKey", "kms:Put*"),
        *("kms:ReEncrypt*", "kms:reencryptfrom"),
    ],
)
def test_k13_a_way_around_is_an_error_without_a_condition_and_a_warning_with_one(action):
    assert codes(allow(None, action)) == ["way_around"]
    assert codes(allow({}, action)) == ["way_around"]
    condition = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    [finding] = findings(allow(condition, action))
    assert (finding.code, finding.severity) == ("keypolicy.conditional_way_around", "warning")
    assert codes(allow(None, action), deny({}, Action="kms:*")) == []


@pytest.mark.parametrize(
    "action",
    [
        *("kms:Sign", "kms:Verify", "kms:Put*", "kms:Encrypt", "kms:ReEncrypt*"),
        *("kms:CreateGrant", "kms:ReplicateKey", "kms:GenerateDataKeyWithoutPlaintext", "s3:*"),
    ],
)
def test_k10_an_operation_whose_requests_carry_no_document_is_found(action):
    found = findings(allow(SAFE, ["kms:Decrypt", action]))
    assert [(item.code, item.where) for item in found] == [
        ("keypolicy.no_document", "/Statement/0/Action")
    ]
    assert codes(allow({"Null": {IMAGE: "false"}}, action)) == ["no_document"]
    assert codes(allow({"Null": {IMAGE: "true"}}, action)) == ["negated"]


def test_k10_a_wildcard_that_names_an_operation_with_a_document_is_not_found():
    assert codes(allow(SAFE, ["kms:GenerateDataKey*", "kms:GenerateRandom", "kms:*", "*"])) == []


def test_k10_a_deny_that_locks_everyone_out_is_a_warning():
    [finding] = findings(allow(SAFE), deny(GUARD, Action="kms:*"))
    assert (finding.code, finding.severity) == ("keypolicy.lockout", "warning")
    everyone = {"AWS": [ROLE, "*"]}
    assert codes(allow(SAFE), deny(GUARD, Action="kms:*", Principal=everyone)) == ["lockout"]
    assert codes(allow(SAFE), deny(GUARD, Action="kms:*", Principal={"AWS": ROLE})) == []
    other = {"StringNotEquals": {"aws:PrincipalArn": ROLE}}
    assert codes(allow(SAFE), deny(GUARD | other, Action="kms:*")) == []


@pytest.mark.parametrize("principal", ["*", ["*"], {"AWS": "*"}, {"AWS": [ROLE, "*"]}])
def test_k12_every_principal_of_every_account_is_a_warning(principal):
    [finding] = findings(allow(SAFE, principal=principal))
    assert (finding.code, finding.severity) == ("keypolicy.any_principal", "warning")
    account = {"StringEquals": {"kms:CallerAccount": "111122223333"}}
    assert codes(allow(SAFE | account, principal=principal)) == []


def test_k12_a_statement_without_a_principal_is_evaluated_for_everyone():
    statement = allow(None)
    del statement["Principal"]
    assert codes(statement) == ["unattested"]


def test_k12_a_statement_without_a_resource_has_no_effect():
    guard = deny(GUARD)
    del guard["Resource"]
    assert codes(allow(None), guard) == ["unattested", "no_resource"]


def test_k3_not_action_and_not_principal_are_found():
    statement = allow(SAFE)
    statement["NotAction"] = [statement.pop("Action"), "kms:Generate*", "kms:Derive*"]
    assert codes(statement) == ["not_action"]
    statement = allow(None)
    statement["NotAction"] = statement.pop("Action")
    assert codes(statement) == ["not_action", "unattested", "way_around"]
    statement = allow(SAFE)
    statement["NotPrincipal"] = statement.pop("Principal")
    assert codes(statement) == ["not_principal"]


def test_k3_a_sound_deny_protects_the_other_statements():
    account = allow(None, "kms:*", {"AWS": ROOT})
    assert codes(account, deny(GUARD)) == ["way_around"]
    service = allow(None, "kms:Decrypt", {"Service": "ec2.amazonaws.com"})
    assert codes(service, deny(GUARD)) == []
    assert codes(allow(None), deny(GUARD, Resource=["*"])) == []
    assert codes(allow(None), deny(GUARD, Action="*")) == ["lockout"]
    parts = [deny({"StringNotEqualsIgnoreCase": {KEY + name: A}}) for name in ("PCR1", "PCR2")]
    assert codes(allow(None), *parts) == []
    assert codes(allow(None), deny(GUARD, Action="kms:Decrypt", Principal={"AWS": "*"})) == []


@pytest.mark.parametrize(
    "guard",
    [
        deny(GUARD, Principal={"AWS": ROLE}),
        deny(GUARD, Principal={"Service": "*"}),
        deny(GUARD, Principal={"Federated": "*"}),
        deny(GUARD, Principal={"CanonicalUser": "*"}),
        deny(GUARD, Principal={"": "*"}),
        deny(GUARD, Principal=[]),
        deny(GUARD, Action="kms:Encrypt"),
        deny(GUARD, Action="k*:Decrypt"),
        deny(GUARD, NotResource="arn:aws:kms:us-east-1:111122223333:key/other"),
        deny(GUARD, Resource="arn:aws:kms:us-east-1:111122223333:key/other"),
        deny(GUARD | {"StringEquals": {"aws:PrincipalTag/x": "y"}}),
        deny({"StringEqualsIgnoreCase": {IMAGE: A}}),
        deny({"Null": {IMAGE: "true"}}),
        deny({"ForAnyValue:StringNotEqualsIgnoreCase": {IMAGE: A}}),
        deny({"ForAllValues:StringNotEqualsIgnoreCase": {IMAGE: A}}),
        deny({"StringNotEqualsIgnoreCase": {IMAGE: A, KEY + "PCR1": A}}),
        allow(GUARD, principal="*"),
    ],
)
def test_k12_a_deny_that_some_requests_escape_protects_nothing(guard):
    assert "unattested" in codes(allow(None), guard)


@pytest.mark.parametrize(
    "condition",
    [
        {KEY + "PCR3": A},
        {KEY + "PCR1": A},
        {KEY + "PCR8": ZERO},
        {KEY + "PCR8": [A, ZERO]},
        {IMAGE: [A, ZERO]},
        {IMAGE: []},
        {KEY + "NitroTPMPCR7": SECURE_BOOT_OFF_PCR7.hex()},
    ],
)
def test_k12_a_deny_without_known_code_requires_only_some_document(condition):
    found = findings(allow(None), deny({"StringNotEqualsIgnoreCase": condition}))
    assert "/Statement/0" in [item.where for item in found if item.code == "keypolicy.no_image"]


def test_k12_a_deny_for_aws_principals_does_not_protect_statements_for_services():
    guard = deny(GUARD, Principal={"AWS": "*"})
    assert codes(allow(None), guard) == []
    for principal in ({"Service": "ec2.amazonaws.com"}, {"AWS": ROLE, "Federated": "x"}):
        assert "unattested" in codes(allow(None, principal=principal), guard)


# Statements of AWS's documentation, with values of 96 digits in the place of its examples


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        # KMS Developer Guide, Condition keys for Nitro Enclaves and for NitroTPM
        (["ImageSha384"], []),
        (["NitroTPMPCR4"], []),
        # EC2 User Guide, Prepare AWS KMS for attestation
        (["NitroTPMPCR4", "NitroTPMPCR12"], []),
        (["NitroTPMPCR7"], []),
        # Prescriptive Guidance, Require attestation to use an AWS KMS key
        ([f"PCR{index}" for index in (0, 1, 2, 3, 4, 8)], ["instance_pin"]),
        # KMS Developer Guide, on the syntax of PCR<n>: other images have the same PCR1
        (["PCR1"], ["no_image"]),
        # aws-samples, sample-eks-nitro-sandbox
        (["PCR17"], ["sandbox"]),
    ],
)
def test_statements_that_aws_documents(keys, found):
    actions = [*PLAINTEXT_ACTIONS, "kms:GenerateRandom"]
    condition = {"StringEqualsIgnoreCase": {KEY + key: A for key in keys}}
    assert codes(allow(condition, actions)) == found
    administration = ["kms:Describe*", "kms:Get*", "kms:List*", "kms:ScheduleKeyDeletion"]
    account = allow(None, administration, {"AWS": ROOT})
    guards = [deny({"StringNotEqualsIgnoreCase": {KEY + key: A}}) for key in keys]
    assert set(codes(account, allow(condition, actions), *guards)) == set(found)


def test_a_misspelt_element_is_found():
    assert lint(json.dumps({"Version": "2012-10-17", "Id": "key", "Statement": allow(SAFE)})) == []
    assert codes(allow(SAFE, Conditions=SAFE)) == ["unknown_element"]
    [finding] = lint(json.dumps({"Statement": allow(SAFE), "version": "x"}))
    assert (finding.code, finding.where) == ("keypolicy.unknown_element", "/version")


def test_where_is_a_json_pointer():
    [finding] = findings(allow(SAFE), allow(SAFE, **{"a/b~c": 1}))
    assert finding.where == "/Statement/1/a~1b~0c"
    single = lint(json.dumps({"Statement": allow(None)}))
    assert [item.where for item in single] == ["/Statement"]
    assert set(single[0].to_dict()) == {"code", "severity", "where", "message", "advice"}


def test_every_code_of_the_table_can_be_found():
    constant = {"StringEqualsIgnoreCase": {KEY + "PCR2": EMPTY_RAMDISKS.hex()}}
    account = {"AWS": ROOT}
    not_action = {k: v for k, v in allow(SAFE, NotAction="x").items() if k != "Action"}
    cases = [
        [allow(None, "kms:*"), allow(None, "kms:*", account), not_action],
        [allow(SAFE, NotPrincipal="x", Else=1), allow(constant)],
        [allow({f"{name}IfExists": {IMAGE: A}}) for name in ("StringEquals",)],
        [allow({"ForAllValues:StringEquals": {IMAGE: A}}), allow({"Null": {IMAGE: "true"}})],
        [deny(SAFE), deny({"StringNotEquals": {IMAGE: A, KEY + "PCR1": A}}, Action="kms:*")],
        [allow({"Bool": {IMAGE: A}}), allow({"StringLike": {IMAGE: "*"}})],
        [allow({"StringEquals": {KEY + "x": A, KEY + "PCR1": "1", KEY + "PCR2": ZERO}})],
        [allow({"StringEquals": {KEY + "PCR4": A, IMAGE: A, KEY + "PCR0": B}})],
        [allow({"Bool": {"aws:x": "true"}}, "kms:CreateGrant"), allow(SAFE, "kms:Sign")],
        [allow({"StringEquals": {KEY + name: ZERO}}) for name in ("PCR8", "NitroTPMPCR7")],
        [allow({"StringEquals": {KEY + "PCR17": A}}), allow(SAFE, principal="*")],
        [allow({"StringEquals": {IMAGE: [A, B], KEY + "PCR3": [A, B], KEY + "NitroTPMPCR4": A}})],
        [{"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:DescribeKey"}],
    ]
    found = {f"keypolicy.{code}" for case in cases for code in codes(*case)}
    assert found == set(FINDINGS)


# Text that is not a key policy


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"Statement": []}',
        '{"Statement": [1]}',
        '{"Statement": "x"}',
        '{"Statement": {"Effect": "allow", "Action": "x"}}',
        '{"Statement": {"Effect": "Allow"}}',
        '{"Statement": {"Effect": "Allow", "Action": "x", "NotAction": "y"}}',
        '{"Statement": {"Effect": "Allow", "Action": 1}}',
        '{"Statement": {"Effect": "Allow", "Action": "x"}} x',
        b"\xff",
        '{"Statement": {"Effect": "Allow", "Action": "x", "Condition": []}}',
        '{"Statement": {"Effect": "Allow", "Action": "x", "Condition": {"a": 1}}}',
        '{"Statement": {"Effect": "Allow", "Action": "x", "Principal": {"AWS": [1]}}}',
        "[" * 1000,
        " " * (MAX_KEY_POLICY_BYTES + 1),
    ],
)
def test_text_that_is_not_a_key_policy_is_rejected(content):
    assert code_of(lint, content) == "policyfile.format"


@pytest.mark.parametrize("value", [None, 7, {"Statement": []}])
def test_an_argument_that_is_not_text_is_rejected(value):
    assert code_of(lint, value) == "input.expected"


def test_l3_a_duplicate_key_is_rejected():
    twice = '{"Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "kms:*"}}'
    assert code_of(lint, twice) == "policyfile.duplicate"


def test_patterns_do_not_backtrack():
    assert codes(allow(None, "*a" * 30_000 + "*")) == []
    assert codes(allow(None, ["kms:[D]ecrypt", "kms:Decryp[t]"])) == []
