"""Documents as text and in wrappers: base64, hex, JSON, gzip and others (C-3).

Verification takes raw bytes only. These functions turn what people keep into such bytes, and reject
whatever can be read in two ways. Nothing here decides whether a document is genuine.
"""

from __future__ import annotations

import base64
import binascii
import re
import reprlib
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Literal, NamedTuple

from nitro_attest._internal.strict_json import read_json
from nitro_attest._internal.wording import plural
from nitro_attest.errors import FormatError, InputError, NitroAttestError
from nitro_attest.limits import MAX_DOCUMENT_BYTES, MAX_OPTIONAL_BYTES
from nitro_attest.verification.core import Limits
from nitro_attest.verification.document import parse_unverified

__all__ = ["decode_document"]

Encoding = Literal["auto", "raw", "hex", "base64"]
"""The form of a document; ``auto`` recognises it."""

MAX_TEXT_BYTES: Final = 16 * MAX_DOCUMENT_BYTES
"""Maximum size of a text, compressed or not. A dump takes more than four characters per byte, and
UTF-16 two bytes per character."""

_RAW_FIRST_BYTES: Final = (0x84, 0xD2)
"""C-4, C-5: an array of four, or tag 18 before it. No text begins with either."""

_STARTS: Final = (b"\x84\x44", b"\xd2\x84\x44")
"""C-4 to C-6: the same, and the head of the protected header. They distinguish a document from
other values."""

_NSM_ANSWER: Final = b"\xa1\x6bAttestation\xa1\x68document\x59"
"""N-3: the answer of the NSM to an Attestation request up to the size of the document, 2 bytes."""

_MAX_NAMED: Final = 7
"""Documents that are looked for in JSON: one more than a message can name."""

_GZIP: Final = b"\x1f\x8b"
_BYTE_ORDER_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8", "UTF-8 with a byte order mark"),
    (b"\xff\xfe", "utf-16-le", "UTF-16"),
    (b"\xfe\xff", "utf-16-be", "UTF-16"),
)
_OTHER_FILES: Final = (
    (b".eif", "an enclave image; measure it with nitro-attest eif"),
    (b"PK\x03\x04", "a ZIP archive; extract the document with unzip"),
    (b"\x28\xb5\x2f\xfd", "a file compressed with zstd; decompress it with zstd -d"),
    (b"\xfd7zXZ", "a file compressed with xz; decompress it with xz -d"),
    (b"BZh", "a file compressed with bzip2; decompress it with bzip2 -d"),
)
"""The first bytes of other files that people pass, and the way to a document."""

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")  # text has none of these
_ARMOUR: Final = re.compile(rb"-----(?:BEGIN|END) [^-\r\n]*-----")
_HEX: Final = re.compile(rb"(?:0[xX])?[0-9A-Fa-f]+")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+")
_DATA_URL: Final = re.compile(r"data:([^,]*),(.*)", re.IGNORECASE | re.DOTALL)
_XXD_LINE: Final = re.compile(
    r"([0-9A-Fa-f]{8,16}): ((?:[0-9A-Fa-f]{2})+(?: (?:[0-9A-Fa-f]{2})+)*)( {2}.*)?"
)
_ANY_SIZE: Final = Limits(MAX_OPTIONAL_BYTES, MAX_OPTIONAL_BYTES, MAX_OPTIONAL_BYTES)
_HEXDUMP: Final = re.compile(r"0{7,8} {1,2}[0-9A-Fa-f]{2,4} ")  # no document begins with zeros


class Decoded(NamedTuple):
    """A decoded document and its original form.

    Attributes:
        document: The raw bytes.
        steps: The forms that were removed, outermost first.
    """

    document: bytes
    steps: tuple[str, ...]

    @property
    def read_as(self) -> str | None:
        """The form in words; None for raw bytes and for nothing but hex or base64."""
        plain = self.steps in ((), ("hex",), ("base64",))
        return None if plain else ", ".join(self.steps)


def decode_document(text: str | bytes, *, json_field: str | None = None) -> bytes:
    """Decodes a document from the form in which it was kept or sent.

    Recognises base64 and base64url (also with a ``+`` that became a blank), hex, PEM-like armour,
    ``data:`` URLs, a dump of xxd, a list of integers, a string of JSON, a JSON object with exactly
    one document in it, and the answer of the NSM; each of these in UTF-8 or UTF-16 with a byte
    order mark, or compressed with gzip. Other bytes are returned unchanged: they are a raw
    document, or bytes that ``verify`` rejects.

    Args:
        text: The text, or the bytes of the file, of at most 262144 bytes.
        json_field: Name of the member of a JSON object that is the document; ``a.b`` names the
            member b of the member a. None: the only member that is a document.

    Returns:
        The raw document, for ``verify``. It is not verified.

    Raises:
        FormatError: ``document.encoding``: none of these forms, or more than one reading.
            ``document.too_large``: the text is too large. ``document.empty``: the text is empty.
        InputError: ``input.document``: neither text nor bytes. ``input.expected``: ``json_field``
            is not the name of a member.

    Example:
        >>> import base64
        >>> from nitro_attest import decode_document
        >>> answer = '{"attestation": "' + base64.b64encode(document).decode() + '"}'
        >>> decode_document(answer) == document
        True
    """
    if not isinstance(text, (str, bytes, bytearray, memoryview)):
        raise InputError(
            "input.document", f"document: expected text or bytes, found {type(text).__name__}"
        )
    if json_field is not None and (not isinstance(json_field, str) or not json_field):
        raise InputError(
            "input.expected",
            f"json_field: expected the name of a member, found {json_field!r:.100}",
        )
    if isinstance(text, str):
        data = str.encode(text, "utf-8", "replace")
    else:
        try:
            data = bytes(memoryview(text))
        except ValueError as error:  # a released memoryview
            raise InputError("input.document", f"document: {error}") from None
    return decode(data, json_field=json_field).document


def decode(data: bytes, encoding: Encoding = "auto", json_field: str | None = None) -> Decoded:
    """Decodes a document, and describes its form.

    Bytes of no known form are returned unchanged: the parser reports the error in them.

    Args:
        data: The bytes as read.
        encoding: The form of the document itself; with ``auto`` it is recognised, and so are the
            forms around it.
        json_field: As for ``decode_document``.

    Raises:
        FormatError: As ``decode_document``.
        InputError: ``input.expected``: ``json_field`` with the encoding ``raw``.
    """
    if len(data) > MAX_TEXT_BYTES:
        raise FormatError(
            "document.too_large",
            f"the input is larger than {MAX_TEXT_BYTES} bytes; expected a document of at most "
            f"{MAX_DOCUMENT_BYTES} bytes",
        )
    if json_field is not None and encoding == "raw":
        raise InputError("input.expected", "json_field= cannot be combined with the form raw")
    if json_field is not None:
        steps: list[str] = []
        text = _unicode(_gunzipped(data, steps), steps)
        if text is None:
            raise FormatError("document.encoding", "expected JSON, found bytes that are not UTF-8")
        return Decoded(_at_field(_json(text), json_field, encoding, steps), tuple(steps))
    if encoding == "raw":
        return Decoded(data, ())
    if encoding != "auto":
        document, form = _plain(data, encoding)
        return Decoded(document, (form,))
    if not data.strip():
        raise FormatError("document.empty", "the document is empty")
    steps = []
    return Decoded(_recognised(data, steps), tuple(steps))


def _recognised(data: bytes, steps: list[str]) -> bytes:
    data = _gunzipped(data, steps)
    if data[:1] and data[0] in _RAW_FIRST_BYTES:
        return data
    if data.startswith(_NSM_ANSWER):
        steps.append("answer of the NSM")
        return _in_nsm_answer(data)
    for start, description in _OTHER_FILES:
        if data.startswith(start):
            raise FormatError("document.encoding", f"expected a document, found {description}")
    text = _unicode(data, steps)
    if text is None:
        return data
    text = text.strip(" \t\r\n\v\f")
    if text[:1] in ("{", "["):
        return _in_json(_json(text), steps)
    if text[:1] == '"':
        value = _json(text)
        steps.append("JSON string")
        return _string(value, "auto", steps)
    if _XXD_LINE.match(text):
        steps.append("dump of xxd")
        return _in_dump(text)
    if _HEXDUMP.match(text):
        raise FormatError(
            "document.encoding",
            "expected a document, found a dump that is not of xxd; use the file itself, or xxd -p",
        )
    return _string(text, "auto", steps)


def _gunzipped(data: bytes, steps: list[str]) -> bytes:
    """Decompresses one gzip member, which must be all of the data."""
    if not data.startswith(_GZIP):
        return data
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = stream.decompress(data, MAX_TEXT_BYTES + 1)
    except zlib.error as error:
        raise FormatError("document.encoding", f"malformed gzip: {error}") from None
    if len(content) > MAX_TEXT_BYTES:
        raise FormatError(
            "document.too_large",
            f"expected at most {MAX_TEXT_BYTES} bytes in the gzip file, found more",
        )
    if not stream.eof or stream.unused_data or content.startswith(_GZIP):
        raise FormatError(
            "document.encoding",
            "expected one complete gzip member with a document, found a truncated, repeated or "
            "nested one; decompress it with gunzip",
        )
    steps.append("gzip")
    return content


def _in_nsm_answer(data: bytes) -> bytes:
    size, document = data[len(_NSM_ANSWER) :][:2], data[len(_NSM_ANSWER) + 2 :]
    if int.from_bytes(size, "big") != len(document) or len(size) < 2:
        raise FormatError(
            "document.encoding",
            f"answer of the NSM: expected {plural(int.from_bytes(size, 'big'), 'byte')} of "
            f"document, found {len(document)}",
        )
    return document


def _unicode(data: bytes, steps: list[str]) -> str | None:
    """Returns the text without its byte order mark; None if it is not text."""
    for mark, codec, description in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            steps.append(description)
            try:
                return data[len(mark) :].decode(codec)
            except UnicodeDecodeError:
                raise FormatError("document.encoding", f"malformed {description}") from None
    try:
        return None if _CONTROL.search(data) else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _json(text: str) -> Any:
    try:
        value, end = read_json(text := text.strip(" \t\r\n"), ignore_case=False)
    except InputError as error:
        raise FormatError("document.encoding", f"malformed JSON: {error.message}") from None
    if end != len(text):
        raise FormatError("document.encoding", "expected one JSON value, found text after it")
    return value


def _at_field(value: Any, json_field: str, encoding: Encoding, steps: list[str]) -> bytes:
    """Decodes the document at a named member."""
    names = json_field.split(".")
    for number, name in enumerate(names):
        whole = ".".join(names[number:])
        if name != whole and isinstance(value, dict) and whole in value:
            raise FormatError(
                "document.encoding",
                f"{json_field!r:.100} has two readings: the JSON has a member {whole!r:.100}",
            )
        if not isinstance(value, dict) or name not in value:
            found = reprlib.repr(list(value)) if isinstance(value, dict) else "no object"
            raise FormatError(
                "document.encoding", f"the JSON has no member {json_field!r:.100}: found {found}"
            )
        value = value[name]
    steps.append(f"JSON member {json_field}")
    if isinstance(value, str):
        return _string(value, encoding, steps)
    if isinstance(value, (dict, list)):
        return _in_json(value, steps)
    raise FormatError(
        "document.encoding", f"expected a document at {json_field!r:.100}, found {value!r:.100}"
    )


def _in_json(value: Any, steps: list[str]) -> bytes:
    """Decodes a list of integers, or the only document among the values of an object."""
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        steps.append("list of integers")
        return _integers(value)
    found = list(islice(_candidates(value, ()), _MAX_NAMED))
    if len(found) != 1:
        named = reprlib.repr([_text_of(path) for path, _ in found]) if found else "none"
        raise FormatError(
            "document.encoding",
            f"expected one document among the values of the JSON, found {named}; name its member "
            "with json_field=, or extract it with jq -r .NAME",
        )
    [(path, decoded)] = found
    steps += [f"JSON member {_text_of(path)}", *decoded.steps]
    return decoded.document


_Path = tuple[str | int, ...]
"""The names and positions that lead to a value of JSON; as text, long names would be copied."""


def _text_of(path: _Path) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def _candidates(value: Any, path: _Path) -> Iterator[tuple[_Path, Decoded]]:
    """Yields each value of JSON, by its path, that begins as a document does."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _candidates(item, (*path, name))
    elif isinstance(value, (str, list)):
        steps: list[str] = []
        try:
            if isinstance(value, str):
                document = _string(value, "auto", steps)
            elif value and all(type(item) is int for item in value):
                document = _integers(value)
                steps.append("list of integers")
            else:
                for number, item in enumerate(value):
                    yield from _candidates(item, (*path, number))
                return
        except FormatError:
            return
        if document.startswith(_STARTS):
            yield path, Decoded(document, tuple(steps))


def _integers(values: list[int]) -> bytes:
    wrong = [value for value in values if not 0 <= value <= 255]
    if wrong:
        raise FormatError(
            "document.encoding", f"expected integers from 0 to 255 in the list, found {wrong[0]}"
        )
    return bytes(values)


def _in_dump(text: str) -> bytes:
    """Decodes a dump of xxd, whose every line has the right offset and the right characters."""
    content = bytearray()
    width = 0
    for number, line in enumerate(text.splitlines()):
        match = _XXD_LINE.fullmatch(line)
        part = bytes.fromhex(match[2]) if match else b""
        width = width or len(part)
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        # Only the last line may be shorter than the first.
        continues = match and int(match[1], 16) == len(content) == width * number
        if not match or not continues or (match[3] or "").strip(" ") != shown.strip(" "):
            raise FormatError(
                "document.encoding",
                f"dump of xxd: line {number + 1} does not continue the one before it, or its two "
                "columns differ; use the file itself, or xxd -p",
            )
        content += part
    return bytes(content)


def _string(text: str, encoding: Encoding, steps: list[str]) -> bytes:
    """Decodes hex or base64, also in a data: URL."""
    if url := _DATA_URL.fullmatch(text):
        if not url[1].lower().endswith(";base64"):
            raise FormatError(
                "document.encoding",
                f"expected ;base64 in the data: URL, found {reprlib.repr(url[1])}",
            )
        steps.append("data: URL")
        text, encoding = url[2], "base64"
    if not text.isascii():
        raise _unrecognised(text)
    document, form = _plain(text.encode("ascii"), encoding)
    steps.append(form)
    return document


def _plain(data: bytes, encoding: Encoding) -> tuple[bytes, str]:
    """Decodes hex or base64, and names the form."""
    content = _ARMOUR.sub(b"", data).strip()
    text = b"".join(content.split())
    if encoding != "base64" and _HEX.fullmatch(text):
        # No base64 of a document has only hex digits: it begins with hE or 0o.
        if len(text) % 2:
            raise FormatError(
                "document.encoding",
                f"expected an even number of hex digits, found {len(text)}; one is missing",
            )
        return bytes.fromhex(text.decode("ascii").removeprefix("0x").removeprefix("0X")), "hex"
    if encoding == "hex":
        found = reprlib.repr(text.decode("ascii", "backslashreplace"))
        raise FormatError("document.encoding", f"expected hex digits, found {found}")
    if encoding == "base64" and not text:
        raise FormatError("document.encoding", "expected base64 or base64url, found empty text")
    if b" " in content and (restored := _with_plus(content, text)) is not None:
        return restored, "base64 with blanks in place of +"
    return _base64(text), "base64"


def _with_plus(content: bytes, text: bytes) -> bytes | None:
    """Decodes base64 with each blank as the + that it was before a form was decoded.

    Args:
        content: The text with its blanks.
        text: The text without them, which is the other reading.

    Returns:
        The document; None unless this reading is a document and the other is not.
    """
    readings = []
    for reading in (text, b"".join(content.replace(b" ", b"+").split())):
        try:
            document = _base64(reading)
            parse_unverified(document, _ANY_SIZE, unknown_fields="warn")
        except NitroAttestError:
            continue
        readings.append((document, reading is not text))
    match readings:
        case [(document, True)]:
            return document
        case [_, _]:
            raise FormatError(
                "document.encoding",
                "base64 with blanks: it is a document without them, and also with + in their "
                "place; remove or replace them",
            )
    return None


def _base64(text: bytes) -> bytes:
    standard = text.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    if not _BASE64.fullmatch(standard):
        raise _unrecognised(text.decode("ascii", "backslashreplace"))
    try:
        return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except binascii.Error as error:
        raise FormatError("document.encoding", f"malformed base64: {error}") from error


def _unrecognised(text: str) -> FormatError:
    return FormatError(
        "document.encoding",
        "expected a document as raw bytes, base64, hex or JSON, found text that begins with "
        f"{text[:20]!r}",
    )
