"""Documents and verified results as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from cryptography import x509

from nitro_attest._internal.wording import plural
from nitro_attest.channel.bindings.base import Bound
from nitro_attest.cli.display import Display
from nitro_attest.cli.exit_codes import EXIT_REQUIREMENT
from nitro_attest.cli.fields import selected
from nitro_attest.cli.output import (
    Kind,
    emit,
    emit_result,
    row,
    shown_name,
    styled,
    to_json,
    utc,
)
from nitro_attest.cli.provenance import provenance_lines
from nitro_attest.errors import ChainError
from nitro_attest.provenance import Provenance
from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation
from nitro_attest.verification.certificate import load_certificate
from nitro_attest.verification.core import UnknownField
from nitro_attest.verification.crl import RevocationList
from nitro_attest.verification.document import UnverifiedDocument
from nitro_attest.verification.policy import NitroTpmPolicy, Policy

Result = Attestation | NitroTpmAttestation

UNVERIFIED: Final = (
    "UNVERIFIED: the content of the document as received; its signature was not checked"
)

_SHOWN_BYTES: Final = 64
"""Bytes shown of a value; ``--json`` shows all of them."""

_TIME_SOURCES: Final = {
    "now": "now",
    "given": "as given",
    "document": "the document's own timestamp",
}

_ACCEPT_HINT: Final = "to accept a document with this warning, use --accept-warning CODE"


def report(
    source: str,
    attestation: Result,
    display: Display,
    *,
    bound: Bound | None = None,
    provenance: Provenance | None = None,
    failed_on: tuple[str, ...] = (),
    **members: Any,
) -> int:
    """Prints a verified result.

    Args:
        source: The file or server.
        attestation: The result.
        display: The amount of output.
        bound: The key of the connection that the document names.
        provenance: The signed statement of the expected measurements.
        failed_on: The codes of the warnings that make it fail; they are also printed on stderr.
        members: Further members of the JSON object.

    Returns:
        The exit code.
    """
    verdict, kind = headline(attestation)
    if failed_on:
        verdict, kind = f"FAILED ON WARNING {', '.join(failed_on)}", "rejected"
    of = f": {shown_name(source)}"
    if attestation.time_source != "now":
        of += f", as of {utc(attestation.verified_at)}"
    if display.as_json:
        extras = _members(bound, provenance, failed_on)
        values = {
            "source": source,
            "verified": not failed_on,
            "attestation": selected(attestation, display.fields),
        }
        emit([to_json(**members, **values, **extras)])
    elif not display.quiet:
        lines = (
            short_rows(source, attestation)
            if display.short
            else full_rows(source, attestation, bound, provenance)
        )
        if failed_on:  # stderr has the last line
            emit([styled(verdict, kind), *lines, row("hint", _ACCEPT_HINT)])
        else:
            emit_result(styled(verdict, kind), lines, styled(f"{verdict}{of}", kind))
    elif not failed_on:
        emit([styled(f"{verdict}{of}", kind)])
    if not failed_on:
        return 0
    emit([styled(f"{verdict}{of}", kind, to_stderr=True)], to_stderr=True)
    return EXIT_REQUIREMENT


def _members(
    bound: Bound | None, provenance: Provenance | None, failed_on: tuple[str, ...]
) -> dict[str, Any]:
    """Returns the members of the JSON object that only some results have."""
    members: dict[str, Any] = {}
    if bound is not None:
        members["bound"] = {"binding": bound.binding, "public_key": bound.public_key.hex()}
    if provenance is not None:
        members["provenance"] = provenance.to_dict()
    if failed_on:
        members["failed_on"] = failed_on
    return members


def headline(attestation: Result) -> tuple[str, Kind]:
    """Returns the verdict, with the requirements that were not checked, and its kind."""
    if attestation.time_source == "document":
        return "AUTHENTIC AT SIGNING TIME (archive mode; freshness not checked)", "limited"
    if isinstance(attestation.policy, (Policy, NitroTpmPolicy)):
        return f"VERIFIED (measurements match {_matched(attestation)})", "accepted"
    any_source = "ANY ENCLAVE" if isinstance(attestation, Attestation) else "ANY INSTANCE"
    return f"AUTHENTIC, {any_source} (no measurements were required)", "limited"


def full_rows(
    source: str, attestation: Result, bound: Bound | None, provenance: Provenance | None
) -> Iterator[str]:
    """Rows for a verified document: origin, time, PCRs, certificates, and what is not checked."""
    document = attestation.document
    yield row("document", source, shown_name)
    if isinstance(attestation, Attestation):
        yield row("enclave", document.module_id)
    yield row("instance", f"{attestation.instance_id} in {attestation.region or 'unknown region'}")
    yield row("timestamp", utc(attestation.timestamp))
    yield row("verified at", _verified_at(attestation))
    yield row("age", _age(attestation))
    yield row("root", f"{attestation.root.name} (SHA-256 {attestation.root.sha256})")
    yield from _pcr_lines(_pcrs(attestation), _expected_indices(attestation))
    yield from _value_lines(document.public_key, document.user_data, document.nonce)
    yield from _unknown_lines(document.unknown_fields)
    if provenance is not None:
        yield from provenance_lines(provenance)
    if bound is not None:
        digest = sha256(bound.public_key).hexdigest()
        yield row("bound", f"to the TLS key (SHA-256 {digest}) by {bound.binding}")
    for certificate in reversed(attestation.chain):
        yield row("certificate", _certificate(certificate))
    for one in attestation.revocation_lists or ():
        yield row("revocation", f"not revoked by {one}, issued {utc(one.this_update)}")
    yield row("id", attestation.attestation_id.hex())
    yield row("not checked", "; ".join(_unchecked(attestation, bound)))
    yield from _warning_rows(attestation)


def short_rows(source: str, attestation: Result) -> Iterator[str]:
    """Rows for a verified document: origin, age, the measurement set that matched, warnings."""
    yield row("document", source, shown_name)
    if isinstance(attestation, Attestation):
        yield row("enclave", attestation.module_id)
    else:
        yield row("instance", attestation.instance_id)
    yield row("verified at", _verified_at(attestation))
    yield row("age", _age(attestation))
    indices = ", ".join(f"PCR{index}" for index in _expected_indices(attestation))
    named = indices if attestation.matched is None else f"{attestation.matched} ({indices})"
    yield row("matched", named or "no measurements were required", shown_name)
    yield from _warning_rows(attestation)


def _warning_rows(attestation: Result) -> Iterator[str]:
    for warning in attestation.warnings:
        yield row("warning", f"{warning.code}: {warning.message}")


def _verified_at(attestation: Result) -> str:
    return f"{utc(attestation.verified_at)}, {_TIME_SOURCES[attestation.time_source]}"


def _age(attestation: Result) -> str:
    if attestation.time_source == "document":
        return "not checked (archive mode)"
    age = attestation.verified_at - attestation.timestamp
    text = str(abs(age)).removesuffix("000")  # times have milliseconds
    return f"{text}, in the future" if age < timedelta(0) else text


def list_lines(one: RevocationList) -> Iterator[str]:
    """Lines for a revocation list; the first one marks it as unverified."""
    yield "UNVERIFIED: the content of the list as received; its signature was not checked"
    yield row("issuer", one.issuer.rfc4514_string())
    yield row("number", str(one.number))
    yield row("issued", utc(one.this_update))
    yield row("next", "no time given" if one.next_update is None else utc(one.next_update))
    yield row("revoked", plural(len(one.serials), "certificate"))


def unverified_lines(source: str, document: UnverifiedDocument) -> Iterator[str]:
    """Lines for the content of a document, below the verdict ``UNVERIFIED``."""
    yield row("document", source, shown_name)
    yield row("kind", "enclave" if document.kind == "enclave" else "EC2 instance (NitroTPM)")
    yield row("module_id", document.module_id)
    yield row("timestamp", utc(document.timestamp))
    yield from _pcr_lines(document.pcrs, ())
    yield from _value_lines(document.public_key, document.user_data, document.nonce)
    yield from _unknown_lines(document.unknown_fields)
    for der in (*document.cabundle, document.certificate):
        try:
            certificate, *_ = load_certificate(der, "the certificate")
            yield row("certificate", _certificate(certificate))
        except ChainError as error:
            yield row("certificate", f"malformed, {plural(len(der), 'byte')}: {error.message}")


def _expected_indices(attestation: Result) -> tuple[int, ...]:
    """The indices in the measurement set that matched."""
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
        return shown_name(attestation.matched)
    return ", ".join(f"PCR{index}" for index in _expected_indices(attestation))


def _pcr_lines(pcrs: Mapping[int, bytes], expected: tuple[int, ...]) -> Iterator[str]:
    zeros = []
    for index, value in pcrs.items():
        if not any(value) and index not in expected:
            zeros.append(str(index))
            continue
        yield row(f"PCR{index}", value.hex() + ("  as expected" if index in expected else ""))
    if zeros:
        yield row("zero PCRs", ", ".join(zeros))


def _value_lines(
    public_key: bytes | None, user_data: bytes | None, nonce: bytes | None
) -> Iterator[str]:
    for name, value in (("public_key", public_key), ("user_data", user_data), ("nonce", nonce)):
        if value is None:
            yield row(name, "absent")
        elif not value:
            yield row(name, "empty")
        else:
            yield row(name, _sized(value))


def _unknown_lines(fields: tuple[UnknownField, ...]) -> Iterator[str]:
    for field in fields:
        yield row("unknown", f"{field.name!a} at offset {field.offset}, {_sized(field.value)}")


def _sized(value: bytes) -> str:
    more = "..." if len(value) > _SHOWN_BYTES else ""
    return f"{plural(len(value), 'byte')}: {value[:_SHOWN_BYTES].hex()}{more}"


def _certificate(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if names else certificate.subject.rfc4514_string()
    window = (
        f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} to "
        f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S}"
    )
    return f"{name} ({window})"


def _unchecked(attestation: Result, bound: Bound | None) -> Iterator[str]:
    codes = {warning.code for warning in attestation.warnings}
    if not isinstance(attestation.policy, (Policy, NitroTpmPolicy)):
        yield "measurements"
    if codes & {"freshness.unbound", "time.document"}:
        yield "freshness"
    if attestation.revocation_lists is None:
        yield "revocation (CRLs)"
    if bound is None:
        yield "who relayed the document: bind the session to its public_key"
