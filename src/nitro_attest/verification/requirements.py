"""What one verification demands, of the policy and of the call: facts in, failures out."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Generic, Protocol, TypeVar

from nitro_attest._internal.frozen import Frozen
from nitro_attest._internal.times import check_max_age
from nitro_attest.errors import AttestationWarning, InputError, PolicyFailure
from nitro_attest.limits import MIN_NONCE_BYTES
from nitro_attest.verification.document import AttestationDocument, NitroTpmDocument
from nitro_attest.verification.measurement_set import MeasurementSet, NitroTpmMeasurementSet

_BYTES: Final = (bytes, bytearray, memoryview)


class _Unchecked(bytes):
    """The type of UNCHECKED: an argument that was not given, as opposed to None or empty."""

    def __repr__(self) -> str:
        return "UNCHECKED"


UNCHECKED: Final[bytes] = _Unchecked()
"""Default of ``nonce``, ``user_data`` and ``public_key``: nothing is expected.

Compared by identity, so that neither None nor an empty value, which a caller may pass by mistake,
can mean it.
"""


_UNBOUND: Final = AttestationWarning(
    "freshness.unbound",
    "neither a nonce nor a maximum age was required; the document may be an old one",
)

_DocumentT = TypeVar("_DocumentT", AttestationDocument, NitroTpmDocument)
_Judged = TypeVar("_Judged", contravariant=True)


class PolicyFor(Protocol[_Judged]):
    """What any policy for one kind of document offers."""

    @property
    def max_age(self) -> timedelta | None:
        """The greatest age of a document; None for no limit."""

    @property
    def require_nonce(self) -> bool:
        """Whether each call must say which nonce it expects."""

    def mode_failures(self, document: _Judged) -> list[PolicyFailure]:
        """A mode of running that is refused."""

    def judge(
        self, document: _Judged, instance_id: str, region: str | None
    ) -> tuple[MeasurementSet | NitroTpmMeasurementSet | None, list[PolicyFailure]]:
        """The measurement set that a document meets, and everything that it fails."""

    def notices(self, document: _Judged) -> list[AttestationWarning]:
        """What an accepted document leaves open."""


class Requirements(Frozen, Generic[_DocumentT]):
    """All that one verification demands, of the policy and of the call, checked and joined.

    Attributes:
        policy: What the enclave or instance must be.
        max_age: The stricter of the policy's and the call's.
        expected: What the call expects of nonce, user_data and public_key, by their names; a name
            that is not there is not checked.

    Raises:
        InputError: ``input.nonce`` or ``input.expected`` for an expected value that is None, empty
            or not bytes; ``input.nonce`` also where the policy requires a nonce and the call brings
            none; ``input.time`` for a max_age that is not positive.
    """

    policy: PolicyFor[_DocumentT]
    max_age: timedelta | None
    expected: Mapping[str, bytes]

    def __init__(
        self,
        policy: PolicyFor[_DocumentT],
        max_age: timedelta | None,
        nonce: bytes,
        user_data: bytes,
        public_key: bytes,
    ) -> None:
        check_max_age(max_age)
        if policy.require_nonce and nonce is UNCHECKED:
            raise InputError(
                "input.nonce",
                "the policy requires a nonce, and this call does not say which one it expects; "
                "pass nonce=, the challenge that the enclave was given",
            )
        if max_age is None or (policy.max_age is not None and policy.max_age < max_age):
            max_age = policy.max_age
        expected = {}
        if nonce is not UNCHECKED:
            expected["nonce"] = _expected("nonce", "input.nonce", nonce)
        if user_data is not UNCHECKED:
            expected["user_data"] = _expected("user_data", "input.expected", user_data)
        if public_key is not UNCHECKED:
            expected["public_key"] = _expected("public_key", "input.expected", public_key)
        self.__dict__.update(policy=policy, max_age=max_age, expected=expected)

    def judge(
        self, document: _DocumentT, age_ms: int, instance_id: str, region: str | None
    ) -> tuple[str | None, list[PolicyFailure]]:
        """Everything that an authentic document fails, and the name of the set it matches.

        Args:
            document: The document, whose signature has been checked.
            age_ms: How many milliseconds before the verification time it was made.
            instance_id: The parent instance, as the document's names give it.
            region: The AWS region that its signing certificate names; None if it names none.
        """
        matched, mismatches = self.policy.judge(document, instance_id, region)
        failures = self.policy.mode_failures(document) + self._age_failures(age_ms) + mismatches
        for name, value in self.expected.items():
            failures += _value_failures(name, value, getattr(document, name))
        return matched.name if matched else None, failures

    def notices(self, document: _DocumentT) -> list[AttestationWarning]:
        """What an accepted document leaves open under these requirements."""
        notices = self.policy.notices(document)
        nonce = self.expected.get("nonce")
        if nonce is None and self.max_age is None:
            notices.append(_UNBOUND)
        if nonce is not None and len(nonce) < MIN_NONCE_BYTES:
            notices.append(
                AttestationWarning(
                    "freshness.short_nonce",
                    f"the nonce has {len(nonce)} bytes; fewer than {MIN_NONCE_BYTES} can be "
                    "guessed or repeat",
                )
            )
        return notices

    def _age_failures(self, age_ms: int) -> list[PolicyFailure]:
        if self.max_age is None:
            return []
        age = timedelta(milliseconds=age_ms)
        if age <= self.max_age:
            return []
        return [
            PolicyFailure(
                "freshness.too_old",
                f"the document is {age} old; the limit is {self.max_age}",
                expected=f"at most {self.max_age}",
                found=str(age),
            )
        ]


def _expected(name: str, code: str, value: object) -> bytes:
    """An expected value as the caller gave it; None and empty would otherwise fail open."""
    # One copy, then the check: a bytearray may change in between.
    try:
        expected = bytes(memoryview(value)) if isinstance(value, _BYTES) else None
    except ValueError:  # a released memoryview
        expected = None
    if not expected:
        found = "empty" if expected == b"" else repr(value)
        raise InputError(
            code,
            f"the expected {name} is {found}; bytes were expected (leave the argument out to "
            "require none)",
        )
    return expected


def _value_failures(name: str, expected: bytes, found: bytes | None) -> list[PolicyFailure]:
    """Compared in constant time. A field that is null fails whatever was expected."""
    if found is not None and hmac.compare_digest(found, expected):
        return []
    return [
        PolicyFailure(
            f"policy.{name}",
            f"the document's {name} is {'absent' if found is None else 'another'}; the expected "
            f"value has {len(expected)} bytes",
            expected=expected.hex(),
            found=None if found is None else found.hex(),
        )
    ]
