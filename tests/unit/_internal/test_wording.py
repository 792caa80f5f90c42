"""Phrases that error messages share."""

import pytest

from nitro_attest._internal.wording import plural, printable, shown, size_or_type


@pytest.mark.parametrize(
    ("count", "phrase"), [(0, "0 bytes"), (1, "1 byte"), (2, "2 bytes"), (4096, "4096 bytes")]
)
def test_a_noun_agrees_with_its_count(count, phrase):
    assert plural(count, "byte") == phrase


@pytest.mark.parametrize(
    ("value", "phrase"), [(b"", "0 bytes"), (b"x", "1 byte"), ("x", "str"), (None, "NoneType")]
)
def test_bytes_are_described_by_their_size_and_others_by_their_type(value, phrase):
    assert size_or_type(value) == phrase


@pytest.mark.parametrize(
    ("value", "phrase"),
    [
        (b"", "empty bytes"),
        (b"\xab" * 32, "ab" * 32),
        (b"\xab" * 33, f"{'ab' * 32}... (33 bytes)"),
    ],
)
def test_bytes_are_shown_as_hex_and_long_ones_are_cut(value, phrase):
    assert shown(value) == phrase


@pytest.mark.parametrize("character", "\0\n\x1b\x7f\u202e\u200b\ud800\ufeff")
def test_an_invisible_character_is_escaped(character):
    assert printable(f"a{character}b") == f"a{ascii(character)[1:-1]}b"


def test_a_printable_character_is_kept():
    assert printable("a\u00e9\u4e2d") == "a\u00e9\u4e2d"
