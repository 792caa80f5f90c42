"""Statements as YAML and HCL mean what they mean as JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest import MeasurementSet, NitroTpmPolicy, Policy
from nitro_attest.cli.key_policy_text import FORMATS
from nitro_attest.errors import InputError
from nitro_attest.kms.statements import (
    PLAINTEXT_ACTIONS,
    condition_block,
    nitrotpm_statements,
    statements,
)
from nitro_attest.verification.measurement_set import NitroTpmMeasurementSet
from support import terraform

ROLE = "arn:aws:iam::123456789012:role/parent"
ONES = "11" * 48

pcrs = st.dictionaries(
    st.integers(0, 31), st.binary(min_size=48, max_size=48).filter(any), min_size=1, max_size=4
)
characters = st.characters(exclude_categories=["Cs"])
principals = st.lists(
    st.text(characters, max_size=30)
    .map("arn:".__add__)
    .filter(lambda text: not any(start in text for start in ("${", "%{", "&{"))),
    min_size=1,
    max_size=3,
)
actions = st.lists(st.sampled_from(PLAINTEXT_ACTIONS), min_size=1, unique=True)


@st.composite
def written(draw):
    """Statements of one to three measurement sets of enclaves or of instances."""
    options = {"principals": draw(principals), "actions": draw(actions)}
    sets = draw(st.lists(pcrs, min_size=1, max_size=3))
    if draw(st.booleans()):
        instances = [
            NitroTpmMeasurementSet({4: next(iter(pcrs.values()))} | drop_high(pcrs))
            for pcrs in sets
        ]
        return nitrotpm_statements(NitroTpmPolicy(instances), **options)
    return statements(Policy([MeasurementSet(pcrs) for pcrs in sets]), **options)


def drop_high(pcrs):
    return {index: value for index, value in pcrs.items() if index < 24}


def text(name, value):
    return "".join(f"{line}\n" for line in FORMATS[name](value))


def from_hcl(source):
    return terraform.statements(terraform.documents(terraform.load(source))["attested"])


@given(written())
def test_yaml_has_the_same_statements(value):
    yaml = pytest.importorskip("yaml", reason="pyyaml is not installed")
    assert yaml.safe_load(text("yaml", value)) == value
    (first, *_) = value
    assert yaml.safe_load(text("yaml", first["Condition"])) == first["Condition"]


@given(written())
def test_hcl_has_the_same_statements(value):
    assert from_hcl(text("hcl", value)) == value


@given(written())
def test_json_has_the_same_statements(value):
    assert json.loads(text("json", value)) == value


def test_hcl_of_a_condition_is_its_blocks():
    condition = condition_block({0: ONES, 8: "22" * 48})
    blocks = terraform.load(text("hcl", condition))["condition"]
    assert terraform.condition(blocks) == condition


def test_every_string_is_quoted():
    """A bare word such as ``no`` or ``1e3`` is not a string to every reader of YAML."""
    (statement,) = statements({0: "1" * 96}, principals=["arn:no"])
    lines = text("yaml", statement).splitlines()
    assert '    "kms:RecipientAttestation:ImageSha384": "' + "1" * 96 + '"' in lines
    assert '    - "arn:no"' in lines


@pytest.mark.parametrize("template", ["${", "%{", "&{"])
def test_hcl_rejects_what_terraform_would_replace(template):
    value = statements({0: ONES}, principals=[f"{ROLE}{template}x}}"])
    with pytest.raises(InputError, match="use --format json") as caught:
        text("hcl", value)
    assert caught.value.code == "input.expected"
    assert template in text("yaml", value)


@pytest.mark.parametrize("harmless", ["$x{", "{%}", "$", "& {"])
def test_hcl_keeps_what_only_resembles_a_template(harmless):
    value = statements({0: ONES}, principals=[ROLE + harmless])
    assert from_hcl(text("hcl", value)) == value
