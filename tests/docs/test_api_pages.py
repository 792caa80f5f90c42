"""The API reference is what its tool writes, and every public name has a complete docstring."""

import ast
import inspect
import re
import sys

import pytest
from api_tool import CLASSES, FUNCTIONS, OBJECTS, api, function_of, label, load, parameters

from conftest import ROOT

WITH_DOCSTRINGS = ("src", "tools", "benchmarks", "fuzz")
QUESTION_WORDS = re.compile(r"(What|Whether|How|Where|Which|Who|When|That|Why)\b")
WITHOUT_PUBLIC_NAMES = {
    "nitro_attest.testing.eif",
    "nitro_attest.testing.uki",
}
"""The private modules that declare names for other modules of the package and its tests."""

REFERENCE = re.compile(r"\b(?:see|as|As|those of) ``([\w.]+)``")


def refers_to_another(item):
    """True if the docstring names the public function that describes the same arguments."""
    reference = REFERENCE.search(item.docstring)
    owner = item.name.rpartition(".")[0]
    names = {other.name for other in FUNCTIONS} - {item.name}
    return bool(reference) and not names.isdisjoint({reference[1], f"{owner}.{reference[1]}"})


def named_in(docstring, *titles):
    """The names of the entries in some sections of a docstring."""
    listed = (api.entries(api.section(docstring, title)) for title in titles)
    heads = (head for entries in listed for head, _ in entries if head)
    return {name.lstrip("*") for head in heads for name in head.split(", ")}


# Pages


def test_the_pages_are_what_the_tool_writes():
    kept = {page.name: page.read_text(encoding="utf-8") for page in api.PAGES.iterdir()}
    made = api.pages()
    differing = [name for name in sorted(made | kept) if made.get(name) != kept.get(name)]
    assert not differing, "run: python tools/make_api_pages.py"


def test_the_pages_are_the_same_at_every_run():
    before = api.pages()
    assert load().pages() == before
    assert not any(" at 0x" in text or str(ROOT) in text for text in before.values())


def test_check_reports_a_page_that_differs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(api, "PAGES", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_api_pages.py"])
    (tmp_path / "old.md").write_text("A page of a module that is gone.")
    assert api.main() == 0
    assert not (tmp_path / "old.md").exists()
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["make_api_pages.py", "--check"])
    assert api.main() == 0
    assert capsys.readouterr().out == ""
    (tmp_path / "nitro_attest.md").write_text("edited")
    assert api.main() == 1
    assert capsys.readouterr().out == "differs: nitro_attest.md\n"
    assert (tmp_path / "nitro_attest.md").read_text() == "edited"


# Public modules


def declaring_modules():
    """The modules whose source assigns ``__all__``, alone or among several targets."""
    for path in sorted((ROOT / "src" / "nitro_attest").rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = (node for node in nodes if isinstance(node, ast.Name) and node.id == "__all__")
        if any(isinstance(name.ctx, ast.Store) for name in names):
            parts = path.relative_to(ROOT / "src").with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__")


def test_every_public_module_declares_its_names():
    assert not sorted(set(api.PUBLIC_MODULES) - set(declaring_modules()))


def test_every_other_module_that_declares_names_defines_some_for_a_public_one():
    public = {api.definition(m, name) for m in api.PUBLIC_MODULES for name in api.exported(m)}
    others = set(declaring_modules()) - set(api.PUBLIC_MODULES)
    defining = {m for m in others if public & {api.definition(m, n) for n in api.exported(m)}}
    assert others - defining == WITHOUT_PUBLIC_NAMES


# Docstrings


@pytest.mark.parametrize("item", OBJECTS, ids=label)
def test_every_public_object_has_a_docstring(item):
    assert item.docstring.strip()


@pytest.mark.parametrize("item", FUNCTIONS, ids=label)
def test_every_function_describes_its_parameters(item):
    described = named_in(item.docstring, "Args")
    assert described == parameters(function_of(item)) or refers_to_another(item)


@pytest.mark.parametrize("item", FUNCTIONS, ids=label)
def test_every_function_describes_its_result(item):
    annotation = inspect.signature(function_of(item)).return_annotation
    described = (
        re.match("(Returns|Yields) ", item.docstring)
        or api.section(item.docstring, "Returns")
        or api.section(item.docstring, "Yields")
        or refers_to_another(item)
    )
    assert described or annotation in ("None", "NoReturn", None), annotation


@pytest.mark.parametrize("item", [c for c in CLASSES if api.is_constructed(c.value)], ids=label)
def test_every_class_describes_how_to_make_it(item):
    described = named_in(item.docstring, "Args", "Attributes")
    inherited = {name for name, _ in api.inherited_attributes(item.value)}
    assert parameters(item.value) <= described | inherited


def docstrings(path):
    """The line and the text of each docstring in a file, those of constants included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        text = api.string_of(node)
        if text is not None:
            yield node.lineno, text


@pytest.mark.parametrize("folder", WITH_DOCSTRINGS)
def test_no_docstring_begins_with_a_question_word(folder):
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.strip().splitlines()[0]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in docstrings(path)
        if QUESTION_WORDS.match(text.strip())
    ]
    assert not found, "\n".join(found)
