"""Reads files and stdin: documents in every form that is recognised (C-3), and other files."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

from nitro_attest._internal.files import unreadable
from nitro_attest.cli.output import Source, emit, escape
from nitro_attest.document_text import MAX_TEXT_BYTES, decode
from nitro_attest.document_text import Encoding as Encoding
from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_DOCUMENT_BYTES

_LARGEST_FILE: Final = 4 * MAX_DOCUMENT_BYTES
"""Maximum size of a small file that is not a document."""


def read_document(name: str, encoding: Encoding | None, json_field: str | None = None) -> bytes:
    """Reads a document; arguments and errors are those of ``read_named_document``."""
    return read_named_document(name, encoding, json_field)[1]


def read_named_document(
    name: str, encoding: Encoding | None, json_field: str | None = None
) -> tuple[Source, bytes]:
    """Reads a document from a file, or from stdin for ``-``, and decodes it.

    A form other than raw bytes, hex and base64 is named on stderr.

    Args:
        name: The file.
        encoding: The form of the document; None recognises it.
        json_field: As for ``nitro_attest.decode_document``.

    Returns:
        The name with the form that was recognised, and the document.

    Raises:
        InputError: ``input.file``: the file cannot be read.
        FormatError: ``document.empty``, ``document.too_large`` or ``document.encoding``.
    """
    decoded = decode(read_start(name, MAX_TEXT_BYTES), encoding or "auto", json_field)
    if decoded.read_as is not None:
        emit([f"note: {escape(name)}: read as {escape(decoded.read_as)}"], to_stderr=True)
    return Source(name, decoded.read_as), decoded.document


def read_file(name: str, largest: int = _LARGEST_FILE) -> bytes:
    """Reads a small file, or stdin for ``-``.

    Raises:
        InputError: ``input.file``: the file cannot be read, or has more than ``largest`` bytes.
    """
    data = read_start(name, largest)
    if len(data) > largest:
        raise InputError("input.file", f"expected at most {largest} bytes, found more in {name!r}")
    return data


def open_input(name: str) -> AbstractContextManager[BinaryIO]:
    """Opens a file for reading, or stdin for ``-``, which is not closed afterwards.

    Raises:
        InputError: ``input.file``: the file cannot be opened, or stdin is closed.
    """
    if name == "-":
        if sys.stdin is None:
            raise InputError("input.file", "standard input is closed")
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error


def read_start(name: str, largest: int) -> bytes:
    """Reads a file, or stdin for ``-``: at most ``largest`` bytes and one more.

    Raises:
        InputError: ``input.file``: the file cannot be read.
    """
    with open_input(name) as file:
        try:
            return file.read(largest + 1)
        except OSError as error:
            raise unreadable(name, error) from error
