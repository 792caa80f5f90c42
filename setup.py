"""Builds the C core; all other settings of the package are in pyproject.toml."""

import sys

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, ExecError


class BuildCore(build_ext):
    """A build_ext that names the packages to install if the C core cannot be compiled."""

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
