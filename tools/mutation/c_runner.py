"""Compiles a mutant of the C core into the plain C tests and runs them.

A mutant is first compiled without sanitizers, which takes half a second and finds nearly all. If
that passes, it is compiled again with AddressSanitizer and UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from mutation.mutant import TIMEOUT, Mutant, SuiteError

SOURCES: Final = ("cbor_reader.h", "cbor_skip.h", "nitro_cose.c")
_PLAIN: Final = ("-O0",)
_SANITIZED: Final = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_SECONDS: Final = {_PLAIN: 10, _SANITIZED: 60}


class CRunner:
    """Runs the C tests against mutants of the C core.

    Args:
        root: The repository.

    Raises:
        SuiteError: The tests fail without a mutant, or a mutant does not compile.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._documents = sorted((root / "fixtures/real").glob("*.bin"))
        self._compiler = os.environ.get("CC", "cc")
        failure = self.killed_by(None)
        if failure is not None:
            raise SuiteError(f"without a mutant: {failure}")

    def killed_by(self, mutant: Mutant | None) -> str | None:
        """The check that fails first, or how the program ended; None if every check passes."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for source in ("nitro_cose.h", *SOURCES):
                shutil.copy(self._root / "csrc" / source, folder)
            if mutant is not None:
                (folder / mutant.module).write_text(mutant.build(), encoding="ascii")
            for options in (_PLAIN, _SANITIZED):
                failure = self._run(folder, options)
                if failure is not None:
                    return failure
        return None

    def _run(self, folder: Path, options: tuple[str, ...]) -> str | None:
        tests = self._root / "tests/c"
        program = folder / "test"
        command = [self._compiler, "-std=c99", "-w", *options, f"-I{folder}", f"-I{tests}"]
        command += [str(tests / "test_nitro_cose.c"), "-o", str(program)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise SuiteError(f"does not compile: {built.stderr}")
        try:
            run = subprocess.run(
                [program, *self._documents],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS[options],
                check=False,
            )
        except subprocess.TimeoutExpired:
            return TIMEOUT
        if run.returncode == 0:
            return None
        output = run.stdout.decode(errors="replace").partition("\n")[0]
        return (
            f"tests/c: {output}"
            if run.returncode == 1 and output
            else f"tests/c: exit {run.returncode}"
        )
