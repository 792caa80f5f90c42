"""Checks the links of a built site: python check_links.py SITE.

A link is dead if its file is missing or has no element of that id. Fails with a line for each.
Links to other hosts are not opened.
"""

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

LINKS = {"href", "src", "xlink:href", "data", "poster"}


class Page(HTMLParser):
    """The ids and the links of a page or of an SVG file."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.ids.add(value)
            elif name in LINKS and value:
                self.links.append(value)


@cache
def read(path):
    return Page(path.read_text(encoding="utf-8"))


def dead_links(site):
    """Yields each dead link, with the page that has it."""
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.svg")]):
        for link in read(path).links:
            parts = urlsplit(urljoin(path.as_uri(), link))
            if parts.scheme != "file":
                continue
            target = Path(unquote(parts.path))
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(site) or not target.is_file():
                yield f"{path.relative_to(site)}: {link}: no such file"
            elif parts.fragment and unquote(parts.fragment) not in read(target).ids:
                yield f"{path.relative_to(site)}: {link}: no such anchor"


def main():
    site = Path(sys.argv[1]).resolve()
    dead = list(dead_links(site))
    links = sum(len(read(path).links) for path in site.rglob("*.html"))
    print("\n".join(dead) or f"{links} links: no problem")
    return int(bool(dead) or links < 1000)


if __name__ == "__main__":
    sys.exit(main())
