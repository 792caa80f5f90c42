"""Where everything lies in a 64-bit PE image, and its Authenticode digest (T-7).

UEFI firmware measures an image that it starts by its Authenticode digest. Firmware, signing tools
and operating systems forgive different malformed images; here every number has to fit all others,
so that no two of them can see different images. An image may lie inside a larger file.

Sources: Microsoft, "PE Format" (PE), and "Windows Authenticode Portable Executable Signature
Format" (AUTH), whose section "Calculating the PE Image Hash" UEFI firmware follows.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from nitro_attest.errors import ImageError
from nitro_attest.limits import MAX_PE_DIRECTORIES, MAX_PE_SECTIONS
from nitro_attest.measurements.image_file import ImageFile

_DOS_HEADER: Final = struct.Struct("<2s58xI")
"""Magic, offset of the COFF header."""
_COFF_HEADER: Final = struct.Struct("<4s2xH12xH2x")
"""Signature, number of sections, size of the optional header."""
_OPTIONAL_HEADER: Final = struct.Struct("<H58xI44xI")
"""Magic, size of all headers, number of the data directories that follow."""
_DIRECTORY: Final = struct.Struct("<II")
"""Offset, size."""
_SECTION_HEAD: Final = struct.Struct("<8sI4xII16x")
"""Name, size in memory, size in the file, offset in the file."""

_PE32_PLUS: Final = 0x20B
_CHECKSUM_OFFSET: Final = 64
_CHECKSUM_BYTES: Final = 4
_CERTIFICATE_DIRECTORY: Final = 4
_CERTIFICATE_ALIGNMENT: Final = 8
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class PeSection:
    """One section that has data in the file.

    Attributes:
        name: Up to 8 bytes, without the padding.
        offset: Where the data start in the file that holds the image.
        size: Bytes of data in the file, with padding.
        memory_size: Bytes that the section has in memory.
    """

    name: bytes
    offset: int
    size: int
    memory_size: int

    @property
    def end(self) -> int:
        """Offset of the byte after the data."""
        return self.offset + self.size


@dataclass(frozen=True)
class PeImage:
    """The layout of an image whose numbers agree. All offsets are those of the file around it.

    Attributes:
        start: Where the image starts.
        end: Offset of the byte after it.
        headers_end: Offset of the byte after its headers.
        checksum: Offset of the CheckSum field.
        certificate_entry: Offset of the certificate table's data directory; None without one.
        certificate_bytes: Size of the certificate table, which ends the image; 0: not signed.
        sections: Those with data, in file order, none overlapping.
    """

    start: int
    end: int
    headers_end: int
    checksum: int
    certificate_entry: int | None
    certificate_bytes: int
    sections: tuple[PeSection, ...]

    def section(self, name: bytes) -> PeSection | None:
        """The section of that name, or None.

        Raises:
            ImageError: ``pe.section_twice``: it depends on the reader which one counts.
        """
        found = [section for section in self.sections if section.name == name]
        if len(found) > 1:
            raise ImageError(
                "pe.section_twice",
                f"the image has {len(found)} sections {name.decode()}; one was expected",
                found[1].offset,
            )
        return found[0] if found else None

    def hashed_ranges(self) -> Iterator[tuple[int, int]]:
        """Start and end of what the digest covers, in its order (AUTH, steps 3 to 14).

        What follows the sections starts where the *sum* of all sizes says. Only in an image with
        gaps between sections does that differ from the end of the last one.
        """
        yield self.start, self.checksum
        position = self.checksum + _CHECKSUM_BYTES
        if self.certificate_entry is not None:
            yield position, self.certificate_entry
            position = self.certificate_entry + _DIRECTORY.size
        yield position, self.headers_end
        for section in self.sections:
            yield section.offset, section.end
        rest = self.headers_end + sum(section.size for section in self.sections)
        yield rest, self.end - self.certificate_bytes


def authenticode_sha384(file: ImageFile, image: PeImage) -> bytes:
    """The Authenticode digest of an image with SHA-384, 48 bytes; read through one buffer.

    Raises:
        ImageError: ``pe.truncated`` if the file became shorter meanwhile.
        InputError: ``input.expected`` if reading fails.
    """
    digest = hashlib.sha384()
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, image.end - image.start)))
    for start, end in image.hashed_ranges():
        for offset in range(start, end, _CHUNK_BYTES):
            chunk = buffer[: min(_CHUNK_BYTES, end - offset)]
            file.fill(offset, chunk)
            digest.update(chunk)
    return digest.digest()


def read_pe(file: ImageFile, start: int, end: int) -> PeImage:
    """Reads the headers of the image that lies from ``start`` to ``end`` in a file.

    Raises:
        ImageError: ``pe.magic``, ``pe.truncated``, ``pe.header``, ``pe.sections`` or
            ``pe.certificate_table``, with the offset of what is wrong.
        InputError: ``input.expected`` if reading fails.
    """
    reader = _Reader(file, start, end)
    magic, coff_distance = reader.unpack(_DOS_HEADER, start, "DOS header")
    coff = start + coff_distance
    if magic != b"MZ" or coff_distance < _DOS_HEADER.size:
        raise ImageError("pe.magic", "not a PE image: it does not start with a DOS header", start)
    signature, count, optional_size = reader.unpack(_COFF_HEADER, coff, "COFF header")
    if signature != b"PE\0\0":
        raise ImageError("pe.magic", "not a PE image: no PE signature where one is announced", coff)
    optional = coff + _COFF_HEADER.size
    table = optional + optional_size
    headers_end, directories = _read_optional_header(reader, optional, optional_size)
    if not 1 <= count <= MAX_PE_SECTIONS:
        raise ImageError(
            "pe.sections", f"{count} sections; an image has 1 to {MAX_PE_SECTIONS}", coff
        )
    if table + count * _SECTION_HEAD.size > headers_end:
        raise ImageError("pe.header", "the section table exceeds the size of the headers", optional)
    entry, certificate_bytes = None, 0
    if directories > _CERTIFICATE_DIRECTORY:
        entry = optional + _OPTIONAL_HEADER.size + _CERTIFICATE_DIRECTORY * _DIRECTORY.size
        certificate_bytes = _read_certificate_entry(reader, entry)
    sections = _read_sections(reader, table, count, headers_end, end - certificate_bytes)
    return PeImage(
        start, end, headers_end, optional + _CHECKSUM_OFFSET, entry, certificate_bytes, sections
    )


class _Reader:
    """Reads fixed structures, never outside the image."""

    def __init__(self, file: ImageFile, start: int, end: int) -> None:
        self._file = file
        self.start = start
        self.end = end

    def unpack(self, form: struct.Struct, offset: int, what: str) -> tuple[Any, ...]:
        if form.size > self.end - offset:
            raise ImageError(
                "pe.truncated",
                f"the image has {self.end - self.start} bytes and its {what} would start "
                f"{offset - self.start} bytes into it",
                self.end,
            )
        data = bytearray(form.size)
        self._file.fill(offset, memoryview(data))
        return form.unpack(data)


def _read_optional_header(reader: _Reader, offset: int, size: int) -> tuple[int, int]:
    """Offset of the end of all headers, and the number of data directories."""
    magic, headers_size, directories = reader.unpack(_OPTIONAL_HEADER, offset, "optional header")
    if magic != _PE32_PLUS:
        raise ImageError(
            "pe.header", f"magic {magic:#06x}; {_PE32_PLUS:#06x} (64-bit PE32+) is expected", offset
        )
    expected = _OPTIONAL_HEADER.size + directories * _DIRECTORY.size
    if directories > MAX_PE_DIRECTORIES or size != expected:
        raise ImageError(
            "pe.header",
            f"an optional header of {size} bytes with {directories} data directories; at most "
            f"{MAX_PE_DIRECTORIES} directories of {_DIRECTORY.size} bytes follow its first "
            f"{_OPTIONAL_HEADER.size} bytes and end it",
            offset,
        )
    if headers_size > reader.end - reader.start:
        raise ImageError(
            "pe.truncated",
            f"the image has {reader.end - reader.start} bytes; its headers claim {headers_size}",
            reader.end,
        )
    return reader.start + headers_size, directories


def _read_certificate_entry(reader: _Reader, entry: int) -> int:
    """Size of the certificate table, whose 'address' is an offset in the image (PE).

    AUTH leaves the table out by its size alone, which leaves out the right bytes only at the end.
    """
    offset, size = reader.unpack(_DIRECTORY, entry, "certificate directory")
    if offset == size == 0:
        return 0
    if (
        offset + size != reader.end - reader.start
        or offset % _CERTIFICATE_ALIGNMENT
        or size < _CERTIFICATE_ALIGNMENT
    ):
        raise ImageError(
            "pe.certificate_table",
            f"a certificate table of {size} bytes at {offset} in an image of "
            f"{reader.end - reader.start}: it has to be the aligned end of the image",
            entry,
        )
    return int(size)


def _read_sections(
    reader: _Reader, table: int, count: int, headers_end: int, end: int
) -> tuple[PeSection, ...]:
    """Sections with data by their place, which no two share, from the headers to ``end``."""
    sections = []
    for index in range(count):
        head = table + index * _SECTION_HEAD.size
        name, memory_size, size, offset = reader.unpack(_SECTION_HEAD, head, "section table")
        section = PeSection(name.partition(b"\0")[0], reader.start + offset, size, memory_size)
        if size == 0:
            continue
        if section.offset < headers_end or section.end > end:
            raise ImageError(
                "pe.sections",
                f"section {index} claims {size} bytes at {offset}, outside what lies between the "
                "headers and the end of the image or its certificate table",
                head,
            )
        sections.append(section)
    sections.sort(key=lambda section: section.offset)
    for section, following in pairwise(sections):
        if section.end > following.offset:
            raise ImageError("pe.sections", "two sections share bytes", following.offset)
    return tuple(sections)
