"""The combined requirements of a policy and one verify() call."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Generic, Literal, TypeVar

from nitro_attest._internal.pcrs import SANDBOX_PCR, ZERO_PCR
from nitro_attest._internal.times import check_max_age
from nitro_attest._internal.wording import shown
from nitro_attest.errors import AttestationWarning, InputError, PolicyFailure
from nitro_attest.limits import MIN_NONCE_BYTES
from nitro_attest.verification.document import AttestationDocument, BaseDocument
from nitro_attest.verification.policy import (
    AnyEnclave,
    AnyInstance,
    DocumentFacts,
    Evaluation,
    VerificationPolicy,
    is_debug,
)

__all__ = ["UNCHECKED", "At"]

_BYTES: Final = (bytes, bytearray, memoryview)


class _Unchecked(bytes):
    """The type of UNCHECKED: an argument that was not given, as opposed to None or empty."""

    def __repr__(self) -> str:
        return "UNCHECKED"

    def __reduce__(self) -> str:
        return "UNCHECKED"  # pickle and copy return the one object of that name


UNCHECKED: Final[bytes] = _Unchecked()
"""Default of ``nonce``, ``user_data`` and ``public_key``: no value is expected.

Compared by identity, so that neither None nor an empty value, which a caller may pass by mistake,
can mean it.
"""

At = datetime | Literal["now", "document"]
"""The verification time: an aware datetime, now, or the document's own time (archive mode)."""


_UNBOUND: Final = AttestationWarning(
    "freshness.unbound",
    "neither a nonce nor a maximum age was required; the document may be old",
)

_SANDBOX_ADVICE: Final = (
    "; PCR17 is not zero, so this may be a Nitro Sandbox: check whether it was launched in debug "
    "mode, and see docs/explanation/nitro-sandboxes.md"
)

_DEBUG_WARNING: Final = AttestationWarning(
    "policy.debug", "the enclave runs in debug mode: the parent can read it"
)

_DocumentT = TypeVar("_DocumentT", bound=BaseDocument)


class Requirements(Generic[_DocumentT]):
    """The checked and combined requirements of a policy and one call.

    Args:
        policy: The policy. It accepts debug mode only if it has an attribute ``allow_debug`` that
            is True.
        max_age: The call's maximum age; None for no limit. The stricter of this and the policy's
            applies (X-23).
        nonce: The expected nonce, or UNCHECKED.
        user_data: The expected user_data, or UNCHECKED.
        public_key: The expected public_key, or UNCHECKED.
        call_allows_debug: False if the call rejects debug mode, whatever the policy (M-2).

    Raises:
        InputError: ``input.nonce`` or ``input.expected`` for an expected value that is None, empty
            or not bytes; ``input.nonce`` also if the policy requires a nonce and the call passes
            none; ``input.time`` for a max_age that is not positive.
    """

    __slots__ = ("_call_allows_debug", "_policy", "_policy_allows_debug", "expected", "max_age")

    def __init__(
        self,
        policy: VerificationPolicy[_DocumentT],
        max_age: timedelta | None,
        nonce: bytes,
        user_data: bytes,
        public_key: bytes,
        *,
        call_allows_debug: bool,
    ) -> None:
        check_max_age(max_age)
        if policy.require_nonce and nonce is UNCHECKED:
            raise InputError(
                "input.nonce",
                "the policy requires a nonce, but none was passed; pass nonce=, the challenge that "
                "the enclave was given",
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
        self.max_age: Final = max_age
        self._policy = policy
        self.expected: Final[Mapping[str, bytes]] = expected
        self._policy_allows_debug = getattr(policy, "allow_debug", False) is True
        self._call_allows_debug = call_allows_debug

    def evaluate(self, document: _DocumentT, facts: DocumentFacts) -> Evaluation:
        """Evaluates an authentic document: debug mode, its age, the policy, the expected values.

        Debug mode is checked here and not by the policies, so that none of them can forget it.

        Args:
            document: The document, whose signature has been verified.
            facts: Facts about it.

        Returns:
            The policy's result, with the failures and warnings of this call added.

        Raises:
            InputError: ``input.expected``: a custom policy did not return an Evaluation.
        """
        evaluation = self._policy.evaluate(document, facts)
        if not isinstance(evaluation, Evaluation):
            raise InputError(
                "input.expected",
                f"evaluate() of the policy: expected an Evaluation, found {evaluation!r}",
            )
        failures: list[PolicyFailure] = []
        debug = False
        if isinstance(document, AttestationDocument) and is_debug(document):
            debug = True
            failures += self._debug_failures(document.pcrs)
        failures += [*self._age_failures(facts.age), *evaluation.failures]
        for name, value in self.expected.items():
            failures += _value_failures(name, value, getattr(document, name))
        warnings = _no_policy_warnings(self._policy) + ([_DEBUG_WARNING] if debug else [])
        warnings += [*evaluation.warnings, *self._freshness_warnings()]
        return Evaluation(evaluation.matched, tuple(failures), tuple(warnings))

    def _debug_failures(self, pcrs: Mapping[int, bytes]) -> list[PolicyFailure]:
        """Checks M-2. The failure names the side, policy or call, that does not allow debug mode.

        It has advice if the document may be that of a Nitro Sandbox.
        """
        match self._policy_allows_debug, self._call_allows_debug:
            case True, True:
                return []
            case True, False:
                reason = "the call does not allow it; it needs"
            case False, True:
                reason = "the policy does not allow it; it needs"
            case _:
                reason = "neither the policy nor the call allows it; both need"
        advice = "" if pcrs.get(SANDBOX_PCR, ZERO_PCR) == ZERO_PCR else _SANDBOX_ADVICE
        return [
            PolicyFailure(
                "policy.debug",
                "the enclave runs in debug mode: its memory and console are open to the parent, "
                f"and its measurements are zero; {reason} allow_debug=True{advice}",
                expected="PCR0, PCR1 and PCR2 not zero",
                found="zero",
            )
        ]

    def _age_failures(self, age: timedelta) -> list[PolicyFailure]:
        if self.max_age is None or age <= self.max_age:
            return []
        return [
            PolicyFailure(
                "freshness.too_old",
                f"document too old: expected at most {self.max_age}, found {age}",
                expected=f"at most {self.max_age}",
                found=str(age),
            )
        ]

    def _freshness_warnings(self) -> list[AttestationWarning]:
        nonce = self.expected.get("nonce")
        if nonce is None:
            return [_UNBOUND] if self.max_age is None else []
        if len(nonce) >= MIN_NONCE_BYTES:
            return []
        return [
            AttestationWarning(
                "freshness.short_nonce",
                f"nonce too short: expected at least {MIN_NONCE_BYTES} bytes, found {len(nonce)}; "
                "a shorter one can be guessed or repeat",
            )
        ]


def _no_policy_warnings(policy: object) -> list[AttestationWarning]:
    if not isinstance(policy, (AnyEnclave, AnyInstance)) or policy.explicit:
        return []
    what = "enclave" if isinstance(policy, AnyEnclave) else "instance"
    message = f"no measurements were required: this may be any {what} of any AWS customer"
    return [AttestationWarning("policy.none", message)]


def _expected(name: str, code: str, value: object) -> bytes:
    """Returns the bytes of an expected value; None and empty would otherwise fail open."""
    # One copy, then the check: a bytearray may change in between.
    try:
        expected = bytes(memoryview(value)) if isinstance(value, _BYTES) else None
    except ValueError:  # a released memoryview
        expected = None
    if not expected:
        found = "empty bytes" if expected == b"" else repr(value)
        raise InputError(
            code, f"{name}: expected bytes, found {found}; leave the argument out to require none"
        )
    return expected


def _value_failures(name: str, expected: bytes, found: bytes | None) -> list[PolicyFailure]:
    """Compares in constant time. A field that is null always fails."""
    if found is not None and hmac.compare_digest(found, expected):
        return []
    return [
        PolicyFailure(
            f"policy.{name}",
            f"the document has no {name}; expected {shown(expected)}"
            if found is None
            else f"{name} mismatch: expected {shown(expected)}, found {shown(found)}",
            expected=expected.hex(),
            found=None if found is None else found.hex(),
        )
    ]
