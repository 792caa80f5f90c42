"""Every error that this package raises, and the warnings that results carry.

A code is stable: callers may branch on it, scripts may grep for it. Messages are for people:
they name the thing, the value found, the value expected and the fix, and may change between
releases. ``docs/reference/codes.md`` describes every code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

__all__ = [
    "AttestationWarning",
    "ChainError",
    "EnclaveError",
    "FormatError",
    "ImageError",
    "InputError",
    "KmsError",
    "NitroAttestError",
    "PolicyError",
    "PolicyFailure",
    "SignatureError",
]


class NitroAttestError(Exception):
    """The base of all errors of this package; raised only through its subclasses.

    Attributes:
        code: Stable identifier, such as ``cose.tag``.
        message: One or two sentences for people.
        offset: Byte offset of the fault in the document, EIF or answer; None if there is none.
    """

    families: ClassVar[frozenset[str]] = frozenset()
    """The part before the dot of each ``code`` of this class."""

    def __init__(self, code: str, message: str, offset: int | None = None) -> None:
        super().__init__(code, message, offset)
        self.code = code
        self.message = message
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the error as JSON-ready values: code, message, offset, failures."""
        return {"code": self.code, "message": self.message, "offset": self.offset, "failures": []}


class InputError(NitroAttestError):
    """An argument, an option or a file is wrong; no document was rejected.

    Files are those that decide what is trusted: policies, and signed statements (V-1 to V-8).
    """

    families = frozenset({"input", "policyfile", "provenance"})


class FormatError(NitroAttestError):
    """The bytes are not an attestation document of the accepted form (C-1 to C-13, P-*)."""

    families = frozenset({"document", "cbor", "cose", "payload"})


class ChainError(NitroAttestError):
    """The certificates do not lead from a trusted root to the signing key.

    A rule of X-1 to X-19 is violated, or a given revocation list does not cover the certificates,
    or revokes one (R-2 to R-8).
    """

    families = frozenset({"cert", "chain", "crl"})


class SignatureError(NitroAttestError):
    """The COSE signature does not match the document and its certificate (C-14, C-16)."""

    families = frozenset({"signature"})


@dataclass(frozen=True, slots=True)
class AttestationWarning:
    """Something that an accepted result does not prove, or that its reader should know.

    Attributes:
        code: Stable identifier, such as ``policy.none``.
        message: One sentence for a person.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class PolicyFailure:
    """One requirement that an authentic document did not meet.

    Attributes:
        code: Stable identifier, such as ``policy.pcr_mismatch``.
        message: One sentence for a person.
        expected: The required value as text (bytes as lower-case hex).
        found: The value in the document; None if it has none.
        pcr: Index of the PCR concerned, 0 to 31; None otherwise.
        measurement_set: Name of the measurement set concerned; None otherwise.
    """

    code: str
    message: str
    expected: str | None = None
    found: str | None = None
    pcr: int | None = None
    measurement_set: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the failure as JSON-ready values."""
        return asdict(self)


class PolicyError(NitroAttestError):
    """The document is authentic, but does not meet the requirements.

    Attributes:
        failures: Every requirement that was not met, in the order of the checks; never empty.
            ``code`` is that of the first one.
    """

    families = frozenset({"policy", "freshness", "consistency"})

    def __init__(self, failures: Sequence[PolicyFailure]) -> None:
        super().__init__(failures[0].code, "; ".join(failure.message for failure in failures))
        self.failures = tuple(failures)
        self.args = (self.failures,)  # pickle and copy call the constructor with these

    def to_dict(self) -> dict[str, Any]:
        """Returns the error as JSON-ready values, with every failure."""
        return super().to_dict() | {"failures": [failure.to_dict() for failure in self.failures]}


class EnclaveError(NitroAttestError):
    """The Nitro Security Module or the connection to an enclave failed."""

    families = frozenset({"transport", "nsm"})


class ImageError(NitroAttestError):
    """An enclave image (F-*, S-*) or PE image (T-7) is malformed or contradicts itself."""

    families = frozenset({"eif", "pe"})


class KmsError(NitroAttestError):
    """A KMS answer cannot be decrypted (K-5 to K-8)."""

    families = frozenset({"kms"})
