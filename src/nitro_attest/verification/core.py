"""Binding to the C core: takes bytes, returns the content of every field or raises FormatError.

Nothing else in the package decodes a document. The C core accepts or rejects it and reports where
each field lies; Python only slices there, so no second parser can disagree with the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple

from nitro_attest._internal.values import rebuilt
from nitro_attest.errors import FormatError, InputError
from nitro_attest.limits import (
    DEFAULT_OPTIONAL_BYTES,
    MAX_CABUNDLE_CERTIFICATES,
    MAX_CERTIFICATE_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_MODULE_ID_BYTES,
    MAX_OPTIONAL_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_PCRS,
    MAX_UNKNOWN_FIELDS,
    PCR_BYTES,
    SIGNATURE_BYTES,
)
from nitro_attest.verification._native import ffi, lib
from nitro_attest.verification.layout import layout

__all__ = ["Kind", "Limits", "UnknownField", "UnknownFields"]

Kind = Literal["enclave", "nitrotpm"]
"""The kind of a document: of an enclave, or of a whole EC2 instance (T-1)."""

UnknownFields = Literal["reject", "warn"]
"""The effect of a field of the payload that this version does not know (P-7)."""


@rebuilt
@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on the three optional fields, in bytes (rules P-22 to P-24).

    No other limit can be changed. Can be pickled; the copy is checked again.

    Example:
        >>> Limits(user_data=4096)
        Limits(public_key=1024, user_data=4096, nonce=1024)

    Attributes:
        public_key: 0 to 4096.
        user_data: 0 to 4096.
        nonce: 0 to 4096.

    Raises:
        InputError: ``input.limits`` for anything but an integer from 0 to 4096.
    """

    public_key: int = DEFAULT_OPTIONAL_BYTES
    user_data: int = DEFAULT_OPTIONAL_BYTES
    nonce: int = DEFAULT_OPTIONAL_BYTES

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or not 0 <= value <= MAX_OPTIONAL_BYTES:
                raise InputError(
                    "input.limits",
                    f"limit of {field.name}: expected an integer from 0 to {MAX_OPTIONAL_BYTES}, "
                    f"found {value!r}",
                )


DEFAULT_LIMITS: Final = Limits()


def check_limits(limits: object) -> None:
    """Rejects anything but Limits.

    Raises:
        InputError: ``input.limits``.
    """
    if not isinstance(limits, Limits):
        raise InputError("input.limits", f"limits: expected Limits(...), found {limits!r}")


def check_unknown_fields(unknown_fields: object) -> None:
    """Rejects anything but a value of UnknownFields.

    Raises:
        InputError: ``input.expected``.
    """
    if unknown_fields not in ("reject", "warn"):
        raise InputError(
            "input.expected",
            f"unknown_fields: expected 'reject' or 'warn', found {unknown_fields!r}",
        )


class PcrValues(Mapping[int, bytes]):
    """PCR values by index, each sliced out of the payload when it is read.

    Slicing all of them would cost 3 us per verification, and a policy reads only a few.
    """

    __slots__ = ("_offsets", "_payload")

    def __init__(self, payload: bytes, offsets: tuple[int, ...]) -> None:
        self._payload = payload
        self._offsets = offsets  # by index; 0 where the PCR is absent

    def __getitem__(self, index: int) -> bytes:
        known = isinstance(index, int) and 0 <= index < MAX_PCRS
        at = self._offsets[index] if known else 0
        if not at:
            raise KeyError(index)
        return self._payload[at : at + PCR_BYTES]

    def __iter__(self) -> Iterator[int]:
        return iter([index for index, at in enumerate(self._offsets) if at])

    def __len__(self) -> int:
        return MAX_PCRS - self._offsets.count(0)

    def __hash__(self) -> int:
        return hash(tuple(self.items()))

    def __repr__(self) -> str:
        return repr(dict(self))


class UnknownField(NamedTuple):
    """A field of the payload that this version does not know: signed, but not interpreted (P-7).

    Attributes:
        name: The key.
        value: The value as received: one complete CBOR item, 1 byte or more.
        offset: Offset of the value's first byte in the document.
    """

    name: str
    value: bytes
    offset: int


class Content(NamedTuple):
    """The content of each field of an accepted payload."""

    module_id: str
    digest: str
    timestamp_ms: int
    certificate: bytes
    cabundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    pcrs: Mapping[int, bytes]
    unknown_fields: tuple[UnknownField, ...]


class Span(NamedTuple):
    """The position of the content of one field in a document.

    Attributes:
        field: ``protected``, ``payload``, ``signature``, ``unknown``, or the field's name in the
            payload.
        number: The PCR, or the position in the cabundle or among the unknown fields; None for
            other fields.
        start: Offset of the first byte.
        end: Offset after the last byte.
    """

    field: str
    number: int | None
    start: int
    end: int


class Parts(NamedTuple):
    """An accepted document: its kind, the parts that the signature covers, and its content."""

    kind: Kind
    protected: bytes
    payload: bytes
    signature: bytes
    content: Content


# The fields of both structs in their order.
_PARTS: Final = ("protected", "payload", "signature")
_STRINGS: Final = ("module_id", "digest", "certificate", "public_key", "user_data", "nonce")

# The C structs as packed numbers, in the order of the header. A PCR's length is known.
_ERROR: Final = layout("nitro_error", "found", "offset", "field", "index", "text")
_SIGN1: Final = layout("nitro_sign1", "protected_header", "payload", "signature")
_COUNTS: Final = ("cabundle_count", "kind", "unknown_count")
_PAYLOAD: Final = layout(
    "nitro_payload", "timestamp", *_STRINGS, "pcrs.offset", "cabundle", *_COUNTS
)
_UNKNOWN: Final = layout("nitro_payload", "unknown")
_FIRST_PCR: Final = 1 + 2 * len(_STRINGS)
_FIRST_CERTIFICATE: Final = _FIRST_PCR + MAX_PCRS
_CABUNDLE_COUNT, _KIND, _UNKNOWN_COUNT = range(-len(_COUNTS), 0)

_OK: Final = lib.NITRO_OK
_ENCLAVE: Final = lib.NITRO_FIELD_PCRS

_FIELD_NAMES: Final = {
    getattr(lib, f"NITRO_FIELD_{name.upper()}"): name
    for name in (
        *("document", "protected", "unprotected", "payload", "signature", "key"),
        *("module_id", "digest", "timestamp", "pcrs", "nitrotpm_pcrs", "certificate", "cabundle"),
        *("public_key", "user_data", "nonce", "unknown"),
    )
}


def parse(
    document: bytes, limits: Limits = DEFAULT_LIMITS, unknown_fields: UnknownFields = "reject"
) -> Parts:
    """Checks every byte of a document against rules C-1 to C-13 and P-*.

    Args:
        document: The raw document.
        limits: Caps on the optional fields.
        unknown_fields: ``warn`` skips up to 16 unknown fields (P-7).

    Returns:
        The parts of the envelope, and the content of each field of the payload.

    Raises:
        FormatError: The document does not have the accepted form; ``offset`` is where.
    """
    envelope, payload, numbers, unknown = _read(document, limits, unknown_fields)
    protected, protected_size, base, _, signature, signature_size = envelope
    return Parts(
        "enclave" if numbers[_KIND] == _ENCLAVE else "nitrotpm",
        document[protected : protected + protected_size],
        payload,
        document[signature : signature + signature_size],
        _content(payload, numbers, _unknown(payload, base, unknown)),
    )


def spans(
    document: bytes, limits: Limits = DEFAULT_LIMITS, unknown_fields: UnknownFields = "reject"
) -> list[Span]:
    """Locates the content of each field that has some, by the rules of ``parse``.

    Args:
        document: The raw document.
        limits: Caps on the optional fields.
        unknown_fields: As for ``parse``.

    Returns:
        The spans by their first byte; that of the payload precedes those inside it. That of an
        unknown field is its value, a complete CBOR item. The timestamp, whose value is part of a
        CBOR head, has none.

    Raises:
        FormatError: As for ``parse``.
    """
    envelope, _, numbers, unknown = _read(document, limits, unknown_fields)
    base = envelope[2]
    pcrs = "pcrs" if numbers[_KIND] == _ENCLAVE else "nitrotpm_pcrs"
    pcr_numbers = [n for at in numbers[_FIRST_PCR:] for n in (at, PCR_BYTES)]
    certificates = [("cabundle", i) for i in range(numbers[_CABUNDLE_COUNT])]
    values = [n for field in _in_groups(unknown) for n in field[2:]]
    found = [
        *_spans_in(0, [(name, None) for name in _PARTS], envelope),
        *_spans_in(base, [(name, None) for name in _STRINGS], numbers[1:]),
        *_spans_in(base, [(pcrs, i) for i in range(MAX_PCRS)], pcr_numbers),
        *_spans_in(base, certificates, numbers[_FIRST_CERTIFICATE:]),
        *_spans_in(base, [("unknown", i) for i in range(len(values) // 2)], values),
    ]
    return sorted(found, key=attrgetter("start"))


def _spans_in(
    base: int, fields: Iterable[tuple[str, int | None]], numbers: Sequence[int]
) -> Iterator[Span]:
    """Yields the spans of fields from their offsets and lengths; offset 0 means absent."""
    for (field, number), at, size in zip(fields, numbers[::2], numbers[1::2], strict=False):
        if at:
            yield Span(field, number, base + at, base + at + size)


def _read(
    document: bytes, limits: Limits, unknown_fields: UnknownFields
) -> tuple[tuple[int, ...], bytes, tuple[int, ...], tuple[int, ...]]:
    """Runs the C core over both layers.

    Returns:
        The numbers of the envelope's struct; the payload; the numbers of its struct; and those of
        its unknown fields, 4 for each.
    """
    envelope = ffi.new("nitro_sign1 *")
    status = lib.nitro_sign1_parse(document, len(document), envelope)
    if status != _OK:
        raise _format_error(status, envelope, document, 0, limits)
    parts = _SIGN1.unpack(ffi.buffer(envelope))
    base, size = parts[2:4]
    payload = document[base : base + size]
    out = ffi.new("nitro_payload *")
    status = lib.nitro_payload_parse(payload, size, _caps(limits, unknown_fields), out)
    if status != _OK:
        raise _format_error(status, out, document, base, limits, unknown_fields)
    numbers = _PAYLOAD.unpack(ffi.buffer(out))
    count = numbers[_UNKNOWN_COUNT]
    unknown = _UNKNOWN.unpack(ffi.buffer(out))[: 4 * count] if count else ()
    return parts, payload, numbers, unknown


def _caps(limits: Limits, unknown_fields: UnknownFields) -> Any:
    if limits is DEFAULT_LIMITS and unknown_fields == "reject":
        return ffi.NULL  # the C core's defaults are the same
    skipped = MAX_UNKNOWN_FIELDS if unknown_fields == "warn" else 0
    caps = (limits.public_key, limits.user_data, limits.nonce, skipped)
    return ffi.new("nitro_limits *", caps)


def _in_groups(unknown: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """Yields offset and length of the name, then of the value, of each unknown field."""
    return zip(*[iter(unknown)] * 4, strict=True)


def _unknown(payload: bytes, base: int, unknown: tuple[int, ...]) -> tuple[UnknownField, ...]:
    return tuple(
        UnknownField(
            payload[name : name + name_size].decode("utf-8"),
            payload[value : value + value_size],
            base + value,
        )
        for name, name_size, value, value_size in _in_groups(unknown)
    )


def _content(
    payload: bytes, numbers: tuple[int, ...], unknown: tuple[UnknownField, ...]
) -> Content:
    """Slices the fields; offset 0 means that a field is absent (nitro_span in the header)."""
    timestamp, m_at, m_size, d_at, d_size, c_at, c_size = numbers[:7]
    k_at, k_size, u_at, u_size, n_at, n_size = numbers[7:_FIRST_PCR]
    end = _FIRST_CERTIFICATE + 2 * numbers[_CABUNDLE_COUNT]
    certificates = iter(numbers[_FIRST_CERTIFICATE:end])
    return Content(
        payload[m_at : m_at + m_size].decode("ascii"),
        payload[d_at : d_at + d_size].decode("ascii"),
        timestamp,
        payload[c_at : c_at + c_size],
        tuple([payload[at : at + next(certificates)] for at in certificates]),
        payload[k_at : k_at + k_size] if k_at else None,
        payload[u_at : u_at + u_size] if u_at else None,
        payload[n_at : n_at + n_size] if n_at else None,
        PcrValues(payload, numbers[_FIRST_PCR:_FIRST_CERTIFICATE]),
        unknown,
    )


# Messages by code. {found}, {field}, {index} and {text} come from the C core's nitro_error.
_SENTENCES: Final = {
    "document.empty": "the document is empty",
    "document.too_large": "document too large: expected at most "
    f"{MAX_DOCUMENT_BYTES} bytes, found {{found}}",
    "cbor.truncated": "the document ends inside {field}",
    "cbor.not_minimal": "a length or number in {field} is not in its shortest encoding",
    "cbor.indefinite": "{field}: expected a string of definite length, found one of "
    "indefinite length",
    "cbor.reserved": "{field} has a reserved CBOR head (additional information {found})",
    "cbor.break": "{field}: expected an item, found a break (FF)",
    "cbor.trailing": "{field} has extra bytes after its end: {found}",
    "cbor.utf8": "invalid UTF-8 in {field}",
    "cose.array": "not a COSE_Sign1: expected an array of 4 items (head 0x84), found head "
    "{found:#04x}",
    "cose.unprotected": "unprotected header: expected the empty map (head 0xa0), found head "
    "{found:#04x}",
    "cose.payload": f"payload: expected a byte string of 1 to {MAX_PAYLOAD_BYTES} bytes; it is "
    "detached, empty, too long or of another type",
    "cose.signature_length": f"signature: expected a byte string of {SIGNATURE_BYTES} bytes "
    "(ES384), found {found}",
    "payload.not_map": "the payload is not a map",
    "payload.key_type": "a key of the payload map is not text",
    "payload.duplicate": "{field} appears twice",
    "payload.unknown_key": "unknown field {text}: the document is newer than this version of "
    "nitro-attest; update nitro-attest, or skip unknown fields with unknown_fields='warn'",
    "payload.missing": "{field} is missing",
    "payload.kind": "the payload has both pcrs and nitrotpm_pcrs; expected one of them",
    "payload.null": "{field} is null or undefined",
    "payload.module_id": f"module_id: expected 1 to {MAX_MODULE_ID_BYTES} visible ASCII "
    "characters, found {found} bytes {text}",
    "payload.digest": "digest: expected 'SHA384', found {text}",
    "payload.timestamp": "timestamp: expected milliseconds from 1970 to 9999, found {found}",
    "payload.pcrs_count": f"{{field}}: expected 1 to {MAX_PCRS} entries, found {{found}}",
    "payload.pcr_index": "PCR index: expected an unsigned integer from 0 to 31, found {found}",
    "payload.pcr_length": f"PCR{{index}}: expected {PCR_BYTES} bytes, found {{found}}",
    "payload.pcrs_missing": "PCR{index} is missing; debug mode can only be detected from PCR0, "
    "PCR1 and PCR2",
    "payload.certificate": f"certificate: expected 1 to {MAX_CERTIFICATE_BYTES} bytes, found "
    "{found}",
    "payload.cabundle": f"cabundle: expected 1 to {MAX_CABUNDLE_CERTIFICATES} certificates, found "
    "{found}",
    "payload.cabundle_entry": "certificate {index} in cabundle: expected "
    f"1 to {MAX_CERTIFICATE_BYTES} bytes, found {{found}}",
    "payload.public_key": "public_key: expected at most {limit} bytes, found {found}",
    "payload.user_data": "user_data: expected at most {limit} bytes, found {found}",
    "payload.nonce": "nonce: expected at most {limit} bytes, found {found}",
    "payload.type": "{field} has the wrong CBOR type (major type {found})",
    "payload.nesting": "{field}: expected at most 4 levels of maps and arrays, found more",
}

# C-6, C-17: known protected headers of other algorithms, so that the message can name them.
_KNOWN_PROTECTED: Final = {
    "43a10126": "ES256 (-7)",
    "44a1013823": "ES512 (-36)",
    "44a1013832": "ESP384 (-51)",
}
_COSE_SIGN1_TAG: Final = 18
_EMULATOR_PROTECTED: Final = bytes.fromhex("43a10120")


def _format_error(
    status: int,
    out: Any,
    document: bytes,
    base: int,
    limits: Limits,
    unknown_fields: UnknownFields = "reject",
) -> FormatError:
    found, offset, field, index, text_at, text_size = _ERROR.unpack_from(ffi.buffer(out))
    code = ffi.string(lib.nitro_status_code(status)).decode("ascii")
    offset += base
    text = document[base + text_at : base + text_at + text_size]
    name = _FIELD_NAMES[field]
    if code == "cose.protected":
        sentence = _protected_sentence(document, offset)
    elif code == "cose.tag":
        sentence = (
            "tag 18: expected the single byte D2, once; found it twice or in a longer encoding"
            if found == _COSE_SIGN1_TAG
            else f"tag: expected none or 18 (COSE_Sign1), found {found}"
        )
    elif code == "cose.array" and _looks_like_text(document):
        code = "document.encoding"
        sentence = (
            "expected the bytes of a document, found text; decode it first if it is base64 or hex"
        )
    elif code == "payload.unknown_key" and unknown_fields == "warn":
        sentence = (
            f"unknown field {_quote(text)}: expected at most {MAX_UNKNOWN_FIELDS} unknown fields, "
            "found more; update nitro-attest"
        )
    else:
        sentence = _SENTENCES[code].format(
            found=found,
            field=_field_phrase(name, index),
            index=index,
            text=_quote(text),
            limit=getattr(limits, name, None),
        )
    return FormatError(code, sentence, offset)


def _protected_sentence(document: bytes, offset: int) -> str:
    if document.startswith(_EMULATOR_PROTECTED, offset):
        return (
            "this is an unsigned document of the QEMU emulator (its protected header is "
            "{alg: -1}); only documents signed by AWS hardware can be verified"
        )
    for header, name in _KNOWN_PROTECTED.items():
        if document.startswith(bytes.fromhex(header), offset):
            return f"protected header: expected {{alg: ES384 (-35)}}, found {name}"
    return "protected header: expected exactly {alg: ES384 (-35)}, the bytes A1 01 38 22"


def _looks_like_text(document: bytes) -> bool:
    return re.fullmatch(rb"[\t\n\r\x20-\x7e]+", document) is not None


def _field_phrase(name: str, index: int) -> str:
    if index != lib.NITRO_NO_INDEX:
        entry = {"cabundle": "certificate {} in cabundle", "unknown": "unknown field {}"}
        return entry.get(name, "PCR{}").format(index)
    return {
        "document": "the document",
        "protected": "the protected header",
        "unprotected": "the unprotected header",
        "payload": "the payload",
        "signature": "the signature",
        "key": "a key of the payload map",
    }.get(name, f"field {name}")


def _quote(text: bytes) -> str:
    shown = ascii(text.decode("utf-8", "backslashreplace"))
    return shown if len(shown) <= 80 else f"{shown[:80]}..."
