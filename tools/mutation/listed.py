"""The mutants that docs/explanation/mutants.md says nothing can tell from the original, and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

PAGE: Final = "docs/explanation/mutants.md"
_BLOCK: Final = re.compile(r"^```mutants\n(.*?)^```$", re.M | re.S)


def equivalents(root: Path) -> list[str]:
    """Their full names: module, a dot, and the mutant's name; in the order of the page."""
    blocks = _BLOCK.findall((root / PAGE).read_text(encoding="utf-8"))
    return [line for block in blocks for line in block.splitlines() if line]
