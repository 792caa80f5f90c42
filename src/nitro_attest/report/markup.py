"""Elements of HTML and SVG that cannot contain markup from a document.

``element`` escapes every child and every attribute that is not Markup, and only ``element`` and
constants of this package make Markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from nitro_attest._internal.wording import printable


class Markup(str):
    """Text that is HTML already. Every other ``str`` is escaped before it is written."""

    __slots__ = ()


Child = str | Iterable["Markup"] | None
"""A child of an element: text, elements, or nothing."""


def element(name: str, /, *children: Child, **attributes: str | int | float | None) -> Markup:
    """Writes one element.

    Args:
        name: The element's name.
        children: Text, which is escaped; elements; None is left out.
        attributes: Values, which are escaped; None is left out. In a name ``_`` is written as
            ``-``, and a ``_`` at its end is dropped (``class_``).

    Returns:
        The element.
    """
    opening = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(printable(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{opening}>")
    return Markup(f"<{name}{opening}>{''.join(map(_content, children))}</{name}>")


def _content(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(printable(child), quote=False)
    return "".join(map(_content, child))


_VOID = frozenset({"meta", "br"})
