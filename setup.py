"""Builds the C core; all other settings of the package are in pyproject.toml."""

import gzip
import os
import re
import sys
import sysconfig
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.errors import CCompilerError, CompileError, ExecError

# docs/explanation/build-flags.md explains each flag.
COMPILE_FLAGS = ["-fstack-protector-strong", "-fvisibility=hidden", "-g0"]
FORTIFY = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
LINK_FLAGS = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]
RUNPATH = re.compile(r"(-Wl,--?(rpath|R)[,=]|-R).+")


def compile_flags(command):
    """Returns the flags to append to a gcc or clang command; FORTIFY only if it optimises."""
    levels = [word for word in command if word.startswith("-O")]
    optimises = bool(levels) and levels[-1] != "-O0"
    return COMPILE_FLAGS + (FORTIFY if optimises else [])


class BuildCore(build_ext):
    """A build_ext that hardens the C core, and names the packages to install if it cannot."""

    def build_extensions(self):
        if self.compiler.compiler_type == "unix":
            self._harden()
        super().build_extensions()

    def _harden(self):
        # The interpreter's flags, LDFLAGS and LD_RUN_PATH may add a search path for libraries.
        os.environ.pop("LD_RUN_PATH", None)
        linker = [word for word in self.compiler.linker_so if not RUNPATH.fullmatch(word)]
        self.compiler.set_executables(linker_so=linker)
        for extension in self.extensions:
            extension.extra_compile_args += compile_flags(self.compiler.compiler_so)
            if sys.platform == "linux":  # macOS has no ELF, and its linker rejects these
                extension.extra_link_args += LINK_FLAGS

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except (CCompilerError, CompileError, ExecError) as error:
            packages = {
                "linux": "gcc and python3-dev (Debian, Ubuntu) or gcc and python3-devel (Fedora)",
                "darwin": "the Xcode command line tools: xcode-select --install",
            }.get(sys.platform, "a C99 compiler and the Python headers")
            raise SystemExit(
                f"{error}\nnitro-attest could not compile its C core. Install {packages}."
            ) from None


class RepeatableSdist(sdist):
    """An sdist that depends on the names and bytes of its files only, and SOURCE_DATE_EPOCH."""

    def make_archive(self, base_name, fmt, root_dir=None, base_dir=None, **owner):
        """Writes a .tar.gz whose members are sorted and have no owner and one time."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or fmt != "gztar":
            return super().make_archive(base_name, fmt, root_dir, base_dir, **owner)

        def without_traces(member):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.mtime = int(epoch)
            return member

        folder = Path(root_dir or ".")
        archive = f"{base_name}.tar.gz"
        with (
            Path(archive).open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=int(epoch)) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in sorted((folder / base_dir).rglob("*")):
                tar.add(path, path.relative_to(folder), recursive=False, filter=without_traces)
        return archive


# The stable ABI of free-threaded interpreters begins with 3.15. For cp314t, cffi and bdist_wheel
# build for that one version.
STABLE_ABI = {} if sysconfig.get_config_var("Py_GIL_DISABLED") else {"py_limited_api": "cp310"}

os.umask(0o022)  # a wheel records the permissions of its files

setup(
    cffi_modules=["csrc/ffi_build.py:ffibuilder"],
    cmdclass={"build_ext": BuildCore, "sdist": RepeatableSdist},
    options={"bdist_wheel": STABLE_ABI},
)
