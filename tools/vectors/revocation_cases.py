"""Documents verified with revocation lists (R-1 to R-8), all about one document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest.testing import LIST_FAULTS
from nitro_attest.testing._der import tlv
from nitro_attest.testing.certificates import Extension
from nitro_attest.testing.faults.chain import UNKNOWN_OID
from nitro_attest.testing.faults.revocation import Covered, Edit, entries, extended, parts, point
from nitro_attest.testing.pki import authority_key
from nitro_attest.testing.revocation import ListForm, Revoked, crl_number
from vectors.case import MILLISECOND, Case, Revocation
from vectors.fakes import NITRO, WHEN
from vectors.policy_files import DOCUMENTS, FILES

NAME: Final = "enclave"
DOCUMENT: Final = DOCUMENTS[NAME]
NEEDED: Final = ("root", "regional")
"""The issuers whose lists the certificates of a document name."""

NOT_AT_A_GIVEN_TIME: Final = {"R-3.future"}
"""Faults that only a verifier that takes the time from its clock rejects (R-8)."""

ISSUED: Final = WHEN.replace(microsecond=0)
LATER: Final = ISSUED + timedelta(minutes=5)
SECOND: Final = timedelta(seconds=1)
ENTRY_DATE: Final = Extension.of(x509.InvalidityDate(ISSUED.replace(tzinfo=None)), critical=False)
REASONS: Final = x509.ReasonFlags


def ordinary(form: ListForm, covered: Covered) -> ListForm:
    """Changes nothing."""
    return form


def fault(name: str) -> Edit:
    """The change of one fault."""
    return LIST_FAULTS[name].edit


def revoked(after: timedelta, reason: x509.ReasonFlags | None) -> Edit:
    """Revokes the covered certificate at a time after the issue of ordinary lists."""

    def edit(form: ListForm, covered: Covered) -> ListForm:
        entry = Revoked.because(covered.serial, ISSUED + after, reason)
        return replace(form, revoked=(*form.revoked, entry))

    return edit


def both(*edits: Edit) -> Edit:
    """Applies one change after another."""

    def edit(form: ListForm, covered: Covered) -> ListForm:
        for one in edits:
            form = one(form, covered)
        return form

    return edit


def with_authority_key(form: ListForm, covered: Covered) -> ListForm:
    """Adds the identifier of the issuer's key."""
    return extended(authority_key(form.signer.identifier))(form, covered)


def lists(**edits: Edit) -> tuple[bytes, ...]:
    """The needed lists, with changes by issuer; a further issuer adds a list."""
    whole = dict.fromkeys(NEEDED, ordinary) | edits
    return tuple(NITRO.edited_list(issuer, edit) for issuer, edit in whole.items())


def pem(data: bytes) -> bytes:
    """The same list in PEM."""
    return x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)


LATE: Final = parts(this_update=LATER, next_update=LATER + timedelta(days=7))

ACCEPTED: Final[Mapping[str, tuple[str, tuple[bytes, ...]]]] = {
    "R-1.pem": ("Both lists in PEM.", tuple(map(pem, lists()))),
    "R-1.list-twice": ("One list is given twice.", (*lists(), lists()[0])),
    "R-2.ordinary": ("A list of each issuer that is named, without entries.", lists()),
    "R-2.authority-key": (
        "The list identifies its issuer's key.",
        lists(root=with_authority_key),
    ),
    "R-3.just-issued": (
        "Issued in the second of the verification.",
        lists(root=parts(this_update=ISSUED)),
    ),
    "R-4.number-0": ("The CRLNumber is 0.", lists(root=parts(extensions=(crl_number(0),)))),
    "R-4.number-of-20-octets": (
        "The CRLNumber has 20 octets.",
        lists(root=parts(extensions=(crl_number(2**159 - 1),))),
    ),
    "R-5.in-scope": ("For the address that the certificate names.", lists(root=point())),
    "R-5.not-critical": (
        "An unknown extension that is not critical.",
        lists(root=extended(Extension(UNKNOWN_OID, False, tlv(0x05, b"")))),
    ),
    "R-5.entry-date": (
        "An entry, for another certificate, with the date from which it is invalid.",
        lists(root=entries(ENTRY_DATE, other=1)),
    ),
    "R-6.list-of-zonal": (
        "A further list, of a CA whose certificates name none.",
        lists(zonal=ordinary),
    ),
    "R-6.expired-beside-current": (
        "An expired list beside a current one of the same issuer.",
        (*lists(), NITRO.edited_list("root", fault("R-3.expired"))),
    ),
    "R-7.other-serial": (
        "Another certificate is revoked.",
        lists(root=entries(other=1), regional=entries(other=1)),
    ),
    "R-8.issued-later": (
        "Issued after the time of the verification, which is not the present.",
        lists(root=LATE, regional=LATE),
    ),
}
"""Lists with which the document must be accepted at its usual time: title and lists by id."""

REJECTED: Final[Mapping[str, tuple[str, tuple[bytes, ...], str]]] = {
    "R-1.not-a-list": ("One of the lists is something else.", (*lists(), b"list"), "input.crl"),
    "R-6.no-root-list": (
        "No list of the root.",
        (NITRO.edited_list("regional", ordinary),),
        "cert.revocation_unknown",
    ),
    "R-6.no-regional-list": (
        "No list of the regional CA.",
        (NITRO.edited_list("root", ordinary),),
        "cert.revocation_unknown",
    ),
    "R-6.other-lists": (
        "Lists of issuers that no certificate names.",
        tuple(NITRO.edited_list(issuer, ordinary) for issuer in ("zonal", "instance")),
        "cert.revocation_unknown",
    ),
    "R-7.not-named": (
        "A certificate that names no list is revoked by its issuer.",
        lists(zonal=entries()),
        "cert.revoked",
    ),
    "R-7.expired-beside-revoking": (
        "An expired list without entries, beside a current one that revokes.",
        (
            NITRO.edited_list("root", both(fault("R-3.expired"), parts(revoked=()))),
            *lists(root=entries()),
        ),
        "cert.revoked",
    ),
    "R-7.one-of-two": (
        "Of two current lists of one issuer, one revokes.",
        (*lists(), NITRO.edited_list("root", both(entries(), parts(extensions=(crl_number(2),))))),
        "cert.revoked",
    ),
    "R-8.compromised-later": (
        "Revoked after the time of the verification: keyCompromise.",
        lists(root=both(LATE, revoked(timedelta(minutes=2), REASONS.key_compromise))),
        "cert.revoked",
    ),
    "R-8.no-reason-later": (
        "Revoked after the time of the verification, without a reason.",
        lists(root=both(LATE, revoked(timedelta(minutes=2), None))),
        "cert.revoked",
    ),
    "R-8.superseded-before": (
        "Revoked before the time of the verification, in a list that was issued later.",
        lists(root=both(LATE, revoked(-SECOND, REASONS.superseded))),
        "cert.revoked",
    ),
}
"""Lists with which it must be rejected: title, lists and code by id."""


def cases() -> Iterator[Case]:
    """Every case."""
    yield from faults()
    for name, (title, given) in ACCEPTED.items():
        yield _case(name, title, given)
    for name, (title, given, code) in REJECTED.items():
        yield _case(name, title, given, code=code)
    yield from at_the_end()
    yield from of_an_age()
    yield from superseded()


def faults() -> Iterator[Case]:
    """Every fault in the root's list, and one for each rule and code in that of the regional CA."""
    seen = set()
    for name, one in LIST_FAULTS.items():
        if name in NOT_AT_A_GIVEN_TIME:
            continue
        yield _case(name, one.description, lists(root=one.edit), code=one.code)
        if (_rule(name), one.code) not in seen:
            seen.add((_rule(name), one.code))
            given = lists(regional=one.edit)
            yield _case(name, one.description, given, code=one.code).but("regional")


def at_the_end() -> Iterator[Case]:
    """Both sides of nextUpdate, which is inclusive (R-3)."""
    given = lists(root=parts(next_update=ISSUED + SECOND))
    end = ISSUED + SECOND
    yield _case("R-3.last-instant", "Verified at nextUpdate.", given, time=end)
    yield _case(
        "R-3.one-ms-late",
        "Verified one millisecond after nextUpdate.",
        given,
        code="crl.stale",
        time=end + MILLISECOND,
    )


def of_an_age() -> Iterator[Case]:
    """Both sides of the maximum age (R-3)."""
    age = WHEN - ISSUED
    yield _case("R-3.age-limit", "As old as allowed.", lists(), max_age=age)
    yield _case(
        "R-3.one-ms-too-old",
        "One millisecond older than allowed.",
        lists(),
        code="crl.stale",
        max_age=age - MILLISECOND,
    )


def superseded() -> Iterator[Case]:
    """Revoked later for a reason that says nothing about earlier signatures (R-8)."""
    given = lists(root=both(LATE, revoked(timedelta(minutes=2), REASONS.superseded)))
    title = "Revoked after the time of the verification: superseded."
    case = _case("R-8.superseded-later", title, given)
    yield replace(case, warnings=(*case.warnings, "cert.revoked_later"))


def _case(
    name: str,
    title: str,
    given: tuple[bytes, ...],
    *,
    max_age: timedelta | None = None,
    **members: Any,
) -> Case:
    return Case(
        id=name,
        group="revocation",
        rules=(_rule(name),),
        title=title,
        document=DOCUMENT,
        file=f"{FILES}/{NAME}.bin",
        revocation=Revocation(given, max_age),
        **{"time": WHEN} | members,
    )


def _rule(name: str) -> str:
    return name.partition(".")[0]
