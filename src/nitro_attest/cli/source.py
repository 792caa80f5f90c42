"""Reads documents from files and stdin: raw, hex, base64 or PEM-like text (C-3)."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final, Literal

from nitro_attest._internal.files import unreadable
from nitro_attest.errors import FormatError, InputError
from nitro_attest.limits import MAX_DOCUMENT_BYTES

Encoding = Literal["auto", "raw", "hex", "base64"]

_RAW_FIRST_BYTES: Final = (0x84, 0xD2)
"""C-4, C-5: an array of four, or tag 18 before it. No text begins with either."""

_LARGEST_TEXT: Final = 4 * MAX_DOCUMENT_BYTES
"""Hex takes two characters per byte; the rest allows for line breaks."""

_ARMOUR: Final = re.compile(rb"-----(?:BEGIN|END) [^-\r\n]*-----")


def read_document(name: str, encoding: Encoding) -> bytes:
    """Reads a document from a file, or from stdin for ``-``, and decodes its text form.

    Raises:
        InputError: ``input.file``: the file cannot be read.
        FormatError: ``document.too_large`` or ``document.encoding``.
    """
    data = read_start(name, _LARGEST_TEXT)
    if len(data) > _LARGEST_TEXT:
        raise FormatError(
            "document.too_large",
            f"the input is larger than {_LARGEST_TEXT} bytes; expected a document of at most "
            f"{MAX_DOCUMENT_BYTES} bytes",
        )
    return decode(data, encoding)


def read_file(name: str, largest: int = _LARGEST_TEXT) -> bytes:
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


def decode(data: bytes, encoding: Encoding) -> bytes:
    """Decodes a document from its text form.

    Args:
        data: The bytes as read.
        encoding: The form; ``auto`` recognises it.

    Raises:
        FormatError: ``document.encoding``: the text does not have this form.
    """
    if encoding == "raw" or (encoding == "auto" and data[:1] and data[0] in _RAW_FIRST_BYTES):
        return data
    text = b"".join(_ARMOUR.sub(b"", data).split())
    is_hex = len(text) % 2 == 0 and re.fullmatch(rb"(?:0[xX])?[0-9A-Fa-f]+", text)
    if encoding == "hex" or (encoding == "auto" and is_hex):
        if not is_hex:
            raise FormatError("document.encoding", "expected an even number of hex digits")
        return bytes.fromhex(text.decode("ascii").removeprefix("0x").removeprefix("0X"))
    standard = text.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    if text and re.fullmatch(rb"[A-Za-z0-9+/]+", standard):
        try:
            return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
        except binascii.Error as error:
            raise FormatError("document.encoding", f"invalid base64: {error}") from error
    if encoding == "base64":
        raise FormatError("document.encoding", "expected base64 or base64url text")
    return data
