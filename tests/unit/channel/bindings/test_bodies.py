"""Documents in the encodings of servers."""

import base64

import pytest

from nitro_attest.channel.bindings.bodies import from_base64
from support.errors import code_of


@pytest.mark.parametrize("document", [b"", b"a", b"ab", b"abc", bytes(range(256))])
def test_base64_is_decoded_with_whitespace_around_it(document):
    text = base64.b64encode(document)
    assert from_base64(text) == document
    assert from_base64(b" " + text + b"\r\n") == document
    assert from_base64(text.decode()) == document


@pytest.mark.parametrize(
    "text", [b"A", b"AB=", b"YWJj\nYWJj", b"YWJj-_", b"\x84\x44", "é", b"YWJj=YWJj", b"<html>"]
)
def test_other_text_is_rejected(text):
    assert code_of(from_base64, text) == "document.encoding"
