"""What one verification demands, joined and judged without a document's bytes (X-23)."""

from datetime import timedelta

import pytest

from nitro_attest import ANY_ENCLAVE, InputError, parse_unverified
from nitro_attest.verification.requirements import UNCHECKED, Requirements

MINUTE = timedelta(minutes=1)
NAMES = ("nonce", "user_data", "public_key")


def demands(max_age=None, policy=ANY_ENCLAVE, **expected):
    values = [expected.get(name, UNCHECKED) for name in NAMES]
    return Requirements(policy, max_age, *values)


@pytest.fixture
def document(fake_document):
    return parse_unverified(fake_document).authenticated()


def test_requirements_cannot_be_changed():
    with pytest.raises(AttributeError):
        demands().expected = {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_an_expected_value_is_copied_once_whatever_it_came_in(name, buffer):
    expected = demands(**{name: buffer(b"0123456789abcdef")}).expected[name]
    assert type(expected) is bytes
    assert expected == b"0123456789abcdef"


def test_an_expected_value_is_what_its_buffer_holds():
    class Disguised(bytes):
        def __bytes__(self):
            return b"what it says of itself"

    assert demands(nonce=Disguised(b"what it is")).expected == {"nonce": b"what it is"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("value", "found"), [(b"", "empty"), (None, "None"), ("text", "'text'"), (7, "7")]
)
def test_the_sentence_says_which_value_is_none_and_what_it_is(name, value, found):
    with pytest.raises(InputError) as caught:
        demands(**{name: value})
    assert caught.value.message.startswith(f"the expected {name} is {found}; ")


def test_x23_an_age_that_is_too_great_is_said_with_the_limit(document):
    judged = demands(MINUTE).judge(document, 60_000, "i-1", None)
    assert judged == (None, [])
    _, (failure,) = demands(MINUTE).judge(document, 120_000, "i-1", None)
    assert failure.code == "freshness.too_old"
    assert (failure.expected, failure.found) == ("at most 0:01:00", "0:02:00")
