"""Freshness: challenges that are answered once, and documents that are accepted once.

Anyone can relay a verified document. Two things bind it to the present: a nonce that the
verifier chose and accepts once (Challenger) or, in protocols that cannot send a nonce, a short
maximum age and a record of accepted documents (ReplayGuard). Both verify first and end with one
atomic step of the store; only the caller whose step succeeds gets a result.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from nitro_attest._internal.times import check_max_age, to_milliseconds
from nitro_attest.errors import InputError, PolicyError, PolicyFailure
from nitro_attest.freshness.stores import Store
from nitro_attest.limits import MAX_CLOCK_SKEW_SECONDS, NONCE_BYTES
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.requirements import UNCHECKED
from nitro_attest.verification.verifier import Verifier

__all__ = ["DEFAULT_TTL", "Challenge", "Challenger", "Moment", "ReplayGuard"]

DEFAULT_TTL: Final = timedelta(minutes=2)
"""Default lifetime of a challenge. A document is made in milliseconds; the rest is for transport.
"""

_MILLISECOND: Final = timedelta(milliseconds=1)
_MARGIN_MS: Final = MAX_CLOCK_SKEW_SECONDS * 1000
"""A ReplayGuard's store may be ahead of the clock of the verification by so much."""

Moment = datetime | Literal["now"]
"""A time: an aware datetime, or ``"now"`` for this machine's clock."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A nonce for the next document of an enclave.

    Attributes:
        nonce: 32 random bytes. Not a secret: only an enclave can make a document that contains it.
        expires_at: Time in UTC from which an answer is rejected.
    """

    nonce: bytes
    expires_at: datetime

    @classmethod
    def new(cls, ttl: timedelta = DEFAULT_TTL, *, at: Moment = "now") -> Challenge:
        """Makes a fresh challenge. Only one issued by a Challenger can be answered.

        Args:
            ttl: Lifetime of the challenge, at least 1 ms.
            at: Time at which the challenge is made.

        Returns:
            The challenge.

        Raises:
            InputError: ``input.time``: ``ttl`` is not a positive timedelta, ``at`` is not an aware
                datetime or ``"now"``, or the challenge would expire after the year 9999.
        """
        if not isinstance(ttl, timedelta) or ttl < timedelta(milliseconds=1):
            raise InputError(
                "input.time", f"expected ttl to be a positive timedelta, found {ttl!r}"
            )
        start = datetime.now(timezone.utc) if at == "now" else at
        if not isinstance(start, datetime) or start.utcoffset() is None:
            raise InputError("input.time", f"at: expected 'now' or an aware datetime, found {at!r}")
        try:
            expires_at = start.astimezone(timezone.utc) + ttl
        except OverflowError:
            raise InputError(
                "input.time", f"a challenge of {at} with a ttl of {ttl} has no date of expiry"
            ) from None
        return cls(secrets.token_bytes(NONCE_BYTES), expires_at)


class Challenger:
    """Issues challenges and accepts one answer to each.

    Args:
        verifier: Verifies the documents.
        store: Remembers the outstanding challenges. A MemoryStore serves one process; processes
            that may receive each other's answers must share one store.
        ttl: Lifetime of a challenge, at least 1 ms.

    Raises:
        InputError: ``input.time``: ``ttl`` is not a positive timedelta, or no date is so late.
            ``input.expected``: the verifier or the store is not one.

    Example:
        >>> from nitro_attest import ANY_ENCLAVE, Challenger, MemoryStore, TrustedRoots, Verifier
        >>> verifier = Verifier(TrustedRoots.from_pem(root_pem), policy=ANY_ENCLAVE)
        >>> challenger = Challenger(verifier, MemoryStore())
        >>> challenge = challenger.issue()
        >>> document = nitro.document(nonce=challenge.nonce)  # made inside the enclave
        >>> attestation = challenger.answer(challenge, document)
        >>> attestation.nonce == challenge.nonce
        True
    """

    def __init__(self, verifier: Verifier, store: Store, *, ttl: timedelta = DEFAULT_TTL) -> None:
        Challenge.new(ttl)  # raises for a ttl that no challenge can have
        _check_verifier(verifier)
        _check_store(store)
        self._verifier = verifier
        self._store = store
        self._ttl = ttl

    def issue(self, *, at: Moment = "now") -> Challenge:
        """Issues a challenge, which the store remembers until it is answered or expires.

        Args:
            at: Time at which the challenge is issued.

        Returns:
            The challenge; send its nonce to the enclave.

        Raises:
            InputError: ``input.limits``: the store is full. ``input.nonce``: the store rejected
                the challenge because it has expired by the latest time that the store has seen.
                ``input.time``: ``at`` is not an aware datetime or ``"now"``. ``input.store``: as
                for ``SqliteStore``.
        """
        challenge = Challenge.new(self._ttl, at=at)
        if not self._store.add(_key(challenge.nonce), to_milliseconds(challenge.expires_at)):
            raise InputError(
                "input.nonce",
                f"the store rejected a challenge that expires at {challenge.expires_at}: the store "
                "has seen a later time; check that its clock agrees with this machine's",
            )
        return challenge

    def answer(
        self,
        challenge: Challenge | bytes,
        document: bytes | bytearray | memoryview,
        *,
        user_data: bytes = UNCHECKED,
        public_key: bytes = UNCHECKED,
        max_age: timedelta | None = None,
        at: Moment = "now",
    ) -> Attestation:
        """Verifies a document as the answer to a challenge, and uses up the challenge.

        A rejected document does not use up the challenge: otherwise anyone could block the
        enclave's answer by sending garbage first.

        Args:
            challenge: The result of ``issue``, or its nonce. Pass the one sent in this session,
                not one that came back with the document.
            document: The raw document.
            user_data: Expected user_data, at most 1024 bytes; UNCHECKED: not compared.
            public_key: Expected public_key, at most 1024 bytes; UNCHECKED: not compared.
            max_age: Maximum age of the document; None: the policy's, if any.
            at: Verification time. Archive mode (``"document"``) is rejected.

        Returns:
            The attestation. Only one call per challenge returns one.

        Raises:
            PolicyError: ``policy.nonce``: the document has a different nonce, or the challenge was
                never issued, has already been answered, or has expired.
            InputError: ``input.nonce``: no challenge is passed. ``input.time``: archive mode.
                ``input.store``: as for ``SqliteStore``.
            NitroAttestError: Everything that ``Verifier.verify`` raises.
        """
        nonce = challenge.nonce if isinstance(challenge, Challenge) else challenge
        if nonce is UNCHECKED:
            raise InputError("input.nonce", "expected the challenge that was sent, found UNCHECKED")
        attestation = self._verifier.verify(
            document,
            nonce=nonce,
            user_data=user_data,
            public_key=public_key,
            max_age=max_age,
            at=_moment(at),
        )
        # Take the copy in the document: the caller's could be a buffer that has changed by now.
        expires_ms = self._store.take(_key(attestation.nonce or b""))
        if expires_ms is None:
            raise _challenge_error(
                "the challenge is not outstanding: it was never issued, has already been answered, "
                "or has expired"
            )
        if expires_ms <= attestation.verified_at_ms:
            raise _challenge_error("the challenge has expired")
        return attestation


class ReplayGuard:
    """Accepts each document once, for protocols that cannot send a nonce.

    Weaker than a Challenger: an attacker who intercepts a document before it arrives can present
    it instead, until it exceeds ``max_age``.

    Args:
        verifier: Verifies the documents.
        store: Remembers accepted documents until they are too old to be accepted again. All
            processes that accept documents for one purpose must share one store.
        max_age: Maximum age of a document, positive; the same for all guards that share a store.

    Raises:
        InputError: ``input.time``: ``max_age`` is not a positive timedelta. ``input.expected``:
            the verifier or the store is not one.

    Example:
        >>> from datetime import timedelta
        >>> from nitro_attest import ANY_ENCLAVE, MemoryStore, ReplayGuard, TrustedRoots, Verifier
        >>> verifier = Verifier(TrustedRoots.from_pem(root_pem), policy=ANY_ENCLAVE)
        >>> guard = ReplayGuard(verifier, MemoryStore(), max_age=timedelta(minutes=5))
        >>> document = nitro.document()
        >>> attestation = guard.verify(document)
        >>> guard.verify(document)  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        nitro_attest.errors.PolicyError: freshness.replayed: ...
    """

    def __init__(self, verifier: Verifier, store: Store, *, max_age: timedelta) -> None:
        if max_age is None:
            raise InputError(
                "input.time", "expected max_age to be a positive timedelta, found None"
            )
        check_max_age(max_age)
        _check_verifier(verifier)
        _check_store(store)
        self._verifier = verifier
        self._store = store
        self._max_age = max_age

    def verify(
        self,
        document: bytes | bytearray | memoryview,
        *,
        nonce: bytes = UNCHECKED,
        user_data: bytes = UNCHECKED,
        public_key: bytes = UNCHECKED,
        at: Moment = "now",
    ) -> Attestation:
        """Verifies a document and remembers it by its ``attestation_id``.

        Its bytes are not a safe key: one attestation has several encodings that all verify.

        Args:
            document: The raw document.
            nonce: Expected nonce, at most 1024 bytes; UNCHECKED: not compared.
            user_data: Expected user_data, at most 1024 bytes; UNCHECKED: not compared.
            public_key: Expected public_key, at most 1024 bytes; UNCHECKED: not compared.
            at: Verification time. Archive mode (``"document"``) is rejected.

        Returns:
            The attestation. Only one call per document returns one.

        Raises:
            PolicyError: ``freshness.replayed``: the document has already been accepted, or is so
                old by the latest time that the store has seen that the store no longer knows.
            InputError: ``input.limits``: the store is full. ``input.time``: archive mode.
                ``input.store``: as for ``SqliteStore``.
            NitroAttestError: Everything that ``Verifier.verify`` raises.
        """
        attestation = self._verifier.verify(
            document,
            nonce=nonce,
            user_data=user_data,
            public_key=public_key,
            max_age=self._max_age,
            at=_moment(at),
        )
        forget_ms = attestation.document.timestamp_ms + self._max_age // _MILLISECOND + _MARGIN_MS
        if not self._store.add(attestation.attestation_id, forget_ms):
            raise PolicyError(
                [
                    PolicyFailure(
                        "freshness.replayed",
                        "the document has already been accepted, or is too old for the store to "
                        "know; request a new one from the enclave",
                        found=attestation.attestation_id.hex(),
                    )
                ]
            )
        return attestation


def _key(nonce: bytes) -> bytes:
    """Returns the key of a nonce in a store."""
    return hashlib.sha256(nonce).digest()


def _moment(at: Moment) -> Moment:
    if at == "document":
        raise InputError(
            "input.time", 'freshness cannot be checked in archive mode (at="document")'
        )
    return at


def _challenge_error(message: str) -> PolicyError:
    return PolicyError([PolicyFailure("policy.nonce", message)])


def _check_verifier(verifier: object) -> None:
    """Rejects anything but a Verifier: an instance's document must not answer for an enclave's."""
    if not isinstance(verifier, Verifier):
        raise InputError(
            "input.expected", f"verifier: expected a Verifier, found {type(verifier).__name__}"
        )


def _check_store(store: object) -> None:
    if isinstance(store, type) or not (
        callable(getattr(store, "add", None)) and callable(getattr(store, "take", None))
    ):
        raise InputError(
            "input.expected",
            f"store: expected an object with add() and take(), found {type(store).__name__}",
        )
