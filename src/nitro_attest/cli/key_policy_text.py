r"""Statements of a key policy, or a Condition, as the text that a build tool reads.

Strings are always quoted, in the escapes that YAML 1.2 (section 5.7) and HCL have in common: a
quotation mark, a backslash, and ``\u`` or ``\U`` for what is not printable ASCII.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from nitro_attest.errors import InputError


def _json(value: Any) -> Iterator[str]:
    yield json.dumps(value, indent=2)


def _yaml(value: Any) -> Iterator[str]:
    """Yields the lines of block style YAML, to be pasted into a CloudFormation template."""
    if isinstance(value, dict):
        for key, item in value.items():
            name = key if key.isalpha() else _quoted(key)
            if isinstance(item, str):
                yield f"{name}: {_quoted(item)}"
            else:
                yield f"{name}:"
                yield from _indented(_yaml(item))
    elif isinstance(value, list):
        for item in value:
            first, *others = _yaml(item)
            yield f"- {first}"
            yield from _indented(others)
    else:
        yield _quoted(value)


def _hcl(value: Any) -> Iterator[str]:
    """Yields the lines of a data source of Terraform's AWS provider, or of its condition blocks."""
    if isinstance(value, dict):
        yield from _conditions(value)
        return
    yield 'data "aws_iam_policy_document" "attested" {'
    for number, statement in enumerate(value):
        if number:
            yield ""
        yield from _indented(_block("statement", _statement(statement)))
    yield "}"


def _statement(statement: Mapping[str, Any]) -> Iterator[str]:
    yield f"sid       = {_literal(statement['Sid'])}"
    yield f"effect    = {_literal(statement['Effect'])}"
    yield f"actions   = {_list(statement['Action'])}"
    yield f"resources = {_list([statement['Resource']])}"
    for kind, identifiers in statement["Principal"].items():
        yield ""
        lines = (f"type        = {_literal(kind)}", f"identifiers = {_list(identifiers)}")
        yield from _block("principals", lines)
    yield ""
    yield from _conditions(statement["Condition"])


def _conditions(condition: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    tests = [(test, key, text) for test, keys in condition.items() for key, text in keys.items()]
    for number, (test, key, text) in enumerate(tests):
        if number:
            yield ""
        lines = (
            f"test     = {_literal(test)}",
            f"variable = {_literal(key)}",
            f"values   = {_list([text])}",
        )
        yield from _block("condition", lines)


def _block(name: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"{name} {{"
    yield from _indented(lines)
    yield "}"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" if line else "" for line in lines)


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_literal, values))}]"


def _literal(text: str) -> str:
    """Quotes a string for HCL.

    ``${`` and ``%{`` begin a template in HCL, and the data source turns ``&{`` into ``${``, so no
    string can be sure to keep them.
    """
    found = re.search(r"[$%&]\{", text)
    if found:
        raise InputError(
            "input.expected",
            f"expected text without {found[0]!r}, which Terraform replaces, found {text!r}; "
            "use --format json",
        )
    return _quoted(text)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'["\\]|[^ -~]', _escape, text) + '"'


def _escape(character: re.Match[str]) -> str:
    found = character[0]
    if found in '"\\':
        return f"\\{found}"
    return f"\\u{ord(found):04x}" if ord(found) < 0x10000 else f"\\U{ord(found):08x}"


FORMATS: Final[Mapping[str, Callable[[Any], Iterator[str]]]] = {
    "json": _json,
    "yaml": _yaml,
    "hcl": _hcl,
}
"""By name: the function that yields the text of statements (a list) or of a Condition (a dict)."""
