"""Reads HCL, and builds the policy of the data source aws_iam_policy_document as Terraform does.

The arguments are those that the AWS provider documents; each must be known here.
"""

import ast
from collections import defaultdict

import pytest


def load(source):
    """Parses HCL; skips the test without python-hcl2."""
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed")
    return hcl2.loads(source)


def documents(parsed):
    """The blocks of each data source of this kind, by name."""
    kind = '"aws_iam_policy_document"'
    return {
        literal(name): block
        for data in parsed["data"]
        for name, block in data.get(kind, {}).items()
        if name != "__is_block__"
    }


def statements(document, variables=None):
    """The statements of a data source, with values for the variables in it."""
    return [_statement(dict(block), variables or {}) for block in document["statement"]]


def condition(blocks):
    """The Condition that the data source makes of its condition blocks."""
    tests = defaultdict(dict)
    for block in blocks:
        (value,) = _literals(block["values"])
        keys = tests[literal(block["test"])]
        assert literal(block["variable"]) not in keys
        keys[literal(block["variable"])] = value
    return dict(tests)


def literal(quoted):
    """The string that an HCL literal is; the escapes in use mean the same in Python."""
    assert quoted.startswith('"'), quoted
    return ast.literal_eval(quoted)


def _literals(quoted):
    return [literal(item) for item in quoted]


def _statement(block, variables):
    assert block.pop("__is_block__")
    result = {
        "Sid": literal(block.pop("sid")),
        "Effect": literal(block.pop("effect")),
        "Principal": {
            literal(item["type"]): _identifiers(item["identifiers"], variables)
            for item in block.pop("principals")
        },
        "Action": _literals(block.pop("actions")),
        "Resource": "".join(_literals(block.pop("resources"))),
    }
    if "condition" in block:
        result["Condition"] = condition(block.pop("condition"))
    assert block == {}
    return result


def _identifiers(value, variables):
    if isinstance(value, str):
        return variables[value.removeprefix("${").removesuffix("}")]
    return _literals(value)
