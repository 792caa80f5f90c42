"""The parts of a guest: distribution packages, unpacked into a folder and never installed.

The mirror and the proxy are those of this machine's apt configuration; its state is not changed.
Needs apt-get and dpkg of a Debian system on x86-64, and neither root nor a compiler.
"""

from __future__ import annotations

import lzma
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from guest import initramfs

MODULES = [
    *("drivers/virtio/virtio_mmio", "drivers/char/hw_random/rng-core", "drivers/misc/nsm"),
    *("net/vmw_vsock/vsock", "net/vmw_vsock/vmw_vsock_virtio_transport_common"),
    *("net/vmw_vsock/vmw_vsock_virtio_transport", "net/vmw_vsock/vsock_loopback"),
]
"""Kernel modules in the order of loading; those built into the kernel have no file."""

GUEST_PACKAGES = [
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libexpat1"),
    *("zlib1g", "libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libuuid1", "libgcc-s1"),
    "busybox-static",
]


def missing() -> str | None:
    """Returns why guests cannot run on this machine, or None if they can."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return "the guests need Linux on x86-64"
    absent = [tool for tool in ("apt-get", "apt-cache", "dpkg") if shutil.which(tool) is None]
    if absent:
        return f"the guests need Debian's package tools; not found: {', '.join(absent)}"
    return None


class Archive:
    """Suites of the distribution, with separate package lists and state."""

    def __init__(self, folder: Path, mirror: str, suites: list[str]) -> None:
        self.folder = folder
        for part in ("state/lists/partial", "cache/archives/partial", "preferences.d"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(
            "".join(f"deb {mirror} {suite} main\n" for suite in suites), "utf-8"
        )
        options = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferencesparts": folder / "preferences.d",
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "APT::Architecture": "amd64",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Check-Valid-Until": "false",  # the unstable suite of a mirror may be expired
            "Acquire::Retries": "3",
        }
        self.options = [f"-o{name}={value}" for name, value in options.items()]
        self._run("apt-get", "-q", "update")

    def _run(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [tool, *self.options, *arguments], cwd=cwd, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{tool} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def unpack(self, names: list[str], into: Path) -> None:
        """Downloads and unpacks these packages without their dependencies."""
        downloads = self.folder / "downloads" / into.name
        downloads.mkdir(parents=True, exist_ok=True)
        self._run("apt-get", "-q", "download", *names, cwd=downloads)
        _unpack(downloads, into)

    def unpack_with_dependencies(self, name: str, suite: str, into: Path) -> None:
        """Downloads and unpacks a package and its dependencies."""
        self._run("apt-get", "-q", "-y", "--download-only", "-t", suite, "install", name)
        _unpack(self.folder / "cache" / "archives", into)

    def dependency(self, name: str, suite: str) -> str:
        """Returns the first dependency of a meta package of this suite."""
        lines = self._run("apt-cache", "depends", "-t", suite, f"{name}/{suite}").splitlines()
        return next(line.split()[-1] for line in lines if "Depends:" in line)


def _unpack(downloads: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    for package in sorted(downloads.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(into)], check=True)


def _mirror() -> str:
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    for uri in done.stdout.splitlines():
        if "security" not in uri:
            return uri
    raise RuntimeError("apt has no package source; run apt-get update, or configure one")


class Parts:
    """The unpacked parts, under ``NITRO_ATTEST_GUEST_CACHE`` or the user's cache folder."""

    def __init__(self) -> None:
        default = Path.home() / ".cache" / "nitro-attest-guest"
        self.folder = Path(os.environ.get("NITRO_ATTEST_GUEST_CACHE") or default)
        self.qemu = self.folder / "qemu"
        self.vsock_device = self.folder / "vsock" / "usr/bin/vhost-device-vsock"
        self.root = self.folder / "root"
        self.archive = self.folder / "root.cpio.gz"
        self.kernel = self.folder / "vmlinuz"
        done = self.folder / "complete"
        if not done.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self._make()
            done.touch()

    def _make(self) -> None:
        mirror, lists = _mirror(), self.folder / "apt"
        # QEMU 11.1 is the first with a creatable vhost-user-test-device-pci.
        trixie = Archive(lists / "trixie", mirror, ["trixie", "trixie-backports"])
        trixie.unpack_with_dependencies("qemu-system-x86", "trixie-backports", self.qemu)
        bookworm = Archive(lists / "bookworm", mirror, ["bookworm", "bookworm-backports"])
        bookworm.unpack(GUEST_PACKAGES, self.root)
        kernel = bookworm.dependency("linux-image-cloud-amd64", "bookworm-backports")
        bookworm.unpack([kernel], self.folder / "kernel")
        sid = Archive(lists / "sid", mirror, ["sid"])
        sid.unpack(["vhost-device-vsock"], self.folder / "vsock")
        self._finish_root()
        shutil.rmtree(lists)

    def _finish_root(self) -> None:
        kernel = self.folder / "kernel"
        shutil.copy(next((kernel / "boot").glob("vmlinuz-*")), self.kernel)
        (self.root / "modules").mkdir()
        tree = next(kernel.glob("**/lib/modules/*/kernel"))
        for number, name in enumerate(MODULES):
            packed = tree / f"{name}.ko.xz"
            if packed.exists():
                loaded = self.root / "modules" / f"{number}-{packed.stem}"
                loaded.write_bytes(lzma.decompress(packed.read_bytes()))
        for part in ("doc", "man", "locale", "lintian"):
            shutil.rmtree(self.root / "usr/share" / part, ignore_errors=True)
        for part in ("proc", "sys", "dev", "run", "tmp"):
            (self.root / part).mkdir(exist_ok=True)
        initramfs.write(self.archive, self.root)
        shutil.rmtree(kernel)
        shutil.rmtree(self.root)


def install_wheel(project: Path, into: Path) -> None:
    """Builds this project's wheel and installs it with its dependencies for the guest's Python."""
    wheels = into.with_name("wheels")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(project)], check=True
    )
    names = ["linux", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34"]  # ours is "linux"
    platforms = [f"--platform={name}_x86_64" for name in names]
    wheel = next(wheels.glob("nitro_attest-*.whl"))
    subprocess.run(
        [
            *(*pip, "install", "--target", str(into), "--only-binary=:all:"),
            *("--python-version=3.11", "--implementation=cp", *platforms, f"{wheel}[http]"),
        ],
        check=True,
    )
