"""Internal: phrases of messages, and text made safe to print."""

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


def printable(text: str) -> str:
    """Escapes characters that are invisible or change the direction of text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def size_or_type(value: object) -> str:
    """Describes a value where bytes were expected: "15 bytes", or "str"."""
    return plural(len(value), "byte") if isinstance(value, bytes) else type(value).__name__


def shown(value: bytes) -> str:
    """Returns bytes as hex; of more than 32 bytes, the first ones and the size."""
    if len(value) <= _SHOWN_BYTES:
        return value.hex() or "empty bytes"
    return f"{value[:_SHOWN_BYTES].hex()}... ({len(value)} bytes)"
