"""Documents and verified results as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509

from nitro_attest._internal.wording import plural
from nitro_attest.channel.bindings.base import Bound
from nitro_attest.cli.output import emit, escape, row, to_json
from nitro_attest.cli.provenance import provenance_lines
from nitro_attest.errors import ChainError
from nitro_attest.provenance import Provenance
from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation
from nitro_attest.verification.certificate import load_certificate
from nitro_attest.verification.crl import RevocationList
from nitro_attest.verification.document import UnverifiedDocument
from nitro_attest.verification.policy import NitroTpmPolicy, Policy

Result = Attestation | NitroTpmAttestation

_SHOWN_BYTES: Final = 64
"""Bytes shown of a value; ``--json`` shows all of them."""


def report(
    source: str,
    attestation: Result,
    as_json: bool,
    bound: Bound | None = None,
    provenance: Provenance | None = None,
) -> None:
    """Prints a verified result.

    Args:
        source: The file or other argument.
        attestation: The result.
        as_json: Print one JSON object instead of lines.
        bound: The key of the connection that the document names.
        provenance: The signed statement of the expected measurements.
    """
    if not as_json:
        emit(attestation_lines(source, attestation, bound, provenance))
        return
    values = {"source": source, "verified": True, "attestation": attestation.to_dict()}
    if bound is not None:
        values["bound"] = {"binding": bound.binding, "public_key": bound.public_key.hex()}
    if provenance is not None:
        values["provenance"] = provenance.to_dict()
    emit([to_json(**values)])


def headline(attestation: Result) -> str:
    """The first line: which of measurements and freshness the result proves."""
    if attestation.time_source == "document":
        return "AUTHENTIC AT SIGNING TIME (archive mode; freshness not checked)"
    if isinstance(attestation.policy, (Policy, NitroTpmPolicy)):
        return f"VERIFIED (measurements match {_matched(attestation)})"
    any_source = "ANY ENCLAVE" if isinstance(attestation, Attestation) else "ANY INSTANCE"
    return f"AUTHENTIC, {any_source} (no measurements were required)"


def attestation_lines(
    source: str,
    attestation: Result,
    bound: Bound | None = None,
    provenance: Provenance | None = None,
) -> Iterator[str]:
    """Lines for a verified document: origin, time, PCRs, certificates, and what is not checked."""
    document = attestation.document
    age = attestation.verified_at - attestation.timestamp
    yield headline(attestation)
    yield row("document", source)
    if isinstance(attestation, Attestation):
        yield row("enclave", document.module_id)
    yield row("instance", f"{attestation.instance_id} in {attestation.region or 'unknown region'}")
    yield row("timestamp", f"{_time(attestation.timestamp)}{_age(attestation.time_source, age)}")
    yield row("root", f"{attestation.root.name} (SHA-256 {attestation.root.sha256})")
    yield from _pcr_lines(_pcrs(attestation), _expected_indices(attestation))
    yield from _value_lines(document.public_key, document.user_data, document.nonce)
    if provenance is not None:
        yield from provenance_lines(provenance)
    if bound is not None:
        digest = sha256(bound.public_key).hexdigest()
        yield row("bound", f"to the TLS key (SHA-256 {digest}) by {bound.binding}")
    for certificate in reversed(attestation.chain):
        yield row("certificate", _certificate(certificate))
    for one in attestation.revocation_lists or ():
        yield row("revocation", f"not revoked by {one}, issued {_time(one.this_update)}")
    yield row("id", attestation.attestation_id.hex())
    yield row("not checked", "; ".join(_unchecked(attestation, bound)))
    for warning in attestation.warnings:
        yield row("warning", f"{warning.code}: {warning.message}")


def list_lines(one: RevocationList) -> Iterator[str]:
    """Lines for a revocation list; the first one marks it as unverified."""
    yield "UNVERIFIED: the content of the list as received; its signature was not checked"
    yield row("issuer", one.issuer.rfc4514_string())
    yield row("number", str(one.number))
    yield row("issued", _time(one.this_update))
    yield row("next", "no time given" if one.next_update is None else _time(one.next_update))
    yield row("revoked", plural(len(one.serials), "certificate"))


def unverified_lines(source: str, document: UnverifiedDocument) -> Iterator[str]:
    """Lines for the content of a document; the first one marks it as unverified."""
    yield "UNVERIFIED: the content of the document as received; its signature was not checked"
    yield row("document", source)
    yield row("kind", "enclave" if document.kind == "enclave" else "EC2 instance (NitroTPM)")
    yield row("module_id", document.module_id)
    yield row("timestamp", _time(document.timestamp))
    yield from _pcr_lines(document.pcrs, ())
    yield from _value_lines(document.public_key, document.user_data, document.nonce)
    for der in (*document.cabundle, document.certificate):
        try:
            certificate, *_ = load_certificate(der, "the certificate")
            yield row("certificate", _certificate(certificate))
        except ChainError as error:
            yield row("certificate", f"malformed, {plural(len(der), 'byte')}: {error.message}")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"


def _age(time_source: str, age: timedelta) -> str:
    if time_source == "document":
        return ""
    return f", {abs(age)} {'after' if age < timedelta(0) else 'before'} the verification time"


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
        return escape(attestation.matched)
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
            more = "..." if len(value) > _SHOWN_BYTES else ""
            yield row(name, f"{plural(len(value), 'byte')}: {value[:_SHOWN_BYTES].hex()}{more}")


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
