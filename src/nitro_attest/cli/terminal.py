"""The terminal behind a stream: its width, its characters and its colours."""

from __future__ import annotations

import locale
import os
import sys
import unicodedata
from typing import Final, TextIO

import click

_USUAL_WIDTH: Final = 80

_RIGHT_TO_LEFT: Final = ("R", "AL", "AN")
"""Bidirectional classes of letters and digits that reorder the text beside them (UAX #9)."""

_TWO_COLUMNS: Final = ("W", "F", "A")
"""Widths of characters (UAX #11); of the third kind in some terminals only."""


def width(stream: TextIO | None) -> int | None:
    """Returns the number of columns; None if the stream is not a terminal."""
    if stream is None or not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    except OSError:
        return _USUAL_WIDTH


def shows_unicode() -> bool:
    """Returns True if the locale and the standard streams are UTF-8.

    In the locale C only the streams may be. stdout and stderr have the same encoding.
    """
    names = (getattr(sys.stdout, "encoding", None) or "", locale.nl_langinfo(locale.CODESET))
    return all(name.replace("-", "").lower() == "utf8" for name in names)


def is_safe(character: str) -> bool:
    """Returns True for a printable character that does not affect the characters beside it.

    Controls, also those for the direction of text, are not printable. A letter written from right
    to left reorders its neighbours, and a combining mark changes the character before it.
    """
    return character.isprintable() and (
        character.isascii()
        or (
            unicodedata.bidirectional(character) not in _RIGHT_TO_LEFT
            and not unicodedata.category(character).startswith("M")
        )
    )


def is_wide(character: str) -> bool:
    """Returns True for a character that takes two columns in some terminals."""
    return unicodedata.east_asian_width(character) in _TWO_COLUMNS


def _set_color(context: click.Context, _: click.Parameter, value: str) -> None:
    """Makes click keep or remove the colours in all output of the verb."""
    if value == "auto":
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        context.color = False if plain else None  # None: only on a terminal
    else:
        context.color = value == "always"


color_option: Final = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    expose_value=False,
    callback=_set_color,
    help="Colours [auto: on a terminal, unless NO_COLOR is set].",
)
