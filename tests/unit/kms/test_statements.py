"""Key policy statements that are written for a policy or a measurement set (K-1, K-4)."""

import json

import pytest

from nitro_attest import MeasurementSet, Policy
from nitro_attest._internal.pcrs import EMPTY_RAMDISKS
from nitro_attest.kms.lint import lint
from nitro_attest.kms.statements import (
    PLAINTEXT_ACTIONS,
    condition_block,
    statements,
    unenforced,
)
from support.errors import code_of

A, B = "ab" * 48, "cd" * 48
ZERO = "0" * 96
ROLE = "arn:aws:iam::111122223333:role/enclaves"
KEY = "kms:RecipientAttestation:"
IMAGE = KEY + "ImageSha384"
SAFE = {"StringEqualsIgnoreCase": {IMAGE: A}}


def test_k1_values_are_96_lower_case_hex_digits_compared_case_insensitively():
    block = condition_block({0: "0x" + A.upper(), 1: bytes.fromhex(B), 31: B})
    assert block == {
        "StringEqualsIgnoreCase": {IMAGE: A, KEY + "PCR1": B, KEY + "PCR31": B},
    }


def test_k4_pcr0_is_written_once_as_image_sha384():
    [(_, keys)] = condition_block(MeasurementSet({0: A})).items()
    assert list(keys) == [IMAGE]


def test_one_set_is_one_statement():
    assert statements({0: A}, principals=[ROLE], actions=PLAINTEXT_ACTIONS, sid="App") == [
        {
            "Sid": "App",
            "Effect": "Allow",
            "Principal": {"AWS": [ROLE]},
            "Action": list(PLAINTEXT_ACTIONS),
            "Resource": "*",
            "Condition": SAFE,
        }
    ]


def test_each_set_becomes_a_separate_statement_so_that_no_mixture_matches():
    made = statements(Policy([{0: A, 1: A}, {0: B, 1: B}]), principals=[ROLE])
    assert [item["Sid"] for item in made] == ["NitroEnclave1", "NitroEnclave2"]
    for item, value in zip(made, (A, B), strict=True):
        assert set(item["Condition"]["StringEqualsIgnoreCase"].values()) == {value}


def test_written_statements_have_no_findings():
    policy = Policy([{0: A, 1: A, 2: EMPTY_RAMDISKS.hex(), 8: B}, {1: A, 2: B, 3: A}])
    written = statements(policy, principals=[ROLE], actions=PLAINTEXT_ACTIONS)
    assert lint(json.dumps({"Version": "2012-10-17", "Statement": written})) == []


def test_m3_zero_and_empty_measurements_are_rejected():
    assert code_of(condition_block, {0: ZERO}) == "policyfile.zero_pin"
    assert code_of(condition_block, {}) == "policyfile.empty"


@pytest.mark.parametrize(
    "options",
    [
        {"principals": []},
        {"principals": ROLE},
        {"principals": ["*"]},
        {"principals": ["111122223333"]},
        {"principals": [None]},
        {"actions": []},
        {"actions": "kms:Decrypt"},
        {"actions": ["kms:*"]},
        {"actions": ["kms:Encrypt"]},
        {"actions": ["kms:GenerateRandom"]},
        {"sid": "a b"},
        {"sid": ""},
        {"sid": None},
    ],
)
def test_invalid_principals_actions_and_sids_are_rejected(options):
    code = code_of(statements, {0: A}, **{"principals": [ROLE], **options})
    assert code == "input.expected"


def test_unenforced_lists_the_requirements_that_kms_does_not_check():
    assert unenforced(Policy([{0: A}])) == []
    policy = Policy([{0: A}], require_nonce=True, regions=["us-east-1"])
    assert unenforced(policy) == ["require_nonce", "regions"]
