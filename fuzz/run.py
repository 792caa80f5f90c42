"""Runs the targets: one for as long as one likes, or all of them for a bounded time.

    python fuzz/run.py verify -- -max_total_time=600     one target; libFuzzer's options after --
    python fuzz/run.py --all --seconds 3                 each in turn, then what they reached
    python fuzz/run.py --coverage                        only what the seeds reach

Needs ``pip install -e '.[fuzz]'``. Kept inputs lie in ``build/fuzz/corpus/TARGET``, findings in
``build/fuzz/found``; a finding is tried again by naming its file after ``--``.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import CodeType

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build/fuzz"
FLOOR = 85
"""Percent of the lines of each part that a target names, which its seeds alone must reach.

What a run keeps depends on its length and on the machine, so it does not count. No bytes reach the
lines for arguments of a wrong type.
"""

sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]


def main() -> int:
    """Reads the command line."""
    if not __debug__:
        raise SystemExit("python -O drops the assertions that the targets consist of")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("target", nargs="?")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--corpus", type=Path, default=BUILD / "corpus")
    ours, theirs = split(sys.argv[1:])
    options = parser.parse_args(ours)
    if options.target:
        fuzz(options.target, options.corpus, theirs)
    if options.all and False in [bounded(name, options) for name in names()]:
        return 1
    return 0 if not (options.all or options.coverage) or covered() else 1


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our arguments, and those of libFuzzer behind the ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end + 1 :]


def names() -> list[str]:
    """All targets, asked of another process: here nothing may be imported before coverage runs."""
    command = [sys.executable, "-c", "from targets import TARGETS; print(*TARGETS)"]
    environment = {"PYTHONPATH": ":".join(sys.path[:2])}
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout.split()


def fuzz(name: str, corpus: Path, arguments: list[str]) -> None:
    """Fuzzes one target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["nitro_attest", "reference"]):
        from targets import TARGETS
    target = TARGETS[name]
    folder = corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    (BUILD / "found").mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    defaults = [
        f"-dict={HERE / target.dictionary}",
        f"-max_len={target.longest}",
        f"-artifact_prefix={BUILD / 'found' / name}-",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-keep_seed=1",  # the libraries that read certificates and keys show no coverage
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *defaults, *arguments, str(folder)], target.check)
    atheris.Fuzz()


def bounded(name: str, options: argparse.Namespace) -> bool:
    """Fuzzes one target for a while in a process of its own; whether it found nothing."""
    command = [sys.executable, __file__, name, "--corpus", str(options.corpus)]
    limit = [f"-max_total_time={options.seconds}"]
    started = time.monotonic()
    run = subprocess.run([*command, "--", *limit], capture_output=True, text=True, errors="replace")
    runs = re.search(r"Done ([0-9]+) runs", run.stderr)
    if run.returncode != 0 or runs is None:
        print(f"{name}: FOUND\n{run.stdout[-4000:]}\n{run.stderr[-1000:]}", flush=True)
        return False
    print(
        f"{name}: {runs[1]} runs in {time.monotonic() - started:.0f} s, nothing found", flush=True
    )
    return True


def covered() -> bool:
    """Tries the seeds of each target, without instrumentation; whether all reach the floor.

    Every target is measured by itself: what one reaches does not count for the others.
    """
    import coverage

    from targets import TARGETS

    short = []
    for name, target in TARGETS.items():
        measuring = coverage.Coverage(
            data_file=None, include=["*/nitro_attest/*"], config_file=False
        )
        with measuring.collect():
            for data in target.seeds():
                target.check(data)
        for part in target.covers:
            path, lines = lines_of(part)
            lines &= set(measuring.analysis2(str(path))[1])
            missing = lines - set(measuring.get_data().lines(str(path)) or ())
            percent = 100 - 100 * len(missing) / len(lines)
            print(f"{name}: {percent:.0f} % of {part}, missing lines {sorted(missing)}")
            if percent < FLOOR:
                short.append(f"{name}, {part}: expected at least {FLOOR} %, found {percent:.0f} %")
    print(*short, sep="\n")
    return not short


def lines_of(part: str) -> tuple[Path, set[int]]:
    """The file of a part, and the lines of the functions that it names, without their heads.

    Args:
        part: A module of ``nitro_attest``, or ``module:name,name``: functions, classes, methods.
    """
    module, _, chosen = part.partition(":")
    spec = find_spec(f"nitro_attest.{module}")
    if spec is None or spec.origin is None:
        raise ValueError(f"nitro_attest has no {module}")
    path = Path(spec.origin)
    names = tuple(filter(None, chosen.split(",")))
    functions = list(functions_of(compile(path.read_text(), str(path), "exec"), ""))
    for name in names:
        if not any(is_part(own, name) for own, _ in functions):
            raise ValueError(f"{module} has no {name}")
    lines = {
        line
        for own, code in functions
        if not names or any(is_part(own, name) for name in names)
        for *_, line in code.co_lines()
        if line and line != code.co_firstlineno
    }
    return path, lines


def functions_of(code: CodeType, prefix: str) -> Iterator[tuple[str, CodeType]]:
    """The functions that are defined in a module, a class or a function, with their names."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & inspect.CO_OPTIMIZED:
                yield prefix + inner.co_name, inner
            yield from functions_of(inner, f"{prefix}{inner.co_name}.")


def is_part(own: str, name: str) -> bool:
    """Returns True for the function of a name, and for those that are defined in it."""
    return own == name or own.startswith(f"{name}.")


if __name__ == "__main__":
    sys.exit(main())
