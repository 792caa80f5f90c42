"""What a broken or an unusual document is, and how one is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from nitro_attest.testing.draft import Edit


@dataclass(frozen=True, kw_only=True)
class Case:
    """How to make a document and how to judge it.

    Attributes:
        edit: The change to an ordinary document; None where the arguments below say it all.
        document: Arguments of ``FakeNitro.document`` that the case needs.
        verify: Arguments of ``nitro_attest.verify`` that the case needs; an ``at`` among them wins
            over ``at_shift``.
        at_shift: How long after the document was made it is verified.
    """

    edit: Edit | None = field(default=None, repr=False, hash=False)
    document: Mapping[str, Any] = field(default_factory=dict, hash=False)
    verify: Mapping[str, Any] = field(default_factory=dict, hash=False)
    at_shift: timedelta = timedelta(0)


@dataclass(frozen=True)
class Fault(Case):
    """A document that breaks one rule.

    Attributes:
        id: The rule and what is done to it, such as ``C-4.second-tag``.
        code: The code of the error that the verifier must raise.
        description: What is broken, and who would do that.
    """

    id: str
    code: str
    description: str

    @property
    def rule(self) -> str:
        """The rule that is broken, such as ``C-4``."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Variant(Case):
    """An unusual document that is accepted all the same.

    Attributes:
        id: The rule that makes room for it and what it is, such as ``C-4.tag-18``.
        rules: The rules of which this is the accepting case.
        description: What is unusual about it, and where it occurs.
        warnings: Codes of the warnings that come with the result, in order.
    """

    id: str
    rules: tuple[str, ...]
    description: str
    warnings: tuple[str, ...] = field(
        default=("policy.none", "freshness.unbound", "root.custom"), kw_only=True
    )
