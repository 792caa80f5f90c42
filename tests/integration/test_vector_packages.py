"""The packages of the conformance vectors: built from a release, and used as a user uses them."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from support.paths import ROOT, TOOLS

PATH = os.pathsep.join([os.environ["PATH"], "/usr/local/go/bin"])
ENVIRONMENT = {
    **os.environ,
    "PATH": PATH,
    "SOURCE_DATE_EPOCH": "315532800",
    "GOFLAGS": "-mod=mod",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
}
pytestmark = pytest.mark.skipif(
    not (ROOT / "packages").exists(), reason="packages/ is not part of this checkout"
)


def needs(program):
    return pytest.mark.skipif(
        shutil.which(program, path=PATH) is None, reason=f"{program} is not installed"
    )


def run(*command, cwd):
    ended = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "out"
    run(sys.executable, TOOLS / "make_vectors.py", "--release", folder, cwd=ROOT)
    return folder / "packages"


@pytest.fixture(scope="module")
def suite(release):
    return json.loads((release / "go/vectors.json").read_text())


def build_wheel(source, output):
    options = ("-q", "--wheel", "--no-isolation", "--outdir", output)
    run(sys.executable, "-m", "build", *options, source, cwd=source)
    [wheel] = output.iterdir()
    return wheel


def test_the_wheel_has_the_suite_and_is_the_same_in_another_folder(release, suite, tmp_path):
    pytest.importorskip("build", reason="build is not installed")
    pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 is not installed")
    copied = shutil.copytree(release / "vectors", tmp_path / "copied")
    first = build_wheel(shutil.copytree(release / "vectors", tmp_path / "a"), tmp_path / "first")
    second = build_wheel(copied, tmp_path / "second")
    assert first.name == f"nitro_attest_vectors-{suite['suite_version']}-py3-none-any.whl"
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        wheel.extractall(tmp_path / "installed")
    files = ("__init__.py", "py.typed", "vectors.json", "schema.json", "results-schema.json")
    files += ("FORMAT.md", "CHANGES.md")
    assert names == {f"nitro_attest_vectors/{name}" for name in files}
    program = "import nitro_attest_vectors as v; s = v.load(); print(s['suite_version'], "
    program += "len(s['cases']), '$defs' in v.schema(), 'properties' in v.results_schema())"
    printed = run(sys.executable, "-c", program, cwd=tmp_path / "installed")
    assert printed.split() == [
        suite["suite_version"],
        str(suite["counts"]["cases"]),
        "True",
        "True",
    ]


@needs("npm")
def test_the_npm_package_has_the_suite_and_is_the_same_in_another_folder(release, suite, tmp_path):
    packed = []
    for name in ("first", "second"):
        folder = shutil.copytree(release / "npm", tmp_path / name)
        run("npm", "pack", "--silent", "--offline", cwd=folder)
        [archive] = folder.glob("*.tgz")
        packed.append(archive.read_bytes())
    assert archive.name == f"nitro-attest-vectors-{suite['suite_version']}.tgz"
    assert packed[0] == packed[1]
    shutil.unpack_archive(archive, tmp_path / "installed", "gztar")
    installed = (tmp_path / "installed/package").rename(tmp_path / "nitro-attest-vectors")
    files = {"index.js", "index.d.ts", "vectors.json", "schema.json", "results-schema.json"}
    files |= {"FORMAT.md", "CHANGES.md", "README.md", "LICENSE", "package.json"}
    assert {path.name for path in installed.iterdir()} == files
    program = "const { suite } = require('./nitro-attest-vectors'); console.log(suite.cases.length)"
    assert run("node", "-e", program, cwd=tmp_path).strip() == str(suite["counts"]["cases"])


@needs("node")
def test_the_npm_package_passes_its_tests(release, tmp_path):
    folder = shutil.copytree(release / "npm", tmp_path / "npm")
    assert "# pass 3\n" in run("node", "--test", "--test-reporter=tap", cwd=folder)


@needs("go")
def test_the_go_module_passes_vet_and_its_tests(release, tmp_path):
    folder = shutil.copytree(release / "go", tmp_path / "go")
    run("go", "vet", "./...", cwd=folder)
    assert run("gofmt", "-l", ".", cwd=folder) == ""
    assert "ok" in run("go", "test", "-count=1", "./...", cwd=folder)


def test_no_package_in_the_repository_has_data():
    for path in (ROOT / "packages").rglob("*.json"):
        assert path.name == "package.json"
