"""The floors in pyproject.toml are the versions that are tested on the oldest Python."""

import re

from support.paths import DOCS, ROOT

EXTRAS = ("arrow", "http", "kms", "requests", "test")
"""The extras whose floors are tested with the dependencies of every installation."""


def requirements(name):
    """The strings of the array ``name`` in pyproject.toml (tomllib needs Python 3.11)."""
    text = (ROOT / "pyproject.toml").read_text()
    array = re.search(rf"^{name} = \[(.*?)((?<=\")|^)\]$", text, re.MULTILINE | re.DOTALL)
    return re.findall(r'"([^"]+)"', array[1])


def floors():
    found = {}
    for name in ("dependencies", *EXTRAS):
        for requirement in requirements(name):
            if not requirement.startswith("nitro-attest["):
                package, floor = re.match(r"([a-z0-9]+)>=([0-9.]+)", requirement).groups()
                found[package] = floor
    return found


def constraints():
    lines = (ROOT / "tests/floors.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def same(version):
    return re.sub(r"(\.0)+$", "", version)


def test_the_constraints_are_the_floors_of_pyproject():
    assert {name: same(floor) for name, floor in floors().items()} == {
        name: same(version) for name, version in constraints().items()
    }


def test_each_dependency_has_its_floor_and_reason_on_the_page():
    page = (DOCS / "explanation/dependencies.md").read_text()
    for requirement in requirements("dependencies"):
        name, floor = re.match(r"([a-z0-9]+)>=([0-9.]+)", requirement).groups()
        assert f"| {name} >= {floor} |" in page, name
