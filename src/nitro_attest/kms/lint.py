"""The holes of a key policy through which plaintext leaves without an attestation (K-1 to K-4).

One fact explains most of them: a request without an attestation document has none of the
``kms:RecipientAttestation`` keys, and each IAM operator has its own answer to a key that is absent.
So every statement is asked what it does with such a request.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from nitro_attest._internal.pcrs import EMPTY_RAMDISKS, IMAGE_PCRS
from nitro_attest.kms.findings import Finding
from nitro_attest.kms.parse import (
    DIFFERS,
    EQUALS,
    FOR_ALL,
    FOR_ANY,
    NULL,
    Statement,
    Test,
    pointer,
    read_key_policy,
)
from nitro_attest.kms.statements import PLAINTEXT_ACTIONS
from nitro_attest.limits import PCR_BYTES

_WAYS_AROUND: Final = (
    *("kms:CreateGrant", "kms:PutKeyPolicy"),
    *("kms:ReEncryptFrom", "kms:ReEncryptTo"),
)
_POLICY_ELEMENTS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_ELEMENTS: Final = frozenset(
    {
        *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
        *("Resource", "NotResource", "Condition"),
    }
)

# The registers that say which code runs: of an enclave those of the image and its signer; of an
# instance the boot chain and Secure Boot (T-4: others are constant, or open to the running system).
_CODE_REGISTERS: Final = frozenset(
    [("", index) for index in (*IMAGE_PCRS, 8)] + [("nitrotpm", index) for index in (4, 7)]
)
_IMAGE_REGISTERS: Final = frozenset(("", index) for index in IMAGE_PCRS)
_ACCOUNT: Final = re.compile(r"(?:arn:[^:]*:iam::)?[0-9]{12}(?::root)?")
_DIGITS: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * PCR_BYTES}}}")


def lint(key_policy: str | bytes) -> list[Finding]:
    """Finds what a key policy leaves open.

    Args:
        key_policy: The JSON of a key policy, at most MAX_KEY_POLICY_BYTES.

    Returns:
        All findings, in the order of the statements; empty if there is nothing to say.

    Raises:
        InputError: ``policyfile.format`` or ``policyfile.duplicate``: it is not a key policy, or
            could be read in two ways. ``input.expected``: it is neither text nor bytes.
    """
    policy, statements = read_key_policy(key_policy)
    guarded = {action for statement in statements for action in _guarded_by(statement)}
    findings = list(_unknown("", policy, _POLICY_ELEMENTS))
    for statement in statements:
        findings += _of_statement(statement, guarded)
    return findings


def _of_statement(statement: Statement, guarded: Collection[str]) -> Iterator[Finding]:
    """All holes of one statement, given what others deny to everybody."""
    yield from _unknown(statement.where, statement.elements, _STATEMENT_ELEMENTS)
    for name, code in (("NotAction", "not_action"), ("NotPrincipal", "not_principal")):
        if name in statement.elements:
            yield Finding.at(pointer(statement.where, name), f"keypolicy.{code}")
    of_tests = [finding for test in statement.tests for finding in _of_test(test, statement.effect)]
    yield from of_tests
    condition = pointer(statement.where, "Condition")
    if statement.effect == "Deny":
        if len(statement.tests) > 1:
            yield Finding.at(condition, "keypolicy.deny_several")
        return
    if len({_texts(test) for test in statement.tests if test.register == ("", 0)}) > 1:
        yield Finding.at(condition, "keypolicy.image_and_pcr0")
    if any(statement.covers(action) for action in PLAINTEXT_ACTIONS if action not in guarded):
        yield from _of_plaintext(statement, any(f.severity == "error" for f in of_tests))
    unconditioned = not statement.tests and not statement.other_tests
    if unconditioned and any(map(statement.covers, _WAYS_AROUND)):
        yield Finding.at(statement.where, "keypolicy.way_around")


def _of_plaintext(statement: Statement, has_errors: bool) -> Iterator[Finding]:
    """What is missing where plaintext is allowed."""
    if not statement.tests:
        accounts = [name for name in statement.principals if _ACCOUNT.fullmatch(name)]
        if accounts:
            yield Finding.at(statement.where, "keypolicy.account_root")
        if len(accounts) < len(statement.principals) or not accounts:
            yield Finding.at(statement.where, "keypolicy.unattested")
    elif not any(_names_code(test, EQUALS) for test in statement.tests):
        for test in statement.tests:
            if _is_constant(test):
                yield Finding.at(test.where, "keypolicy.constant_pcr2")
        if not has_errors:
            yield Finding.at(pointer(statement.where, "Condition"), "keypolicy.no_image")


def _of_test(test: Test, effect: str) -> Iterator[Finding]:
    """K-1 to K-3 for one test by itself."""
    if test.register is None:
        yield Finding.at(test.where, "keypolicy.unknown_key")
        return
    if test.operator not in {*EQUALS, *DIFFERS, NULL}:
        yield Finding.at(test.where, "keypolicy.operator")
        return
    absence = _absence_fault(test, effect)
    if absence:
        yield Finding.at(test.where, absence)
    if test.operator == NULL:
        return
    if not test.operator.endswith("ignorecase"):
        yield Finding.at(test.where, "keypolicy.case")
    if test.register == ("", 4):
        yield Finding.at(test.where, "keypolicy.instance_pin")
    faults = [_value_fault(test, value) for value in test.values] or ["keypolicy.hex"]
    for code in dict.fromkeys(filter(None, faults)):
        yield Finding.at(test.where, code)


def _absence_fault(test: Test, effect: str) -> str | None:
    """What a request without an attestation document gains by this test."""
    if test.quantifier == FOR_ALL:
        return "keypolicy.for_all_values"
    if effect == "Allow":
        if test.if_exists:
            return "keypolicy.if_exists"
        return "keypolicy.negated" if test.holds_without_document else None
    if test.quantifier == FOR_ANY or not test.holds_without_document:
        return "keypolicy.deny_equals"
    return None


def _value_fault(test: Test, value: object) -> str | None:
    if not isinstance(value, str):
        return "keypolicy.hex"
    if test.operator.endswith("like") and re.search(r"[*?]", value):
        return "keypolicy.wildcard"
    if not _DIGITS.fullmatch(value):
        return "keypolicy.hex"
    if test.register in _IMAGE_REGISTERS and not value.strip("0"):
        return "keypolicy.zero_pin"
    return None


def _names_code(test: Test, operators: Collection[str]) -> bool:
    """Whether the test compares, by one of the operators, a register of code with real values."""
    return (
        test.operator in operators
        and test.register in _CODE_REGISTERS
        and bool(test.values)
        and not any(_value_fault(test, value) for value in test.values)
        and not _is_constant(test)
    )


def _is_constant(test: Test) -> bool:
    """M-4. One of the values is enough for a match, so one constant among them is too."""
    return test.register == ("", 2) and EMPTY_RAMDISKS.hex() in _texts(test)


def _texts(test: Test) -> frozenset[str]:
    return frozenset(str(value).lower() for value in test.values)


def _guarded_by(statement: Statement) -> list[str]:
    """The operations that this statement denies to everybody without the right document."""
    sound = (
        statement.effect == "Deny"
        and statement.principals == ("*",)
        and statement.elements.get("Resource", "*") in ("*", ["*"])
        and "NotResource" not in statement.elements
        and len(statement.tests) == 1
        and not statement.other_tests
        and not statement.tests[0].quantifier
        and _names_code(statement.tests[0], DIFFERS)
    )
    return [action for action in PLAINTEXT_ACTIONS if sound and statement.covers(action)]


def _unknown(where: str, elements: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    for name in elements:
        if name not in known:
            yield Finding.at(pointer(where, name), "keypolicy.unknown_element")
