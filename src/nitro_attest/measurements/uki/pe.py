"""The layout of a 64-bit PE image, and its Authenticode digest (T-7).

UEFI firmware measures the Authenticode digest of an image that it starts. Firmware, signing tools
and operating systems accept different malformed images. Here all numbers must be consistent, so
that no two of them can see different images. An image may be part of a larger file.

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

from nitro_attest._internal.wording import plural
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


@dataclass(frozen=True, slots=True)
class PeSection:
    """One section that has data in the file.

    Attributes:
        name: Up to 8 bytes, without the padding.
        offset: Offset of the data in the file that contains the image.
        size: Size of the data in the file in bytes, with padding.
        memory_size: Size of the section in memory in bytes.
    """

    name: bytes
    offset: int
    size: int
    memory_size: int

    @property
    def end(self) -> int:
        """Offset of the byte after the data."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class PeImage:
    """The layout of a consistent image. All offsets are offsets in the file that contains it.

    Attributes:
        start: Offset of the image.
        end: Offset of the byte after it.
        headers_end: Offset of the byte after its headers.
        checksum: Offset of the CheckSum field.
        certificate_entry: Offset of the certificate table's data directory; None without one.
        certificate_bytes: Size of the certificate table, which ends the image; 0: not signed.
        sections: The sections with data, in file order, none overlapping.
    """

    start: int
    end: int
    headers_end: int
    checksum: int
    certificate_entry: int | None
    certificate_bytes: int
    sections: tuple[PeSection, ...]

    def section(self, name: bytes) -> PeSection | None:
        """Returns the section of a name, or None.

        Raises:
            ImageError: ``pe.section_twice``: readers differ in which of two sections they use.
        """
        found = [section for section in self.sections if section.name == name]
        if len(found) > 1:
            raise ImageError(
                "pe.section_twice",
                f"expected one section {name.decode()}, found {len(found)}",
                found[1].offset,
            )
        return found[0] if found else None

    def hashed_ranges(self) -> Iterator[tuple[int, int]]:
        """Yields start and end of the bytes that the digest covers, in order (AUTH, steps 3 to 14).

        The bytes after the sections start at the *sum* of all sizes. Only in an image with gaps
        between sections does that differ from the end of the last section.
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
    """Computes the Authenticode digest of an image with SHA-384, through one buffer.

    Args:
        file: The open file.
        image: The layout of the image in it.

    Returns:
        The digest, 48 bytes.

    Raises:
        ImageError: ``pe.truncated``: the file became shorter while it was read.
        InputError: ``input.file``: reading failed.
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
    """Reads the headers of the image between two offsets of a file.

    Args:
        file: The open file.
        start: Offset of the image.
        end: Offset of the byte after it.

    Returns:
        The layout.

    Raises:
        ImageError: ``pe.magic``, ``pe.truncated``, ``pe.header``, ``pe.sections`` or
            ``pe.certificate_table``, with the offset of the fault.
        InputError: ``input.file``: reading failed.
    """
    reader = _Reader(file, start, end)
    magic, coff_distance = reader.unpack(_DOS_HEADER, start, "DOS header")
    coff = start + coff_distance
    if magic != b"MZ" or coff_distance < _DOS_HEADER.size:
        raise ImageError("pe.magic", "not a PE image: expected a DOS header at its start", start)
    signature, count, optional_size = reader.unpack(_COFF_HEADER, coff, "COFF header")
    if signature != b"PE\0\0":
        raise ImageError("pe.magic", "not a PE image: expected a PE signature here", coff)
    optional = coff + _COFF_HEADER.size
    table = optional + optional_size
    headers_end, directories = _read_optional_header(reader, optional, optional_size)
    if not 1 <= count <= MAX_PE_SECTIONS:
        raise ImageError(
            "pe.sections", f"expected 1 to {MAX_PE_SECTIONS} sections, found {count}", coff
        )
    if table + count * _SECTION_HEAD.size > headers_end:
        raise ImageError("pe.header", "the section table extends beyond the headers", optional)
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
                f"truncated {what}: expected {form.size} bytes at offset {offset - self.start}, "
                f"found the end of the image at {self.end - self.start}",
                self.end,
            )
        data = bytearray(form.size)
        self._file.fill(offset, memoryview(data))
        return form.unpack(data)


def _read_optional_header(reader: _Reader, offset: int, size: int) -> tuple[int, int]:
    """Returns the offset of the end of all headers, and the number of data directories."""
    magic, headers_size, directories = reader.unpack(_OPTIONAL_HEADER, offset, "optional header")
    if magic != _PE32_PLUS:
        raise ImageError(
            "pe.header",
            f"expected magic {_PE32_PLUS:#06x} (64-bit PE32+), found {magic:#06x}",
            offset,
        )
    expected = _OPTIONAL_HEADER.size + directories * _DIRECTORY.size
    if directories > MAX_PE_DIRECTORIES or size != expected:
        raise ImageError(
            "pe.header",
            f"inconsistent optional header: expected {_OPTIONAL_HEADER.size} bytes and at most "
            f"{MAX_PE_DIRECTORIES} data directories of {_DIRECTORY.size} bytes, found "
            f"{plural(size, 'byte')} and {directories} directories",
            offset,
        )
    if headers_size > reader.end - reader.start:
        raise ImageError(
            "pe.truncated",
            f"truncated headers: expected {plural(headers_size, 'byte')}, found "
            f"{plural(reader.end - reader.start, 'byte')} in the image",
            reader.end,
        )
    return reader.start + headers_size, directories


def _read_certificate_entry(reader: _Reader, entry: int) -> int:
    """Returns the size of the certificate table, whose 'address' is an offset in the image (PE).

    AUTH excludes the table by its size alone, which is correct only at the end of the image.
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
            "expected the certificate table at the end of the image, at a multiple of "
            f"{_CERTIFICATE_ALIGNMENT}, found {plural(size, 'byte')} at {offset} in an image "
            f"of {reader.end - reader.start}",
            entry,
        )
    return int(size)


def _read_sections(
    reader: _Reader, table: int, count: int, headers_end: int, end: int
) -> tuple[PeSection, ...]:
    """Returns the sections with data in file order; all are between the headers and ``end``."""
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
                f"section {index} has {plural(size, 'byte')} at {offset}; expected it between the "
                "headers and the end of the image or its certificate table",
                head,
            )
        sections.append(section)
    sections.sort(key=lambda section: section.offset)
    for section, following in pairwise(sections):
        if section.end > following.offset:
            raise ImageError("pe.sections", "two sections overlap", following.offset)
    return tuple(sections)
