"""The data of a report, read from one result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest._internal.pcrs import IMAGE_PCRS, ZERO_PCR
from nitro_attest.errors import ChainError, FormatError, InputError, NitroAttestError, PolicyError
from nitro_attest.limits import MAX_DOCUMENT_BYTES, MAX_OPTIONAL_BYTES
from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation
from nitro_attest.verification.batch import Request
from nitro_attest.verification.certificate import SigningKey, load_certificate
from nitro_attest.verification.core import Kind, Limits
from nitro_attest.verification.document import (
    BaseDocument,
    UnverifiedDocument,
    own_copy,
    parse_unverified,
)
from nitro_attest.verification.measurement_set import MeasurementSet, NitroTpmMeasurementSet
from nitro_attest.verification.policy import NitroTpmPolicy, Policy, VerificationPolicy
from nitro_attest.verification.requirements import UNCHECKED
from nitro_attest.verification.revocation import RevocationLists
from nitro_attest.verification.signature import SignatureClaim, check_with_cryptography, claim_of

Result = Attestation | NitroTpmAttestation | NitroAttestError
"""A verified result, or the error that a verification raised."""

PcrSet = MeasurementSet | NitroTpmMeasurementSet

WIDEST: Final = Limits(MAX_OPTIONAL_BYTES, MAX_OPTIONAL_BYTES, MAX_OPTIONAL_BYTES)
"""For display: a document that was accepted under wider limits than the default is shown."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One verification.

    Attributes:
        source: Name of the document, such as a file name.
        attestation: The result; None if the document was rejected.
        error: The reason of the rejection; None if the document was accepted.
        document: The raw bytes, at most 16384; None if they are not known.
        parsed: Their content, which is not verified; None if they are malformed or not known.
        request: The expectations of the call; None if they are not known.
        policy: The policy; None if it is not known.
        lists: The revocation lists of the verifier of a rejected document.
        verified_at: The verification time; None if it is not known.
    """

    source: str
    attestation: Attestation | NitroTpmAttestation | None
    error: NitroAttestError | None
    document: bytes | None
    parsed: UnverifiedDocument | None
    request: Request | None
    policy: VerificationPolicy[Any] | None
    lists: RevocationLists | None
    verified_at: datetime | None

    @property
    def authentic(self) -> bool:
        """True if the signature was verified, as it is where only a requirement is not met."""
        return self.attestation is not None or isinstance(self.error, PolicyError)

    @property
    def archived(self) -> bool:
        """True in archive mode: the verification time is the document's own."""
        if self.attestation is not None:
            return self.attestation.time_source == "document"
        return self.request is not None and self.request.at == "document"

    @property
    def content(self) -> BaseDocument | None:
        """The fields of the document; verified only if there is an attestation."""
        return self.parsed if self.attestation is None else self.attestation.document

    @property
    def kind(self) -> Kind | None:
        """The kind of the document, if it is known."""
        if isinstance(self.attestation, Attestation):
            return "enclave"
        if isinstance(self.attestation, NitroTpmAttestation):
            return "nitrotpm"
        return self.parsed.kind if self.parsed is not None else None

    @property
    def pcrs(self) -> Mapping[int, bytes]:
        """The PCRs of the document by index; empty if they are not known."""
        if isinstance(self.attestation, Attestation):
            return self.attestation.pcrs
        if isinstance(self.attestation, NitroTpmAttestation):
            return self.attestation.nitrotpm_pcrs
        return self.parsed.pcrs if self.parsed is not None else {}

    @property
    def debug(self) -> bool:
        """True if any of an enclave's PCR0, PCR1 and PCR2 is zero (M-2)."""
        return self.kind == "enclave" and ZERO_PCR in [self.pcrs[index] for index in IMAGE_PCRS]

    @property
    def measurement_sets(self) -> tuple[PcrSet, ...]:
        """The set that matched; all sets of the policy if the document was rejected."""
        if not isinstance(self.policy, (Policy, NitroTpmPolicy)):
            return ()
        sets: tuple[PcrSet, ...] = self.policy.measurements
        if self.attestation is None:
            return sets
        return tuple([each for each in sets if _matches(each, self.pcrs)][:1])


def read(
    result: Result,
    request: Request | None,
    policy: VerificationPolicy[Any] | None,
    revocation: RevocationLists | None,
    verified_at: datetime | None,
    source: str,
) -> Facts:
    """Reads the facts of one verification; arguments and errors are those of ``Report.of``."""
    _check_arguments(request, revocation, verified_at, source)
    document = None if request is None else _bytes_of(request)
    parsed = _parsed(document)
    if isinstance(result, NitroAttestError):
        if isinstance(result, PolicyError) and parsed is not None:
            _check_authentic(parsed)
        return Facts(
            source,
            None,
            result,
            document,
            parsed,
            request,
            policy,
            revocation,
            _time_of(request, verified_at, parsed),
        )
    if not isinstance(result, (Attestation, NitroTpmAttestation)):
        raise InputError(
            "input.expected",
            f"result: expected an attestation or a NitroAttestError, found {type(result).__name__}",
        )
    if request is not None:
        _check_same(result, parsed)
        _check_expected(result, request)
    return Facts(
        source, result, None, document, parsed, request, result.policy, None, result.verified_at
    )


def _check_arguments(
    request: object, revocation: object, verified_at: object, source: object
) -> None:
    for name, value, kind, optional in (
        ("request", request, Request, True),
        ("revocation", revocation, RevocationLists, True),
        ("source", source, str, False),
    ):
        if not (isinstance(value, kind) or (optional and value is None)):
            raise InputError(
                "input.expected",
                f"{name}: expected {kind.__name__}, found {type(value).__name__}",
            )
    aware = isinstance(verified_at, datetime) and verified_at.utcoffset() is not None
    if verified_at is not None and not aware:
        raise InputError(
            "input.time", f"verified_at: expected an aware datetime, found {verified_at!r}"
        )


def _bytes_of(request: Request) -> bytes:
    """Returns the document; of one that is too large, the beginning (C-2)."""
    try:
        return own_copy(request.document)
    except FormatError:  # too large, or text
        is_text = isinstance(request.document, str)
        return b"" if is_text else bytes(request.document)[:MAX_DOCUMENT_BYTES]


def _parsed(document: bytes | None) -> UnverifiedDocument | None:
    try:
        if document is None:
            return None
        return parse_unverified(document, WIDEST, unknown_fields="warn")
    except FormatError:
        return None


def _time_of(
    request: Request | None, verified_at: datetime | None, parsed: UnverifiedDocument | None
) -> datetime | None:
    at: datetime | Literal["now", "document"] | None = None if request is None else request.at
    if isinstance(at, datetime) and at.utcoffset() is not None:
        return at
    if at == "document":
        return None if parsed is None else parsed.timestamp
    return verified_at


def _check_same(
    attestation: Attestation | NitroTpmAttestation, parsed: UnverifiedDocument | None
) -> None:
    """Rejects a document that is not the one of the attestation, by its id and signature."""
    if parsed is not None:
        claim = _claim(parsed, attestation.chain[0])
        if claim.digest == attestation.attestation_id and check_with_cryptography(claim):
            return
    raise InputError(
        "input.document", "request: the document is not the one that the attestation is of"
    )


def _check_expected(attestation: Attestation | NitroTpmAttestation, request: Request) -> None:
    """Rejects expectations that the verification cannot have had: the document fails them."""
    for name in ("nonce", "user_data", "public_key"):
        expected = getattr(request, name)
        if expected is not UNCHECKED and expected != getattr(attestation.document, name):
            raise InputError(
                "input.document", f"request: the document does not have the expected {name}"
            )
    age = attestation.verified_at - attestation.timestamp
    if request.max_age is not None and age > request.max_age:
        raise InputError("input.document", "request: the document is older than max_age")


def _check_authentic(parsed: UnverifiedDocument) -> None:
    """Rejects a document that the error cannot be about: every PolicyError is of a signed one."""
    try:
        certificate = load_certificate(parsed.certificate, "the signing certificate")[0]
        if check_with_cryptography(_claim(parsed, certificate)):
            return
    except ChainError:
        pass
    raise InputError("input.document", "request: the document is not the one of the error")


def _claim(parsed: UnverifiedDocument, certificate: x509.Certificate) -> SignatureClaim:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise InputError("input.document", "request: the document is not the one of the result")
    return claim_of(parsed, SigningKey(key, b""))


def _matches(candidate: PcrSet, found: Mapping[int, bytes]) -> bool:
    return all(found.get(index) == value for index, value in candidate.pcrs.items())
