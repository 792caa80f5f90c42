"""docs/reference/policy.schema.json and the code say the same of a policy.

The validator knows exactly the keywords that the schema uses and refuses any other.
"""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest import InputError, Policy

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/reference/policy.schema.json").read_text())
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
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}
# Each keyword judges only values of the type that it is about, as JSON Schema has it.
KEYWORDS = {
    "type": lambda v, arg: TYPES[arg](v),
    "const": lambda v, arg: v == arg,
    "enum": lambda v, arg: v in arg,
    "required": lambda v, arg: not isinstance(v, dict) or set(arg) <= set(v),
    "minItems": lambda v, arg: not isinstance(v, list) or len(v) >= arg,
    "minProperties": lambda v, arg: not isinstance(v, dict) or len(v) >= arg,
    "minLength": lambda v, arg: not isinstance(v, str) or len(v) >= arg,
    "maxLength": lambda v, arg: not isinstance(v, str) or len(v) <= arg,
    "pattern": lambda v, arg: not isinstance(v, str) or re.search(arg, v) is not None,
    "exclusiveMinimum": lambda v, arg: not TYPES["number"](v) or v > arg,
    "items": lambda v, arg: not isinstance(v, list) or all(valid(item, arg) for item in v),
    "$ref": lambda v, arg: valid(v, SCHEMA["$defs"][arg.removeprefix("#/$defs/")]),
}
MEMBERS = {"properties", "patternProperties", "additionalProperties"}
SILENT = {"$schema", "$defs", "title", "description"}


def valid(value, schema):
    judged = [
        KEYWORDS[name](value, arg) for name, arg in schema.items() if name not in MEMBERS | SILENT
    ]
    return all(judged) and (not isinstance(value, dict) or members_valid(value, schema))


def members_valid(value, schema):
    for key, member in value.items():
        found = [sub for name, sub in schema.get("properties", {}).items() if name == key]
        found += [
            sub for name, sub in schema.get("patternProperties", {}).items() if re.search(name, key)
        ]
        if not found and schema.get("additionalProperties") is False:
            return False
        if not all(valid(member, sub) for sub in found):
            return False
    return True


def accepted(value):
    try:
        Policy.from_dict(value)
    except InputError:
        return False
    return True


def test_the_example_is_valid_and_says_everything():
    assert valid(FULL, SCHEMA)
    assert accepted(FULL)
    assert set(FULL) == set(SCHEMA["properties"])
    assert valid(Policy.from_dict(FULL).to_dict(), SCHEMA)


def test_the_policy_file_among_the_vectors_is_valid():
    assert valid(json.loads((ROOT / "fixtures/vectors/policy/policy.json").read_text()), SCHEMA)


@pytest.mark.parametrize("name", sorted(FULL))
def test_the_schema_and_the_code_require_the_same_keys(name):
    less = {key: value for key, value in FULL.items() if key != name}
    assert valid(less, SCHEMA) == accepted(less) == (name not in SCHEMA["required"])


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
def test_the_schema_and_the_code_judge_a_change_alike(place, value):
    changed = json.loads(json.dumps(FULL))
    target = changed
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    assert valid(changed, SCHEMA) == accepted(changed)
