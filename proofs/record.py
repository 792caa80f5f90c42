"""The record of the last complete proof, proved.json: what was proved, and with which tools.

A run that would prove the same sources with the same tools again may be left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
RECORD: Final = Path("proofs/proved.json")
PATTERNS: Final = ("csrc/*.c", "csrc/*.h", "proofs/*.py", "proofs/broken.json")
TOOLS: Final = {"frama-c": "-version", "why3": "--version", "cvc4": "--version", "z3": "--version"}
"""The option of each tool that prints its version."""

Subject = dict[str, dict[str, str]]


@cache
def versions() -> dict[str, str]:
    """Asks each tool that is installed for its version."""
    found = {}
    for tool, option in TOOLS.items():
        if shutil.which(tool) is not None:
            printed = subprocess.run((tool, option), capture_output=True, text=True).stdout
            found[tool] = re.findall(r"\d+\.[\w.+-]+", printed)[0]
    return found


def subject(root: Path = ROOT) -> Subject:
    """Describes what a proof of this tree depends on: digests of the sources, tools' versions."""
    paths = sorted(path for pattern in PATTERNS for path in root.glob(pattern))
    digests = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }
    return {"sources": digests, "tools": versions()}


def differences(root: Path = ROOT) -> list[str]:
    """Lists the sources and tools that differ from the recorded proof; all, where none exists."""
    recorded, present = read(root), subject(root)
    return [
        name
        for part in ("sources", "tools")
        for name in sorted({*recorded.get(part, {}), *present[part]})
        if recorded.get(part, {}).get(name) != present[part].get(name)
    ]


def read(root: Path = ROOT) -> dict[str, Any]:
    """Reads proved.json; empty where it does not exist."""
    path = root / RECORD
    return json.loads(path.read_text()) if path.exists() else {}


def write(subject: Subject, counts: dict[str, int], root: Path = ROOT) -> None:
    """Writes proved.json.

    Args:
        subject: What was proved, as subject() described it before the proof.
        counts: The numbers of functions, goals and breaks.
        root: The folder of the project.
    """
    (root / RECORD).write_text(json.dumps({**counts, **subject}, indent=2) + "\n")
