"""Measures an enclave image file (EIF): PCR0, PCR1, PCR2 and PCR8 (spec section 4).

First the layout is checked, then every byte of the file is read once, through one buffer: memory
depends neither on the size of the image nor on any size that it claims.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from nitro_attest._internal.strict_json import read_json
from nitro_attest.errors import AttestationWarning, ImageError, InputError
from nitro_attest.measurements.eif.layout import (
    CRC_OFFSET,
    FLAG_AARCH64,
    Layout,
    Section,
    SectionKind,
    read_layout,
)
from nitro_attest.measurements.eif.signature import SignatureInfo, check_signature_section
from nitro_attest.measurements.image_file import BinaryFile, ImageFile, opened
from nitro_attest.measurements.pcr import image_measurement

_CHUNK_BYTES: Final = 1 << 20
# Metadata are parsed in memory, at some 30 bytes of memory a byte. They hold the answer of `docker
# inspect` and at most 4096 bytes of the builder's own.
_MAX_METADATA_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class EnclaveImage:
    """What an image file measures, and what it says about itself.

    Only the code in the image is measured. The header (memory, CPUs, flags), the metadata and the
    signature are not part of PCR0, PCR1 and PCR2 (M-6).

    Attributes:
        version: Format version, 2 to 4.
        architecture: ``x86_64`` or ``aarch64``, as the header says.
        default_mem: Default memory in bytes, as the header says.
        default_cpus: Default number of CPUs, as the header says.
        size: Bytes of the whole file.
        sections: All sections in file order.
        crc32_stored: The CRC-32 in the header.
        crc32_computed: The CRC-32 of the file. Detects accidents, not attacks.
        pcr0: Measures kernel, command line and all ramdisks; 48 bytes.
        pcr1: Measures kernel, command line and the first ramdisk; 48 bytes.
        pcr2: Measures the other ramdisks; 48 bytes.
        pcr8: Measures the signing certificate; 48 bytes. None for an unsigned image, whose enclave
            reports zeros.
        signature: The signature, which holds; None for an unsigned image.
        judged_at: The time that the certificate's validity was judged at; None: not judged.
        unattested_metadata: The builder's JSON object; None if there is none that can be read.
            Nothing vouches for it: whoever handed over the file can have written it.
        warnings: What is odd about the image, without a change to what it measures.
    """

    version: int
    architecture: str
    default_mem: int
    default_cpus: int
    size: int
    sections: tuple[Section, ...]
    crc32_stored: int
    crc32_computed: int
    pcr0: bytes
    pcr1: bytes
    pcr2: bytes
    pcr8: bytes | None
    signature: SignatureInfo | None
    judged_at: datetime | None
    unattested_metadata: Mapping[str, Any] | None = field(hash=False)
    warnings: tuple[AttestationWarning, ...]

    def measurements(self) -> dict[int, bytes]:
        """The PCRs to require of an enclave that runs this image: 0, 1, 2, and 8 if signed."""
        pcrs = {0: self.pcr0, 1: self.pcr1, 2: self.pcr2}
        return pcrs if self.pcr8 is None else pcrs | {8: self.pcr8}

    def to_dict(self) -> dict[str, Any]:
        """The image as JSON-ready values; bytes and CRCs as lower-case hex."""
        return {
            "version": self.version,
            "architecture": self.architecture,
            "default_mem": self.default_mem,
            "default_cpus": self.default_cpus,
            "size": self.size,
            "sections": [
                {"kind": s.kind.name.lower(), "offset": s.offset, "size": s.size, "flags": s.flags}
                for s in self.sections
            ],
            "crc32_stored": f"{self.crc32_stored:08x}",
            "crc32_computed": f"{self.crc32_computed:08x}",
            "pcrs": {str(index): value.hex() for index, value in self.measurements().items()},
            "signature": self.signature and self.signature.to_dict(),
            "judged_at": self.judged_at and self.judged_at.isoformat(),
            "unattested_metadata": self.unattested_metadata,
            "warnings": [{"code": w.code, "message": w.message} for w in self.warnings],
        }


def measure(
    source: str | os.PathLike[str] | BinaryFile,
    *,
    ignore_crc: bool = False,
    at: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EnclaveImage:
    """Reads an image once and computes its measurements.

    Args:
        source: Path of a regular file, or a seekable binary file, which is read from its first
            byte whatever its position, and left at an unspecified one.
        ignore_crc: Report a wrong CRC-32 as the warning ``eif.crc`` and go on.
        at: When to judge the validity of the signing certificate (S-3), with a time zone. None:
            it is not judged, so the warning ``eif.cert_expired`` cannot appear.
        progress: Called as ``progress(done, size)``, in bytes of the file, about once a MiB. What
            it raises ends the measuring.

    Returns:
        The measurements. An image with a signature that does not hold gives none.

    Raises:
        ImageError: The content breaks one of the rules F-1 to F-6, S-1, S-2.
        InputError: ``input.expected`` if the file cannot be opened, positioned or read;
            ``input.time`` if ``at`` has no time zone.
    """
    if at is not None and at.utcoffset() is None:
        raise InputError("input.time", "the time to judge the certificate at has no time zone")
    with opened(source, "eif") as file:
        layout = read_layout(file)
        content = _read_content(file, layout, progress)
    warnings = list(layout.warnings)
    if content.crc32 != layout.crc32:
        warnings.append(_wrong_crc(layout.crc32, content.crc32, ignore_crc))
    metadata = _read_metadata(content.kept, warnings)
    signature = _check_signature(layout, content, warnings, at)
    return EnclaveImage(
        version=layout.version,
        architecture="aarch64" if layout.flags & FLAG_AARCH64 else "x86_64",
        default_mem=layout.default_mem,
        default_cpus=layout.default_cpus,
        size=layout.size,
        sections=layout.sections,
        crc32_stored=layout.crc32,
        crc32_computed=content.crc32,
        pcr0=content.pcr0,
        pcr1=content.pcr1,
        pcr2=content.pcr2,
        pcr8=signature.pcr8 if signature else None,
        signature=signature,
        judged_at=at,
        unattested_metadata=metadata,
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class _Content:
    """What one pass over the file gives; ``kept`` is the start of the sections of no register."""

    pcr0: bytes
    pcr1: bytes
    pcr2: bytes
    crc32: int
    kept: Mapping[SectionKind, bytes]


def _read_content(
    file: ImageFile, layout: Layout, progress: Callable[[int, int], None] | None
) -> _Content:
    """Hashes the data of the sections by kind, in file order (F-8)."""
    stream = _Stream(file, zlib.crc32(layout.header[:CRC_OFFSET]), progress)
    image = hashlib.sha384()  # PCR0
    boot = image  # PCR1: has the same data as PCR0 until the second ramdisk
    application = hashlib.sha384()  # PCR2
    first_ramdisk_seen = False
    kept: dict[SectionKind, bytes] = {}
    # Most bytes of an image belong to two registers. hashlib releases the GIL, so that the second
    # can be computed beside the first.
    with ThreadPoolExecutor(max_workers=1) as helper:
        for section in layout.sections:
            chunks = stream.chunks(section)
            if section.kind in (SectionKind.SIGNATURE, SectionKind.METADATA):
                kept[section.kind] = bytes(next(chunks, b""))
                for _ in chunks:
                    pass
                continue
            later_ramdisk = section.kind is SectionKind.RAMDISK and first_ramdisk_seen
            first_ramdisk_seen |= section.kind is SectionKind.RAMDISK
            if later_ramdisk and boot is image:
                boot = image.copy()
            second = application if later_ramdisk else boot
            for chunk in chunks:
                if second is image:
                    image.update(chunk)
                else:
                    beside = helper.submit(second.update, chunk)
                    image.update(chunk)
                    beside.result()
    return _Content(
        pcr0=image_measurement(image.digest()),
        pcr1=image_measurement(boot.digest()),
        pcr2=image_measurement(application.digest()),
        crc32=stream.crc32,
        kept=kept,
    )


class _Stream:
    """The data of sections, chunk by chunk through one buffer, and the CRC-32 of all of it."""

    def __init__(
        self, file: ImageFile, crc32: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self.crc32 = crc32
        self._file = file
        self._progress = progress
        self._buffer = memoryview(bytearray(min(_CHUNK_BYTES, file.size)))

    def chunks(self, section: Section) -> Iterator[memoryview]:
        """Yields the data of the next section; each chunk is overwritten by the one after it."""
        self.crc32 = zlib.crc32(section.head, self.crc32)
        for offset in range(section.data_offset, section.end, _CHUNK_BYTES):
            chunk = self._buffer[: min(_CHUNK_BYTES, section.end - offset)]
            self._file.fill(offset, chunk)
            self.crc32 = zlib.crc32(chunk, self.crc32)
            yield chunk
            if self._progress is not None:
                self._progress(offset + len(chunk), self._file.size)


def _wrong_crc(stored: int, computed: int, ignore: bool) -> AttestationWarning:
    """F-5."""
    sentence = (
        f"the CRC-32 of the file is {computed:08x}, its header says {stored:08x}: "
        "the file was damaged or edited"
    )
    if not ignore:
        raise ImageError("eif.crc", sentence, CRC_OFFSET)
    return AttestationWarning("eif.crc", sentence)


def _check_signature(
    layout: Layout, content: _Content, warnings: list[AttestationWarning], at: datetime | None
) -> SignatureInfo | None:
    """S-1 to S-3."""
    section = next((s for s in layout.sections if s.kind is SectionKind.SIGNATURE), None)
    if section is None:
        return None
    signature = check_signature_section(content.kept[section.kind], content.pcr0, section.offset)
    if signature.entries > 1:
        warnings.append(
            AttestationWarning(
                "eif.signature_entries",
                f"the image has {signature.entries} signatures; only the first was checked, and "
                "only its certificate is measured",
            )
        )
    if at is not None and not signature.not_before <= at <= signature.not_after:
        warnings.append(
            AttestationWarning(
                "eif.cert_expired",
                f"the signing certificate is valid from {signature.not_before.isoformat()} to "
                f"{signature.not_after.isoformat()}: nitro-cli will not start the image; "
                "attestation does not look at this",
            )
        )
    return signature


def _read_metadata(
    kept: Mapping[SectionKind, bytes], warnings: list[AttestationWarning]
) -> Mapping[str, Any] | None:
    if SectionKind.METADATA not in kept:
        return None
    try:
        return _parse_metadata(kept[SectionKind.METADATA])
    except (InputError, ValueError) as error:
        reason = error.message if isinstance(error, InputError) else error
        warnings.append(
            AttestationWarning("eif.metadata", f"the metadata cannot be parsed: {reason}")
        )
        return None


def _parse_metadata(data: bytes) -> Mapping[str, Any]:
    """Parses untrusted JSON: bounded, unambiguous, and printable as JSON again."""
    if len(data) > _MAX_METADATA_BYTES:
        raise ValueError(f"expected at most {_MAX_METADATA_BYTES} bytes, found more")
    text = data.decode("utf-8").strip(" \t\r\n")
    # Metadata repeats names from elsewhere, such as image labels, that may differ only in case.
    metadata, end = read_json(text, ignore_case=False)
    if end != len(text) or not isinstance(metadata, dict):
        raise ValueError("expected one JSON object")
    json.dumps(metadata, allow_nan=False)  # a number such as 1e999 becomes an infinity
    return metadata
