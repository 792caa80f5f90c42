"""Writes fixtures/vectors/conformance: the same bytes whenever it runs.

    python tools/make_vectors.py              write
    python tools/make_vectors.py --check      compare; exit 1 where a file is not as it would be
    python tools/make_vectors.py --ask GROUP  ask the oracles about a file's cases again
    python tools/make_vectors.py --release OUT  write the archive and its packages to a new folder
    python tools/make_vectors.py --changes OLD  print the cases that differ from an older archive

Keys, serial numbers and signatures follow from a seed, times are fixed. What the oracles said
depends on their versions, so it is kept from the files as long as the question is the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from vectors import images, policy_files, release
from vectors.case import Case
from vectors.fakes import roots
from vectors.suite import ABOUT, all_cases

REPOSITORY: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = REPOSITORY / "fixtures" / "vectors" / "conformance"


def main() -> int:
    """Writes or compares; the exit code."""
    parser = argparse.ArgumentParser(description="Writes the conformance vectors.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument(
        "--ask",
        choices=ABOUT,
        action="append",
        default=[],
        help="ask again about this file's cases",
    )
    parser.add_argument("--release", type=Path, metavar="OUT", help="write the released archive")
    parser.add_argument(
        "--changes", type=Path, metavar="OLD", help="compare with vectors.json of an older archive"
    )
    options = parser.parse_args()
    if options.release and options.release.exists():
        parser.error(f"{options.release} exists; name a new folder")
    if options.release:
        release.release(made(options.folder, options.ask), options.folder, options.release)
        return 0
    if options.changes:
        files = release.archive_files(dict(made(options.folder, options.ask)), options.folder)
        old, new = json.loads(options.changes.read_text()), json.loads(files["vectors.json"])
        print(release.changes(old, new), end="")
        return 0
    different = []
    for name, content in made(options.folder, options.ask):
        path = options.folder / name
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            different.append(name)
    for name in different:
        print(f"{name} is not as it would be made", file=sys.stderr)
    return 1 if different else 0


def made(folder: Path, ask: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Every file of the suite but the schemas, which are written by hand.

    Args:
        folder: Where to find what the oracles said.
        ask: The groups that they are asked about again instead.
    """
    for name, pem in roots().items():
        yield f"roots/{name}.pem", pem
    for name, document in policy_files.DOCUMENTS.items():
        yield f"{policy_files.FILES}/{name}.bin", document
    cases = all_cases()
    for group, about in ABOUT.items():
        of_group = [case for case in cases if case.group == group]
        answers, asked = _ask(of_group) if group in ask else _recorded(folder / f"{group}.json")
        yield _file(
            "nitro-attest-vectors/1",
            group,
            about=about,
            asked=asked,
            cases=[_with_oracles(case, answers) for case in of_group],
        )
    measured = [case.to_json() for case in images.cases()]
    yield _file("nitro-attest-image-vectors/1", "image", about=images.ABOUT, cases=measured)


def _file(schema: str, group: str, **members: Any) -> tuple[str, bytes]:
    content = {"schema": schema, "group": group} | members
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return f"{group}.json", f"{text}\n".encode()


def _question(case: dict[str, Any]) -> tuple[str, ...]:
    return case["id"], case["root"], case["time"], case["document"]["sha256"]


def _recorded(path: Path) -> tuple[dict[tuple[str, ...], list[Any]], dict[str, str]]:
    """Returns the answers of the oracles that a file records, and the versions of the oracles."""
    if not path.exists():
        return {}, {}
    content = json.loads(path.read_text())
    return {_question(case): case["oracles"] for case in content["cases"]}, content["asked"]


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
        raise SystemExit(f"nobody has been asked about {case.id}: run with --ask {case.group}")
    agreeing = [saying["oracle"] for saying in said if saying["agrees"]]
    judges = [oracle for oracle in agreeing if oracle in case.judged_by]
    if case.genuine and case.code is None:
        judges.insert(0, "aws")
    document = content.pop("document")
    return content | {"judges": judges, "oracles": said, "document": document}


if __name__ == "__main__":
    sys.exit(main())
