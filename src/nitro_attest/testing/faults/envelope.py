"""Faults of the outer COSE_Sign1 (rules C-1 to C-17)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives import hashes

from nitro_attest.limits import MAX_DOCUMENT_BYTES, MAX_PAYLOAD_BYTES
from nitro_attest.testing.cases import Fault
from nitro_attest.testing.draft import (
    NULL,
    P384_ORDER,
    PROTECTED,
    Draft,
    Edit,
    array,
    bstr,
    change,
    es384,
    head,
    raw_signature,
    sig_structure,
    tstr,
)

PROTECTED_ITEM, UNPROTECTED_ITEM, PAYLOAD_ITEM, SIGNATURE_ITEM = range(4)


def whole(edit: Callable[[bytes], bytes]) -> Edit:
    """Changes the finished document."""
    return change("document", document=lambda draft: edit(draft.document))


def item(position: int, make: bytes | Callable[[Draft], bytes]) -> Edit:
    """Puts another item into the COSE_Sign1 after it was signed."""

    def apply(draft: Draft) -> None:
        draft.items[position] = make if isinstance(make, bytes) else make(draft)

    return Edit("items", apply)


def protected(content: str) -> Edit:
    """Signs under another protected header, given in hexadecimal."""
    return change("payload", protected=bytes.fromhex(content))


def prefix(octets: str) -> Edit:
    """Puts these bytes, given in hexadecimal, in front."""
    return whole(lambda document: bytes.fromhex(octets) + document)


def cut(keep: Callable[[Draft], int]) -> Edit:
    """Keeps so many bytes."""
    return change("document", document=lambda draft: draft.document[: keep(draft)])


def signature(make: Callable[[Draft], bytes]) -> Edit:
    """Puts another signature of whatever length in place of the honest one."""
    return item(SIGNATURE_ITEM, lambda draft: bstr(make(draft)))


def honest(draft: Draft) -> bytes:
    """The raw signature as it should be."""
    return draft.items[SIGNATURE_ITEM][2:]


def _r(draft: Draft) -> int:
    return int.from_bytes(honest(draft)[:48], "big")


def _s(draft: Draft) -> int:
    return int.from_bytes(honest(draft)[48:], "big")


def _swap_payload(draft: Draft) -> bytes:
    measured = draft.pcrs[0]
    other = measured[::-1]
    if other == measured:
        other = bytes(octet ^ 0xFF for octet in measured)
    return bstr(draft.payload.replace(measured, other))


def _wide(position: int, octets: int) -> Edit:
    """Spells the length of a byte string item in more octets than it needs."""

    def content(draft: Draft) -> bytes:
        return (draft.protected, b"", draft.payload, honest(draft))[position]

    return item(position, lambda draft: head(2, len(content(draft)), octets) + content(draft))


def _behind(opening: bytes) -> Edit:
    """Puts the payload behind another head."""
    return item(PAYLOAD_ITEM, lambda draft: opening + draft.payload)


def _signature_of(length: int) -> Edit:
    """Cuts or lengthens the signature."""
    return signature(lambda draft: honest(draft).ljust(length, b"\x00")[:length])


def _chunked(position: int) -> Edit:
    """Sends a byte string item in chunks."""
    return item(position, lambda draft: b"\x5f" + draft.items[position] + b"\xff")


def _emulated(draft: Draft) -> None:
    """The bytes that QEMU's nitro-enclave machine emits instead of certificates and a signature."""
    zeros = bytes(64)
    draft.fields[draft.position("certificate")] = (tstr("certificate"), bstr(zeros))
    draft.fields[draft.position("cabundle")] = (tstr("cabundle"), array([bstr(zeros)]))
    draft.protected = bytes.fromhex("a10120")


_SIZE: Final = (
    Fault(
        "C-1.empty",
        "document.empty",
        "No bytes at all: a file that was never written.",
        edit=whole(lambda document: b""),
    ),
    Fault(
        "C-2.padded",
        "document.too_large",
        "One byte more than the limit: a sender tries how much is read before anything is refused.",
        edit=whole(lambda document: document.ljust(MAX_DOCUMENT_BYTES + 1, b"\x00")),
    ),
    Fault(
        "C-2.large-field",
        "document.too_large",
        "Well-formed throughout, but its user_data makes it larger than any NSM answer.",
        document={"user_data": bytes(MAX_DOCUMENT_BYTES)},
    ),
    Fault(
        "C-3.hex",
        "document.encoding",
        "The document as hexadecimal text, as logs keep it.",
        edit=whole(lambda document: document.hex().encode()),
    ),
    Fault(
        "C-3.base64",
        "document.encoding",
        "The document as base64 text, as APIs carry it.",
        edit=whole(base64.b64encode),
    ),
)

_TAG_AND_ARRAY: Final = (
    Fault(
        "C-4.tag-18-in-two-bytes",
        "cose.tag",
        "Tag 18 spelled longer than needed: nothing signs the tag, so a relay could re-spell it.",
        edit=prefix("d812"),
    ),
    Fault(
        "C-4.tag-18-in-three-bytes",
        "cose.tag",
        "As before, one byte longer still.",
        edit=prefix("d90012"),
    ),
    Fault("C-4.second-tag", "cose.tag", "Tag 18 twice.", edit=prefix("d2d2")),
    Fault(
        "C-4.cose-mac0",
        "cose.tag",
        "Tagged as COSE_Mac0: a MAC is not a signature.",
        edit=prefix("d1"),
    ),
    Fault(
        "C-4.cose-sign",
        "cose.tag",
        "Tagged as COSE_Sign, which holds several signatures.",
        edit=prefix("d862"),
    ),
    Fault(
        "C-4.cwt",
        "cose.tag",
        "Tagged as a CBOR web token around the COSE_Sign1.",
        edit=prefix("d83dd2"),
    ),
    Fault(
        "C-4.self-described",
        "cose.tag",
        "Behind the magic number of CBOR files.",
        edit=prefix("d9d9f7"),
    ),
    Fault(
        "C-5.long-head",
        "cose.array",
        "The count of the outer array in two bytes: unsigned bytes that could vary.",
        edit=whole(lambda document: b"\x98\x04" + document[1:]),
    ),
    Fault(
        "C-5.indefinite",
        "cose.array",
        "The outer array without its count.",
        edit=whole(lambda document: b"\x9f" + document[1:] + b"\xff"),
    ),
    Fault(
        "C-5.three-items",
        "cose.array",
        "An array of three: the signature is not there at all.",
        edit=change("items", items=lambda draft: draft.items[:3]),
    ),
    Fault(
        "C-5.five-items",
        "cose.array",
        "An array of five: room for unsigned content.",
        edit=change("items", items=lambda draft: [*draft.items, NULL]),
    ),
    Fault(
        "C-5.map",
        "cose.array",
        "A map where the array should be.",
        edit=whole(lambda document: b"\xa2" + document[1:]),
    ),
    Fault(
        "C-5.byte-string",
        "cose.array",
        "The whole document wrapped in a byte string.",
        edit=whole(bstr),
    ),
)

_PROTECTED: Final = (
    *(
        Fault(
            fault_id,
            "cose.protected",
            f"The header says {algorithm}: a verifier that obeys it can be talked into a weaker"
            " or another check.",
            edit=protected(content),
        )
        for fault_id, algorithm, content in (
            ("C-6.es256", "ES256", "a10126"),
            ("C-6.es512", "ES512", "a1013823"),
            ("C-6.esp384", "ESP384, the newer name of the same algorithm", "a1013832"),
            ("C-6.ps384", "RSA-PSS with SHA-384", "a1013825"),
            ("C-6.hmac", "HMAC with SHA-256", "a10105"),
        )
    ),
    Fault(
        "C-6.algorithm-as-text",
        "cose.protected",
        'The algorithm as the text "ES384".',
        edit=protected("a101654553333834"),
    ),
    Fault(
        "C-6.wide-label",
        "cose.protected",
        "The right header with a label longer than needed.",
        edit=protected("a118013822"),
    ),
    Fault(
        "C-6.indefinite-map",
        "cose.protected",
        "The right header as an indefinite map.",
        edit=protected("bf013822ff"),
    ),
    Fault("C-6.empty-map", "cose.protected", "No algorithm.", edit=protected("a0")),
    Fault("C-6.empty", "cose.protected", "An empty protected header.", edit=protected("")),
    Fault(
        "C-6.trailing",
        "cose.protected",
        "A byte after the header's map.",
        edit=protected("a101382200"),
    ),
    Fault(
        "C-6.bare-map",
        "cose.protected",
        "The map itself, not wrapped in a byte string.",
        edit=item(PROTECTED_ITEM, PROTECTED),
    ),
    Fault(
        "C-6.null",
        "cose.protected",
        "Null for the protected header.",
        edit=item(PROTECTED_ITEM, NULL),
    ),
    Fault(
        "C-6.text",
        "cose.protected",
        "A text string of the right length.",
        edit=item(PROTECTED_ITEM, b"\x64\x01\x02\x03\x04"),
    ),
    Fault(
        "C-7.key-id",
        "cose.protected",
        "A second header, the key id.",
        edit=protected("a20138220441aa"),
    ),
    Fault(
        "C-7.crit",
        "cose.protected",
        "A list of headers that must be understood: who ignores it breaks RFC 9052 section 3.1.",
        edit=protected("a2013822028101"),
    ),
    Fault(
        "C-7.duplicate-algorithm",
        "cose.protected",
        "The algorithm twice: two readers may take different ones.",
        edit=protected("a20138220126"),
    ),
    Fault(
        "C-17.qemu",
        "cose.protected",
        "What QEMU's emulated NSM emits: no algorithm, no certificates, no signature.",
        document={"indefinite": False},
        edit=Edit("fields", _emulated),
    ),
)

_UNPROTECTED: Final = tuple(
    Fault(
        fault_id,
        "cose.unprotected",
        description,
        edit=item(UNPROTECTED_ITEM, bytes.fromhex(content)),
    )
    for fault_id, content, description in (
        ("C-8.key-id", "a10441aa", "A key id in the unprotected header: nothing signs it."),
        ("C-8.certificate", "a1182141aa", "An x5chain: a reader may take its key from there."),
        ("C-8.algorithm", "a10126", "Another algorithm where nothing signs it."),
        ("C-8.long-head", "b800", "The empty map, spelled longer than needed."),
        ("C-8.indefinite", "bfff", "The empty map in its indefinite form."),
        ("C-8.null", "f6", "Null in place of the map."),
        ("C-8.byte-string", "40", "A byte string in place of the map."),
    )
)

_PAYLOAD: Final = (
    Fault(
        "C-9.detached",
        "cose.payload",
        "Null: the payload is said to travel elsewhere.",
        edit=item(PAYLOAD_ITEM, NULL),
    ),
    Fault(
        "C-9.empty", "cose.payload", "A payload of no bytes.", edit=change("payload", payload=b"")
    ),
    Fault(
        "C-9.text",
        "cose.payload",
        "The payload as a text string.",
        edit=item(PAYLOAD_ITEM, lambda draft: tstr(draft.payload)),
    ),
    Fault(
        "C-9.bare-map",
        "cose.payload",
        "The payload's map itself, not wrapped.",
        edit=item(PAYLOAD_ITEM, lambda draft: draft.payload),
    ),
    *(
        Fault(
            fault_id,
            "cose.payload",
            "The head claims more than a document can hold, to make a reader allocate or "
            "its arithmetic overflow.",
            edit=_behind(head(2, claim)),
        )
        for fault_id, claim in (
            ("C-9.claims-one-too-many", MAX_PAYLOAD_BYTES + 1),
            ("C-9.claims-64-kib", 1 << 16),
            ("C-9.claims-4-gib", 1 << 32),
            ("C-9.claims-everything", (1 << 64) - 1),
        )
    ),
)

_SIGNATURE_FORM: Final = (
    *(
        Fault(
            fault_id,
            "cose.signature_length",
            description,
            edit=_signature_of(length),
        )
        for fault_id, length, description in (
            ("C-10.0-bytes", 0, "No signature bytes."),
            ("C-10.64-bytes", 64, "The length of ES256."),
            ("C-10.95-bytes", 95, "One byte short."),
            ("C-10.97-bytes", 97, "One byte more."),
            ("C-10.132-bytes", 132, "The length of ES512."),
        )
    ),
    Fault(
        "C-10.der",
        "cose.signature_length",
        "The signature as the DER sequence that X.509 uses: many forms for one signature.",
        edit=signature(lambda draft: draft.signing_key.sign(sig_structure(draft.payload))),
    ),
    Fault(
        "C-10.null",
        "cose.signature_length",
        "Null for the signature.",
        edit=item(SIGNATURE_ITEM, NULL),
    ),
    Fault(
        "C-10.text",
        "cose.signature_length",
        "The signature as a text string.",
        edit=item(SIGNATURE_ITEM, lambda draft: tstr(honest(draft))),
    ),
    Fault(
        "C-10.array",
        "cose.signature_length",
        "The signature inside an array.",
        edit=item(SIGNATURE_ITEM, lambda draft: array([bstr(honest(draft))])),
    ),
)

_ENCODING: Final = (
    Fault(
        "C-11.protected-wide",
        "cbor.not_minimal",
        "The protected header's length in a byte.",
        edit=_wide(PROTECTED_ITEM, 1),
    ),
    Fault(
        "C-11.payload-in-4",
        "cbor.not_minimal",
        "The payload's length in four bytes.",
        edit=_wide(PAYLOAD_ITEM, 4),
    ),
    Fault(
        "C-11.payload-in-8",
        "cbor.not_minimal",
        "The payload's length in eight bytes.",
        edit=_wide(PAYLOAD_ITEM, 8),
    ),
    Fault(
        "C-11.short-payload-in-2",
        "cbor.not_minimal",
        "A payload of 200 bytes with its length in two.",
        edit=item(PAYLOAD_ITEM, lambda draft: head(2, 200, 2) + draft.payload[:200]),
    ),
    Fault(
        "C-11.signature-wide",
        "cbor.not_minimal",
        "The signature's length in two bytes.",
        edit=_wide(SIGNATURE_ITEM, 2),
    ),
    Fault(
        "C-11.protected-chunked",
        "cbor.indefinite",
        "The protected header in chunks.",
        edit=_chunked(PROTECTED_ITEM),
    ),
    Fault(
        "C-11.payload-chunked",
        "cbor.indefinite",
        "The payload in chunks: one signature, many documents.",
        edit=_chunked(PAYLOAD_ITEM),
    ),
    Fault(
        "C-11.signature-chunked",
        "cbor.indefinite",
        "The signature in chunks.",
        edit=_chunked(SIGNATURE_ITEM),
    ),
    *(
        Fault(
            fault_id,
            "cbor.reserved",
            "A length form that CBOR keeps for later.",
            edit=_behind(bytes([0x40 | info])),
        )
        for fault_id, info in (
            ("C-11.payload-reserved-28", 28),
            ("C-11.payload-reserved-29", 29),
            ("C-11.payload-reserved-30", 30),
        )
    ),
    Fault(
        "C-12.zero",
        "cbor.trailing",
        "A zero byte after the end: unsigned, so anybody's.",
        edit=whole(lambda document: document + b"\x00"),
    ),
    Fault(
        "C-12.newline",
        "cbor.trailing",
        "A line feed after the end, as editors add it.",
        edit=whole(lambda document: document + b"\n"),
    ),
    Fault(
        "C-12.break",
        "cbor.trailing",
        "A stray break after the end.",
        edit=whole(lambda document: document + b"\xff"),
    ),
    Fault(
        "C-12.second-document",
        "cbor.trailing",
        "Two documents in one input.",
        edit=whole(lambda document: document * 2),
    ),
)

_TRUNCATED: Final = tuple(
    Fault(
        fault_id,
        "cbor.truncated",
        f"The input ends {where}: a cut transfer.",
        document=options,
        edit=cut(keep),
    )
    for fault_id, where, options, keep in (
        ("C-13.after-tag", "after the tag", {"tagged": True}, lambda draft: 1),
        ("C-13.after-array-head", "after the first byte", {}, lambda draft: 1),
        ("C-13.in-protected", "inside the protected header", {}, lambda draft: 3),
        ("C-13.before-unprotected", "before the unprotected header", {}, lambda draft: 6),
        ("C-13.before-payload", "before the payload", {}, lambda draft: 7),
        ("C-13.in-payload-head", "inside the payload's head", {}, lambda draft: 9),
        ("C-13.in-payload", "inside the payload", {}, lambda draft: len(draft.payload) // 2),
        (
            "C-13.before-signature",
            "before the signature",
            {},
            lambda draft: len(draft.document) - 98,
        ),
        ("C-13.in-signature", "one byte early", {}, lambda draft: len(draft.document) - 1),
    )
)

_SIGNATURE_VALUE: Final = (
    *(
        Fault(
            fault_id,
            "signature.range",
            "A number outside of 1 to n - 1, which some verifiers reduce or accept for any"
            " message.",
            edit=signature(make),
        )
        for fault_id, make in (
            ("C-14.r-zero", lambda draft: raw_signature(0, _s(draft))),
            ("C-14.s-zero", lambda draft: raw_signature(_r(draft), 0)),
            ("C-14.both-zero", lambda draft: raw_signature(0, 0)),
            ("C-14.r-order", lambda draft: raw_signature(P384_ORDER, _s(draft))),
            ("C-14.s-order", lambda draft: raw_signature(_r(draft), P384_ORDER)),
            ("C-14.r-all-ones", lambda draft: raw_signature((1 << 384) - 1, _s(draft))),
            ("C-14.s-all-ones", lambda draft: raw_signature(_r(draft), (1 << 384) - 1)),
        )
    ),
    Fault(
        "C-16.payload-swapped",
        "signature.invalid",
        "PCR0 changed after signing: a host claims another image.",
        edit=item(PAYLOAD_ITEM, _swap_payload),
    ),
    Fault(
        "C-16.other-key",
        "signature.invalid",
        "Signed by a key that the certificate does not hold: a stolen certificate.",
        edit=change("payload", signing_key=lambda draft: draft.ring.key("stranger")),
    ),
    Fault(
        "C-16.sha256",
        "signature.invalid",
        "Signed over SHA-256 in place of SHA-384.",
        edit=signature(
            lambda draft: es384(
                draft.signing_key, sig_structure(draft.payload), digest=hashes.SHA256()
            )
        ),
    ),
    Fault(
        "C-16.bare-payload",
        "signature.invalid",
        "Signed over the payload alone: a signature made for another protocol.",
        edit=signature(lambda draft: es384(draft.signing_key, draft.payload)),
    ),
    Fault(
        "C-16.other-context",
        "signature.invalid",
        "Signed as one of several signatures (COSE_Sign): another context string.",
        edit=signature(
            lambda draft: es384(
                draft.signing_key,
                sig_structure(draft.payload).replace(tstr("Signature1"), tstr("Signature0")),
            )
        ),
    ),
    Fault(
        "C-16.external-data",
        "signature.invalid",
        "Signed with external data that the verifier does not know.",
        edit=signature(
            lambda draft: es384(
                draft.signing_key,
                array([tstr("Signature1"), bstr(PROTECTED), bstr(b"x"), bstr(draft.payload)]),
            )
        ),
    ),
    Fault(
        "C-16.numbers-swapped",
        "signature.invalid",
        "s before r.",
        edit=signature(lambda draft: raw_signature(_s(draft), _r(draft))),
    ),
    Fault(
        "C-16.one-bit",
        "signature.invalid",
        "The last bit of s flipped.",
        edit=signature(lambda draft: raw_signature(_r(draft), _s(draft) ^ 1)),
    ),
)

FAULTS: Final = (
    *_SIZE,
    *_TAG_AND_ARRAY,
    *_PROTECTED,
    *_UNPROTECTED,
    *_PAYLOAD,
    *_SIGNATURE_FORM,
    *_ENCODING,
    *_TRUNCATED,
    *_SIGNATURE_VALUE,
)
