"""Both ends of every certificate's validity, to the millisecond (X-10, X-11, X-20)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Final

from nitro_attest.testing.draft import Kind
from nitro_attest.testing.faults.chain import BELOW_ROOT, ROLES, certificate
from vectors.case import MILLISECOND, Case, Policy
from vectors.fakes import GOVCLOUD, NITRO, WHEN

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
NONE: Final = timedelta(0)
START: Final = WHEN.replace(microsecond=0)
END: Final = START + 10 * MINUTE

# The dates of the two fake roots, which are those of the roots of AWS.
ROOT_START: Final = datetime(2019, 10, 28, 13, 28, 5, tzinfo=timezone.utc)
ROOT_END: Final = datetime(2049, 10, 28, 14, 28, 5, tzinfo=timezone.utc)
GOVCLOUD_START: Final = datetime(2020, 9, 10, 12, 3, 46, tzinfo=timezone.utc)
GOVCLOUD_END: Final = datetime(2050, 9, 10, 13, 3, 46, tzinfo=timezone.utc)

# How far from the end it is judged, the skew, and whether that is still in time.
AFTER: Final = (
    ("last-instant", "in the last instant of", NONE, NONE, True),
    ("one-ms-late", "one millisecond after the end of", MILLISECOND, NONE, False),
    ("one-s-late", "one second after the end of", SECOND, NONE, False),
    (
        "late-by-a-slow-clock",
        "too late, and no slow clock excuses it, for",
        MILLISECOND,
        MINUTE,
        False,
    ),
    (
        "late-within-the-skew",
        "30 seconds after the end, and no slow clock excuses it, of",
        30 * SECOND,
        MINUTE,
        False,
    ),
)
BEFORE: Final = (
    ("first-instant", "in the first instant of", NONE, NONE, True),
    ("one-ms-early", "one millisecond before the start of", -MILLISECOND, NONE, False),
    ("one-s-early", "one second before the start of", -SECOND, NONE, False),
    ("first-instant-of-the-skew", "as early as a slow clock excuses for", -MINUTE, MINUTE, True),
    (
        "before-the-skew",
        "earlier than a slow clock excuses for",
        -MINUTE - MILLISECOND,
        MINUTE,
        False,
    ),
)


def cases() -> Iterator[Case]:
    """All of them, for both kinds of document."""
    for position in BELOW_ROOT:
        yield from _certificate(position, "enclave")
        yield from _certificate(position, "nitrotpm")
    for nitro, rule, root, start, end in (
        (NITRO, "X-10", "fake", ROOT_START, ROOT_END),
        (GOVCLOUD, "X-11", "fake-govcloud", GOVCLOUD_START, GOVCLOUD_END),
    ):
        name = "root" if root == "fake" else "govcloud-root"
        yield from _ends(rule, name, nitro.document(at=end), end, AFTER, root=root)
        yield from _ends(rule, name, nitro.document(at=start), start, BEFORE, root=root)


def _certificate(position: int, kind: Kind) -> Iterator[Case]:
    role = ROLES[position]
    ending = NITRO.edited(certificate(position, not_after=END), at=START, kind=kind)
    starting = NITRO.edited(certificate(position, not_before=START), at=START, kind=kind)
    yield from _ends("X-10", role, ending, END, AFTER, kind=kind)
    yield from _ends("X-10", role, starting, START, BEFORE, kind=kind)


def _ends(
    rule: str,
    role: str,
    document: bytes,
    edge: datetime,
    table: tuple[tuple[str, str, timedelta, timedelta, bool], ...],
    *,
    root: str = "fake",
    kind: Kind = "enclave",
) -> Iterator[Case]:
    code = "cert.expired" if table is AFTER else "cert.not_yet_valid"
    for name, where, shift, skew, in_time in table:
        case = Case(
            id=f"{rule}.{role}-{name}",
            group="chain" if kind == "enclave" else "instance",
            rules=("X-10", "X-11") if rule == "X-10" else ("X-11", "X-10"),
            title=f"Judged {where} the {role} certificate.",
            document=document,
            root=root,
            time=edge + shift,
            policy=Policy(kind=kind, clock_skew=skew),
            code=None if in_time else code,
            needs_skew=table is BEFORE or skew > NONE,
        )
        yield case if kind == "enclave" else case.but("nitrotpm")
