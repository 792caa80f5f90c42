"""Milliseconds since 1970, the unit of every time in a document; times as text; durations."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from nitro_attest.errors import InputError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
"""RFC 3339, with at most 6 digits of a second. datetime.fromisoformat() reads more forms, and not
the same ones in every release of Python."""


def from_milliseconds(milliseconds: int) -> datetime:
    """Returns the UTC time so many milliseconds after 1970-01-01."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_milliseconds(moment: datetime) -> int:
    """Returns the milliseconds from 1970-01-01 UTC to an aware time, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def check_max_age(max_age: timedelta | None) -> None:
    """Rejects a maximum age that is not a positive duration: no document could meet it.

    Raises:
        InputError: ``input.time``.
    """
    if max_age is not None and (not isinstance(max_age, timedelta) or max_age <= timedelta(0)):
        raise InputError(
            "input.time", f"expected max_age to be a positive timedelta, found {max_age!r}"
        )


def parse_time(text: str, expected: str = "a time such as 2026-01-31T12:00:00Z") -> datetime:
    """Parses a time with its zone.

    Args:
        text: The time, in the form of RFC 3339.
        expected: The expected form, for the message.

    Raises:
        InputError: ``input.time``.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise InputError("input.time", f"expected {expected}, found {text!r}")
    date, time, fraction, zone = match.groups()
    if missing := " and ".join(
        name for name, part in (("time of day", time), ("zone", zone)) if part is None
    ):
        raise InputError("input.time", f"expected {expected}, found {text!r} without a {missing}")
    digits = (fraction or "").ljust(6, "0")
    offset = "+00:00" if zone in "zZ" else zone
    try:
        return datetime.fromisoformat(f"{date}T{time}.{digits}{offset}")
    except ValueError as error:
        raise InputError("input.time", f"expected {expected}, found {text!r}: {error}") from None
