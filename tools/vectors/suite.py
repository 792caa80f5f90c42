"""All cases, in the order of the files."""

from __future__ import annotations

from collections import Counter
from typing import Final

from vectors import asked, genuine, tables, windows
from vectors.case import Case

ABOUT: Final = {
    "envelope": "The outer COSE_Sign1, which nothing signs but its payload.",
    "payload": "The signed map, in both of its forms.",
    "chain": "The certificates, their order, and both ends of each one's validity.",
    "signature": "The document's own signature.",
    "policy": "Authentic documents of enclaves: time, names, debug mode, and what was asked for.",
    "instance": "Documents of EC2 instances (NitroTPM), and the two kinds taken for each other.",
    "genuine": "Documents that AWS hardware signed, as they are and with one thing changed.",
}


def all_cases() -> list[Case]:
    """Every case of the suite, each question once."""
    cases: list[Case] = []
    seen: dict[tuple[object, ...], Case] = {}
    for table in (
        *(tables.faults(), tables.variants(), tables.counted(), windows.cases()),
        *(asked.enclaves(), tables.instances(), asked.instances(), asked.confused()),
        genuine.cases(),
    ):
        for case in table:
            if case.question not in seen:
                cases.append(seen.setdefault(case.question, case))
            elif seen[case.question].code != case.code:
                raise ValueError(f"{case.id} contradicts {seen[case.question].id}")
    names = Counter(case.id for case in cases)
    if len(names) != len(cases):
        raise ValueError(f"two cases are named {names.most_common(1)[0][0]}")
    return cases
