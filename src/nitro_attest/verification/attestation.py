"""The result of a verification: evidence that every check was made, and what it covers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from nitro_attest._internal.frozen import Frozen
from nitro_attest._internal.times import from_milliseconds
from nitro_attest.errors import AttestationWarning
from nitro_attest.verification.document import AttestationDocument, NitroTpmDocument
from nitro_attest.verification.policy import AnyEnclave, AnyInstance, NitroTpmPolicy, Policy
from nitro_attest.verification.roots import Root

if TYPE_CHECKING:
    from typing_extensions import Self


TimeSource = Literal["now", "document", "given"]


class _Evidence(Frozen):
    """What both kinds of result have. Private: a result of one kind must not pass for the other."""

    document: AttestationDocument | NitroTpmDocument
    chain: tuple[x509.Certificate, ...]
    root: Root
    verified_at_ms: int
    time_source: TimeSource
    attestation_id: bytes
    policy: Policy | AnyEnclave | NitroTpmPolicy | AnyInstance
    matched: str | None
    region: str | None
    instance_id: str
    warnings: tuple[AttestationWarning, ...]

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} is only made by a verification")

    @classmethod
    def _of_verified(cls, values: Mapping[str, Any]) -> Self:
        self = object.__new__(cls)
        self.__dict__.update(values)
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled: what came out would be bytes from "
            "somewhere, not a verification; keep the document and verify it again, or keep "
            "to_dict()"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.module_id} at {self.timestamp.isoformat()}>"

    @property
    def module_id(self) -> str:
        """The name of what attests: one run of an enclave, or an instance; not of the image."""
        return self.document.module_id

    @property
    def timestamp(self) -> datetime:
        """When the document was made, in UTC."""
        return self.document.timestamp

    @property
    def verified_at(self) -> datetime:
        """The time that validity and freshness were judged at, in UTC."""
        return from_milliseconds(self.verified_at_ms)

    @property
    def public_key(self) -> bytes | None:
        """The key that the attested code put into the document, in any form it chose."""
        return self.document.public_key

    @property
    def user_data(self) -> bytes | None:
        """The data that the attested code put into the document."""
        return self.document.user_data

    @property
    def nonce(self) -> bytes | None:
        """The nonce that the attested code put into the document."""
        return self.document.nonce

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: bytes as lower-case hex, times as RFC 3339, absent fields as None."""
        return {
            "document": self.document.to_dict(),
            "chain": [_certificate_to_dict(certificate) for certificate in self.chain],
            "root": {"name": self.root.name, "sha256": self.root.sha256},
            "verified_at": self.verified_at.isoformat(timespec="milliseconds"),
            "time_source": self.time_source,
            "attestation_id": self.attestation_id.hex(),
            "instance_id": self.instance_id,
            "region": self.region,
            "measurements_required": isinstance(self.policy, (Policy, NitroTpmPolicy)),
            "matched": self.matched,
            "warnings": [{"code": n.code, "message": n.message} for n in self.warnings],
        }


class Attestation(_Evidence):
    """Proof in hand: an enclave's document that passed every check. Only a verification makes one.

    Attributes:
        document: What the document says.
        chain: The certificates as used: signing certificate first, our copy of the root last.
        root: The trust anchor: its name (``aws``, ``aws-us-gov``, ``custom:<16 hex>``) and SHA-256.
        verified_at_ms: The time that validity and freshness were judged at, in milliseconds since
            1970; ``verified_at`` is the same as a datetime.
        time_source: Where that time came from: the clock, the document itself, or the caller.
        attestation_id: SHA-384 of the Sig_structure, 48 bytes. The only safe key to recognise a
            replay by: the same attestation has several encodings, and all have this id.
        policy: What was required.
        matched: Name of the measurement set that matched; None where it has none.
        region: The AWS region, as the signing certificate names it; None if that has another form.
        instance_id: The parent EC2 instance.
        warnings: What this result leaves open.
    """

    document: AttestationDocument
    policy: Policy | AnyEnclave

    @property
    def pcrs(self) -> Mapping[int, bytes]:
        """The enclave's PCRs by index, 48 bytes each."""
        return self.document.pcrs


class NitroTpmAttestation(_Evidence):
    """The same for the document of a whole EC2 instance: evidence of another kind (T-1).

    Attributes: as in Attestation; ``instance_id`` is the instance itself.
    """

    document: NitroTpmDocument
    policy: NitroTpmPolicy | AnyInstance

    @property
    def nitrotpm_pcrs(self) -> Mapping[int, bytes]:
        """The instance's PCRs by index, 48 bytes each."""
        return self.document.nitrotpm_pcrs


def _certificate_to_dict(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "sha256": certificate.fingerprint(SHA256()).hex(),
    }
