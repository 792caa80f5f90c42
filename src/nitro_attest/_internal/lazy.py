"""Public names that are imported at their first use, so that one part does not load the others."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any


def lazy_names(
    package: str, namespace: MutableMapping[str, Any], homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Builds ``__getattr__``, ``__dir__`` and ``__all__`` (PEP 562) for a package.

    Args:
        package: The package's full name.
        namespace: Its ``globals()``; a name is stored there once it has been imported.
        homes: The names by the module that defines them, relative to the package.

    Returns:
        The two functions, and the sorted list of names.
    """
    home_of = {name: module for module, defined in homes.items() for name in defined}

    def load(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home_of[name]}"), name)
        namespace[name] = value
        return value

    def names() -> list[str]:
        return sorted({*namespace, *home_of})

    return load, names, sorted(home_of)
