"""The C core against a plain reference in Python, and against cbor2 where it accepts.

Same verdict, same code, same offset, same fields: for documents made to be valid, for documents
with one wrong part, for mutations, for truncations and for bytes of no sense at all.
"""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nitro_attest._core import _SENTENCES, DEFAULT_LIMITS, Limits, parse
from nitro_attest.errors import FormatError
from reference import cose_reference

# ---- What is compared ---------------------------------------------------------------------------


def by_core(document, limits):
    try:
        layout = parse(document, limits)
    except FormatError as error:
        return error.code, error.offset
    fields = layout._asdict()
    for name, place in fields.items():
        if isinstance(place, slice):
            fields[name] = document[place]
    for name in ("module_id", "digest"):
        fields[name] = fields[name].decode("ascii")
    fields["pcrs"] = {index: document[place] for index, place in layout.pcrs.items()}
    fields["cabundle"] = [document[place] for place in layout.cabundle]
    return fields


def by_reference(document, limits):
    try:
        return cose_reference.parse(document, limits.public_key, limits.user_data, limits.nonce)
    except cose_reference.RejectedError as rejected:
        return rejected.code, rejected.offset


def by_cbor2(payload):
    read = cbor2.loads(payload)
    kind = "enclave" if "pcrs" in read else "nitrotpm"
    return {
        "kind": kind,
        "timestamp_ms": read.pop("timestamp"),
        "pcrs": read.pop("pcrs" if kind == "enclave" else "nitrotpm_pcrs"),
        **{name: read.pop(name, None) for name in ("public_key", "user_data", "nonce")},
        **read,
    }


def check(document, limits=DEFAULT_LIMITS):
    """Holds the core against both oracles; gives its verdict."""
    found = by_core(document, limits)
    assert found == by_reference(document, limits)
    if isinstance(found, dict):
        signed = {key: found[key] for key in found.keys() - {"protected", "payload", "signature"}}
        assert signed == by_cbor2(found["payload"])
        assert type(found["timestamp_ms"]) is int
    else:
        assert 0 <= found[1] <= len(document)
    return found


# ---- Documents, from encoded parts --------------------------------------------------------------


def head(major, argument, width=None):
    """A CBOR head; width forces 1, 2, 4 or 8 further bytes where fewer would do."""
    if width is None:
        width = next((w for w in (0, 1, 2, 4) if argument < (24, 256, 65536, 0, 1 << 32)[w]), 8)
    if width == 0:
        return bytes([major << 5 | argument])
    info = {1: 24, 2: 25, 4: 26, 8: 27}[width]
    return bytes([major << 5 | info]) + argument.to_bytes(width, "big")


def string(major, content):
    return head(major, len(content)) + content


def text(value):
    return string(3, value.encode("utf-8", "surrogatepass"))


def byte_string(size):
    return string(2, b"A" * size)


def pairs(values):
    return head(5, len(values)) + b"".join(head(0, key) + value for key, value in values.items())


def entries(sizes):
    return head(4, len(sizes)) + b"".join(byte_string(size) for size in sizes)


PCRS = {index: byte_string(48) for index in range(16)}

ORDER = ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle")
OPTIONAL = ("public_key", "user_data", "nonce")

VALID = {
    "module_id": [text("i-0123456789abcdef0-enc0123456789abcdef"), text("!"), text("~" * 256)],
    "digest": [text("SHA384")],
    "timestamp": [head(0, value) for value in (1, 1758057949422, 253402300799999)],
    "pcrs": [
        pairs(PCRS),
        pairs({index: byte_string(48) for index in (2, 1, 0, 31, 23, 24)}),
        pairs({index: byte_string(48) for index in range(32)}),
    ],
    "nitrotpm_pcrs": [pairs({8: byte_string(48)}), pairs(PCRS)],
    "certificate": [byte_string(size) for size in (1, 640, 1024)],
    "cabundle": [entries(sizes) for sizes in ([533, 700, 806, 644], [1], [1] * 7 + [1024])],
    "public_key": [b"\xf6", byte_string(0), byte_string(294), byte_string(1024)],
    "user_data": [b"\xf6", byte_string(0), byte_string(746), byte_string(1024)],
    "nonce": [b"\xf6", byte_string(0), byte_string(20), byte_string(1024)],
}

NO_VALUE_OF_OURS = [
    *(b"\xf7", b"\xff", b"\xf5", b"\xf8\x16", b"\xf8\x20", b"\xf9\x7e\x00"),
    *(b"\x00", b"\x20", b"\x60", b"\x80", b"\xa0", b"\x1f", b"\x3f", b"\xdf", b"\x5c", b"\xfc"),
    *(b"\x9f\xff", b"\xbf\xff", b"\x5f\xff", b"\x7f\xff", b"\xc2\x41\x01", b"\xd8\x18\x41\x01"),
    *(head(2, 3, 1) + b"AAA", head(2, 300, 4) + b"A" * 300, head(3, 1, 8) + b"A"),
    *(head(major, (1 << bits) - 1) for major in (2, 3, 4, 5) for bits in (31, 32, 63, 64)),
    *(head(0, (1 << bits) - 1) for bits in (63, 64)),
]

WRONG = {
    "module_id": [
        text(""),
        text("~" * 257),
        text("i 1"),
        text("i\x7f"),
        text("\u00e9"),
        b"\x61\xff",
    ],
    "digest": [text("SHA256"), text("sha384"), text("SHA384\0"), text("\ud800"), b"\x62\xc0\xaf"],
    "timestamp": [head(0, 0), head(0, 253402300800000), head(0, 1758057949, 8), head(1, 5)],
    "pcrs": [
        pairs({}),
        pairs({1: byte_string(48), 2: byte_string(48)}),
        pairs({0: byte_string(48), 32: byte_string(48)}),
        pairs({0: byte_string(48), 1: byte_string(47)}),
        pairs({0: byte_string(32)}),
        pairs({index: byte_string(48) for index in range(33)}),
        head(5, 2) + 2 * (head(0, 7) + byte_string(48)),
        head(5, 2) + head(0, 7) + byte_string(48) + b"\xff",
        head(5, 1) + head(0, 7, 1) + byte_string(48),
        head(5, 1) + head(1, 7) + byte_string(48),
        head(5, 1) + text("7") + byte_string(48),
        b"\xbf" + head(0, 7) + byte_string(48) + b"\xff",
    ],
    "certificate": [byte_string(0), byte_string(1025)],
    "cabundle": [
        *(entries(sizes) for sizes in ([], [1] * 9, [1, 0], [1, 1025])),
        head(4, 2) + byte_string(1) + b"\xff",
        b"\x9f" + byte_string(1) + b"\xff",
    ],
    "public_key": [byte_string(1025), byte_string(4097)],
    "user_data": [byte_string(1025), byte_string(4097)],
    "nonce": [byte_string(1025), byte_string(4097)],
}
WRONG["nitrotpm_pcrs"] = WRONG["pcrs"]
WRONG = {
    name: values + NO_VALUE_OF_OURS + ([] if name in OPTIONAL else [b"\xf6"])
    for name, values in WRONG.items()
}

WRONG_KEYS = [
    *(
        text("Nonce"),
        text(""),
        text("pcr"),
        b"\x45nonce",
        b"\x05",
        b"\xf6",
        b"\xff",
        b"\x65nonc\xff",
    ),
    *(head(3, 5, 1) + b"nonce", b"\x7f\x65nonce\xff", b"\x7c", text("nonce\0"), text("\u00fc")),
]


def payload_of(items, definite=True, count=None):
    """A payload map of encoded (key, value) pairs; count overrides what its head says."""
    start = head(5, len(items) if count is None else count) if definite else b"\xbf"
    return start + b"".join(key + value for key, value in items) + (b"" if definite else b"\xff")


ENVELOPE = {
    "tag": (b"", b"\xd2"),
    "array": (b"\x84",),
    "protected": (bytes.fromhex("44a1013822"),),
    "unprotected": (b"\xa0",),
    "payload": (byte_string(300),),
    "signature": (b"\x58\x60" + b"S" * 96,),
    "rest": (b"",),
}

WRONG_ENVELOPE = {
    "tag": [bytes.fromhex(tag) for tag in ("d812", "d90012", "d2d2", "d1", "d2d1", "dc", "d9d9f7")],
    "array": [b"\x83", b"\x85", b"\x98\x04", b"\x9f", b"\xa4", b"h"],
    "protected": [
        *(bytes.fromhex(hexed) for hexed in ("43a10126", "44a1013823", "a1013822", "5804a1013822")),
        *(bytes.fromhex(hexed) for hexed in ("43a10120", "40", "5f44a1013822ff", "64a1013822")),
    ],
    "unprotected": [b"\xa1\x04\x41\x01", b"\xb8\x00", b"\xbf\xff", b"\xf6", b"\x40"],
    "payload": [*NO_VALUE_OF_OURS, b"\xf6", byte_string(0), head(2, 16277), b"\x5f\x41\x01\xff"],
    "signature": [byte_string(95), byte_string(97), byte_string(0), head(2, 96, 2) + b"S" * 96,
                  text("S" * 96), b"\x5f\x58\x60" + b"S" * 96 + b"\xff", *NO_VALUE_OF_OURS],
    "rest": [b"\x00", b"\xff", b"\xd2\x84"],
}  # fmt: skip


def document_of(payload=None, /, **parts):
    """A document around a payload; parts replace the encoded elements of the same name."""
    whole = {name: values[0] for name, values in ENVELOPE.items()} | parts
    if payload is not None:
        whole["payload"] = string(2, payload)
    return b"".join(whole[name] for name in ENVELOPE)


def items_of(**changed):
    values = {name: VALID[name][0] for name in (*ORDER, *OPTIONAL)} | changed
    return [(text(name), value) for name, value in values.items()]


SAMPLES = [
    document_of(payload_of(items_of())),
    document_of(payload_of(items_of(user_data=byte_string(20)), definite=False), tag=b"\xd2"),
]

# ---- Strategies ---------------------------------------------------------------------------------

some_text = st.text("acdegilmnopstu_ 0\0\u00fc\u20ac\U0001f600", max_size=12)


@st.composite
def good_items(draw):
    """The pairs of a valid payload, of either kind, in any order."""
    kind = draw(st.sampled_from(["pcrs", "nitrotpm_pcrs"]))
    names = [kind if name == "pcrs" else name for name in ORDER]
    names += [name for name in OPTIONAL if draw(st.booleans())]
    chosen = [(text(name), draw(st.sampled_from(VALID[name]))) for name in names]
    return draw(st.permutations(chosen))


@st.composite
def damaged_items(draw):
    """Valid pairs of which some are then swapped, doubled, dropped, renamed or given a value."""
    items = list(draw(good_items()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(items) - 1))
        key, value = items[at]
        change = draw(st.sampled_from(["value", "key", "double", "drop", "swap", "other kind"]))
        if change == "value":
            name = key[1:].decode("utf-8", "replace")
            wrong = st.sampled_from(WRONG.get(name, NO_VALUE_OF_OURS))
            items[at] = key, draw(wrong | st.binary(max_size=8))
        elif change == "key":
            items[at] = draw(st.sampled_from(WRONG_KEYS) | some_text.map(text)), value
        elif change == "double":
            items.insert(draw(st.integers(0, len(items))), items[at])
        elif change == "drop" and len(items) > 1:
            del items[at]
        elif change == "swap":
            other = draw(st.integers(0, len(items) - 1))
            items[at], items[other] = (key, items[other][1]), (items[other][0], value)
        else:
            items.insert(at, (text("nitrotpm_pcrs"), VALID["nitrotpm_pcrs"][0]))
    return items


@st.composite
def mutations(draw, of):
    """Bytes with some of them flipped, inserted, deleted, repeated or made another head."""
    data = bytearray(draw(of))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 60)))
        change = draw(st.sampled_from(["flip", "insert", "delete", "splice", "length"]))
        if change == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "insert":
            data[at:at] = draw(st.binary(max_size=10))
        elif change == "delete":
            del data[at:end]
        elif change == "splice":
            to = draw(st.integers(0, len(data)))
            data[to:to] = data[at:end]
        elif change == "length" and at < len(data):
            size = draw(st.integers(0, 70000) | st.integers(0, 2**64 - 1))
            width = draw(st.sampled_from([None, 8]))
            data[at : at + 1] = head(data[at] >> 5, size, width)
    return bytes(data)


any_limits = st.builds(Limits, *[st.sampled_from([0, 20, 1023, 1024, 1025, 4096])] * 3)

# ---- Tests --------------------------------------------------------------------------------------


@given(good_items(), st.booleans(), st.sampled_from(ENVELOPE["tag"]))
def test_valid_documents_are_accepted_with_the_same_fields(items, definite, tag):
    assert isinstance(check(document_of(payload_of(items, definite), tag=tag)), dict)


@settings(max_examples=500)
@given(damaged_items(), st.booleans(), any_limits, st.none() | st.integers(0, 2**64 - 1))
def test_damaged_payloads(items, definite, limits, count):
    check(document_of(payload_of(items, definite, count)), limits)


@settings(max_examples=500)
@given(mutations(good_items().map(payload_of)), any_limits)
def test_mutated_payloads(payload, limits):
    check(document_of(payload), limits)


@settings(max_examples=300)
@given(mutations(st.sampled_from(SAMPLES)))
def test_mutated_documents(document):
    check(document)


@given(st.binary(max_size=300))
def test_random_bytes(data):
    check(data)
    check(document_of(data) if data else data)


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.binary()
    | some_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(some_text, inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_payloads_of_foreign_cbor(value):
    check(document_of(cbor2.dumps(value)))
    check(document_of(payload_of(items_of(nonce=cbor2.dumps(value)))))


@pytest.mark.parametrize("document", SAMPLES)
def test_c13_every_truncation(document):
    for size in range(len(document)):
        code, offset = check(document[:size])
        assert code == ("document.empty" if size == 0 else "cbor.truncated")
        assert offset == size


@pytest.mark.parametrize("document", SAMPLES)
def test_c13_every_truncation_of_the_payload_alone(document):
    payload = document[parse(document).payload]
    for size in range(1, len(payload)):
        assert check(document_of(payload[:size]))[0] == "cbor.truncated"


@pytest.mark.parametrize("document", SAMPLES)
def test_every_bit_of_every_byte_that_is_no_string_content(document):
    for at in range(len(document)):
        if document[at] not in b"AS":
            for bit in range(8):
                check(document[:at] + bytes([document[at] ^ 1 << bit]) + document[at + 1 :])


def every_wrong_document():
    for part, values in WRONG_ENVELOPE.items():
        yield from (document_of(**{part: value}) for value in values)
    for name in (*ORDER, *OPTIONAL):
        for value in WRONG[name]:
            changed = items_of(**{name: value})
            yield from (document_of(payload_of(changed, definite)) for definite in (True, False))
    for key in WRONG_KEYS:
        yield document_of(payload_of([*items_of(), (key, b"\xf6")]))
    for name in ORDER:
        yield document_of(payload_of([item for item in items_of() if item[0] != text(name)]))
    yield document_of(payload_of([*items_of(), items_of()[0]]))
    yield document_of(payload_of(items_of(nitrotpm_pcrs=VALID["nitrotpm_pcrs"][0])))
    yield document_of(b"\x80")
    yield document_of(payload_of(items_of()) + b"\x00")
    yield from (b"", b"\x84" * 16385, b"hEShATgioFkRYal")


def test_the_wrong_documents_are_refused_and_reach_every_code():
    verdicts = [check(document) for document in every_wrong_document()]
    assert not [verdict for verdict in verdicts if isinstance(verdict, dict)]
    special = {"cose.protected", "cose.tag", "document.encoding"}
    assert {code for code, _ in verdicts} == _SENTENCES.keys() | special
