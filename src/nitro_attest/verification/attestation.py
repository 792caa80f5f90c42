"""The results of a verification: they exist only after every check has passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from nitro_attest._internal.quiet import quietly
from nitro_attest._internal.times import from_milliseconds
from nitro_attest._internal.values import rebuilt
from nitro_attest.errors import AttestationWarning
from nitro_attest.verification.document import AttestationDocument, BaseDocument, NitroTpmDocument
from nitro_attest.verification.policy import NitroTpmPolicy, Policy, VerificationPolicy
from nitro_attest.verification.roots import Root

if TYPE_CHECKING:  # as in verifier.py
    from nitro_attest.verification.crl import RevocationList

__all__ = ["Attestation", "NitroTpmAttestation", "TimeSource"]

TimeSource = Literal["now", "document", "given"]
"""Source of the verification time: the clock, the document itself, or the caller."""

VERIFIED: Final = object()
"""Passed to the constructor by the verifier alone: no other code makes a result by mistake."""

_DocumentT = TypeVar("_DocumentT", bound=BaseDocument)


@rebuilt
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BaseAttestation(Generic[_DocumentT]):
    """The fields of both kinds of result. Private: the kinds share no public base (T-1)."""

    document: _DocumentT
    chain: tuple[x509.Certificate, ...]
    root: Root
    verified_at_ms: int
    time_source: TimeSource
    attestation_id: bytes
    policy: VerificationPolicy[_DocumentT]
    matched: str | None
    region: str | None
    instance_id: str
    revocation_lists: tuple[RevocationList, ...] | None
    warnings: tuple[AttestationWarning, ...]
    made_by: InitVar[object] = None

    def __post_init__(self, made_by: object) -> None:
        if made_by is not VERIFIED:
            raise TypeError(f"{type(self).__name__} can only be made by a verification")

    def __eq__(self, other: object) -> bool:
        # The id covers the payload, and so the kind.
        return (
            isinstance(other, BaseAttestation)
            and other.attestation_id == self.attestation_id
            and other.policy == self.policy
            and other.verified_at_ms == self.verified_at_ms
        )

    def __hash__(self) -> int:
        return hash((self.attestation_id, self.verified_at_ms))

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled or copied: the copy would be bytes from "
            "somewhere, not the result of a verification; keep the document and verify it again, "
            "or keep to_dict()"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.module_id} at {self.timestamp.isoformat()}>"

    @property
    def module_id(self) -> str:
        """Name of the attester: one run of an enclave, or an instance; not of the image."""
        return self.document.module_id

    @property
    def timestamp(self) -> datetime:
        """Time of creation of the document, in UTC."""
        return self.document.timestamp

    @property
    def verified_at(self) -> datetime:
        """Verification time, for which validity and freshness were checked, in UTC."""
        return from_milliseconds(self.verified_at_ms)

    @property
    def public_key(self) -> bytes | None:
        """The document's public_key, in the encoding that the attested code chose."""
        return self.document.public_key

    @property
    def user_data(self) -> bytes | None:
        """The document's user_data, chosen by the attested code."""
        return self.document.user_data

    @property
    def nonce(self) -> bytes | None:
        """The document's nonce, passed by the attested code."""
        return self.document.nonce

    def to_dict(self, *, certificates: bool = True) -> dict[str, Any]:
        """Returns JSON-ready values: bytes as lower-case hex, times as RFC 3339, else None.

        Args:
            certificates: Include ``chain``, and ``certificate`` and ``cabundle`` of the document:
                most of the size, and of the time.
        """
        chain = {"chain": [_certificate_to_dict(one) for one in self.chain]} if certificates else {}
        return {
            "document": self.document.to_dict(certificates=certificates),
            **chain,
            "root": {"name": self.root.name, "sha256": self.root.sha256},
            "verified_at": self.verified_at.isoformat(timespec="milliseconds"),
            "time_source": self.time_source,
            "attestation_id": self.attestation_id.hex(),
            "instance_id": self.instance_id,
            "region": self.region,
            "measurements_required": isinstance(self.policy, (Policy, NitroTpmPolicy)),
            "matched": self.matched,
            "revocation_lists": _lists_to_dicts(self.revocation_lists),
            "warnings": [{"code": each.code, "message": each.message} for each in self.warnings],
        }


class Attestation(BaseAttestation[AttestationDocument]):
    """An enclave's document that passed every check. Only a verification makes one.

    Two are equal if their attestation id, policy and verification time are equal. Cannot be
    pickled or copied.

    Attributes:
        document: The content of the document.
        chain: The certificates used: signing certificate first, our copy of the root last.
        root: The trusted root: its name (``aws``, ``aws-us-gov``, ``custom:<16 hex>``) and SHA-256.
        verified_at_ms: The verification time, for which validity and freshness were checked, in
            milliseconds since 1970; ``verified_at`` is the same as a datetime.
        time_source: Source of that time: the clock, the document itself, or the caller.
        attestation_id: SHA-384 of the Sig_structure, 48 bytes. The only safe identifier to detect a
            replay by: one attestation has several encodings, and all have this id.
        policy: The policy that the document met.
        matched: Name of the measurement set that matched; None if it has none.
        region: The AWS region in the signing certificate's name; None if that has another form.
        instance_id: The parent EC2 instance.
        revocation_lists: The revocation lists that cover the certificates; None if the verifier
            has none, so that revocation was not checked.
        warnings: Things that this result leaves open.
    """

    __slots__ = ()

    @property
    def pcrs(self) -> Mapping[int, bytes]:
        """The enclave's PCRs by index, 48 bytes each."""
        return self.document.pcrs


class NitroTpmAttestation(BaseAttestation[NitroTpmDocument]):
    """An EC2 instance's document that passed every check. Not an Attestation (T-1).

    Attributes: as in Attestation; ``instance_id`` is the instance itself.
    """

    __slots__ = ()

    @property
    def nitrotpm_pcrs(self) -> Mapping[int, bytes]:
        """The instance's PCRs by index, 48 bytes each."""
        return self.document.nitrotpm_pcrs


def _lists_to_dicts(lists: tuple[RevocationList, ...] | None) -> list[dict[str, Any]] | None:
    return None if lists is None else [each.to_dict() for each in lists]


def _certificate_to_dict(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": quietly(attrgetter("issuer"), certificate).rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "sha256": certificate.fingerprint(SHA256()).hex(),
    }
