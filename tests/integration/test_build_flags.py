"""The compiled C core has the protections that docs/explanation/build-flags.md lists."""

import importlib.util
import os
import platform
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT
from nitro_attest.verification import _native

READELF, NM = shutil.which("readelf"), shutil.which("nm")

needs_elf = pytest.mark.skipif(
    sys.platform != "linux" or READELF is None or NM is None,
    reason="the C core was not inspected: it needs Linux with readelf and nm",
)
needs_setuptools = pytest.mark.skipif(
    importlib.util.find_spec("setuptools") is None,
    reason="the C core was not compiled again: setuptools is not installed",
)

ABSOLUTE_PATH = re.compile(rb"/(?:[\w.+-]{2,}/)+[\w.+-]{2,}")

# Flags that must not get into the result, as an interpreter or a shell may set them.
LEAKING = {
    "CFLAGS": "-g -O2 -D_FORTIFY_SOURCE=1",
    "LDFLAGS": "-Wl,-rpath,/planted/one -Wl,-R,/planted/two -Wl,--rpath=/planted/three",
    "LD_RUN_PATH": "/planted/four",
}

PROBE = """
#include <string.h>
__attribute__((visibility("default"))) int probe(const char *text, size_t length)
{
    char copy[16];
    memcpy(copy, text, length);
    return copy[length / 2];
}
"""


def build(folder, compiler, *, probe="", **environment):
    """Compiles a copy of the C core with setup.py; returns the library and what was printed."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed: the C core was not compiled with it")
    shutil.copy(ROOT / "setup.py", folder)
    shutil.copytree(ROOT / "csrc", folder / "csrc", ignore=shutil.ignore_patterns("build"))
    with (folder / "csrc" / "nitro_cose.c").open("a") as source:
        source.write(probe)
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", "out"],
        cwd=folder,
        env={**os.environ, "CC": compiler, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    (library,) = (folder / "out").rglob("_native*.so")
    return library, done.stdout


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols(library, which):
    lines = output(NM, "--dynamic", which, str(library)).splitlines()
    return {line.split()[-1].partition("@")[0] for line in lines}


def missing_protections(library):
    """Returns the protections that an ELF library lacks, by the names in the page."""
    segments = output(READELF, "--program-headers", "--wide", str(library))
    dynamic = output(READELF, "--dynamic", "--wide", str(library))
    stack = next(line for line in segments.splitlines() if "GNU_STACK" in line)
    found = {
        "stack protector": "__stack_chk_fail" in symbols(library, "--undefined-only"),
        "read-only relocations": "GNU_RELRO" in segments,
        "binding at load time": "BIND_NOW" in dynamic,
        "no executable stack": stack.split()[-2] == "RW",
        "no search path": "RPATH" not in dynamic and "RUNPATH" not in dynamic,
        "one exported symbol": symbols(library, "--defined-only") == {"PyInit__native"},
        "no build paths": not ABSOLUTE_PATH.search(library.read_bytes()),
    }
    return [name for name, holds in found.items() if not holds]


@needs_elf
def test_the_installed_core_has_every_protection():
    assert missing_protections(Path(_native.__file__)) == []


@needs_elf
@needs_setuptools
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_both_compilers_give_every_protection_whatever_the_environment_adds(tmp_path, compiler):
    library, printed = build(tmp_path, compiler, **LEAKING)
    assert missing_protections(library) == []
    assert not re.search("warning.*FORTIFY", printed)


@needs_elf
def test_the_inspection_finds_each_missing_protection(tmp_path):
    source = tmp_path / "plain.c"
    source.write_text("int one(void) { return 1; }\nint two(void) { return 2; }\n")
    library = tmp_path / "plain.so"
    compiler = shutil.which("gcc") or pytest.skip("gcc is not installed: nothing was compiled")
    flags = ["-shared", "-fPIC", "-g", "-fno-stack-protector"]
    linking = ["-Wl,-z,lazy,-z,norelro,-z,execstack,-rpath,/planted"]
    subprocess.run([compiler, *flags, str(source), "-o", str(library), *linking], check=True)
    assert missing_protections(library) == [
        *("stack protector", "read-only relocations", "binding at load time"),
        *("no executable stack", "no search path", "one exported symbol", "no build paths"),
    ]


@needs_elf
@needs_setuptools
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc checks copies")
@pytest.mark.parametrize(("level", "checked"), [("-O2", True), ("-Og", True), ("-O0", False)])
def test_copies_are_checked_where_the_compiler_optimises(tmp_path, level, checked):
    library, printed = build(tmp_path, "gcc", probe=PROBE, CFLAGS=level)
    assert ("__memcpy_chk" in symbols(library, "--undefined-only")) == checked
    assert ("-D_FORTIFY_SOURCE=2" in printed) == checked  # some C libraries warn without -O


@needs_setuptools
@pytest.mark.parametrize(("system", "elf"), [("linux", True), ("darwin", False)])
def test_only_linux_gets_the_flags_of_its_linker(monkeypatch, system, elf):
    monkeypatch.setattr("setuptools.setup", lambda **settings: settings)
    build_core = runpy.run_path(str(ROOT / "setup.py"))["BuildCore"]
    monkeypatch.setattr(sys, "platform", system)
    extension = SimpleNamespace(extra_compile_args=[], extra_link_args=[])
    command = SimpleNamespace(
        compiler=SimpleNamespace(
            compiler_so=["cc", "-O3"], linker_so=["cc"], set_executables=lambda **commands: None
        ),
        extensions=[extension],
    )
    build_core._harden(command)
    assert "-fstack-protector-strong" in extension.extra_compile_args
    assert any("-z," in flag for flag in extension.extra_link_args) == elf
