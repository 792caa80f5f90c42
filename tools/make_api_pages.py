#!/usr/bin/env python3
"""Writes the API reference, docs/reference/api/, from signatures and docstrings.

    python tools/make_api_pages.py            write the pages
    python tools/make_api_pages.py --check    exit with 1 if a page differs from its sources

There is one page for each public module. A name that several of them export is documented on the
page of the module that defines it, or else on the first page that exports it; the others link to
it. Types are given as the source has them, so that every supported Python writes the same bytes.
"""

from __future__ import annotations

import argparse
import ast
import doctest
import enum
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import zip_longest
from pathlib import Path
from textwrap import dedent, indent
from types import MappingProxyType
from typing import Any, Final

PUBLIC_MODULES: Final = (
    "nitro_attest",
    "nitro_attest.policy_files",
    "nitro_attest.measurements",
    "nitro_attest.provenance",
    "nitro_attest.enclave.client",
    "nitro_attest.enclave.server",
    "nitro_attest.enclave.tls",
    "nitro_attest.enclave.tls_server",
    "nitro_attest.enclave.middleware",
    "nitro_attest.enclave.forward",
    "nitro_attest.enclave.nsm",
    "nitro_attest.transport.connection",
    "nitro_attest.channel",
    "nitro_attest.channel.bindings",
    "nitro_attest.kms.statements",
    "nitro_attest.kms.lint",
    "nitro_attest.kms.recipient",
    "nitro_attest.kms.client",
    "nitro_attest.archive",
    "nitro_attest.archive.spark",
    "nitro_attest.report",
    "nitro_attest.testing",
    "nitro_attest.testing.kms",
    "nitro_attest.testing.cms",
    "nitro_attest.errors",
    "nitro_attest.limits",
)
"""Every module that users may import from, in the order of the index."""

PACKAGE: Final = "nitro_attest"
PAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "reference" / "api"
NOTICE: Final = "<!-- Written by tools/make_api_pages.py. Edit the docstrings instead. -->"
LINE: Final = 88
"""Length of the longest signature that stays on one line."""

TITLES: Final = {
    "Args": "Arguments",
    "Attributes": "Attributes",
    "Returns": "Returns",
    "Yields": "Yields",
    "Raises": "Raises",
    "Example": "Example",
}
"""The sections of a docstring, with their titles on the pages."""

LISTS: Final = frozenset({"Args", "Attributes", "Raises"})
"""The sections that are lists of names with their meanings."""


# Sources


@dataclass(frozen=True)
class Statement:
    """A statement of a module or class that defines a name.

    Attributes:
        node: The statement.
        text: Source of the module.
        docstring: The string after an assignment; None for other statements and without one.
    """

    node: ast.stmt
    text: str
    docstring: str | None = None

    def source(self, field: str) -> str | None:
        """Returns the source of a part, such as ``value`` or ``annotation``, on one line."""
        part = getattr(self.node, field, None)
        segment = ast.get_source_segment(self.text, part) if part is not None else None
        return re.sub(r"\s+", " ", segment) if segment is not None else None


@cache
def statements(module: str) -> dict[str, Statement]:
    """Returns the statements of a module that define or import a name, by name."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    text = Path(spec.origin).read_text(encoding="utf-8")
    tree = ast.parse(text)
    for_type_checkers = [node for node in tree.body if isinstance(node, ast.If)]
    bodies = [tree.body, *(node.body for node in for_type_checkers)]
    return {name: found for body in bodies for name, found in defined(body, text)}


def defined(body: list[ast.stmt], text: str) -> Iterator[tuple[str, Statement]]:
    """Yields each name that a list of statements defines or imports."""
    for node, after in zip_longest(body, body[1:]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, Statement(node, text)
        elif isinstance(node, ast.ImportFrom):
            yield from ((item.asname or item.name, Statement(node, text)) for item in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            docstring = string_of(after)
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, Statement(node, text, docstring)


def string_of(node: ast.stmt | None) -> str | None:
    """Returns the text of a statement that is only a string."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return node.value.value if isinstance(node.value.value, str) else None
    return None


def definition(module: str, name: str) -> tuple[str, Statement]:
    """Returns the module and the statement that define a name that a module exports."""
    found = statements(module)[name]
    if isinstance(found.node, ast.ImportFrom) and found.node.module is not None:
        original = next(i.name for i in found.node.names if (i.asname or i.name) == name)
        return definition(found.node.module, original)
    return module, found


def class_statements(kind: type) -> dict[str, Statement]:
    """Returns the statements in the body of a class that define a name."""
    _, found = definition(kind.__module__, kind.__qualname__)
    assert isinstance(found.node, ast.ClassDef)
    return dict(defined(found.node.body, found.text))


# The public objects


@dataclass(frozen=True)
class Public:
    """A name that a public module exports, or a public member of such a class.

    Attributes:
        module: The public module whose page documents it.
        name: Its name, ``Class.member`` for a member.
        value: The function, class, property or constant.
        docstring: Its own docstring, without indentation; empty without one.
        statement: The statement that defines a constant; None for anything else.
    """

    module: str
    name: str
    value: Any
    docstring: str
    statement: Statement | None = None

    @property
    def is_exception(self) -> bool:
        """True for a class of exceptions."""
        return isinstance(self.value, type) and issubclass(self.value, BaseException)

    @property
    def link(self) -> str:
        """The target of a link to it, relative to the folder of the pages."""
        anchor = "constants" if self.statement else self.name.replace(".", "").lower()
        return f"{self.module}.md#{anchor}"


def exported(module: str) -> list[str]:
    """Returns ``__all__``; without it, the names that the module itself defines."""
    names = getattr(importlib.import_module(module), "__all__", None)
    if names is None:
        own = statements(module).items()
        names = [name for name, found in own if not isinstance(found.node, ast.ImportFrom)]
    return sorted((name for name in names if not name.startswith("_")), key=str.casefold)


def home(module: str, name: str) -> str:
    """Returns the public module whose page documents a name that a module exports."""
    defining, _ = definition(module, name)
    if defining in PUBLIC_MODULES and name in exported(defining):
        return defining
    same = (m for m in PUBLIC_MODULES if name in exported(m) and definition(m, name)[0] == defining)
    return next(same)


@cache
def public(module: str, name: str) -> Public:
    """Returns the description of a name that a public module exports."""
    value = getattr(importlib.import_module(module), name)
    _, found = definition(module, name)
    if isinstance(found.node, (ast.Assign, ast.AnnAssign)):
        text = inspect.cleandoc(found.docstring or "")
        return Public(home(module, name), name, value, text, found)
    return Public(home(module, name), name, value, own_docstring(value))


def own_docstring(value: Any) -> str:
    """Returns the docstring of an object itself, not one that it inherits."""
    text = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    return inspect.cleandoc(text or "")


def members(owner: Public) -> list[Public]:
    """Returns the public functions and properties of a class, with those of its private bases.

    Those of a public base are documented there.
    """
    if not isinstance(owner.value, type):
        return []
    found: dict[str, Public] = {}
    for kind in own_classes(owner.value):
        for name, value in vars(kind).items():
            documented = isinstance(value, (staticmethod, classmethod, property))
            if not name.startswith("_") and (documented or inspect.isfunction(value)):
                full = f"{owner.name}.{name}"
                found.setdefault(name, Public(owner.module, full, value, own_docstring(value)))
    return list(found.values())


def own_classes(kind: type) -> list[type]:
    """Returns a class and those of its bases in this package that no public module exports."""
    ours = [base for base in kind.__mro__ if base.__module__.split(".")[0] == PACKAGE]
    return [kind, *(base for base in ours if base is not kind and not is_public(base))]


def is_public(kind: type) -> bool:
    """Returns True if a public module exports the class."""
    exports = (public(module, name) for module in PUBLIC_MODULES for name in exported(module))
    return any(kind is item.value for item in exports)


def documented_on(module: str) -> list[Public]:
    """Returns the names that the page of a module documents, without those that it links to."""
    return [p for name in exported(module) if (p := public(module, name)).module == module]


# Signatures


def signature(head: str, function: Callable[..., Any], *, drop_first: bool = False) -> str:
    """Returns the signature of a function, on one line if it is short.

    Args:
        head: The text before the parentheses.
        function: The function or class.
        drop_first: Leave out the first parameter: ``self``.
    """
    found = inspect.signature(function)
    parameters = parameter_texts(list(found.parameters.values())[int(drop_first) :])
    end = ""
    if not isinstance(function, type) and found.return_annotation is not inspect.Signature.empty:
        end = f" -> {annotation_text(found.return_annotation)}"
    short = f"{head}({', '.join(parameters)}){end}"
    if len(short) <= LINE:
        return short
    return "\n".join([f"{head}(", *(f"    {text}," for text in parameters), f"){end}"])


def parameter_texts(parameters: list[inspect.Parameter]) -> list[str]:
    """Returns each parameter as the source would have it, with the markers ``/`` and ``*``."""
    texts = []
    before = None
    for parameter in parameters:
        kind = parameter.kind
        if before is parameter.POSITIONAL_ONLY and kind is not before:
            texts.append("/")
        if kind is parameter.KEYWORD_ONLY and before not in (kind, parameter.VAR_POSITIONAL):
            texts.append("*")
        texts.append(parameter_text(parameter))
        before = kind
    if before is inspect.Parameter.POSITIONAL_ONLY:
        texts.append("/")
    return texts


def parameter_text(parameter: inspect.Parameter) -> str:
    """Returns one parameter: its name, type and default."""
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
    text = stars.get(parameter.kind, "") + parameter.name
    typed = parameter.annotation is not parameter.empty
    if typed:
        text += f": {annotation_text(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += (" = " if typed else "=") + default_text(parameter.default)
    return text


def annotation_text(annotation: Any) -> str:
    """Returns a type as the source has it."""
    text = getattr(annotation, "__forward_arg__", annotation)  # NamedTuple makes ForwardRefs
    return text if isinstance(text, str) else inspect.formatannotation(text)


def default_text(value: Any) -> str:
    """Returns the default of a parameter, without addresses or an order that varies."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, timedelta):
        return repr(value).removeprefix("datetime.")
    if isinstance(value, (set, frozenset)) and value:
        items = ", ".join(sorted(map(repr, value)))
        return f"{{{items}}}" if type(value) is set else f"frozenset({{{items}}})"
    text = value.__qualname__ if isinstance(value, type) else repr(value)
    return "..." if text.startswith("<") or " at 0x" in text else text


def class_signature(item: Public) -> str:
    """Returns the first line of a class: how to make one, or its bases."""
    kind = item.value
    head = f"class {item.name}"
    if issubclass(kind, (BaseException, enum.Enum)):
        return f"{head}({kind.__bases__[0].__name__})"
    if getattr(kind, "_is_protocol", False):
        return f"{head}(Protocol)"
    return signature(head, kind).removesuffix("()") if is_constructed(kind) else head


def is_constructed(kind: type) -> bool:
    """Returns False for classes that users do not call.

    They are exceptions, enumerations, protocols, and classes with a parameter for this package
    alone: a private one, or a token (``InitVar``).
    """
    if issubclass(kind, (BaseException, enum.Enum)) or getattr(kind, "_is_protocol", False):
        return False
    parameters = inspect.signature(kind).parameters.values()
    return not any(
        each.name.startswith("_") or annotation_text(each.annotation).startswith("InitVar")
        for each in parameters
    )


def member_signature(item: Public) -> str:
    """Returns the signature of a method, with its decorator."""
    name = item.name.rpartition(".")[2]
    function = item.value
    decorator = ""
    if isinstance(function, (staticmethod, classmethod)):
        decorator = f"@{type(function).__name__}\n"
        function = function.__func__
    bound = not isinstance(item.value, staticmethod)
    return decorator + signature(f"{keyword(function)} {name}", function, drop_first=bound)


def keyword(function: Callable[..., Any]) -> str:
    """Returns the keyword that defines a function."""
    return "async def" if inspect.iscoroutinefunction(function) else "def"


# Docstrings


def sections(docstring: str) -> list[tuple[str, str]]:
    """Splits a docstring into its sections.

    Args:
        docstring: The docstring, without indentation.

    Returns:
        The title and the text of each, in order; the title of what is in no section is empty.
    """
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in docstring.split("\n"):
        title = line.removesuffix(":")
        if line.endswith(":") and title in TITLES:
            found.append((title, []))
            continue
        if found[-1][0] and line and not line.startswith(" "):
            found.append(("", []))
        found[-1][1].append(line)
    texts = ((title, dedent("\n".join(lines)).strip("\n")) for title, lines in found)
    return [(title, text) for title, text in texts if text]


def section(docstring: str, title: str) -> str:
    """Returns the text of a section; empty without it."""
    return "\n\n".join(text for found, text in sections(docstring) if found == title)


def entries(text: str) -> list[tuple[str, str]]:
    """Splits a section that is a list.

    Args:
        text: The section, without indentation.

    Returns:
        The name and the meaning of each entry; the name of what is no entry is empty.
    """
    found: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        match = re.match(r"(\*{0,2}[\w.]+(?:, \w+)*): ?(.*)$", line)
        if match:
            found.append((match[1], [match[2]]))
        elif line.startswith(" ") or (not line and found):
            found[-1][1].append(line)
        else:
            found.append(("", [line]))
    return [
        (name, "\n".join([lines[0], dedent("\n".join(lines[1:]))]).strip("\n"))
        for name, lines in found
    ]


def markdown(text: str) -> str:
    """Turns the text of a docstring into Markdown: indented code and doctests into fences."""
    blocks: list[str] = []
    code: list[str] = []
    for block in [*re.split(r"\n\s*\n", text), ""]:
        if block.startswith("    "):
            code.append(dedent(block))
            continue
        if code:
            text = "\n\n".join(code)
            blocks.append(fenced(text, "python" if is_python(text) else "text"))
            code = []
        if block.startswith(">>>"):
            blocks.append(fenced(without_prompts(block)))
        elif block:
            blocks.append(escaped(re.sub("::$", ":", block)))
    return "\n\n".join(blocks)


def is_python(text: str) -> bool:
    """Returns True for text that Python can parse; requests and command lines are not."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def fenced(code: str, language: str = "python") -> str:
    """Returns a block of code."""
    return f"```{language}\n{code.rstrip()}\n```"


def without_prompts(block: str) -> str:
    """Returns a doctest as plain Python, with what it prints as comments."""
    lines = []
    for example in doctest.DocTestParser().get_examples(block):
        lines += re.sub(r"[ \t]*# doctest:.*", "", example.source).rstrip("\n").split("\n")
        printed = example.want.rstrip("\n").split("\n") if example.want else []
        if printed and printed[0].startswith("Traceback"):
            printed = [f"raises {printed[-1]}"]
        lines += [f"# {line}" for line in printed]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Writes code spans as Markdown has them, and hides its other marks."""
    parts = re.split(r"(``.+?``|`[^`]+`)", text, flags=re.DOTALL)
    for index, part in enumerate(parts):
        if index % 2:
            parts[index] = "`" + part.strip("`") + "`"
        else:
            parts[index] = re.sub(r"([*<\[])", r"\\\1", part)
    return "".join(parts)


def item_of_list(head: str, text: str) -> str:
    """Returns one item of a list, whose further lines and blocks are indented."""
    return f"- {head}: " + indent(markdown(text), "  ").lstrip()


# Pages


def description(item: Public) -> list[str]:
    """Returns the docstring of an object as blocks of Markdown."""
    blocks = []
    for title, text in sections(item.docstring):
        if title:
            blocks.append(f"**{TITLES[title]}:**")
        if title not in LISTS:
            blocks.append(markdown(text))
            continue
        types = attribute_types(item.value) if title == "Attributes" else {}
        blocks.append(entry_list(title, entries(text), types))
    return blocks


def entry_list(
    title: str, found: list[tuple[str, str]], types: Mapping[str, str | None] = MappingProxyType({})
) -> str:
    """Returns the entries of a section as a list.

    Args:
        title: The section: the names under Raises are links.
        found: The name and the meaning of each entry.
        types: The types of attributes, by name.
    """
    items = []
    for name, meaning in found:
        if not name:
            items.append("- " + indent(markdown(meaning), "  ").lstrip())
            continue
        head = error_link(name) if title == "Raises" else f"`{name}`"
        typed = f" (`{types[name]}`)" if types.get(name) else ""
        items.append(item_of_list(head + typed, meaning))
    return "\n".join(items)


def attribute_types(kind: Any) -> dict[str, str | None]:
    """Returns the types of the attributes that a class and its bases annotate."""
    found: dict[str, str | None] = {}
    if isinstance(kind, type):
        for base in reversed(kind.__mro__):
            if base.__module__.split(".")[0] == PACKAGE:
                here = class_statements(base).items()
                found |= {name: item.source("annotation") for name, item in here}
    return found


def error_link(name: str) -> str:
    """Returns the name of an exception, as a link if this package defines it."""
    if name in exported("nitro_attest.errors"):
        return f"[`{name}`]({public('nitro_attest.errors', name).link})"
    return f"`{name}`"


def class_blocks(item: Public) -> list[str]:
    """Returns a class: how to make it, its docstring, attributes, properties and methods."""
    blocks = [f"### {item.name}", fenced(class_signature(item)), *description(item)]
    inherited = inherited_attributes(item.value)
    if inherited:
        title = "Further attributes" if section(item.docstring, "Attributes") else "Attributes"
        listed = entry_list("Attributes", inherited, attribute_types(item.value))
        blocks += [f"**{title}:**", listed]
    constants = class_constants(item.value)
    if constants:
        title = "Members" if issubclass(item.value, enum.Enum) else "Class attributes"
        blocks += [f"**{title}:**", "\n".join(constants)]
    found = members(item)
    properties = [member for member in found if isinstance(member.value, property)]
    if properties:
        blocks += ["**Properties:**", "\n".join(property_item(each) for each in properties)]
    for member in found:
        if member not in properties:
            blocks += [f"#### {member.name}", fenced(member_signature(member))]
            blocks += description(member)
    return blocks


def inherited_attributes(kind: type) -> list[tuple[str, str]]:
    """Returns the attributes that the docstrings of private bases describe."""
    texts = [section(own_docstring(base), "Attributes") for base in own_classes(kind)[1:]]
    return [entry for text in texts if text for entry in entries(text)]


def class_constants(kind: type) -> list[str]:
    """Returns the assignments of a class that have a docstring of their own, as a list."""
    found = {
        name: each for base in own_classes(kind) for name, each in class_statements(base).items()
    }
    documented = ((name, each) for name, each in found.items() if not name.startswith("_"))
    return [constant_item(name, each) for name, each in documented if each.docstring]


def property_item(member: Public) -> str:
    """Returns a property as an item of a list."""
    name = member.name.rpartition(".")[2]
    annotation = inspect.signature(member.value.fget).return_annotation
    text = "\n\n".join(
        text if not title else f"{TITLES[title]}: {text}"
        for title, text in sections(member.docstring)
    )
    return item_of_list(f"`{name}` (`{annotation_text(annotation)}`)", text)


def constant_item(name: str, found: Statement) -> str:
    """Returns a constant as an item of a list, with its value if that is short."""
    value = found.source("value")
    shown = f"{name} = {value}" if value and len(value) <= LINE - len(name) else name
    return item_of_list(f"`{shown}`", inspect.cleandoc(found.docstring or ""))


def page(module: str) -> str:
    """Returns the page of a public module."""
    items = documented_on(module)
    classes = [each for each in items if isinstance(each.value, type) and not each.statement]
    groups = {
        "Functions": [i for i in items if not i.statement and not isinstance(i.value, type)],
        "Classes": [each for each in classes if not each.is_exception],
        "Exceptions": [each for each in classes if each.is_exception],
    }
    text = own_docstring(importlib.import_module(module))
    blocks = [f"# {module}", NOTICE, *description(Public(module, module, None, text))]
    for title, group in groups.items():
        if group:
            blocks.append(f"## {title}")
        for item in group:
            if isinstance(item.value, type):
                blocks += class_blocks(item)
            else:
                head = f"{keyword(item.value)} {item.name}"
                blocks += [f"### {item.name}", fenced(signature(head, item.value))]
                blocks += description(item)
    constants = [constant_item(i.name, i.statement) for i in items if i.statement]
    if constants:
        blocks += ["## Constants", "\n".join(constants)]
    types = further_types(module, "\n\n".join(blocks))
    if types:
        blocks += ["## Types in the signatures", "\n".join(types)]
    others = [each for name in exported(module) if (each := public(module, name)) not in items]
    if others:
        blocks += ["## Documented on other pages", "\n".join(map(reference, others))]
    return "\n\n".join(blocks) + "\n"


def further_types(module: str, text: str) -> list[str]:
    """Returns the other types that the signatures of a page use, as items of a list.

    Args:
        module: The public module of the page.
        text: The page.

    Returns:
        The classes and aliases that no public module exports, with the values of the aliases.
    """
    used = set(
        re.findall(r"\b[A-Z][a-z]\w*", "".join(re.findall(r"```.*?```|`[^`]+`", text, re.S)))
    )
    found = {}
    for defining in sorted({definition(module, name)[0] for name in exported(module)}):
        for name in used & statements(defining).keys():
            source = statements(defining)[name].node
            if not isinstance(source, ast.ImportFrom) or (source.module or "").startswith(PACKAGE):
                found[name] = definition(defining, name)[1]
    public_names = {name for each in PUBLIC_MODULES for name in exported(each)}
    items = (type_item(name, found[name]) for name in sorted(found.keys() - public_names))
    return [item for item in items if item]


def type_item(name: str, found: Statement) -> str:
    """Returns a class or a documented alias as an item of a list; empty for anything else."""
    if isinstance(found.node, ast.ClassDef):
        return item_of_list(f"`{name}`", first_sentence(ast.get_docstring(found.node) or ""))
    return constant_item(name, found) if found.docstring else ""


def reference(item: Public) -> str:
    """Returns a link to a name that another page documents, as an item of a list."""
    return f"- [`{item.name}`]({item.link}): {escaped(first_sentence(item.docstring))}"


def first_sentence(docstring: str) -> str:
    """Returns the first line of a docstring."""
    return docstring.partition("\n")[0]


def index() -> str:
    """Returns the page that lists the public modules and their names."""
    blocks = [
        "# API reference",
        NOTICE,
        "These modules and names are the public interface. Everything else may change in any "
        "release.\nThe [codes](../codes.md) of errors and warnings have a page of their own.",
    ]
    for module in PUBLIC_MODULES:
        text = first_sentence(own_docstring(importlib.import_module(module)))
        links = [f"[`{name}`]({public(module, name).link})" for name in exported(module)]
        blocks += [f"## [{module}]({module}.md)", escaped(text), ",\n".join(links)]
    return "\n\n".join(blocks) + "\n"


def pages() -> dict[str, str]:
    """Returns the content of every page, by its file name."""
    return {"README.md": index()} | {f"{module}.md": page(module) for module in PUBLIC_MODULES}


def main() -> int:
    """Writes or checks the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the API reference from the docstrings.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page differs")
    check = parser.parse_args().check
    made = pages()
    kept = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    differing = sorted(
        name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name)
    )
    for name in differing:
        print(f"{'differs' if check else 'written'}: {name}")
        if not check and name in made:
            (PAGES / name).write_text(made[name], encoding="utf-8")
        elif not check:
            (PAGES / name).unlink()
    return int(check and bool(differing))


if __name__ == "__main__":
    sys.exit(main())
