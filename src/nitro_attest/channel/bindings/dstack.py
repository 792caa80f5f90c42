"""The binding of dstack: report data, and the hash of the image (B-9)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nitro_attest._internal.wording import size_or_type
from nitro_attest.channel.bindings.base import check_attestation, compare, require_size
from nitro_attest.errors import InputError
from nitro_attest.verification.attestation import Attestation

__all__ = ["Dstack", "DstackReport"]

_REPORT_BYTES: Final = 64
_IMAGE_PCRS: Final = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class DstackReport:
    """The values that dstack reads from a document.

    Attributes:
        report_data: ``user_data``, 64 bytes.
        os_image_hash: SHA-256 of PCR0, PCR1 and PCR2 in a row, 32 bytes; zeros if all three are
            zero (debug mode), as dstack defines it.
    """

    report_data: bytes
    os_image_hash: bytes


@dataclass(frozen=True, slots=True)
class Dstack:
    """Checks the report data of a dstack enclave: the 64 bytes of ``user_data`` (B-9).

    The report data is what the enclave attests: 64 bytes, or a digest padded with zeros at its end.
    dstack sends the document inside its own quote.

    Attributes:
        report_data: The expected report data, 64 bytes.

    Raises:
        InputError: ``input.expected``: the report data does not have 64 bytes.
    """

    report_data: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.report_data, bytes) or len(self.report_data) != _REPORT_BYTES:
            raise InputError(
                "input.expected",
                f"report_data: expected {_REPORT_BYTES} bytes, found "
                f"{size_or_type(self.report_data)}",
            )

    @staticmethod
    def read(attestation: Attestation) -> DstackReport:
        """Reads the report data and the image hash, and compares neither.

        Args:
            attestation: The verified document.

        Returns:
            The two values.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: ``user_data`` does not have 64 bytes.
        """
        check_attestation(attestation)
        data = require_size("user_data", attestation.user_data, _REPORT_BYTES)
        pcrs = b"".join(attestation.pcrs[index] for index in _IMAGE_PCRS)
        return DstackReport(data, sha256(pcrs).digest() if any(pcrs) else bytes(32))

    def check(self, attestation: Attestation) -> DstackReport:
        """Checks that the document has the expected report data.

        Args:
            attestation: The verified document.

        Returns:
            The report data, and the image hash to compare with a list of images.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: ``user_data`` differs.
        """
        report = self.read(attestation)
        compare("user_data", expected=self.report_data, found=report.report_data)
        return report
