"""The cases: from the folder of this repository, or from the one file of a released archive."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).resolve().parents[2] / "fixtures" / "vectors" / "conformance"
SCHEMAS: Final = ("nitro-attest-vectors/1", "nitro-attest-image-vectors/1")
ARCHIVE: Final = "nitro-attest-suite/1"
PROTOCOL: Final = 1


class Bounds(NamedTuple):
    """The time and memory that an answer may take.

    Attributes:
        flag: The flag of the cases that the bound on memory is for.
        seconds: The time of any answer.
        mebibytes: The memory beyond what an ordinary document takes.
    """

    flag: str = "denial-of-service"
    seconds: float = 10
    mebibytes: int = 64


BOUNDS: Final = Bounds()

Case = dict[str, Any]
"""A case as the files hold it, with its ``group``, ``raw`` bytes and the ``pem`` of its root."""


class SuiteError(Exception):
    """The case files are not what they should be."""


def suite_version(path: Path) -> str:
    """Returns the version of the suite, from the archive or the changelog of the cases.

    Raises:
        SuiteError: There is none.
    """
    if path.is_file():
        return str(json.loads(path.read_text(encoding="utf-8"))["suite_version"])
    found = re.search(r"^## (\S+)", (path / "CHANGES.md").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SuiteError(f"{path / 'CHANGES.md'} names no version")
    return found[1]


def load(
    path: Path, groups: list[str] | None = None, rules: list[str] | None = None
) -> Iterator[Case]:
    """Reads the cases of these groups and about these rules (None: all).

    Args:
        path: The folder of the case files, or the file ``vectors.json`` of an archive.
        groups: Names of files.
        rules: Rules that a case is about.

    Raises:
        SuiteError: A document or an image is not the one that the case was made with.
    """
    for case, root in _stored(path):
        if (groups and case["group"] not in groups) or (rules and case["rules"][0] not in rules):
            continue
        folder = path.parent if path.is_file() else path
        yield case | {"raw": _raw(folder, case)} | ({} if root is None else {"pem": root})


def _stored(path: Path) -> Iterator[tuple[Case, str | None]]:
    """Yields each case with the PEM of its root; images have none."""
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("schema") != ARCHIVE:
            raise SuiteError(f"{path} is no suite of schema {ARCHIVE}")
        for case in content["cases"]:
            yield case, content["roots"].get(case.get("root"))
        return
    roots = {one.stem: one.read_text(encoding="utf-8") for one in (path / "roots").glob("*.pem")}
    for file in sorted(path.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.get("schema") in SCHEMAS:
            for case in content["cases"]:
                yield {"group": content["group"]} | case, roots.get(case.get("root"))


def _raw(folder: Path, case: Case) -> bytes:
    what = "image" if "image" in case else "document"
    stored: dict[str, str] = case[what]
    if "file" in stored:
        raw = (folder / stored["file"]).read_bytes()
    else:
        raw = base64.b64decode(stored["base64"], validate=True)
    if hashlib.sha256(raw).hexdigest() != stored["sha256"]:
        raise SuiteError(f"the {what} of {case['id']} is not the one that was stored")
    return raw


def request(case: Case) -> dict[str, Any]:
    """Returns a case as a verifier receives it: without the expected result."""
    raw = base64.b64encode(case["raw"]).decode()
    asked = {"protocol": PROTOCOL} | {name: case[name] for name in ("id", "time", "features")}
    if "image" in case:
        return asked | {"image": raw, "ignore_crc": case["ignore_crc"]}
    asked |= {"document": raw, "root": case["pem"], "policy": case["policy"]}
    if "policy_file" in case:
        file = case["policy_file"]
        content = base64.b64encode(policy_file(file)).decode()
        chosen = {name: file[name] for name in ("enclave_name", "pcr_index")}
        asked["policy_file"] = {"base64": content} | chosen
    if "revocation" in case:
        lists = [one["base64"] for one in case["revocation"]["lists"]]
        asked["revocation"] = {"max_age_ms": case["revocation"]["max_age_ms"], "lists": lists}
    return asked


def policy_file(stored: dict[str, Any]) -> bytes:
    """Returns the bytes of a policy file."""
    if "text" in stored:
        return str(stored["text"]).encode()
    return base64.b64decode(stored["base64"], validate=True)


def kind_of(case: Case) -> str:
    """Returns the kind of command that a case is for."""
    kinds = {"image": "image", "policy_file": "policy", "revocation": "crl"}
    return next((kind for member, kind in kinds.items() if member in case), "document")
