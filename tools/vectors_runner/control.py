"""The control: cases that every verifier answers alike, asked before all others.

A program that accepts no valid case or rejects no wrong one is not a verifier, and has no score.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from vectors_runner.suite import Case, SuiteError
from vectors_runner.verifiers import Answer, Ask


class Control(NamedTuple):
    """The control cases of one kind of case, by id."""

    accept: tuple[str, ...]
    reject: tuple[str, ...]


CONTROLS: Final[Mapping[str, Control]] = {
    "document": Control(
        ("C-1.ordinary", "P-1.counted", "genuine.20250916"),
        ("C-16.payload-swapped", "C-16.one-bit", "X-8.leaf-by-stranger"),
    ),
    "policy": Control(("L-1.build-enclave",), ("L-1.build-enclave-other",)),
    "crl": Control(("R-2.ordinary",), ("R-7.no-reason",)),
    "image": Control(("F-1.version-4",), ("F-1.elf", "S-2.other-key")),
}
"""The control cases by the kind of case; none of them is one on which verifiers may differ."""


class ControlError(Exception):
    """The program is not a verifier, for the reason that the message gives."""


def check_control(
    cases: Iterable[Case],
    kinds: Collection[str],
    ask: Ask,
    lacking: Callable[[Case], Collection[str]],
) -> set[str]:
    """Asks about the control cases.

    Args:
        cases: The whole suite.
        kinds: The kinds of cases that the verifier will be asked about.
        ask: The verifier.
        lacking: The needs of a case that it cannot be given.

    Returns:
        The kinds that the verifier does not support.

    Raises:
        ControlError: It accepts no valid case of one kind, or rejects no wrong one.
        SuiteError: The suite lacks the control cases.
    """
    by_id = {case["id"]: case for case in cases}
    unsupported = set()
    for kind in [kind for kind in CONTROLS if kind in kinds]:
        try:
            sides = [[by_id[name] for name in names] for names in CONTROLS[kind]]
        except KeyError as missing:
            raise SuiteError(f"the control case {missing} is not in the suite") from None
        valid, wrong = ([ask(case) for case in side if not lacking(case)] for side in sides)
        outcomes = {answer.outcome for answer in (*valid, *wrong)}
        if outcomes == {"unsupported"} and kind != "document":
            unsupported.add(kind)
            continue
        found = diagnosis(valid, wrong)
        if found:
            raise ControlError(f"the verifier {found}: {len(valid + wrong)} control cases ({kind})")
    return unsupported


def diagnosis(valid: Sequence[Answer], wrong: Sequence[Answer]) -> str | None:
    """Returns the reason why these answers are not those of a verifier, or None.

    Args:
        valid: The answers to the cases that must be accepted; none if it cannot be asked.
        wrong: The answers to the cases that must be rejected; none if it cannot be asked.
    """
    answers = [*valid, *wrong]
    outcomes = {answer.outcome for answer in answers}
    if "unsupported" in outcomes:
        return "answers unsupported"
    accepts = not valid or any(answer.outcome in ("accept", "mismeasure") for answer in valid)
    rejects = not wrong or any(answer.outcome == "reject" for answer in wrong)
    if accepts and rejects:
        return None
    if outcomes == {"timeout"}:
        return "never answers in time"
    if outcomes == {"crash"}:
        return _ends(answers)
    if outcomes == {"reject"}:
        return "rejects everything"
    if outcomes <= {"accept", "mismeasure"}:
        return "accepts everything"
    return "rejects no wrong case" if accepts else "accepts no valid case"


def _ends(answers: Sequence[Answer]) -> str:
    """Returns how a program that always ends without an answer does so."""
    if all(answer.status == 0 for answer in answers):
        return "prints nothing"
    return f"aborts ({answers[0].message})"
