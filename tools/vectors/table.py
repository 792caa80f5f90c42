"""Rows that become cases: one edit of an ordinary document of an enclave each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nitro_attest.testing.draft import Edit
from vectors.case import Case, Policy
from vectors.expectations import Expectation
from vectors.fakes import NITRO, WHEN
from vectors.fault_cases import group_of


class Row(NamedTuple):
    """One case.

    Attributes:
        id: The rule and the change, such as ``X-1.boolean-01``.
        title: The broken or unusual part.
        edit: The change to an ordinary document.
        code: The code of the error; None if the document must be accepted.
        also: Further rules that the case is about.
        expectation: The result that any verifier should have; None: that of the tables.
        policy: The requirements of the caller.
    """

    id: str
    title: str
    edit: Edit
    code: str | None = None
    also: tuple[str, ...] = ()
    expectation: Expectation | None = None
    policy: Policy = Policy()


def cases(rows: Iterable[Row]) -> Iterator[Case]:
    """Makes the document of each row."""
    for row in rows:
        rule = row.id.partition(".")[0]
        yield Case(
            id=row.id,
            group=group_of(rule),
            rules=(rule, *row.also),
            title=row.title,
            document=NITRO.edited(row.edit),
            time=WHEN,
            policy=row.policy,
            code=row.code,
            expectation=row.expectation,
        )
