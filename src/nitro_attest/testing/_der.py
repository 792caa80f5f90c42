"""Internal: a DER writer (X.690) for any certificate, including ones that no library would make."""

from __future__ import annotations

from datetime import datetime, timezone


def tlv(tag: int, content: bytes) -> bytes:
    """Encodes one element: identifier octet, length in its shortest form, content."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def sequence(*elements: bytes) -> bytes:
    """Encodes a SEQUENCE of encoded elements."""
    return tlv(0x30, b"".join(elements))


def explicit(number: int, element: bytes) -> bytes:
    """Encodes an element under the explicit context tag [number]."""
    return tlv(0xA0 | number, element)


def integer(value: int) -> bytes:
    """Encodes an INTEGER in two's complement, in the shortest form (X.690 section 8.3.2)."""
    magnitude = value if value >= 0 else ~value
    return tlv(0x02, value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


def bit_string(content: bytes) -> bytes:
    """Encodes a BIT STRING of whole octets."""
    return tlv(0x03, b"\x00" + content)


def octet_string(content: bytes) -> bytes:
    """Encodes an OCTET STRING."""
    return tlv(0x04, content)


def object_identifier(dotted: str) -> bytes:
    """Encodes an OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | (arc & 0x7F))
        content += bytes(reversed(septets))
    return tlv(0x06, content)


def time(moment: datetime, *, generalized: bool | None = None) -> bytes:
    """Encodes a Time of whole seconds.

    Args:
        moment: An aware datetime.
        generalized: True: GeneralizedTime. False: UTCTime. None: UTCTime until 2049 and
            GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5).

    Returns:
        The element.
    """
    utc = moment.astimezone(timezone.utc)
    if generalized is None:
        generalized = utc.year >= 2050
    if generalized:
        return tlv(0x18, f"{utc:%Y%m%d%H%M%S}Z".encode())
    return tlv(0x17, f"{utc:%y%m%d%H%M%S}Z".encode())
