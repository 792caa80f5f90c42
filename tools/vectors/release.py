"""The released archive of the suite, and the packages of it: the same bytes whenever it runs."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from vectors_runner.control import CONTROLS
from vectors_runner.suite import ARCHIVE, BOUNDS, PROTOCOL, suite_version

from vectors.expectations import CLASSES, FLAGS, IMPORTANCE

NAME: Final = "nitro-attest-vectors"
REPOSITORY: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = REPOSITORY / "packages"
README: Final = Path(__file__).with_name("archive.md")
SUMS: Final = "SHA256SUMS"
DATA_FOLDERS: Final = {"vectors": "src/nitro_attest_vectors", "npm": "", "go": ""}
"""The folder of each package that the files of the archive go to."""

LEFTOVERS: Final = ("__pycache__", "*.egg-info", "build", "dist", "node_modules", "*.tgz")
"""Files of earlier builds, which are not released."""

Case = dict[str, Any]


def release(made: Iterable[tuple[str, bytes]], folder: Path, out: Path) -> None:
    """Writes the archive, and the sources of the packages with the archive's files in them.

    Args:
        made: The name and the content of each file of the suite, roots and cases.
        folder: The files that are written by hand, and those that cases refer to.
        out: A new folder.
    """
    files = archive_files(dict(made), folder)
    version = suite_version(folder)
    out.mkdir(parents=True)
    archive = out / f"{NAME}-{version}.tar"
    archive.write_bytes(_tar(files, f"{NAME}-{version}"))
    (out / SUMS).write_bytes(_sums({archive.name: archive.read_bytes()}))
    for name, data in DATA_FOLDERS.items():
        package = out / "packages" / name
        _copy(PACKAGES / name, package)
        (package / "LICENSE").write_bytes(files["LICENSE"])
        for file in ("vectors.json", "schema.json", "results-schema.json", "CHANGES.md"):
            (package / data / file).write_bytes(files[file])
        (package / data / "FORMAT.md").write_bytes(files["README.md"])
    (out / "packages/vectors/VERSION").write_text(f"{version}\n", encoding="utf-8")
    description = out / "packages/npm/package.json"
    content = json.loads(description.read_text(encoding="utf-8")) | {"version": version}
    description.write_bytes(_json(content, indent=2))


def _copy(source: Path, target: Path) -> None:
    """Copies the contents of the files, not their modes, which depend on the checkout."""
    ignored = shutil.ignore_patterns(*LEFTOVERS)
    shutil.copytree(source, target, ignore=ignored, copy_function=shutil.copyfile)


def archive_files(made: Mapping[str, bytes], folder: Path) -> dict[str, bytes]:
    """Returns the content of the archive's files, by name."""
    cases = list(_cases(made, folder))
    roots = {
        Path(name).stem: pem.decode() for name, pem in made.items() if name.startswith("roots/")
    }
    content = {
        "schema": ARCHIVE,
        "suite_version": suite_version(folder),
        "protocol": PROTOCOL,
        "counts": counts(cases),
        "classes": CLASSES,
        "flags": FLAGS,
        "importance": IMPORTANCE,
        "bounds": BOUNDS._asdict(),
        "controls": {kind: control._asdict() for kind, control in CONTROLS.items()},
        "roots": roots,
        "cases": cases,
    }
    files = {
        "vectors.json": _json(content),
        "schema.json": _json(archive_schema(folder)),
        "README.md": README.read_bytes(),
        "LICENSE": (REPOSITORY / "LICENSE").read_bytes(),
    }
    for name in ("CHANGES.md", "results-schema.json"):
        files[name] = (folder / name).read_bytes()
    return files | {SUMS: _sums(files)}


def _cases(made: Mapping[str, bytes], folder: Path) -> Iterator[Case]:
    """Yields every case with its document or image in it, and without the oracles' answers."""
    for name, written in made.items():
        if not name.endswith(".json"):
            continue
        content = json.loads(written)
        for case in content["cases"]:
            case.pop("oracles", None)
            what = "image" if "image" in case else "document"
            stored = case[what]
            if "file" in stored:
                raw = made.get(stored["file"]) or (folder / stored["file"]).read_bytes()
                case[what] = {
                    "base64": base64.b64encode(raw).decode(),
                    "sha256": stored["sha256"],
                }
            yield {"id": case.pop("id"), "group": content["group"]} | case


def counts(cases: Iterable[Case]) -> dict[str, Any]:
    """Returns the number of cases: all, by expected result, and by class."""
    cases = list(cases)
    results = Counter(case["expected"]["result"] for case in cases)
    of_class = Counter(case["class"] for case in cases)
    return {
        "cases": len(cases),
        **{result: results[result] for result in ("accept", "reject", "acceptable")},
        "classes": {name: of_class[name] for name in CLASSES},
    }


def archive_schema(folder: Path) -> dict[str, Any]:
    """Returns the JSON Schema of ``vectors.json``, from those of the case files."""
    schema = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    images = json.loads((folder / "image-schema.json").read_text(encoding="utf-8"))
    definitions = schema["$defs"]
    definitions |= {f"image_{name}": one for name, one in images["$defs"].items()}
    groups = {"case": schema["properties"]["group"], "image_case": images["properties"]["group"]}
    for name, group in groups.items():
        case = definitions[name]
        case["required"] = [one for one in case["required"] if one != "oracles"] + ["group"]
        case["properties"].pop("oracles", None)
        case["properties"]["group"] = group
    del definitions["oracle"]
    for name in ("document", "image_image"):
        definitions[name]["required"] = ["base64", "sha256"]
        del definitions[name]["properties"]["file"]
    for member, name in (("expected", "image_expected"), ("image", "image_image")):
        definitions["image_case"]["properties"][member] = {"$ref": f"#/$defs/{name}"}
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    number = {"type": "integer", "minimum": 0}
    control = _object({"accept": names, "reject": names})
    counted = dict.fromkeys(("cases", "accept", "reject", "acceptable"), number)
    counted["classes"] = {"type": "object", "additionalProperties": number}
    either = [{"$ref": "#/$defs/case"}, {"$ref": "#/$defs/image_case"}]
    return {
        "$schema": schema["$schema"],
        "title": "Conformance vectors for verifiers of AWS Nitro attestation documents",
        **_object(
            {
                "schema": {"const": ARCHIVE},
                "suite_version": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
                "protocol": {"const": PROTOCOL},
                "counts": _object(counted),
                "classes": texts,
                "flags": texts,
                "importance": texts,
                "bounds": _object(
                    {
                        "flag": {"enum": list(FLAGS)},
                        "seconds": {"type": "number"},
                        "mebibytes": number,
                    }
                ),
                "controls": _object(dict.fromkeys(CONTROLS, control)),
                "roots": texts,
                "cases": {"type": "array", "minItems": 1, "items": {"oneOf": either}},
            }
        ),
        "$defs": definitions,
    }


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": dict(properties),
    }


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Returns the lines of CHANGES.md about the cases that differ between two archives.

    Args:
        old: The content of ``vectors.json`` of an earlier version.
        new: That of a later one.
    """
    before = {case["id"]: _of_interest(case) for case in old["cases"]}
    after = {case["id"]: _of_interest(case) for case in new["cases"]}
    common = before.keys() & after.keys()
    lists = {
        "Added": after.keys() - before.keys(),
        "Changed": {name for name in common if before[name] != after[name]},
        "Removed": before.keys() - after.keys(),
    }
    return "".join(
        f"{title}: {', '.join(f'`{name}`' for name in sorted(names))}.\n"
        for title, names in lists.items()
        if names
    )


def _of_interest(case: Case) -> Case:
    """Returns what a verifier is given, and the expected result."""
    texts = ("title", "why", "links", "judges")
    expected = {name: case["expected"].get(name) for name in ("result", "measurements")}
    return {name: case[name] for name in case if name not in texts} | {"expected": expected}


def _json(content: Mapping[str, Any], indent: int = 1) -> bytes:
    return f"{json.dumps(content, indent=indent, ensure_ascii=False)}\n".encode()


def _sums(files: Mapping[str, bytes]) -> bytes:
    """Returns the checksums of files, in the form of ``sha256sum``."""
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "".join(lines).encode()


def _tar(files: Mapping[str, bytes], folder: str) -> bytes:
    """Returns an archive of files; not compressed, because compressors differ in their output."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(files[name])
            entry.mtime = 315532800  # 1980-01-01, the earliest that a zip file can have
            tar.addfile(entry, io.BytesIO(files[name]))
    return archive.getvalue()
