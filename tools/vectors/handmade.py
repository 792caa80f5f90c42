"""Certificates that no library writes: DER changed element by element, before or after signing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import CertificateForm
from nitro_attest.testing.draft import Draft, Edit
from nitro_attest.testing.faults.chain import path

CONSTRUCTED = 0x20


@dataclass
class Element:
    """One DER element (X.690 section 8.1), to be changed in place.

    Attributes:
        tag: The identifier octet.
        content: The elements inside of a constructed element, the octets of any other.
        length: The length octets to write; None: the shortest form.
    """

    tag: int
    content: list[Element] | bytes
    length: bytes | None = None

    def at(self, *positions: int) -> Element:
        """Returns the element at these positions, from the outermost inwards."""
        element = self
        for position in positions:
            element = element.children[position]
        return element

    @property
    def children(self) -> list[Element]:
        """The elements inside.

        Raises:
            TypeError: This element has octets.
        """
        if isinstance(self.content, bytes):
            raise TypeError(f"element {self.tag:#04x} is primitive")
        return self.content

    @property
    def encoded(self) -> bytes:
        """The element in DER, but for its ``length``."""
        content = self.content
        if isinstance(content, list):
            content = b"".join(child.encoded for child in content)
        if self.length is None:
            return der.tlv(self.tag, content)
        return bytes([self.tag]) + self.length + content


def parse(encoded: bytes) -> Element:
    """Reads one element of correct DER, and all elements inside."""
    (element,) = _elements(encoded)
    return element


def _elements(data: bytes) -> list[Element]:
    found = []
    while data:
        tag, length, start = data[0], data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        content = data[start : start + length]
        found.append(Element(tag, _elements(content) if tag & CONSTRUCTED else content))
        data = data[start + length :]
    return found


Change = Callable[[Element], None]


def _unchanged(element: Element) -> None:
    pass


@dataclass(frozen=True, kw_only=True, eq=False)
class HandMade(CertificateForm):
    """A certificate with changes that no member of its form describes.

    Attributes:
        before: Changes the TBSCertificate before its issuer signs it.
        after: Changes the signed certificate.
    """

    before: Change
    after: Change

    @cached_property
    def der(self) -> bytes:
        """The certificate, in DER as far as the changes leave it."""
        encoded = super().der
        return encoded if self.after is _unchanged else _changed(encoded, self.after)

    def _to_be_signed(self) -> bytes:
        return _changed(super()._to_be_signed(), self.before)


def _changed(encoded: bytes, change: Change) -> bytes:
    element = parse(encoded)
    change(element)
    return element.encoded


def before_signing(position: int, change: Change) -> Edit:
    """Changes the TBSCertificate of one certificate before it is signed."""
    return _handmade(position, before=change, after=_unchanged)


def after_signing(position: int, change: Change) -> Edit:
    """Changes one certificate after it was signed."""
    return _handmade(position, before=_unchanged, after=change)


def _handmade(position: int, **changes: Change) -> Edit:
    def apply(draft: Draft) -> None:
        form = draft.path[position]
        parts = {part.name: getattr(form, part.name) for part in fields(form)}
        draft.path[position] = HandMade(**parts, **changes)

    return path(apply)
