"""Milliseconds since 1970, the unit of every time in a document, and the checks of durations."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

from nitro_attest.errors import InputError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)


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
