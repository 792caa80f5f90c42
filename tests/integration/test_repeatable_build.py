"""The same sources give the same sdist and the same wheel, in any folder and at any time."""

import hashlib
import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig

import pytest

from support.paths import ROOT

PARTS = ["setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "csrc", "src", "docs"]

needs_build = pytest.mark.skipif(
    importlib.util.find_spec("build") is None,
    reason="nothing was built: the extra release is not installed",
)


def build(folder, *, epoch="1700000000", modified, umask):
    """Builds a copy of the package in this folder; returns the SHA-256 of each distribution."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignore = shutil.ignore_patterns(
                "build", "__pycache__", "*.so", "*.egg-info", "_native.c"
            )
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        else:
            shutil.copy(ROOT / part, folder / part)
    for path in folder.rglob("*"):
        os.utime(path, (modified, modified))
        path.chmod(0o755 if path.is_dir() else 0o666 & ~umask)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", "out"],
        cwd=folder,
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        umask=umask,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "out").iterdir()
    }


@needs_build
def test_two_folders_two_times_and_two_umasks_give_the_same_bytes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "a longer name" / "two").mkdir(parents=True)
    one = build(tmp_path / "one", modified=1_600_000_000, umask=0o022)
    two = build(tmp_path / "a longer name" / "two", modified=1_650_000_002, umask=0o077)
    assert len(one) == 2
    assert one == two


@needs_build
def test_another_source_date_gives_other_bytes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = build(tmp_path / "one", modified=1_600_000_000, umask=0o022)
    two = build(tmp_path / "two", modified=1_600_000_000, umask=0o022, epoch="1700000002")
    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())


@pytest.mark.parametrize(
    ("free_threaded", "options"),
    [(None, {"py_limited_api": "cp310"}), (0, {"py_limited_api": "cp310"}), (1, {})],
)
def test_a_free_threaded_interpreter_gets_no_stable_abi(monkeypatch, free_threaded, options):
    pytest.importorskip("setuptools")
    settings = {}
    monkeypatch.setattr("setuptools.setup", lambda **given: settings.update(given))
    monkeypatch.setattr(sysconfig, "get_config_var", {"Py_GIL_DISABLED": free_threaded}.get)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    runpy.run_path(str(ROOT / "setup.py"))
    assert settings["options"]["bdist_wheel"] == options
