"""Fields in forms that general CBOR decoders accept and the format does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nitro_attest.testing.draft import Draft, Edit, array, bstr, head, tstr
from nitro_attest.testing.faults.payload import another_pcr, bundle, extra, value
from vectors.case import Case, Policy
from vectors.table import Row
from vectors.table import cases as cases_of

NONCE: Final = b"32 bytes that the verifier chose"
OTHER_NONCE: Final = b"32 bytes that another one chose."
TAG_24: Final = b"\xd8\x18"
"""Embedded CBOR (RFC 8949 section 3.4.5.1)."""


def _nonces(first: bytes, second: bytes) -> Edit:
    """Writes two nonces: the field in its place, and the same field at the end."""

    def apply(draft: Draft) -> None:
        draft.fields[draft.position("nonce")] = (tstr("nonce"), bstr(first))
        draft.fields.append((tstr("nonce"), bstr(second)))

    return Edit("fields", apply)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from cases_of(FIELDS)


FIELDS: Final = (
    *(
        Row(
            f"P-7.unknown-{name}",
            f"A field that AWS never sent, whose value is {what}.",
            extra(tstr("measurement_log"), content),
            "payload.unknown_key",
        )
        for name, what, content in (
            ("map", "a map", b"\xa1\x01" + tstr("entry")),
            ("nested", "an array in a map in an array", array([b"\xa1\x01" + array([b"\x02"])])),
            ("embedded", "embedded CBOR", TAG_24 + bstr(b"\xa1\x01\x02")),
            ("second-payload", "a map of other PCRs", b"\xa1" + tstr("pcrs") + b"\xa0"),
        )
    ),
    Row(
        "P-25.timestamp-half",
        "A timestamp as a float of 16 bits.",
        value("timestamp", b"\xf9\x3c\x00"),
        "payload.type",
    ),
    Row(
        "P-25.certificate-tagged",
        "The certificate under the tag of embedded CBOR.",
        value("certificate", lambda draft: TAG_24 + bstr(draft.certificate)),
        "payload.type",
    ),
    Row(
        "P-25.cabundle-entry-tagged",
        "A bundle certificate under the tag of embedded CBOR.",
        bundle(lambda items: [*items[:-1], TAG_24 + items[-1]]),
        "payload.type",
    ),
    Row(
        "P-16.tagged",
        "A PCR index under a tag.",
        another_pcr(b"\xc1" + head(0, 16)),
        "payload.pcr_index",
    ),
    Row(
        "P-16.bignum",
        "A PCR index as a big number under tag 2.",
        another_pcr(b"\xc2" + bstr(b"\x10")),
        "payload.pcr_index",
    ),
    *(
        Row(
            f"P-6.expected-nonce-{name}",
            f"Two nonces, {what}.",
            _nonces(first, second),
            "payload.duplicate",
            policy=Policy(nonce=NONCE),
        )
        for name, what, first, second in (
            ("first", "of which the caller expects the first", NONCE, OTHER_NONCE),
            ("last", "of which the caller expects the last", OTHER_NONCE, NONCE),
            ("twice", "both of which are the one that the caller expects", NONCE, NONCE),
        )
    ),
)
