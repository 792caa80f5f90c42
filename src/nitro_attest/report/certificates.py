"""The certificates of a document, with the time for which each is valid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from nitro_attest._internal.quiet import quietly
from nitro_attest.errors import ChainError
from nitro_attest.report.facts import Facts
from nitro_attest.report.wording import duration
from nitro_attest.verification.certificate import load_certificate

_PROPERTIES: Final = attrgetter(
    *("subject", "issuer", "serial_number", "not_valid_before_utc", "not_valid_after_utc")
)


class CertificateRow(NamedTuple):
    """One certificate.

    Attributes:
        role: Its place in the chain.
        name: Common name of its subject, or the whole name.
        issuer: Name of its issuer.
        serial: Serial number in hex.
        sha256: Fingerprint in hex.
        not_before: First moment of its validity.
        not_after: Last moment of its validity.
    """

    role: str
    name: str
    issuer: str
    serial: str
    sha256: str
    not_before: datetime
    not_after: datetime

    def state(self, at: datetime | None) -> str:
        """Describes the validity at a time; "" if the time is not known."""
        if at is None:
            return ""
        if at > self.not_after:
            return f"expired {duration(at - self.not_after)} before the verification time"
        if at < self.not_before:
            return f"valid only {duration(self.not_before - at)} after the verification time"
        return "valid at the verification time"


class Unreadable(NamedTuple):
    """A certificate that cannot be read.

    Attributes:
        role: Its place in the chain.
        reason: The message of the error.
    """

    role: str
    reason: str


def certificates(facts: Facts) -> list[CertificateRow | Unreadable]:
    """Returns the certificates, the root first."""
    if facts.attestation is not None:
        chain = facts.attestation.chain[::-1]
        return [
            _row(role, certificate)
            for role, certificate in zip(_roles(len(chain), "trusted root"), chain, strict=True)
        ]
    if facts.parsed is None:
        return []
    ders = (*facts.parsed.cabundle, facts.parsed.certificate)
    roles = _roles(len(ders), "root as received")
    return [_read(role, der) for role, der in zip(roles, ders, strict=True)]


def _roles(count: int, root: str) -> Iterator[str]:
    yield root
    yield from (f"intermediate CA {number}" for number in range(1, count - 1))
    yield "signing certificate"


def _read(role: str, der: bytes) -> CertificateRow | Unreadable:
    try:
        return _row(role, load_certificate(der, role)[0])
    except ChainError as error:
        return Unreadable(role, error.message)


def _row(role: str, certificate: x509.Certificate) -> CertificateRow:
    try:
        subject, issuer, serial, not_before, not_after = quietly(_PROPERTIES, certificate)
        names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return CertificateRow(
            role,
            str(names[0].value) if names else subject.rfc4514_string(),
            issuer.rfc4514_string(),
            f"{serial:x}",
            certificate.fingerprint(SHA256()).hex(),
            not_before,
            not_after,
        )
    except Exception as error:  # of many types on hostile input, as in load_certificate
        raise ChainError("cert.malformed", f"{role} cannot be read: {error}") from error
