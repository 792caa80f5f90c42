"""The equivalent mutants that docs/explanation/mutants.md lists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PAGE: Final = "docs/explanation/mutants.md"
_PART: Final = re.compile(r"^## (?P<heading>[^\n]+)$|^```mutants\n(?P<block>.*?)^```$", re.M | re.S)


def equivalents(root: Path) -> list[str]:
    """Reads the page.

    Args:
        root: The repository.

    Returns:
        Full names in the order of the page. The heading above a block is the module.
    """
    names = []
    heading = ""
    for part in _PART.finditer((root / PAGE).read_text(encoding="utf-8")):
        if part["heading"] is not None:
            heading = part["heading"]
        else:
            names += [f"{heading}: {line}" for line in part["block"].splitlines() if line]
    return names


def candidates(name: str, names: Iterable[str]) -> list[str]:
    """Finds what a listed mutant may be called after its code moved or changed.

    Args:
        name: A full name that no mutant has.
        names: The full names of all mutants.

    Returns:
        Those with the same change elsewhere, or else up to five of the same function.
    """
    _, function, change = name.split(": ", 2)
    others = [other.split(": ", 2) for other in names]
    same_change = [": ".join(other) for other in others if other[2] == change]
    same_function = [": ".join(other) for other in others if other[1] == function]
    return same_change or same_function[:5]
