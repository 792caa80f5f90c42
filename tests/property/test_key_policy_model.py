"""The linter against an evaluator of its own: no policy passes that lets plaintext out.

``tests/reference/key_policy_reference.py`` evaluates requests as AWS documents it. Whatever it
finds allowed without a document, with a document of foreign code, or around the key policy, the
linter must report as an error.
"""

import json
import os
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nitro_attest.kms.lint import lint
from reference import key_policy_reference as reference
from reference.key_policy_reference import NO_SECURE_BOOT, ONE_RAMDISK, ZERO

LONG = os.environ.get("NITRO_ATTEST_LONG") == "1"
A, B = "ab" * 48, "cd" * 48
KEY = "kms:RecipientAttestation:"
ROLE = "arn:aws:iam::111122223333:role/enclaves"
OPERATORS = [
    *("StringEquals", "StringEqualsIgnoreCase", "StringLike"),
    *("StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike"),
    *("StringEqualsIgnoreCaseIfExists", "StringNotEqualsIgnoreCaseIfExists"),
    *("ForAnyValue:StringEquals", "ForAnyValue:StringNotEquals", "ForAnyValue:StringLikeIfExists"),
    *("ForAllValues:StringEquals", "ForAllValues:StringNotEquals"),
    *("Null", "ArnLike"),
]
REGISTERS = [
    *("ImageSha384", "PCR0", "PCR1", "PCR2", "PCR3", "PCR8", "PCR17"),
    *("NitroTPMPCR4", "NitroTPMPCR7", "NitroTPMPCR12", "PCR32", ""),
]
VALUES = [
    *(A, A.upper(), [A, B], ZERO, [A, ZERO], [], A[1:], A[:-1] + "*", "*"),
    *(ONE_RAMDISK, NO_SECURE_BOOT, "true", "false"),
]
PRINCIPALS = [
    *("*", {"AWS": "*"}, {"AWS": ROLE}, {"AWS": [ROLE, "*"]}, {"Service": "ec2.amazonaws.com"}),
    *({"AWS": "arn:aws:iam::111122223333:root"}, {"AWS": "111122223333"}),
    *(
        {"Service": "*"},
        {"Federated": "*"},
        {"": "*"},
        {"AWS": ROLE, "Federated": "accounts.example.com"},
    ),
]
ACTIONS = [
    *("kms:Decrypt", "kms:*", "*", "kms:GenerateDataKey*", "kms:De*", "kms:Encrypt", "kms:Sign"),
    *(["kms:Decrypt", "kms:CreateGrant"], "kms:ReplicateKey", "kms:Put*", "kms:ReEncrypt*"),
]


SOUND = [
    {"StringEqualsIgnoreCase": {KEY + name: A for name in names}}
    for names in (
        *(["ImageSha384"], ["PCR8"], ["PCR1", "PCR2"], ["PCR0", "PCR3"], ["PCR0", "PCR17"]),
        *(["NitroTPMPCR4"], ["NitroTPMPCR7"]),
    )
]


def key_of(register):
    return KEY + register if register else KEY.rstrip(":")


def conditions():
    """Half of them without a fault, so that many policies pass."""
    operators = st.sampled_from(["StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"])
    values = st.sampled_from([A, B, [A, B]])
    registers = st.sampled_from(["ImageSha384", "PCR1", "PCR2", "PCR8"])
    tests = st.tuples(
        operators | st.sampled_from(OPERATORS),
        registers | st.sampled_from(REGISTERS),
        values | st.sampled_from(VALUES),
    )
    other = st.just(("Bool", "aws:SecureTransport", "true"))
    made = st.lists(tests | tests | tests | other, max_size=2).map(condition_of)
    return st.sampled_from([{}, *SOUND, *map(negated, SOUND)]) | made


def negated(condition):
    return {operator.replace("Equals", "NotEquals"): keys for operator, keys in condition.items()}


def condition_of(tests):
    condition = {}
    for operator, name, value in tests:
        key = name if ":" in name else key_of(name)
        condition.setdefault(operator, {})[key] = value
    return condition


def statements():
    return st.builds(
        lambda effect, principal, action, resource, condition: {
            "Effect": effect,
            "Principal": principal,
            "Action": action,
            **({} if resource is None else {"Resource": resource}),
            **({"Condition": condition} if condition else {}),
        },
        st.sampled_from(["Allow", "Allow", "Deny"]),
        st.sampled_from(["*", {"AWS": ROLE}]) | st.sampled_from(PRINCIPALS),
        st.sampled_from(["kms:Decrypt", "kms:*"]) | st.sampled_from(ACTIONS),
        st.sampled_from(["*", "*", "*", "*", ["*"], None, "arn:aws:kms:us-east-1:1:key/x"]),
        conditions(),
    )


def policies():
    return st.builds(
        lambda items: {"Version": "2012-10-17", "Statement": items},
        st.lists(statements(), min_size=1, max_size=4),
    )


def passes(policy):
    return all(finding.severity != "error" for finding in lint(json.dumps(policy)))


def assert_closed(policy):
    """A policy that passes has no leak and no way around it."""
    if passes(policy):
        assert next(reference.leaks(policy), None) is None
        assert next(reference.ways_around(policy), None) is None


@settings(max_examples=20_000 if LONG else 300)
@given(policies())
def test_no_policy_passes_that_allows_plaintext_to_foreign_code(policy):
    assert_closed(policy)


def allow(condition=None, principal=None, action="kms:Decrypt"):
    statement = {
        "Effect": "Allow",
        "Principal": principal or {"AWS": ROLE},
        "Action": action,
        "Resource": "*",
    }
    return statement | ({} if condition is None else {"Condition": condition})


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_single_test_of_an_allow_and_of_a_deny(operator):
    for register, value in product(REGISTERS, VALUES):
        condition = {operator: {key_of(register): value}}
        assert_closed({"Statement": [allow(condition)]})
        deny = allow(condition, "*") | {"Effect": "Deny"}
        assert_closed({"Statement": [allow(), deny]})


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_every_principal_of_an_allow_beside_every_principal_of_a_deny(principal):
    actions = ("kms:Decrypt", "kms:*", "kms:GenerateDataKey*", "kms:ReplicateKey")
    for other, action, denied in product(PRINCIPALS, actions, actions):
        for condition in (negated(SOUND[0]), {}):
            deny = allow(condition, other, denied) | {"Effect": "Deny"}
            assert_closed({"Statement": [allow(None, principal, action), deny]})


@pytest.mark.parametrize("resource", ["*", ["*"], [], None, "arn:aws:kms:us-east-1:1:key/x"])
def test_every_resource_of_a_deny(resource):
    deny = allow(negated(SOUND[0]), "*") | {"Effect": "Deny", "Resource": resource}
    if resource is None:
        del deny["Resource"]
    assert_closed({"Statement": [allow(), deny]})


def documents(condition):
    """The context of the document that a sound condition is written for."""
    values = {key.lower(): A for keys in condition.values() for key in keys}
    image = dict.fromkeys((f"{KEY}PCR0".lower(), f"{KEY}ImageSha384".lower()), A)
    return values | (image if image.keys() & values.keys() else {})


@pytest.mark.parametrize("condition", SOUND)
def test_a_sound_policy_passes_and_allows_its_own_code_only(condition):
    """Guards the tests above, which would pass if every policy were an error or denied all."""
    [keys] = negated(condition).values()
    guards = [
        allow({"StringNotEqualsIgnoreCase": {key: value}}, "*") | {"Effect": "Deny"}
        for key, value in keys.items()
    ]
    own = reference.Request(reference.PRINCIPALS[0], "kms:Decrypt", documents(condition))
    other = dict.fromkeys(own.context, B)
    for policy in ([allow(condition)], [allow(), *guards], [allow(condition), *guards]):
        assert passes({"Statement": policy})
        assert_closed({"Statement": policy})
        for context, allowed in ((own.context, True), (other, False), ({}, False)):
            request = own._replace(context=context)
            assert reference.is_allowed({"Statement": policy}, request, others_hold=True) is allowed
    assert list(reference.leaks({"Statement": [allow()]}))


@pytest.mark.parametrize("action", ["kms:CreateGrant", "kms:ReEncrypt*", "kms:ReplicateKey"])
def test_the_evaluator_finds_ways_around(action):
    assert list(reference.ways_around({"Statement": [allow(None, action=action)]}))
    condition = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    assert not list(reference.ways_around({"Statement": [allow(condition, action=action)]}))
