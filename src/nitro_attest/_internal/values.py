"""Internal: values of which every copy is made, and so checked, by the constructor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any, NoReturn, TypeVar

from nitro_attest.errors import InputError

_ValueT = TypeVar("_ValueT")


def rebuilt(value_type: type[_ValueT]) -> type[_ValueT]:
    """Makes pickle and copy call the constructor of a class, and nothing else.

    A frozen dataclass with slots has a ``__setstate__`` that sets its fields without a check.

    Args:
        value_type: The class. Without a ``__reduce__`` of its own it must be a dataclass whose
            constructor takes each field by name.

    Returns:
        The same class.
    """
    # Checkers allow neither on a class in general. A base class could not set them: the dataclass
    # decorator puts a __setstate__ of its own into the class.
    if "__reduce__" not in vars(value_type):
        value_type.__reduce__ = _by_arguments  # type: ignore[method-assign]
    value_type.__setstate__ = reject_state  # type: ignore[attr-defined]
    return value_type


def reject_state(self: object, state: object) -> NoReturn:
    """Rejects a state that was not checked, as a method ``__setstate__``.

    Raises:
        InputError: ``input.expected``.
    """
    raise InputError(
        "input.expected",
        f"{type(self).__name__}: expected the arguments of its constructor, found a pickled state",
    )


def _by_arguments(self: Any) -> tuple[Any, ...]:
    constructor: Callable[..., Any] = type(self)
    return partial(
        constructor, **{each.name: getattr(self, each.name) for each in fields(self)}
    ), ()
