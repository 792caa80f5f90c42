"""Internal: the model of the linter: which requests a statement can allow (K-10 to K-12).

``docs/reference/kms-policy.md`` states the model in words, with its sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from nitro_attest._internal.pcrs import IMAGE_PCRS, SECURE_BOOT_OFF_PCR7
from nitro_attest.kms.parse import DIFFERS, ConditionTest, Principal, Statement
from nitro_attest.kms.statements import PLAINTEXT_ACTIONS
from nitro_attest.limits import PCR_BYTES

RECIPIENT_ACTIONS: Final = (*PLAINTEXT_ACTIONS, "kms:GenerateRandom")
"""The only actions whose requests can carry an attestation document (K-10)."""

WAYS_AROUND: Final = (
    *("kms:CreateGrant", "kms:PutKeyPolicy", "kms:ReplicateKey"),
    *("kms:ReEncryptFrom", "kms:ReEncryptTo"),
)
"""Actions that make the key's plaintext available outside this key policy (K-13)."""

IMAGE_REGISTERS: Final = frozenset(("", index) for index in IMAGE_PCRS)
"""The registers of an enclave's image, which are all zero in debug mode (M-2)."""

_IDENTITIES: Final = (
    {("", 0)},
    {("", 1), ("", 2)},
    {("", 8)},
    {("nitrotpm", 4)},
    {("nitrotpm", 7)},
)
_DIGITS: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * PCR_BYTES}}}")
_SECURE_BOOT_OFF: Final = (("nitrotpm", 7), SECURE_BOOT_OFF_PCR7.hex())


def value_fault(test: ConditionTest, value: object) -> str | None:
    """Returns the code of the fault in one value of a test, or None (K-1, K-2)."""
    if not isinstance(value, str):
        return "keypolicy.hex"
    if test.operator.endswith("like") and re.search(r"[*?]", value):
        return "keypolicy.wildcard"
    if not _DIGITS.fullmatch(value):
        return "keypolicy.hex"
    if test.register in IMAGE_REGISTERS and not value.strip("0"):
        return "keypolicy.zero_pin"
    return None


def identify_code(tests: Iterable[ConditionTest]) -> bool:
    """Returns True if only known code can meet these tests (K-11).

    A whole image is measured by PCR0, or by PCR1 and PCR2 together; one of these two alone fits
    images with other code. PCR8 identifies the signer. An instance is identified by PCR4, or by
    PCR7 with Secure Boot on.

    Args:
        tests: Tests that a request must meet, all of them, each of which requires a value.
    """
    registers = {test.register for test in tests if _has_only_measurements(test)}
    return any(identity <= registers for identity in _IDENTITIES)


def _has_only_measurements(test: ConditionTest) -> bool:
    """Returns True if each value is a measurement of something: one that is not is enough."""
    return bool(test.values) and not any(
        value_fault(test, value) or is_unmeasured(test.register, str(value))
        for value in test.values
    )


def is_unmeasured(register: tuple[str, int] | None, value: str) -> bool:
    """Returns True for a value that a register has without a measured image or signer (K-11)."""
    return not value.strip("0") or (register, value.lower()) == _SECURE_BOOT_OFF


def guards_by_action(statements: Sequence[Statement]) -> dict[str, list[Statement]]:
    """Lists, for each action that matters, the Denies that can protect other statements."""
    return {
        action: [statement for statement in statements if _is_guard(statement, action)]
        for action in (*PLAINTEXT_ACTIONS, *WAYS_AROUND)
    }


def requirements(statement: Statement, guards: Iterable[Statement]) -> list[ConditionTest]:
    """Lists the tests that a request must meet for an Allow statement to allow an action.

    Tests of keys that are not about attestation are assumed to hold (K-13).

    Args:
        statement: The Allow statement.
        guards: The Denies of the action, from ``guards_by_action``.

    Returns:
        The statement's own tests that require a value, and the tests of the Denies that apply to
        its principals.
    """
    own = [test for test in statement.tests if test.requires_value]
    return own + [
        test
        for guard in guards
        if guard.tests and _includes(guard, statement)
        for test in guard.tests
    ]


def is_denied(statement: Statement, guards: Iterable[Statement]) -> bool:
    """Returns True if a Deny without a condition denies the action to the statement's principals.

    Arguments are those of ``requirements``.
    """
    return any(not guard.tests and _includes(guard, statement) for guard in guards)


def _is_guard(statement: Statement, action: str) -> bool:
    """Returns True for a Deny that applies to each request that fails its test, if any (K-12).

    IAM has no wildcards before the colon of an action.
    """
    return (
        statement.effect == "Deny"
        and statement.elements.get("Resource") in ("*", ["*"])
        and "NotResource" not in statement.elements
        and statement.covers(action)
        and all(name == "*" or name.lower().startswith("kms:") for name in statement.actions)
        and not statement.other_tests
        and len(statement.tests) <= 1
        and all(test.operator in DIFFERS and not test.quantifier for test in statement.tests)
    )


def _includes(guard: Statement, statement: Statement) -> bool:
    """Returns True if the principals of ``guard`` include all of ``statement`` (K-12).

    ``"Principal": "*"`` is every principal. ``{"AWS": "*"}`` is not known to include services.
    """
    if Principal(None, "*") in guard.principals:
        return True
    kinds = {principal.kind for principal in statement.principals}
    return Principal("AWS", "*") in guard.principals and kinds == {"AWS"}
