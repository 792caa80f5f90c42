"""README.md: links that work on an index page too, and claims that the linked pages make."""

import json
import re
import struct

import pytest

from support.paths import ROOT, VECTORS

TEXT = (ROOT / "README.md").read_text()
PAGES = "https://github.com/OWNER/nitro-attest/blob/main/"
FILES = "https://raw.githubusercontent.com/OWNER/nitro-attest/main/"
LINKS = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", TEXT, re.M))
USED = re.compile(r"\]\[([^\]]+)\]")
PICTURES = re.findall(r'(?:src|srcset)="([^"]+)"', TEXT)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def section(title):
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def slug(heading):
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page):
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.M)}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_every_link_is_absolute_and_leads_to_a_file_and_a_heading(link):
    assert link.startswith(PAGES)
    path, _, anchor = link.removeprefix(PAGES).partition("#")
    assert (ROOT / path).is_file()
    assert not anchor or anchor in anchors(ROOT / path)


def test_each_link_is_defined_once_and_used():
    assert len(LINKS) == len(re.findall(r"^\[[^\]]+\]: ", TEXT, re.M)) > 50
    assert set(USED.findall(TEXT)) == set(LINKS)
    _, *definitions = TEXT.rstrip("\n").split("\n\n[")  # no definition can end a paragraph
    assert len(definitions[-1].splitlines()) == len(LINKS)
    assert "](" not in TEXT
    assert len(PICTURES) == 2


def test_nothing_else_on_the_page_is_relative_or_foreign():
    assert set(re.findall(r"https?://[^/\s]+/[^/\s]+/[^/\s]+/", TEXT)) == {
        "https://github.com/OWNER/nitro-attest/",
        "https://raw.githubusercontent.com/OWNER/nitro-attest/",
    }


def test_the_pictures_are_small_and_of_one_size():
    sizes = set()
    for address in PICTURES:
        assert address.startswith(FILES)
        content = (ROOT / address.removeprefix(FILES)).read_bytes()
        assert content.startswith(SIGNATURE)
        assert len(content) < 150_000
        sizes.add(struct.unpack(">II", content[16:24]))
    ((width, _),) = sizes
    assert f'width="{width}"' in TEXT


def claims():
    """Each reason to trust, with the text of the pages that it links."""
    for claim in re.findall(r"^- (.+?)(?=^- |\Z)", section("Why trust it"), re.M | re.S):
        links = [LINKS[name].removeprefix(PAGES) for name in USED.findall(claim)]
        yield claim, "".join((ROOT / link.partition("#")[0]).read_text() for link in links)


def test_every_number_among_the_reasons_is_on_a_page_that_it_links():
    found = []
    for claim, pages in claims():
        assert pages, claim
        numbers = re.findall(r"\d[\d.]*\d", claim)
        assert [number for number in numbers if number not in pages] == []
        found += numbers
    assert {"69", "1902", "1357", "1.04"} <= set(found)


def test_every_mistake_names_rules_with_conformance_cases_or_a_page():
    table = section("Mistakes that verifiers make")
    groups = [json.loads(path.read_text()) for path in (VECTORS / "conformance").glob("*.json")]
    cases = [case for group in groups for case in group.get("cases", ())]
    covered = {rule for case in cases for rule in case["rules"]}
    page = (ROOT / "docs/reference/rules.md").read_text()
    cited = re.findall(r"\[((?:[A-Z]-\d+(?:, )?)+)\]\[([^\]]+)\]", table)
    assert len(cited) > 10
    for names, name in cited:
        for rule in names.split(", "):
            assert rule in covered
            before, row, _ = page.partition(f"\n| {rule} |")
            assert row
            assert LINKS[name].partition("#")[2] == slug(re.findall(r"^## (.+)$", before, re.M)[-1])
    rows = [row for row in table.splitlines() if row.startswith("| ")]
    assert [row for row in rows[2:] if "][" not in row] == []
