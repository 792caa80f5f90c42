"""A check of CBOR items before cbor2 decodes them, for its releases without such an option."""

from __future__ import annotations

from typing import Final

_STRINGS: Final = (2, 3)  # major types
_CHILDREN: Final = {4: 1, 5: 2}  # items for each that the head of an array or a map counts
_TAG: Final = 6
_LONG_HEADS: Final = {24: 1, 25: 2, 26: 4, 27: 8}  # bytes of the argument
_INDEFINITE: Final = 31


def has_tag_or_indefinite(data: bytes) -> bool:
    """Searches the first item in data for tags and indefinite lengths (RFC 8949 section 3).

    The heads of nested items follow one another, so the search needs no recursion. For any input,
    it ends with that item, with the first such head, or behind the last byte.
    """
    position, items = 0, 1
    while items and position < len(data):
        major, argument = data[position] >> 5, data[position] & 31
        if major == _TAG or argument == _INDEFINITE:
            return True
        content = position + 1 + _LONG_HEADS.get(argument, 0)
        if argument in _LONG_HEADS:
            argument = int.from_bytes(data[position + 1 : content], "big")
        position = content + (argument if major in _STRINGS else 0)
        items += argument * _CHILDREN.get(major, 0) - 1
    return False
