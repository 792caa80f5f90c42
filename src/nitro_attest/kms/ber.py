"""A reader for the BER (X.690) that KMS answers in: a tree of elements, every octet accounted for.

Of BER's freedoms it allows what KMS uses: lengths of the definite and the indefinite form
(K-6). Tags have one octet, and lengths are as short as they can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nitro_attest.errors import KmsError

MAX_DEPTH: Final = 16
"""Levels of constructed elements; a CiphertextForRecipient has 10."""

_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F
_INDEFINITE: Final = 0x80
_END: Final = b"\x00\x00"


@dataclass(frozen=True)
class Element:
    """One element.

    Attributes:
        tag: The identifier octet.
        offset: Where it stands.
        content: The content octets of a primitive element; empty for a constructed one.
        children: What is in a constructed element; empty for a primitive one.
    """

    tag: int
    offset: int
    content: bytes
    children: tuple[Element, ...]


def read_ber(data: bytes) -> Element:
    """Reads the one element that ``data`` consists of.

    Args:
        data: The octets; the caller has bounded their number.

    Raises:
        KmsError: ``kms.format``: they are not one element of the accepted form.
    """
    reader = _Reader(data)
    element = reader.element(len(data), 0)
    if reader.position != len(data):
        raise malformed(f"{len(data) - reader.position} bytes follow its end", reader.position)
    return element


def malformed(found: str, offset: int) -> KmsError:
    """The error for octets that are not a CiphertextForRecipient of the accepted form."""
    return KmsError("kms.format", f"not a CiphertextForRecipient: {found}", offset)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def element(self, end: int, depth: int) -> Element:
        offset = self.position
        tag = self._take(1, end)[0]
        if tag & _LONG_TAG == _LONG_TAG or tag == 0:
            raise malformed(f"tag {tag:02x} has no place in it", offset)
        length = self._length(end)
        if tag & _CONSTRUCTED:
            if depth == MAX_DEPTH:
                raise malformed(f"nested more than {MAX_DEPTH} deep", offset)
            return Element(tag, offset, b"", tuple(self._children(length, end, depth + 1)))
        if length is None:
            raise malformed("a primitive element of indefinite length", offset)
        return Element(tag, offset, self._take(length, end), ())

    def _children(self, length: int | None, end: int, depth: int) -> list[Element]:
        children = []
        if length is None:
            while self._data[self.position : min(self.position + 2, end)] != _END:
                children.append(self.element(end, depth))
            self.position += len(_END)
            return children
        stop = self.position + length
        while self.position < stop:
            children.append(self.element(stop, depth))
        return children

    def _length(self, end: int) -> int | None:
        """The length, checked to fit; None for the indefinite form (X.690 section 8.1.3)."""
        offset = self.position
        first = self._take(1, end)[0]
        if first == _INDEFINITE:
            return None
        length = first
        if first > _INDEFINITE:
            octets = self._take(first - _INDEFINITE, end)
            length = int.from_bytes(octets, "big")
            if length < 0x80 or octets[0] == 0:
                raise malformed("a length that is not in its shortest form", offset)
        if length > end - self.position:
            raise malformed(
                f"a length of {length} where {end - self.position} bytes are left", offset
            )
        return length

    def _take(self, count: int, end: int) -> bytes:
        if count > end - self.position:
            raise malformed("it ends inside of an element", self.position)
        start, self.position = self.position, self.position + count
        return self._data[start : self.position]
