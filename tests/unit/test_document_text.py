"""Documents in every form that people have, each beside the form that comes close (C-3)."""

import base64
import gzip
import json
import subprocess
import tracemalloc

import cbor2
import pytest

from nitro_attest import FormatError, InputError, decode_document, parse_unverified
from nitro_attest.document_text import MAX_TEXT_BYTES, decode
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from support.errors import code_of, rejection

BASE64_LINES = 76


@pytest.fixture(scope="module")
def document(fake, when):
    """A document whose base64 stays base64 if each plus is removed, or becomes a blank."""
    made = (fake.document(at=when, nonce=bytes([number])) for number in range(64))
    return next(found for found in made if base64.b64encode(found).count(b"+") % 4 == 0)


@pytest.fixture(scope="module")
def text(document):
    return base64.b64encode(document).decode()


def read_as(data, **options):
    return decode(data.encode() if isinstance(data, str) else data, **options).read_as


def xxd(data, width=16):
    lines = []
    for start in range(0, len(data), width):
        part = data[start : start + width]
        pairs = [part[at : at + 2].hex() for at in range(0, len(part), 2)]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}: {' '.join(pairs):<{width // 2 * 5 - 1}}  {shown}")
    return "\n".join(lines) + "\n"


def assert_rejected(data, code="document.encoding", **options):
    assert code_of(decode_document, data, **options) == code


# Plain forms


def test_plain_forms_need_no_mention(document, text):
    urlsafe = base64.urlsafe_b64encode(document).rstrip(b"=").decode()
    armoured = f"-----BEGIN DOC-----\n{base64.encodebytes(document).decode()}-----END DOC-----\n"
    for form in (text, urlsafe, armoured, document.hex(), f"0x{document.hex().upper()}\r\n"):
        assert decode_document(form) == decode_document(form.encode()) == document
        assert read_as(form) is None
    for raw in (document, bytearray(document), memoryview(document)):
        assert decode_document(raw) == document


def test_hex_is_never_read_as_base64(document):
    """Hex digits are base64 too, but no base64 of a document has only hex digits."""
    missing = document.hex()[:-1]
    assert_rejected(missing)
    assert "one is missing" in rejection(decode_document, missing).message
    assert decode_document("abcd") == b"\xab\xcd"
    for first in (b"\x84", b"\xd2"):
        assert set(base64.b64encode(first + bytes(2)).decode()[:2]) - set("0123456789abcdefABCDEF")


def test_a_named_form_is_the_only_one_that_is_read(document, text):
    assert decode(text.encode(), "base64").document == document
    assert decode(document.hex().encode(), "hex").document == document
    assert decode(text.encode(), "raw").document == text.encode()
    for data, form in ((text.encode(), "hex"), (b"", "hex"), (b"", "base64"), (b"{}", "base64")):
        assert code_of(decode, data, form) == "document.encoding"
    assert decode(json.dumps({"a": text}).encode(), "base64", "a").document == document
    assert code_of(decode, json.dumps({"a": text}).encode(), "hex", "a") == "document.encoding"


# Texts


def test_a_byte_order_mark_and_utf_16_are_read(document, text):
    assert decode_document(b"\xef\xbb\xbf" + text.encode()) == document
    assert decode_document("\ufeff" + text) == document
    assert read_as("\ufeff" + text) == "UTF-8 with a byte order mark, base64"
    for codec in ("utf-16-le", "utf-16-be"):
        assert decode_document(("\ufeff" + text).encode(codec)) == document
    assert read_as(text.encode("utf-16")) == "UTF-16, base64"


def test_utf_16_without_its_mark_and_damaged_utf_16_are_rejected(text):
    unmarked = text.encode("utf-16-le")
    assert decode_document(unmarked) == unmarked  # left to verify(), which rejects it
    assert_rejected(text.encode("utf-16")[:-1])
    assert_rejected(b"\xef\xbb\xbf" + text.encode() + b"\xff")


def test_a_data_url_is_read_if_it_is_base64(document, text):
    for header in ("data:;base64,", "data:application/cbor;base64,", "DATA:x/y;charset=z;BASE64,"):
        assert decode_document(header + text) == document
    assert read_as(f"data:;base64,{text}") == "data: URL, base64"
    assert_rejected(f"data:,{text}")
    assert_rejected(f"data:application/cbor,{text}")
    assert_rejected("data:;base64," + text.replace("+", "%2B"))
    assert_rejected("data:;base64,\u00e9")


def test_a_plus_that_became_a_blank_is_restored(document, text):
    damaged = text.replace("+", " ")
    assert decode_document(damaged) == document
    assert read_as(damaged) == "base64 with blanks in place of +"
    assert decode_document(json.dumps({"doc": damaged})) == document


def test_blanks_that_only_wrap_base64_are_no_plus(document, text):
    wrapped = " ".join(text[at : at + BASE64_LINES] for at in range(0, len(text), BASE64_LINES))
    assert decode_document(wrapped) == document
    assert read_as(wrapped) is None


def test_blanks_that_fit_neither_reading_are_not_guessed(document, text):
    both = text.replace("+", " ")
    found = decode_document(both[:100] + " " + both[100:])
    assert found != document
    assert code_of(parse_unverified, found).startswith(("cbor.", "cose.", "payload."))


def test_base64_that_is_a_document_in_both_readings_is_rejected(monkeypatch, text):
    monkeypatch.setattr("nitro_attest.document_text.parse_unverified", lambda *_, **__: None)
    error = rejection(decode_document, text.replace("+", " "))
    assert (error.code, "also with +" in error.message) == ("document.encoding", True)


# JSON


def test_the_only_document_in_an_object_is_found(document, text):
    answer = {"id": 7, "ok": True, "attestation": text, "note": "not a document", "n": None}
    assert decode_document(json.dumps(answer)) == document
    assert read_as(json.dumps(answer)) == "JSON member attestation, base64"
    assert decode_document(json.dumps({"Doc": text, "doc": "x"})) == document
    nested = {"data": [{"kind": "x"}, {"doc": document.hex()}]}
    assert decode_document(json.dumps(nested)) == document
    assert read_as(json.dumps(nested)) == "JSON member data[1].doc, hex"
    assert decode_document(json.dumps({"a": f"data:;base64,{text}"})) == document


def test_a_list_of_integers_is_read(document):
    for form in (list(document), {"doc": list(document)}, {"type": "Buffer", "data": [*document]}):
        assert decode_document(json.dumps(form)) == document
    assert read_as(json.dumps({"doc": list(document)})) == "JSON member doc, list of integers"


def test_a_json_string_is_read_once(document, text):
    assert decode_document(json.dumps(text)) == document
    assert decode_document(json.dumps(text).replace("/", "\\/") + "\n") == document
    assert_rejected(json.dumps(json.dumps(text)))


def test_a_named_member_is_the_document(document, text):
    two = json.dumps({"old": "hEQA", "new": {"doc": text, "hash": "abcd"}})
    assert_rejected(two)
    assert decode_document(two, json_field="new.doc") == document
    assert decode_document(two, json_field="new") == document
    assert decode_document(two.encode("utf-16"), json_field="new.doc") == document
    assert read_as(two, json_field="new.doc") == "JSON member new.doc, base64"
    assert decode_document(json.dumps({"a": list(document)}), json_field="a") == document


@pytest.mark.parametrize("field", ["doc", "new.old", "new.doc.x", ".", "list", "list.0", "null"])
def test_a_name_that_is_not_that_of_a_document_is_rejected(text, field):
    answer = {"new": {"doc": text}, "list": [text, text], "null": None}
    assert_rejected(json.dumps(answer), json_field=field)


@pytest.mark.parametrize("field", ["", 5, b"doc", ["doc"]])
def test_a_field_that_is_no_name_is_an_input_error(field):
    assert code_of(decode_document, "{}", json_field=field) == "input.expected"


def test_a_name_that_can_be_read_in_two_ways_is_rejected(document, text):
    nested = {"a": {"b": {"c": text}}}
    assert decode_document(json.dumps(nested), json_field="a.b.c") == document
    for other in ({"a.b.c": text}, {"a": {"b": {"c": text}, "b.c": text}}):
        assert_rejected(json.dumps(nested | other), json_field="a.b.c")


def test_long_names_are_not_copied_for_every_value():
    name, values = "n" * 100_000, ",".join(['"8444"'] * 20_000)
    tracemalloc.start()
    try:
        assert_rejected(f'{{"{name}": [{values}]}}')
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_a_named_member_needs_json(document):
    for data in (document, document.hex(), b"\xff"):
        assert_rejected(data, json_field="doc")
    assert code_of(decode, b"{}", "raw", "doc") == "input.expected"


def test_two_documents_in_one_object_are_ambiguous(document, text):
    for second in (text, document.hex(), list(document), {"x": text}):
        answer = json.dumps({"a": text, "b": second})
        message = rejection(decode_document, answer).message
        assert "['a', 'b" in message
        assert "json_field=" in message
        assert decode_document(answer, json_field="a") == document


def test_json_of_two_meanings_or_without_a_document_is_rejected(text):
    for answer in (
        f'{{"a": "{text}", "a": "{text}"}}',
        f'{{"a": "{text}"}} {{"b": 1}}',
        f'{{"a": "{text}"',
        "{}",
        "[]",
        '{"a": "aGVsbG8="}',
        "[132, 68, 256]",
        "[132, 68, -95]",
        "[132, 68, 1.0]",
        "[132, true]",
        '{"a": [132, 68, 999]}',
        "[" * 99 + "]" * 99,
        json.dumps({"a": text[1:]}),
    ):
        assert_rejected(answer)


# Wrappers


def test_gzip_is_read(document, text):
    for content in (document, text.encode(), json.dumps({"a": text}).encode()):
        assert decode_document(gzip.compress(content)) == document
    assert read_as(gzip.compress(document)) == "gzip"
    assert read_as(gzip.compress(text.encode())) == "gzip, base64"


def test_gzip_that_is_cut_repeated_or_nested_is_rejected(document):
    packed = gzip.compress(document)
    for data in (packed[:-1], packed + packed, packed + b"\n", gzip.compress(packed), packed[:9]):
        assert_rejected(data)
    assert_rejected(packed[:20] + bytes([packed[20] ^ 255]) + packed[21:])


def test_no_more_is_decompressed_than_a_document_can_have():
    for size, code in ((MAX_TEXT_BYTES, "document.encoding"), (1 << 26, "document.too_large")):
        assert_rejected(gzip.compress(b"," * size), code)


def test_an_answer_of_the_nsm_is_read(document):
    answer = cbor2.dumps({"Attestation": {"document": document}})
    assert decode_document(answer) == document
    assert read_as(answer) == "answer of the NSM"


def test_an_answer_of_the_nsm_with_another_size_is_rejected(document):
    answer = cbor2.dumps({"Attestation": {"document": document}})
    start = answer.index(b"document") + 9
    for data in (answer[:-1], answer + b"\0", *(answer[: start + more] for more in range(3))):
        assert_rejected(data)
    other = cbor2.dumps({"Attestation": {"document": document, "x": 1}})
    assert decode_document(other) == other  # left to verify(), which rejects it


def test_a_dump_of_xxd_is_read(document):
    dump = xxd(document)
    assert decode_document(dump) == document
    assert decode_document(dump.replace("\n", "\r\n")) == document
    assert decode_document(xxd(document, 32)) == document
    assert decode_document(xxd(document + b" ")) == document + b" "
    assert read_as(dump) == "dump of xxd"


def test_the_dump_is_that_of_the_program(document, tmp_path):
    (tmp_path / "doc").write_bytes(document)
    try:
        done = subprocess.run(["xxd", "doc"], cwd=tmp_path, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("xxd is not installed")
    assert done.stdout.decode() == xxd(document)


def test_a_dump_with_a_missing_or_changed_line_is_rejected(document):
    lines = xxd(document).splitlines()
    for changed in (
        lines[1:],
        lines[:3] + lines[4:],
        [*lines[:3], lines[3], *lines[3:]],
        [lines[1], lines[0], *lines[2:]],
        [lines[0].replace("8444", "8445"), *lines[1:]],
        [lines[0][:-1] + "x", *lines[1:]],
        [lines[0].split("  ")[0], *lines[1:]],
        [*lines[:3], "", *lines[3:]],
        [*lines, "the end"],
        ["00000000: 8444 a1  .D.", "00000003: 01  .", '00000004: 3822 a0  8".'],
    ):
        assert_rejected("\n".join(changed))
    assert_rejected(xxd(document[:8]) + xxd(document)[len(lines[0]) + 1 :])


# Everything else


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"PK\x03\x04rest", "unzip"),
        (b"\x28\xb5\x2f\xfdrest", "zstd -d"),
        (b"\xfd7zXZ\0", "xz -d"),
        (b"BZh91AY", "bzip2 -d"),
        (b".eif\0\4", "nitro-attest eif"),
        (b"00000000  84 44 a1 01  |.D..|\n", "xxd -p"),
        (b"0000000 4484 01a1 2238\n", "xxd -p"),
        (b'{"a": {"b": 1}}', "jq -r"),
        (b"<html></html>", "'<html></html>'"),
        ("r\u00e9sum\u00e9".encode(), "r\u00e9sum\u00e9"),
        (b"hES BA", "malformed base64"),
        (b"data:text/plain,hES", "expected ;base64 in the data: URL, found 'text/plain'"),
    ],
)
def test_the_error_says_what_the_file_is_or_what_to_do(data, advice):
    error = rejection(decode_document, data)
    assert (error.code, advice in error.message) == ("document.encoding", True), error.message


@pytest.mark.parametrize("data", ["", b"", " \n", b"\t"])
def test_c1_nothing_is_an_empty_document(data):
    assert_rejected(data, "document.empty")


def test_c2_a_text_is_limited():
    assert_rejected("A" * (MAX_TEXT_BYTES + 1), "document.too_large")
    assert decode_document("00" * MAX_DOCUMENT_BYTES) == bytes(MAX_DOCUMENT_BYTES)


@pytest.mark.parametrize("data", [b"\x84", b"\xd2\x84", b"\xff\0", b"\x80\x81", b"\0"])
def test_bytes_of_no_known_form_are_left_to_verify(data):
    assert decode_document(data) == data


def test_hex_in_groups_is_not_a_dump(document):
    groups = document.hex()
    assert decode_document(f"{groups[:8]} {groups[8:12]} {groups[12:]}") == document


def test_a_released_buffer_is_an_input_error():
    view = memoryview(b"84")
    view.release()
    assert code_of(decode_document, view) == "input.document"


@pytest.mark.parametrize("data", [None, 5, ["84"], {"a": 1}, object()])
def test_a_wrong_type_is_an_input_error(data):
    with pytest.raises(InputError) as caught:
        decode_document(data)
    assert caught.value.code == "input.document"


def test_long_texts_of_any_kind_take_little_time(text):
    for part in ("{", "[", "[1,", '"', "a ", "+ ", "A", "00000000: ", "data:", "-----BEGIN ", "0x"):
        data = part * (MAX_TEXT_BYTES // len(part))
        try:
            decode_document(data)
        except FormatError:
            continue
    many = json.dumps({str(number): "hEQA hEQA" for number in range(5000)})
    assert_rejected(many)


def test_the_error_of_a_named_form_shows_the_text():
    error = rejection(decode, b"xyz", "hex")
    assert error.message == "expected hex digits, found 'xyz'"
