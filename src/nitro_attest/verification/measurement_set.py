"""PCR values that must all match, and what is said of those that prove little.

The check iterates over what is expected, never over what the document happens to hold, so that
whatever is absent fails (P-18).
"""

from __future__ import annotations

import hmac
import re
import reprlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from nitro_attest._internal.frozen import Value
from nitro_attest._internal.pcrs import (
    EMPTY_RAMDISKS,
    IMAGE_PCRS,
    SECURE_BOOT_OFF_PCR7,
    ZERO_PCR,
)
from nitro_attest.errors import AttestationWarning, InputError, PolicyFailure
from nitro_attest.limits import MAX_PCRS, PCR_BYTES
from nitro_attest.verification.document import AttestationDocument, NitroTpmDocument

if TYPE_CHECKING:
    from typing_extensions import Self

_HASH_ALGORITHM: Final = "hashalgorithm"
_PCR_NAME: Final = re.compile(r"pcr(0|[1-9][0-9]?)")
_MAX_NAME_LENGTH: Final = 128


class _PcrSet(Value):
    """Expected PCR values. Private: the two kinds of document share no public base (T-1)."""

    pcrs: Mapping[int, bytes]
    name: str | None

    def __init__(self, pcrs: Mapping[int, bytes | str], name: str | None = None) -> None:
        values = (
            {_pcr_index(index): _pcr_value(index, value) for index, value in pcrs.items()}
            if isinstance(pcrs, Mapping)
            else {}
        )
        if not values:  # our own copy: the caller's mapping may change
            raise InputError(
                "policyfile.empty",
                "a measurement set must hold at least one PCR; an empty one would accept anything",
            )
        self.__dict__.update(
            pcrs=MappingProxyType(dict(sorted(values.items()))), name=_set_name(name)
        )

    @classmethod
    def from_named(cls, values: Mapping[str, Any], name: str | None = None) -> Self:
        """The set that an object of ``PCR<n>`` keys describes, as nitro-cli prints it (L-1).

        Args:
            values: ``PCR0`` to ``PCR31`` in any case, as 96 hex digits each, and at most
                ``HashAlgorithm``, which must begin with ``Sha384``. Nothing else.
            name: What to call the set.

        Raises:
            InputError: ``policyfile.unknown_key``, ``policyfile.duplicate``,
                ``policyfile.hash_algorithm``, or as the class itself.
        """
        pcrs: dict[int, str] = {}
        for key, value in values.items():
            if isinstance(key, str) and key.casefold() == _HASH_ALGORITHM:
                _check_hash_algorithm(value)
                continue
            index = _index_in(key)
            if index in pcrs:
                raise InputError("policyfile.duplicate", f"PCR{index} is given twice")
            if not isinstance(value, str):
                raise InputError("policyfile.hex", f"{key} is not text of hex digits")
            pcrs[index] = value
        return cls(pcrs, name)

    def to_named(self) -> dict[str, str]:
        """The expected values under ``PCR<n>`` keys, as lower-case hex."""
        return {f"PCR{index}": value.hex() for index, value in self.pcrs.items()}

    def with_pins(self, pins: Mapping[int, bytes | str]) -> Self:
        """This set and more expected PCRs, all of which must match.

        Raises:
            InputError: ``policyfile.duplicate``: a pin contradicts the set. Otherwise as the class.
        """
        added = type(self)(pins)
        for index, value in added.pcrs.items():
            if self.pcrs.get(index, value) != value:
                raise InputError(
                    "policyfile.duplicate",
                    f"PCR{index} is expected to be {self.pcrs[index].hex()} and also "
                    f"{value.hex()}; no document can have both{self._suffix()}",
                )
        return type(self)({**self.pcrs, **added.pcrs}, self.name)

    def _mismatches(self, found_pcrs: Mapping[int, bytes]) -> list[PolicyFailure]:
        failures = []
        for index, expected in self.pcrs.items():
            found = found_pcrs.get(index)
            if found is not None and hmac.compare_digest(found, expected):
                continue
            code, what = (
                ("policy.pcr_absent", f"PCR{index} is not in the document")
                if found is None
                else ("policy.pcr_mismatch", f"PCR{index} is {found.hex()}")
            )
            failures.append(
                PolicyFailure(
                    code,
                    f"{what}; {expected.hex()} was expected" + self._suffix(),
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

    Attributes:
        pcrs: Expected values by index (0 to 31): 48 bytes, or 96 hex digits in either case with an
            optional 0x, which become bytes here.
        name: What to call the set in results, such as ``v1.4.2``: 1 to 128 printable characters.

    Raises:
        InputError: ``policyfile.empty`` (no PCR), ``policyfile.pcr_index``, ``policyfile.hex``,
            ``policyfile.format`` (the name), or ``policyfile.zero_pin`` (PCR0, PCR1 or PCR2 of all
            zeros would demand debug mode, M-3).
    """

    def __init__(self, pcrs: Mapping[int, bytes | str], name: str | None = None) -> None:
        super().__init__(pcrs, name)
        for index in IMAGE_PCRS:
            if self.pcrs.get(index) == ZERO_PCR:
                raise InputError(
                    "policyfile.zero_pin",
                    f"PCR{index} is pinned to zeros, the value of every enclave in debug mode; use "
                    "the measurements that the image was built with",
                )

    def failures(self, document: AttestationDocument) -> list[PolicyFailure]:
        """Every expected PCR that the document lacks or that has another value there."""
        return self._mismatches(document.pcrs)

    def weaknesses(self) -> list[AttestationWarning]:
        """Pins that say less than they seem to (M-3, M-4, M-8)."""
        notices = []
        if not any(self._says_which_image(index) for index in (*IMAGE_PCRS, 8)):
            notices.append(
                AttestationWarning(
                    "policy.weak",
                    "the expected PCRs do not say which image runs; pin PCR0, PCR1 and PCR2"
                    + self._suffix(),
                )
            )
        for index, meaning in ((3, "no IAM role was attached"), (8, "the image is not signed")):
            if self.pcrs.get(index) == ZERO_PCR:
                notices.append(
                    AttestationWarning(
                        "policy.weak", f"PCR{index} of all zeros means: {meaning}{self._suffix()}"
                    )
                )
        return notices

    def _says_which_image(self, index: int) -> bool:
        value = self.pcrs.get(index, ZERO_PCR)
        return value != ZERO_PCR and not (index == 2 and value == EMPTY_RAMDISKS)


class NitroTpmMeasurementSet(_PcrSet):
    """PCR values of an EC2 instance that must all match; the same form as MeasurementSet.

    What each register holds, and which are worth pinning: ``docs/reference/nitrotpm-pcrs.md``.

    Attributes:
        pcrs: Expected values by index (0 to 31).
        name: What to call the set in results.

    Raises:
        InputError: ``policyfile.empty``, ``policyfile.pcr_index``, ``policyfile.hex``,
            ``policyfile.format``.
    """

    def failures(self, document: NitroTpmDocument) -> list[PolicyFailure]:
        """Every expected PCR that the document lacks or that has another value there."""
        return self._mismatches(document.nitrotpm_pcrs)

    def weaknesses(self) -> list[AttestationWarning]:
        """Pins that do not say what the instance booted (T-4, T-5)."""
        notices = []
        secure_boot = self.pcrs.get(7, SECURE_BOOT_OFF_PCR7)
        if 4 not in self.pcrs and secure_boot == SECURE_BOOT_OFF_PCR7:
            notices.append(
                AttestationWarning(
                    "policy.weak",
                    "the expected PCRs do not say what the instance booted: all that is pinned is "
                    "constant, or its operating system can extend it to any value; pin PCR4 (or "
                    "PCR7 with Secure Boot on)" + self._suffix(),
                )
            )
        if self.pcrs.keys() & {0, 1}:
            notices.append(
                AttestationWarning(
                    "policy.weak",
                    "PCR0 and PCR1 belong to the firmware, which AWS changes; such a pin will fail "
                    "one day without any change of yours" + self._suffix(),
                )
            )
        return notices


def _set_name(name: object) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_NAME_LENGTH:
        raise InputError(
            "policyfile.format",
            f"the name of a measurement set is {reprlib.repr(name)}; 1 to "
            f"{_MAX_NAME_LENGTH} printable characters were expected",
        )
    return name


def _check_hash_algorithm(value: object) -> None:
    if not isinstance(value, str) or not value.casefold().startswith("sha384"):
        raise InputError(
            "policyfile.hash_algorithm",
            f"HashAlgorithm is {reprlib.repr(value)}; only SHA-384 measurements apply",
        )


def _index_in(key: object) -> int:
    """The index in ``PCR<n>``. A leading zero is refused, so that one register has one name."""
    match = _PCR_NAME.fullmatch(key.casefold()) if isinstance(key, str) else None
    if not match:
        raise InputError(
            "policyfile.unknown_key",
            f"unknown key {reprlib.repr(key)} among measurements; PCR0 to PCR{MAX_PCRS - 1} and "
            "HashAlgorithm are known",
        )
    return int(match[1])


def _pcr_index(index: object) -> int:
    if type(index) is not int or not 0 <= index < MAX_PCRS:
        raise InputError(
            "policyfile.pcr_index",
            f"PCR index {index!r} is not an integer from 0 to {MAX_PCRS - 1}",
        )
    return index


def _pcr_value(index: int, value: object) -> bytes:
    """48 bytes, or text as M-9 has it."""
    if isinstance(value, str):
        digits = value[2:] if value[:2] in ("0x", "0X") else value
        if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * PCR_BYTES}}}", digits):
            found = (
                "a character that is no hex digit"
                if len(digits) == 2 * PCR_BYTES
                else f"{len(digits)} digits"
            )
            raise InputError(
                "policyfile.hex", f"PCR{index} value has {found}; {2 * PCR_BYTES} were expected"
            )
        value = bytes.fromhex(digits)
    if not isinstance(value, bytes) or len(value) != PCR_BYTES:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise InputError(
            "policyfile.hex", f"PCR{index} value is {found}; {PCR_BYTES} bytes or hex were expected"
        )
    return value
