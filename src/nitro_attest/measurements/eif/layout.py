"""The layout of an enclave image file (EIF), and its checks (F-1 to F-4, F-6).

The loader in AWS walks the sections one after the other; other readers follow the tables in the
header. If the two disagree, one file contains two images, so they are compared. This module reads
only heads: 548 bytes, and 12 more per section.

Source: github.com/aws/aws-nitro-enclaves-image-format, ``src/defs/mod.rs``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from nitro_attest._internal.wording import plural
from nitro_attest.errors import AttestationWarning, ImageError
from nitro_attest.limits import MAX_EIF_SECTIONS, MAX_EIF_SIGNATURE_BYTES
from nitro_attest.measurements.image_file import ImageFile

__all__ = ["Layout", "Section", "SectionKind", "read_layout"]

MAGIC: Final = b".eif"
HEADER: Final = struct.Struct(f">4sHHQQHH{MAX_EIF_SECTIONS}Q{MAX_EIF_SECTIONS}QII")
"""Magic, version, flags, default memory, default CPUs, reserved, number of sections, offsets of the
section heads, sizes of the section data, unused, CRC-32 (of all other bytes of the file)."""
CRC_OFFSET: Final = HEADER.size - 4
SECTION_HEAD: Final = struct.Struct(">HHQ")
"""Type, flags, size of the data that follows."""
FLAG_AARCH64: Final = 0x0001
_SANDBOX_FLAGS: Final = (
    *("PCIE", "VSOCK", "HOTPLUG", "VIRTIO", "ASSIGN"),
    *("CPU_OVERCOMMIT", "CPU_ACCOUNTING", "NUMA"),
)
"""Names of bits 6 to 13 of the header flags, which boot images of Nitro Sandboxes set."""
_FIRST_SANDBOX_BIT: Final = 6

_FLAGS_OFFSET: Final = 0x006
_COUNT_OFFSET: Final = 0x01A
_OFFSETS_OFFSET: Final = 0x01C
_SIZES_OFFSET: Final = 0x11C


class SectionKind(IntEnum):
    """The type of a section, with its number in the file."""

    KERNEL = 1
    CMDLINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5


_FIRST_VERSION: Final = {SectionKind.SIGNATURE: 3, SectionKind.METADATA: 4}


@dataclass(frozen=True, slots=True)
class Section:
    """One section of an image.

    Attributes:
        kind: Type of the section.
        offset: Offset of its 12-byte head in the file; its data follows the head.
        size: Size of the data in bytes.
        flags: The flags in its head, 16 bits; no meaning is known.
    """

    kind: SectionKind
    offset: int
    size: int
    flags: int

    @property
    def head(self) -> bytes:
        """The encoded head: the 12 bytes before the data."""
        return SECTION_HEAD.pack(self.kind, self.flags, self.size)

    @property
    def data_offset(self) -> int:
        """Offset of the data in the file."""
        return self.offset + SECTION_HEAD.size

    @property
    def end(self) -> int:
        """Offset of the byte after the data."""
        return self.data_offset + self.size


@dataclass(frozen=True, slots=True)
class Layout:
    """The heads of an image that meets F-1 to F-4 and F-6.

    Attributes:
        header: The 548 bytes of the header.
        version: Format version, 2 to 4.
        flags: Bit 0 is the architecture; the others are zero.
        default_mem: Default memory in bytes.
        default_cpus: Default number of CPUs.
        crc32: The stored CRC-32.
        sections: All sections in file order, without gaps from the header to the end of the file.
        size: Size of the file in bytes.
        warnings: Properties that are unusual, but accepted.
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

    Args:
        file: The open image.

    Returns:
        The layout.

    Raises:
        ImageError: With the offset of the fault. ``eif.magic``, ``eif.version``, ``eif.flags`` and
            ``eif.sections``: F-1. ``eif.truncated`` and ``eif.trailing``: F-2. ``eif.table``: F-3.
            ``eif.section_type``: F-4. ``eif.signature_size``: F-6.
        InputError: ``input.file``: reading failed.
    """
    header = _read_header(file)
    _, version, flags, default_mem, default_cpus, reserved, count, *rest = HEADER.unpack(header)
    offsets, sizes = rest[:MAX_EIF_SECTIONS], rest[MAX_EIF_SECTIONS:-2]
    unused, crc32 = rest[-2:]
    if not 2 <= version <= 4:
        raise ImageError("eif.version", f"expected EIF version 2 to 4, found {version}", 4)
    _check_flags(flags)
    if not 2 <= count <= MAX_EIF_SECTIONS:
        raise ImageError(
            "eif.sections",
            f"expected 2 to {MAX_EIF_SECTIONS} sections, found {count} in the header",
            _COUNT_OFFSET,
        )
    sections = _walk(file, count, version, offsets)
    _check_kinds(sections)
    warnings = _check_tables(sections, offsets, sizes)
    if reserved or unused:
        warnings.append(
            AttestationWarning(
                "eif.reserved",
                f"reserved fields of the header: expected zeros, found {reserved:#06x} at byte 24 "
                f"and {unused:#010x} at byte 540",
            )
        )
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
            "eif.magic",
            f"not an EIF file: expected it to start with 2e656966, found '{header[:4].hex()}'",
            0,
        )
    if len(header) < HEADER.size:
        raise ImageError(
            "eif.truncated",
            f"truncated header: expected {HEADER.size} bytes, found {file.size}",
            file.size,
        )
    return bytes(header)


def _check_flags(flags: int) -> None:
    """F-1: rejects all flags but the architecture.

    Bottlerocket's builder includes its flags in PCR0, and the images of Nitro Sandboxes have more
    of them. PCRs that no document has must not be shown as those of an image.
    """
    bits = [bit for bit in range(16) if flags & ~FLAG_AARCH64 & 1 << bit]
    if bits:
        raise ImageError(
            "eif.flags",
            f"header flags: expected 0x0000 or 0x0001, found {flags:#06x} "
            f"({', '.join(map(_flag_name, bits))}); this release does not know how such an image "
            "is measured, so it computes no PCR and checks no signature: take the PCRs from the "
            "output of its build",
            _FLAGS_OFFSET,
        )


def _flag_name(bit: int) -> str:
    index = bit - _FIRST_SANDBOX_BIT
    return _SANDBOX_FLAGS[index] if 0 <= index < len(_SANDBOX_FLAGS) else f"unknown bit {bit}"


def _walk(file: ImageFile, count: int, version: int, offsets: Sequence[int]) -> list[Section]:
    """F-2: reads the sections, which have no gaps and end at the end of the file.

    The table is compared before each section is read: padding before a section, which readers of
    the table skip, would look like a malformed section here.
    """
    sections: list[Section] = []
    offset = HEADER.size
    for index in range(count):
        if SECTION_HEAD.size > file.size - offset:
            raise ImageError(
                "eif.truncated",
                f"truncated file: expected {count} sections, found {index}",
                file.size,
            )
        if offsets[index] != offset:
            raise _table_error("offset", index, offsets[index], offset, _OFFSETS_OFFSET)
        sections.append(_read_section(file, offset, version))
        offset = sections[-1].end
    if offset != file.size:
        raise ImageError(
            "eif.trailing",
            f"expected the file to end after section {count}, at {offset}, found the end at "
            f"{file.size}",
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
            f"unexpected {section.kind.name.lower()} section in an image of version {version}",
            offset,
        )
    if section.end > file.size:
        raise ImageError(
            "eif.truncated",
            f"truncated {section.kind.name.lower()} section: expected "
            f"{plural(size, 'byte')}, found {file.size - section.data_offset}",
            offset,
        )
    if section.kind is SectionKind.SIGNATURE and size > MAX_EIF_SIGNATURE_BYTES:
        raise ImageError(
            "eif.signature_size",
            f"expected a signature section of at most {MAX_EIF_SIGNATURE_BYTES} bytes, found "
            f"{size}",
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
                raise ImageError(
                    "eif.section_type",
                    "expected a kernel before the first ramdisk, found none",
                    section.offset,
                )
        elif section.kind in first:
            raise ImageError(
                "eif.section_type", f"expected one {name} section, found two", section.offset
            )
        first.setdefault(section.kind, section)
    for kind in SectionKind.KERNEL, SectionKind.CMDLINE:
        if kind not in first:
            raise ImageError(
                "eif.section_type", f"expected a {kind.name.lower()} section, found none"
            )


def _check_tables(
    sections: Sequence[Section], offsets: Sequence[int], sizes: Sequence[int]
) -> list[AttestationWarning]:
    """F-3: compares the sizes in the header with the sections; unused entries are zero."""
    warnings = []
    walked_sizes = [section.size for section in sections]
    walked_sizes += [0] * (MAX_EIF_SECTIONS - len(sections))
    for index in range(MAX_EIF_SECTIONS):
        if index >= len(sections) and offsets[index]:
            raise _table_error("offset", index, offsets[index], 0, _OFFSETS_OFFSET)
        if sizes[index] == walked_sizes[index]:
            continue
        if index < len(sections) and sections[index].kind is SectionKind.SIGNATURE:
            warnings.append(
                AttestationWarning(
                    "eif.table",
                    f"the header has size {sizes[index]} for the signature section, whose size is "
                    f"{walked_sizes[index]}: a tool re-signed the image without updating the table",
                )
            )
        else:
            raise _table_error("size", index, sizes[index], walked_sizes[index], _SIZES_OFFSET)
    return warnings


def _table_error(what: str, index: int, listed: int, found: int, table: int) -> ImageError:
    return ImageError(
        "eif.table",
        f"the section table contradicts the sections: {what} {index} is {listed} in the table, but "
        f"{found} in the file; rebuild the image",
        table + 8 * index,
    )


def _oddities(sections: Sequence[Section], version: int) -> Iterator[AttestationWarning]:
    kinds = {section.kind for section in sections}
    if SectionKind.RAMDISK not in kinds:
        yield AttestationWarning("eif.no_ramdisk", "the image has no ramdisk")
    if version >= _FIRST_VERSION[SectionKind.METADATA] and SectionKind.METADATA not in kinds:
        yield AttestationWarning(
            "eif.no_metadata", f"the image has version {version}, but no metadata"
        )
    for section in sections:
        if section.flags:
            yield AttestationWarning(
                "eif.section_flags",
                f"unknown flags {section.flags:#06x} in the head of the "
                f"{section.kind.name.lower()} section at offset {section.offset}",
            )
