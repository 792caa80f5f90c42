"""Objects that never change, for what every verification makes or loads.

``dataclasses`` would say the same in fewer words. To import it and to let it write two dozen
classes took 15 of the 33 ms that a verifier added to ``import cryptography.x509``, and its frozen
objects take twice as long to make; modules that no verification loads use it.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar


class Frozen:
    """An object whose attributes are what its ``__init__`` put into ``__dict__``, for ever."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")


class Value(Frozen):
    """A frozen object that equals any other of its class with the same attributes."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({said})"


_ValueT = TypeVar("_ValueT", bound=Value)


def replace(value: _ValueT, **changes: Any) -> _ValueT:
    """The same with other attributes, checked by its class, whose arguments have their names."""
    return type(value)(**{**value.__dict__, **changes})
