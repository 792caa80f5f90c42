"""Mutants of a Python module, made on its syntax tree.

Not mutated: annotations, docstrings, f-strings and every text with a space in it, which are the
sentences that people read; imports and __all__; what exists for the type checker alone; and which
methods a dataclass is given, as its own take precedence (whether it is frozen is mutated).
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Final

from mutation.mutant import Mutant, named

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ORDERED: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_OTHER_FUNCTION: Final = {"any": "all", "all": "any", "min": "max", "max": "min"}
_SYMMETRIC: Final = {"compare_digest", "min", "max"}  # their arguments can change places
_METHODS: Final = {"init", "eq", "repr"}
_TYPING: Final = {"Callable", "Literal", "Generic", "Protocol", "TypeVar"}
_DELETABLE: Final = (ast.Raise, ast.AugAssign, ast.Delete, ast.For, ast.Continue, ast.Break)


@dataclass(frozen=True)
class _Slot:
    """A place in the tree that holds a node."""

    parent: ast.AST
    field: str
    index: int | None
    function: str
    statement: ast.stmt

    def get(self) -> Any:
        held = getattr(self.parent, self.field)
        return held if self.index is None else held[self.index]

    def put(self, node: ast.AST | None) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants_of(module: str, path: Path) -> list[Mutant]:
    """All mutants of a module, in the order of its text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return named(module, _changes(tree, path))


def _changes(tree: ast.Module, path: Path) -> Iterator[tuple[str, str, str, Any]]:
    for slot in _slots(tree, "module", None):
        node = slot.get()
        before = _shown(slot.statement)
        for replacement in _replacements(slot, node):
            slot.put(replacement)
            # A deleted statement is no longer what the slot's statement is.
            after = "pass" if node is slot.statement else _shown(slot.statement)
            slot.put(node)
            yield slot.function, before, after, _Build(tree, slot, replacement, str(path))


@dataclass(frozen=True)
class _Build:
    tree: ast.Module
    slot: _Slot
    replacement: ast.AST | None
    path: str

    def __call__(self) -> CodeType:
        original = self.slot.get()
        self.slot.put(self.replacement)
        try:
            return compile(ast.fix_missing_locations(self.tree), self.path, "exec")
        finally:
            self.slot.put(original)


# Where: every place whose node may be changed.


def _slots(node: ast.AST, function: str, statement: ast.stmt | None) -> Iterator[_Slot]:
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "ctx", "op", "ops", "bases"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _is_left_alone(node, child):
                continue
            inside = child if isinstance(child, ast.stmt) else statement
            if inside is not None:
                yield _Slot(node, field, index, function, inside)
            name = _defined_name(node, child)
            within = f"{function}.{name}".removeprefix("module.") if name else function
            yield from _slots(child, within, inside)


_NAMED: Final = (ast.FunctionDef, ast.ClassDef)


def _defined_name(parent: ast.AST, node: ast.AST) -> str | None:
    """The name of a function or class, or of what a module or class assigns to."""
    if isinstance(node, _NAMED):
        return node.name
    if isinstance(parent, (ast.Module, ast.ClassDef)):
        if isinstance(node, ast.AnnAssign):
            return _name_of(node.target)
        if isinstance(node, ast.Assign):
            return _name_of(node.targets[0])
    return None


def _is_left_alone(parent: ast.AST, node: ast.AST) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(node, ast.Assign) and _name_of(node.targets[0]) == "__all__":
        return True
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
        return isinstance(parent, ast.Module)  # a name of a type
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.keyword):
        return _is_dataclass(parent) and node.arg in _METHODS
    if isinstance(node, ast.Subscript):
        return _name_of(node.value) in _TYPING
    if isinstance(node, ast.Call):
        return _name_of(node.func) in _TYPING
    return (
        isinstance(parent, ast.Call) and _name_of(parent.func) == "cast" and node is parent.args[0]
    )


def _is_dataclass(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name_of(node.func) == "dataclass"


def _name_of(node: ast.AST) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


# What: every other node for a place.


def _replacements(slot: _Slot, node: ast.AST) -> Iterator[ast.AST | None]:
    yield from _of_place(slot, node)
    made = _BY_TYPE.get(type(node))
    if made is not None:
        yield from made(node)
    if isinstance(node, ast.stmt) and _is_deletable(node):
        yield ast.Pass()


def _of_place(slot: _Slot, node: ast.AST) -> Iterator[ast.AST | None]:
    """Mutants that depend on the place: a condition, a result, a slice bound, a limit."""
    parent, field = slot.parent, slot.field
    if field in ("test", "ifs"):
        yield from (ast.Constant(True), ast.Constant(False))
    if isinstance(parent, ast.Return) and not isinstance(node, ast.Constant):
        yield ast.Constant(None)
    if isinstance(parent, ast.Slice):
        yield None
    if isinstance(parent, ast.ExceptHandler) and field == "type":
        yield ast.Tuple([], ast.Load())  # catches nothing
    if isinstance(parent, ast.Compare) and isinstance(parent.ops[0], _ORDERED):
        name = _name_of(node)
        if name is not None and name.isupper():
            yield ast.BinOp(node, ast.Add(), ast.Constant(1))


def _of_compare(node: ast.Compare) -> Iterator[ast.AST]:
    for place, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
            yield ast.Compare(node.left, ops, node.comparators)


def _of_bool_op(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for values in _each_dropped(node.values):
        yield values[0] if len(values) == 1 else ast.BoolOp(node.op, values)


def _of_unary_op(node: ast.UnaryOp) -> Iterator[ast.AST]:
    yield node.operand


def _of_bin_op(node: ast.BinOp) -> Iterator[ast.AST]:
    other = _ARITHMETIC.get(type(node.op))
    if other is not None and not (_is_text(node.left) or _is_text(node.right)):
        yield ast.BinOp(node.left, other(), node.right)


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _of_constant(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
    elif isinstance(value, bytes):
        yield ast.Constant(value + b"!")
    elif isinstance(value, str) and not re.search(r"\s", value):
        yield ast.Constant(value + "x")  # Python finds a codec in spite of punctuation


def _of_call(node: ast.Call) -> Iterator[ast.AST]:
    name = _name_of(node.func)
    if name in _OTHER_FUNCTION:
        yield ast.Call(ast.Name(_OTHER_FUNCTION[name], ast.Load()), node.args, node.keywords)
    if name is not None and len(node.args) == 1 and not node.keywords:
        yield node.args[0]
    for place, keyword in enumerate(node.keywords):
        # To flip a truth value is a mutant already.
        if keyword.arg and not isinstance(getattr(keyword.value, "value", None), bool):
            others = [*node.keywords[:place], *node.keywords[place + 1 :]]
            yield ast.Call(node.func, node.args, others)
    if getattr(node.func, "attr", name) in _SYMMETRIC:
        return
    for place, (one, other) in enumerate(zip(node.args, node.args[1:], strict=False)):
        if not (_is_sentence(one) or _is_sentence(other) or ast.dump(one) == ast.dump(other)):
            swapped = [*node.args[:place], other, one, *node.args[place + 2 :]]
            yield ast.Call(node.func, swapped, node.keywords)


def _is_sentence(node: ast.AST) -> bool:
    return isinstance(node, ast.Starred) or _is_text(node)


def _of_display(node: Any) -> Iterator[ast.AST]:
    if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        for elements in _each_dropped(node.elts):
            made = copy.copy(node)
            made.elts = elements
            yield made


def _of_with(node: ast.With) -> Iterator[ast.AST]:
    for items in _each_dropped(node.items):
        yield ast.With(items, node.body) if items else ast.If(ast.Constant(True), node.body, [])


def _each_dropped(items: list[Any]) -> Iterator[list[Any]]:
    for place in range(len(items)):
        yield [*items[:place], *items[place + 1 :]]


_BY_TYPE: Final[dict[type[ast.AST], Any]] = {
    ast.Compare: _of_compare,
    ast.BoolOp: _of_bool_op,
    ast.UnaryOp: _of_unary_op,
    ast.BinOp: _of_bin_op,
    ast.Constant: _of_constant,
    ast.Call: _of_call,
    ast.Tuple: _of_display,
    ast.List: _of_display,
    ast.Set: _of_display,
    ast.With: _of_with,
}


def _is_deletable(node: ast.stmt) -> bool:
    """True if no name is undefined without the statement, which any test would notice."""
    if isinstance(node, ast.Assign):
        return not isinstance(node.targets[0], (ast.Name, ast.Tuple))
    return isinstance(node, _DELETABLE) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )


# How it is shown.


def _shown(statement: ast.stmt) -> str:
    """One line of a statement, without its body, and without what sentences say."""
    head = copy.copy(statement)
    if hasattr(head, "body"):
        head.body = [ast.Pass()]
    for field in ("orelse", "finalbody"):
        if getattr(head, field, None):
            setattr(head, field, [])
    if isinstance(head, ast.Try):
        head.handlers = [ast.ExceptHandler(h.type, h.name, [ast.Pass()]) for h in head.handlers]
    text = ast.unparse(_Wordless().visit(copy.deepcopy(head)))
    return re.sub(r"\s+", " ", text).removesuffix(" pass")


class _Wordless(ast.NodeTransformer):
    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("...")

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        is_sentence = isinstance(node.value, str) and re.search(r"\s", node.value)
        return ast.Constant("...") if is_sentence else node
