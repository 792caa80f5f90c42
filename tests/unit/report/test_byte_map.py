"""The parts of a document: all bytes once, each with the field that it belongs to."""

from itertools import pairwise, product

import pytest

from nitro_attest import Request, parse_unverified
from nitro_attest.errors import FormatError
from nitro_attest.report.byte_map import regions
from nitro_attest.report.facts import read
from nitro_attest.testing import VARIANTS
from reference.documents import (
    OPTIONAL,
    ORDER,
    VALID,
    document_of,
    head,
    items_of,
    payload_of,
    string,
    text,
)

ERROR = FormatError("cbor.trailing", "an error")


def parts_of(document):
    return regions(read(ERROR, Request(document), None, None, None, "doc"))


def assert_complete(document):
    parts = parts_of(document)
    assert (parts[0].start, parts[-1].end) == (0, len(document))
    assert all(one.end == next_one.start for one, next_one in pairwise(parts))
    assert all(part.start <= part.content <= part.end > part.start for part in parts)
    return parts


@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("kind", ["pcrs", "nitrotpm_pcrs"])
def test_each_key_begins_the_part_of_its_field(definite, reverse, kind):
    names = [kind if name == "pcrs" else name for name in (*ORDER, *OPTIONAL)]
    for choice in range(max(map(len, VALID.values()))):
        items = [(text(name), VALID[name][min(choice, len(VALID[name]) - 1)]) for name in names]
        document = document_of(payload_of(items[:: -1 if reverse else 1], definite))
        parts = {(part.field, part.number): part for part in assert_complete(document)}
        for name in names:
            number = None if name not in (kind, "cabundle") else first_number(parts, name)
            part = parts[name, number]
            assert document[part.start :].startswith(text(name)), name
        assert (("end", None) in parts) is not definite
        assert parts["signature", None].content == len(document) - 96


def first_number(parts, name):
    """The number of the entry that comes first in the document."""
    entries = [part for part in parts.values() if part.field == name]
    return min(entries, key=lambda part: part.start).number


def test_the_content_of_a_part_is_that_of_the_field(made):
    parsed = parse_unverified(made)
    content = {(p.field, p.number): made[p.content : p.end] for p in assert_complete(made)}
    assert content["module_id", None] == parsed.module_id.encode()
    assert content["timestamp", None] == head(0, parsed.timestamp_ms)
    assert content["public_key", None] == b"\xf6"
    assert content["pcrs", 4] == parsed.pcrs[4]
    assert content["cabundle", 3] == parsed.cabundle[3]


def test_a_timestamp_that_contains_a_key_is_one_part():
    for name, after in product((b"\x64pcrs", b"\x65nonce"), (b"", b"\x01")):
        value = int.from_bytes((name + after)[:6], "big")
        items = items_of(timestamp=head(0, value))
        parts = assert_complete(document_of(payload_of(items)))
        fields = [part.field for part in parts]
        assert fields.count("timestamp") == 1
        assert fields.count("nonce") == 1
        assert fields.count("pcrs") == 16


@pytest.mark.parametrize("variant", sorted(VARIANTS)[::7])
def test_every_accepted_form_is_divided(fake, when, variant):
    assert_complete(fake.document(at=when, variant=variant))


@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("before", ["", "nonce", "pcrs", "timestamp", "cabundle"])
@pytest.mark.parametrize("size", [0, 23, 24, 255, 256])
def test_p7_an_unknown_field_begins_with_its_key(definite, before, size):
    unknown = (text("n" * size), string(2, b"\x65nonce\xff"))
    items = items_of(pcrs=VALID["pcrs"][-1], cabundle=VALID["cabundle"][-1])
    at = [name for name, _ in items].index(text(before)) if before else len(items)
    document = document_of(payload_of([*items[:at], unknown, *items[at:]], definite))
    parts = assert_complete(document)
    [part] = [part for part in parts if part.field == "unknown"]
    assert document[part.start : part.end] == unknown[0] + unknown[1]
    assert document[part.content : part.end] == unknown[1]
    assert part.label == "unknown 0"
    assert (part.rules, part.meaning) == ("P-7", "field that this version does not know")
    known = [name for name, _ in items if document.startswith(name, part.end)]
    assert known == ([text(before)] if before else [])


def test_p7_many_fields_are_divided():
    unknown = [(text(f"new {i}"), b"\xa0") for i in range(16)]
    for definite in (True, False):
        parts = assert_complete(document_of(payload_of([*items_of(), *unknown], definite)))
        assert [part.number for part in parts if part.field == "unknown"] == list(range(16))


def test_genuine_documents_are_divided(genuine):
    assert_complete(genuine[0])


def test_a_malformed_document_is_one_part_and_an_unknown_one_has_none():
    (part,) = parts_of(b"\x84junk")
    assert (part.field, part.start, part.end) == ("unread", 0, 5)
    assert parts_of(b"") == []
    assert regions(read(ERROR, None, None, None, None, "doc")) == []
