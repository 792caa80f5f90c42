"""Internal: phrases that error messages share."""

from __future__ import annotations

from typing import Final

_SHOWN_BYTES: Final = 32


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun: "1 byte", "2 bytes".

    Args:
        count: The number of things.
        noun: The noun in the singular; its plural ends in s.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size_or_type(value: object) -> str:
    """Describes a value where bytes were expected: "15 bytes", or "str"."""
    return plural(len(value), "byte") if isinstance(value, bytes) else type(value).__name__


def shown(value: bytes) -> str:
    """Returns bytes as hex; of more than 32 bytes, the first ones and the size."""
    if len(value) <= _SHOWN_BYTES:
        return value.hex() or "empty bytes"
    return f"{value[:_SHOWN_BYTES].hex()}... ({len(value)} bytes)"
