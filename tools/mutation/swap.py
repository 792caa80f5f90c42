"""Puts the code of a mutant into the functions of a package that is already imported."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import NamedTuple


class Place(NamedTuple):
    """A function that a module or a class body defines, as both its code and a profiler see it."""

    file: str
    name: str
    line: int

    @classmethod
    def of(cls, code: CodeType) -> Place:
        """The place of a function's code."""
        return cls(code.co_filename, code.co_qualname, code.co_firstlineno)


def changed_functions(original: CodeType, mutated: CodeType) -> dict[Place, CodeType] | None:
    """Compares two compiled modules.

    Args:
        original: The module.
        mutated: The module with one change.

    Returns:
        The functions that differ, with their new code. None if the change is not inside a function:
        it then takes effect only while the module is imported.
    """
    if _own(original) != _own(mutated):
        return None
    changed: dict[Place, CodeType] = {}
    for before, after in zip(_inner(original), _inner(mutated), strict=True):
        if before == after:
            continue
        if _is_function(before):
            changed[Place.of(before)] = after
            continue
        within = changed_functions(before, after)  # a class body
        if within is None:
            return None
        changed |= within
    return changed


def put(changed: dict[Place, CodeType]) -> bool:
    """Replaces the code of all living functions at these places.

    Returns:
        False if a place has no living function, or one that cannot take the new code.
    """
    left = set(changed)
    for function in _functions():
        place = Place.of(function.__code__)
        if place not in changed:
            continue
        try:
            function.__code__ = changed[place]
        except ValueError:  # another number of free variables
            return False
        left.discard(place)
    return not left


def _functions() -> Iterator[FunctionType]:
    yield from (item for item in gc.get_objects() if type(item) is FunctionType)


def _inner(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _own(code: CodeType) -> CodeType:
    """The code without the functions and classes in it, and without positions in the text."""
    outer = [None if isinstance(item, CodeType) else item for item in code.co_consts]
    return code.replace(co_consts=tuple(outer), co_linetable=b"")


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & 0x01)  # CO_OPTIMIZED: a class body has names, not fast locals
