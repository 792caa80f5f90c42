"""One revocation list (CRL): its form, checked when it is read (R-1, R-3 to R-5).

AWS publishes lists, but nothing about their form. What is accepted is what RFC 5280 section 5
describes, and of it only full lists of one issuer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest._internal.quiet import quietly
from nitro_attest._internal.values import rebuilt
from nitro_attest._internal.wording import plural
from nitro_attest.errors import ChainError, InputError
from nitro_attest.limits import MAX_CRL_BYTES, MAX_CRL_NUMBER_OCTETS

__all__ = ["RevocationList"]

_VERSION_2: Final = b"\x02\x01\x01"
_SHOWN_BYTES: Final = 8
_PEM_BEGIN: Final = b"-----BEGIN X509 CRL-----"

_PROPERTIES: Final = attrgetter("issuer", "last_update_utc", "next_update_utc", "extensions")

_UNDERSTOOD: Final = frozenset(
    {x509.AuthorityKeyIdentifier, x509.CRLNumber, x509.IssuingDistributionPoint}
)
_UNDERSTOOD_IN_ENTRIES: Final = frozenset({x509.CRLReason, x509.InvalidityDate})
_REMOVED: Final = x509.ReasonFlags.remove_from_crl


@rebuilt
@dataclass(frozen=True, slots=True, repr=False)
class RevocationList:
    """One list of the accepted form. Its signature is checked with the key of an issuer (R-2).

    Can be pickled; the copy is checked again.

    Attributes:
        sha256: SHA-256 of the DER, lower-case hex. Lists are equal if it is equal.
        issuer: The issuer's name.
        number: The CRLNumber, at least 0.
        this_update: Time of issue.
        next_update: Time by which the next list is due; None if the list gives none, so that it is
            never current.
        addresses: If the list is only for the certificates that name one of these addresses
            (IssuingDistributionPoint), the addresses; None if it is for all of its issuer.
        serials: The serial numbers of the revoked certificates.
        parsed: The object of the cryptography package.
    """

    sha256: str
    issuer: x509.Name = field(compare=False)
    number: int = field(compare=False)
    this_update: datetime = field(compare=False)
    next_update: datetime | None = field(compare=False)
    addresses: frozenset[str] | None = field(compare=False)
    serials: frozenset[int] = field(compare=False)
    parsed: x509.CertificateRevocationList = field(compare=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> RevocationList:
        """Reads a list and checks its form.

        Args:
            data: The list in DER or PEM, at most 64 MiB.

        Returns:
            The list.

        Raises:
            InputError: ``input.crl``: neither DER nor PEM of one list, or too large.
            ChainError: ``crl.malformed`` or ``crl.scope``: a list that cannot be used (R-3 to R-5).
        """
        parsed = _parse(data)
        try:
            issuer, this_update, next_update, extensions = quietly(_PROPERTIES, parsed)
            number, addresses = _read_extensions(parsed, extensions)
            serials = _read_entries(parsed)
        except ChainError:
            raise
        except Exception as error:  # of many types, as for certificates
            raise _malformed(str(error)) from error
        digest = sha256(parsed.public_bytes(Encoding.DER)).hexdigest()
        return cls(digest, issuer, number, this_update, next_update, addresses, serials, parsed)

    def entry(self, serial: int) -> x509.RevokedCertificate | None:
        """Looks up a serial number.

        Args:
            serial: The serial number of a certificate of this issuer.

        Returns:
            Its entry, or None if it is not revoked.

        Raises:
            InputError: ``input.expected``: the serial number is not an integer.
        """
        if type(serial) is not int:
            raise InputError(
                "input.expected", f"serial: expected an integer, found {type(serial).__name__}"
            )
        if serial not in self.serials:  # a set, because the look-up in the list reads all of it
            return None
        found = self.parsed.get_revoked_certificate_by_serial_number(serial)
        return cast("x509.RevokedCertificate", found)

    def to_dict(self) -> dict[str, Any]:
        """Returns the list's facts as JSON-ready values."""
        return {
            "issuer": self.issuer.rfc4514_string(),
            "number": self.number,
            "this_update": self.this_update.isoformat(),
            "next_update": None if self.next_update is None else self.next_update.isoformat(),
            "entries": len(self.serials),
            "sha256": self.sha256,
        }

    def __reduce__(self) -> tuple[Callable[[bytes], RevocationList], tuple[bytes]]:
        return RevocationList.from_bytes, (self.parsed.public_bytes(Encoding.DER),)

    def __str__(self) -> str:
        return f"revocation list {self.number} of {self.issuer.rfc4514_string()}"

    def __repr__(self) -> str:
        return f"<RevocationList: {self}>"


def list_addresses(points: x509.CRLDistributionPoints) -> Iterator[str]:
    """Yields the URLs of the lists that a certificate names.

    A distribution point whose lists have a different issuer (cRLIssuer) gives none.
    """
    for point in points:
        if point.crl_issuer is None:
            yield from addresses_of(point.full_name)


def addresses_of(names: Iterable[x509.GeneralName] | None) -> Iterator[str]:
    """Yields the URLs among the names of a distribution point."""
    for name in names or ():
        if isinstance(name, x509.UniformResourceIdentifier):
            yield name.value


def reason_of(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    """Returns the reason of a revocation; None if the issuer gave none."""
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            return extension.value.reason
    return None


def _parse(data: bytes) -> x509.CertificateRevocationList:
    if not isinstance(data, bytes) or len(data) > MAX_CRL_BYTES:
        found = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise _unreadable(f"expected at most {MAX_CRL_BYTES} bytes, found {found}")
    load = x509.load_pem_x509_crl if _PEM_BEGIN in data else x509.load_der_x509_crl
    if data.count(_PEM_BEGIN) > 1:
        raise _unreadable("expected one list, found several")
    try:
        return quietly(load, data)
    except Exception as error:
        found = (
            f"{plural(len(data), 'byte')} that begin with {data[:_SHOWN_BYTES].hex() or 'nothing'}"
        )
        raise _unreadable(f"expected one in DER or PEM, found {found}") from error


def _read_extensions(
    parsed: x509.CertificateRevocationList, extensions: x509.Extensions
) -> tuple[int, frozenset[str] | None]:
    """Returns the number and the addresses (R-3 to R-5)."""
    if not _content(parsed.tbs_certlist_bytes).startswith(_VERSION_2):
        raise _malformed("expected version 2, found version 1")
    number, addresses = None, None
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise _malformed("expected a full list, found a delta (DeltaCRLIndicator)")
        if extension.critical and type(value) not in _UNDERSTOOD:
            raise _malformed(f"unknown critical extension {extension.oid.dotted_string}")
        if isinstance(value, x509.CRLNumber):
            number = value.crl_number
        if isinstance(value, x509.IssuingDistributionPoint):
            addresses = _whole_scope(value)
    if number is None:
        raise _malformed("expected a CRLNumber, found none")
    if number >= 256**MAX_CRL_NUMBER_OCTETS:
        raise _malformed(f"expected a CRLNumber of at most {MAX_CRL_NUMBER_OCTETS} octets")
    return number, addresses


def _whole_scope(point: x509.IssuingDistributionPoint) -> frozenset[str]:
    """Returns the addresses of a list that is for all certificates and reasons there (R-5)."""
    if (
        point.only_contains_user_certs
        or point.only_contains_ca_certs
        or point.only_contains_attribute_certs
        or point.only_some_reasons
        or point.indirect_crl
    ):
        raise ChainError(
            "crl.scope",
            "limited revocation list: expected one for all certificates and reasons of its issuer, "
            "found an IssuingDistributionPoint with a restriction",
        )
    return frozenset(addresses_of(point.full_name))


def _read_entries(parsed: x509.CertificateRevocationList) -> frozenset[int]:
    """Checks every entry, and returns the serial numbers (R-5)."""
    serials = set()
    for entry in parsed:
        if entry.serial_number <= 0:
            raise _malformed("a serial number is not positive")
        serials.add(entry.serial_number)
        for extension in quietly(attrgetter("extensions"), entry):
            value = extension.value
            if isinstance(value, x509.CertificateIssuer):
                raise _malformed("an entry belongs to a different issuer (certificateIssuer)")
            if extension.critical and type(value) not in _UNDERSTOOD_IN_ENTRIES:
                oid = extension.oid.dotted_string
                raise _malformed(f"an entry has the unknown critical extension {oid}")
            if isinstance(value, x509.CRLReason) and value.reason is _REMOVED:
                raise _malformed("an entry has the reason removeFromCRL, which is for deltas only")
    if len(serials) != len(parsed):
        raise _malformed("a serial number occurs twice")
    return frozenset(serials)


def _content(element: bytes) -> bytes:
    """Returns the content of a DER element that has already been parsed."""
    octets = element[1] & 0x7F if element[1] & 0x80 else 0
    return element[2 + octets :]


def _unreadable(message: str) -> InputError:
    return InputError("input.crl", f"revocation list: {message}")


def _malformed(message: str) -> ChainError:
    return ChainError("crl.malformed", f"malformed revocation list: {message}")
