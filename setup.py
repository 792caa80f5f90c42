"""Builds the C core; all other settings of the package are in pyproject.toml."""

import os
import re
import sys

from setuptools import setup
from setuptools.command.build_ext import build_ext
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


setup(
    cffi_modules=["csrc/ffi_build.py:ffibuilder"],
    cmdclass={"build_ext": BuildCore},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
