"""Expected PCRs of an EC2 instance that boots a unified kernel image (UKI) directly (T-6, T-7).

A UKI is a PE image: the boot stub of systemd with kernel, initial ramdisk and command line as
sections. Firmware measures the whole of it into PCR4. Stubs of some versions then have the firmware
start the kernel, which measures the kernel once more.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Final

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.errors import ImageError, InputError
from nitro_attest.measurements.image_file import BinaryFile, ImageFile, opened
from nitro_attest.measurements.uki.boot_events import SecureBootVariables, boot_pcr4, boot_pcr7
from nitro_attest.measurements.uki.pe import PeImage, PeSection, authenticode_sha384, read_pe

_KERNEL: Final = b".linux"
_STUB_MAGIC: Final = b".sdmagic"
_MAX_STUB_MAGIC_BYTES: Final = 256
# Distributions append to the number. What precedes a release (258~rc1, 258-rc1) has its number, but
# perhaps not its behaviour.
_STUB_VERSION: Final = re.compile(
    rb"#### LoaderInfo: systemd-stub ([1-9][0-9]{0,3})(?![0-9~]|-rc)[!-~]* ####\0*"
)
_FIRST_STUB_VERSION: Final = 252
"""The first that has the firmware load the kernel, and past Secure Boot (systemd pull request
24777). On whether the kernel of an older one is measured, the sources differ."""
_FIRST_STUB_THAT_STARTS_THE_KERNEL_ITSELF: Final = 258
"""systemd pull request 37372."""


@dataclass(frozen=True)
class UkiMeasurements:
    """What an instance measures when its firmware starts a UKI, and nothing before it.

    Attributes:
        pcr4: What was started; 48 bytes.
        pcr7: The state of Secure Boot; 48 bytes. Off, it is the same for every instance and says
            nothing (T-5).
        pcr12: Zeros: the stub was given no command line, credentials or add-ons from outside.
        authenticode: Authenticode digest of the UKI, SHA-384.
        kernel_authenticode: That of the kernel in it; None where it is not measured by itself.
        systemd_stub_version: The version that decided on that.
        secure_boot: Whether ``pcr7`` is that of an instance with Secure Boot on.
    """

    pcr4: bytes
    pcr7: bytes
    pcr12: bytes
    authenticode: bytes
    kernel_authenticode: bytes | None
    systemd_stub_version: int
    secure_boot: bool

    def measurements(self) -> dict[int, bytes]:
        """The PCRs to require of an instance that boots this image: 4, 7 and 12."""
        return {4: self.pcr4, 7: self.pcr7, 12: self.pcr12}

    def to_dict(self) -> dict[str, Any]:
        """The form that ``nitro-tpm-pcr-compute`` prints (T-6)."""
        pcrs = {f"PCR{index}": value.hex() for index, value in self.measurements().items()}
        return {"Measurements": {"HashAlgorithm": "SHA384 { ... }", **pcrs}}


def uki_measurements(
    source: str | os.PathLike[str] | BinaryFile,
    *,
    secure_boot: SecureBootVariables | None = None,
    systemd_stub_version: int | None = None,
) -> UkiMeasurements:
    """Computes PCR4, PCR7 and PCR12 of an instance whose firmware starts a UKI.

    The UKI has to be what the firmware itself starts: a boot manager or shim before it is measured
    too, and the values are then others. Signatures are not verified: that is for Secure Boot.

    Args:
        source: Path of a regular file, or a seekable binary file, which is read from its first
            byte whatever its position, and left at an unspecified one.
        secure_boot: The variables of an instance with Secure Boot on; None: it is off and none of
            them exists. Any other state is not computed.
        systemd_stub_version: Major version of the stub, 252 or later, for an image that does not
            say. Amazon Linux 2023 has 252.

    Returns:
        The measurements.

    Raises:
        ImageError: ``pe.*``: not a PE image whose numbers agree; ``pe.not_uki``: no kernel in it;
            ``pe.section_twice``; ``pe.stub_version``: neither the image nor the caller says the
            stub's version, or it is below 252; ``pe.unsigned``: Secure Boot would not start it.
        InputError: ``input.expected`` if the file cannot be opened, positioned or read, or the
            version given is not a number of 252 or more or contradicts the image, or
            ``secure_boot`` is of another type.
    """
    if systemd_stub_version is not None and (
        type(systemd_stub_version) is not int or systemd_stub_version < _FIRST_STUB_VERSION
    ):
        raise InputError(
            "input.expected",
            f"systemd_stub_version is {systemd_stub_version!r}; a number of "
            f"{_FIRST_STUB_VERSION} or more was expected",
        )
    pcr7 = boot_pcr7(secure_boot)
    with opened(source, "pe") as file:
        uki = read_pe(file, 0, file.size)
        kernel = uki.section(_KERNEL)
        if kernel is None:
            raise ImageError(
                "pe.not_uki",
                "the image has no section .linux: it is not a unified kernel image, and what it "
                "would start is not known",
            )
        if secure_boot is not None and not uki.certificate_bytes:
            raise ImageError(
                "pe.unsigned", "the image is not signed: Secure Boot will not start it"
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
    """The stub hands over what the section has in memory, which is the file without padding."""
    if not 1 <= kernel.memory_size <= kernel.size:
        raise ImageError(
            "pe.sections",
            f"the section .linux has {kernel.memory_size} bytes in memory and {kernel.size} in the "
            "file; the first has to be from 1 to the second",
            kernel.offset,
        )
    image = read_pe(file, kernel.offset, kernel.offset + kernel.memory_size)
    return authenticode_sha384(file, image)


def _stub_version(file: ImageFile, uki: PeImage, expected: int | None) -> int:
    """What the image says, which has to agree with what the caller says; or the latter alone."""
    section = uki.section(_STUB_MAGIC)
    place = None if section is None else section.offset
    version = (_said_version(file, section) if section else None) or expected
    if version is None:
        raise ImageError(
            "pe.stub_version",
            "the image does not say which release of systemd-stub it was built with; pass "
            "systemd_stub_version (Amazon Linux 2023 has 252)",
            place,
        )
    if version < _FIRST_STUB_VERSION:
        raise ImageError(
            "pe.stub_version",
            f"the image was built with systemd-stub {version}; which images are measured with "
            f"releases before {_FIRST_STUB_VERSION} is not established",
            place,
        )
    if expected not in (None, version):
        raise InputError(
            "input.expected",
            f"the image says that it was built with systemd-stub {version}, not {expected}",
        )
    return version


def _said_version(file: ImageFile, section: PeSection) -> int | None:
    size = min(section.memory_size, section.size)
    if size > _MAX_STUB_MAGIC_BYTES:
        return None
    text = bytearray(size)
    file.fill(section.offset, memoryview(text))
    match = _STUB_VERSION.fullmatch(text)
    return int(match[1]) if match else None
