"""Internal: parses key policies as IAM does.

Names are case-insensitive, and a single value is the same as a list of one.
"""

from __future__ import annotations

import fnmatch
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from nitro_attest._internal.strict_json import read_json
from nitro_attest.errors import InputError
from nitro_attest.kms.statements import IMAGE_KEY, KEY_PREFIX
from nitro_attest.limits import MAX_PCRS

MAX_KEY_POLICY_BYTES: Final = 65536
"""Maximum size of a key policy given to the linter; KMS stores at most 32768 bytes."""

EQUALS: Final = frozenset({"stringequals", "stringequalsignorecase", "stringlike"})
DIFFERS: Final = frozenset({"stringnotequals", "stringnotequalsignorecase", "stringnotlike"})
NULL: Final = "null"
FOR_ALL: Final = "forallvalues"
FOR_ANY: Final = "foranyvalue"

_ANY_KEY: Final = KEY_PREFIX.lower().removesuffix(":")
_REGISTER: Final = re.compile(r"(nitrotpm)?pcr(0|[1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class ConditionTest:
    """One operator applied to one attestation key of a Condition.

    Attributes:
        where: JSON Pointer (RFC 6901) into the key policy.
        quantifier: FOR_ALL, FOR_ANY, or empty.
        operator: The operator in lower case, without the quantifier and without IfExists.
        if_exists: True if the operator ends in IfExists.
        register: ``""`` or ``"nitrotpm"``, and the index; None for a key that KMS does not have.
        values: The values that the key is compared with; one match is enough.
    """

    where: str
    quantifier: str
    operator: str
    if_exists: bool
    register: tuple[str, int] | None
    values: tuple[object, ...]

    @property
    def holds_without_document(self) -> bool:
        """The result of the operator for an absent key (K-3)."""
        if self.operator == NULL:
            return "true" in self.texts
        if self.quantifier == FOR_ANY and not self.if_exists:
            return False
        return self.quantifier == FOR_ALL or self.if_exists or self.operator in DIFFERS

    @property
    def requires_value(self) -> bool:
        """True if the test holds only for a document whose register has one of the values."""
        return self.operator in EQUALS and not self.holds_without_document

    @property
    def kind(self) -> str | None:
        """``""`` for a register of an enclave, ``"nitrotpm"`` for one of an instance, or None."""
        return self.register and self.register[0]

    @property
    def texts(self) -> frozenset[str]:
        """The values as lower-case text."""
        return frozenset(str(value).lower() for value in self.values)


class Principal(NamedTuple):
    """One principal of a statement.

    Attributes:
        kind: ``AWS``, ``Service``, ``Federated`` or ``CanonicalUser``; None for ``"Principal":
            "*"``, which has no kind.
        name: The ARN, the account or service, or ``*``.
    """

    kind: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a key policy.

    Attributes:
        where: JSON Pointer (RFC 6901) into the key policy.
        elements: The statement as JSON.
        actions: The values of Action or NotAction.
        principals: The values of Principal.
        tests: The tests of attestation keys.
        other_tests: The number of tests of other keys.
    """

    where: str
    elements: Mapping[str, Any]
    actions: tuple[str, ...]
    principals: tuple[Principal, ...]
    tests: tuple[ConditionTest, ...]
    other_tests: int

    @property
    def effect(self) -> str:
        """``Allow`` or ``Deny``."""
        return str(self.elements["Effect"])

    def covers(self, action: str) -> bool:
        """Returns True if the statement applies to the action; ``*`` and ``?`` are wildcards."""
        listed = any(matches(pattern, action) for pattern in self.actions)
        return listed != ("NotAction" in self.elements)


def parse_key_policy(key_policy: str | bytes) -> tuple[dict[str, Any], list[Statement]]:
    """Parses the JSON of a key policy.

    Args:
        key_policy: The JSON, at most MAX_KEY_POLICY_BYTES; bytes are UTF-8.

    Returns:
        The whole policy as JSON, and its statements.

    Raises:
        InputError: ``policyfile.format``: not a key policy. ``policyfile.duplicate``: a key is
            duplicated. ``input.expected``: not a string or bytes.
    """
    if not isinstance(key_policy, (str, bytes)):
        raise InputError(
            "input.expected",
            f"invalid key policy: expected a string or bytes, found {type(key_policy).__name__}",
        )
    if len(key_policy) > MAX_KEY_POLICY_BYTES:
        raise _malformed("", f"at most {MAX_KEY_POLICY_BYTES} bytes, found {len(key_policy)}")
    try:
        text = key_policy if isinstance(key_policy, str) else key_policy.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _malformed("", "UTF-8") from None
    text = text.strip()
    policy, end = read_json(text)
    if text[end:] or not isinstance(policy, dict) or "Statement" not in policy:
        raise _malformed(
            "",
            "one JSON object with a Statement; in the AWS CLI, use get-key-policy --query Policy "
            "--output text",
        )
    where = "/Statement"
    items = policy["Statement"]
    if isinstance(items, dict):
        return policy, [_statement(where, items)]
    if not isinstance(items, list) or not items:
        raise _malformed(where, "at least one statement")
    return policy, [_statement(f"{where}/{number}", item) for number, item in enumerate(items)]


def matches(pattern: str, action: str) -> bool:
    """Returns True if an element of Action names the action, in any case or by a wildcard."""
    return fnmatch.fnmatchcase(action.lower(), pattern.lower().replace("[", "[[]"))


def pointer(where: str, name: str) -> str:
    """Returns the JSON Pointer to a member of the object at ``where`` (RFC 6901)."""
    return f"{where}/{name.replace('~', '~0').replace('/', '~1')}"


def _statement(where: str, elements: object) -> Statement:
    if not isinstance(elements, dict) or elements.get("Effect") not in ("Allow", "Deny"):
        raise _malformed(where, "an object with the Effect Allow or Deny")
    if ("Action" in elements) == ("NotAction" in elements):
        raise _malformed(where, "either Action or NotAction")
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


def _principals(where: str, principal: object) -> tuple[Principal, ...]:
    if not isinstance(principal, dict):
        return tuple([Principal(None, name) for name in _texts(where, principal)])
    return tuple(
        [
            Principal(kind, name)
            for kind, names in principal.items()
            for name in _texts(pointer(where, kind), names)
        ]
    )


def _condition(where: str, condition: object) -> tuple[tuple[ConditionTest, ...], int]:
    if not isinstance(condition, dict):
        raise _malformed(where, "an object of operators")
    tests = []
    others = 0
    for operator, keys in condition.items():
        place = pointer(where, operator)
        if not isinstance(keys, dict):
            raise _malformed(place, "an object of condition keys")
        for key, values in keys.items():
            if key.lower().startswith(_ANY_KEY):
                tests.append(_test(pointer(place, key), operator.lower(), key.lower(), values))
            else:
                others += 1
    return tuple(tests), others


def _test(where: str, operator: str, key: str, values: object) -> ConditionTest:
    quantifier, _, name = operator.rpartition(":")
    if quantifier not in ("", FOR_ALL, FOR_ANY):
        quantifier, name = "", operator
    return ConditionTest(
        where,
        quantifier,
        name.removesuffix("ifexists"),
        name.endswith("ifexists"),
        _register(key.removeprefix(KEY_PREFIX.lower())),
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
            raise _malformed(where, f"a string, found {reprlib.repr(text)}")
    return tuple(texts)


def _malformed(where: str, expected: str) -> InputError:
    place = f" at {where}" if where else ""
    return InputError("policyfile.format", f"malformed key policy{place}: expected {expected}")
