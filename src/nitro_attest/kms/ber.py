"""Internal: parses the BER (X.690) of KMS answers into a tree that accounts for every octet.

Of BER's options it accepts those that KMS uses: lengths of the definite and the indefinite form
(K-6). Tags have one octet, and definite lengths are in their shortest form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nitro_attest._internal.wording import plural
from nitro_attest.errors import KmsError

MAX_DEPTH: Final = 16
"""Maximum nesting of constructed elements; a CiphertextForRecipient has 10 levels."""

_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F
_INDEFINITE: Final = 0x80
_END: Final = b"\x00\x00"


@dataclass(frozen=True, slots=True)
class Element:
    """One BER element.

    Attributes:
        tag: The identifier octet.
        offset: Byte offset of the identifier octet.
        content: The content octets of a primitive element; empty for a constructed one.
        children: The elements in a constructed element; empty for a primitive one.
    """

    tag: int
    offset: int
    content: bytes
    children: tuple[Element, ...]


def parse_ber(data: bytes) -> Element:
    """Parses data that consists of exactly one element.

    Args:
        data: The octets; the caller limits their number.

    Returns:
        The element, with all elements inside it.

    Raises:
        KmsError: ``kms.format``: the data is not one element of the accepted form.
    """
    parser = _Parser(data)
    element = parser.element(len(data), 0)
    if parser.position != len(data):
        extra = plural(len(data) - parser.position, "byte")
        raise malformed(f"expected the end, found {extra} more", parser.position)
    return element


def malformed(problem: str, offset: int) -> KmsError:
    """Builds the error for octets that are not a CiphertextForRecipient of the accepted form.

    Args:
        problem: A clause that describes the problem.
        offset: Byte offset of the problem.

    Returns:
        A KmsError with the code ``kms.format``.
    """
    return KmsError("kms.format", f"malformed CiphertextForRecipient: {problem}", offset)


class _Parser:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def element(self, end: int, depth: int) -> Element:
        offset = self.position
        tag = self._take(1, end)[0]
        if tag & _LONG_TAG == _LONG_TAG or tag == 0:
            raise malformed(f"unexpected tag {tag:02x}", offset)
        length = self._length(end)
        if tag & _CONSTRUCTED:
            if depth == MAX_DEPTH:
                raise malformed(f"nested more than {MAX_DEPTH} levels deep", offset)
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
        """Returns the length, checked to fit; None for the indefinite form (X.690, 8.1.3)."""
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
        left = end - self.position
        if length > left:
            raise malformed(f"length too large: expected at most {left}, found {length}", offset)
        return length

    def _take(self, count: int, end: int) -> bytes:
        if count > end - self.position:
            raise malformed("truncated inside an element", self.position)
        start, self.position = self.position, self.position + count
        return self._data[start : self.position]
