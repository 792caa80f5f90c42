"""Each line of the threat model names tests that exist."""

import ast
import re

from support.paths import DOCS

PAGE = DOCS / "explanation/channel-threat-model.md"
NAMED = re.compile(r"\]\((\S+?\.py)\)`::(\w+)`")


def rows():
    section = PAGE.read_text().partition("## What each attacker can do")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return lines[2:]


def test_every_line_names_its_test():
    assert len(rows()) >= 20
    assert not [row for row in rows() if not NAMED.search(row)]


def test_every_named_test_exists():
    for path, name in NAMED.findall(PAGE.read_text()):
        tree = ast.parse((PAGE.parent / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path}::{name}"
