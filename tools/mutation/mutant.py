"""A mutant and its name, which survives that code moves, is reformatted or gets other comments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT: Final = "timeout"
"""What killed a mutant that the tests did not come to an end with."""

_TOKEN: Final = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\w+|\s+|->|[<>=!+|&-]=|<<|>>|&&|\|\||."""
)
_CONTEXT: Final = 40
_LONGEST: Final = 60


class SuiteError(Exception):
    """The tests cannot tell anything: they fail without a mutant, or cannot be run."""


@dataclass(frozen=True)
class Mutant:
    """One module with one fault.

    Attributes:
        name: Function and change, such as ``check_windows: if at_ms [> => >=] certificate...``.
        module: Which module or file was changed.
        build: Makes the changed module: a code object of Python, or a text of C.
    """

    name: str
    module: str
    build: Callable[[], Any]


def named(module: str, changes: Iterable[tuple[str, str, str, Callable[[], Any]]]) -> list[Mutant]:
    """Mutants of (function, statement before, statement after, build); equal names are numbered."""
    mutants = []
    seen: Counter[str] = Counter()
    for function, before, after, build in changes:
        name = f"{function}: {_difference(before, after)}"
        seen[name] += 1
        suffix = f" ({seen[name]})" if seen[name] > 1 else ""
        mutants.append(Mutant(name + suffix, module, build))
    return mutants


def _difference(before: str, after: str) -> str:
    """``left [old => new] right``, cut to what a reader needs to find the place."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    left, right = "".join(old[:start]), "".join(old[len(old) - end :])
    changed = [_cut("".join(side[start : len(side) - end])) for side in (old, new)]
    if len(left) > _CONTEXT:
        left = "..." + left[-_CONTEXT:]
    if len(right) > _CONTEXT:
        right = right[:_CONTEXT] + "..."
    return f"{left}[{changed[0]} => {changed[1]}]{right}".strip()


def _common(one: list[str], other: list[str]) -> int:
    size = 0
    while size < min(len(one), len(other)) and one[size] == other[size]:
        size += 1
    return size


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
