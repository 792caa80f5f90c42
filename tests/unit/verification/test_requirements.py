"""The combined requirements of a policy and a call, without a document's bytes (X-23)."""

from datetime import timedelta

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    AttestationDocument,
    InputError,
    NitroTpmPolicy,
    Policy,
    parse_unverified,
)
from nitro_attest.verification.policy import DocumentFacts
from nitro_attest.verification.requirements import UNCHECKED, Requirements
from support.errors import code_of

MINUTE = timedelta(minutes=1)
NAMES = ("nonce", "user_data", "public_key")


def requirements(max_age=None, policy=ANY_ENCLAVE, **expected):
    values = [expected.get(name, UNCHECKED) for name in NAMES]
    return Requirements(policy, max_age, *values, call_allows_debug=False)


@pytest.fixture
def document(fake_document):
    return parse_unverified(fake_document).authenticated(AttestationDocument)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_an_expected_value_is_copied_once_whatever_it_came_in(name, buffer):
    expected = requirements(**{name: buffer(b"0123456789abcdef")}).expected[name]
    assert type(expected) is bytes
    assert expected == b"0123456789abcdef"


def test_an_expected_value_is_what_its_buffer_holds():
    class Disguised(bytes):
        def __bytes__(self):
            return b"what it says of itself"

    assert requirements(nonce=Disguised(b"what it is")).expected == {"nonce": b"what it is"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("value", "found"), [(b"", "empty bytes"), (None, "None"), ("text", "'text'"), (7, "7")]
)
def test_the_sentence_says_which_value_is_none_and_what_it_is(name, value, found):
    with pytest.raises(InputError) as caught:
        requirements(**{name: value})
    assert caught.value.message.startswith(f"{name}: expected bytes, found {found}; ")


def test_x23_an_age_that_is_too_great_is_said_with_the_limit(document):
    at_most = requirements(MINUTE)
    accepted = at_most.evaluate(document, DocumentFacts("i-1", None, MINUTE))
    assert accepted.failures == ()
    [failure] = at_most.evaluate(document, DocumentFacts("i-1", None, 2 * MINUTE)).failures
    assert failure.code == "freshness.too_old"
    assert (failure.expected, failure.found) == ("at most 0:01:00", "0:02:00")


@pytest.mark.parametrize("policy", [Policy([{0: "ab" * 48}]), NitroTpmPolicy([{4: "ab" * 48}])])
def test_a_policy_evaluates_facts_and_nothing_else(document, policy):
    assert code_of(policy.evaluate, document, {"instance_id": "i-1"}) == "input.expected"
