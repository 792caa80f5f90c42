"""What the tool prints: text for people, one JSON object a document for programs.

All that a document or certificate says is escaped: it may have been written to fool a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import click
from cryptography import x509

from nitro_attest.attestation import Attestation, NitroTpmAttestation
from nitro_attest.certificate import load_certificate
from nitro_attest.document import UnverifiedDocument
from nitro_attest.errors import ChainError, NitroAttestError, PolicyError
from nitro_attest.policy import NitroTpmPolicy, Policy

Result = Attestation | NitroTpmAttestation

SCHEMA: Final = "nitro-attest/1"

_HINTS: Final = {
    "document.encoding": "name the form with --format raw, hex or base64",
    "cert.expired": "to judge a kept document when it was made, say --at document",
    "chain.untrusted_root": "name a partition with --partition or a root with --root",
    "policy.debug": "to accept debug mode, say --allow-debug",
    "policy.pcr_mismatch": "another image, or another version, is running than the one expected",
    "payload.kind": "to judge the other kind of document, name it with --kind",
}

_SHOWN_BYTES: Final = 64


def to_json(source: str, **outcome: Any) -> str:
    """One line: the object for one document."""
    return json.dumps({"schema": SCHEMA, "source": source} | outcome)


def error_to_json(source: str, error: NitroAttestError) -> str:
    """One line: the object for a document that was refused."""
    return to_json(source, verified=False, error=error.to_dict())


def headline(attestation: Result) -> str:
    """What the result is worth, in one line."""
    if attestation.time_source == "document":
        return "AUTHENTIC WHEN SIGNED (archive mode), freshness not checked"
    if isinstance(attestation.policy, (Policy, NitroTpmPolicy)):
        return f"VERIFIED (measurements match {_matched(attestation)})"
    any_of_them = "ANY ENCLAVE" if isinstance(attestation, Attestation) else "ANY INSTANCE"
    return f"AUTHENTIC, {any_of_them} (no measurements were required)"


def attestation_lines(source: str, attestation: Result) -> Iterator[str]:
    """The facts of a verified document: who, when, which code, by whose word, and what is open."""
    document = attestation.document
    age = attestation.verified_at - attestation.timestamp
    yield headline(attestation)
    yield _row("document", source)
    if isinstance(attestation, Attestation):
        yield _row("enclave", document.module_id)
    yield _row("instance", f"{attestation.instance_id} in {attestation.region or 'unknown region'}")
    yield _row("made", f"{_time(attestation.timestamp)}{_age(attestation.time_source, age)}")
    yield _row("root", f"{attestation.root.name} (SHA-256 {attestation.root.sha256})")
    yield from _pcr_lines(_pcrs(attestation), _expected_indices(attestation))
    yield from _value_lines(document.public_key, document.user_data, document.nonce)
    for certificate in reversed(attestation.chain):
        yield _row("certificate", _certificate(certificate))
    yield _row("id", attestation.attestation_id.hex())
    yield _row("not checked", "; ".join(_open_questions(attestation)))
    for notice in attestation.warnings:
        yield _row("warning", f"{notice.code}: {notice.message}")


def unverified_lines(source: str, document: UnverifiedDocument) -> Iterator[str]:
    """What a document says of itself; the first line says that nobody checked it."""
    yield "UNVERIFIED: this is what the document says; nobody has checked who made it"
    yield _row("document", source)
    yield _row("kind", "enclave" if document.kind == "enclave" else "EC2 instance (NitroTPM)")
    yield _row("module_id", document.module_id)
    yield _row("made", _time(document.timestamp))
    yield from _pcr_lines(document.pcrs, ())
    yield from _value_lines(document.public_key, document.user_data, document.nonce)
    for der in (*document.cabundle, document.certificate):
        try:
            yield _row("certificate", _certificate(load_certificate(der, "it")[0]))
        except ChainError as error:
            yield _row("certificate", f"unreadable, {len(der)} bytes: {escape(error.message)}")


def error_lines(source: str, error: NitroAttestError) -> Iterator[str]:
    """A refusal: code, sentence, place and what to do."""
    yield f"REFUSED {error.code}: {source}"
    messages = (
        [f"{failure.code}: {failure.message}" for failure in error.failures]
        if isinstance(error, PolicyError)
        else [error.message]
    )
    for message in messages:
        yield f"  {escape(message)}"
    if error.offset is not None:
        yield f"  at byte {error.offset}"
    if error.code in _HINTS:
        yield f"  hint: {_HINTS[error.code]}"


def escape(text: str) -> str:
    """Text with all that is not printable ASCII written as escapes."""
    return "".join(
        c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def emit(lines: Iterable[str], *, to_stderr: bool = False) -> None:
    """Prints lines."""
    for line in lines:
        click.echo(line, err=to_stderr)


def _row(label: str, value: str) -> str:
    return f"  {label:<12} {escape(value)}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"


def _age(time_source: str, age: timedelta) -> str:
    return "" if time_source == "document" else f", {age} before the verification time"


def _expected_indices(attestation: Result) -> tuple[int, ...]:
    """The registers of the set that matched."""
    if not isinstance(attestation.policy, (Policy, NitroTpmPolicy)):
        return ()
    found = _pcrs(attestation)
    for candidate in attestation.policy.measurements:
        if all(found.get(index) == value for index, value in candidate.pcrs.items()):
            return tuple(candidate.pcrs)
    return ()


def _pcrs(attestation: Result) -> Mapping[int, bytes]:
    if isinstance(attestation, Attestation):
        return attestation.pcrs
    return attestation.nitrotpm_pcrs


def _matched(attestation: Result) -> str:
    if attestation.matched is not None:
        return escape(attestation.matched)
    return ", ".join(f"PCR{index}" for index in _expected_indices(attestation))


def _pcr_lines(pcrs: Mapping[int, bytes], expected: tuple[int, ...]) -> Iterator[str]:
    zeros = []
    for index, value in pcrs.items():
        if not any(value) and index not in expected:
            zeros.append(str(index))
            continue
        yield _row(f"PCR{index}", value.hex() + ("  as expected" if index in expected else ""))
    if zeros:
        yield _row("zero PCRs", ", ".join(zeros))


def _value_lines(
    public_key: bytes | None, user_data: bytes | None, nonce: bytes | None
) -> Iterator[str]:
    for name, value in (("public_key", public_key), ("user_data", user_data), ("nonce", nonce)):
        if value is None:
            yield _row(name, "absent")
        elif not value:
            yield _row(name, "empty")
        else:
            more = "..." if len(value) > _SHOWN_BYTES else ""
            yield _row(name, f"{len(value)} bytes: {value[:_SHOWN_BYTES].hex()}{more}")


def _certificate(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if names else certificate.subject.rfc4514_string()
    window = (
        f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} to "
        f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S}"
    )
    return f"{name} ({window})"


def _open_questions(attestation: Result) -> Iterator[str]:
    codes = {notice.code for notice in attestation.warnings}
    if not isinstance(attestation.policy, (Policy, NitroTpmPolicy)):
        yield "which code runs"
    if codes & {"freshness.unbound", "time.document"}:
        yield "freshness"
    yield "revocation (CRLs)"
    yield "who relays the answer: bind the session to public_key"
