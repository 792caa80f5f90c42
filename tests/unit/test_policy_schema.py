"""docs/reference/policy.schema.json and Policy.from_dict accept the same policies."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nitro_attest import InputError, Policy

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/reference/policy.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
FULL = {
    "schema": "nitro-attest-policy/1",
    "measurements": [{"name": "v1", "pcrs": {"HashAlgorithm": "Sha384", "PCR0": "ab" * 48}}],
    "max_age_seconds": 60,
    "allow_debug": False,
    "require_nonce": True,
    "module_ids": ["i-0-enc0"],
    "instance_ids": ["i-0"],
    "regions": ["us-east-1"],
    "caveats": ["policy.debug_flag"],
}


def accepted(value):
    try:
        Policy.from_dict(value)
    except InputError:
        return False
    return True


def test_the_schema_is_a_json_schema():
    Draft202012Validator.check_schema(SCHEMA)


def test_the_example_is_valid_and_has_every_key():
    assert VALIDATOR.is_valid(FULL)
    assert accepted(FULL)
    assert set(FULL) == set(SCHEMA["properties"])
    assert VALIDATOR.is_valid(Policy.from_dict(FULL).to_dict())


def test_the_policy_file_among_the_vectors_is_valid():
    assert VALIDATOR.is_valid(
        json.loads((ROOT / "fixtures/vectors/policy/policy.json").read_text())
    )


@pytest.mark.parametrize("name", sorted(FULL))
def test_the_schema_and_the_code_require_the_same_keys(name):
    less = {key: value for key, value in FULL.items() if key != name}
    assert VALIDATOR.is_valid(less) == accepted(less) == (name not in SCHEMA["required"])


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from(["", "x", "ab" * 48, "0x" + "AB" * 48, "sha384", "Sha512", 1.5, -0.5]),
    st.sampled_from([[], {}, [""], ["x"], [1], {"pcrs": {}}, {"PCR0": "ab" * 48}, [{}]]),
)
PLACES = [(name,) for name in [*FULL, "Regions", "at"]] + [
    ("measurements", 0),
    *(("measurements", 0, name) for name in ("name", "pcrs", "pcr", "PCR0")),
    *(("measurements", 0, "pcrs", n) for n in ("PCR0", "pcr31", "PCR32", "PCR01", "HashAlgorithm")),
]


@given(st.sampled_from(PLACES), ODD)
def test_the_schema_and_the_code_agree_on_every_change(place, value):
    changed = json.loads(json.dumps(FULL))
    target = changed
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    assert VALIDATOR.is_valid(changed) == accepted(changed)
