"""Where everything lies in an enclave image file (EIF), and whether it may (spec section 4.2).

The loader inside AWS walks the sections one after the other; other readers follow the tables in the
header. An image on which the two disagree is two images, so both are held against each other.
Only heads are read here, 548 bytes and 12 more per section.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from nitro_attest.errors import AttestationWarning, ImageError
from nitro_attest.limits import MAX_EIF_SECTIONS, MAX_EIF_SIGNATURE_BYTES
from nitro_attest.measurements.image_file import ImageFile

MAGIC: Final = b".eif"
HEADER: Final = struct.Struct(f">4sHHQQHH{MAX_EIF_SECTIONS}Q{MAX_EIF_SECTIONS}QII")
"""Magic, version, flags, default memory, default CPUs, reserved, number of sections, offsets of the
section heads, sizes of the section data, unused, CRC-32 (of all other bytes of the file)."""
CRC_OFFSET: Final = HEADER.size - 4
SECTION_HEAD: Final = struct.Struct(">HHQ")
"""Type, flags, size of the data that follows."""
FLAG_AARCH64: Final = 0x0001

_COUNT_OFFSET: Final = 0x01A
_OFFSETS_OFFSET: Final = 0x01C
_SIZES_OFFSET: Final = 0x11C


class SectionKind(IntEnum):
    """The type of a section, as it stands in the file."""

    KERNEL = 1
    CMDLINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5


_FIRST_VERSION: Final = {SectionKind.SIGNATURE: 3, SectionKind.METADATA: 4}


@dataclass(frozen=True)
class Section:
    """One section of an image.

    Attributes:
        kind: What it holds.
        offset: Where its 12-byte head starts in the file; the data follow.
        size: Bytes of data.
        flags: As in its head; no meaning is known.
    """

    kind: SectionKind
    offset: int
    size: int
    flags: int

    @property
    def head(self) -> bytes:
        """The 12 bytes before the data."""
        return SECTION_HEAD.pack(self.kind, self.flags, self.size)

    @property
    def data_offset(self) -> int:
        """Where the data start in the file."""
        return self.offset + SECTION_HEAD.size

    @property
    def end(self) -> int:
        """Offset of the byte after the data."""
        return self.data_offset + self.size


@dataclass(frozen=True)
class Layout:
    """The heads of an image that meets F-1 to F-4 and F-6.

    Attributes:
        header: The 548 bytes as they stand in the file.
        version: Format version, 2 to 4.
        flags: Bit 0 is the architecture.
        default_mem: Default memory in bytes.
        default_cpus: Default number of CPUs.
        crc32: The stored CRC-32.
        sections: In file order, without gaps from the header to the last byte of the file.
        size: Bytes of the file.
        warnings: What is odd, but allowed.
    """

    header: bytes
    version: int
    flags: int
    default_mem: int
    default_cpus: int
    crc32: int
    sections: tuple[Section, ...]
    size: int
    warnings: tuple[AttestationWarning, ...]


def read_layout(file: ImageFile) -> Layout:
    """Reads all heads of an image and checks F-1 to F-4 and F-6.

    Raises:
        ImageError: ``eif.magic``, ``eif.version``, ``eif.sections``, ``eif.truncated``,
            ``eif.trailing``, ``eif.table``, ``eif.section_type`` or ``eif.signature_size``, with
            the offset of what is wrong.
        InputError: ``input.expected`` if reading fails.
    """
    header = _read_header(file)
    _, version, flags, default_mem, default_cpus, reserved, count, *rest = HEADER.unpack(header)
    offsets, sizes = rest[:MAX_EIF_SECTIONS], rest[MAX_EIF_SECTIONS:-2]
    unused, crc32 = rest[-2:]
    if not 2 <= version <= 4:
        raise ImageError("eif.version", f"EIF version {version}; versions 2 to 4 are known", 4)
    if not 2 <= count <= MAX_EIF_SECTIONS:
        raise ImageError(
            "eif.sections",
            f"the header announces {count} sections; an image has 2 to {MAX_EIF_SECTIONS}",
            _COUNT_OFFSET,
        )
    sections = _walk(file, count, version)
    _check_kinds(sections)
    warnings = _check_tables(sections, offsets, sizes)
    if flags & ~FLAG_AARCH64 or reserved or unused:
        warnings.append(AttestationWarning("eif.reserved", "unknown bits of the header are set"))
    warnings += _oddities(sections, version)
    return Layout(
        header,
        version,
        flags,
        default_mem,
        default_cpus,
        crc32,
        tuple(sections),
        file.size,
        tuple(warnings),
    )


def _read_header(file: ImageFile) -> bytes:
    header = bytearray(min(HEADER.size, file.size))
    file.fill(0, memoryview(header))
    if not header.startswith(MAGIC):
        raise ImageError(
            "eif.magic", f"not an EIF file: it starts with '{header[:4].hex()}', not '2e656966'", 0
        )
    if len(header) < HEADER.size:
        raise ImageError(
            "eif.truncated",
            f"the file ends inside the header: {file.size} of {HEADER.size} bytes",
            file.size,
        )
    return bytes(header)


def _walk(file: ImageFile, count: int, version: int) -> list[Section]:
    """F-2: the sections follow each other without a gap and end where the file ends."""
    sections: list[Section] = []
    offset = HEADER.size
    for index in range(count):
        if SECTION_HEAD.size > file.size - offset:
            raise ImageError(
                "eif.truncated",
                f"the file ends after {index} of {count} announced sections",
                file.size,
            )
        sections.append(_read_section(file, offset, version))
        offset = sections[-1].end
    if offset != file.size:
        raise ImageError(
            "eif.trailing",
            f"{file.size - offset} bytes follow the last of {count} announced sections",
            offset,
        )
    return sections


def _read_section(file: ImageFile, offset: int, version: int) -> Section:
    head = bytearray(SECTION_HEAD.size)
    file.fill(offset, memoryview(head))
    number, flags, size = SECTION_HEAD.unpack(head)
    try:
        section = Section(SectionKind(number), offset, size, flags)
    except ValueError as error:
        raise ImageError("eif.section_type", f"unknown section type {number}", offset) from error
    if version < _FIRST_VERSION.get(section.kind, 0):
        raise ImageError(
            "eif.section_type",
            f"a {section.kind.name.lower()} section in an image of version {version}",
            offset,
        )
    if section.end > file.size:
        raise ImageError(
            "eif.truncated",
            f"the {section.kind.name.lower()} section claims {size} bytes; "
            f"the file ends after {file.size - section.data_offset}",
            offset,
        )
    if section.kind is SectionKind.SIGNATURE and size > MAX_EIF_SIGNATURE_BYTES:
        raise ImageError(
            "eif.signature_size",
            f"the signature section has {size} bytes; the limit is {MAX_EIF_SIGNATURE_BYTES}",
            offset,
        )
    return section


def _check_kinds(sections: Sequence[Section]) -> None:
    """F-4: one kernel, one command line, at most one signature and metadata, kernel first."""
    first: dict[SectionKind, Section] = {}
    for section in sections:
        name = section.kind.name.lower()
        if section.kind is SectionKind.RAMDISK:
            if SectionKind.KERNEL not in first:
                raise ImageError("eif.section_type", "a ramdisk before the kernel", section.offset)
        elif section.kind in first:
            raise ImageError("eif.section_type", f"a second {name} section", section.offset)
        first.setdefault(section.kind, section)
    for kind in SectionKind.KERNEL, SectionKind.CMDLINE:
        if kind not in first:
            raise ImageError("eif.section_type", f"no {kind.name.lower()} section")


def _check_tables(
    sections: Sequence[Section], offsets: Sequence[int], sizes: Sequence[int]
) -> list[AttestationWarning]:
    """F-3: the tables of the header say what the walk found, and zero beyond it."""
    warnings = []
    unused_slots = [0] * (MAX_EIF_SECTIONS - len(sections))
    walked_offsets = [section.offset for section in sections] + unused_slots
    walked_sizes = [section.size for section in sections] + unused_slots
    for index in range(MAX_EIF_SECTIONS):
        if offsets[index] != walked_offsets[index]:
            raise _table_error("offset", index, offsets, walked_offsets, _OFFSETS_OFFSET)
        if sizes[index] == walked_sizes[index]:
            continue
        if index < len(sections) and sections[index].kind is SectionKind.SIGNATURE:
            warnings.append(
                AttestationWarning(
                    "eif.table",
                    f"the header says {sizes[index]} bytes for the signature section, which has "
                    f"{walked_sizes[index]}: the image was re-signed by a tool that leaves the "
                    "table as it was",
                )
            )
        else:
            raise _table_error("size", index, sizes, walked_sizes, _SIZES_OFFSET)
    return warnings


def _table_error(
    what: str, index: int, said: Sequence[int], found: Sequence[int], table: int
) -> ImageError:
    return ImageError(
        "eif.table",
        f"the section table disagrees with the sections: {what} {index} is {said[index]} in the "
        f"table and {found[index]} in the file; build the image again",
        table + 8 * index,
    )


def _oddities(sections: Sequence[Section], version: int) -> Iterator[AttestationWarning]:
    kinds = {section.kind for section in sections}
    if SectionKind.RAMDISK not in kinds:
        yield AttestationWarning("eif.no_ramdisk", "the image has no ramdisk")
    if version >= _FIRST_VERSION[SectionKind.METADATA] and SectionKind.METADATA not in kinds:
        yield AttestationWarning(
            "eif.no_metadata", f"an image of version {version} without metadata"
        )
    for section in sections:
        if section.flags:
            yield AttestationWarning(
                "eif.section_flags",
                f"unknown flags {section.flags:#06x} on the {section.kind.name.lower()} section "
                f"at offset {section.offset}",
            )
