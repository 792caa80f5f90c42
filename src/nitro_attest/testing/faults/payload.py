"""Faults of the payload (rules P-1 to P-25)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cbor2

from nitro_attest.limits import (
    MAX_CERTIFICATE_BYTES,
    MAX_MODULE_ID_BYTES,
    MAX_TIMESTAMP_MS,
    PCR_BYTES,
)
from nitro_attest.testing.cases import Fault
from nitro_attest.testing.draft import BREAK, NULL, Draft, Edit, array, bstr, change, head, tstr

UNDEFINED: Final = b"\xf7"

Pair = tuple[bytes, bytes]


def value(name: str, make: bytes | Callable[[Draft], bytes]) -> Edit:
    """Gives a field another value; "pcrs" stands for the PCR map of either kind."""

    def apply(draft: Draft) -> None:
        real = draft.pcrs_name if name == "pcrs" else name
        content = make if isinstance(make, bytes) else make(draft)
        draft.fields[draft.position(real)] = (tstr(real), content)

    return Edit("fields", apply)


def key(name: str, encoded: bytes) -> Edit:
    """Writes the key of a field in another way."""

    def apply(draft: Draft) -> None:
        position = draft.position(name)
        draft.fields[position] = (encoded, draft.fields[position][1])

    return Edit("fields", apply)


def extra(encoded: bytes, content: bytes) -> Edit:
    """Appends a pair."""

    def apply(draft: Draft) -> None:
        draft.fields.append((encoded, content))

    return Edit("fields", apply)


def again(name: str, content: bytes | None = None) -> Edit:
    """Appends a field a second time, with the same content or another."""

    def apply(draft: Draft) -> None:
        encoded, first = draft.fields[draft.position(name)]
        draft.fields.append((encoded, first if content is None else content))

    return Edit("fields", apply)


def without(name: str) -> Edit:
    """Leaves a field out."""

    def apply(draft: Draft) -> None:
        del draft.fields[draft.position(draft.pcrs_name if name == "pcrs" else name)]

    return Edit("fields", apply)


def payload(make: bytes | Callable[[Draft], bytes]) -> Edit:
    """Signs another payload."""
    return change("payload", payload=make)


def pairs(draft: Draft) -> list[Pair]:
    """The honest PCRs, encoded."""
    return [(head(0, index), bstr(content)) for index, content in sorted(draft.pcrs.items())]


def pcrs(
    make: Callable[[list[Pair]], list[Pair]], opening: bytes = b"", closing: bytes = b""
) -> Edit:
    """Writes other pairs into the PCR map, and perhaps another head."""

    def encode(draft: Draft) -> bytes:
        made = make(pairs(draft))
        content = b"".join(index + register for index, register in made)
        return (opening or head(5, len(made))) + content + closing

    return value("pcrs", encode)


def first_pcr(make: Callable[[bytes], bytes]) -> Edit:
    """Encodes the value of PCR0 in another way."""
    return pcrs(lambda honest: [(honest[0][0], make(honest[0][1][2:])), *honest[1:]])


def another_pcr(index: bytes) -> Edit:
    """Adds a pair under an encoded index."""
    return pcrs(lambda honest: [*honest, (index, honest[0][1])])


def without_pcr(index: int) -> Edit:
    """Leaves a PCR out."""
    return pcrs(lambda honest: [*honest[:index], *honest[index + 1 :]])


def pcr_of(length: int) -> Edit:
    """Cuts or lengthens PCR0."""
    return first_pcr(lambda content: bstr(content.ljust(length, b"\x00")[:length]))


def bundle(make: Callable[[list[bytes]], list[bytes]]) -> Edit:
    """Writes other items into the cabundle."""
    return value("cabundle", lambda draft: array(make([bstr(item) for item in draft.cabundle])))


def chunked(content: bytes, major: int) -> bytes:
    """A string in one chunk."""
    return bytes([major << 5 | 31]) + head(major, len(content)) + content + BREAK


def _break_at(name: str, *, key_only: bool = False) -> Edit:
    """Ends the map behind a field, or behind its key, and goes on as if nothing had happened."""

    def make(draft: Draft) -> bytes:
        parts = [part for pair in draft.fields for part in pair]
        parts.insert(2 * draft.position(name) + (1 if key_only else 2), BREAK)
        return b"\xbf" + b"".join(parts) + BREAK

    return payload(make)


_MAP: Final = (
    *(
        Fault(
            fault_id,
            "payload.not_map",
            f"The payload is {what}.",
            edit=payload(content),
        )
        for fault_id, what, content in (
            ("P-1.null", "null", NULL),
            ("P-1.integer", "an integer", b"\x00"),
            ("P-1.text", "a text string", tstr("module_id")),
            ("P-1.array", "an empty array", b"\x80"),
            (
                "P-1.deep-arrays",
                "a thousand nested arrays, to exhaust a recursive reader's stack",
                b"\x81" * 1000 + NULL,
            ),
        )
    ),
    Fault(
        "P-1.byte-string",
        "payload.not_map",
        "The map wrapped in one more byte string.",
        edit=payload(lambda draft: bstr(draft.payload)),
    ),
    Fault(
        "P-1.tagged",
        "payload.not_map",
        "A tag in front of the map.",
        edit=payload(lambda draft: b"\xd9\xd9\xf7" + draft.payload),
    ),
    Fault(
        "P-1.array-of-fields",
        "payload.not_map",
        "Keys and values as one array.",
        edit=payload(lambda draft: array([part for pair in draft.fields for part in pair])),
    ),
    Fault(
        "P-2.break-after-index",
        "cbor.break",
        "A break between the index and the value of a PCR.",
        edit=pcrs(lambda honest: [*honest, (head(0, 31), b"")], b"\xbf", BREAK),
    ),
    Fault(
        "P-2.two-breaks",
        "cbor.break",
        "Two breaks behind the PCRs, in a counted map of fields.",
        document={"indefinite": False},
        edit=pcrs(lambda honest: honest, b"\xbf", BREAK * 2),
    ),
    Fault(
        "P-2.pcrs-empty",
        "payload.pcrs_count",
        "An indefinite PCR map without any PCR.",
        edit=pcrs(lambda honest: [], b"\xbf", BREAK),
    ),
    Fault(
        "P-2.pcrs-without-break",
        "payload.pcr_index",
        "An indefinite PCR map that never ends.",
        edit=pcrs(lambda honest: honest, b"\xbf"),
    ),
    Fault(
        "P-2.pcrs-33",
        "payload.pcr_index",
        "33 PCRs in an indefinite map.",
        edit=pcrs(
            lambda honest: [(head(0, index), honest[0][1]) for index in range(33)], b"\xbf", BREAK
        ),
    ),
    Fault(
        "P-2.pcr-twice",
        "payload.duplicate",
        "A PCR twice in an indefinite map.",
        edit=pcrs(lambda honest: [*honest, honest[0]], b"\xbf", BREAK),
    ),
    Fault(
        "P-2.cabundle-empty",
        "payload.cabundle",
        "An indefinite cabundle without any certificate.",
        edit=value("cabundle", b"\x9f" + BREAK),
    ),
    Fault(
        "P-2.cabundle-nine",
        "payload.cabundle",
        "Nine certificates in an indefinite cabundle.",
        edit=value(
            "cabundle",
            lambda draft: b"\x9f" + b"".join(map(bstr, (draft.cabundle * 3)[:9])) + BREAK,
        ),
    ),
    Fault(
        "P-2.cabundle-without-break",
        "payload.type",
        "An indefinite cabundle that never ends.",
        edit=value("cabundle", lambda draft: b"\x9f" + b"".join(map(bstr, draft.cabundle))),
    ),
    Fault(
        "P-2.cabundle-in-cabundle",
        "payload.type",
        "An indefinite array inside an indefinite cabundle.",
        edit=value("cabundle", b"\x9f\x9f" + BREAK * 2),
    ),
)

_HEADS: Final = (
    Fault(
        "P-3.map-wide",
        "cbor.not_minimal",
        "The count of fields in a byte of its own.",
        edit=payload(lambda draft: b"\xb8\x09" + draft.payload[1:-1]),
    ),
    Fault(
        "P-3.key-wide",
        "cbor.not_minimal",
        "A key with a longer head than needed.",
        edit=key("digest", head(3, 6, 1) + b"digest"),
    ),
    Fault(
        "P-3.key-chunked",
        "cbor.indefinite",
        "A key in chunks.",
        edit=key("digest", chunked(b"digest", 3)),
    ),
    Fault(
        "P-3.text-wide",
        "cbor.not_minimal",
        "A text with a longer head than needed.",
        edit=value("digest", head(3, 6, 1) + b"SHA384"),
    ),
    Fault(
        "P-3.text-chunked",
        "cbor.indefinite",
        "A text in chunks.",
        edit=value("digest", chunked(b"SHA384", 3)),
    ),
    Fault(
        "P-3.module-id-chunked",
        "cbor.indefinite",
        "The module_id in chunks.",
        edit=value("module_id", lambda draft: chunked(draft.module_id.encode(), 3)),
    ),
    Fault(
        "P-3.timestamp-wide",
        "cbor.not_minimal",
        "A small timestamp in eight bytes.",
        edit=value("timestamp", head(0, 1000, 8)),
    ),
    Fault(
        "P-3.pcrs-wide",
        "cbor.not_minimal",
        "The count of PCRs in a byte of its own.",
        edit=pcrs(lambda honest: honest, b"\xb8\x10"),
    ),
    Fault(
        "P-3.index-wide",
        "cbor.not_minimal",
        "PCR5 under an index in two bytes.",
        edit=pcrs(lambda honest: [*honest[:5], (b"\x18\x05", honest[5][1]), *honest[6:]]),
    ),
    Fault(
        "P-3.pcr-wide",
        "cbor.not_minimal",
        "A PCR value with its length in two bytes.",
        edit=first_pcr(lambda content: head(2, PCR_BYTES, 2) + content),
    ),
    Fault(
        "P-3.pcr-chunked",
        "cbor.indefinite",
        "A PCR value in chunks.",
        edit=first_pcr(lambda content: chunked(content, 2)),
    ),
    Fault(
        "P-3.certificate-wide",
        "cbor.not_minimal",
        "The certificate's length in four bytes.",
        edit=value(
            "certificate", lambda draft: head(2, len(draft.certificate), 4) + draft.certificate
        ),
    ),
    Fault(
        "P-3.certificate-chunked",
        "cbor.indefinite",
        "The certificate in chunks.",
        edit=value("certificate", lambda draft: chunked(draft.certificate, 2)),
    ),
    Fault(
        "P-3.cabundle-wide",
        "cbor.not_minimal",
        "The count of certificates in its own byte.",
        edit=value("cabundle", lambda draft: b"\x98\x04" + b"".join(map(bstr, draft.cabundle))),
    ),
    Fault(
        "P-3.cabundle-entry-wide",
        "cbor.not_minimal",
        "A bundle certificate's length in four.",
        edit=bundle(
            lambda items: [
                items[0][:1].replace(b"\x59", b"\x5a") + b"\0\0" + items[0][1:],
                *items[1:],
            ]
        ),
    ),
    Fault(
        "P-3.cabundle-entry-chunked",
        "cbor.indefinite",
        "A bundle certificate in chunks.",
        edit=bundle(lambda items: [b"\x5f" + items[0] + BREAK, *items[1:]]),
    ),
    Fault(
        "P-3.nonce-wide",
        "cbor.not_minimal",
        "A nonce of five bytes with its length in one.",
        edit=value("nonce", head(2, 5, 1) + b"nonce"),
    ),
    Fault(
        "P-3.user-data-chunked",
        "cbor.indefinite",
        "A user_data in chunks.",
        edit=value("user_data", chunked(b"user data", 2)),
    ),
    *(
        Fault(
            fault_id,
            "cbor.reserved",
            "A length form that CBOR keeps for later.",
            edit=value("nonce", bytes([0x40 | info])),
        )
        for fault_id, info in (
            ("P-3.reserved-28", 28),
            ("P-3.reserved-29", 29),
            ("P-3.reserved-30", 30),
        )
    ),
    Fault(
        "P-3.timestamp-reserved",
        "cbor.reserved",
        "A timestamp of no defined length.",
        edit=value("timestamp", b"\x1c"),
    ),
    Fault(
        "P-3.timestamp-indefinite",
        "cbor.reserved",
        "A timestamp of indefinite length, which numbers cannot have.",
        edit=value("timestamp", b"\x1f"),
    ),
)

_BREAKS: Final = (
    Fault(
        "P-4.missing",
        "cbor.truncated",
        "An indefinite map that never ends.",
        edit=payload(lambda draft: draft.payload[:-1]),
    ),
    Fault(
        "P-4.too-early",
        "cbor.trailing",
        "The map ends before the optional fields: one reader sees a nonce, the other none.",
        document={"indefinite": True},
        edit=_break_at("cabundle"),
    ),
    Fault(
        "P-4.twice",
        "cbor.trailing",
        "Two breaks.",
        edit=payload(lambda draft: draft.payload + BREAK),
    ),
    Fault(
        "P-4.after-key",
        "cbor.break",
        "A break where the value of a key belongs.",
        document={"indefinite": True},
        edit=_break_at("user_data", key_only=True),
    ),
    Fault(
        "P-4.in-counted-map",
        "cbor.break",
        "A break in place of the last pair of a counted map.",
        document={"indefinite": False},
        edit=payload(
            lambda draft: (
                head(5, len(draft.fields)) + b"".join(k + v for k, v in draft.fields[:-1]) + BREAK
            )
        ),
    ),
    Fault("P-4.as-value", "cbor.break", "A break in place of a nonce.", edit=value("nonce", BREAK)),
    Fault(
        "P-4.as-index",
        "cbor.break",
        "A break in place of a PCR index.",
        edit=pcrs(lambda honest: [*honest[:-1], (BREAK, honest[-1][1])]),
    ),
    Fault(
        "P-4.as-pcr",
        "cbor.break",
        "A break in place of a PCR value.",
        edit=pcrs(lambda honest: [*honest[:-1], (honest[-1][0], BREAK)]),
    ),
    Fault(
        "P-4.as-certificate",
        "cbor.break",
        "A break in place of a bundle certificate.",
        edit=bundle(lambda items: [*items[:-1], BREAK]),
    ),
    Fault(
        "P-4.trailing",
        "cbor.trailing",
        "A byte after the map, inside the signed payload.",
        edit=payload(lambda draft: draft.payload + b"\x00"),
    ),
    Fault(
        "P-4.second-map",
        "cbor.trailing",
        "A second map after the first.",
        edit=payload(lambda draft: draft.payload * 2),
    ),
    Fault(
        "P-4.count-too-small",
        "cbor.trailing",
        "A counted map with one pair more than it says.",
        document={"indefinite": False},
        edit=payload(lambda draft: head(5, len(draft.fields) - 1) + draft.payload[1:]),
    ),
    Fault(
        "P-4.count-too-large",
        "cbor.truncated",
        "A counted map with one pair less than it says.",
        document={"indefinite": False},
        edit=payload(lambda draft: head(5, len(draft.fields) + 1) + draft.payload[1:]),
    ),
    Fault(
        "P-4.value-beyond-end",
        "cbor.truncated",
        "The last value claims more bytes than the payload has: the signature follows behind it.",
        document={"indefinite": False},
        edit=value("nonce", head(2, 64) + bytes(32)),
    ),
)

_KEYS: Final = (
    *(
        Fault(
            fault_id,
            "payload.key_type",
            f"A key that is {what}.",
            edit=extra(encoded, NULL),
        )
        for fault_id, what, encoded in (
            ("P-5.bytes-key", "a byte string", bstr(b"nonce")),
            ("P-5.integer-key", "an integer, as COSE headers have", b"\x01"),
            ("P-5.negative-key", "a negative integer", b"\x20"),
            ("P-5.null-key", "null", NULL),
            ("P-5.array-key", "an array", b"\x80"),
            ("P-5.map-key", "a map", b"\xa0"),
            ("P-5.tagged-key", "a tagged text", b"\xc0" + tstr("nonce")),
            ("P-5.float-key", "a float", b"\xf9\x00\x00"),
        )
    ),
    Fault(
        "P-5.known-name-as-bytes",
        "payload.key_type",
        "module_id as a byte string.",
        edit=key("module_id", bstr(b"module_id")),
    ),
    *(
        Fault(fault_id, "cbor.utf8", f"{what} in a text string.", edit=edit)
        for in_key, in_module_id, in_digest, what, octets in (
            (
                "P-5.stray-byte-in-key",
                "P-5.stray-byte-in-module-id",
                "P-5.stray-byte-in-digest",
                "A continuation byte on its own",
                b"\x80",
            ),
            (
                "P-5.cut-sequence-in-key",
                "P-5.cut-sequence-in-module-id",
                "P-5.cut-sequence-in-digest",
                "A sequence that ends too early",
                b"\xc3",
            ),
            (
                "P-5.overlong-in-key",
                "P-5.overlong-in-module-id",
                "P-5.overlong-in-digest",
                "A slash in two bytes",
                b"\xc0\xaf",
            ),
            (
                "P-5.surrogate-in-key",
                "P-5.surrogate-in-module-id",
                "P-5.surrogate-in-digest",
                "Half of a UTF-16 pair",
                b"\xed\xa0\x80",
            ),
            (
                "P-5.beyond-unicode-in-key",
                "P-5.beyond-unicode-in-module-id",
                "P-5.beyond-unicode-in-digest",
                "A code point above U+10FFFF",
                b"\xf4\x90\x80\x80",
            ),
        )
        for fault_id, edit in (
            (in_key, extra(tstr(octets), NULL)),
            (in_module_id, value("module_id", tstr(b"i-0" + octets))),
            (in_digest, value("digest", tstr(octets))),
        )
    ),
    *(
        Fault(
            fault_id,
            "payload.duplicate",
            "A key twice with the same value.",
            edit=again(name),
        )
        for fault_id, name in (
            ("P-6.module_id", "module_id"),
            ("P-6.digest", "digest"),
            ("P-6.timestamp", "timestamp"),
            ("P-6.certificate", "certificate"),
            ("P-6.cabundle", "cabundle"),
            ("P-6.public_key", "public_key"),
            ("P-6.user_data", "user_data"),
            ("P-6.nonce", "nonce"),
        )
    ),
    Fault(
        "P-6.pcrs",
        "payload.duplicate",
        "Two PCR maps: a reader that keeps the last one sees an image that never ran.",
        document={"kind": "enclave"},
        edit=extra(tstr("pcrs"), cbor2.dumps({index: bytes(48) for index in range(16)})),
    ),
    Fault(
        "P-6.other-module-id",
        "payload.duplicate",
        "Two module_ids that differ.",
        edit=again("module_id", tstr("i-0fedcba9876543210-enc0123456789abcdef")),
    ),
    Fault(
        "P-6.nonce-after-null",
        "payload.duplicate",
        "A null nonce and then a real one: first and last reader disagree.",
        edit=again("nonce", bstr(b"nonce")),
    ),
    Fault(
        "P-6.in-counted-map",
        "payload.duplicate",
        "A key twice, in a counted map.",
        document={"indefinite": False},
        edit=again("digest"),
    ),
    Fault(
        "P-6.pcr-index",
        "payload.duplicate",
        "PCR0 twice with different values.",
        edit=pcrs(lambda honest: [*honest, (honest[0][0], bstr(bytes(PCR_BYTES)))]),
    ),
    Fault(
        "P-6.pcr-index-same-value",
        "payload.duplicate",
        "PCR15 twice with the same value.",
        edit=pcrs(lambda honest: [*honest, honest[-1]]),
    ),
    *(
        Fault(
            fault_id,
            "payload.unknown_key",
            f"A field named {text!r}.",
            edit=extra(tstr(text), NULL),
        )
        for fault_id, text in (
            ("P-7.new-field", "measurement_log"),
            ("P-7.upper-case", "Nonce"),
            ("P-7.trailing-space", "nonce "),
            ("P-7.trailing-zero", "nonce\x00"),
            ("P-7.prefix", "non"),
            ("P-7.empty", ""),
            ("P-7.long", "n" * 300),
        )
    ),
    Fault(
        "P-7.structure",
        "payload.unknown_key",
        "A field that is not known, with arrays and maps inside.",
        edit=extra(tstr("measurement_log"), bytes.fromhex("bf00820102616181a1f5f6ff")),
    ),
    Fault(
        "P-7.first",
        "payload.unknown_key",
        "A field that is not known, before all others.",
        edit=Edit("fields", lambda draft: draft.fields.insert(0, (tstr("version"), head(0, 2)))),
    ),
)

_PRESENCE: Final = (
    *(
        Fault(fault_id, "payload.missing", f"Without {name}.", edit=without(name))
        for fault_id, name in (
            ("P-9.no-module_id", "module_id"),
            ("P-9.no-digest", "digest"),
            ("P-9.no-timestamp", "timestamp"),
            ("P-9.no-pcrs", "pcrs"),
            ("P-9.no-certificate", "certificate"),
            ("P-9.no-cabundle", "cabundle"),
        )
    ),
    Fault(
        "P-9.empty-map",
        "payload.missing",
        "A map without any field.",
        edit=payload(b"\xa0"),
    ),
    Fault(
        "P-9.empty-indefinite-map",
        "payload.missing",
        "An indefinite map without any field.",
        edit=payload(b"\xbf\xff"),
    ),
    Fault(
        "P-9.both-kinds",
        "payload.kind",
        "Enclave and instance PCRs in one document: whoever reads the other one is deceived.",
        document={"kind": "enclave"},
        edit=extra(tstr("nitrotpm_pcrs"), cbor2.dumps({index: bytes(48) for index in range(24)})),
    ),
    *(
        Fault(fault_id, "payload.null", f"Null for {name}.", edit=value(name, NULL))
        for fault_id, name in (
            ("P-10.null-module_id", "module_id"),
            ("P-10.null-digest", "digest"),
            ("P-10.null-timestamp", "timestamp"),
            ("P-10.null-pcrs", "pcrs"),
            ("P-10.null-certificate", "certificate"),
            ("P-10.null-cabundle", "cabundle"),
        )
    ),
    Fault("P-10.null-pcr", "payload.null", "Null for a PCR.", edit=first_pcr(lambda content: NULL)),
    Fault(
        "P-10.null-cabundle-entry",
        "payload.null",
        "Null for a bundle certificate.",
        edit=bundle(lambda items: [*items[:-1], NULL]),
    ),
    *(
        Fault(
            fault_id,
            "payload.null",
            f"The CBOR value undefined for {name}, which some readers take for null.",
            edit=value(name, UNDEFINED),
        )
        for fault_id, name in (
            ("P-10.undefined-module_id", "module_id"),
            ("P-10.undefined-digest", "digest"),
            ("P-10.undefined-timestamp", "timestamp"),
            ("P-10.undefined-pcrs", "pcrs"),
            ("P-10.undefined-certificate", "certificate"),
            ("P-10.undefined-cabundle", "cabundle"),
            ("P-10.undefined-public_key", "public_key"),
            ("P-10.undefined-user_data", "user_data"),
            ("P-10.undefined-nonce", "nonce"),
        )
    ),
)

_CONTENT: Final = (
    *(
        Fault(
            fault_id,
            "payload.module_id",
            f"A module_id {what}.",
            edit=value("module_id", tstr(text)),
        )
        for fault_id, what, text in (
            ("P-12.empty", "of no characters", ""),
            ("P-12.too-long", "one byte too long", "i" * (MAX_MODULE_ID_BYTES + 1)),
            ("P-12.space", "with a space", "i-0abc enc"),
            ("P-12.newline", "that writes a line of its own into a log", "i-0abc\nVERIFIED"),
            ("P-12.zero", "that ends early for a reader in C", "i-0abc\x00-enc"),
            ("P-12.escape", "with a terminal's control sequence", "i-0abc\x1b[2K"),
            ("P-12.delete", "with a delete character", "i-0abc\x7f"),
            (
                "P-12.not-ascii",
                "with a letter that looks like another",
                "i-0\N{CYRILLIC SMALL LETTER A}bc",
            ),
        )
    ),
    *(
        Fault(
            fault_id,
            "payload.digest",
            f"The digest {text!r}.",
            edit=value("digest", tstr(text)),
        )
        for fault_id, text in (
            ("P-13.lower-case", "sha384"),
            ("P-13.sha256", "SHA256"),
            ("P-13.sha512", "SHA512"),
            ("P-13.hyphen", "SHA-384"),
            ("P-13.empty", ""),
            ("P-13.trailing-zero", "SHA384\x00"),
        )
    ),
    *(
        Fault(
            fault_id,
            "payload.timestamp",
            f"The timestamp {number}.",
            edit=value("timestamp", head(0, number)),
        )
        for fault_id, number in (
            ("P-14.zero", 0),
            ("P-14.year-10000", MAX_TIMESTAMP_MS + 1),
            ("P-14.signed-overflow", 1 << 63),
            ("P-14.maximum", (1 << 64) - 1),
        )
    ),
    Fault(
        "P-15.none",
        "payload.pcrs_count",
        "No PCRs at all: a loop over them finds no mismatch.",
        edit=pcrs(lambda honest: []),
    ),
    Fault(
        "P-15.33",
        "payload.pcrs_count",
        "33 PCRs.",
        edit=pcrs(lambda honest: [(head(0, index), honest[0][1]) for index in range(33)]),
    ),
    Fault(
        "P-15.claims-everything",
        "payload.pcrs_count",
        "A map that claims 2^64 - 1 PCRs.",
        edit=pcrs(lambda honest: honest, head(5, (1 << 64) - 1)),
    ),
    *(
        Fault(
            fault_id,
            "payload.pcr_index",
            f"A PCR under {what}.",
            edit=another_pcr(index),
        )
        for fault_id, what, index in (
            ("P-16.32", "index 32", head(0, 32)),
            ("P-16.256", "index 256, which is 0 in one byte", head(0, 256)),
            ("P-16.2-to-32", "index 2^32, which is 0 in four bytes", head(0, 1 << 32)),
            ("P-16.maximum", "index 2^64 - 1", head(0, (1 << 64) - 1)),
            ("P-16.negative", "index -1", b"\x20"),
            ("P-16.text", 'the text "16"', tstr("16")),
            ("P-16.bytes", "a byte string", bstr(b"\x10")),
        )
    ),
    *(
        Fault(
            fault_id,
            "payload.pcr_length",
            f"A PCR of {length} bytes.",
            edit=pcr_of(length),
        )
        for fault_id, length in (
            ("P-17.0-bytes", 0),
            ("P-17.32-bytes", 32),
            ("P-17.47-bytes", 47),
            ("P-17.49-bytes", 49),
            ("P-17.64-bytes", 64),
        )
    ),
    *(
        Fault(
            fault_id,
            "payload.pcrs_missing",
            f"Without PCR{index}: debug mode could not be told.",
            document={"kind": "enclave"},
            edit=without_pcr(index),
        )
        for fault_id, index in (("P-18.no-pcr0", 0), ("P-18.no-pcr1", 1), ("P-18.no-pcr2", 2))
    ),
    Fault(
        "P-19.empty",
        "payload.certificate",
        "A certificate of no bytes.",
        edit=value("certificate", bstr(b"")),
    ),
    Fault(
        "P-19.1025-bytes",
        "payload.certificate",
        "A certificate larger than the limit.",
        edit=value("certificate", bstr(bytes(MAX_CERTIFICATE_BYTES + 1))),
    ),
    Fault(
        "P-20.empty",
        "payload.cabundle",
        "No certificates at all: the leaf would have to speak for itself.",
        edit=bundle(lambda items: []),
    ),
    Fault(
        "P-20.nine",
        "payload.cabundle",
        "Nine certificates.",
        edit=bundle(lambda items: [*items, *items, items[0]]),
    ),
    Fault(
        "P-20.claims-everything",
        "payload.cabundle",
        "An array that claims 2^64 - 1 entries.",
        edit=value("cabundle", head(4, (1 << 64) - 1)),
    ),
    Fault(
        "P-21.empty",
        "payload.cabundle_entry",
        "A bundle certificate of no bytes.",
        edit=bundle(lambda items: [*items[:-1], bstr(b"")]),
    ),
    Fault(
        "P-21.1025-bytes",
        "payload.cabundle_entry",
        "A bundle certificate above the limit.",
        edit=bundle(lambda items: [*items[:-1], bstr(bytes(MAX_CERTIFICATE_BYTES + 1))]),
    ),
    *(
        Fault(
            fault_id,
            code,
            f"{name} one byte above the limit.",
            document={name: bytes(1025)},
        )
        for fault_id, code, name in (
            ("P-22.1025-bytes", "payload.public_key", "public_key"),
            ("P-23.1025-bytes", "payload.user_data", "user_data"),
            ("P-24.1025-bytes", "payload.nonce", "nonce"),
        )
    ),
)

_TYPES: Final = tuple(
    Fault(fault_id, "payload.type", f"{description}.", edit=edit)
    for fault_id, description, edit in (
        ("P-25.module-id-bytes", "module_id as a byte string", value("module_id", bstr(b"i-0abc"))),
        ("P-25.module-id-array", "module_id in an array", value("module_id", array([tstr("i-0")]))),
        ("P-25.digest-bytes", "digest as a byte string", value("digest", bstr(b"SHA384"))),
        ("P-25.digest-integer", "digest as a COSE number", value("digest", b"\x38\x2a")),
        ("P-25.timestamp-negative", "A negative timestamp", value("timestamp", b"\x20")),
        (
            "P-25.timestamp-float",
            "A timestamp as a float, which rounds",
            value("timestamp", lambda draft: cbor2.dumps(float(draft.timestamp))),
        ),
        (
            "P-25.timestamp-text",
            "A timestamp as text",
            value("timestamp", lambda draft: tstr(str(draft.timestamp))),
        ),
        (
            "P-25.timestamp-bignum",
            "A timestamp as a big number under tag 2",
            value("timestamp", lambda draft: b"\xc2" + bstr(draft.timestamp.to_bytes(8, "big"))),
        ),
        (
            "P-25.timestamp-tagged",
            "A timestamp under the tag of epoch times",
            value("timestamp", lambda draft: b"\xc1" + head(0, draft.timestamp)),
        ),
        (
            "P-25.pcrs-array",
            "The PCRs as an array",
            value("pcrs", lambda draft: array([v for _, v in pairs(draft)])),
        ),
        ("P-25.pcrs-bytes", "The PCRs as one byte string", value("pcrs", bstr(bytes(16 * 48)))),
        (
            "P-25.pcr-text",
            "A PCR as text",
            first_pcr(lambda content: tstr("0" * 48)),
        ),
        (
            "P-25.pcr-array",
            "A PCR as an array of numbers",
            first_pcr(lambda content: array([b"\x00"] * 48)),
        ),
        ("P-25.certificate-text", "The certificate as text", value("certificate", tstr("MIIC"))),
        (
            "P-25.certificate-array",
            "The certificate in an array",
            value("certificate", lambda draft: array([bstr(draft.certificate)])),
        ),
        (
            "P-25.cabundle-bytes",
            "The cabundle as one byte string",
            value("cabundle", lambda draft: bstr(b"".join(draft.cabundle[:2]))),
        ),
        (
            "P-25.cabundle-map",
            "The cabundle as a map",
            value("cabundle", lambda draft: b"\xa1\x00" + bstr(draft.cabundle[0])),
        ),
        (
            "P-25.cabundle-entry-text",
            "A bundle certificate as text",
            bundle(lambda items: [tstr("MIIC"), *items[1:]]),
        ),
        (
            "P-25.cabundle-nested",
            "A bundle within the bundle",
            bundle(lambda items: [*items[:-1], array([items[-1]])]),
        ),
        ("P-25.public-key-text", "public_key as text", value("public_key", tstr("MIIB"))),
        ("P-25.public-key-map", "public_key as a COSE key", value("public_key", b"\xa1\x01\x02")),
        ("P-25.user-data-integer", "user_data as a number", value("user_data", b"\x01")),
        (
            "P-25.user-data-deep-arrays",
            "user_data as arrays in arrays, to exhaust a reader's stack",
            value("user_data", b"\x81" * 1000 + NULL),
        ),
        (
            "P-25.user-data-tagged",
            "user_data under the tag of embedded CBOR",
            value("user_data", b"\xd8\x18" + bstr(b"\x01")),
        ),
        ("P-25.nonce-text", "nonce as text", value("nonce", tstr("nonce"))),
        ("P-25.nonce-false", "nonce as the value false", value("nonce", b"\xf4")),
        ("P-25.nonce-map", "nonce as a map", value("nonce", b"\xa0")),
    )
)

FAULTS: Final = (*_MAP, *_HEADS, *_BREAKS, *_KEYS, *_PRESENCE, *_CONTENT, *_TYPES)
