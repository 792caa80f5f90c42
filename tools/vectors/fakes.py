"""The fake Nitro systems that the suite's documents come from, all of them reproducible."""

from __future__ import annotations

from datetime import datetime, timezone
from importlib.resources import files
from typing import Final

from nitro_attest.testing import FakeNitro
from nitro_attest.testing.draft import Edit, Kind, Options, finish
from nitro_attest.testing.faults.revocation import Edit as ListEdit

SEED: Final = b"nitro-attest conformance vectors 1"
WHEN: Final = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
"""The time at which documents are made, and verified unless a case gives another time."""


class EditableNitro(FakeNitro):
    """A FakeNitro that also makes documents with edits outside the tables of faults."""

    def edited(self, edit: Edit, *, at: datetime = WHEN, kind: Kind = "enclave") -> bytes:
        """Makes a document with one edit applied to it."""
        options = Options(
            at=at,
            pcrs={},
            debug=False,
            kind=kind,
            nonce=None,
            user_data=None,
            public_key=None,
            absent=(),
            indefinite=True,
            tagged=False,
            high_s=None,
        )
        return finish(self._draft(options), edit)

    def edited_list(self, issuer: str, edit: ListEdit, *, at: datetime = WHEN) -> bytes:
        """Makes the revocation list of a CA with a change applied to it."""
        return edit(*self._list_form(issuer, at)).der


NITRO: Final = EditableNitro(seed=SEED)
GOVCLOUD: Final = EditableNitro(seed=SEED + b" govcloud", govcloud_dates=True)
OTHER: Final = EditableNitro(seed=SEED + b" other")


def roots() -> dict[str, bytes]:
    """Every trusted root of the suite as PEM, by name."""
    shipped = files("nitro_attest.verification") / "aws_roots"
    return {
        "aws": (shipped / "aws.pem").read_bytes(),
        "aws-us-gov": (shipped / "aws-us-gov.pem").read_bytes(),
        "fake": NITRO.root_pem,
        "fake-govcloud": GOVCLOUD.root_pem,
        "fake-other": OTHER.root_pem,
    }
