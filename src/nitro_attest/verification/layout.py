"""Layouts of the C core's structs, read from its header when the module is loaded. Private.

A layout reads all numbers of a struct in one go, because cffi charges 0.25 us for each attribute
read, and a payload has 160 numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from nitro_attest.verification._native import ffi

_CODES: Final = {"uint32_t": "I", "uint64_t": "Q"}


def layout(name: str, *members: str) -> struct.Struct:
    """Returns the layout of some numbers of a C struct; they are read in the order of the header.

    Args:
        name: The struct.
        members: The members to read, with all numbers in them. ``pcrs.offset`` is the member
            ``offset`` of each element of ``pcrs``.

    Returns:
        A struct as large as the C struct.
    """
    ctype = ffi.typeof(name)
    packed, end = "=", 0
    for path, offset, code in _numbers(ctype, "", 0):
        if any(f"{path}.".startswith(f"{member}.") for member in members):
            packed += "x" * (offset - end) + code
            end = offset + struct.calcsize(f"={code}")
    return struct.Struct(packed + "x" * (ffi.sizeof(ctype) - end))


def _numbers(ctype: Any, path: str, offset: int) -> Iterator[tuple[str, int, str]]:
    """Yields the path, the offset and the format of each number in a C type."""
    if ctype.kind == "struct":
        for name, member in ctype.fields:
            inner = f"{path}.{name}".lstrip(".")
            yield from _numbers(member.type, inner, offset + member.offset)
    elif ctype.kind == "array":
        size = ffi.sizeof(ctype.item)
        for i in range(ctype.length):
            yield from _numbers(ctype.item, path, offset + i * size)
    else:
        yield path, offset, _CODES[ctype.cname]
