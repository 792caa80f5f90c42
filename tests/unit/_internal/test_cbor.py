"""Tags and indefinite lengths are found anywhere in an item, and nowhere in its strings."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest._internal.cbor import has_tag_or_indefinite

PLAIN = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary() | st.text() | st.booleans() | st.none(),
    lambda items: st.lists(items) | st.dictionaries(st.text() | st.integers(0, 2**64 - 1), items),
)


@given(PLAIN, st.sampled_from([0, 23, 24, 255, 256, 65535, 65536]))
def test_content_of_a_string_and_what_follows_the_item_are_not_heads(item, size):
    strings = [item, b"\xc0" * size, "\x5f" * size, [1] * 40]
    assert not has_tag_or_indefinite(cbor2.dumps(strings) + b"\xc0")


@given(PLAIN, st.sampled_from(["c0", "d9d9f7", "5f", "7f", "9f", "bf"]))
def test_a_tag_and_an_indefinite_length_are_found_behind_any_item(item, head):
    assert has_tag_or_indefinite(b"\x82" + cbor2.dumps(item) + bytes.fromhex(head))


@pytest.mark.parametrize("data", ["", "5b", "5bffffffffffffffffc0", "9bffffffffffffffffc0", "58"])
def test_the_search_ends_with_malformed_items(data):
    assert has_tag_or_indefinite(bytes.fromhex(data)) is (data[:1] == "9")
