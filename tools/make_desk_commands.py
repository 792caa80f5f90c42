#!/usr/bin/env python3
"""Collects the commands of the how-to pages for ``nitro-attest demo``.

    python tools/make_desk_commands.py            write src/nitro_attest/testing/desk_commands.sh
    python tools/make_desk_commands.py --check    exit with 1 if the file differs from the pages

A page whose commands run in the folder that ``nitro-attest demo`` makes contains DEMO, as its first
command. CONTRIBUTING.md describes the form of the blocks.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = ROOT / "src/nitro_attest/testing/desk_commands.sh"

DEMO: Final = "nitro-attest demo desk && cd desk && . ./variables.sh"
"""The command that makes the folder, and sets the variables that the other commands use."""

_HEAD: Final = """\
# The commands of the how-to pages. Run them one by one, or all: bash -v commands.sh
# Those that show a rejection exit with another code than 0.
. ./variables.sh
"""


def blocks(text: str, language: str) -> list[str]:
    """Returns the fenced blocks of a page that are marked with the language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(block: str) -> list[tuple[str, list[str]]]:
    """Returns each command of a console block with the lines of output below it.

    Args:
        block: Commands, which begin with ``$ `` and are continued after a backslash, and output.
    """
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        else:
            found[-1][1].append(line)
    return found


def pages() -> list[Path]:
    """Returns the how-to pages whose commands run in the folder, in alphabetical order."""
    found = sorted((ROOT / "docs/how-to").glob("*.md"))
    return [page for page in found if f"$ {DEMO}\n" in page.read_text(encoding="utf-8")]


def script() -> str:
    """Returns the content of the file."""
    return _HEAD + "".join(line for page in pages() for line in _lines(page))


def _lines(page: Path) -> Iterator[str]:
    """Yields the title of a page and its commands."""
    text = page.read_text(encoding="utf-8")
    yield f"\n# {text.partition(chr(10))[0].lstrip('# ')} (docs/how-to/{page.name})\n\n"
    for block in blocks(text, "console"):
        for command, _ in steps(block):
            if command != DEMO:
                yield f"{command}\n"


def main() -> int:
    """Writes or checks the file; returns the exit code."""
    parser = argparse.ArgumentParser(description="Collect the commands of the how-to pages.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it differs")
    check = parser.parse_args().check
    made = script()
    if FILE.exists() and FILE.read_text(encoding="utf-8") == made:
        return 0
    if check:
        print(f"differs: {FILE.relative_to(ROOT)}")
        return 1
    FILE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
