"""Texts, times and durations that all forms of a report share."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

NOT_A_PROOF: Final = (
    "This report records one verification. It proves nothing to anyone who did not make it: "
    "anyone can write such a page. To check a document, verify it again."
)
FORGED: Final = (
    "UNVERIFIED: the signature was not verified, so anyone may have written everything below."
)
UNWANTED: Final = (
    "REJECTED: the signature is valid, but the document does not meet the requirements. Do not "
    "trust what it contains."
)


def utc(moment: datetime) -> str:
    """Returns a time in UTC, with milliseconds if it has some."""
    precision = "milliseconds" if moment.microsecond else "seconds"
    text = moment.astimezone(timezone.utc).isoformat(" ", precision)
    return text.removesuffix("+00:00") + " UTC"


def duration(length: timedelta) -> str:
    """Returns the largest unit of a duration, and the next one: "3 h 5 min", "20 d"."""
    seconds = int(abs(length).total_seconds())
    for unit, size, smaller, part in (
        ("y", 31_557_600, "d", 86400),
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"
