"""Folders of the repository."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
FIXTURES = ROOT / "fixtures"
TOOLS = ROOT / "tools"
VECTORS = FIXTURES / "vectors"
