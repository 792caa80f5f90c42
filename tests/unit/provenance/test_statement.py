"""Statements of measurements: one form of ours, two others, and nothing else (V-1, V-4 to V-6)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nitro_attest import InputError, Policy
from nitro_attest.limits import MAX_PROVENANCE_BYTES
from nitro_attest.provenance import PREDICATE_TYPE, parse_unverified_statement
from support.errors import code_of, code_or_none
from support.paths import DOCS
from support.statements import PCRS, compact, predicate, statement

SCHEMA = json.loads((DOCS / "reference/statement.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
OTHER_TYPE = "https://other.example/measurements/v1"
NAMED = {"PCR0": "a0" * 48, "PCR1": "a1" * 48, "PCR2": "a2" * 48}
ZEROS = "00" * 48


def code(value, **options):
    return code_or_none(parse_unverified_statement, compact(value), **options)


def test_a_complete_statement_is_read_whole():
    found = parse_unverified_statement(compact(statement()))
    assert found.to_dict() == {
        "subject": {"name": "app.eif", "sha256": "ab" * 32, "sha384": None},
        "predicate_type": PREDICATE_TYPE,
        "pcrs": PCRS | {"8": "a8" * 48},
        "signing_certificate_sha256": "cd" * 32,
        "builder": {"id": "https://ci.example/build/42"},
        "image_name": "app",
        "image_version": "1.4",
    }
    assert Policy([found.pcrs]).measurements[0].pcrs[8] == b"\xa8" * 48
    assert hash(found)


def test_only_the_measurements_are_required():
    least = predicate(pcrs=PCRS, signingCertificate=None, builder=None, image=None)
    found = parse_unverified_statement(compact(statement(of=least)))
    assert sorted(found.pcrs) == [0, 1, 2]
    assert (found.signing_certificate_sha256, found.builder, found.image_name) == (None,) * 3


CHANGED = {
    "no list": ([], "provenance.format"),
    "type": (statement(_type="https://in-toto.io/Statement/v0.1"), "provenance.format"),
    "no type": (statement(_type=None), "provenance.format"),
    "no predicate": (statement(predicate=None), "provenance.format"),
    "a member": (statement(extra=1), "provenance.unknown_key"),
    "predicate type": (statement(predicateType=OTHER_TYPE), "provenance.predicate_type"),
    "predicate as text": (statement(predicate="{}"), "provenance.format"),
    "no subject": (statement(subject=[]), "provenance.subject"),
    "two subjects": (statement(subject=statement()["subject"] * 2), "provenance.subject"),
    "subject as text": (statement(subject=["app.eif"]), "provenance.format"),
    "no name": (statement(subject=[{"digest": {"sha256": "ab" * 32}}]), "provenance.format"),
    "no digest": (statement(digest={"sha384": "ab" * 48}), "provenance.format"),
    "short digest": (statement(digest={"sha256": "ab" * 31}), "provenance.subject"),
    "upper case": (statement(digest={"sha256": "AB" * 32}), "provenance.subject"),
    "another digest": (
        statement(digest={"sha256": "ab" * 32, "sha1": "ab" * 20}),
        "provenance.unknown_key",
    ),
    "a member of the predicate": (statement(of=predicate(extra=1)), "provenance.unknown_key"),
    "SHA-256": (statement(of=predicate(hashAlgorithm="SHA256")), "provenance.measurements"),
    "no hash": (statement(of=predicate(hashAlgorithm=None)), "provenance.format"),
    "no PCRs": (statement(of=predicate(pcrs=None)), "provenance.format"),
    "PCRs in a list": (statement(of=predicate(pcrs=[1])), "provenance.format"),
    "no PCR0": (statement(of=predicate(pcrs={"1": "a1" * 48})), "provenance.measurements"),
    "no PCR2": (
        statement(of=predicate(pcrs={"0": "a0" * 48, "1": "a1" * 48})),
        "provenance.measurements",
    ),
    "PCR3": (statement(of=predicate(pcrs=PCRS | {"3": "a3" * 48})), "provenance.unknown_key"),
    "short PCR": (statement(of=predicate(pcrs=PCRS | {"0": "a0"})), "provenance.measurements"),
    "number": (statement(of=predicate(pcrs=PCRS | {"0": 0})), "provenance.measurements"),
    "a digit more": (
        statement(of=predicate(pcrs=PCRS | {"0": "a0" * 48 + "\n"})),
        "provenance.measurements",
    ),
    "debug mode": (statement(of=predicate(pcrs=PCRS | {"0": ZEROS})), "provenance.measurements"),
    "unsigned": (statement(of=predicate(pcrs=PCRS | {"8": ZEROS})), "provenance.measurements"),
    "certificate without PCR8": (statement(of=predicate(pcrs=PCRS)), "provenance.measurements"),
    "certificate": (
        statement(of=predicate(signingCertificate={"sha1": "ab" * 20})),
        "provenance.format",
    ),
    "short certificate": (
        statement(of=predicate(signingCertificate={"sha256": "ab"})),
        "provenance.format",
    ),
    "builder": (statement(of=predicate(builder="me")), "provenance.format"),
    "image": (statement(of=predicate(image={"tag": "x"})), "provenance.unknown_key"),
    "image name": (statement(of=predicate(image={"name": 5})), "provenance.format"),
    "empty version": (statement(of=predicate(image={"version": ""})), "provenance.format"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_anything_else_is_rejected_and_the_schema_agrees(name):
    value, expected = CHANGED[name]
    assert code(value) == expected
    if name != "a digit more":  # Python lets $ match before a line end
        assert not VALIDATOR.is_valid(value)


def test_the_schema_is_a_json_schema_and_takes_what_is_accepted():
    Draft202012Validator.check_schema(SCHEMA)
    assert VALIDATOR.is_valid(statement())
    assert SCHEMA["properties"]["predicateType"]["const"] == PREDICATE_TYPE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("ab" * 48),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["0", "1", "2", "8", "sha256", "name"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(predicate())), JSON)
def test_the_schema_and_the_code_accept_the_same(name, value):
    changed = statement(of={**predicate(), name: value})
    assert VALIDATOR.is_valid(changed) == (code(changed) is None)


TEXTS = {
    "not JSON": ("{", "provenance.format"),
    "text after it": ("{} {}", "provenance.format"),
    "two lines": (compact(statement()) + "\n" + compact(statement()), "provenance.format"),
    "a key twice": (
        compact(statement()).replace('"_type"', '"_type":"x","_type"', 1),
        "provenance.duplicate",
    ),
    "a PCR twice": (
        compact(statement()).replace('"pcrs":{', '"pcrs":{"0":"' + "b0" * 48 + '",'),
        "provenance.duplicate",
    ),
    "a key of the builder twice": (
        compact(statement()).replace('"builder":{', '"builder":{"ID":1,'),
        "provenance.duplicate",
    ),
    "not a number": (
        compact(statement()).replace('"https://ci.example/build/42"', "NaN"),
        "provenance.format",
    ),
    "no finite number": (
        compact(statement()).replace('"https://ci.example/build/42"', "1e999"),
        "provenance.format",
    ),
    "too long": (" " * MAX_PROVENANCE_BYTES + "{}", "provenance.format"),
    "not UTF-8": (b"\xff", "provenance.format"),
    "nothing": ("", "provenance.format"),
    "no text": (5, "input.expected"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_that_is_not_one_statement_is_rejected(name):
    content, expected = TEXTS[name]
    assert code_of(parse_unverified_statement, content) == expected


def test_space_around_the_statement_is_not_part_of_it():
    text = f"\n {compact(statement())}\r\n"
    assert parse_unverified_statement(text) == parse_unverified_statement(text.encode())


@pytest.mark.parametrize(
    "other",
    [NAMED, NAMED | {"HashAlgorithm": "SHA384"}, {"registers": list(NAMED.values())}],
    ids=["named", "with hash", "registers"],
)
def test_two_other_forms_are_read_if_their_type_is_named(other):
    foreign = statement(of=other, predicateType=OTHER_TYPE)
    found = parse_unverified_statement(compact(foreign), predicate_type=OTHER_TYPE)
    assert {str(index): value.hex() for index, value in found.pcrs.items()} == PCRS
    assert code(foreign) == "provenance.predicate_type"
    assert code(statement(), predicate_type=OTHER_TYPE) == "provenance.predicate_type"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"PCR0": "a0" * 48, "PCR1": "a1" * 48}, "provenance.measurements"),
        (NAMED | {"PCR0": ZEROS}, "provenance.measurements"),
        (NAMED | {"PCR8": "a8" * 48}, "provenance.unknown_key"),
        (NAMED | {"HashAlgorithm": "SHA256"}, "provenance.measurements"),
        ({"registers": ["a0" * 48] * 2}, "provenance.measurements"),
        ({"registers": ["a0" * 48] * 4}, "provenance.measurements"),
        ({"registers": ["a0" * 48, "a1" * 48, ZEROS]}, "provenance.measurements"),
        ({"registers": "a0a1a2"}, "provenance.measurements"),
        ({"registers": list(NAMED.values()), "type": "x"}, "provenance.unknown_key"),
        ({"registers": list(NAMED.values()), **NAMED}, "provenance.unknown_key"),
        (predicate(), "provenance.measurements"),
        ([], "provenance.format"),
    ],
)
def test_anything_else_of_another_type_is_rejected(other, expected):
    foreign = statement(of=other, predicateType=OTHER_TYPE)
    assert code(foreign, predicate_type=OTHER_TYPE) == expected


def test_the_message_names_what_is_missing():
    with pytest.raises(InputError, match="found no '1' and no '2'"):
        parse_unverified_statement(compact(statement(of=predicate(pcrs={"0": "a0" * 48}))))
