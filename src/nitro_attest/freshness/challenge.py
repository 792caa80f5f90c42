"""Freshness: challenges that are answered once, and documents that are accepted once.

A verified document is a fact that anybody can pass on. What binds it to this moment is either a
nonce that the verifier chose and accepts once (Challenger), or, where a protocol has no way to send
one, a short age and a memory of what was accepted (ReplayGuard). In both, verification comes first
and one atomic step of the store last; there is a result only for the caller whose step succeeded.
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

DEFAULT_TTL: Final = timedelta(minutes=2)
"""A document is made in milliseconds; the rest is for the way."""

Moment = datetime | Literal["now"]


@dataclass(frozen=True)
class Challenge:
    """A nonce that an enclave is to put into its next document.

    Attributes:
        nonce: 32 random bytes. Not a secret: whoever sees it can only answer it as an enclave.
        expires_at: From when on an answer is refused, in UTC.
    """

    nonce: bytes
    expires_at: datetime

    @classmethod
    def new(cls, ttl: timedelta = DEFAULT_TTL, *, at: Moment = "now") -> Challenge:
        """A fresh challenge. It can only be answered once a Challenger has issued it.

        Raises:
            InputError: ``input.time``: ``ttl`` is not a positive timedelta, or ``at`` has no time
                zone.
        """
        _check_ttl(ttl)
        if not isinstance(at, datetime):
            at = datetime.now(timezone.utc)
        elif at.utcoffset() is None:
            raise InputError("input.time", f"at={at!r} has no time zone")
        return cls(secrets.token_bytes(NONCE_BYTES), at.astimezone(timezone.utc) + ttl)


class Challenger:
    """Sends challenges and accepts the answer to each of them once.

    Args:
        verifier: What a document is held against.
        store: Remembers the challenges that are out. A MemoryStore serves one process; where
            several may receive an answer they must share one store.
        ttl: How long an answer may take.

    Raises:
        InputError: ``input.time``: ``ttl`` is not a positive timedelta.
    """

    def __init__(self, verifier: Verifier, store: Store, *, ttl: timedelta = DEFAULT_TTL) -> None:
        _check_ttl(ttl)
        self._verifier = verifier
        self._store = store
        self._ttl = ttl

    def issue(self, *, at: Moment = "now") -> Challenge:
        """A new challenge, remembered until it is answered or expires.

        Raises:
            InputError: ``input.limits``: the store is full. ``input.nonce``: it does not take the
                challenge, since by its own clock it has expired.
        """
        challenge = Challenge.new(self._ttl, at=at)
        if not self._store.add(_key(challenge.nonce), to_milliseconds(challenge.expires_at)):
            raise InputError(
                "input.nonce",
                f"the store did not take a challenge that expires at {challenge.expires_at}; do "
                "its clock and this machine's agree?",
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
        """Verifies a document as the answer to a challenge, and uses the challenge up.

        A document that is refused leaves the challenge as it is: otherwise anybody could spoil it
        by sending rubbish before the enclave answers.

        Args:
            challenge: What ``issue`` gave, or its nonce: the one that was sent in this session, not
                one that came back with the document.
            document: The raw document.
            user_data: As in ``Verifier.verify``; so too the others.
            public_key: See user_data.
            max_age: See user_data.
            at: The time to judge at.

        Returns:
            The evidence, to one caller only.

        Raises:
            PolicyError: ``policy.nonce``: the document has another nonce, or the challenge was
                never issued, was answered before, or has expired.
            NitroAttestError: Otherwise as ``Verifier.verify``.
        """
        nonce = challenge.nonce if isinstance(challenge, Challenge) else challenge
        if nonce is UNCHECKED:
            raise InputError("input.nonce", "an answer needs the challenge that was sent")
        attestation = self._verifier.verify(
            document,
            nonce=nonce,
            user_data=user_data,
            public_key=public_key,
            max_age=max_age,
            at=_moment(at),
        )
        # The document's own copy: the caller's could be a buffer that has changed by now.
        expires_ms = self._store.take(_key(attestation.nonce or b""))
        if expires_ms is None:
            raise _refused("this challenge is not outstanding: never issued, answered, or expired")
        if expires_ms <= to_milliseconds(attestation.verified_at):
            raise _refused("this challenge has expired")
        return attestation


class ReplayGuard:
    """Accepts every document once, for protocols that cannot send a nonce.

    Weaker than a Challenger: within ``max_age`` whoever intercepts a document before its owner
    sends it can present it instead.

    Args:
        verifier: What a document is held against.
        store: Remembers what was accepted, until it is too old to be accepted again. All who accept
            documents for one purpose must share one store.
        max_age: The greatest age of a document; the same for all guards that share a store.

    Raises:
        InputError: ``input.time``: ``max_age`` is not a positive timedelta.
    """

    def __init__(self, verifier: Verifier, store: Store, *, max_age: timedelta) -> None:
        if max_age is None:
            raise InputError("input.time", "a replay guard needs a max_age")
        check_max_age(max_age)
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

        The id, not the bytes: one attestation has several encodings that all verify.

        Args:
            document: The raw document.
            nonce: As in ``Verifier.verify``; so too the next two.
            user_data: See nonce.
            public_key: See nonce.
            at: The time to judge at.

        Returns:
            The evidence, to one caller only.

        Raises:
            PolicyError: ``freshness.replayed``: it was accepted before, or has become so old by
                the store's clock that this is no longer known.
            InputError: ``input.limits``: the store is full.
            NitroAttestError: Otherwise as ``Verifier.verify``.
        """
        attestation = self._verifier.verify(
            document,
            nonce=nonce,
            user_data=user_data,
            public_key=public_key,
            max_age=self._max_age,
            at=_moment(at),
        )
        # The margin is for clocks that step back or differ among those who share the store.
        forget = attestation.timestamp + self._max_age + timedelta(seconds=MAX_CLOCK_SKEW_SECONDS)
        if not self._store.add(attestation.attestation_id, to_milliseconds(forget)):
            raise PolicyError(
                [
                    PolicyFailure(
                        "freshness.replayed",
                        "this document was accepted before, or is too old to know; have the "
                        "enclave make another",
                        found=attestation.attestation_id.hex(),
                    )
                ]
            )
        return attestation


def _check_ttl(ttl: timedelta) -> None:
    if not isinstance(ttl, timedelta) or ttl < timedelta(milliseconds=1):
        raise InputError("input.time", f"ttl is {ttl!r}; a positive timedelta was expected")


def _key(nonce: bytes) -> bytes:
    """What a store knows a nonce by."""
    return hashlib.sha256(nonce).digest()


def _moment(at: Moment) -> Moment:
    if at == "document":
        raise InputError(
            "input.time", "freshness cannot be judged at the document's own time (archive mode)"
        )
    return at


def _refused(message: str) -> PolicyError:
    return PolicyError([PolicyFailure("policy.nonce", message)])
