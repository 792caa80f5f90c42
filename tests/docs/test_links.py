"""Every relative link of the documentation leads to a file."""

import re

import pytest

from support.paths import ROOT

FOLDERS = ("*.md", "docs/**/*.md", "*/README.md", "examples/*/README.md")
PAGES = sorted(page for folder in FOLDERS for page in ROOT.glob(folder))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target
