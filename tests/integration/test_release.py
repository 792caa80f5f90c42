"""`tools/release.py` makes every file of a release, or changes nothing and gives the reason."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
from datetime import datetime

import pytest

from support.paths import ROOT

NEEDED = ["auditwheel", "build", "cyclonedx_py", "setuptools"]
needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED),
    reason="no release was made: the extra release is not installed",
)

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "small"
version = "0.1.0"
license = "Apache-2.0"
"""

SETUP = """\
from setuptools import Extension, setup

setup(ext_modules=[Extension("small", ["small.c"], extra_compile_args=["-g0"])])
"""

SMALL_C = """\
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "small", NULL, -1};
PyMODINIT_FUNC PyInit_small(void) { return PyModule_Create(&module); }
"""

CHANGELOG = """\
# Changelog

## [Unreleased]

### Added

- The first thing.

## [0.0.1] - 2026-01-01

- Something older.
"""

WHO = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "A Maintainer"), ("EMAIL", "maintainer@example.org"))
}


def git(repository, *arguments):
    return subprocess.run(
        ["git", *arguments],
        cwd=repository,
        env={**os.environ, **WHO},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with a package of one C file, an unreleased change, and a tag."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed: no release was made")
    folder = tmp_path / "small"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "setup.py").write_text(SETUP)
    (folder / "small.c").write_text(SMALL_C)
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    (folder / ".gitignore").write_text("/dist/\n")
    commit(folder)
    git(folder, "tag", "v0.0.9")
    return folder


def commit(repository):
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Change something")


def release(repository, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "release.py"), *arguments],
        cwd=repository,
        env={**os.environ, **WHO, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
    )


def state(repository):
    """Returns all that a release changes: refs, work tree, further work trees."""
    return [
        git(repository, *command)
        for command in (["show-ref"], ["status", "--porcelain", "--ignored"], ["worktree", "list"])
    ]


def change(name, old, new):
    def apply(repository):
        path = repository / name
        path.write_text(path.read_text().replace(old, new))
        commit(repository)

    return apply


@needs_tools
def test_a_release_has_its_commit_its_tag_and_every_file_with_its_checksum(repository):
    done = release(repository, "0.2.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("publish these files, and push main and the tag v0.2.0\n")

    assert git(repository, "log", "-1", "--format=%s") == "Release 0.2.0"
    assert git(repository, "cat-file", "-t", "v0.2.0") == "tag"
    assert git(repository, "rev-parse", "v0.2.0^{commit}") == git(repository, "rev-parse", "main")
    notes = git(repository, "tag", "--list", "v0.2.0", "--format=%(contents)")
    assert notes == "0.2.0\n\n### Added\n\n- The first thing."
    assert git(repository, "status", "--porcelain") == ""
    assert 'version = "0.2.0"' in (repository / "pyproject.toml").read_text()
    day = git(repository, "log", "-1", "--format=%cd", "--date=format:%Y-%m-%d")
    heading = f"## [Unreleased]\n\n## [0.2.0] - {day}\n\n### Added\n\n- The first thing.\n"
    assert heading in (repository / "CHANGELOG.md").read_text()

    files = {path.name: path.read_bytes() for path in (repository / "dist/0.2.0").iterdir()}
    sums = dict(line.split()[::-1] for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    sdist, sbom = files["small-0.2.0.tar.gz"], json.loads(files["small-0.2.0.cdx.json"])
    assert sdist
    (wheel,) = (name for name in files if name.endswith(".whl"))
    assert len(files) == 3
    if sys.platform == "linux":
        assert "manylinux_2_17_" in wheel
    assert sbom["bomFormat"] == "CycloneDX"
    described = sbom["metadata"]["component"]
    assert (described["name"], described["version"]) == ("small", "0.2.0")
    assert "serialNumber" not in sbom  # would be random
    made = datetime.fromisoformat(sbom["metadata"]["timestamp"].replace("Z", "+00:00"))
    assert made.timestamp() == int(git(repository, "log", "-1", "--format=%ct"))
    with tarfile.open(repository / "dist/0.2.0/small-0.2.0.tar.gz") as archive:
        assert "small-0.2.0/small.c" in archive.getnames()


@pytest.mark.parametrize(
    ("version", "prepare", "message"),
    [
        ("1.2", None, "malformed version: expected 1.2.3 or 1.2.3rc1, found 1.2"),
        ("01.2.0", None, "malformed version: expected 1.2.3 or 1.2.3rc1, found 01.2.0"),
        ("0.0.9", None, "the tag v0.0.9 exists; choose a higher version"),
        ("0.0.1", None, "CHANGELOG.md has a section 0.0.1; choose a higher version"),
        (
            "0.2.0",
            lambda repository: git(repository, "switch", "--quiet", "--create", "work"),
            "wrong branch: expected main, found work",
        ),
        (
            "0.2.0",
            lambda repository: git(repository, "switch", "--quiet", "--detach"),
            "wrong branch: expected main, found a detached HEAD",
        ),
        (
            "0.2.0",
            lambda repository: (repository / "new.c").touch(),
            "the work tree is not clean; commit or remove:\n?? new.c",
        ),
        (
            "0.2.0",
            change("CHANGELOG.md", "- The first thing.\n", ""),
            "CHANGELOG.md has no line below [Unreleased]; describe what changed",
        ),
        (
            "0.2.0",
            change("CHANGELOG.md", "## [Unreleased]\n", ""),
            "CHANGELOG.md has no line below [Unreleased]; describe what changed",
        ),
        (
            "0.2.0",
            lambda repository: (repository / "dist" / "0.2.0").mkdir(parents=True),
            "dist/0.2.0 exists; remove it or pass --output",
        ),
        (
            "0.2.0",
            change("pyproject.toml", "version = ", "dynamic = "),
            "pyproject.toml: expected 1 line with the version, found 0",
        ),
        ("0.2.0", change("setup.py", "setup(", "fail("), "-m build --no-isolation ... exited"),
    ],
)
def test_what_cannot_be_released_changes_nothing_and_gives_the_reason(
    repository, version, prepare, message
):
    if prepare is not None:
        prepare(repository)
    before = state(repository)
    done = release(repository, version)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("release.py: ")
    assert message in done.stderr
    assert state(repository) == before
