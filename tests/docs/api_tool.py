"""The module tools/make_api_pages.py, and the public objects that it finds."""

import importlib.util
import inspect
import sys

from conftest import ROOT


def load():
    """Imports the tool from its file."""
    path = ROOT / "tools" / "make_api_pages.py"
    spec = importlib.util.spec_from_file_location("make_api_pages", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for annotations
    spec.loader.exec_module(module)
    return module


api = load()


def public_objects():
    """Yields every name that a page documents, each class before its public members."""
    for module in api.PUBLIC_MODULES:
        for item in api.documented_on(module):
            yield item
            yield from api.members(item)


def label(item):
    """Returns the name of an object with its module, the name of its test."""
    return f"{item.module}.{item.name}"


def function_of(item):
    """Returns the function of a method, which a classmethod wraps."""
    return getattr(item.value, "__func__", item.value)


def parameters(function):
    """Returns the names of the parameters that a caller passes."""
    return {name for name in inspect.signature(function).parameters if name not in ("self", "cls")}


OBJECTS = list(public_objects())
CLASSES = [item for item in OBJECTS if isinstance(item.value, type) and not item.statement]
FUNCTIONS = [
    item for item in OBJECTS if not item.statement and not isinstance(item.value, (type, property))
]
