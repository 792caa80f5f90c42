"""Every relative link of the documentation leads to a file, and to the heading that it names."""

import re
from functools import cache

import pytest

from support.paths import ROOT

FOLDERS = ("*.md", "docs/**/*.md", "*/README.md", "examples/*/README.md")
PAGES = sorted(page for folder in FOLDERS for page in ROOT.glob(folder))


def without_code(text):
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.M | re.S)


def anchors_of(text):
    """The anchors that a forge and the site make from the headings of a page."""
    anchors = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(text), re.M):
        shown = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w -]", "", shown).replace(" ", "-")
        numbered = (f"{anchor}-{number}" for number in range(1, 100))
        anchors.add(
            anchor if anchor not in anchors else next(n for n in numbered if n not in anchors)
        )
    return anchors


@cache
def anchors(path):
    return anchors_of(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_its_heading(page):
    for path, _, anchor in re.findall(
        r"\]\(([^)#\s]*)(#([^)\s]*))?\)", without_code(page.read_text(encoding="utf-8"))
    ):
        if not re.match(r"[a-z]+:", path):
            target = (page.parent / path) if path else page
            assert target.exists(), path
            assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_anchors_are_made_as_a_forge_makes_them():
    text = "# A `code` and [a link](x.md)\n## X: times, names\n## Again\n## Again\n```\n# no\n```\n"
    assert anchors_of(text) == {"a-code-and-a-link", "x-times-names", "again", "again-1"}
