"""The C core against a plain reference in Python, and against cbor2 where it accepts.

Same verdict, same code, same offset, same fields: for documents made to be valid, for documents
with one wrong part, for mutations, for truncations and for bytes of no sense at all.
"""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance_cases import CASES, raw
from nitro_attest.errors import FormatError
from nitro_attest.verification.core import _SENTENCES, DEFAULT_LIMITS, Limits, parse
from reference import cose_reference
from reference.documents import (
    ENVELOPE,
    NO_VALUE_OF_OURS,
    NOT_SKIPPED,
    OPTIONAL,
    ORDER,
    SKIPPED,
    VALID,
    WRONG,
    WRONG_ENVELOPE,
    WRONG_KEYS,
    byte_string,
    document_of,
    head,
    items_of,
    payload_of,
    text,
)

# ---- What is compared ---------------------------------------------------------------------------


def by_core(document, limits, unknown_fields):
    try:
        fields = parse(document, limits, unknown_fields)._asdict()
        fields |= fields.pop("content")._asdict()
    except FormatError as error:
        return error.code, error.offset
    fields["cabundle"] = list(fields["cabundle"])
    fields["unknown"] = {field.name: field.value for field in fields.pop("unknown_fields")}
    return fields


def by_reference(document, limits, unknown_fields):
    skipped = 16 if unknown_fields == "warn" else 0
    caps = (limits.public_key, limits.user_data, limits.nonce)
    try:
        return cose_reference.parse(document, *caps, skipped)
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
    """Holds the core against both oracles; gives its verdict, unknown fields rejected."""
    skipped = agreed(document, limits, "warn")
    found = agreed(document, limits, "reject")
    if found != skipped:
        assert "payload.unknown_key" in found
    return found


def agreed(document, limits, unknown_fields):
    found = by_core(document, limits, unknown_fields)
    assert found == by_reference(document, limits, unknown_fields)
    if isinstance(found, dict):
        signed = {key: found[key] for key in found.keys() - {"protected", "payload", "signature"}}
        for name, value in signed.pop("unknown").items():
            signed[name] = cbor2.loads(value)
        assert signed == by_cbor2(found["payload"])
        assert type(found["timestamp_ms"]) is int
    else:
        assert 0 <= found[1] <= len(document)
    return found


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
def items_with_unknown(draw):
    """The pairs of a valid payload, with unknown ones among them."""
    items = list(draw(good_items()))
    names = draw(st.lists(st.sampled_from(["", "new", "Nonce", "pcr", "\u00fc"]), unique=True))
    unknown = [(text(name), draw(st.sampled_from(SKIPPED))) for name in names]
    return draw(st.permutations(items + unknown))


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


@given(items_with_unknown(), st.booleans())
def test_valid_documents_with_unknown_fields_are_accepted_on_request(items, definite):
    document = document_of(payload_of(items, definite))
    check(document)
    assert isinstance(agreed(document, DEFAULT_LIMITS, "warn"), dict)


@settings(max_examples=500)
@given(damaged_items(), st.booleans(), any_limits, st.none() | st.integers(0, 2**64 - 1))
def test_damaged_payloads(items, definite, limits, count):
    check(document_of(payload_of(items, definite, count)), limits)


@settings(max_examples=500)
@given(mutations((good_items() | items_with_unknown()).map(payload_of)), any_limits)
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
    check(document_of(payload_of([*items_of(), (text("new"), cbor2.dumps(value))])))


@pytest.mark.parametrize("document", SAMPLES)
def test_c13_every_truncation(document):
    for size in range(len(document)):
        code, offset = check(document[:size])
        assert code == ("document.empty" if size == 0 else "cbor.truncated")
        assert offset == size


@pytest.mark.parametrize("document", SAMPLES)
def test_c13_every_truncation_of_the_payload_alone(document):
    payload = parse(document).payload
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


def wrong_unknown_fields():
    items = items_of()
    for value in NOT_SKIPPED:
        new = (text("new"), value)
        yield from (payload_of([new, *items], definite) for definite in (True, False))
    for again in ("new", "digest"):
        yield payload_of([(text("new"), b"\x00"), *items, (text(again), b"\x00")])
    yield payload_of([*items, *[(text(f"new {i}"), b"\x00") for i in range(17)]])


def test_p7_wrong_unknown_fields_are_rejected_on_request_too():
    for payload in wrong_unknown_fields():
        document = document_of(payload)
        check(document)
        assert not isinstance(agreed(document, DEFAULT_LIMITS, "warn"), dict)


def test_the_conformance_cases():
    for case in CASES.values():
        verdict = check(raw(case))
        if case["expected"]["ours"] == "accept":
            assert isinstance(verdict, dict), case["id"]


def test_the_wrong_documents_are_rejected_and_reach_every_code():
    verdicts = [check(document) for document in every_wrong_document()]
    assert not [verdict for verdict in verdicts if isinstance(verdict, dict)]
    verdicts += [
        agreed(document_of(payload), DEFAULT_LIMITS, "warn") for payload in wrong_unknown_fields()
    ]
    special = {"cose.protected", "cose.tag", "document.encoding"}
    assert {code for code, _ in verdicts} == _SENTENCES.keys() | special
