"""Option values: text, hex, PCR pins, durations, times. An empty one is refused, never ignored."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final, Literal

import click

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_WORDS: Final[dict[str, Literal["now", "document"]]] = {"now": "now", "document": "document"}


def text(value: str) -> str:
    """Text of at least one character."""
    if not value:
        raise click.BadParameter("the value is empty")
    return value


def hex_bytes(value: str) -> bytes:
    """Bytes as a positive, even number of hex digits."""
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", value):
        raise click.BadParameter(f"{value!r} is not a positive, even number of hex digits")
    return bytes.fromhex(value)


def pcr_pin(value: str) -> tuple[int, str]:
    """A PCR index and its expected value, ``0=<96 hex digits>``; the digits are judged later.

    ``PCR0=`` is accepted too, as ``nitro-attest pcr`` prints it.
    """
    match = re.fullmatch(r"(?:PCR)?(0|[1-9][0-9]?)=(.+)", value)
    if not match:
        raise click.BadParameter(f"{value!r} is not of the form 0=<96 hex digits>")
    return int(match[1]), match[2]


def duration(value: str) -> timedelta:
    """A positive duration such as ``90s``, ``10m``, ``1h30m`` or ``2d``."""
    parts = re.findall(r"([0-9]{1,9})([smhd])", value)
    try:
        total = sum((timedelta(**{_UNITS[u]: int(n)}) for n, u in parts), timedelta())
    except OverflowError:
        raise click.BadParameter(f"{value!r} is longer than any calendar") from None
    if not total or "".join(n + u for n, u in parts) != value:
        raise click.BadParameter(f"{value!r} is not a duration such as 90s, 10m, 1h30m or 2d")
    return total


def moment(value: str) -> datetime | Literal["now", "document"]:
    """``now``, ``document``, or a time with its zone such as ``2026-01-31T12:00:00Z``."""
    if value in _WORDS:
        return _WORDS[value]
    try:
        parsed = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not now, document or an RFC 3339 time") from None
    if parsed.utcoffset() is None:
        raise click.BadParameter(f"{value!r} has no time zone; append Z for UTC")
    return parsed
