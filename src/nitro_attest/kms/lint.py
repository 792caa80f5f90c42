"""Linter for key policies: finds statements that return plaintext without attestation.

One fact explains most findings: a request without an attestation document has none of the
``kms:RecipientAttestation`` keys, and each IAM operator has its own result for an absent key (K-3).
So every statement is checked for its effect on such a request, and on a request with the document
of other code (K-11).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from nitro_attest._internal.pcrs import EMPTY_RAMDISKS
from nitro_attest.kms.findings import Finding
from nitro_attest.kms.model import (
    RECIPIENT_ACTIONS,
    WAYS_AROUND,
    guards_by_action,
    identify_code,
    is_denied,
    is_unmeasured,
    requirements,
    value_fault,
)
from nitro_attest.kms.parse import (
    DIFFERS,
    EQUALS,
    FOR_ALL,
    FOR_ANY,
    NULL,
    ConditionTest,
    Statement,
    matches,
    parse_key_policy,
    pointer,
)
from nitro_attest.kms.statements import PLAINTEXT_ACTIONS

__all__ = ["Finding", "lint"]

_POLICY_ELEMENTS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_ELEMENTS: Final = frozenset(
    {
        *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
        *("Resource", "NotResource", "Condition"),
    }
)
_ACCOUNT: Final = re.compile(r"(?:arn:[^:]*:iam::)?[0-9]{12}(?::root)?")
_CONSTANTS: Final[Mapping[tuple[str, int], str]] = {
    ("", 2): "keypolicy.constant_pcr2",
    ("", 8): "keypolicy.unsigned",
    ("nitrotpm", 7): "keypolicy.secure_boot_off",
}
_SANDBOX_REGISTER: Final = ("", 17)


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
    findings = list(_unknown("", policy, _POLICY_ELEMENTS))
    guards = guards_by_action(statements)
    for statement in statements:
        findings += _of_statement(statement, guards)
    return list(dict.fromkeys(findings))


def _of_statement(
    statement: Statement, guards: Mapping[str, Sequence[Statement]]
) -> Iterator[Finding]:
    """Finds the problems of one statement, given the Denies of the key policy by action."""
    yield from _unknown(statement.where, statement.elements, _STATEMENT_ELEMENTS)
    for name, code in (("NotAction", "not_action"), ("NotPrincipal", "not_principal")):
        if name in statement.elements:
            yield Finding.at(pointer(statement.where, name), f"keypolicy.{code}")
    if "Resource" not in statement.elements:
        yield Finding.at(statement.where, "keypolicy.no_resource")
    of_tests = [finding for test in statement.tests for finding in _of_test(test, statement.effect)]
    yield from of_tests
    if statement.effect == "Deny":
        yield from _of_deny(statement)
    else:
        has_errors = any(finding.severity == "error" for finding in of_tests)
        yield from _of_allow(statement, guards, has_errors)


def _of_deny(statement: Statement) -> Iterator[Finding]:
    if len(statement.tests) > 1:
        yield Finding.at(_condition(statement), "keypolicy.deny_several")
    locks_out = (
        bool(statement.tests)
        and all(test.holds_without_document for test in statement.tests)
        and not statement.other_tests
        and any(principal.name == "*" for principal in statement.principals)
        and statement.covers("kms:PutKeyPolicy")
    )
    if locks_out:
        yield Finding.at(statement.where, "keypolicy.lockout")


def _of_allow(
    statement: Statement, guards: Mapping[str, Sequence[Statement]], has_errors: bool
) -> Iterator[Finding]:
    """Finds the problems of an Allow; ``has_errors`` if one of its tests has an error."""
    if not statement.other_tests and any(item.name == "*" for item in statement.principals):
        yield Finding.at(pointer(statement.where, "Principal"), "keypolicy.any_principal")
    yield from _of_allow_condition(statement)
    allowed = [
        action
        for action in guards
        if statement.covers(action) and not is_denied(statement, guards[action])
    ]
    for action in PLAINTEXT_ACTIONS:
        if action in allowed:
            tests = requirements(statement, guards[action])
            yield from _of_plaintext(statement, tests, has_errors)
    if not statement.tests and any(action in allowed for action in WAYS_AROUND):
        conditional = bool(statement.other_tests)
        code = "keypolicy.conditional_way_around" if conditional else "keypolicy.way_around"
        yield Finding.at(statement.where, code)


def _of_allow_condition(statement: Statement) -> Iterator[Finding]:
    """Finds the problems of several tests of an Allow with one another, and with its actions."""
    required = [test for test in statement.tests if test.requires_value]
    if len({test.kind for test in required} - {None}) > 1:
        yield Finding.at(_condition(statement), "keypolicy.mixed_kinds")
    if len({test.texts for test in required if test.register == ("", 0)}) > 1:
        yield Finding.at(_condition(statement), "keypolicy.image_and_pcr0")
    if "NotAction" in statement.elements or all(
        test.holds_without_document for test in statement.tests
    ):
        return
    for name in statement.actions:
        if not any(matches(name, action) for action in RECIPIENT_ACTIONS):
            yield Finding.at(pointer(statement.where, "Action"), "keypolicy.no_document")


def _of_plaintext(
    statement: Statement, tests: Sequence[ConditionTest], has_errors: bool
) -> Iterator[Finding]:
    """Finds what is missing from the tests that a request for plaintext must meet (K-11)."""
    where = _condition(statement) if statement.tests else statement.where
    if len({test.register for test in tests if len(test.texts) > 1}) > 1:
        yield Finding.at(where, "keypolicy.mixture")
    if not statement.tests and not tests:
        accounts = [item for item in statement.principals if _ACCOUNT.fullmatch(item.name)]
        if accounts:
            yield Finding.at(statement.where, "keypolicy.account_root")
        if len(accounts) < len(statement.principals) or not accounts:
            yield Finding.at(statement.where, "keypolicy.unattested")
    elif not identify_code(tests):
        for test in tests:
            if constant := _constant(test):
                yield Finding.at(test.where, constant)
        if not has_errors:
            sandbox = any(test.register == _SANDBOX_REGISTER for test in tests)
            yield Finding.at(where, "keypolicy.sandbox" if sandbox else "keypolicy.no_image")


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
    faults = [value_fault(test, value) for value in test.values] or ["keypolicy.hex"]
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


def _constant(test: ConditionTest) -> str | None:
    """Returns the code if many images or instances have one of the values (M-3, M-4, T-5)."""
    if test.register == ("", 2):
        found = EMPTY_RAMDISKS.hex() in test.texts
    else:
        found = any(is_unmeasured(test.register, text) for text in test.texts)
    return _CONSTANTS.get(test.register) if found and test.register else None


def _condition(statement: Statement) -> str:
    return pointer(statement.where, "Condition")


def _unknown(where: str, elements: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    for name in elements:
        if name not in known:
            yield Finding.at(pointer(where, name), "keypolicy.unknown_element")
