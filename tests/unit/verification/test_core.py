"""The border between Python and the C core: layouts, names, sentences, arguments."""

import re
import string
from pathlib import Path

import pytest

from conftest import ROOT
from nitro_attest import limits, parse_unverified
from nitro_attest.errors import FormatError, InputError
from nitro_attest.testing.registers import IMAGE
from nitro_attest.verification import core
from nitro_attest.verification._native import ffi, lib
from reference.documents import byte_string, document_of, items_of, pairs, payload_of, text

HEADER = (ROOT / "csrc/nitro_cose.h").read_text(encoding="ascii")
DOCUMENT = document_of(payload_of(items_of()))
STATUSES = sorted(name for name in dir(lib) if name.startswith("NITRO_ERR_"))
FIELDS = sorted(name for name in dir(lib) if name.startswith("NITRO_FIELD_"))


def code_of(status):
    return ffi.string(lib.nitro_status_code(status)).decode("ascii")


def is_the_callers(name):
    """Whether a status is of NULL or wrong limits, neither of which parse() ever passes."""
    return code_of(getattr(lib, name)).startswith("input.")


def refusal(document, caps=core.DEFAULT_LIMITS):
    with pytest.raises(FormatError) as caught:
        core.parse(document, caps)
    return caught.value


# ---- The same numbers on both sides -------------------------------------------------------------


def test_the_numbers_of_a_payload_are_read_in_the_order_of_the_c_struct():
    spans = ("module_id", "digest", "certificate", "public_key", "user_data", "nonce")
    counts = {"cabundle_count": 1000, "kind": 1001, "unknown_count": 1002, "reserved": 1003}
    made = ffi.new("nitro_payload *", {"timestamp": 1, **counts})
    for i, name in enumerate(spans):
        setattr(made, name, {"offset": 2 * i + 2, "length": 2 * i + 3})
    made.pcrs = [{"offset": 100 + i, "length": 500} for i in range(limits.MAX_PCRS)]
    made.cabundle = [{"offset": 200 + 2 * i, "length": 201 + 2 * i} for i in range(8)]
    made.unknown = [
        {
            "name": {"offset": 300 + i, "length": 301 + i},
            "value": {"offset": 302 + i, "length": 303 + i},
        }
        for i in range(0, 64, 4)
    ]
    numbers = core._PAYLOAD.unpack(ffi.buffer(made))
    assert numbers == (1, *range(2, 14), *range(100, 132), *range(200, 216), 1000, 1001, 1002)
    assert numbers[core._FIRST_PCR] == 100
    assert numbers[core._FIRST_CERTIFICATE] == 200
    assert numbers[core._CABUNDLE_COUNT] == 1000
    assert numbers[core._KIND] == 1001
    assert numbers[core._UNKNOWN_COUNT] == 1002
    assert core._UNKNOWN.unpack(ffi.buffer(made)) == (*range(300, 364),)


def test_the_numbers_of_an_error_and_an_envelope_are_read_in_the_order_of_the_c_structs():
    error = {"found": 1, "offset": 2, "field": 3, "index": 4, "text": {"offset": 5, "length": 6}}
    spans = {
        "protected_header": {"offset": 7, "length": 8},
        "payload": {"offset": 9, "length": 10},
        "signature": {"offset": 11, "length": 12},
    }
    made = ffi.new("nitro_sign1 *", {"error": error, **spans})
    assert core._ERROR.unpack_from(ffi.buffer(made)) == (1, 2, 3, 4, 5, 6)
    assert core._SIGN1.unpack(ffi.buffer(made)) == (7, 8, 9, 10, 11, 12)


def test_every_limit_of_the_c_header_is_that_of_limits_py():
    names = {
        "NITRO_MAX_DOCUMENT": "MAX_DOCUMENT_BYTES",
        "NITRO_MAX_PAYLOAD": "MAX_PAYLOAD_BYTES",
        "NITRO_SIGNATURE_SIZE": "SIGNATURE_BYTES",
        "NITRO_MAX_MODULE_ID": "MAX_MODULE_ID_BYTES",
        "NITRO_MAX_TIMESTAMP": "MAX_TIMESTAMP_MS",
        "NITRO_MAX_PCRS": "MAX_PCRS",
        "NITRO_PCR_SIZE": "PCR_BYTES",
        "NITRO_MAX_CERTIFICATE": "MAX_CERTIFICATE_BYTES",
        "NITRO_MAX_CABUNDLE": "MAX_CABUNDLE_CERTIFICATES",
        "NITRO_DEFAULT_OPTIONAL": "DEFAULT_OPTIONAL_BYTES",
        "NITRO_MAX_OPTIONAL": "MAX_OPTIONAL_BYTES",
        "NITRO_MAX_UNKNOWN": "MAX_UNKNOWN_FIELDS",
    }
    macros = set(re.findall(r"^#define (NITRO_\w+) +\d", HEADER, re.MULTILINE))
    assert macros - {"NITRO_NO_INDEX"} == names.keys()
    for macro, name in names.items():
        assert getattr(lib, macro) == getattr(limits, name), macro


def test_every_field_of_the_c_header_has_its_name():
    assert {
        getattr(lib, name): name.removeprefix("NITRO_FIELD_").lower() for name in FIELDS
    } == core._FIELD_NAMES


# ---- Codes and sentences ------------------------------------------------------------------------


def test_every_status_has_a_code_of_a_known_family_and_every_code_is_of_one_status():
    codes = [code_of(getattr(lib, name)) for name in STATUSES]
    assert len(set(codes)) == len(codes) == len(re.findall(r"^ +NITRO_ERR_\w+ =", HEADER, re.M))
    families = FormatError.families | {"input"}
    assert {code.partition(".")[0] for code in codes} == families
    assert code_of(12345) == "internal"


@pytest.mark.parametrize("name", [name for name in STATUSES if not is_the_callers(name)])
def test_every_code_has_a_whole_sentence_for_every_field(name):
    for field in FIELDS:
        out = ffi.new("nitro_sign1 *")
        out.error = {"field": getattr(lib, field), "index": 7, "found": 2**64 - 1, "offset": 5}
        error = core._format_error(getattr(lib, name), out, DOCUMENT, 0, core.DEFAULT_LIMITS)
        assert error.code == code_of(getattr(lib, name))
        assert error.code.partition(".")[0] in error.families
        assert error.offset == 5
        assert error.message
        assert not set("{}") & set(error.message.replace("{alg: ES384 (-35)}", ""))


def test_no_sentence_is_left_over_and_none_asks_for_what_is_not_given():
    codes = {code_of(getattr(lib, name)) for name in STATUSES}
    assert core._SENTENCES.keys() <= codes
    for sentence in core._SENTENCES.values():
        asked = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
        assert asked <= {"found", "field", "index", "text", "limit"}


@pytest.mark.parametrize(
    ("document", "offset", "sentence"),
    [
        (DOCUMENT[:3], 3, "the document ends inside the protected header"),
        (DOCUMENT[:6], 6, "the document ends inside the unprotected header"),
        (DOCUMENT[:-1], len(DOCUMENT) - 1, "the document ends inside the signature"),
        (DOCUMENT + b"x", len(DOCUMENT), "the document has extra bytes after its end: 1"),
        (document_of(b"\xa0\xff"), 9, "the payload has extra bytes after its end: 1"),
        (document_of(b"\xa1\x61\xff\x01"), None, "invalid UTF-8 in a key of the payload map"),
        (document_of(payload_of(items_of(nonce=b"\x01"))), None, "field nonce has the wrong CBOR"),
        (document_of(payload_of(items_of(cabundle=b"\xf6"))), None, "field cabundle is null"),
        (
            document_of(payload_of(items_of(cabundle=b"\x81\xf6"))),
            None,
            "certificate 0 in cabundle",
        ),
        (
            document_of(payload_of(items_of(pcrs=pairs({})))),
            None,
            "1 to 32 entries, found 0",
        ),
        (document_of(payload_of(items_of(pcrs=pairs({0: b"\xf6"})))), None, "PCR0 is null"),
        (b"\xd1" + DOCUMENT, 0, "tag: expected none or 18 (COSE_Sign1), found 17"),
        (b"\xd8\x12" + DOCUMENT, 0, "tag 18: expected the single byte D2, once"),
        (b"\xd2\xd2" + DOCUMENT, 1, "tag 18: expected the single byte D2, once"),
    ],
)
def test_the_sentence_names_the_place(document, offset, sentence):
    error = refusal(document)
    assert sentence in error.message
    assert offset is None or error.offset == offset


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("43a10120", "QEMU emulator"),
        ("43a10126", "ES256 (-7)"),
        ("44a1013823", "ES512 (-36)"),
        ("44a1013832", "ESP384 (-51)"),
        ("44a1013824", "expected exactly {alg: ES384 (-35)}"),
        ("40", "expected exactly {alg: ES384 (-35)}"),
    ],
)
@pytest.mark.parametrize("tag", [b"", b"\xd2"])
def test_c6_c17_a_protected_header_that_people_meet_is_named(header, names, tag):
    error = refusal(document_of(tag=tag, protected=bytes.fromhex(header)))
    assert error.code == "cose.protected"
    assert error.offset == 1 + len(tag)
    assert names in error.message


def test_p7_an_unknown_field_is_quoted_and_the_version_and_the_way_out_are_named():
    items = [*items_of(), (b"\x64\xc3\xbc\x1b\x0a", b"\xf6")]
    error = refusal(document_of(payload_of(items)))
    assert error.code == "payload.unknown_key"
    assert r"unknown field '\xfc\x1b\n'" in error.message
    assert "newer than this version" in error.message
    assert "unknown_fields='warn'" in error.message


UNKNOWN = [(text(f"new {i}"), b"\x81" + byte_string(i)) for i in range(17)]


@pytest.mark.parametrize("count", [1, 2, 16])
@pytest.mark.parametrize("definite", [True, False])
def test_p7_unknown_fields_are_skipped_and_kept_as_received(count, definite):
    items = [*UNKNOWN[:1], *items_of(), *UNKNOWN[1:count]]
    document = document_of(payload_of(items, definite=definite), tag=b"\xd2")
    content = core.parse(document, unknown_fields="warn").content
    assert [(field.name, field.value) for field in content.unknown_fields] == [
        (name[1:].decode(), value) for name, value in UNKNOWN[:count]
    ]
    for field in content.unknown_fields:
        assert document.startswith(field.value, field.offset)
    without = core.parse(document_of(payload_of(items_of()))).content
    assert content._replace(unknown_fields=(), pcrs=without.pcrs) == without
    assert content.pcrs == without.pcrs
    assert refusal(document).code == "payload.unknown_key"


def test_p7_a_seventeenth_unknown_field_is_rejected():
    document = document_of(payload_of([*items_of(), *UNKNOWN]))
    with pytest.raises(FormatError, match=r"'new 16': expected at most 16 .* found more") as caught:
        core.parse(document, unknown_fields="warn")
    assert caught.value.code == "payload.unknown_key"


@pytest.mark.parametrize(
    ("value", "code", "sentence"),
    [
        ("8181818180", "payload.nesting", "field 0: expected at most 4 levels .*, found more"),
        ("f97e00", "payload.type", "unknown field 0 has the wrong CBOR type .major type 7."),
        ("5f40ff", "cbor.indefinite", "unknown field 0: expected a string of definite length"),
        ("1801", "cbor.not_minimal", "number in unknown field 0 is not in its shortest"),
    ],
)
def test_p7_the_value_of_an_unknown_field_is_checked(value, code, sentence):
    document = document_of(payload_of([*items_of(), (text("new"), bytes.fromhex(value))]))
    with pytest.raises(FormatError, match=sentence) as caught:
        core.parse(document, unknown_fields="warn")
    assert caught.value.code == code
    assert refusal(document).code == "payload.unknown_key"


@pytest.mark.parametrize(
    ("size", "shown"),
    [(78, f"'{78 * 'k'}'"), (79, f"'{79 * 'k'}..."), (1024, f"'{79 * 'k'}...")],
)
def test_p7_a_long_unknown_field_is_quoted_in_part(size, shown):
    items = [*items_of(), (text("k" * size), b"\xf6")]
    assert f"unknown field {shown}: the document" in refusal(document_of(payload_of(items))).message


def test_what_is_no_utf8_can_be_quoted_all_the_same():
    assert core._quote(b"k\xff") == r"'k\\xff'"


# ---- Arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [DOCUMENT.hex(), "", "é"])
def test_c3_a_str_is_refused_as_text(data):
    with pytest.raises(FormatError) as caught:
        parse_unverified(data)
    assert caught.value.code == "document.encoding"


@pytest.mark.parametrize(
    "data", [b"hEShATgioFkRYal", b"8444a1013822a0\n", b" {}\r\n", b"A" * 16384]
)
def test_c3_bytes_that_are_text_are_refused_as_text(data):
    assert refusal(data).code == "document.encoding"


def test_c2_text_beyond_the_limit_is_refused_for_its_size():
    assert refusal(b"A" * 16385).code == "document.too_large"


@pytest.mark.parametrize("data", [b"hEShATgi\0", b"\x7f", b"h\xc3\xa9"])
def test_c5_bytes_that_are_not_text_are_refused_as_no_array(data):
    assert refusal(data).code == "cose.array"


def scattered(data):
    """A view of which every other byte is left out."""
    return memoryview(bytes(byte for pair in zip(data, data, strict=True) for byte in pair))[::2]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, scattered])
def test_any_bytes_like_document_gives_the_same(kind):
    assert parse_unverified(kind(DOCUMENT)) == parse_unverified(DOCUMENT)


def test_c2_a_view_of_wide_items_is_measured_in_bytes():
    wide = memoryview(b"\x84" * 16388).cast("I")
    assert len(wide) < limits.MAX_DOCUMENT_BYTES
    with pytest.raises(FormatError) as caught:
        parse_unverified(wide)
    assert caught.value.code == "document.too_large"


def test_p13_the_digest_is_given_as_the_document_has_it():
    assert parse_unverified(DOCUMENT).digest == "SHA384"


def test_a_changed_buffer_changes_nothing_that_was_returned():
    buffer = bytearray(DOCUMENT)
    parsed = parse_unverified(buffer)
    buffer[:] = bytes(len(buffer))
    assert parsed == parse_unverified(DOCUMENT)


@pytest.mark.parametrize("data", [None, 5, [0x84], object(), Path("document.bin"), 1.5])
def test_what_is_no_bytes_is_an_input_error(data):
    with pytest.raises(InputError) as caught:
        parse_unverified(data)
    assert caught.value.code == "input.document"
    assert type(data).__name__ in caught.value.message


# ---- PcrValues ----------------------------------------------------------------------------------


def test_p18_a_register_is_what_stands_at_its_place_and_no_other_is_there():
    registers = core.PcrValues(b"?" + IMAGE[0] + IMAGE[1], (1, 0, 49, *[0] * 29))
    assert registers == {0: IMAGE[0], 2: IMAGE[1]}
    assert list(registers) == [0, 2]
    assert len(registers) == 2
    assert repr(registers) == repr({0: IMAGE[0], 2: IMAGE[1]})
    for absent in (1, 31, 32, -1, -32, 0.0, "0", None):
        assert absent not in registers
        with pytest.raises(KeyError):
            registers[absent]
    same = core.PcrValues(b"?" + IMAGE[0] + IMAGE[1], (1, 0, 49, *[0] * 29))
    assert (same, hash(same)) == (registers, hash(registers))
    only_last = core.PcrValues(b"?" + IMAGE[0], (*[0] * 31, 1))
    assert -1 not in only_last
    assert list(only_last) == [31]


def test_p18_registers_cannot_be_changed():
    registers = core.PcrValues(IMAGE[0], (1, *[0] * 31))
    with pytest.raises(TypeError):
        registers[0] = IMAGE[1]
    with pytest.raises(TypeError):
        del registers[0]


# ---- Spans --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", [b"", b"\xd2"])
@pytest.mark.parametrize("kind", ["pcrs", "nitrotpm_pcrs"])
def test_a_span_is_where_the_content_of_its_field_is(fake, when, kind, tag):
    document = tag + fake.document(
        at=when,
        kind="enclave" if kind == "pcrs" else "nitrotpm",
        nonce=b"n",
        user_data=b"",
        public_key=b"k",
    )
    parts, found = core.parse(document), core.spans(document)
    content = {(each.field, each.number): document[each.start : each.end] for each in found}
    expected = {
        ("protected", None): parts.protected,
        ("payload", None): parts.payload,
        ("signature", None): parts.signature,
        **{(kind, index): value for index, value in parts.content.pcrs.items()},
        **{("cabundle", i): der for i, der in enumerate(parts.content.cabundle)},
        ("certificate", None): parts.content.certificate,
        ("module_id", None): parts.content.module_id.encode(),
        ("digest", None): b"SHA384",
        ("nonce", None): b"n",
        ("user_data", None): b"",
        ("public_key", None): b"k",
    }
    assert content == expected
    assert len(found) == len(expected)
    assert found == sorted(found, key=lambda each: each.start)
    assert found[0].field == "protected"
    assert found[-1] == core.Span("signature", None, len(document) - 96, len(document))


def test_p7_the_span_of_an_unknown_field_is_its_value():
    document = document_of(payload_of([*UNKNOWN[1:3], *items_of()]))
    found = [
        each for each in core.spans(document, unknown_fields="warn") if each.field == "unknown"
    ]
    assert [each.number for each in found] == [0, 1]
    assert [document[each.start : each.end] for each in found] == [UNKNOWN[1][1], UNKNOWN[2][1]]


def test_spans_take_the_limits_and_raise_the_errors_of_parse():
    document = document_of(payload_of(items_of(nonce=byte_string(1025))))
    with pytest.raises(FormatError) as caught:
        core.spans(document)
    assert (caught.value.code, caught.value.offset) == (
        refusal(document).code,
        refusal(document).offset,
    )
    located = core.spans(document, core.Limits(nonce=1025))
    assert [each.end - each.start for each in located if each.field == "nonce"] == [1025]


# ---- Limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["public_key", "user_data", "nonce"])
@pytest.mark.parametrize("value", [-1, 4097, 2**32, True, 1.0, "1024", None])
def test_p23_a_wrong_limit_is_an_input_error(name, value):
    with pytest.raises(InputError) as caught:
        core.Limits(**{name: value})
    assert caught.value.code == "input.limits"
    assert name in caught.value.message


def test_p23_nobody_can_raise_the_limits_that_all_share():
    with pytest.raises(AttributeError):
        core.DEFAULT_LIMITS.nonce = 4096


@pytest.mark.parametrize("name", ["public_key", "user_data", "nonce"])
@pytest.mark.parametrize(
    ("limit", "size", "accepted"),
    [
        (None, 1024, True),
        (None, 1025, False),
        (0, 0, True),
        (0, 1, False),
        (1025, 1025, True),
        (1025, 1026, False),
        (4096, 4096, True),
        (4096, 4097, False),
    ],
)
def test_p22_p23_p24_an_optional_field_up_to_its_own_limit(name, limit, size, accepted):
    document = document_of(payload_of(items_of(**{name: byte_string(size)})))
    caps = core.Limits() if limit is None else core.Limits(**{name: limit})
    if accepted:
        assert getattr(parse_unverified(document, caps), name) == b"A" * size
    else:
        error = refusal(document, caps)
        assert error.code == f"payload.{name}"
        assert f" bytes, found {size}" in error.message


@pytest.mark.parametrize("name", ["public_key", "user_data", "nonce"])
def test_p11_an_empty_field_is_not_an_absent_one(name):
    empty = document_of(payload_of(items_of(**{name: byte_string(0)})))
    null = document_of(payload_of(items_of(**{name: b"\xf6"})))
    absent = [item for item in items_of() if item[0][1:] != name.encode()]
    assert getattr(parse_unverified(empty), name) == b""
    assert getattr(parse_unverified(null), name) is None
    assert getattr(parse_unverified(document_of(payload_of(absent))), name) is None


def test_a_released_memoryview_is_an_input_error():
    view = memoryview(b"\x84")
    view.release()
    with pytest.raises(InputError) as caught:
        parse_unverified(view)
    assert caught.value.code == "input.document"
