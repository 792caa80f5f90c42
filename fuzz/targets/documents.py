"""Attestation documents: their bytes, the whole way to a verdict, and single use."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import cbor2

from nitro_attest.errors import (
    ChainError,
    FormatError,
    InputError,
    PolicyError,
    SignatureError,
)
from nitro_attest.freshness.challenge import Challenger, ReplayGuard
from nitro_attest.freshness.stores import MemoryStore
from nitro_attest.testing import FakeNitro
from nitro_attest.testing.draft import Draft, Options, finish
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.document import UnverifiedDocument, parse_unverified
from nitro_attest.verification.policy import ANY_INSTANCE, AnyEnclave
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.signature import P384_ORDER, sig_structure
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier
from reference import cose_reference
from reference.documents import OPTIONAL, array, document_of, head, pairs, payload_of, string, text
from targets.base import ROOT, VECTORS, Target, outcome, refused, rejection

WHEN = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
"""The time at which the documents of the vectors were made."""

NONCE = bytes(range(32))
TAG = b"\xd2"
CONTENT_ERRORS = (FormatError, ChainError, SignatureError, PolicyError)
"""The errors that the content of a document may raise: InputError is for other arguments."""

ROOTS = functools.reduce(
    TrustedRoots.__or__,
    [
        TrustedRoots.from_pem((VECTORS / f"conformance/roots/{name}.pem").read_bytes())
        for name in ("aws", "aws-us-gov", "fake", "fake-govcloud")
    ],
)


@functools.cache
def documents() -> tuple[bytes, ...]:
    """Genuine documents, and those of the conformance vectors."""
    genuine = [path.read_bytes() for path in sorted((ROOT / "fixtures/real").glob("*.bin"))]
    vectors = [
        base64.b64decode(case["document"]["base64"])
        for path in sorted((VECTORS / "conformance").glob("*.json"))
        for case in json.loads(path.read_text()).get("cases", ())
        if "base64" in case.get("document", ())
    ]
    return tuple(dict.fromkeys(genuine + vectors))


@functools.cache
def parsed_documents() -> tuple[tuple[bytes, UnverifiedDocument], ...]:
    """Those of them that have the form of a document, with what they say."""
    return tuple(
        (document, parsed)
        for document in documents()
        if not refused(parsed := outcome(len(document), FormatError, parse_unverified, document))
    )


# ---- The bytes of a document, against the reference, and written anew ------------------------


def check_document(data: bytes) -> bool:
    """The C core and the reference agree, and what was read says all that was there."""
    accepted = agreed(data, "warn")
    if agreed(data, "reject"):
        assert accepted
    return accepted


def agreed(data: bytes, unknown_fields: UnknownFields) -> bool:
    """The same for one effect of unknown fields."""
    found = outcome(
        len(data), FormatError, partial(parse_unverified, unknown_fields=unknown_fields), data
    )
    expected = by_reference(data, unknown_fields)
    if isinstance(expected, cose_reference.RejectedError):
        # C-2 is judged before the core sees a byte, so there is no offset.
        offset = None if expected.code == "document.too_large" else expected.offset
        assert rejection(found) == (expected.code, offset)
        return False
    assert not refused(found), found
    unknown = {field.name: field.value for field in found.unknown_fields}
    assert expected.pop("unknown") == unknown
    said = {name: getattr(found, name) for name in expected}
    assert said | {"cabundle": list(found.cabundle), "pcrs": dict(found.pcrs)} == expected
    forms = itertools.product((True, False), repeat=2)
    assert any(rewritten(found, data, *definite) == data for definite in forms)
    json.dumps(found.to_dict(), allow_nan=False)
    return True


def by_reference(document: bytes, unknown_fields: UnknownFields = "reject") -> Any:
    """Every field by name, or the error that the reference rejects with."""
    skipped = 16 if unknown_fields == "warn" else 0
    try:
        return cose_reference.parse(document, unknown_fields=skipped)
    except cose_reference.RejectedError as rejected:
        return rejected


def rewritten(
    found: UnverifiedDocument, document: bytes, definite_pcrs: bool, definite_cabundle: bool
) -> bytes:
    """A document made of what was read.

    From the input comes only what the fields leave open: whether there is a tag, the forms of the
    maps and of the cabundle, and which keys stand in which order.
    """
    pcrs_name = "pcrs" if found.kind == "enclave" else "nitrotpm_pcrs"
    order = cbor2.loads(found.payload)
    values = {
        "module_id": text(found.module_id),
        "digest": text(found.digest),
        "timestamp": head(0, found.timestamp_ms),
        pcrs_name: pairs(
            {index: string(2, found.pcrs[index]) for index in order[pcrs_name]}, definite_pcrs
        ),
        "certificate": string(2, found.certificate),
        "cabundle": array([string(2, der) for der in found.cabundle], definite_cabundle),
        **{field.name: field.value for field in found.unknown_fields},
    }
    for name in OPTIONAL:
        content = getattr(found, name)
        values[name] = b"\xf6" if content is None else string(2, content)
    assert values.keys() - set(OPTIONAL) <= order.keys() <= values.keys()
    assert {name for name in OPTIONAL if getattr(found, name) is not None} <= order.keys()
    items = [(text(name), values[name]) for name in order]
    payload = payload_of(items, definite=found.payload[0] != 0xBF)
    tag = TAG if document.startswith(TAG) else b""
    return document_of(payload, tag=tag, signature=string(2, found.signature))


def check_payload(data: bytes) -> bool:
    """The same for the payload alone, in an envelope that fits."""
    return check_document(document_of(data))


def payloads() -> Iterator[bytes]:
    """Yields the payloads of the documents, valid or not."""
    for document in documents():
        try:
            yield cose_reference.envelope(document)[2]
        except cose_reference.RejectedError:
            continue


# ---- Verdicts: only what was signed verifies ---------------------------------------------------

VERIFIERS = {
    "enclave": Verifier(ROOTS, policy=AnyEnclave(allow_debug=True)),
    "nitrotpm": NitroTpmVerifier(ROOTS, policy=ANY_INSTANCE),
}
AnyVerifier = Verifier | NitroTpmVerifier
TIMES = ("document", WHEN)


def verdicts(verifier: AnyVerifier, document: bytes) -> list[Any]:
    """Returns the outcomes of verifying a document at each time."""
    return [
        outcome(len(document), CONTENT_ERRORS, verifier.verify, document, at=at) for at in TIMES
    ]


def authentic(verdict: Any) -> bool:
    """Returns True if the signature is valid, which a PolicyError implies."""
    return not refused(verdict) or isinstance(verdict, PolicyError)


def identity(document: UnverifiedDocument) -> tuple[bytes, int, int]:
    """Returns the parts of a document that the tag and C-15 (s or n - s) do not change."""
    r, s = (int.from_bytes(document.signature[at : at + 48], "big") for at in (0, 48))
    return document.payload, r, min(s, P384_ORDER - s)


@functools.cache
def signed() -> frozenset[tuple[bytes, int, int]]:
    """The seeds whose signature holds. Without the keys of their leaves nobody can add to them."""
    return frozenset(
        identity(parsed)
        for document, parsed in parsed_documents()
        if any(map(authentic, verdicts(VERIFIERS[parsed.kind], document)))
    )


def check_verify(data: bytes) -> bool:
    """The whole way: whatever verifies, or is only unwanted, is one of the signed seeds."""
    parsed = outcome(len(data), FormatError, parse_unverified, data)
    if refused(parsed):
        for verifier in VERIFIERS.values():
            for verdict in verdicts(verifier, data):
                assert rejection(verdict) == rejection(parsed)
        return False
    other = "nitrotpm" if parsed.kind == "enclave" else "enclave"
    crossed = verdicts(VERIFIERS[other], data)
    assert {rejection(verdict) for verdict in crossed} == {("payload.kind", None)}
    found = verdicts(VERIFIERS[parsed.kind], data)
    assert identity(parsed) in signed() or not any(map(authentic, found))
    return True in [says(verdict, parsed) for verdict in found]


def says(verdict: Any, parsed: UnverifiedDocument) -> bool:
    """Returns True for an attestation, after checking that it is of this document."""
    if refused(verdict):
        return False
    assert verdict.document == parsed.authenticated(type(verdict.document))
    message = sig_structure(parsed.protected, parsed.payload)
    assert verdict.attestation_id == hashlib.sha384(message).digest()
    json.dumps(verdict.to_dict(), allow_nan=False)
    return True


@functools.cache
def hypervisor() -> tuple[bytes, Draft]:
    """A fake hypervisor's root, and a document of its in the making, with the key of the leaf."""
    fake = FakeNitro(seed=b"fuzzing")
    draft = fake._draft(
        Options(
            at=WHEN, pcrs={}, debug=False, kind="enclave", nonce=NONCE, user_data=None,
            public_key=None, absent=(), indefinite=True, tagged=False, high_s=None,
        )
    )  # fmt: skip
    finish(draft, None)
    return fake.root_pem, draft


@functools.cache
def trusting_hypervisor(kind: str) -> AnyVerifier:
    """A verifier of one kind of document under that root."""
    root_pem = hypervisor()[0]
    if kind == "enclave":
        return Verifier(root_pem, policy=AnyEnclave())
    return NitroTpmVerifier(root_pem, policy=ANY_INSTANCE)


def check_signed(data: bytes) -> bool:
    """Any payload, signed by a leaf that is trusted: what comes after the signature."""
    _, draft = hypervisor()
    if not 0 < len(data) <= 16276:
        return False
    draft.payload = data
    document = document_of(data, signature=string(2, draft.sign()))
    parsed = outcome(len(document), FormatError, parse_unverified, document)
    if refused(parsed):
        return False
    found = verdicts(trusting_hypervisor(parsed.kind), document)
    same_path = (parsed.certificate, list(parsed.cabundle)) == (draft.certificate, draft.cabundle)
    assert same_path or not any(map(authentic, found))
    assert not any(isinstance(verdict, SignatureError) for verdict in found)
    return True in [says(verdict, parsed) for verdict in found]


def signed_payloads() -> Iterator[bytes]:
    """The honest payload, and it with the fields of other documents in their places."""
    _, draft = hypervisor()
    fields = dict(draft.fields)
    yield payload_of(draft.fields, definite=False)
    for _, parsed in parsed_documents():
        name = "pcrs" if parsed.kind == "enclave" else "nitrotpm_pcrs"
        changed = fields | {
            text("module_id"): text(parsed.module_id),
            text("timestamp"): head(0, parsed.timestamp_ms),
            text("pcrs"): pairs({i: string(2, value) for i, value in parsed.pcrs.items()}),
        }
        yield payload_of(
            [(text(name) if key == text("pcrs") else key, v) for key, v in changed.items()]
        )


# ---- Freshness ---------------------------------------------------------------------------------


def check_challenge(data: bytes) -> bool:
    """A nonce and a document: one challenge is answered once, one document is accepted once."""
    nonce, document = data[: len(NONCE)], data[len(NONCE) :]
    verifier, store = trusting_hypervisor("enclave"), MemoryStore(clock=lambda: 0)
    store.add(hashlib.sha256(NONCE).digest(), 1 << 50)
    answer = Challenger(verifier, store).answer
    verify = ReplayGuard(verifier, store, max_age=timedelta(hours=1)).verify
    errors = (*CONTENT_ERRORS, InputError)
    answered = outcome(len(document), errors, answer, nonce, document, at=WHEN)
    if refused(answered):
        return False
    assert nonce == answered.nonce == NONCE
    assert identity(parse_unverified(document)) == identity(parse_unverified(answer_document()))
    again = outcome(len(document), errors, answer, nonce, document, at=WHEN)
    assert rejection(again) == ("policy.nonce", None)
    other = document[1:] if document.startswith(TAG) else TAG + document
    assert not refused(outcome(len(document), errors, verify, document, at=WHEN))
    again = outcome(len(other), errors, verify, other, at=WHEN)
    assert rejection(again) == ("freshness.replayed", None)
    return True


def answer_document() -> bytes:
    """The one document that answers NONCE."""
    return hypervisor()[1].document


def answers() -> Iterator[bytes]:
    """Yields that document in each encoding and with another nonce, and others with this nonce."""
    document = answer_document()
    s = P384_ORDER - int.from_bytes(document[-48:], "big")
    for same in (document, TAG + document, document[:-48] + s.to_bytes(48, "big")):
        yield NONCE + same
    yield bytes(32) + document
    yield from (NONCE + other for other in documents()[:8])


TARGETS = {
    "document": Target(
        check_document,
        documents,
        ("verification.core:parse,_content,_format_error,_protected_sentence,_looks_like_text",),
        longest=21000,
    ),
    "payload": Target(
        check_payload,
        payloads,
        ("verification.core:_content,_field_phrase,_quote", "verification.document:BaseDocument"),
        longest=16500,
    ),
    "verify": Target(
        check_verify,
        documents,
        (
            "verification.path:_walk,_walk_issuers,_read_issuer,_untrusted_root,_check_link,"
            "_check_names,_check_signature,check_windows",
            "verification.signature",
        ),
        longest=21000,
    ),
    "signed": Target(check_signed, signed_payloads, ("verification.agreement",), longest=8192),
    "challenge": Target(
        check_challenge,
        answers,
        (
            "freshness.challenge:Challenger.answer,ReplayGuard.verify,_key",
            "freshness.stores:MemoryStore.add,MemoryStore.take",
        ),
        longest=8192,
    ),
}
