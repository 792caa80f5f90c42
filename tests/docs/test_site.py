"""The extensions of the documentation site, and the check of its links."""

import re
import subprocess
import sys

import pytest

from support.paths import ROOT

EXTENSIONS = ROOT / "docs" / "_ext"
CHECK_LINKS = ROOT / "tests" / "browser" / "check_links.py"


@pytest.fixture(scope="module")
def navigation():
    sys.path.insert(0, str(EXTENSIONS))
    try:
        import navigation
    finally:
        sys.path.remove(str(EXTENSIONS))
    return navigation


@pytest.fixture(scope="module")
def public_names():
    pytest.importorskip("sphinx", reason="sphinx is not installed: the names were not declared")
    sys.path.insert(0, str(EXTENSIONS))
    try:
        import public_names
    finally:
        sys.path.remove(str(EXTENSIONS))
    return public_names


# Navigation


def test_every_entry_of_the_navigation_is_a_page(navigation):
    entries = [entry for entries in navigation.CONTENTS.values() for entry in entries]
    pages = [re.sub(r".*<(.*)>", r"\1", entry) for entry in entries]
    assert len(set(pages)) == len(pages)
    assert all((ROOT / "docs" / f"{page}.md").is_file() for page in pages)


def test_a_page_that_the_navigation_does_not_name_follows_those_of_its_folder(navigation):
    pages = {"how-to/a", "how-to/z", "how-to/new", "reference/b", "how-to/deep/c"}
    assert navigation.unnamed(["how-to/z", "First <how-to/a>"], pages) == ["how-to/new"]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("../../SECURITY.md", "../project/security.md"),
        ("../../CHANGELOG.md#unreleased", "../project/changelog.md#unreleased"),
        ("../../fixtures/real/README.md", "../project/genuine-documents.md"),
        ("../../NONE.md", "../../NONE.md"),
        ("../reference/codes.md", "../reference/codes.md"),
    ],
)
def test_a_link_to_a_file_that_a_page_includes_leads_to_the_page(navigation, link, expected):
    source = [f"[text]({link})"]
    navigation.lead_inside(None, "explanation/assurance", source)
    assert source == [f"[text]({expected})"]


# Public names

PAGE = """\
# nitro_attest.module

Text.

### Thing

```python
class Thing(
    size: int,
    *,
    name: str = 'a',
)
```

```python
class NotASignature: ...
```

#### Thing.get

```python
@classmethod
async def get() -> Thing
```

## Constants

- `LIMIT = 1 << 4`: The first
  constant.
- `OTHER`: The second.

## Documented on other pages

- `Elsewhere`: Not here.
"""


def test_the_signatures_and_constants_of_a_page_become_directives(public_names):
    source = [PAGE]
    public_names.declare_names(None, "reference/api/nitro_attest.module", source)
    assert re.findall(r"^````\{py:(.*)$", source[0], re.M) == [
        "module} nitro_attest.module",
        "class} Thing(size: int, *, name: str = 'a')",
        "method} Thing.get() -> Thing",
        "data} LIMIT",
        "data} OTHER",
    ]
    assert "\n:classmethod:\n:async:\n" in source[0]
    assert "\n:value: 1 << 4\n" in source[0]
    assert "class NotASignature: ..." in source[0]
    assert "- `Elsewhere`: Not here." in source[0]


@pytest.mark.parametrize("page", ["reference/codes", "reference/api/README"])
def test_other_pages_are_not_changed(public_names, page):
    source = [PAGE]
    public_names.declare_names(None, page, source)
    assert source == [PAGE]


# Links


@pytest.mark.parametrize(
    ("link", "dead"),
    [
        ("other.html", False),
        ("other.html#there", False),
        ("other.html#gone", True),
        ("gone.html", True),
        ("#here", False),
        ("#gone", True),
        ("../outside.html", True),
        ("https://example.com/", False),
        ("image.svg#shape", False),
    ],
)
def test_a_dead_link_is_found(tmp_path, link, dead):
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "outside.html").write_text("")
    (site / "index.html").write_text(f'<p id="here"><a href="{link}">x</a></p>')
    (site / "other.html").write_text('<p id="there"></p>' + '<a href="#there"></a>' * 1000)
    (site / "image.svg").write_text('<svg><path id="shape"/></svg>')
    done = subprocess.run([sys.executable, CHECK_LINKS, site], capture_output=True, text=True)
    assert (done.returncode, link in done.stdout) == (int(dead), dead)
