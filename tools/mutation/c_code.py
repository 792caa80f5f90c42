"""Mutants of the C core, made on its tokens.

Only function bodies are mutated. Comments (including annotations) and preprocessor lines are
blanked first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mutation.mutant import Mutant, named

_BLANKED: Final = re.compile(r"/\*.*?\*/|//[^\n]*|^[ \t]*#[^\n]*(?:\\\n[^\n]*)*", re.S | re.M)
_TOKEN: Final = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*")|(?P<char>'(?:\\.|[^'\\])*')|(?P<number>0[xX][0-9A-Fa-f]+|\d+)"""
    r"""|(?P<word>\w+)|(?P<sign><<=|>>=|->|\+\+|--|&&|\|\||[<>=!+\-*/|&^]=|<<|>>|\S)"""
)
_SIZEOF: Final = re.compile(r"(?<!/ )sizeof (?!\*)(\w+)(?: / sizeof \1\[0\])?(?![\w\[])")

_SIGNS: Final = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "<<": (">>",),
    ">>": ("<<",),
    "|": ("&",),
    "|=": ("&=",),
    "+=": ("-=",),
    "++": ("--",),
}
# With these before it, a sign stands between two values.
_VALUE_ENDS: Final = re.compile(r"\w+|\)|\]")
_BINARY_SIGNS: Final = {"+": "-", "-": "+", "&": "|"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class _Function:
    name: str
    is_bool: bool
    tokens: list[_Token]
    start: int
    end: int


@dataclass(frozen=True)
class _Build:
    text: str
    start: int
    end: int
    new: str

    def __call__(self) -> str:
        return self.text[: self.start] + self.new + self.text[self.end :]


def mutants_of(module: str, path: Path) -> list[Mutant]:
    """All mutants of a file, in the order of its text."""
    text = path.read_text(encoding="ascii")
    code = _BLANKED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return named(module, _changes(text, code))


def _changes(text: str, code: str) -> Iterator[tuple[str, str, str, _Build]]:
    for function in _functions(code):
        for start, end, new in sorted(set(_edits(function, code))):
            first = max(code.rfind(mark, 0, start) for mark in ";{}") + 1
            last = min(at for mark in ";{}" if (at := code.find(mark, end)) >= 0)
            before = _one_line(code[first:last])
            after = _one_line(code[first:start] + new + code[end:last])
            yield function.name, before, after, _Build(text, start, end, new)


def _one_line(code: str) -> str:
    return re.sub(r"\s+", " ", code).strip()


# Where: the bodies of functions.


def _functions(code: str) -> Iterator[_Function]:
    tokens = [_Token(m.lastgroup or "", m[0], m.start(), m.end()) for m in _TOKEN.finditer(code)]
    at = 0
    while at < len(tokens):
        if tokens[at].text != "{":
            at += 1
            continue
        end = _closing(tokens, at, "{", "}")
        if tokens[at - 1].text == ")":
            opening = _opening(tokens, at - 1)
            body = tokens[at : end + 1]
            is_bool = tokens[opening - 2].text == "bool"
            name = tokens[opening - 1].text
            yield _Function(name, is_bool, body, body[0].start, body[-1].end)
        at = end + 1


def _closing(tokens: list[_Token], at: int, opens: str, closes: str) -> int:
    depth = 0
    for place in range(at, len(tokens)):
        depth += (tokens[place].text == opens) - (tokens[place].text == closes)
        if depth == 0:
            return place
    raise ValueError(f"{opens} without {closes}")


def _opening(tokens: list[_Token], at: int) -> int:
    depth = 0
    for place in range(at, -1, -1):
        depth += (tokens[place].text == ")") - (tokens[place].text == "(")
        if depth == 0:
            return place
    raise ValueError(") without (")


# What: (start, end, replacement) of every change.


def _edits(function: _Function, code: str) -> Iterator[tuple[int, int, str]]:
    tokens = function.tokens
    for place, token in enumerate(tokens):
        in_sizeof = (
            place > 2 and tokens[place - 3].text == "sizeof"
        )  # an index is not evaluated there
        if tokens[place - 1].text != "case" and not in_sizeof:
            for new in _instead_of(token, tokens[place - 1]):
                yield token.start, token.end, new
        if token.text in ("if", "while"):
            end = _closing(tokens, place + 1, "(", ")")
            for forced in ("1", "0") if token.text == "if" else ("0",):
                yield tokens[place + 1].end, tokens[end].start, forced
    for statement in _statements(tokens):
        yield from _instead_of_statement(statement, function.is_bool)
    for found in _SIZEOF.finditer(code, function.start, function.end):
        for change in (" - 1", " + 1"):
            yield found.end(), found.end(), change


def _instead_of(token: _Token, previous: _Token) -> Iterator[str]:
    text = token.text
    if token.kind == "number":
        yield from (str(int(text, 0) + 1), str(int(text, 0) - 1))
    elif token.kind == "string":
        yield f'"!{text[2:]}'  # as long as before: names are compared up to their length
    elif token.kind == "char":
        yield f"{text} + 1"
    elif token.kind == "word":
        yield from _instead_of_name(text)
    elif text == "!":
        yield ""
    elif text in _BINARY_SIGNS and _VALUE_ENDS.fullmatch(previous.text):
        yield _BINARY_SIGNS[text]
    elif text == "*" and previous.kind == "number":
        yield "+"
    else:
        yield from _SIGNS.get(text, ())


def _instead_of_name(name: str) -> Iterator[str]:
    if name.startswith("NITRO_ERR_") or name == "NITRO_OK":
        yield "NITRO_ERR_LIMITS" if name != "NITRO_ERR_LIMITS" else "NITRO_ERR_NULL"
    elif name.startswith("NITRO_FIELD_"):
        yield "NITRO_FIELD_KEY" if name != "NITRO_FIELD_KEY" else "NITRO_FIELD_DOCUMENT"
    elif name == "NITRO_NO_INDEX":
        yield "0"
    elif re.fullmatch(r"(NITRO|CBOR)_[A-Z0-9_]+", name):
        yield from (f"({name} + 1)", f"({name} - 1)")
    elif name in ("true", "false"):
        yield "false" if name == "true" else "true"


def _statements(tokens: list[_Token]) -> Iterator[list[_Token]]:
    """Those that end in a semicolon; their heads (if, for, case) are cut off."""
    statement: list[_Token] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.text in ("if", "for", "while", "switch"):
            place, statement = _closing(tokens, place + 1, "(", ")"), []
        elif token.text == "{" and statement:  # values in braces
            place = _closing(tokens, place, "{", "}")
        elif token.text in ("{", "}", "else") or (token.text == ":" and _is_label(statement)):
            statement = []
        elif token.text == ";":
            if statement:
                yield [*statement, token]
            statement = []
        else:
            statement.append(token)
        place += 1


def _is_label(statement: list[_Token]) -> bool:
    return statement[0].text in ("case", "default")


def _instead_of_statement(statement: list[_Token], is_bool: bool) -> Iterator[tuple[int, int, str]]:
    first = statement[0]
    if first.text == "return":
        value = statement[1:-1]
        if is_bool and [token.text for token in value] not in (["true"], ["false"]):
            for forced in ("true", "false"):
                yield value[0].start, value[-1].end, forced
    elif not (_is_declaration(statement) or first.text == "break"):
        yield first.start, statement[-1].start, ""


def _is_declaration(statement: list[_Token]) -> bool:
    first, second = statement[:2]
    return first.text in ("const", "static") or (first.kind == "word" and second.kind == "word")
