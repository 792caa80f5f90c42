"""All cases, in the order of the files."""

from __future__ import annotations

from typing import Final

from vectors import (
    cost_cases,
    der_cases,
    fault_cases,
    genuine,
    payload_cases,
    policy_cases,
    policy_files,
    rare_cases,
    revocation_cases,
    trust_cases,
    validity_cases,
)
from vectors.case import Case

ABOUT: Final = {
    "envelope": "The outer COSE_Sign1, which nothing signs but its payload.",
    "payload": "The signed map, in both of its forms.",
    "chain": "The certificates, their order, and both ends of each one's validity.",
    "signature": "The document's own signature.",
    "policy": "Authentic documents of enclaves: time, names, debug mode, and what was asked for.",
    "instance": "Documents of EC2 instances (NitroTPM), and the two kinds taken for each other.",
    "policy-file": "Documents judged by the files that build tools write, and what these demand.",
    "revocation": "A document judged with revocation lists.",
    "genuine": "Documents that AWS hardware signed, as they are and with one thing changed.",
}


def all_cases() -> list[Case]:
    """Every case of the suite.

    Raises:
        ValueError: Two cases have one name, or contradict each other.
    """
    cases: dict[str, Case] = {}
    answers: dict[tuple[object, ...], str | None] = {}
    for table in (
        fault_cases.faults(),
        fault_cases.variants(),
        fault_cases.counted(),
        validity_cases.cases(),
        policy_cases.enclaves(),
        fault_cases.instances(),
        policy_cases.instances(),
        policy_cases.confused(),
        policy_files.cases(),
        revocation_cases.cases(),
        genuine.cases(),
        trust_cases.cases(),
        der_cases.cases(),
        rare_cases.cases(),
        payload_cases.cases(),
        policy_cases.degenerate(),
        cost_cases.cases(),
    ):
        for case in table:
            if cases.setdefault(case.id, case) is not case:
                raise ValueError(f"two cases are named {case.id}")
            if answers.setdefault(case.question, case.code) != case.code:
                raise ValueError(f"{case.id} contradicts another case")
    return list(cases.values())
