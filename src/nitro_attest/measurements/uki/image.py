"""Expected PCRs of an EC2 instance that boots a unified kernel image (UKI) directly (T-6, T-7).

A UKI is a PE image: the boot stub of systemd, with kernel, initial ramdisk and command line as
sections. Firmware measures all of it into PCR4. With some versions of the stub the firmware also
starts the kernel, and measures it once more.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Final

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.errors import ImageError, InputError
from nitro_attest.limits import DEFAULT_IMAGE_BYTES
from nitro_attest.measurements.image_file import BinaryFile, ImageFile, opened
from nitro_attest.measurements.uki.boot_events import SecureBootVariables, boot_pcr4, boot_pcr7
from nitro_attest.measurements.uki.pe import PeImage, PeSection, authenticode_sha384, read_pe

__all__ = ["UkiMeasurements", "uki_measurements"]

_KERNEL: Final = b".linux"
_STUB_MAGIC: Final = b".sdmagic"
_MAX_STUB_MAGIC_BYTES: Final = 256
# Distributions append to the number. A release candidate (258~rc1, 258-rc1) has the number of the
# release, but perhaps not its behaviour.
_STUB_VERSION: Final = re.compile(
    rb"#### LoaderInfo: systemd-stub ([1-9][0-9]{0,3})(?![0-9~]|-rc)[!-~]* ####\0*"
)
_FIRST_STUB_VERSION: Final = 252
"""The first version that lets the firmware load the kernel without Secure Boot's check. Sources
differ on whether older versions measure the kernel (systemd pull request 24777)."""
_FIRST_STUB_THAT_STARTS_THE_KERNEL_ITSELF: Final = 258
"""The first version whose kernel the firmware does not measure (systemd pull request 37372)."""


@dataclass(frozen=True, slots=True)
class UkiMeasurements:
    """The measurements of an instance whose firmware starts a UKI, and nothing before it.

    Attributes:
        pcr4: Measures the started images; 48 bytes.
        pcr7: Measures the state of Secure Boot; 48 bytes. With Secure Boot off it is the same on
            every instance (T-5).
        pcr12: 48 zeros: the stub gets no command line, credentials or add-ons from outside.
        authenticode: Authenticode digest of the UKI, SHA-384, 48 bytes.
        kernel_authenticode: Authenticode digest of its kernel; None if the kernel is not measured
            separately.
        systemd_stub_version: The version of the stub, which decides whether it is.
        secure_boot: True if ``pcr7`` is for Secure Boot on.
    """

    pcr4: bytes
    pcr7: bytes
    pcr12: bytes
    authenticode: bytes
    kernel_authenticode: bytes | None
    systemd_stub_version: int
    secure_boot: bool

    def measurements(self) -> dict[int, bytes]:
        """Returns the expected PCRs of an instance that boots this image: 4, 7 and 12."""
        return {4: self.pcr4, 7: self.pcr7, 12: self.pcr12}

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form that ``nitro-tpm-pcr-compute`` prints (T-6)."""
        pcrs = {f"PCR{index}": value.hex() for index, value in self.measurements().items()}
        return {"Measurements": {"HashAlgorithm": "SHA384 { ... }", **pcrs}}


def uki_measurements(
    source: str | os.PathLike[str] | BinaryFile,
    *,
    secure_boot: SecureBootVariables | None = None,
    systemd_stub_version: int | None = None,
    max_size: int = DEFAULT_IMAGE_BYTES,
) -> UkiMeasurements:
    """Computes PCR4, PCR7 and PCR12 of an instance whose firmware starts a UKI (T-7).

    Firmware must start the UKI directly: a boot manager or shim before it is measured too, and
    changes the values. Signatures are not verified: that is up to Secure Boot.

    Args:
        source: Path of a regular file, or a seekable binary file, which is read from its first
            byte, whatever its position, and left at an unspecified position.
        secure_boot: The variables of an instance with Secure Boot on. None: Secure Boot is off and
            the variables are absent. Other states are not supported.
        systemd_stub_version: Major version of the stub, 252 or later, for an image that does not
            contain it. Amazon Linux 2023 has 252.
        max_size: Maximum size of the file in bytes, holes of a sparse file included; 16 GiB by
            default.

    Returns:
        The measurements.

    Raises:
        ImageError: ``pe.magic``, ``pe.truncated``, ``pe.header``, ``pe.sections`` or
            ``pe.certificate_table``: malformed PE image. ``pe.section_twice``: two sections of a
            name that matters. ``pe.not_uki``: no kernel. ``pe.stub_version``: the version is
            unknown or below 252. ``pe.unsigned``: Secure Boot would not start the image.
            ``pe.too_large``: the file exceeds ``max_size``.
        InputError: ``input.file``: the file cannot be read. ``input.expected``: it is not seekable;
            the given version is not a number from 252, or contradicts the image; ``secure_boot``
            is neither SecureBootVariables nor None; ``max_size`` is not a positive integer.
    """
    if systemd_stub_version is not None and (
        type(systemd_stub_version) is not int or systemd_stub_version < _FIRST_STUB_VERSION
    ):
        raise InputError(
            "input.expected",
            f"expected systemd_stub_version to be {_FIRST_STUB_VERSION} or more, found "
            f"{systemd_stub_version!r}",
        )
    pcr7 = boot_pcr7(secure_boot)
    with opened(source, "pe", max_size) as file:
        uki = read_pe(file, 0, file.size)
        kernel = uki.section(_KERNEL)
        if kernel is None:
            raise ImageError(
                "pe.not_uki",
                "the image has no section .linux, so it is not a unified kernel image; pass the "
                "image that the firmware starts",
            )
        if secure_boot is not None and not uki.certificate_bytes:
            raise ImageError(
                "pe.unsigned", "the image is not signed, so Secure Boot will not start it"
            )
        version = _stub_version(file, uki, systemd_stub_version)
        authenticode = authenticode_sha384(file, uki)
        kernel_authenticode = None
        if secure_boot is None and version < _FIRST_STUB_THAT_STARTS_THE_KERNEL_ITSELF:
            kernel_authenticode = _kernel_authenticode(file, kernel)
    images = [authenticode] if kernel_authenticode is None else [authenticode, kernel_authenticode]
    return UkiMeasurements(
        pcr4=boot_pcr4(images),
        pcr7=pcr7,
        pcr12=ZERO_PCR,
        authenticode=authenticode,
        kernel_authenticode=kernel_authenticode,
        systemd_stub_version=version,
        secure_boot=secure_boot is not None,
    )


def _kernel_authenticode(file: ImageFile, kernel: PeSection) -> bytes:
    """Measures the kernel as the stub loads it: the section in memory, without file padding."""
    if not 1 <= kernel.memory_size <= kernel.size:
        raise ImageError(
            "pe.sections",
            f"expected the section .linux to have 1 to {kernel.size} bytes in memory, found "
            f"{kernel.memory_size}",
            kernel.offset,
        )
    image = read_pe(file, kernel.offset, kernel.offset + kernel.memory_size)
    return authenticode_sha384(file, image)


def _stub_version(file: ImageFile, uki: PeImage, expected: int | None) -> int:
    """Returns the version in the image, which must equal a given one; or else the given one."""
    section = uki.section(_STUB_MAGIC)
    place = None if section is None else section.offset
    version = (_stub_version_in_image(file, section) if section else None) or expected
    if version is None:
        raise ImageError(
            "pe.stub_version",
            "the image does not contain its release of systemd-stub; pass systemd_stub_version= "
            "(Amazon Linux 2023 has 252)",
            place,
        )
    if version < _FIRST_STUB_VERSION:
        raise ImageError(
            "pe.stub_version",
            f"expected systemd-stub {_FIRST_STUB_VERSION} or later, found {version}; the "
            "measurements of earlier releases are not established",
            place,
        )
    if expected not in (None, version):
        raise InputError(
            "input.expected",
            f"the image has systemd-stub {version}, but systemd_stub_version is {expected}",
        )
    return version


def _stub_version_in_image(file: ImageFile, section: PeSection) -> int | None:
    size = min(section.memory_size, section.size)
    if size > _MAX_STUB_MAGIC_BYTES:
        return None
    text = bytearray(size)
    file.fill(section.offset, memoryview(text))
    match = _STUB_VERSION.fullmatch(text)
    return int(match[1]) if match else None
