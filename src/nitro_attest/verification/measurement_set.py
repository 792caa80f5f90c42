"""Measurement sets: PCR values that must all match, and warnings about those that prove little.

The check iterates over the expected PCRs, never over those of the document, so that an absent one
fails (P-18).
"""

from __future__ import annotations

import hmac
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from nitro_attest._internal.pcrs import (
    EMPTY_RAMDISKS,
    IMAGE_PCRS,
    SANDBOX_PCR,
    SECURE_BOOT_OFF_PCR7,
    ZERO_PCR,
)
from nitro_attest._internal.values import rebuilt
from nitro_attest.errors import AttestationWarning, InputError, PolicyFailure
from nitro_attest.limits import MAX_PCRS, PCR_BYTES
from nitro_attest.verification.document import AttestationDocument, NitroTpmDocument, check_kind

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MeasurementSet", "NitroTpmMeasurementSet"]

_HASH_ALGORITHM: Final = "hashalgorithm"
_PCR_NAME: Final = re.compile(r"pcr(0|[1-9][0-9]?)")
_MAX_NAME_LENGTH: Final = 128
_REFERENCE_PCRS: Final = {
    7: "the state of Secure Boot is not checked; pin it if Secure Boot is on",
    12: "a command line or credentials given to the boot stub are not checked; pin it to zeros",
}
"""T-6. The PCRs beside PCR4 that a reference file should have, and what is open without them."""


@rebuilt
@dataclass(frozen=True, slots=True, init=False)
class _PcrSet:
    """Expected PCR values. Private: the two kinds of document share no public base (T-1)."""

    pcrs: Mapping[int, bytes]
    name: str | None

    def __init__(self, pcrs: Mapping[int, bytes | str], name: str | None = None) -> None:
        values = (
            {_pcr_index(index): _pcr_value(index, value) for index, value in pcrs.items()}
            if isinstance(pcrs, Mapping)
            else {}
        )
        if not values:
            raise InputError(
                "policyfile.empty",
                "a measurement set needs at least one PCR; an empty one would accept anything",
            )
        own_copy = MappingProxyType(dict(sorted(values.items())))  # the caller's may change
        object.__setattr__(self, "pcrs", own_copy)
        object.__setattr__(self, "name", _set_name(name))

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.pcrs.items()), self.name))

    def __reduce__(self) -> tuple[type[Self], tuple[dict[int, bytes], str | None]]:
        return type(self), (dict(self.pcrs), self.name)

    @classmethod
    def from_named(cls, values: Mapping[str, Any], name: str | None = None) -> Self:
        """Makes the set from an object of ``PCR<n>`` keys, as nitro-cli prints it (L-1).

        Args:
            values: ``PCR0`` to ``PCR31`` in any case, as 96 hex digits each, and optionally
                ``HashAlgorithm``, which must begin with ``Sha384``. Nothing else.
            name: Name of the set in results.

        Returns:
            The set.

        Raises:
            InputError: ``policyfile.unknown_key``, ``policyfile.duplicate``,
                ``policyfile.hash_algorithm``, ``policyfile.format`` (not a mapping), or as the
                class itself.
        """
        if not isinstance(values, Mapping):
            raise InputError(
                "policyfile.format",
                f"measurements: expected a mapping of PCRs, found {reprlib.repr(values)}",
            )
        pcrs: dict[int, str] = {}
        for key, value in values.items():
            if isinstance(key, str) and key.casefold() == _HASH_ALGORITHM:
                _check_hash_algorithm(value)
                continue
            index = _index_in(key)
            if index in pcrs:
                raise InputError("policyfile.duplicate", f"PCR{index} is given twice")
            if not isinstance(value, str):
                raise InputError(
                    "policyfile.hex", f"{key}: expected hex digits, found {reprlib.repr(value)}"
                )
            pcrs[index] = value
        return cls(pcrs, name)

    def to_named(self) -> dict[str, str]:
        """Returns the expected values under ``PCR<n>`` keys, as lower-case hex."""
        return {f"PCR{index}": value.hex() for index, value in self.pcrs.items()}

    def with_pins(self, pins: Mapping[int, bytes | str]) -> Self:
        """Returns this set with more expected PCRs, all of which must match.

        Args:
            pins: The additional PCRs.

        Returns:
            A new set of the same name.

        Raises:
            InputError: ``policyfile.duplicate``: a pin contradicts the set. Otherwise as the class.
        """
        added = type(self)(pins)
        for index, value in added.pcrs.items():
            if self.pcrs.get(index, value) != value:
                raise InputError(
                    "policyfile.duplicate",
                    f"PCR{index} has two expected values, {self.pcrs[index].hex()} and "
                    f"{value.hex()}; keep one{self._suffix()}",
                )
        return type(self)({**self.pcrs, **added.pcrs}, self.name)

    def _mismatches(self, found_pcrs: Mapping[int, bytes]) -> list[PolicyFailure]:
        failures = []
        for index, expected in self.pcrs.items():
            found = found_pcrs.get(index)
            if found is not None and hmac.compare_digest(found, expected):
                continue
            code, message = (
                ("policy.pcr_absent", f"PCR{index} missing: expected {expected.hex()}")
                if found is None
                else (
                    "policy.pcr_mismatch",
                    f"PCR{index} mismatch: expected {expected.hex()}, found {found.hex()}",
                )
            )
            failures.append(
                PolicyFailure(
                    code,
                    message + self._suffix(),
                    expected=expected.hex(),
                    found=None if found is None else found.hex(),
                    pcr=index,
                    measurement_set=self.name,
                )
            )
        return failures

    def _suffix(self) -> str:
        return f" (measurement set {self.name!r})" if self.name is not None else ""


class MeasurementSet(_PcrSet):
    """PCR values of an enclave that must all match: one version of one image.

    Can be pickled and hashed.

    Example:
        >>> MeasurementSet({0: "ab" * 48}, name="v1.4.2").name
        'v1.4.2'

    Attributes:
        pcrs: Expected values by index (0 to 31): 48 bytes, or 96 hex digits in either case with an
            optional 0x, which become bytes here.
        name: Name of the set in results, such as ``v1.4.2``: 1 to 128 printable characters.

    Raises:
        InputError: ``policyfile.empty`` (no PCR), ``policyfile.pcr_index``, ``policyfile.hex``,
            ``policyfile.format`` (the name), or ``policyfile.zero_pin`` (PCR0, PCR1 or PCR2 of all
            zeros would require debug mode, M-3).
    """

    __slots__ = ()

    def __init__(self, pcrs: Mapping[int, bytes | str], name: str | None = None) -> None:
        super().__init__(pcrs, name)
        for index in IMAGE_PCRS:
            if self.pcrs.get(index) == ZERO_PCR:
                raise InputError(
                    "policyfile.zero_pin",
                    f"PCR{index}: expected the measurement from building the image, found zeros, "
                    "the value of every enclave in debug mode",
                )

    def failures(self, document: AttestationDocument) -> list[PolicyFailure]:
        """Compares the expected PCRs with those of a document.

        Args:
            document: The document, whose signature has been verified.

        Returns:
            A failure for each expected PCR that is missing or different in the document.

        Raises:
            InputError: ``input.document``: the argument is not a verified document of an enclave.
        """
        check_kind(document, AttestationDocument)
        return self._mismatches(document.pcrs)

    def weaknesses(self) -> list[AttestationWarning]:
        """Returns warnings about expected PCRs that prove little (M-3, M-4, M-8)."""
        warnings = []
        if not any(self._identifies_the_image(index) for index in (*IMAGE_PCRS, 8)):
            message = "the expected PCRs do not identify an image; pin PCR0, PCR1 and PCR2"
            if SANDBOX_PCR in self.pcrs:
                message += (
                    ". PCR17 does not prove a Nitro Sandbox either: the code of any enclave can "
                    "extend it with the same data, so pin it beside the PCRs of the guest image"
                )
            warnings.append(AttestationWarning("policy.weak", message + self._suffix()))
        for index, meaning in ((3, "no IAM role was attached"), (8, "the image is not signed")):
            if self.pcrs.get(index) == ZERO_PCR:
                warnings.append(
                    AttestationWarning(
                        "policy.weak", f"PCR{index} of all zeros means: {meaning}{self._suffix()}"
                    )
                )
        return warnings

    def _identifies_the_image(self, index: int) -> bool:
        value = self.pcrs.get(index, ZERO_PCR)
        return value != ZERO_PCR and not (index == 2 and value == EMPTY_RAMDISKS)


class NitroTpmMeasurementSet(_PcrSet):
    """PCR values of an EC2 instance that must all match; made like a MeasurementSet.

    ``docs/reference/nitrotpm-pcrs.md`` lists what each PCR measures and which ones to pin.

    Attributes:
        pcrs: Expected values by index (0 to 31).
        name: Name of the set in results.

    Raises:
        InputError: ``policyfile.empty``, ``policyfile.pcr_index``, ``policyfile.hex``,
            ``policyfile.format``.
    """

    __slots__ = ()

    def failures(self, document: NitroTpmDocument) -> list[PolicyFailure]:
        """Compares the expected PCRs with those of a document.

        Args:
            document: The document, whose signature has been verified.

        Returns:
            A failure for each expected PCR that is missing or different in the document.

        Raises:
            InputError: ``input.document``: the argument is not a verified document of an instance.
        """
        check_kind(document, NitroTpmDocument)
        return self._mismatches(document.nitrotpm_pcrs)

    def weaknesses(self) -> list[AttestationWarning]:
        """Returns warnings about expected PCRs that do not identify the boot chain (T-4, T-5)."""
        warnings = []
        secure_boot = self.pcrs.get(7, SECURE_BOOT_OFF_PCR7)
        if 4 not in self.pcrs and secure_boot == SECURE_BOOT_OFF_PCR7:
            warnings.append(
                AttestationWarning(
                    "policy.weak",
                    "the expected PCRs do not identify what the instance booted: they are "
                    "constant, or its operating system can extend them to any value; pin PCR4 (or "
                    "PCR7 with Secure Boot on)" + self._suffix(),
                )
            )
        if self.pcrs.keys() & {0, 1}:
            warnings.append(
                AttestationWarning(
                    "policy.weak",
                    "PCR0 and PCR1 measure the firmware, which AWS updates; these pins will "
                    "fail after such an update" + self._suffix(),
                )
            )
        return warnings


def check_enclave_pcrs(found: _PcrSet) -> None:
    """Rejects a set from a file or tool that can only be about an EC2 instance (T-2, T-6).

    An enclave does not use PCR7 and PCR12, so they identify no image of one, with or without PCR4.

    Args:
        found: The set that was read.

    Raises:
        InputError: ``policyfile.format``.
    """
    if found.pcrs.keys() <= {4, 7, 12} and found.pcrs.keys() & {7, 12}:
        raise InputError(
            "policyfile.format",
            f"expected PCRs of an enclave, found only {' and '.join(found.to_named())}, as of an "
            "EC2 instance (nitro-tpm-pcr-compute); such PCRs are for documents of kind nitrotpm",
        )


def unpinned_warnings(found: NitroTpmMeasurementSet) -> list[AttestationWarning]:
    """Returns a warning for each of PCR7 and PCR12 that a reference file left out (T-6).

    Args:
        found: The set from the file, perhaps with more pins.
    """
    return [
        AttestationWarning(
            "policy.unpinned", f"PCR{index} is not pinned: {unchecked}{found._suffix()}"
        )
        for index, unchecked in _REFERENCE_PCRS.items()
        if index not in found.pcrs
    ]


def _set_name(name: object) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_NAME_LENGTH:
        raise InputError(
            "policyfile.format",
            f"name of a measurement set: expected 1 to {_MAX_NAME_LENGTH} printable characters, "
            f"found {reprlib.repr(name)}",
        )
    return name


def _check_hash_algorithm(value: object) -> None:
    if not isinstance(value, str) or not value.casefold().startswith("sha384"):
        raise InputError(
            "policyfile.hash_algorithm",
            f"HashAlgorithm: expected SHA384, found {reprlib.repr(value)}",
        )


def _index_in(key: object) -> int:
    """Returns the index in ``PCR<n>``. Rejects a leading zero, so that each PCR has one name."""
    match = _PCR_NAME.fullmatch(key.casefold()) if isinstance(key, str) else None
    if not match:
        raise InputError(
            "policyfile.unknown_key",
            f"unknown key {reprlib.repr(key)} among measurements; expected PCR0 to "
            f"PCR{MAX_PCRS - 1} or HashAlgorithm",
        )
    return int(match[1])


def _pcr_index(index: object) -> int:
    if type(index) is not int or not 0 <= index < MAX_PCRS:
        raise InputError(
            "policyfile.pcr_index",
            f"PCR index: expected an integer from 0 to {MAX_PCRS - 1}, found {index!r}",
        )
    return index


def _pcr_value(index: int, value: object) -> bytes:
    """Returns the 48 bytes of a value given as bytes or as hex (M-9)."""
    if isinstance(value, str):
        digits = value[2:] if value[:2] in ("0x", "0X") else value
        if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * PCR_BYTES}}}", digits):
            found = "another character" if len(digits) == 2 * PCR_BYTES else f"{len(digits)}"
            raise InputError(
                "policyfile.hex", f"PCR{index}: expected {2 * PCR_BYTES} hex digits, found {found}"
            )
        value = bytes.fromhex(digits)
    if not isinstance(value, bytes) or len(value) != PCR_BYTES:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise InputError(
            "policyfile.hex", f"PCR{index}: expected {PCR_BYTES} bytes or hex, found {found}"
        )
    return value
