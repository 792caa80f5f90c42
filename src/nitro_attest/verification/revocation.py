"""Revocation: checks a verified path against lists that the caller provides (R-1 to R-8).

Nothing is fetched, and there is no soft failure: with lists, every certificate that names a list
must be covered by a current one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import lru_cache, partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest._internal.files import unreadable
from nitro_attest._internal.times import check_max_age, from_milliseconds, to_milliseconds
from nitro_attest._internal.values import rebuilt
from nitro_attest.errors import AttestationWarning, ChainError, InputError
from nitro_attest.limits import MAX_CRL_BYTES, MAX_CRLS
from nitro_attest.verification.certificate import Certificate
from nitro_attest.verification.crl import RevocationList, list_addresses, reason_of
from nitro_attest.verification.path import CertificatePath

__all__ = ["CrlNumberStore", "RevocationLists"]

_ECDSA_WITH_SHA384: Final = x509.SignatureAlgorithmOID.ECDSA_WITH_SHA384
_REMEMBERED_ISSUERS: Final = 256

_REACHING_BACK: Final = frozenset(
    {
        None,  # the issuer gave no reason
        x509.ReasonFlags.unspecified,
        x509.ReasonFlags.key_compromise,
        x509.ReasonFlags.ca_compromise,
        x509.ReasonFlags.aa_compromise,
    }
)
"""R-8. For these, the key may have been in other hands before the date of the revocation."""


class CrlNumberStore(Protocol):
    """Remembers the highest CRL number of each issuer, so that no older list is accepted (R-4)."""

    def raise_crl_number(self, issuer: bytes, number: int) -> int:
        """Raises the number of an issuer to at least ``number``, atomically for all processes.

        Args:
            issuer: Identifies the issuer: 32 bytes.
            number: A CRL number of at most 20 octets.

        Returns:
            The highest number so far, this one included.
        """
        ...


class RevocationResult(NamedTuple):
    """The result for a path that is not revoked.

    Attributes:
        lists: The lists that cover its certificates, in the order of the path.
        warnings: Revocations after the verification time (R-8).
    """

    lists: tuple[RevocationList, ...] = ()
    warnings: tuple[AttestationWarning, ...] = ()


class _Moment(NamedTuple):
    at_ms: int
    skew_ms: int
    archived: bool


class _Fault(NamedTuple):
    code: str
    message: str


@rebuilt
class RevocationLists:
    """An immutable set of revocation lists for ``Verifier(revocation=...)``.

    With them, a path is rejected if a certificate names a list (a CRL distribution point) and no
    current list of its issuer is in the set (R-6), or if one is revoked (R-7). To verify without
    revocation, pass no set. Can be pickled unless it has a store.

    Args:
        *lists: The lists: DER or PEM of one each, or RevocationList.
        max_age: The maximum age of a list since its time of issue; None: only its own nextUpdate
            ends its use.
        numbers: Store of the highest CRL numbers (R-4), such as a SqliteStore; None: an older list
            that has not expired is accepted.

    Raises:
        InputError: ``input.crl``: there are no or more than 64 lists, or one is not DER or PEM or
            has more than 64 MiB. ``input.time``: ``max_age`` is not a positive timedelta.
            ``input.expected``: ``numbers`` is not a store.
        ChainError: ``crl.malformed`` or ``crl.scope``: a list that cannot be used (R-3 to R-5).

    Example:
        >>> lists = RevocationLists.from_files("crls/", max_age=timedelta(days=2))  # doctest: +SKIP
        >>> verifier = Verifier(policy=policy, revocation=lists)  # doctest: +SKIP
    """

    def __init__(
        self,
        *lists: bytes | RevocationList,
        max_age: timedelta | None = None,
        numbers: CrlNumberStore | None = None,
    ) -> None:
        check_max_age(max_age)
        if numbers is not None and not callable(getattr(numbers, "raise_crl_number", None)):
            raise InputError(
                "input.expected", f"numbers: expected a CrlNumberStore, found {numbers!r:.100}"
            )
        read = [
            one if isinstance(one, RevocationList) else RevocationList.from_bytes(one)
            for one in lists
        ]
        self._lists = tuple(dict.fromkeys(read))
        if not 1 <= len(self._lists) <= MAX_CRLS:
            raise InputError(
                "input.crl", f"revocation lists: expected 1 to {MAX_CRLS}, found {len(self._lists)}"
            )
        self._max_age = max_age
        self._numbers = numbers
        # The cached function does not refer to self: only the garbage collector could free that.
        checked = partial(_lists_of_issuer, self._lists, numbers)
        self._of_issuer = lru_cache(_REMEMBERED_ISSUERS)(checked)

    @classmethod
    def from_files(
        cls,
        *paths: str | Path,
        max_age: timedelta | None = None,
        numbers: CrlNumberStore | None = None,
    ) -> RevocationLists:
        """Reads lists from files and folders.

        Args:
            *paths: Files with one list each, in DER or PEM; of a folder, every file in it.
            max_age: As for the class.
            numbers: As for the class.

        Returns:
            The set.

        Raises:
            InputError: As for the class, with the name of the file; ``input.file``: a file cannot
                be read; ``input.crl``: a folder is empty, or an argument is no path.
            ChainError: As for the class, with the name of the file.
        """
        return cls(*map(_read_file, _files(paths)), max_age=max_age, numbers=numbers)

    def check(
        self, path: CertificatePath, at_ms: int, skew_ms: int, *, archived: bool
    ) -> RevocationResult:
        """Checks every certificate of a verified path below its root (R-2 to R-8).

        Args:
            path: The path.
            at_ms: The verification time in milliseconds since 1970.
            skew_ms: The time that this machine's clock may be slow, in milliseconds.
            archived: True if the verification time is not the clock's (R-8).

        Returns:
            The lists that cover the certificates, and warnings.

        Raises:
            ChainError: ``cert.revoked``, ``cert.revocation_unknown``, ``crl.issuer``,
                ``crl.signature``, ``crl.rollback``, ``crl.scope``, ``crl.not_yet_valid`` or
                ``crl.stale``.
        """
        moment = _Moment(at_ms, skew_ms, archived)
        used: dict[RevocationList, None] = {}
        warnings: list[AttestationWarning] = []
        for parent, certificate in pairwise(path.certificates):
            for one in self._covering(parent, certificate, moment):
                used[one] = None
                warnings += _later_revocation(one, certificate, moment)
        return RevocationResult(tuple(used), tuple(warnings))

    def _covering(
        self, parent: Certificate, certificate: Certificate, moment: _Moment
    ) -> list[RevocationList]:
        """Returns the usable lists for a certificate; at least one if it names a list (R-6)."""
        addresses = _addresses(certificate)
        usable, faults = [], []
        signs = _may_sign_lists(parent)
        for one, issuer_fault in self._of_issuer(parent.parsed, signs, parent.label):
            fault = (
                issuer_fault
                or _scope_fault(one, addresses, certificate)
                or _time_fault(one, moment)
                or self._age_fault(one, moment)
            )
            if fault is None:
                usable.append(one)
            else:
                faults.append(fault)
        if usable or addresses is None:
            return usable
        if faults:
            raise ChainError(*faults[0])
        where = ", ".join(sorted(addresses)) or "its issuer"
        raise ChainError(
            "cert.revocation_unknown",
            f"no revocation list of the issuer of {certificate.label}; provide the one from "
            f"{where}",
        )

    def _age_fault(self, one: RevocationList, moment: _Moment) -> _Fault | None:
        age = from_milliseconds(moment.at_ms) - one.this_update
        if self._max_age is None or age <= self._max_age:
            return None
        return _Fault("crl.stale", f"age of {one}: expected at most {self._max_age}, found {age}")

    def __iter__(self) -> Iterator[RevocationList]:
        return iter(self._lists)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RevocationLists):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return frozenset(self._lists), self._max_age, self._numbers

    def __reduce__(self) -> tuple[Callable[..., RevocationLists], tuple[bytes, ...]]:
        again = partial(RevocationLists, max_age=self._max_age, numbers=self._numbers)
        return again, tuple([one.parsed.public_bytes(Encoding.DER) for one in self._lists])

    def __repr__(self) -> str:
        return f"<RevocationLists: {', '.join(map(str, self._lists))}>"


def _lists_of_issuer(
    lists: tuple[RevocationList, ...],
    numbers: CrlNumberStore | None,
    issuer: x509.Certificate,
    may_sign: bool,
    label: str,
) -> tuple[tuple[RevocationList, _Fault | None], ...]:
    """Returns the lists in an issuer's name, each with its fault that does not depend on time."""
    found = []
    for one in lists:
        if one.issuer.public_bytes() == issuer.subject.public_bytes():
            fault = _issuer_fault(one, issuer, may_sign, label)
            found.append((one, fault or _number_fault(one, issuer, numbers)))
    return tuple(found)


def _issuer_fault(
    one: RevocationList, issuer: x509.Certificate, may_sign: bool, label: str
) -> _Fault | None:
    """Checks R-2. The issuer's key is on P-384, as those of all certificates of a path (X-9)."""
    if not may_sign:
        return _Fault("crl.issuer", f"{label} may not sign a {one}: expected keyUsage with cRLSign")
    if one.parsed.signature_algorithm_oid != _ECDSA_WITH_SHA384:
        found = one.parsed.signature_algorithm_oid.dotted_string
        return _Fault("crl.signature", f"{one}: expected ECDSA with SHA-384, found {found}")
    if not one.parsed.is_signature_valid(cast("ec.EllipticCurvePublicKey", issuer.public_key())):
        return _Fault("crl.signature", f"{one} was not signed by the key of {label}")
    return None


def _number_fault(
    one: RevocationList, issuer: x509.Certificate, numbers: CrlNumberStore | None
) -> _Fault | None:
    """Checks R-4; after the signature, because a forged list must not raise the number."""
    if numbers is None:
        return None
    key = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    highest = numbers.raise_crl_number(sha256(key).digest(), one.number)
    if one.number >= highest:
        return None
    return _Fault("crl.rollback", f"{one} is older than number {highest}, which was seen before")


def _scope_fault(
    one: RevocationList, addresses: frozenset[str] | None, certificate: Certificate
) -> _Fault | None:
    """Checks R-5: a list for some addresses covers the certificates that name one of them."""
    if one.addresses is None or one.addresses & (addresses or frozenset()):
        return None
    only = ", ".join(sorted(one.addresses)) or "no address"
    return _Fault("crl.scope", f"{one} is for {only}, which {certificate.label} does not name")


def _time_fault(one: RevocationList, moment: _Moment) -> _Fault | None:
    """Checks R-3. For an archived document, a list that was issued later is better (R-8)."""
    at = from_milliseconds(moment.at_ms)
    latest = at + timedelta(milliseconds=moment.skew_ms)
    if one.this_update > latest and not moment.archived:
        return _Fault(
            "crl.not_yet_valid", f"{one}: issued at {one.this_update}, expected at most {latest}"
        )
    if one.next_update is None:
        return _Fault("crl.stale", f"{one} has no nextUpdate: expected the time of the next list")
    if one.next_update < at:
        return _Fault(
            "crl.stale", f"{one} expired at {one.next_update}, before {at}; provide a newer one"
        )
    return None


def _later_revocation(
    one: RevocationList, certificate: Certificate, moment: _Moment
) -> Iterator[AttestationWarning]:
    """Checks R-7 and R-8; yields a warning for a revocation that does not count yet."""
    serial = certificate.parsed.serial_number
    entry = one.entry(serial)
    if entry is None:
        return
    reason = reason_of(entry)
    text = (
        f"{certificate.label}, serial number {serial:x}, was revoked at "
        f"{entry.revocation_date_utc} (reason: {'none' if reason is None else reason.value})"
    )
    later = to_milliseconds(entry.revocation_date_utc) > moment.at_ms
    if not (moment.archived and later) or reason in _REACHING_BACK:
        raise ChainError("cert.revoked", text)
    yield AttestationWarning("cert.revoked_later", f"{text}, after the verification time")


def _addresses(certificate: Certificate) -> frozenset[str] | None:
    """Returns the addresses of a certificate's lists; None if it names no list."""
    extension = certificate.extension(x509.CRLDistributionPoints)
    return None if extension is None else frozenset(list_addresses(extension.value))


def _may_sign_lists(certificate: Certificate) -> bool:
    usage = certificate.extension(x509.KeyUsage)
    return usage is not None and usage.value.crl_sign


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for name in paths:
        try:
            path = Path(name)
            files = sorted(path.iterdir()) if path.is_dir() else [path]
        except TypeError:
            raise InputError("input.crl", f"expected a path, found {name!r:.100}") from None
        except (OSError, ValueError) as error:
            raise unreadable(name, error) from error
        if not files:
            raise InputError(
                "input.crl", f"the folder {str(name)!r} is empty: expected lists in it"
            )
        yield from files


def _read_file(path: Path) -> RevocationList:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CRL_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    try:
        return RevocationList.from_bytes(data)
    except (InputError, ChainError) as error:
        raise type(error)(error.code, f"{str(path)!r}: {error.message}") from error
