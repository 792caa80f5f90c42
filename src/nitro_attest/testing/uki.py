"""Writes PE images and unified kernel images (UKI) for tests and examples.

The images have valid headers and sections with data of the caller's choice. They do not boot.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final
from uuid import UUID

__all__ = ["build_pe", "build_uki", "signature_list"]

ALIGNMENT: Final = 512
"""Alignment of headers and sections in the file, in bytes."""
COFF_OFFSET: Final = 64
OPTIONAL_OFFSET: Final = COFF_OFFSET + 24
CHECKSUM_OFFSET: Final = OPTIONAL_OFFSET + 64
DIRECTORIES_OFFSET: Final = OPTIONAL_OFFSET + 112
CERTIFICATE_ENTRY_OFFSET: Final = DIRECTORIES_OFFSET + 4 * 8
X509_SIGNATURE: Final = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
"""The type of a list of X.509 certificates."""

_SECTION_HEAD: Final = struct.Struct("<8sIIIIIIHHI")
_PAGE: Final = 4096
_OWNER: Final = UUID("4e495452-4f54-504d-8000-000000000001")


def build_uki(
    *,
    kernel: bytes | None = None,
    stub: str | None = "systemd-stub 257",
    trailing: bytes = b"",
    certificate_table: bytes = b"",
) -> bytes:
    """Builds a UKI of a boot stub, a release file, a command line, an initial ramdisk and a kernel.

    Args:
        kernel: The data of its ``.linux`` section. None: a small PE image.
        stub: Name and version in the section ``.sdmagic``. None: no such section.
        trailing: Data after the last section.
        certificate_table: Data at the end of the image, padded to 8 bytes. Empty: not signed.

    Returns:
        The content of the file.
    """
    sections = [(".text", b"stub"), (".osrel", b"ID=test\n"), (".cmdline", b"quiet")]
    if stub is not None:
        sections.append((".sdmagic", f"#### LoaderInfo: {stub} ####\0".encode()))
    sections.append((".initrd", b"initial ramdisk"))
    sections.append((".linux", build_pe([(".text", b"kernel")]) if kernel is None else kernel))
    return build_pe(sections, trailing=trailing, certificate_table=certificate_table)


def build_pe(
    sections: Sequence[tuple[str, bytes]],
    *,
    directories: int = 16,
    trailing: bytes = b"",
    certificate_table: bytes = b"",
) -> bytes:
    """Builds an x86-64 PE32+ image with its sections in the given order.

    Args:
        sections: Names of at most 8 characters, and data.
        directories: Number of data directories.
        trailing: Data after the last section.
        certificate_table: Data at the end of the image, padded to 8 bytes; requires at least 5
            directories. Empty: not signed.

    Returns:
        The content of the file.
    """
    optional_size = DIRECTORIES_OFFSET - OPTIONAL_OFFSET + 8 * directories
    table_end = OPTIONAL_OFFSET + optional_size + _SECTION_HEAD.size * len(sections)
    headers_size = table_end + -table_end % ALIGNMENT
    table = body = b""
    address = _PAGE
    for name, data in sections:
        padded = data + bytes(-len(data) % ALIGNMENT)
        offset = headers_size + len(body)
        table += _SECTION_HEAD.pack(
            name.encode(), len(data), address, len(padded), offset, 0, 0, 0, 0, 0x40000040
        )
        body += padded
        address += len(padded) + -len(padded) % _PAGE
    body += trailing
    certificate_offset = 0
    if certificate_table:
        body += bytes(-(headers_size + len(body)) % 8)
        certificate_table += bytes(-len(certificate_table) % 8)
        certificate_offset = headers_size + len(body)

    image = bytearray(headers_size) + body + certificate_table
    struct.pack_into("<2s58xI", image, 0, b"MZ", COFF_OFFSET)
    coff = (b"PE\0\0", 0x8664, len(sections), 0, 0, 0, optional_size, 0x0206)
    struct.pack_into("<4sHHIIIHH", image, COFF_OFFSET, *coff)
    struct.pack_into("<H", image, OPTIONAL_OFFSET, 0x20B)
    struct.pack_into("<II", image, OPTIONAL_OFFSET + 32, _PAGE, ALIGNMENT)
    struct.pack_into("<II", image, OPTIONAL_OFFSET + 56, address, headers_size)
    struct.pack_into("<I", image, DIRECTORIES_OFFSET - 4, directories)
    if certificate_table:
        entry = (certificate_offset, len(certificate_table))
        struct.pack_into("<II", image, CERTIFICATE_ENTRY_OFFSET, *entry)
    table_offset = OPTIONAL_OFFSET + optional_size
    image[table_offset : table_offset + len(table)] = table
    return bytes(image)


def signature_list(*entries: bytes, kind: UUID = X509_SIGNATURE) -> bytes:
    """Makes an EFI_SIGNATURE_LIST.

    Args:
        entries: The data of the entries, all of one size, such as a DER certificate.
        kind: The type of the entries.

    Returns:
        The encoded list.
    """
    size = 16 + len(entries[0])
    body = b"".join(_OWNER.bytes_le + entry for entry in entries)
    return kind.bytes_le + struct.pack("<III", 28 + len(body), 0, size) + body
