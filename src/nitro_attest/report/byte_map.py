"""The bytes of a document, divided into its fields.

The C core reports the offsets of the content of each field. Between two contents are only CBOR
heads and keys, which this module names without parsing them: in a document that the C core
accepted, the timestamp, the null fields and the end of the map cannot be anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from nitro_attest.report.facts import WIDEST, Facts
from nitro_attest.verification.core import spans

_FIELD_RULES: Final = {
    "start": ("tag 18, if any, and the array of 4 items", "C-4, C-5"),
    "protected": ("protected header: {alg: ES384}", "C-6, C-7"),
    "unprotected": ("unprotected header: the empty map", "C-8"),
    "payload": ("heads of the payload, the signed map of all fields", "C-9, P-1"),
    "module_id": ("name of the attester, in visible ASCII", "P-12"),
    "digest": ("the text SHA384", "P-13"),
    "timestamp": ("milliseconds since 1970", "P-14"),
    "pcrs": ("measurement of an enclave: 48 bytes", "P-15 to P-18"),
    "nitrotpm_pcrs": ("measurement of an EC2 instance: 48 bytes", "P-15 to P-17, T-2"),
    "certificate": ("the signing certificate in DER", "P-19"),
    "cabundle": ("issuer certificate in DER, the root first", "P-20, P-21"),
    "public_key": ("bytes chosen by the attested code, or null", "P-10, P-22"),
    "user_data": ("bytes chosen by the attested code, or null", "P-10, P-23"),
    "nonce": ("bytes passed by the attested code, or null", "P-10, P-24"),
    "unknown": ("field that this version does not know", "P-7"),
    "end": ("end of the payload map", "P-4"),
    "signature": ("r and s, 48 bytes each", "C-10, C-14, C-16"),
    "unread": ("bytes of a document that does not have the accepted form", "C-*, P-*"),
}
"""By field: its meaning, and the ids of its rules."""

_STRINGS: Final = (
    *("module_id", "digest", "pcrs", "nitrotpm_pcrs", "certificate", "cabundle"),
    *("public_key", "user_data", "nonce"),
)
_KEY: Final = re.compile(
    # With its value (P-14), in which the bytes of another key could be.
    rb"(?P<timestamp>\x69timestamp)(?:\x1b.{8}|\x1a.{4}|\x19..|\x18.|[\x01-\x17])|"
    + b"|".join(b"(?P<%b>%c%b)" % (key, 0x60 + len(key), key) for key in map(str.encode, _STRINGS)),
    re.DOTALL,
)
_INDEFINITE_MAP: Final = 0xBF
_LONG_MAP: Final = 0xB8
_BREAK: Final = 0xFF


class Region(NamedTuple):
    """The bytes of one field.

    Attributes:
        field: Name of the field, or of another part of the document.
        number: The PCR, or the position in the cabundle or among the unknown fields; None for
            other fields.
        start: Offset of its first byte: that of its key, if it has one.
        content: Offset of its content, after the key and the CBOR heads.
        end: Offset after its last byte.
    """

    field: str
    number: int | None
    start: int
    content: int
    end: int

    @property
    def label(self) -> str:
        """Name of the field."""
        if self.number is None:
            return self.field
        return f"{self.field} {self.number}"

    @property
    def meaning(self) -> str:
        """Description of the field."""
        return _FIELD_RULES[self.field][0]

    @property
    def rules(self) -> str:
        """Ids of the rules for the field, as in docs/reference/rules.md."""
        return _FIELD_RULES[self.field][1]


def regions(facts: Facts) -> list[Region]:
    """Divides a document; one that is malformed is a single region.

    Args:
        facts: The verification.

    Returns:
        Regions that cover every byte once, in order; empty if the document is not known.
    """
    document = facts.document
    if not document:
        return []
    if facts.parsed is None:
        return [Region("unread", None, 0, 0, len(document))]
    names = [len(field.name.encode()) for field in facts.parsed.unknown_fields]
    return list(_divide(document, [_size_of_head(size) + size for size in names]))


def _size_of_head(length: int) -> int:
    """Returns the size of the head of a string of at most 65535 bytes (RFC 8949 section 3)."""
    return 1 if length < 24 else 2 if length < 256 else 3


def _divide(document: bytes, unknown_keys: list[int]) -> Iterator[Region]:
    """Divides a document; the sizes of its unknown keys are given, because the keys are not."""
    contents = spans(document, WIDEST, "warn")
    payload = next(each for each in contents if each.field == "payload")
    last = payload.end - (document[payload.start] == _INDEFINITE_MAP)
    done = 0
    for field, number, start, end in contents:
        match field:
            case "protected":
                yield Region("start", None, 0, 0, start - 1)
                yield Region(field, None, start - 1, start, end)
            case "payload":
                yield Region("unprotected", None, done, done, done + 1)
                end = start + 1 + (document[start] == _LONG_MAP)  # the head of the map
                yield Region(field, None, done + 1, start, end)
            case "signature":
                yield from _without_content(document, done, last)
                if last < payload.end:
                    yield Region("end", None, last, last, payload.end)
                yield Region(field, None, payload.end, start, end)
            case _:
                if field == "unknown" and number is not None:
                    first = start - unknown_keys[number]
                else:
                    keys = [key.start() for key in _KEY.finditer(document, done, start)]
                    first = keys[-1] if keys else done  # a further PCR or issuer has no key
                if end < last and document[end] == _BREAK:  # of an indefinite map or array
                    end += 1
                yield from _without_content(document, done, first)
                yield Region(field, number, first, start, end)
        done = end


def _without_content(document: bytes, start: int, end: int) -> Iterator[Region]:
    """Yields the timestamp and the null fields between the contents of two others."""
    keys = list(_KEY.finditer(document, start, end))
    ends = [key.start() for key in keys[1:]] + [end]
    for key, after in zip(keys, ends, strict=False):
        field = str(key.lastgroup)
        yield Region(field, None, key.start(), key.end(field), after)
