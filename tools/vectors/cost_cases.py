"""Documents that ask a reader for work or memory out of proportion to their size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nitro_attest.testing.draft import BREAK, Draft, Edit, array, bstr, head, tstr
from nitro_attest.testing.faults.payload import bundle, extra, pcrs, value
from vectors.case import Case
from vectors.expectations import Expectation
from vectors.table import Row
from vectors.table import cases as cases_of

MAY_SKIP: Final = Expectation("acceptable", "low", ("denial-of-service", "unknown-keys"))
"""A verifier that skips unknown fields may accept these, within the bounds."""

DEPTH: Final = 9_000
UNSIGNED_64: Final = 2**64 - 1
LOG: Final = tstr("measurement_log")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from cases_of(ROWS)


def _unknown_fields(count: int) -> Edit:
    def apply(draft: Draft) -> None:
        draft.fields += [(tstr(f"{number:04x}"), b"\x00") for number in range(count)]

    return Edit("fields", apply)


ROWS: Final = (
    *(
        Row(
            f"P-7.cost-{name}",
            f"An unknown field whose value is {what}.",
            extra(LOG, content),
            "payload.unknown_key",
            expectation=MAY_SKIP,
        )
        for name, what, content in (
            ("arrays", f"{DEPTH} arrays, each in the one before", b"\x81" * DEPTH + b"\x00"),
            ("maps", f"{DEPTH // 2} maps in maps", b"\xa1\x00" * (DEPTH // 2) + b"\x00"),
            ("tags", f"a number under {DEPTH} tags", b"\xc6" * DEPTH + b"\x00"),
            (
                "open-arrays",
                f"{DEPTH // 2} arrays of indefinite length, each in the one before",
                b"\x9f" * (DEPTH // 2) + BREAK * (DEPTH // 2),
            ),
            ("chunks", f"a string in {DEPTH} chunks of 0 bytes", b"\x5f" + b"\x40" * DEPTH + BREAK),
            ("entries", f"an array of {DEPTH} numbers", array([b"\x00"] * DEPTH)),
        )
    ),
    Row(
        "P-7.cost-fields",
        "1,500 unknown fields: comparing each with all others takes a million steps.",
        _unknown_fields(1_500),
        "payload.unknown_key",
        expectation=MAY_SKIP,
    ),
    *(
        Row(
            f"{rule}.cost",
            f"The head of {name} claims 2^64 - 1 bytes.",
            value(name, head(major, UNSIGNED_64)),
            f"payload.{name}",
        )
        for rule, name, major in (
            ("P-12", "module_id", 3),
            ("P-19", "certificate", 2),
            ("P-23", "user_data", 2),
        )
    ),
    Row(
        "P-15.cost-entries",
        "A map of 3,000 PCRs.",
        pcrs(lambda honest: [*honest, *((head(0, 32 + n), b"\x40") for n in range(3_000))]),
        "payload.pcrs_count",
    ),
    Row(
        "P-20.cost-entries",
        f"A cabundle of {DEPTH} further entries of 0 bytes.",
        bundle(lambda items: [*items, *[bstr(b"")] * DEPTH]),
        "payload.cabundle",
    ),
)
