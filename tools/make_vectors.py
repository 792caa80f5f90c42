"""Writes fixtures/vectors/conformance: the same bytes whenever it runs.

    python tools/make_vectors.py              write
    python tools/make_vectors.py --check      compare; exit 1 where a file is not as it would be
    python tools/make_vectors.py --ask        ask the oracles again instead of keeping their answers

Keys, serial numbers and signatures follow from a seed, times are fixed. What the oracles said
depends on their versions, so it is kept from the files as long as the question is the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from vectors.case import Case
from vectors.suite import ABOUT, all_cases
from vectors.workshop import roots

REPOSITORY: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = REPOSITORY / "fixtures" / "vectors" / "conformance"


def main() -> int:
    """Writes or compares; the exit code."""
    parser = argparse.ArgumentParser(description="Writes the conformance vectors.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--ask", action="store_true", help="ask the oracles again")
    options = parser.parse_args()
    different = []
    for name, content in made(options.folder, ask=options.ask):
        path = options.folder / name
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            different.append(name)
    for name in different:
        print(f"{name} is not as it would be made", file=sys.stderr)
    return 1 if different else 0


def made(folder: Path, *, ask: bool) -> Iterator[tuple[str, bytes]]:
    """Every file of the suite but the schema, which is written by hand.

    Args:
        folder: Where to find what the oracles said.
        ask: Ask them again instead.
    """
    for name, pem in roots().items():
        yield f"roots/{name}.pem", pem
    cases = all_cases()
    answers, asked = _recorded(folder)
    if ask:
        answers, asked = _ask(cases)
    for group, about in ABOUT.items():
        content = {
            "schema": "nitro-attest-vectors/1",
            "group": group,
            "about": about,
            "asked": asked,
            "cases": [_with_oracles(case, answers) for case in cases if case.group == group],
        }
        text = json.dumps(content, indent=1, ensure_ascii=False)
        yield f"{group}.json", f"{text}\n".encode()


def _question(case: dict[str, Any]) -> tuple[str, ...]:
    return case["id"], case["root"], case["time"], case["document"]["sha256"]


def _recorded(folder: Path) -> tuple[dict[tuple[str, ...], list[Any]], dict[str, str]]:
    """What the oracles said when they were last asked, and who they were."""
    answers, asked = {}, {}
    for group in ABOUT:
        path = folder / f"{group}.json"
        if path.exists():
            content = json.loads(path.read_text())
            asked = content["asked"]
            answers |= {_question(case): case["oracles"] for case in content["cases"]}
    return answers, asked


def _ask(cases: list[Case]) -> tuple[dict[tuple[str, ...], list[Any]], dict[str, str]]:
    # The oracles stand beside the tests that use them too.
    sys.path.append(str(REPOSITORY / "tests"))
    from vectors import oracles

    trusted = roots()
    return {
        _question(case.to_json()): oracles.ask(case, trusted) for case in cases
    }, oracles.versions()


def _with_oracles(case: Case, answers: dict[tuple[str, ...], list[Any]]) -> dict[str, Any]:
    """The whole case; its document comes last, where it does not hide the rest."""
    content = case.to_json()
    said = answers.get(_question(content))
    if said is None:
        raise SystemExit(f"the oracles have not been asked about {case.id}: run with --ask")
    agreeing = [saying["oracle"] for saying in said if saying["agrees"]]
    judges = [oracle for oracle in agreeing if oracle in case.judged_by]
    if case.genuine and case.code is None:
        judges.insert(0, "aws")
    document = content.pop("document")
    return content | {"judges": judges, "oracles": said, "document": document}


if __name__ == "__main__":
    sys.exit(main())
