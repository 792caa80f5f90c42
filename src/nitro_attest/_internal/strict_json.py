"""JSON for files that decide what is trusted: one meaning or an error, bounded in depth.

The standard decoder keeps the last of two equal keys, knows NaN, and recurses as deep as its input
says; each of these lets a file mean something else than its reader sees.
"""

from __future__ import annotations

import re
import reprlib
from typing import Any, Final, NoReturn

from nitro_attest.errors import InputError

MAX_DEPTH: Final = 32
"""How deep objects and arrays may lie in each other; describe-eif output reaches 8."""

_MAX_NUMBER_DIGITS: Final = 32
_TOKENS: Final = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


def read_json(text: str, start: int = 0) -> tuple[Any, int]:
    """Reads one JSON value.

    Args:
        text: The text that holds it.
        start: Where the value begins, in characters.

    Returns:
        The value, and where it ends.

    Raises:
        InputError: ``policyfile.format``, with the line, for text that is not JSON (RFC 8259) or
            deeper than MAX_DEPTH; ``policyfile.duplicate`` for keys of one object that are equal
            but for their case (L-3).
    """
    import json  # 5 ms that a verification need not pay

    _check_depth(text, start)
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant
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
    """The number of the line, from 1, that a character is in."""
    return text.count("\n", 0, position) + 1


def _check_depth(text: str, start: int) -> None:
    """Ends where the value ends, so that what follows it in the text does not count."""
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen = set()
    for key, _ in pairs:
        folded = key.casefold()
        if folded in seen:
            raise InputError(
                "policyfile.duplicate",
                f"one object has the key {reprlib.repr(key)} twice (case is ignored); keep one",
            )
        seen.add(folded)
    return dict(pairs)


def _integer(digits: str) -> int:
    if len(digits) > _MAX_NUMBER_DIGITS:
        raise InputError("policyfile.format", f"a number has {len(digits)} digits")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise InputError("policyfile.format", f"{name} is not JSON")
