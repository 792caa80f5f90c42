"""Verification, step by step: from raw bytes to an Attestation.

    1  syntax        every byte has the one accepted form          FormatError     C-*, P-*
    2  path          certificates lead from one of our own roots   ChainError      X-1 to X-19
    3  validity      every certificate is valid at the given time  ChainError      X-10
    4  signature     the signing certificate's key made it         SignatureError  C-14, C-16
    5  revocation    no list of the caller revokes a certificate   ChainError      R-2 to R-8
    6  agreement     time, kind and names fit the certificates     PolicyError     X-21 to X-24, T-3
    7  requirements  it meets the policy and the call's own ones   PolicyError     M-2, X-23, M-9

A PolicyError therefore always means: authentic, but rejected by the requirements.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeVar

from nitro_attest._internal.times import check_max_age, to_milliseconds
from nitro_attest._internal.values import reject_state
from nitro_attest._internal.wording import plural
from nitro_attest.errors import (
    AttestationWarning,
    ChainError,
    FormatError,
    InputError,
    NitroAttestError,
    PolicyError,
)
from nitro_attest.limits import (
    DEFAULT_CACHE_SIZE,
    DEFAULT_CLOCK_SKEW_SECONDS,
    MAX_CACHE_SIZE,
    MAX_CLOCK_SKEW_SECONDS,
)
from nitro_attest.verification import accelerators, agreement
from nitro_attest.verification.attestation import (
    VERIFIED,
    Attestation,
    BaseAttestation,
    NitroTpmAttestation,
    TimeSource,
)
from nitro_attest.verification.certificate import load_key
from nitro_attest.verification.core import (
    DEFAULT_LIMITS,
    Kind,
    Limits,
    UnknownFields,
    check_limits,
    check_unknown_fields,
)
from nitro_attest.verification.document import (
    AttestationDocument,
    BaseDocument,
    NitroTpmDocument,
    UnverifiedDocument,
    parse_unverified,
)
from nitro_attest.verification.path import CertificatePath, PathVerifier, check_windows
from nitro_attest.verification.policy import (
    AnyEnclave,
    AnyInstance,
    DocumentFacts,
    EnclavePolicy,
    InstancePolicy,
    VerificationPolicy,
    as_enclave_policy,
    as_instance_policy,
)
from nitro_attest.verification.requirements import UNCHECKED, At, Requirements
from nitro_attest.verification.roots import TrustedRoots, as_trusted_roots
from nitro_attest.verification.signature import (
    SignatureCheck,
    SignatureClaim,
    check_signature,
    check_with_cryptography,
    claim_of,
)

if TYPE_CHECKING:  # loaded by whoever asks for one or makes lists: most verifications have none
    from nitro_attest.verification.accelerators.base import Accelerator
    from nitro_attest.verification.batch import Item, Outcome, Taken
    from nitro_attest.verification.crl import RevocationList
    from nitro_attest.verification.revocation import RevocationLists

__all__ = ["NitroTpmVerifier", "Verifier", "verify", "verify_nitrotpm"]

Consistency = Literal["refuse", "warn"]
"""The effect of names that disagree between a document and its certificates (X-24)."""

_DEFAULT_CLOCK_SKEW: Final = timedelta(seconds=DEFAULT_CLOCK_SKEW_SECONDS)
_MAX_CLOCK_SKEW: Final = timedelta(seconds=MAX_CLOCK_SKEW_SECONDS)

_KIND_NAMES: Final[dict[Kind, str]] = {
    "enclave": "a document of an enclave",
    "nitrotpm": "a NitroTPM document (of an EC2 instance)",
}

_DocumentT = TypeVar("_DocumentT", bound=BaseDocument)
_AttestationT = TypeVar("_AttestationT", bound=BaseAttestation[Any])


class _BaseVerifier(Generic[_DocumentT, _AttestationT]):
    """The steps, for either kind of document. Private: the kinds share no public base (T-1)."""

    _kind: ClassVar[Kind]
    _document_type: type[_DocumentT]
    _attestation_type: type[_AttestationT]

    __slots__ = (
        "_accelerator",
        "_arguments",
        "_check",
        "_consistency",
        "_limits",
        "_paths",
        "_policy",
        "_revocation",
        "_skew_ms",
        "_unknown_fields",
    )

    def __init__(
        self,
        roots: bytes | str | TrustedRoots | None,
        policy: VerificationPolicy[_DocumentT],
        clock_skew: timedelta,
        consistency: Consistency | None,
        unknown_fields: UnknownFields,
        limits: Limits,
        cache_size: int,
        accelerator: str | None,
        revocation: RevocationLists | None,
    ) -> None:
        trusted = as_trusted_roots(roots)
        self._accelerator = None if accelerator is None else accelerators.load(accelerator)
        self._check: SignatureCheck = check_with_cryptography
        self._paths = PathVerifier(trusted, _cache_size(cache_size))
        if self._accelerator is not None:
            self._check = self._accelerator.check
            self._paths = PathVerifier(
                trusted,
                cache_size,
                self._accelerator.confirms_link,
                look_ahead=self._accelerator.lanes > 1,
            )
        self._policy = policy
        self._skew_ms = _skew_in_milliseconds(clock_skew)
        if consistency not in (None, "refuse", "warn"):
            raise InputError(
                "input.expected", f"consistency: expected 'refuse' or 'warn', found {consistency!r}"
            )
        self._consistency = consistency
        check_unknown_fields(unknown_fields)
        self._unknown_fields = unknown_fields
        check_limits(limits)
        self._limits = limits
        self._revocation = _checked_lists(revocation)
        self._arguments = (
            trusted,
            policy,
            clock_skew,
            consistency,
            unknown_fields,
            limits,
            cache_size,
            accelerator,
            revocation,
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _BaseVerifier)
            and type(other) is type(self)
            and other._arguments == self._arguments
        )

    def __hash__(self) -> int:
        return hash((type(self), self._arguments))

    def __reduce__(self) -> tuple[Any, ...]:
        roots, policy, skew, consistency, unknown, limits, cache_size, accelerator, lists = (
            self._arguments
        )
        rebuild = partial(
            type(self),
            policy=policy,
            clock_skew=skew,
            consistency=consistency,
            unknown_fields=unknown,
            limits=limits,
            cache_size=cache_size,
            accelerator=accelerator,
            revocation=lists,
        )
        return rebuild, (roots,)

    __setstate__ = reject_state

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._arguments[0]!r}, {self._policy!r}>"

    def cache_info(self) -> dict[str, int]:
        """Returns hits, misses and entries of both levels of the cache of verified paths.

        ``paths`` are whole paths; ``issuers`` are looked up only if the path is unknown.
        """
        paths, issuers = self._paths.paths.cache_info(), self._paths.issuers.cache_info()
        return {
            "path_hits": paths.hits,
            "path_misses": paths.misses,
            "paths": paths.currsize,
            "issuer_hits": issuers.hits,
            "issuer_misses": issuers.misses,
            "issuers": issuers.currsize,
        }

    def cache_clear(self) -> None:
        """Forgets all verified paths."""
        self._paths.paths.cache_clear()
        self._paths.issuers.cache_clear()

    def verify(
        self,
        document: bytes | bytearray | memoryview,
        *,
        nonce: bytes = UNCHECKED,
        user_data: bytes = UNCHECKED,
        public_key: bytes = UNCHECKED,
        at: At = "now",
        max_age: timedelta | None = None,
    ) -> _AttestationT:
        """Verifies one document.

        This is a plain call without input or output: 0.4 ms for a known path, 2 ms for a new one.

        Example:
            >>> verifier = Verifier(root_pem, policy={0: pcrs[0], 1: pcrs[1], 2: pcrs[2]})
            >>> verifier.verify(document, nonce=nonce).pcrs[0] == pcrs[0]
            True

        Args:
            document: The raw document, 1 to 16384 bytes.
            nonce: The expected nonce, 1 byte or more; fewer than 16 give the warning
                ``freshness.short_nonce``. Compared in constant time, like the next two.
            user_data: The expected user_data, 1 byte or more.
            public_key: The expected public_key, 1 byte or more.
            at: The verification time: ``"now"``, an aware datetime, or ``"document"`` for the
                document's own signed time (archive mode: anyone with an expired key of the path can
                back-date documents, so the result has the warning ``time.document``).
            max_age: The maximum age of the document, positive; the stricter of this and the
                policy's applies. Not with ``at="document"``.

        Returns:
            The attestation.

        Raises:
            InputError: ``input.document``: the document is not bytes. ``input.nonce`` or
                ``input.expected``: an expected value is None, empty or not bytes, or the nonce that
                the policy requires is missing. ``input.time``: ``at`` or ``max_age`` is invalid.
            FormatError: ``document.*``, ``cbor.*``, ``cose.*`` or ``payload.*``: the bytes are not
                a document of the verifier's kind (C-1 to C-13, P-*).
            ChainError: ``chain.*`` or ``cert.*``: the certificates do not lead from a trusted root
                to the signing certificate, or not at the verification time (X-1 to X-19).
            SignatureError: ``signature.*``: the signature is invalid (C-14, C-16).
            PolicyError: ``policy.*``, ``freshness.*`` or ``consistency.*``: the document is
                authentic, but does not meet the requirements; ``failures`` lists all of them.
        """
        requirements = Requirements(
            self._policy, max_age, nonce, user_data, public_key, call_allows_debug=True
        )
        return self._verify_document(document, requirements, at)

    def _verify_document(
        self,
        document: bytes | bytearray | memoryview,
        requirements: Requirements[_DocumentT],
        at: At,
    ) -> _AttestationT:
        moment = _moment(at, requirements.max_age)
        parsed = self._parse(document)
        self._prepare([parsed])
        return self._verify_parsed(parsed, requirements, moment)

    def _parse(self, document: bytes | bytearray | memoryview) -> UnverifiedDocument:
        return parse_unverified(document, self._limits, unknown_fields=self._unknown_fields)

    def verify_many(
        self,
        items: Iterable[Item],
        *,
        workers: int | None = None,
        at: At = "now",
        max_age: timedelta | None = None,
    ) -> Generator[Outcome[_AttestationT], None, None]:
        """Verifies many documents on a pool of threads.

        Items are taken in the caller's thread, at most 16 per worker ahead of the last outcome.
        Each is copied when it is taken, so the caller may refill its buffers for the next one.
        With ``at="now"`` the clock is read when each verification begins. An accelerator that
        checks several signatures at once gets as many documents.

        Example:
            >>> verifier = Verifier(root_pem, policy=ANY_ENCLAVE)
            >>> [outcome.error for outcome in verifier.verify_many([document, document])]
            [None, None]

        Args:
            items: Documents as bytes; or Requests, which have expectations of their own; or a
                NitroAttestError in place of a document that could not be read, which becomes its
                outcome.
            workers: The number of threads, 1 to 64; by default one per processor. With 1, all work
                is done in the caller's thread, and no item is taken ahead without an accelerator.
            at: The verification time, as for ``verify``, of every item that does not have its own.
            max_age: The maximum age, positive; the strictest of this, the item's and the policy's
                applies.

        Returns:
            A generator of one Outcome for each item, in order. Closing it ends the threads.

        Raises:
            InputError: ``input.workers``, ``input.time`` or ``input.document``: an argument is
                invalid. An error in an item becomes the item's outcome; anything but a
                NitroAttestError that a policy of the user's raises ends the batch.
        """
        from nitro_attest.verification.batch import in_threads  # 3 ms, not needed for one document

        check_max_age(max_age)
        _moment(at, max_age)
        lanes = 1 if self._accelerator is None else self._accelerator.lanes
        return in_threads(items, partial(self._verify_batch, at, max_age), workers, lanes)

    def _verify_batch(
        self, at: At, max_age: timedelta | None, items: Sequence[Taken | NitroAttestError]
    ) -> list[_AttestationT | NitroAttestError]:
        parsed = [self._parse_item(item) for item in items]
        self._prepare(parsed)
        return [
            self._result(item, one, at, max_age) for item, one in zip(items, parsed, strict=True)
        ]

    def _parse_item(self, item: Taken | NitroAttestError) -> UnverifiedDocument | NitroAttestError:
        """Parses an item; its error is reported after those of the item's other arguments."""
        if isinstance(item, NitroAttestError):
            return item
        if item.fault is not None:
            return item.fault
        try:
            return self._parse(item.request.document)
        except NitroAttestError as error:
            return error.with_traceback(None)  # which would refer to all items of the batch

    def _prepare(self, parsed: Sequence[UnverifiedDocument | NitroAttestError]) -> None:
        """Has an accelerator that checks several signatures at once check those of a batch.

        A confirmed signature makes nothing valid: it only answers the question that a later step
        may ask about the same key, signature and digest.
        """
        accelerator = self._accelerator
        if accelerator is not None and accelerator.lanes > 1:
            documents = [one for one in parsed if isinstance(one, UnverifiedDocument)]
            claims = [self._claims(accelerator, document) for document in documents]
            accelerator.prepare(chain.from_iterable(claims))

    def _claims(
        self, accelerator: Accelerator, document: UnverifiedDocument
    ) -> Iterator[SignatureClaim]:
        """Yields the claims that steps 2 and 4 will check, as far as they can be read."""
        path = self._paths.known(document.cabundle, document.certificate)
        if path is not None:
            yield claim_of(document, path.key)
        elif certificates := self._paths.read_ahead(document.cabundle, document.certificate):
            yield from accelerator.link_claims(certificates)
            with suppress(ChainError):
                yield claim_of(document, load_key(certificates[-1]))

    def _result(
        self,
        item: Taken | NitroAttestError,
        parsed: UnverifiedDocument | NitroAttestError,
        at: At,
        max_age: timedelta | None,
    ) -> _AttestationT | NitroAttestError:
        if isinstance(item, NitroAttestError):
            return item
        request = item.request
        try:
            check_max_age(request.max_age)
            strictest = min(filter(None, (request.max_age, max_age)), default=None)
            requirements = Requirements(
                self._policy,
                strictest,
                request.nonce,
                request.user_data,
                request.public_key,
                call_allows_debug=True,
            )
            moment = _moment(at if request.at is None else request.at, requirements.max_age)
            if isinstance(parsed, NitroAttestError):
                return parsed
            return self._verify_parsed(parsed, requirements, moment)
        except NitroAttestError as error:
            return error

    def _verify_parsed(
        self,
        parsed: UnverifiedDocument,
        requirements: Requirements[_DocumentT],
        moment: tuple[TimeSource, int | None],
    ) -> _AttestationT:
        """Performs all steps; the result is made only after the last one."""
        source, at_ms = moment
        # 1. Syntax. The C core has accepted every byte; only the kind is left to check (T-1).
        if parsed.kind != self._kind:
            raise FormatError(
                "payload.kind",
                f"expected {_KIND_NAMES[self._kind]}, found {_KIND_NAMES[parsed.kind]}",
            )
        # 2. Path.
        path = self._paths.verify(parsed.cabundle, parsed.certificate)
        # 3. Validity. The time of an archived document is unknown until its signature is verified.
        if at_ms is not None:
            check_windows(path, at_ms, self._skew_ms)
        # 4. Signature. The document is authentic from here on.
        attestation_id = check_signature(parsed, path.key, self._check)
        if at_ms is None:
            at_ms = parsed.timestamp_ms
            check_windows(path, at_ms, self._skew_ms)
        document = parsed.authenticated(self._document_type)
        # 5. Revocation, if the caller provides lists.
        lists, revocation_warnings = self._check_revocation(path, at_ms, archived=source != "now")
        # 6. Agreement. 7. Requirements. All failures are reported, not only the first.
        names = agreement.compare_names(
            parsed.kind, parsed.module_id, path.root.certificate.common_name, path.names
        )
        failures = agreement.time_failures(parsed, path, at_ms, self._skew_ms)
        failures += names.kind_failures
        failures += names.failures if self._refuses(names) else []
        age = timedelta(milliseconds=at_ms - parsed.timestamp_ms)
        facts = DocumentFacts(names.instance_id, names.region, age)
        evaluation = requirements.evaluate(document, facts)
        failures += evaluation.failures
        if failures:
            raise PolicyError(failures)
        return self._attestation_type(
            document=document,
            chain=path.chain,
            root=path.root,
            verified_at_ms=at_ms,
            time_source=source,
            attestation_id=attestation_id,
            policy=self._policy,
            matched=evaluation.matched,
            region=names.region,
            instance_id=names.instance_id,
            revocation_lists=lists,
            warnings=(
                *evaluation.warnings,
                *_context_warnings(path, source, names),
                *_unknown_field_warnings(document),
                *revocation_warnings,
            ),
            made_by=VERIFIED,
        )

    def _refuses(self, names: agreement.Names) -> bool:
        """Returns True if names that disagree are a failure, not only a warning (X-24)."""
        if self._consistency is None:
            return names.partition == agreement.COMMERCIAL
        return self._consistency == "refuse"

    def _check_revocation(
        self, path: CertificatePath, at_ms: int, *, archived: bool
    ) -> tuple[tuple[RevocationList, ...] | None, tuple[AttestationWarning, ...]]:
        if self._revocation is None:
            return None, ()
        return self._revocation.check(path, at_ms, self._skew_ms, archived=archived)


class Verifier(_BaseVerifier[AttestationDocument, Attestation]):
    """Verifies documents of enclaves against fixed trusted roots, a policy and options.

    Immutable and thread-safe. Can be pickled; the copy checks its arguments again and begins with
    an empty cache.

    Example:
        >>> verifier = Verifier(root_pem, policy={0: pcrs[0]}, clock_skew=timedelta(seconds=30))
        >>> verifier.verify(document).matched is None
        True

    Args:
        roots: The trusted roots: PEM or TrustedRoots; by default the root of the AWS commercial
            partition.
        policy: The policy, or a mapping of PCRs: by index, ``{0: "ab..."}``; by name,
            ``{"PCR0": "ab..."}``; or as nitro-cli prints it, ``{"Measurements": {...}}``. There is
            no default: pass ANY_ENCLAVE to require no measurements.
        clock_skew: The time that this machine's clock may be slow, 0 to 300 s. It extends no
            expiry.
        consistency: ``refuse`` rejects a document whose names disagree with its certificates
            (``consistency.module_id``, X-24); ``warn`` turns that failure into a warning. By
            default ``refuse`` for the commercial partition, ``warn`` for every other one, whose
            names are not documented.
        unknown_fields: ``reject`` rejects a document with a field that this version does not know
            (``payload.unknown_key``, P-7); ``warn`` skips up to 16 of them, with a warning of that
            code for each.
        limits: Caps on public_key, user_data and nonce, in bytes.
        cache_size: The number of verified certificate paths to remember, 0 to 65536. A further
            document of a known enclave then costs one signature check instead of five. Nothing else
            is remembered, and validity times are checked anew for every document.
        accelerator: A faster check of the signatures of documents and certificates, for machines
            that have it: ``libcrypto_mb`` (eight at once: a new path, or ``verify_many``) or
            ``aws-lc``. ``cryptography`` checks every signature that it does not confirm.
        revocation: The revocation lists to check every path against (R-2 to R-8); None: revocation
            is not checked, as AWS documents.

    Raises:
        InputError: ``input.root``, ``policyfile.*``, ``input.expected`` (policy, consistency,
            unknown_fields), ``input.time`` (clock_skew), ``input.limits`` (limits, cache_size),
            ``input.crl`` or ``input.accelerator``: that argument is invalid.
    """

    _kind = "enclave"
    _document_type = AttestationDocument
    _attestation_type = Attestation

    __slots__ = ()

    def __init__(
        self,
        roots: bytes | str | TrustedRoots | None = None,
        *,
        policy: EnclavePolicy | Mapping[Any, Any],
        clock_skew: timedelta = _DEFAULT_CLOCK_SKEW,
        consistency: Consistency | None = None,
        unknown_fields: UnknownFields = "reject",
        limits: Limits = DEFAULT_LIMITS,
        cache_size: int = DEFAULT_CACHE_SIZE,
        accelerator: str | None = None,
        revocation: RevocationLists | None = None,
    ) -> None:
        super().__init__(
            roots,
            as_enclave_policy(policy),
            clock_skew,
            consistency,
            unknown_fields,
            limits,
            cache_size,
            accelerator,
            revocation,
        )


class NitroTpmVerifier(_BaseVerifier[NitroTpmDocument, NitroTpmAttestation]):
    """Verifies NitroTPM documents (of EC2 instances) against fixed trusted roots and a policy.

    Rejects documents of enclaves (T-1). Otherwise like ``Verifier``.

    Example:
        >>> NitroTpmVerifier(root_pem, policy=ANY_INSTANCE).verify(instance).instance_id
        'i-0123456789abcdef0'

    Args:
        roots: The trusted roots: PEM or TrustedRoots; by default the root of the AWS commercial
            partition.
        policy: A NitroTpmPolicy, or ANY_INSTANCE to require no measurements. A mapping of PCRs is
            rejected, because it does not identify the kind of PCR (T-1).
        clock_skew: As for Verifier.
        consistency: As for Verifier.
        unknown_fields: As for Verifier.
        limits: As for Verifier.
        cache_size: As for Verifier.
        accelerator: As for Verifier.
        revocation: As for Verifier.

    Raises:
        InputError: ``input.*``, as for ``Verifier``: that argument is invalid.
    """

    _kind = "nitrotpm"
    _document_type = NitroTpmDocument
    _attestation_type = NitroTpmAttestation

    __slots__ = ()

    def __init__(
        self,
        roots: bytes | str | TrustedRoots | None = None,
        *,
        policy: InstancePolicy,
        clock_skew: timedelta = _DEFAULT_CLOCK_SKEW,
        consistency: Consistency | None = None,
        unknown_fields: UnknownFields = "reject",
        limits: Limits = DEFAULT_LIMITS,
        cache_size: int = DEFAULT_CACHE_SIZE,
        accelerator: str | None = None,
        revocation: RevocationLists | None = None,
    ) -> None:
        super().__init__(
            roots,
            as_instance_policy(policy),
            clock_skew,
            consistency,
            unknown_fields,
            limits,
            cache_size,
            accelerator,
            revocation,
        )


def verify(
    document: bytes | bytearray | memoryview,
    root_pem: bytes | str | TrustedRoots | None = None,
    *,
    policy: EnclavePolicy | Mapping[Any, Any] | None = None,
    nonce: bytes = UNCHECKED,
    user_data: bytes = UNCHECKED,
    public_key: bytes = UNCHECKED,
    at: At = "now",
    max_age: timedelta | None = None,
    allow_debug: bool = False,
    consistency: Consistency | None = None,
    unknown_fields: UnknownFields = "reject",
) -> Attestation:
    """Verifies one document of an enclave with a new ``Verifier``.

    Example:
        >>> attestation = verify(document, root_pem, policy={0: pcrs[0]}, nonce=nonce)
        >>> attestation.pcrs[0] == pcrs[0]
        True

    Args:
        document: The raw document, 1 to 16384 bytes.
        root_pem: One PEM certificate, or TrustedRoots; replaces the root of the AWS commercial
            partition that ships with the package.
        policy: The policy, or a mapping of PCRs, which is one measurement set (see Verifier).
            Without it any enclave of any AWS customer is accepted, with the warning
            ``policy.none``.
        nonce: The expected nonce, 1 byte or more; fewer than 16 give a warning.
        user_data: The expected user_data, 1 byte or more.
        public_key: The expected public_key, 1 byte or more.
        at: The verification time: ``"now"``, an aware datetime, or ``"document"`` for the
            document's own timestamp (archive mode; see ``Verifier.verify``).
        max_age: The maximum age of the document, positive; not with ``at="document"``.
        allow_debug: Accept an enclave in debug mode (M-2). The policy must allow it too.
        consistency: As for Verifier.
        unknown_fields: As for Verifier.

    Returns:
        The attestation.

    Raises:
        InputError: ``input.root``: root_pem is invalid. ``policyfile.*`` or ``input.expected``: the
            policy, allow_debug, consistency or unknown_fields is invalid. Otherwise as for
            ``Verifier.verify``.
        FormatError: ``document.*``, ``cbor.*``, ``cose.*`` or ``payload.*``: the bytes are not a
            document of an enclave (C-1 to C-13, P-*).
        ChainError: ``chain.*`` or ``cert.*``: the certificates do not lead from a trusted root to
            the signing certificate, or not at the verification time (X-1 to X-19).
        SignatureError: ``signature.*``: the signature is invalid (C-14, C-16).
        PolicyError: ``policy.*``, ``freshness.*`` or ``consistency.*``: the document is authentic,
            but does not meet the requirements; ``failures`` lists all of them.
    """
    if not isinstance(allow_debug, bool):
        raise InputError("input.expected", f"allow_debug: expected a bool, found {allow_debug!r}")
    if policy is None:
        policy = AnyEnclave(allow_debug=allow_debug, explicit=False)
    else:
        policy = as_enclave_policy(policy, allow_debug=allow_debug)
    verifier = Verifier(
        root_pem, policy=policy, consistency=consistency, unknown_fields=unknown_fields
    )
    requirements = Requirements(
        policy, max_age, nonce, user_data, public_key, call_allows_debug=allow_debug
    )
    return verifier._verify_document(document, requirements, at)


def verify_nitrotpm(
    document: bytes | bytearray | memoryview,
    root_pem: bytes | str | TrustedRoots | None = None,
    *,
    policy: InstancePolicy | None = None,
    nonce: bytes = UNCHECKED,
    user_data: bytes = UNCHECKED,
    public_key: bytes = UNCHECKED,
    at: At = "now",
    max_age: timedelta | None = None,
    consistency: Consistency | None = None,
    unknown_fields: UnknownFields = "reject",
) -> NitroTpmAttestation:
    """Verifies one NitroTPM document with a new ``NitroTpmVerifier``.

    Example:
        >>> verify_nitrotpm(instance, root_pem).instance_id
        'i-0123456789abcdef0'

    Args:
        document: The raw document, 1 to 16384 bytes.
        root_pem: As for verify.
        policy: A NitroTpmPolicy. Without it any EC2 instance of any AWS customer is accepted, with
            the warning ``policy.none``.
        nonce: The expected nonce, 1 byte or more; fewer than 16 give a warning.
        user_data: The expected user_data, 1 byte or more.
        public_key: The expected public_key, 1 byte or more.
        at: The verification time: ``"now"``, an aware datetime, or ``"document"`` for the
            document's own timestamp (archive mode; see ``Verifier.verify``).
        max_age: The maximum age of the document, positive; not with ``at="document"``.
        consistency: As for Verifier.
        unknown_fields: As for Verifier.

    Returns:
        The attestation.

    Raises:
        InputError: ``input.root``: root_pem is invalid. ``input.expected``: the policy,
            consistency or unknown_fields is invalid. Otherwise as for ``NitroTpmVerifier.verify``.
        FormatError: ``document.*``, ``cbor.*``, ``cose.*`` or ``payload.*``: the bytes are not a
            NitroTPM document (C-1 to C-13, P-*).
        ChainError: ``chain.*`` or ``cert.*``: the certificates do not lead from a trusted root to
            the signing certificate, or not at the verification time (X-1 to X-19).
        SignatureError: ``signature.*``: the signature is invalid (C-14, C-16).
        PolicyError: ``policy.*``, ``freshness.*`` or ``consistency.*``: the document is authentic,
            but does not meet the requirements; ``failures`` lists all of them.
    """
    if policy is None:
        policy = AnyInstance(explicit=False)
    verifier = NitroTpmVerifier(
        root_pem, policy=policy, consistency=consistency, unknown_fields=unknown_fields
    )
    return verifier.verify(
        document,
        nonce=nonce,
        user_data=user_data,
        public_key=public_key,
        at=at,
        max_age=max_age,
    )


def _cache_size(size: int) -> int:
    if type(size) is not int or not 0 <= size <= MAX_CACHE_SIZE:
        raise InputError(
            "input.limits",
            f"cache_size: expected an integer from 0 to {MAX_CACHE_SIZE}, found {size!r}",
        )
    return size


def _checked_lists(revocation: RevocationLists | None) -> RevocationLists | None:
    if revocation is not None:
        from nitro_attest.verification.revocation import RevocationLists

        if not isinstance(revocation, RevocationLists):
            raise InputError(
                "input.crl",
                f"revocation: expected RevocationLists, found {type(revocation).__name__}",
            )
    return revocation


def _skew_in_milliseconds(skew: timedelta) -> int:
    if not isinstance(skew, timedelta) or not timedelta(0) <= skew <= _MAX_CLOCK_SKEW:
        raise InputError(
            "input.time",
            f"clock_skew: expected a timedelta of 0 to {MAX_CLOCK_SKEW_SECONDS} s, found {skew!r}",
        )
    return skew // timedelta(milliseconds=1)


def _moment(at: object, max_age: timedelta | None) -> tuple[TimeSource, int | None]:
    """Returns the verification time in ms (X-20); None for the document's, known once verified."""
    if isinstance(at, datetime):
        if at.utcoffset() is None:
            raise InputError(
                "input.time", f"at={at!r} has no time zone; pass an aware datetime, such as UTC"
            )
        return "given", to_milliseconds(at)
    if at == "now":
        return "now", time.time_ns() // 1_000_000
    if at != "document":
        raise InputError(
            "input.time", f"at: expected 'now', 'document' or an aware datetime, found {at!r}"
        )
    if max_age is not None:
        raise InputError(
            "input.time",
            "max_age cannot be combined with at='document': a document has no age at its own time; "
            "pass a time as at=, or no max_age",
        )
    return "document", None


def _unknown_field_warnings(document: BaseDocument) -> list[AttestationWarning]:
    """Warns of each field that was skipped (P-7)."""
    return [
        AttestationWarning(
            "payload.unknown_key",
            f"unknown field {field.name[:80]!a} skipped: {plural(len(field.value), 'byte')} at "
            f"offset {field.offset}; the document is newer than this version of nitro-attest",
        )
        for field in document.unknown_fields
    ]


def _context_warnings(
    path: CertificatePath, source: TimeSource, names: agreement.Names
) -> list[AttestationWarning]:
    warnings = [AttestationWarning(failure.code, failure.message) for failure in names.failures]
    if source == "document":
        warnings.append(
            AttestationWarning(
                "time.document",
                "verified as of the document's own timestamp: anyone with an expired key of the "
                "path can back-date documents, and freshness was not checked",
            )
        )
    if not path.root.pinned:
        warnings.append(
            AttestationWarning(
                "root.custom", f"the trusted root is {path.root.name}, not one published by AWS"
            )
        )
    return warnings
