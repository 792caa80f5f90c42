"""Measures the cost of a verification, compared with its signature checks alone.

Measures the signature checks alone (the baseline), a first verification, one with cached issuers,
one with a cached path, a short script, ``verify_many``, the C core, and process starts. Times are
medians of thread CPU time unless named wall-clock. A case and its baseline alternate; a ratio is
the median of the ratios of all rounds.

    python benchmarks/run.py [--rounds 500] [--json FILE] [--document]

``--document`` writes the figures into docs/explanation/performance.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cases
import core
import processes
from cryptography.hazmat.backends.openssl import backend
from hostile import inputs

PAGE = Path(__file__).parents[1] / "docs/explanation/performance.md"


def machine() -> dict[str, Any]:
    """Returns the processor and the versions on which the figures depend."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cryptography": version("cryptography"),
        "openssl": backend.openssl_version_text(),
        "nitro-attest": version("nitro-attest"),
        "compiler": core.compiler(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


def core_nanoseconds(count: int) -> dict[str, float]:
    """Returns the CPU time of the C core for each document, without the call from Python."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        driver = core.build(folder)
        path = folder / "document"
        found = {}
        for name, content in inputs().items():
            path.write_bytes(content)
            _, found[name] = core.nanoseconds(driver, path, count)
    return found


def rows(report: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Yields the lines of the report."""
    for name, value in report.items():
        if isinstance(value, Mapping):
            yield f"{'  ' * depth}{name}"
            yield from rows(value, depth + 1)
        else:
            yield f"{'  ' * depth}{name:<{48 - 2 * depth}}{value:>12}"


def write_document(report: Mapping[str, Any]) -> None:
    """Replaces the figures in the page on performance."""
    text = PAGE.read_text()
    start = text.index("\n", text.index("<!-- figures")) + 1
    end = text.index("<!-- end of figures")
    table = "\n".join(["```", *rows(report), "```", ""])
    PAGE.write_text(text[:start] + table + text[end:])


def main() -> int:
    """Measures, prints, and writes the files asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=500, help="rounds of each case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument(
        "--document", action="store_true", help=f"write the figures into {PAGE.name}"
    )
    arguments = parser.parse_args()
    rounds = arguments.rounds
    report = {
        "machine": machine(),
        "one at a time": cases.single(rounds),
        "the same once more": cases.single(rounds),
        "many, 64 documents": cases.many(max(5, rounds // 20), 64),
        "many, 512 documents": cases.many(max(5, rounds // 100), 512),
        "C core, ns a document": core_nanoseconds(200 * rounds),
        "process, ms of CPU": processes.starts(max(5, rounds // 25)),
    }
    print("\n".join(rows(report)))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    if arguments.document:
        write_document(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
