"""K-5, K-6: any octets given as a CiphertextForRecipient are read or rejected, within bounds."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest import KmsError
from nitro_attest.kms.ber import MAX_DEPTH, parse_ber
from nitro_attest.kms.cms import parse_enveloped_data
from nitro_attest.testing._der import tlv
from nitro_attest.testing.cms import encode_cms

BLOB = encode_cms(bytes(32), bytes(range(256)), bytes(16), bytes(48))
END = b"\x00\x00"


def indefinite(tag, content):
    return bytes([tag, 0x80]) + content + END


def encode(tree):
    tag, form, content = tree
    if isinstance(content, bytes):
        return tlv(tag, content)
    octets = b"".join(encode(child) for child in content)
    return indefinite(tag, octets) if form else tlv(tag, octets)


def shape(element):
    if element.tag & 0x20:
        return (element.tag, [shape(child) for child in element.children])
    return (element.tag, element.content)


def plain(tree):
    tag, _, content = tree
    return (tag, content if isinstance(content, bytes) else [plain(child) for child in content])


PRIMITIVE = st.sampled_from([0x02, 0x04, 0x05, 0x06, 0x80, 0x81])
CONSTRUCTED = st.sampled_from([0x30, 0x31, 0xA0, 0xA1, 0x24])
TREES = st.recursive(
    st.tuples(PRIMITIVE, st.just(False), st.binary(max_size=200)),
    lambda trees: st.tuples(CONSTRUCTED, st.booleans(), st.lists(trees, max_size=4)),
    max_leaves=12,
)


@given(TREES)
def test_what_is_written_in_either_form_of_length_is_read_back(tree):
    assert shape(parse_ber(encode(tree))) == plain(tree)


@given(TREES, st.data())
def test_what_is_cut_short_or_goes_on_is_rejected(tree, data):
    octets = encode(tree)
    cut = data.draw(st.integers(0, len(octets) - 1))
    for wrong in (octets[:cut], octets + b"\x00", octets + END, octets + octets):
        with pytest.raises(KmsError) as caught:
            parse_ber(wrong)
        assert caught.value.code == "kms.format"
        assert 0 <= caught.value.offset <= len(wrong)


@given(st.binary(max_size=400))
def test_any_octets_are_a_tree_or_an_error(octets):
    with contextlib.suppress(KmsError):
        parse_ber(octets)


@given(st.integers(0, len(BLOB) - 1), st.integers(0, 40), st.binary(max_size=40))
def test_an_answer_with_octets_replaced_is_read_or_rejected(start, size, octets):
    with contextlib.suppress(KmsError):
        enveloped = parse_enveloped_data(BLOB[:start] + octets + BLOB[start + size :])
        assert len(enveloped.iv) == 16


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "truncated inside"),
        (b"\x30", "truncated inside"),
        (b"\x04\x80\x00\x00", "primitive element of indefinite length"),
        (b"\x04\x81\x01\x00", "shortest form"),
        (b"\x04\x82\x00\x80" + bytes(128), "shortest form"),
        (b"\x04\xff" + bytes(200), "shortest form"),
        (b"\x04\x84\xff\xff\xff\xff", "found 4294967295"),
        (b"\x04\xfe" + b"\xff" * 126, "length too large"),
        (b"\x1f\x01\x00", "tag 1f"),
        (b"\x3f\x01\x00", "tag 3f"),
        (b"\x00\x00", "tag 00"),
        (b"\x30\x02\x00\x00", "tag 00"),
        (b"\x30\x80\x04\x00", "truncated inside"),
        (b"\x30\x80\x04\x00\x00", "tag 00"),
        (b"\x30\x03\x30\x80\x00\x00", "tag 00"),
        (b"\x30\x02\x30\x80\x00\x00", "truncated inside"),
        (b"\x30\x02\x04\x01\x00", "at most 0, found 1"),
        (b"\x30\x80\x30\x02\x00\x00\x00\x00", "tag 00"),
    ],
)
def test_malformed_octets_are_rejected_with_a_reason(octets, why):
    with pytest.raises(KmsError, match=why):
        parse_ber(octets)


@pytest.mark.parametrize("form", [True, False], ids=["indefinite", "definite"])
def test_depth_is_bounded(form):
    def nested(depth):
        octets = b""
        for _ in range(depth):
            octets = indefinite(0x30, octets) if form else tlv(0x30, octets)
        return octets

    assert parse_ber(nested(MAX_DEPTH))
    with pytest.raises(KmsError, match="nested more than"):
        parse_ber(nested(MAX_DEPTH + 1))
    with pytest.raises(KmsError, match="nested more than"):
        parse_ber(b"\x30\x80" * 3072)
