"""The released archive: complete, the same bytes each time, and enough for an outside runner."""

import copy
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tarfile

import pytest
from jsonschema import Draft202012Validator

from conformance_cases import CASES, FOLDER, raw
from support.paths import ROOT, TOOLS

ADAPTER = [sys.executable, str(TOOLS / "adapters/nitro_attest_adapter.py")]
RUNNER = ROOT / "tests/outside_runner.py"
ALWAYS = "print(json.dumps(dict(id=json.loads(line)['id'], result='{}')), flush=True)"


def make(*arguments, environment=(), umask=-1):
    command = [sys.executable, "-W", "error", TOOLS / "make_vectors.py", *arguments]
    changed = os.environ | dict(environment)
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=changed, umask=umask
    )


def written(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "out"
    run = make("--release", folder)
    assert (run.returncode, run.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def archive(release, tmp_path_factory):
    """The folder of the unpacked archive."""
    [path] = release.glob("*.tar")
    folder = tmp_path_factory.mktemp("archive")
    with tarfile.open(path) as tar:
        for entry in tar:
            file = folder / entry.name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(tar.extractfile(entry).read())
    [inside] = folder.iterdir()
    assert f"{inside.name}.tar" == path.name
    return inside


@pytest.fixture(scope="module")
def suite(archive):
    return json.loads((archive / "vectors.json").read_text())


def test_a_second_release_has_the_same_bytes(release, tmp_path):
    elsewhere = {"TZ": "Asia/Tokyo", "LC_ALL": "C"}
    run = make("--release", tmp_path / "elsewhere" / "again", environment=elsewhere, umask=0o077)
    assert run.returncode == 0, run.stderr
    assert written(tmp_path / "elsewhere" / "again") == written(release)


def test_a_folder_that_exists_is_left_alone(tmp_path):
    run = make("--release", tmp_path)
    assert run.returncode == 2
    assert "exists" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_checksums_are_those_of_the_files(release, archive):
    for folder in (archive, release):
        lines = (folder / "SHA256SUMS").read_text().splitlines()
        sums = dict(reversed(line.split("  ")) for line in lines)
        files = {path.name for path in folder.iterdir() if path.is_file()} - {"SHA256SUMS"}
        assert sums == {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files
        }


def test_the_readme_names_every_file_and_every_feature(archive):
    readme = (archive / "README.md").read_text()
    for path in archive.iterdir():
        assert path.name == "README.md" or f"| `{path.name}` |" in readme
    for name in ("schema", "image-schema"):
        schema = json.loads((FOLDER / f"{name}.json").read_text())
        for feature in schema["$defs"]["case"]["properties"]["features"]["items"]["enum"]:
            assert f"`{feature}`" in readme


def test_every_case_is_in_the_archive_with_its_document(suite):
    images = json.loads((FOLDER / "image.json").read_text())["cases"]
    stored = {case["id"]: case for case in suite["cases"]}
    assert stored.keys() == CASES.keys() | {case["id"] for case in images}
    for name, case in CASES.items():
        assert hashlib.sha256(raw(case)).hexdigest() == stored[name]["document"]["sha256"]
        kept = case.keys() - {"oracles", "document"}
        assert {key: stored[name][key] for key in kept} == {key: case[key] for key in kept}
    assert suite["counts"]["cases"] == len(suite["cases"])
    assert sum(suite["counts"]["classes"].values()) == len(suite["cases"])


def test_the_archive_is_as_its_schema_says(archive, suite):
    schema = json.loads((archive / "schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid(suite)
    short = suite | {"cases": suite["cases"][:1]}
    assert validator.is_valid(short)
    for name in schema["required"]:
        assert not validator.is_valid({key: short[key] for key in short if key != name}), name
    for name in schema["$defs"]["case"]["required"]:
        content = copy.deepcopy(short)
        del content["cases"][0][name]
        assert not validator.is_valid(content), name


def test_the_control_cases_are_not_acceptable_ones(suite):
    results = {case["id"]: case["expected"]["result"] for case in suite["cases"]}
    for control in suite["controls"].values():
        assert {results[name] for name in control["accept"]} == {"accept"}
        assert {results[name] for name in control["reject"]} == {"reject"}


def test_our_runner_reads_the_archive(archive, suite):
    command = [sys.executable, TOOLS / "run_vectors.py", "--vectors", archive / "vectors.json"]
    command += [
        "--timeout",
        "120",
        "--adapter",
        shlex.join(ADAPTER),
        "--group",
        "signature",
        "--group",
        "image",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    count = sum(case["group"] in ("signature", "image") for case in suite["cases"])
    assert f"{count} of {count} cases run, {count} right" in run.stdout


# A runner that was written from the README.


def outside(archive, *command):
    words = [sys.executable, RUNNER, archive / "vectors.json", *command]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.strip()


def test_an_outside_runner_passes_our_verifier(archive, suite):
    counted = suite["counts"]["accept"] + suite["counts"]["reject"]
    score = f"{counted} of {counted} right, 0 forgeries accepted"
    assert outside(archive, *ADAPTER) == (0, score)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (ALWAYS.format("reject"), "rejects everything"),
        (ALWAYS.format("accept"), "accepts everything"),
        (ALWAYS.format("unsupported"), "answers unsupported"),
        ("raise SystemExit(0)", "prints nothing"),
        ("raise SystemExit(1)", "aborts"),
    ],
)
def test_an_outside_runner_says_what_is_no_verifier(archive, program, said):
    lines = f"import json, sys\nfor line in sys.stdin: {program}"
    found = outside(archive, sys.executable, "-c", lines)
    assert found == (2, f"not a verifier: {said}")


def test_an_outside_runner_says_what_cannot_start(archive):
    assert outside(archive, "/nonexistent/verifier") == (2, "not a verifier: cannot start")


# The changelog of the cases.


def test_the_changes_since_an_older_archive_are_listed(archive, suite, tmp_path):
    old = copy.deepcopy(suite)
    del old["cases"][0]
    old["cases"][1]["expected"]["result"] = "acceptable"
    old["cases"][2]["title"] = "Another title."
    old["cases"].append(suite["cases"][3] | {"id": "C-1.former"})
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    run = make("--changes", path)
    names = [suite["cases"][index]["id"] for index in (0, 2)]
    assert run.stdout == f"Added: `{names[0]}`.\nChanged: `{names[1]}`.\nRemoved: `C-1.former`.\n"
    run = make("--changes", archive / "vectors.json")
    assert (run.returncode, run.stdout) == (0, "")
