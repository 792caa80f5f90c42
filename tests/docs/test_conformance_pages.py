"""The pages of the conformance vectors: one for each class of errors, with its rules and flags."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from conformance_cases import CASES, FOLDER
from support.paths import ROOT, TOOLS

OVERVIEW = (ROOT / "docs/reference/conformance.md").read_text()
PAGES = ROOT / "docs/reference/conformance"
IMAGES = json.loads((FOLDER / "image.json").read_text())["cases"]
ALL = [*CASES.values(), *IMAGES]
CLASSES = list(dict.fromkeys(case["class"] for case in ALL))


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from vectors import expectations

    return expectations


def rules_of(page):
    """The rules that a page names, one by one or as a range such as "P-19 to P-24"."""
    named = set(re.findall(r"[A-Z]-\d+", page))
    for family, first, last in re.findall(r"\b([A-Z])-(\d+) to [A-Z]-(\d+)", page):
        named |= {f"{family}-{number}" for number in range(int(first), int(last) + 1)}
    return named


def counts(of_class):
    results = Counter(case["expected"]["result"] for case in of_class)
    critical = sum(case["importance"] == "critical" for case in of_class)
    cells = (results["accept"], results["reject"], critical, results["acceptable"])
    return " | ".join(map(str, cells))


def test_the_overview_counts_the_classes(tables):
    rows = [line for line in OVERVIEW.splitlines() if re.match(r"\| (\[.*/|all classes)", line)]
    expected = [
        f"| [{name}](conformance/{name}.md) | {about} | "
        f"{counts([case for case in ALL if case['class'] == name])} |"
        for name, about in tables.CLASSES.items()
    ]
    assert rows == [*expected, f"| all classes | | {counts(ALL)} |"]


def test_the_overview_explains_importance_and_flags_as_the_tables_do(tables):
    for name, meaning in tables.IMPORTANCE.items():
        assert f"\n| {name} | {meaning} |\n" in OVERVIEW
    for name, meaning in tables.FLAGS.items():
        assert f"\n| `{name}` | {meaning} |\n" in OVERVIEW


@pytest.mark.parametrize("name", CLASSES)
def test_a_page_names_the_rules_of_its_cases_and_the_choices_that_are_acceptable(name):
    page = (PAGES / f"{name}.md").read_text()
    of_class = [case for case in ALL if case["class"] == name]
    missing = {case["rules"][0] for case in of_class} - rules_of(page) - {"policy"}
    assert not missing
    either = [case for case in of_class if case["expected"]["result"] == "acceptable"]
    flags = {flag for case in either for flag in case["flags"]}
    assert not {flag for flag in flags if f"`{flag}`" not in page}
    for flag in set(re.findall(r"^\| `([a-z0-9-]+)`", page, re.M)):
        assert any(flag in case["flags"] for case in of_class), flag


def test_the_navigation_has_every_page(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/_ext")
    import navigation

    written = {f"conformance/{path.stem}" for path in PAGES.glob("*.md")}
    above = [entry for entries in navigation.CONTENTS.values() for entry in entries]
    named = [entry.rpartition("<")[2].rstrip(">") for entry in (*navigation.CONFORMANCE, *above)]
    named = [name.removeprefix("reference/") for name in named]
    assert sorted(written) == sorted(name for name in named if name.startswith("conformance/"))


def test_the_page_about_results_explains_every_member_and_outcome():
    page = (PAGES / "report-a-result.md").read_text()
    schema = json.loads((FOLDER / "results-schema.json").read_text())
    outcomes = schema["properties"]["cases"]["items"]["properties"]["outcome"]["enum"]
    for name in (*schema["required"][1:], *outcomes):
        assert f"`{name}`" in page


def test_every_option_of_the_pages_is_one_of_the_tools():
    pages = [OVERVIEW, *(path.read_text() for path in PAGES.glob("*.md"))]
    helps = ""
    for tool in ("run_vectors.py", "make_vectors.py"):
        command = [sys.executable, TOOLS / tool, "--help"]
        helps += subprocess.run(command, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"--[a-z-]+", helps))
    for page in pages:
        blocks = re.findall(r"tools/(?:run|make)_vectors\.py.*?(?=\n\n|```)", page, re.S)
        assert set(re.findall(r"--[a-z-]+", " ".join(blocks))) <= known
