"""The descriptions of broken and of unusual documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from nitro_attest.testing.draft import Edit

__all__ = ["Case", "Fault", "Variant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A document to make, and the arguments under which to verify it.

    Attributes:
        edit: The change to an ordinary document; None if ``document`` has all changes.
        document: Arguments of ``FakeNitro.document`` that the case needs, which adds them itself.
        verify: Arguments of ``nitro_attest.verify`` that the case needs; an ``at`` among them
            overrides ``at_shift``.
        at_shift: Verification time, relative to the time at which the document is made.
        exact: True if the case shows only at that time, to the millisecond.
    """

    edit: Edit | None = field(default=None, repr=False, hash=False)
    document: Mapping[str, Any] = field(default_factory=dict, hash=False)
    verify: Mapping[str, Any] = field(default_factory=dict, hash=False)
    at_shift: timedelta = timedelta(0)
    exact: bool = False

    @property
    def needs_arguments(self) -> bool:
        """True if the case only shows under the arguments that ``verify_arguments`` returns.

        All other cases show under ``verify(document, root_pem)``, if ``FakeNitro.document`` made
        the document now.
        """
        return bool(self.verify) or self.exact

    def verify_arguments(self, made: datetime) -> dict[str, Any]:
        """Returns the keyword arguments of ``nitro_attest.verify`` for a document of this case.

        Args:
            made: The ``at`` with which ``FakeNitro.document`` made the document.

        Returns:
            ``at``, and the arguments that the case needs besides, such as ``nonce``.

        Example:
            >>> from datetime import datetime, timezone
            >>> from nitro_attest.testing import FAULTS
            >>> made = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
            >>> FAULTS["X-23.too-old"].verify_arguments(made)["at"].isoformat()
            '2026-03-01T12:06:00+00:00'
        """
        return {"at": made + self.at_shift, **self.verify}


@dataclass(frozen=True, slots=True)
class Fault(Case):
    """A document that breaks one rule.

    Attributes:
        id: The rule and the change, such as ``C-4.second-tag``.
        code: The code of the error that the verifier must raise.
        description: The broken part, and who would break it.
        edit: The change to an ordinary document; None if ``document`` has all changes.
        document: Arguments of ``FakeNitro.document`` that the case needs, which adds them itself.
        verify: Arguments of ``nitro_attest.verify`` that the case needs; an ``at`` among them
            overrides ``at_shift``.
        at_shift: Verification time, relative to the time at which the document is made.
        exact: True if the case shows only at that time, to the millisecond.
    """

    id: str
    code: str
    description: str

    @property
    def rule(self) -> str:
        """The broken rule, such as ``C-4``."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Variant(Case):
    """An unusual document that must be accepted.

    Attributes:
        id: The rule that allows it and the change, such as ``C-4.tag-18``.
        rules: The rules for which this is an accepted case.
        description: The unusual part, and where it occurs.
        warnings: Codes of the warnings of the result, in order.
        edit: The change to an ordinary document; None if ``document`` has all changes.
        document: Arguments of ``FakeNitro.document`` that the case needs, which adds them itself.
        verify: Arguments of ``nitro_attest.verify`` that the case needs; an ``at`` among them
            overrides ``at_shift``.
        at_shift: Verification time, relative to the time at which the document is made.
        exact: True if the case shows only at that time, to the millisecond.
    """

    id: str
    rules: tuple[str, ...]
    description: str
    warnings: tuple[str, ...] = field(
        default=("policy.none", "freshness.unbound", "root.custom"), kw_only=True
    )
