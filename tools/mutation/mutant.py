"""A mutant and its name, which does not change when code moves or is reformatted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT: Final = "timeout"
"""Stands in place of a test where the tests did not finish in time."""

_TOKEN: Final = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\w+|\s+|->|[<>=!+|&-]=|<<|>>|&&|\|\||."""
)
_CONTEXT: Final = 40
_LONGEST: Final = 60


class SuiteError(Exception):
    """The tests fail without a mutant, or cannot be run."""


@dataclass(frozen=True)
class Mutant:
    """One module with one fault.

    Attributes:
        name: Function and change, such as ``check_windows: > => >=``.
        module: The changed module or file, such as ``verification/path`` or ``nitro_cose.c``.
        build: Makes the changed module: a code object of Python, or a text of C.
    """

    name: str
    module: str
    build: Callable[[], Any]

    @property
    def full_name(self) -> str:
        """The name with the module."""
        return f"{self.module}: {self.name}"


def named(module: str, changes: Iterable[tuple[str, str, str, Callable[[], Any]]]) -> list[Mutant]:
    """Names the mutants of a module.

    A name is the function and the change alone. Only where a function has the same change twice,
    the text around it is added, and a number where that is the same too.

    Args:
        module: The module's name.
        changes: Function, statement before, statement after, build.
    """
    made = [(function, _Change.between(*texts), build) for function, *texts, build in changes]
    short = Counter(f"{function}: {change.short}" for function, change, _ in made)
    seen: Counter[str] = Counter()
    mutants = []
    for function, change, build in made:
        name = f"{function}: {change.short}"
        if short[name] > 1:
            name = f"{function}: {change.in_context}"
            seen[name] += 1
            name += f" ({seen[name]})" if seen[name] > 1 else ""
        mutants.append(Mutant(name, module, build))
    return mutants


@dataclass(frozen=True)
class _Change:
    left: str
    old: str
    new: str
    right: str

    @classmethod
    def between(cls, before: str, after: str) -> _Change:
        old, new = _TOKEN.findall(before), _TOKEN.findall(after)
        start = _common(old, new)
        end = _common(old[start:][::-1], new[start:][::-1])
        changed = ["".join(side[start : len(side) - end]).strip() for side in (old, new)]
        left, right = "".join(old[:start]), "".join(old[len(old) - end :])
        return cls(left, changed[0], changed[1], right)

    @property
    def short(self) -> str:
        return f"{_cut(self.old)} => {_cut(self.new)}"

    @property
    def in_context(self) -> str:
        left, right = self.left, self.right
        if len(left) > _CONTEXT:
            left = "..." + left[-_CONTEXT:]
        if len(right) > _CONTEXT:
            right = right[:_CONTEXT] + "..."
        return f"{left}[{self.short}]{right}".strip()


def _common(one: list[str], other: list[str]) -> int:
    size = 0
    while size < min(len(one), len(other)) and one[size] == other[size]:
        size += 1
    return size


def _cut(text: str) -> str:
    if not text:
        return "(nothing)"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
