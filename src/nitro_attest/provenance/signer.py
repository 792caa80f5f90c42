"""The signer of a statement: the facts that a verified signature proves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Signer:
    """A signer whose signature was verified: a key, or an identity that Sigstore certified.

    Attributes:
        key_sha256: SHA-256 of the key's SubjectPublicKeyInfo, as lower-case hex; None for Sigstore.
        identity: The identity in the certificate, such as the URI of a workflow; None for a key.
        issuer: The issuer that confirmed the identity; None for a key.
        repository: URI of the repository that was built; None if the certificate names none.
        workflow: URI of the workflow that built it; None if the certificate names none.
        ref: The branch or tag that was built; None if the certificate names none.
        commit: The commit that was built; None if the certificate names none.
    """

    key_sha256: str | None = None
    identity: str | None = None
    issuer: str | None = None
    repository: str | None = None
    workflow: str | None = None
    ref: str | None = None
    commit: str | None = None

    def __str__(self) -> str:
        if self.identity is None:
            return f"signed by the key of SHA-256 {self.key_sha256}"
        if self.commit is None:
            return f"signed by {self.identity} ({self.issuer})"
        return f"built by {self.repository or self.identity} at commit {self.commit}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the signer as JSON-ready values."""
        return asdict(self)
