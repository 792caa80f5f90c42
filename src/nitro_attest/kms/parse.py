"""A key policy as IAM reads it: names without case, lists of one without the list."""

from __future__ import annotations

import fnmatch
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nitro_attest._internal.strict_json import read_json
from nitro_attest.errors import InputError
from nitro_attest.kms.statements import IMAGE_KEY, KEY_PREFIX
from nitro_attest.limits import MAX_PCRS

MAX_KEY_POLICY_BYTES: Final = 65536
"""Twice what KMS stores."""

EQUALS: Final = frozenset({"stringequals", "stringequalsignorecase", "stringlike"})
DIFFERS: Final = frozenset({"stringnotequals", "stringnotequalsignorecase", "stringnotlike"})
NULL: Final = "null"
FOR_ALL: Final = "forallvalues"
FOR_ANY: Final = "foranyvalue"

_REGISTER: Final = re.compile(r"(nitrotpm)?pcr(0|[1-9][0-9]?)")


@dataclass(frozen=True)
class Test:
    """One operator on one attestation key of a Condition.

    Attributes:
        where: JSON Pointer (RFC 6901).
        quantifier: FOR_ALL, FOR_ANY, or empty.
        operator: In lower case, without the quantifier and without IfExists.
        if_exists: Whether the operator ends in IfExists.
        register: ``""`` or ``"nitrotpm"``, and the index; None for a key that KMS does not have.
        values: What the key is compared with; one of them is enough.
    """

    where: str
    quantifier: str
    operator: str
    if_exists: bool
    register: tuple[str, int] | None
    values: tuple[object, ...]

    @property
    def holds_without_document(self) -> bool:
        """What the operator answers where the key is absent (K-3)."""
        if self.operator == NULL:
            return "true" in [str(value).lower() for value in self.values]
        return self.quantifier == FOR_ALL or self.if_exists or self.operator in DIFFERS


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        where: JSON Pointer (RFC 6901).
        elements: The statement itself.
        actions: What stands under Action or NotAction.
        principals: All names under Principal, of any kind.
        tests: The tests on attestation keys.
        other_tests: How many tests there are on other keys.
    """

    where: str
    elements: Mapping[str, Any]
    actions: tuple[str, ...]
    principals: tuple[str, ...]
    tests: tuple[Test, ...]
    other_tests: int

    @property
    def effect(self) -> str:
        """``Allow`` or ``Deny``."""
        return str(self.elements["Effect"])

    def covers(self, action: str) -> bool:
        """Whether the statement is about the action; patterns know ``*`` and ``?`` only."""
        listed = any(
            fnmatch.fnmatchcase(action.lower(), pattern.lower().replace("[", "[[]"))
            for pattern in self.actions
        )
        return listed != ("NotAction" in self.elements)


def read_key_policy(key_policy: str | bytes) -> tuple[dict[str, Any], list[Statement]]:
    """The JSON of a key policy, whole and by its statements.

    Raises:
        InputError: ``policyfile.format``, ``policyfile.duplicate``, or ``input.expected`` for what
            is neither text nor bytes.
    """
    if not isinstance(key_policy, (str, bytes)):
        raise InputError(
            "input.expected",
            f"the key policy is {type(key_policy).__name__}; JSON text or bytes were expected",
        )
    if len(key_policy) > MAX_KEY_POLICY_BYTES:
        raise _malformed("", f"at most {MAX_KEY_POLICY_BYTES} bytes were expected")
    try:
        text = key_policy if isinstance(key_policy, str) else key_policy.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _malformed("", "UTF-8 was expected") from None
    text = text.strip()
    policy, end = read_json(text)
    if text[end:] or not isinstance(policy, dict) or "Statement" not in policy:
        raise _malformed(
            "",
            "one JSON object with Statement was expected (from the AWS CLI: get-key-policy "
            "--query Policy --output text)",
        )
    where = "/Statement"
    items = policy["Statement"]
    if isinstance(items, dict):
        return policy, [_statement(where, items)]
    if not isinstance(items, list) or not items:
        raise _malformed(where, "at least one statement was expected")
    return policy, [_statement(f"{where}/{number}", item) for number, item in enumerate(items)]


def pointer(where: str, name: str) -> str:
    """The JSON Pointer to a member of what another one points to (RFC 6901)."""
    return f"{where}/{name.replace('~', '~0').replace('/', '~1')}"


def _statement(where: str, elements: object) -> Statement:
    if not isinstance(elements, dict) or elements.get("Effect") not in ("Allow", "Deny"):
        raise _malformed(where, "an object with Effect Allow or Deny was expected")
    if ("Action" in elements) == ("NotAction" in elements):
        raise _malformed(where, "one of Action and NotAction was expected")
    name = "Action" if "Action" in elements else "NotAction"
    tests, others = _condition(pointer(where, "Condition"), elements.get("Condition", {}))
    return Statement(
        where,
        elements,
        _texts(pointer(where, name), elements[name]),
        _principals(pointer(where, "Principal"), elements.get("Principal", {})),
        tests,
        others,
    )


def _principals(where: str, principal: object) -> tuple[str, ...]:
    if not isinstance(principal, dict):
        return _texts(where, principal)
    return tuple(
        [name for kind, names in principal.items() for name in _texts(pointer(where, kind), names)]
    )


def _condition(where: str, condition: object) -> tuple[tuple[Test, ...], int]:
    if not isinstance(condition, dict):
        raise _malformed(where, "an object of operators was expected")
    tests = []
    others = 0
    for operator, keys in condition.items():
        place = pointer(where, operator)
        if not isinstance(keys, dict):
            raise _malformed(place, "an object of condition keys was expected")
        for key, values in keys.items():
            if key.lower().startswith(KEY_PREFIX.lower()):
                tests.append(_test(pointer(place, key), operator.lower(), key.lower(), values))
            else:
                others += 1
    return tuple(tests), others


def _test(where: str, operator: str, key: str, values: object) -> Test:
    quantifier, _, name = operator.rpartition(":")
    if quantifier not in ("", FOR_ALL, FOR_ANY):
        quantifier, name = "", operator
    return Test(
        where,
        quantifier,
        name.removesuffix("ifexists"),
        name.endswith("ifexists"),
        _register(key[len(KEY_PREFIX) :]),
        tuple(values) if isinstance(values, list) else (values,),
    )


def _register(name: str) -> tuple[str, int] | None:
    if name == IMAGE_KEY.lower():
        return "", 0
    match = _REGISTER.fullmatch(name)
    if match is None or int(match[2]) >= MAX_PCRS:
        return None
    return match[1] or "", int(match[2])


def _texts(where: str, value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str):
            raise _malformed(where, f"text was expected, not {reprlib.repr(text)}")
    return tuple(texts)


def _malformed(where: str, expected: str) -> InputError:
    place = f"at {where} " if where else ""
    return InputError("policyfile.format", f"this is not a key policy: {place}{expected}")
