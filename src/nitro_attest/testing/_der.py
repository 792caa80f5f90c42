"""Enough DER (X.690) to write any certificate, also one that no honest library would make."""

from __future__ import annotations

from datetime import datetime, timezone


def tlv(tag: int, content: bytes) -> bytes:
    """One element: an identifier octet, the length in its shortest form, the content."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def sequence(*elements: bytes) -> bytes:
    """A SEQUENCE of elements that are already encoded."""
    return tlv(0x30, b"".join(elements))


def explicit(number: int, element: bytes) -> bytes:
    """An element under the explicit context tag [number]."""
    return tlv(0xA0 | number, element)


def integer(value: int) -> bytes:
    """An INTEGER in two's complement, as short as X.690 section 8.3.2 demands."""
    magnitude = value if value >= 0 else ~value
    return tlv(0x02, value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


def bit_string(content: bytes) -> bytes:
    """A BIT STRING of whole octets."""
    return tlv(0x03, b"\x00" + content)


def octet_string(content: bytes) -> bytes:
    """An OCTET STRING."""
    return tlv(0x04, content)


def object_identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | (arc & 0x7F))
        content += bytes(reversed(septets))
    return tlv(0x06, content)


def time(moment: datetime, *, generalized: bool | None = None) -> bytes:
    """A Time of whole seconds.

    Args:
        moment: An aware datetime.
        generalized: Which of the two forms to write. None chooses as RFC 5280 section 4.1.2.5 does:
            UTCTime until 2049, GeneralizedTime from 2050 on.
    """
    utc = moment.astimezone(timezone.utc)
    if generalized is None:
        generalized = utc.year >= 2050
    if generalized:
        return tlv(0x18, f"{utc:%Y%m%d%H%M%S}Z".encode())
    return tlv(0x17, f"{utc:%y%m%d%H%M%S}Z".encode())
