"""The report of one verification."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final

from nitro_attest.report import html, markdown
from nitro_attest.report.byte_map import regions
from nitro_attest.report.checks import checks, verdict
from nitro_attest.report.facts import Facts, Result, read
from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation
from nitro_attest.verification.batch import Request
from nitro_attest.verification.policy import VerificationPolicy
from nitro_attest.verification.revocation import RevocationLists

__all__ = ["Report", "load_ipython_extension"]

SCHEMA: Final = "nitro-attest-report/1"
"""Identifies the JSON form of a report."""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """One verification, for people: what was checked, what was not, and all bytes.

    Made by ``Report.of``. Reads no clock and no file: equal arguments give equal reports. A
    notebook shows it as HTML.

    Example:
        >>> attestation = verify(document, root_pem, policy={0: pcrs[0]}, nonce=nonce)
        >>> report = Report.of(attestation, Request(document, nonce=nonce))
        >>> report.verdict
        'VERIFIED: the measurements match (PCR0)'
        >>> report.to_html()[:15]
        '<!DOCTYPE html>'
    """

    _facts: Facts

    @classmethod
    def of(
        cls,
        result: Result,
        request: Request | None = None,
        *,
        policy: VerificationPolicy[Any] | None = None,
        revocation: RevocationLists | None = None,
        verified_at: datetime | None = None,
        source: str = "document",
    ) -> Report:
        """Makes the report of a result.

        Args:
            result: The attestation, or the error that the verification raised.
            request: The document and the expectations of the call. Without it, the report has no
                bytes and cannot say which values were expected; that of an error has no content
                either.
            policy: For an error: the policy of the verifier, to show the expected PCRs. An
                attestation has its own.
            revocation: For an error: the revocation lists of the verifier, if it had some.
            verified_at: For an error: the verification time, if the request does not give it.
            source: Name of the document, such as a file name.

        Returns:
            The report.

        Raises:
            InputError: ``input.document``: the request is not for the document of the result, or
                expects what the attestation does not have.
                ``input.expected`` or ``input.time``: an argument has another type.
        """
        return cls(read(result, request, policy, revocation, verified_at, source))

    @property
    def accepted(self) -> bool:
        """True if the document was accepted."""
        return self._facts.attestation is not None

    @property
    def verdict(self) -> str:
        """The verdict and its reason: VERIFIED, AUTHENTIC or REJECTED, and a sentence."""
        return str(verdict(self._facts))

    def to_html(self) -> str:
        """Returns one HTML file, with its style; it loads nothing and needs no script."""
        return html.to_html(self._facts, self.to_dict())

    def to_markdown(self) -> str:
        """Returns Markdown, without the bytes of the document."""
        return markdown.to_markdown(self._facts)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-ready values: the verdict, the checks, and the result as ``verify --json``.

        ``unverified`` is the content of a rejected document; ``document`` has its bytes in hex.
        """
        facts = self._facts
        at = facts.verified_at
        return {
            "schema": SCHEMA,
            "source": facts.source,
            "verified": self.accepted,
            "verdict": self.verdict,
            "verified_at": None if at is None else at.isoformat(timespec="milliseconds"),
            "checks": [check._asdict() for check in checks(facts)],
            "attestation": facts.attestation.to_dict() if facts.attestation else None,
            "error": facts.error.to_dict() if facts.error else None,
            "unverified": facts.parsed.to_dict() if facts.error and facts.parsed else None,
            "fields": [
                {"field": each.field, "number": each.number, "start": each.start, "end": each.end}
                for each in regions(facts)
            ],
            "document": None if facts.document is None else facts.document.hex(),
        }

    def __repr__(self) -> str:
        return f"<Report: {self.verdict}>"

    def _repr_html_(self) -> str:
        """Returns the HTML file in a frame, whose style does not reach the notebook."""
        return (
            f'<iframe sandbox title="nitro-attest report" srcdoc="{escape(self.to_html())}" '
            'width="100%" height="600"></iframe>'
        )


def load_ipython_extension(shell: Any) -> None:
    """Shows attestations in a notebook as reports: ``%load_ext nitro_attest.report``.

    Args:
        shell: The IPython shell.
    """
    html_of = shell.display_formatter.formatters["text/html"]
    for kind in (Attestation, NitroTpmAttestation):
        html_of.for_type(kind, lambda attestation: Report.of(attestation)._repr_html_())
