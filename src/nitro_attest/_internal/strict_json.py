"""A strict JSON parser for untrusted text and for files that decide what is trusted.

The standard decoder keeps the last of two equal keys, accepts NaN, and recurses as deep as its
input does. Each of these lets a file mean something other than what its reader sees.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

from nitro_attest.errors import InputError

MAX_DEPTH: Final = 32
"""Maximum nesting of objects and arrays; describe-eif output reaches 8."""

_MAX_NUMBER_DIGITS: Final = 32
_TOKENS: Final = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


def read_json(text: str, start: int = 0, *, ignore_case: bool = True) -> tuple[Any, int]:
    """Parses one JSON value.

    Args:
        text: The text that contains the value.
        start: Offset of the first character of the value.
        ignore_case: Treat keys that differ only in case as duplicates (L-3).

    Returns:
        The value, and the offset of the character after it.

    Raises:
        InputError: ``policyfile.format``, with the line: not JSON (RFC 8259), nested deeper than
            MAX_DEPTH, or an integer of more than 32 digits. ``policyfile.duplicate``: two equal
            keys in one object (L-3).
    """
    import json  # takes 5 ms, and verification does not need it

    _check_depth(text, start)
    decoder = json.JSONDecoder(
        object_pairs_hook=_object if ignore_case else partial(_object, fold=str),
        parse_int=_integer,
        parse_constant=_constant,
    )
    try:
        value, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise InputError(
            "policyfile.format",
            f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}",
        ) from None
    return value, end


def line_of(text: str, position: int) -> int:
    """Returns the line number, from 1, of the character at an offset."""
    return text.count("\n", 0, position) + 1


def _check_depth(text: str, start: int) -> None:
    """Checks the nesting of one value, and ignores the text after its end."""
    depth = 0
    quoted = False
    for token in _TOKENS.finditer(text, start):
        mark = token[0]
        if mark == '"':
            quoted = not quoted
        elif quoted or mark.startswith("\\"):
            continue
        elif mark in "[{":
            depth += 1
        else:
            depth -= 1
        if depth > MAX_DEPTH:
            raise InputError(
                "policyfile.format",
                f"line {line_of(text, token.start())}: nested deeper than {MAX_DEPTH} levels",
            )
        if depth <= 0 and not quoted:
            return


def _object(
    pairs: list[tuple[str, Any]], fold: Callable[[str], str] = str.casefold
) -> dict[str, Any]:
    """Builds an object, and rejects keys that are equal after ``fold``."""
    seen: dict[str, str] = {}
    for key, _ in pairs:
        folded = fold(key)
        if folded in seen:
            raise InputError(
                "policyfile.duplicate",
                f"duplicate keys {reprlib.repr(seen[folded])} and {reprlib.repr(key)} in one "
                "object; keep one",
            )
        seen[folded] = key
    return dict(pairs)


def _integer(digits: str) -> int:
    if len(digits) > _MAX_NUMBER_DIGITS:
        raise InputError(
            "policyfile.format",
            f"expected integers of at most {_MAX_NUMBER_DIGITS} digits, found {len(digits)} digits",
        )
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise InputError("policyfile.format", f"{name} is not JSON")
