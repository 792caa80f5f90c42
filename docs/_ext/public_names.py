"""Cross references to the public names.

``tools/make_api_pages.py`` writes the pages in ``reference/api``. Here their signatures become
objects of Sphinx's Python domain: the search finds each name, and the types in a signature are
links. Names of classes, and of functions with ``()``, become links in the text of every page.
"""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any, Final

from docutils import nodes
from sphinx.util.nodes import make_refnode

API: Final = "reference/api/"

SIGNATURE: Final = re.compile(
    r"(?<=\n)(?P<heading>#{3,4} (?P<name>[\w.]+)\n\n)"
    r"```python\n(?:@(?P<decorator>\w+)\n)?"
    r"(?P<keyword>class|def|async def) \w+(?P<rest>.*?)\n```\n",
    re.DOTALL,
)
"""A heading, and the signature below it."""

LIST: Final = re.compile(
    r"(?<=\n)(## (Constants|Types in the signatures)\n\n)(.*?)(?=\n## |\Z)", re.DOTALL
)
"""A section that lists constants or types."""

ITEM: Final = re.compile(r"(?<=\n)- `(\w+)(?: = (.*?))?`: (.*?)(?=\n- `|\Z)", re.DOTALL)
"""A constant or type: its name, value and description."""


def setup(app: Any) -> dict[str, bool]:
    """Connects this extension to a build."""
    app.connect("source-read", declare_names)
    app.connect("missing-reference", resolve_type)
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def declare_names(_: Any, page: str, source: list[str]) -> None:
    """Turns the signatures and constants of an API page into directives of the Python domain."""
    module = page.removeprefix(API)
    if module != page and module != "README":
        title, _, text = source[0].partition("\n")
        text = LIST.sub(lambda found: found[1] + ITEM.sub(constant, "\n" + found[3]), text)
        text = SIGNATURE.sub(signature, text)
        source[0] = f"{title}\n\n{directive('module', module)}{text}"


def directive(kind: str, argument: str, options: str = "", content: str = "") -> str:
    """Returns a directive of the Python domain."""
    return f"````{{py:{kind}}} {argument}\n{options}\n{content}\n````\n"


def signature(found: re.Match[str]) -> str:
    """Returns a heading and the directive for the signature below it."""
    name, rest = found["name"], re.sub(r"\s+", " ", found["rest"])
    rest = rest.replace("( ", "(").replace(", )", ")")
    function = "method" if "." in name else "function"
    kind = "class" if found["keyword"] == "class" else function
    options = f":{found['decorator']}:\n" if found["decorator"] else ""
    if found["keyword"] == "async def":
        options += ":async:\n"
    return found["heading"] + directive(kind, name + rest, options)


def constant(found: re.Match[str]) -> str:
    """Returns the directive for a constant or type."""
    name, value, text = found.groups()
    return directive("data", name, f":value: {value}\n" if value else "", dedent(f"  {text}"))


def resolve_type(app: Any, env: Any, node: Any, content: nodes.Node) -> nodes.Node | None:
    """Returns a link for a type that a signature names without its module."""
    full = short_names(env).get(node["reftarget"]) if node["refdomain"] == "py" else None
    return link(app, node["refdoc"], full, content) if full else None


def link_names(app: Any, doctree: nodes.document, page: str) -> None:
    """Turns code in the text that is a public name into a link."""
    names = short_names(app.env)
    for code in list(doctree.findall(nodes.literal)):
        text = code.astext()
        name = text.removesuffix("()")
        full = name if name in names.values() else names.get(name)
        is_name = full and (full == name or text != name or name[0].isupper())
        if is_name and not is_inside(code, nodes.reference, nodes.title):
            code.replace_self(link(app, page, full, code.deepcopy()))


def is_inside(node: nodes.Node, *kinds: type[nodes.Node]) -> bool:
    """Returns True if a node is part of another one of these kinds."""
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def short_names(env: Any) -> dict[str, str]:
    """Returns the full name of each public name, by the name without its module."""
    domain = env.domains["py"]
    found: dict[str, str] = {}
    for full in domain.objects:
        modules = [module for module in domain.modules if full.startswith(f"{module}.")]
        module = max(modules, key=len, default="")
        short = full if full in domain.modules else full.removeprefix(f"{module}.")
        found.setdefault(short, full)
    return found


def link(app: Any, page: str, full: str, content: nodes.Node) -> nodes.Node:
    """Returns a link from a page to a public name."""
    target = app.env.domains["py"].objects[full]
    return make_refnode(app.builder, page, target.docname, target.node_id, content, full)
