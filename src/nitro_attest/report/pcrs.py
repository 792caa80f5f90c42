"""The PCRs of a document: what each measures, and the expected values beside the one found."""

from __future__ import annotations

from typing import Final, NamedTuple

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.report.facts import Facts
from nitro_attest.verification.core import Kind

MAX_SETS: Final = 16
"""Measurement sets shown; a policy may have hundreds."""

_UNUSED: Final = "not used"
_OWN_CODE: Final = "extended by the code in the enclave"
_OF_ENCLAVE: Final = {
    0: "the image: kernel, command line and all ramdisks",
    1: "kernel, command line and first ramdisk",
    2: "the other ramdisks: the application",
    3: "IAM role of the parent instance",
    4: "id of the parent instance",
    8: "certificate that signed the image",
    **dict.fromkeys(range(16, 32), _OWN_CODE),
}
_OF_INSTANCE: Final = {
    0: "firmware code",
    1: "firmware configuration",
    **dict.fromkeys((2, 3, 6), "a separator"),
    4: "the boot chain: what firmware started",
    5: "partition table and boot configuration",
    7: "Secure Boot: its state, variables and certificate",
    **dict.fromkeys(range(8, 11), "boot loader and kernel"),
    11: "sections of a unified kernel image, phases of the boot",
    12: "command line and other input to the boot stub",
    **dict.fromkeys(range(13, 16), "defined by the operating system"),
    **dict.fromkeys((16, 23), "anything: can be reset on the instance"),
}
_MEANINGS: Final[dict[Kind, dict[int, str]]] = {"enclave": _OF_ENCLAVE, "nitrotpm": _OF_INSTANCE}


class Expected(NamedTuple):
    """An expected value.

    Attributes:
        measurement_set: Name of its set; None if that has none.
        value: The value in hex.
        matches: True if the document has this value.
    """

    measurement_set: str | None
    value: str
    matches: bool


class PcrRow(NamedTuple):
    """One PCR.

    Attributes:
        number: Its number.
        meaning: Description of the measured content.
        found: The value in the document in hex; None if it has none.
        expected: The expected values.
        status: The result of the comparison.
    """

    number: int
    meaning: str
    found: str | None
    expected: tuple[Expected, ...]
    status: str


def pcr_rows(facts: Facts) -> list[PcrRow]:
    """Returns the PCRs that are expected or not zero."""
    sets = facts.measurement_sets[:MAX_SETS]
    expected = {index for each in sets for index in each.pcrs}
    found = {index for index, value in facts.pcrs.items() if value != ZERO_PCR}
    return [_row(facts, index) for index in sorted(expected | found)]


def zero_pcrs(facts: Facts) -> list[int]:
    """Returns the PCRs of only zeros of which no value is expected."""
    shown = {row.number for row in pcr_rows(facts)}
    return [index for index in facts.pcrs if index not in shown]


def _row(facts: Facts, index: int) -> PcrRow:
    found = facts.pcrs.get(index)
    expected = tuple(
        Expected(each.name, each.pcrs[index].hex(), each.pcrs[index] == found)
        for each in facts.measurement_sets[:MAX_SETS]
        if index in each.pcrs
    )
    meaning = _MEANINGS[facts.kind].get(index, _UNUSED) if facts.kind else ""
    return PcrRow(
        index, meaning, None if found is None else found.hex(), expected, _status(facts, expected)
    )


def _status(facts: Facts, expected: tuple[Expected, ...]) -> str:
    if not expected:
        return "not compared"
    matching = sum(each.matches for each in expected)
    if matching == len(expected):
        status = "as expected"
    else:
        status = f"matches {matching} of {len(expected)} sets" if matching else "MISMATCH"
    return status if facts.authentic else f"{status}, but UNVERIFIED"
