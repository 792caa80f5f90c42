"""The reference pages say what the code does."""

import json
import re
from pathlib import Path

from nitro_attest.kms.findings import FINDINGS

DOCS = Path(__file__).resolve().parents[2] / "docs/reference"


def test_the_page_on_policies_names_every_key_of_the_schema():
    schema = json.loads((DOCS / "policy.schema.json").read_text())
    keys = re.findall(r"^\| `(\w+)` \|", (DOCS / "policy.md").read_text(), re.MULTILINE)
    assert set(keys) == set(schema["properties"])


def test_the_page_on_key_policies_holds_the_table_of_findings():
    page = (DOCS / "kms-policy.md").read_text()
    rows = re.findall(r"^\| `(keypolicy\.\w+)` \| (.+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert {code: (severity, *rest) for code, severity, *rest in rows} == FINDINGS
