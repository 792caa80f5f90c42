"""Internal: strict JSON of signed statements, in which every member is known (V-1)."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from typing import Any, Final

from nitro_attest._internal.strict_json import read_json
from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_PROVENANCE_BYTES

_CODES: Final = {
    "policyfile.duplicate": "provenance.duplicate",
    "policyfile.format": "provenance.format",
}
"""Codes of the JSON parser, and those of the same errors here."""

_WHITESPACE: Final = " \t\r\n"


def load_object(content: str | bytes, what: str) -> dict[str, Any]:
    """Parses one JSON object and nothing beside it (V-1).

    Args:
        content: The text, or its UTF-8 encoding, of at most MAX_PROVENANCE_BYTES.
        what: A noun phrase for the object, used in messages.

    Returns:
        The object.

    Raises:
        InputError: ``provenance.format``, ``provenance.duplicate``, or ``input.expected``: the
            content is neither text nor bytes.
    """
    if not isinstance(content, (str, bytes)):
        raise InputError(
            "input.expected",
            f"{what}: expected text or bytes, found {type(content).__name__}; read the file first",
        )
    if len(content) > MAX_PROVENANCE_BYTES:
        raise InputError(
            "provenance.format",
            f"{what}: expected at most {MAX_PROVENANCE_BYTES} bytes, found {len(content)}",
        )
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(
            "provenance.format", f"{what}: expected UTF-8, found other bytes"
        ) from None
    text = text.strip(_WHITESPACE)
    try:
        value, end = read_json(text)
    except InputError as error:
        raise InputError(_CODES[error.code], f"{what}: {error.message}") from None
    if end != len(text):
        raise InputError(
            "provenance.format",
            f"{what}: expected one JSON object, found text after it; several bundles or statements "
            "in one file are read one by one",
        )
    return checked_object(value, what)


def checked_object(value: object, what: str) -> dict[str, Any]:
    """Returns a value that is a JSON object.

    Raises:
        InputError: ``provenance.format``.
    """
    if not isinstance(value, dict):
        raise InputError(
            "provenance.format", f"{what}: expected an object, found {reprlib.repr(value)}"
        )
    return value


def check_members(
    found: Mapping[str, Any], what: str, required: Collection[str], optional: Collection[str] = ()
) -> None:
    """Rejects an object that lacks a required member or has an unknown one (V-1).

    Raises:
        InputError: ``provenance.format`` or ``provenance.unknown_key``.
    """
    for name in required:
        if name not in found:
            raise InputError(
                "provenance.format", f"{what}: expected the member {name!r}, found none"
            )
    for name in found:
        if name not in required and name not in optional:
            raise InputError(
                "provenance.unknown_key",
                f"{what} has the unknown member {reprlib.repr(name)}; expected one of: "
                + ", ".join([*required, *optional]),
            )


def checked_text(found: Mapping[str, Any], name: str, what: str) -> str:
    """Returns a member that is text of at least one character.

    Raises:
        InputError: ``provenance.format``.
    """
    value = found[name]
    if not isinstance(value, str) or not value:
        raise InputError(
            "provenance.format",
            f"{name} of {what}: expected text, found {reprlib.repr(value)}",
        )
    return value
