"""The hall: every step from bytes to evidence, in order.

    1  syntax     every byte has the one accepted form           FormatError     C-*, P-*
    2  chain      certificates lead from a root that we hold     ChainError      X-1 to X-19
    3  windows    every certificate is valid at the given time   ChainError      X-10
    4  signature  the document was signed by that certificate    SignatureError  C-14, C-16
    5  agreement  its time, kind and names fit its certificates  PolicyError     X-21 to X-24, T-3
    6  policy     it is what the caller asked for                PolicyError     M-2, X-23, M-9

A PolicyError therefore always means: authentic, but not wanted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeVar

from nitro_attest._internal.frozen import replace
from nitro_attest._internal.times import to_milliseconds
from nitro_attest.errors import (
    AttestationWarning,
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
from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation, TimeSource
from nitro_attest.verification.batch import At, Item, Outcome, document_of, verify_all
from nitro_attest.verification.core import DEFAULT_LIMITS, Kind, Limits
from nitro_attest.verification.document import parse_unverified
from nitro_attest.verification.path import CertificatePath, PathVerifier, check_windows
from nitro_attest.verification.policy import AnyEnclave, AnyInstance, NitroTpmPolicy, Policy
from nitro_attest.verification.requirements import UNCHECKED, Requirements
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.signature import (
    SignatureCheck,
    SignatureClaim,
    check_signature,
    check_with_cryptography,
    claim_of,
)

_Evidence = TypeVar("_Evidence", Attestation, NitroTpmAttestation)

_KINDS: Final[dict[Kind, str]] = {
    "enclave": "an enclave's",
    "nitrotpm": "a NitroTPM (EC2 instance)",
}


class Verifier:
    """Holds what is long-lived: roots, policy and options. Immutable and safe to share by threads.

    Args:
        roots: The trust anchors; by default the root of the AWS commercial partition.
        policy: What an enclave must be; or what an instance must be, for ``verify_nitrotpm``. There
            is no default: ANY_ENCLAVE or ANY_INSTANCE must be spelled out.
        clock_skew: How far this machine's clock may be behind, 0 to 300 s. It widens no expiry.
        consistency: ``warn`` turns ``agreement.module_id`` (X-24) into a warning.
        limits: Caps on public_key, user_data and nonce.
        cache_size: How many verified certificate paths to remember, 0 to 65536. A further document
            of a known enclave then costs one signature check instead of five. Nothing else is
            remembered, and validity times are judged anew for every document.
        accelerator: A faster way to check the signatures of documents whose path is known, for
            machines that have it: ``libcrypto_mb`` (eight at once, in ``verify_many``) or
            ``aws-lc``. What it does not confirm, ``cryptography`` decides.

    Raises:
        InputError: An argument is not what it should be.
    """

    def __init__(
        self,
        roots: TrustedRoots | None = None,
        *,
        policy: Policy | AnyEnclave | NitroTpmPolicy | AnyInstance | Mapping[int, bytes | str],
        clock_skew: timedelta = timedelta(seconds=DEFAULT_CLOCK_SKEW_SECONDS),
        consistency: Literal["refuse", "warn"] = "refuse",
        limits: Limits = DEFAULT_LIMITS,
        cache_size: int = DEFAULT_CACHE_SIZE,
        accelerator: str | None = None,
    ) -> None:
        self._accelerator = None if accelerator is None else accelerators.load(accelerator)
        self._paths = PathVerifier(
            _trusted(roots), _cache_size(cache_size), look_ahead=self._accelerator is not None
        )
        self._policy = _as_policy(policy)
        self._skew_ms = _skew_in_milliseconds(clock_skew)
        if consistency not in ("refuse", "warn"):
            raise InputError(
                "input.expected", f"consistency is {consistency!r}; 'refuse' or 'warn' was expected"
            )
        self._warn_on_names = consistency == "warn"
        if not isinstance(limits, Limits):
            raise InputError("input.limits", f"limits is {limits!r}; Limits(...) was expected")
        self._limits = limits
        self._check: SignatureCheck = check_with_cryptography
        if self._accelerator is not None:
            self._check = self._accelerator.check

    def cache_info(self) -> dict[str, int]:
        """How the cache of verified paths has served: hits, misses and entries of both levels.

        ``paths``: whole paths. ``issuers``: rows of issuers, asked only where the path was unknown.
        """
        paths, issuers = self._paths.walk.cache_info(), self._paths.issuers.cache_info()
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
        self._paths.walk.cache_clear()
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
    ) -> Attestation:
        """Verifies one document of an enclave.

        Args:
            document: The raw document, 1 to 16384 bytes.
            nonce: What the document's nonce must be. Compared in constant time, like the next two.
            user_data: What its user_data must be.
            public_key: What its public_key must be.
            at: The time to judge at: the clock's, an aware datetime, or ``"document"`` for the
                document's own signed time (archive mode: who holds an expired key of the path can
                back-date documents, so the result carries the warning ``time.document``).
            max_age: The greatest age of the document; the stricter of this and the policy's holds.

        Returns:
            The evidence.

        Raises:
            InputError: An argument other than the document's content is wrong.
            FormatError: The bytes are not a document of an enclave.
            ChainError: Its certificates do not lead from a trusted root, or not at that time.
            SignatureError: Its signature does not belong to it.
            PolicyError: It is authentic, but not what was asked for.
        """
        if not isinstance(self._policy, (Policy, AnyEnclave)):
            raise _wrong_policy("enclaves", self._policy)
        demands = Requirements(self._policy, max_age, nonce, user_data, public_key)
        return Attestation._of_verified(self._steps(document, "enclave", demands, at))

    def verify_nitrotpm(
        self,
        document: bytes | bytearray | memoryview,
        *,
        nonce: bytes = UNCHECKED,
        user_data: bytes = UNCHECKED,
        public_key: bytes = UNCHECKED,
        at: At = "now",
        max_age: timedelta | None = None,
    ) -> NitroTpmAttestation:
        """Verifies one document of a whole EC2 instance (NitroTPM).

        Arguments and exceptions are those of ``verify``; the Verifier must have been made with a
        NitroTpmPolicy or ANY_INSTANCE, and a document of an enclave is refused (T-1).
        """
        if not isinstance(self._policy, (NitroTpmPolicy, AnyInstance)):
            raise _wrong_policy("instances", self._policy)
        demands = Requirements(self._policy, max_age, nonce, user_data, public_key)
        return NitroTpmAttestation._of_verified(self._steps(document, "nitrotpm", demands, at))

    def verify_many(
        self,
        items: Iterable[Item],
        *,
        workers: int | None = None,
        at: At = "now",
        max_age: timedelta | None = None,
    ) -> Generator[Outcome[Attestation], None, None]:
        """Verifies many documents of enclaves on a pool of threads.

        Items are taken in the caller's thread, at most 16 a worker ahead of what was yielded. With
        ``at="now"`` the clock is read when each verification begins. An accelerator that checks
        several signatures at once is given as many documents.

        Args:
            items: Documents as bytes; or Requests, which say more of each; or a NitroAttestError
                in the place of a document that could not be read, which becomes its outcome.
            workers: How many threads, 1 to 64; by default one for each processor. With 1 all is
                done in the caller's thread, and nothing is taken ahead without an accelerator.
            at: The time to judge at, for every item that does not name its own.
            max_age: The greatest age of each; the strictest of this, the item's and the policy's.

        Returns:
            A generator of one Outcome for each item, in order. Closing it ends the threads.

        Raises:
            InputError: An argument is wrong. What is wrong with an item becomes its outcome.
        """
        if not isinstance(self._policy, (Policy, AnyEnclave)):
            raise _wrong_policy("enclaves", self._policy)
        _moment(at, max_age)
        return self._many(lambda verifier: verifier.verify, items, workers, at, max_age)

    def verify_many_nitrotpm(
        self,
        items: Iterable[Item],
        *,
        workers: int | None = None,
        at: At = "now",
        max_age: timedelta | None = None,
    ) -> Generator[Outcome[NitroTpmAttestation], None, None]:
        """Verifies many documents of whole EC2 instances (NitroTPM); else as ``verify_many``."""
        if not isinstance(self._policy, (NitroTpmPolicy, AnyInstance)):
            raise _wrong_policy("instances", self._policy)
        _moment(at, max_age)
        return self._many(lambda verifier: verifier.verify_nitrotpm, items, workers, at, max_age)

    def _many(
        self,
        method: Callable[[Verifier], Callable[..., _Evidence]],
        items: Iterable[Item],
        workers: int | None,
        at: At,
        max_age: timedelta | None,
    ) -> Generator[Outcome[_Evidence], None, None]:
        lanes = 1 if self._accelerator is None else self._accelerator.lanes
        return verify_all(
            lambda batch: method(self._ahead(batch)), items, workers, lanes, at, max_age
        )

    def _ahead(self, batch: Sequence[Item]) -> Verifier:
        """This verifier, knowing which signatures of a batch its accelerator confirms."""
        if self._accelerator is None:
            return self
        informed = copy(self)
        informed._check = self._accelerator.precheck(self._claims(batch))
        return informed

    def _claims(self, batch: Sequence[Item]) -> Iterator[SignatureClaim]:
        """Of the documents whose path is known: no other signature is worth a look ahead."""
        for item in batch:
            with suppress(NitroAttestError):  # it will be raised when the item is verified
                parsed = parse_unverified(document_of(item), self._limits)
                path = self._paths.known(parsed.cabundle, parsed.certificate)
                if path is not None:
                    yield claim_of(parsed, path.key)

    def _steps(
        self,
        document: bytes | bytearray | memoryview,
        kind: Kind,
        demands: Requirements[Any],
        at: At,
    ) -> dict[str, Any]:
        """All steps for either kind of document; returns what the result will hold."""
        source, at_ms = _moment(at, demands.max_age)
        # 1. Syntax.
        parsed = parse_unverified(document, self._limits)
        if parsed.kind != kind:
            raise FormatError(
                "payload.kind",
                f"this is {_KINDS[parsed.kind]} document; {_KINDS[kind]} document was expected",
            )
        # 2. Chain. 3. Windows; an archived document's own time is not known to be true before 4.
        path = self._paths.walk(parsed.cabundle, parsed.certificate)
        if at_ms is not None:
            check_windows(path, at_ms, self._skew_ms)
        # 4. Signature.
        attestation_id = check_signature(parsed, path.key, self._check)
        if at_ms is None:
            at_ms = parsed.timestamp_ms
            check_windows(path, at_ms, self._skew_ms)
        # 5. Agreement. 6. Policy. All failures are reported, not the first.
        names = agreement.names(kind, parsed.module_id, path.names)
        failures = agreement.time_failures(parsed, path, at_ms, self._skew_ms)
        failures += names.kind_failures
        failures += [] if self._warn_on_names else names.failures
        content = parsed.authenticated()
        age_ms = at_ms - parsed.timestamp_ms
        matched, policy_failures = demands.judge(content, age_ms, names.instance_id, names.region)
        failures += policy_failures
        if failures:
            raise PolicyError(failures)
        notices = demands.notices(content) + _circumstances(path, source, names)
        return {
            "document": content,
            "chain": path.chain,
            "root": path.root,
            "verified_at_ms": at_ms,
            "time_source": source,
            "attestation_id": attestation_id,
            "policy": demands.policy,
            "matched": matched,
            "region": names.region,
            "instance_id": names.instance_id,
            "warnings": tuple(notices),
        }


def verify(
    document: bytes | bytearray | memoryview,
    root_pem: bytes | str | None = None,
    *,
    policy: Policy | AnyEnclave | Mapping[int, bytes | str] | None = None,
    nonce: bytes = UNCHECKED,
    user_data: bytes = UNCHECKED,
    public_key: bytes = UNCHECKED,
    at: At = "now",
    max_age: timedelta | None = None,
    allow_debug: bool = False,
) -> Attestation:
    """Verifies one document of an enclave: the short form of Verifier(...).verify(...).

    Args:
        document: The raw document, 1 to 16384 bytes.
        root_pem: Exactly one PEM certificate, which replaces the root of the AWS commercial
            partition that ships with the package.
        policy: What the enclave must be; a mapping of PCR index to value is one measurement set.
            Without it any enclave of any AWS customer is accepted, with the warning
            ``policy.none``.
        nonce: What the document's nonce must be.
        user_data: What its user_data must be.
        public_key: What its public_key must be.
        at: The time to judge at: the clock's, an aware datetime, or ``"document"``.
        max_age: The greatest age of the document.
        allow_debug: Accept an enclave in debug mode (M-2). A Policy must allow it too.

    Returns:
        The evidence.

    Raises:
        InputError: An argument other than the document's content is wrong.
        FormatError: The bytes are not a document of an enclave.
        ChainError: Its certificates do not lead from a trusted root, or not at that time.
        SignatureError: Its signature does not belong to it.
        PolicyError: It is authentic, but not what was asked for.
    """
    if not isinstance(allow_debug, bool):
        raise InputError("input.expected", f"allow_debug is {allow_debug!r}; a bool was expected")
    if policy is None:
        policy = AnyEnclave(allow_debug=allow_debug, spelled_out=False)
    elif isinstance(policy, Mapping):
        policy = Policy([policy], allow_debug=allow_debug)
    elif isinstance(policy, (Policy, AnyEnclave)) and not allow_debug:
        policy = replace(policy, allow_debug=False)
    roots = None if root_pem is None else TrustedRoots.from_pem(root_pem)
    return Verifier(roots, policy=policy).verify(
        document,
        nonce=nonce,
        user_data=user_data,
        public_key=public_key,
        at=at,
        max_age=max_age,
    )


def verify_nitrotpm(
    document: bytes | bytearray | memoryview,
    root_pem: bytes | str | None = None,
    *,
    policy: NitroTpmPolicy | AnyInstance | None = None,
    nonce: bytes = UNCHECKED,
    user_data: bytes = UNCHECKED,
    public_key: bytes = UNCHECKED,
    at: At = "now",
    max_age: timedelta | None = None,
) -> NitroTpmAttestation:
    """Verifies one document of a whole EC2 instance (NitroTPM).

    Arguments and exceptions are those of ``verify``, save that the policy is a NitroTpmPolicy: a
    bare mapping of PCRs does not say which kind of register it means, so none is accepted (T-1).
    """
    if policy is None:
        policy = AnyInstance(spelled_out=False)
    roots = None if root_pem is None else TrustedRoots.from_pem(root_pem)
    return Verifier(roots, policy=policy).verify_nitrotpm(
        document,
        nonce=nonce,
        user_data=user_data,
        public_key=public_key,
        at=at,
        max_age=max_age,
    )


def _trusted(roots: TrustedRoots | None) -> TrustedRoots:
    chosen = TrustedRoots.AWS if roots is None else roots
    if not isinstance(chosen, TrustedRoots) or not list(chosen):
        raise InputError("input.root", "no trusted root was given; TrustedRoots was expected")
    return chosen


def _as_policy(policy: object) -> Policy | AnyEnclave | NitroTpmPolicy | AnyInstance:
    if isinstance(policy, (Policy, AnyEnclave, NitroTpmPolicy, AnyInstance)):
        return policy
    if isinstance(policy, Mapping):
        return Policy([policy])
    raise InputError(
        "input.expected",
        f"policy is {policy!r}; a Policy or NitroTpmPolicy, a mapping of PCRs, ANY_ENCLAVE or "
        "ANY_INSTANCE was expected",
    )


def _wrong_policy(judged: str, policy: object) -> InputError:
    wanted = "Policy or ANY_ENCLAVE" if judged == "enclaves" else "NitroTpmPolicy or ANY_INSTANCE"
    return InputError(
        "input.expected",
        f"{type(policy).__name__} cannot judge {judged}; {wanted} was expected",
    )


def _cache_size(size: int) -> int:
    if type(size) is not int or not 0 <= size <= MAX_CACHE_SIZE:
        raise InputError(
            "input.limits",
            f"cache_size is {size!r}; an integer from 0 to {MAX_CACHE_SIZE} was expected",
        )
    return size


def _skew_in_milliseconds(skew: timedelta) -> int:
    if not isinstance(skew, timedelta) or not (
        timedelta(0) <= skew <= timedelta(seconds=MAX_CLOCK_SKEW_SECONDS)
    ):
        raise InputError(
            "input.time",
            f"clock_skew is {skew!r}; a timedelta of 0 to {MAX_CLOCK_SKEW_SECONDS} s was expected",
        )
    return skew // timedelta(milliseconds=1)


def _moment(at: object, max_age: timedelta | None) -> tuple[TimeSource, int | None]:
    """X-20: the time to judge at, in ms; None for the document's, known once it is verified."""
    if isinstance(at, datetime):
        if at.utcoffset() is None:
            raise InputError(
                "input.time", f"at={at!r} has no time zone; pass an aware datetime, best in UTC"
            )
        return "given", to_milliseconds(at)
    if at == "now":
        return "now", time.time_ns() // 1_000_000
    if at != "document":
        raise InputError(
            "input.time", f"at={at!r}; 'now', 'document' or an aware datetime was expected"
        )
    if max_age is not None:
        raise InputError(
            "input.time",
            "a maximum age cannot be judged at the document's own time; give a time, or no age",
        )
    return "document", None


def _circumstances(
    path: CertificatePath, source: TimeSource, names: agreement.Names
) -> list[AttestationWarning]:
    notices = [AttestationWarning(failure.code, failure.message) for failure in names.failures]
    if source == "document":
        notices.append(
            AttestationWarning(
                "time.document",
                "judged at the document's own time: whoever holds an expired key of the path can "
                "back-date documents, and freshness was not checked",
            )
        )
    if not path.root.pinned:
        notices.append(
            AttestationWarning(
                "root.custom", f"trusted is {path.root.name}, not a root that AWS publishes"
            )
        )
    return notices
