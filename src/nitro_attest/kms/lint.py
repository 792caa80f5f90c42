"""Linter for key policies: finds statements that return plaintext without attestation (K-1 to K-4).

One fact explains most findings: a request without an attestation document has none of the
``kms:RecipientAttestation`` keys, and each IAM operator has its own result for an absent key. So
every statement is checked for its effect on such a request.
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
    ConditionTest,
    Statement,
    parse_key_policy,
    pointer,
)
from nitro_attest.kms.statements import PLAINTEXT_ACTIONS
from nitro_attest.limits import PCR_BYTES

__all__ = ["Finding", "lint"]

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

# The registers that identify the code: those of the image and its signer for an enclave; the boot
# chain and Secure Boot for an instance (T-4: the other registers are constant, or the running
# system can extend them).
_CODE_REGISTERS: Final = frozenset(
    [("", index) for index in (*IMAGE_PCRS, 8)] + [("nitrotpm", index) for index in (4, 7)]
)
_IMAGE_REGISTERS: Final = frozenset(("", index) for index in IMAGE_PCRS)
_ACCOUNT: Final = re.compile(r"(?:arn:[^:]*:iam::)?[0-9]{12}(?::root)?")
_DIGITS: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * PCR_BYTES}}}")


def lint(key_policy: str | bytes) -> list[Finding]:
    """Finds the statements of a key policy that bypass attestation, or cannot work as written.

    The linter reads one key policy. It does not see IAM policies, grants, or other keys.

    Args:
        key_policy: The JSON of a key policy, at most 65536 bytes, as ``aws kms get-key-policy
            --query Policy --output text`` prints it.

    Returns:
        All findings, in the order of the statements; an empty list for a sound policy. The codes
        are in docs/reference/kms-policy.md.

    Raises:
        InputError: ``policyfile.format``: the text is not a key policy. ``policyfile.duplicate``:
            a key is duplicated, so the policy is ambiguous. ``input.expected``: the argument is
            not a string or bytes.

    Example:
        >>> import json
        >>> from nitro_attest.kms.lint import lint
        >>> from nitro_attest.kms.statements import statements
        >>> role = "arn:aws:iam::111122223333:role/enclaves"
        >>> sound = statements({0: "ab" * 48}, principals=[role])
        >>> lint(json.dumps({"Version": "2012-10-17", "Statement": sound}))
        []
        >>> del sound[0]["Condition"]
        >>> [finding] = lint(json.dumps({"Version": "2012-10-17", "Statement": sound}))
        >>> print(finding.severity, finding.code, finding.where)
        error keypolicy.unattested /Statement/0
    """
    policy, statements = parse_key_policy(key_policy)
    guarded = {action for statement in statements for action in _guarded_by(statement)}
    findings = list(_unknown("", policy, _POLICY_ELEMENTS))
    for statement in statements:
        findings += _of_statement(statement, guarded)
    return findings


def _of_statement(statement: Statement, guarded: Collection[str]) -> Iterator[Finding]:
    """Finds the problems of one statement; ``guarded`` actions are denied unattested elsewhere."""
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
    """Finds missing conditions of a statement that allows plaintext."""
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


def _of_test(test: ConditionTest, effect: str) -> Iterator[Finding]:
    """Checks one test by itself (K-1 to K-3)."""
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


def _absence_fault(test: ConditionTest, effect: str) -> str | None:
    """Returns the code if the test lets requests without an attestation document through (K-3)."""
    if test.quantifier == FOR_ALL:
        return "keypolicy.for_all_values"
    if effect == "Allow":
        if test.if_exists:
            return "keypolicy.if_exists"
        return "keypolicy.negated" if test.holds_without_document else None
    if test.quantifier == FOR_ANY or not test.holds_without_document:
        return "keypolicy.deny_equals"
    return None


def _value_fault(test: ConditionTest, value: object) -> str | None:
    if not isinstance(value, str):
        return "keypolicy.hex"
    if test.operator.endswith("like") and re.search(r"[*?]", value):
        return "keypolicy.wildcard"
    if not _DIGITS.fullmatch(value):
        return "keypolicy.hex"
    if test.register in _IMAGE_REGISTERS and not value.strip("0"):
        return "keypolicy.zero_pin"
    return None


def _names_code(test: ConditionTest, operators: Collection[str]) -> bool:
    """Returns True if the test compares a register that identifies the code with sound values."""
    return (
        test.operator in operators
        and test.register in _CODE_REGISTERS
        and bool(test.values)
        and not any(_value_fault(test, value) for value in test.values)
        and not _is_constant(test)
    )


def _is_constant(test: ConditionTest) -> bool:
    """Returns True if a value is the constant PCR2 (M-4): one matching value is enough."""
    return test.register == ("", 2) and EMPTY_RAMDISKS.hex() in _texts(test)


def _texts(test: ConditionTest) -> frozenset[str]:
    return frozenset(str(value).lower() for value in test.values)


def _guarded_by(statement: Statement) -> list[str]:
    """Returns the plaintext operations that this statement denies without the right document."""
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
