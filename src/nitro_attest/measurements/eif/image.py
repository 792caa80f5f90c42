"""Measurement of an enclave image file (EIF): PCR0, PCR1, PCR2 and PCR8 (F-8, S-4).

The layout is checked first. Then each byte of the file is read once, through one buffer, so memory
use depends neither on the size of the image nor on any size in its header.

Source: github.com/aws/aws-nitro-enclaves-image-format, README.
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
from nitro_attest.limits import DEFAULT_IMAGE_BYTES
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

__all__ = ["EnclaveImage", "measure"]

_CHUNK_BYTES: Final = 1 << 20
# Parsing takes some 30 bytes of memory per byte. Metadata contains the output of `docker inspect`
# and at most 4096 bytes from the builder.
_MAX_METADATA_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class EnclaveImage:
    """The measurements of an image file, and its unmeasured description.

    Only the code in the image is measured. The header (memory, CPUs, architecture), the metadata
    and the signature are not in PCR0, PCR1 and PCR2 (M-6).

    Attributes:
        version: Format version, 2 to 4.
        architecture: ``x86_64`` or ``aarch64``, from the header.
        default_mem: Default memory in bytes, from the header.
        default_cpus: Default number of CPUs, from the header.
        size: Size of the file in bytes.
        sections: All sections in file order.
        crc32_stored: The CRC-32 in the header.
        crc32_computed: The CRC-32 of the file (F-5). It detects accidents, not attacks.
        pcr0: Measures kernel, command line and all ramdisks; 48 bytes.
        pcr1: Measures kernel, command line and the first ramdisk; 48 bytes.
        pcr2: Measures the other ramdisks; 48 bytes.
        pcr8: Measures the signing certificate; 48 bytes. None for an unsigned image, whose enclave
            has zeros in PCR8.
        signature: The valid signature; None for an unsigned image.
        validity_checked_at: Time at which the validity of the signing certificate was checked
            (S-3); None: not checked.
        unattested_metadata: The builder's JSON object; None if there is none or it cannot be
            parsed. Nothing protects it: anyone who handled the file can have written it (M-6).
        warnings: Unusual properties of the image that do not change its measurements.
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
    validity_checked_at: datetime | None
    unattested_metadata: Mapping[str, Any] | None = field(hash=False)
    warnings: tuple[AttestationWarning, ...]

    def measurements(self) -> dict[int, bytes]:
        """Returns the expected PCRs of an enclave that runs this image: 0, 1, 2, and 8 if signed.

        Pass the result to ``Policy([...])`` or as ``policy=``.
        """
        pcrs = {0: self.pcr0, 1: self.pcr1, 2: self.pcr2}
        return pcrs if self.pcr8 is None else pcrs | {8: self.pcr8}

    def to_dict(self) -> dict[str, Any]:
        """Returns the image as JSON-ready values, with bytes and CRCs in lower-case hex."""
        return {
            "version": self.version,
            "architecture": self.architecture,
            "default_mem": self.default_mem,
            "default_cpus": self.default_cpus,
            "size": self.size,
            "sections": [
                {
                    "kind": s.kind.name.lower(),
                    "offset": s.offset,
                    "data_offset": s.data_offset,
                    "size": s.size,
                    "flags": s.flags,
                }
                for s in self.sections
            ],
            "crc32_stored": f"{self.crc32_stored:08x}",
            "crc32_computed": f"{self.crc32_computed:08x}",
            "pcrs": {str(index): value.hex() for index, value in self.measurements().items()},
            "signature": self.signature and self.signature.to_dict(),
            "validity_checked_at": (
                self.validity_checked_at and self.validity_checked_at.isoformat()
            ),
            "unattested_metadata": self.unattested_metadata,
            "warnings": [{"code": w.code, "message": w.message} for w in self.warnings],
        }


def measure(
    source: str | os.PathLike[str] | BinaryFile,
    *,
    ignore_crc: bool = False,
    at: datetime | None = None,
    max_size: int = DEFAULT_IMAGE_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> EnclaveImage:
    """Reads an image once and computes its measurements.

    Args:
        source: Path of a regular file, or a seekable binary file, which is read from its first
            byte, whatever its position, and left at an unspecified position.
        ignore_crc: Report a wrong CRC-32 as the warning ``eif.crc`` instead of an error (F-5).
        at: Time with a time zone at which to check the validity of the signing certificate (S-3).
            None: the validity is not checked.
        max_size: Maximum size of the file in bytes, holes of a sparse file included (F-7); 16 GiB
            by default.
        progress: Called as ``progress(done, size)``, in bytes of the file, about once per MiB. An
            exception that it raises ends the measurement.

    Returns:
        The measurements. Warnings: ``eif.reserved``, ``eif.table``, ``eif.no_ramdisk``,
        ``eif.no_metadata``, ``eif.section_flags``, ``eif.crc``, ``eif.metadata``,
        ``eif.signature_entries``, ``eif.cert_expired``.

    Raises:
        ImageError: ``eif.magic``, ``eif.version``, ``eif.flags`` and ``eif.sections``: F-1.
            ``eif.truncated`` and ``eif.trailing``: F-2. ``eif.table``: F-3. ``eif.section_type``:
            F-4. ``eif.crc``: F-5. ``eif.signature_size``: F-6. ``eif.too_large``: F-7.
            ``eif.signature_pcr0``: S-1. ``eif.signature``: S-2, S-5.
        InputError: ``input.file``: the file cannot be read. ``input.expected``: it is not seekable,
            or ``max_size`` is not a positive integer. ``input.time``: ``at`` has no time zone.

    Example:
        >>> from pathlib import Path
        >>> from nitro_attest.measurements import measure
        >>> from nitro_attest.testing.eif import build_eif
        >>> eif = build_eif(kernel=b"kernel", cmdline=b"quiet", ramdisks=[b"init", b"app"])
        >>> _ = Path("app.eif").write_bytes(eif)
        >>> image = measure("app.eif")
        >>> sorted(image.measurements())
        [0, 1, 2]
        >>> image.pcr8 is None  # not signed
        True
    """
    if at is not None and at.utcoffset() is None:
        raise InputError("input.time", f"expected a time zone in at, found {at!r}")
    with opened(source, "eif", max_size) as file:
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
        validity_checked_at=at,
        unattested_metadata=metadata,
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, slots=True)
class _Content:
    """The result of one pass over the file.

    ``kept`` has the first chunk of the sections that are not measured.
    """

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
    # Most bytes of an image are measured in two registers. hashlib releases the GIL, so a second
    # thread computes the second register at the same time.
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
    """Returns the warning of a wrong CRC-32, or raises the error (F-5)."""
    message = (
        f"CRC-32 mismatch: expected {stored:08x}, as in the header, found {computed:08x}; the file "
        "was damaged or edited"
    )
    if not ignore:
        raise ImageError("eif.crc", message, CRC_OFFSET)
    return AttestationWarning("eif.crc", message)


def _check_signature(
    layout: Layout, content: _Content, warnings: list[AttestationWarning], at: datetime | None
) -> SignatureInfo | None:
    """Verifies the signature and checks its certificate's validity (S-1 to S-3)."""
    section = next((s for s in layout.sections if s.kind is SectionKind.SIGNATURE), None)
    if section is None:
        return None
    signature = check_signature_section(content.kept[section.kind], content.pcr0, section.offset)
    if signature.entries > 1:
        warnings.append(
            AttestationWarning(
                "eif.signature_entries",
                f"the image has {signature.entries} signatures; only the first was verified, and "
                "only its certificate is measured",
            )
        )
    if at is not None and not signature.not_before <= at <= signature.not_after:
        warnings.append(
            AttestationWarning(
                "eif.cert_expired",
                f"the signing certificate is valid from {signature.not_before.isoformat()} to "
                f"{signature.not_after.isoformat()}, not at {at.isoformat()}; nitro-cli does not "
                "start such an image, and attestation does not check this",
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
