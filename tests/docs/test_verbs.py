"""The tables of verbs list every verb."""

import re
from pathlib import Path

import click
import pytest

from nitro_attest.cli import cli

ROOT = Path(__file__).resolve().parents[2]
VERBS = cli.list_commands(click.Context(cli))


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_a_row_and_a_section(verb):
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert re.search(rf"^\| `{verb}\b", page, re.MULTILINE)
    assert f"\n## {verb}\n" in page
    readme = (ROOT / "README.md").read_text()
    assert f"[`{verb}`][cli-{verb}]" in readme
    assert re.search(rf"^\[cli-{verb}\]: .+/docs/reference/cli\.md#{verb}$", readme, re.MULTILINE)
