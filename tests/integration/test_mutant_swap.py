"""tools/mutation/swap.py changes functions that are already imported, and nothing else."""

import sys

import pytest

from support.paths import TOOLS

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="code objects have no qualified name before Python 3.11"
)

SOURCE = """
LIMIT = 3


def small(number):
    return all(number < limit for limit in [LIMIT])


class Box:
    size = 1

    def fits(self, number):
        return small(number)
"""


@pytest.fixture
def swap(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from mutation import swap

    return swap


def compiled(*change):
    return compile(SOURCE.replace(*change) if change else SOURCE, "a_module.py", "exec")


@pytest.mark.parametrize(
    ("change", "name"),
    [(("number <", "number <="), "small"), (("return small", "return not small"), "Box.fits")],
)
def test_a_function_that_is_in_use_takes_the_code_of_a_mutant(swap, change, name):
    names = {}
    exec(compiled(), names)
    in_use = names["Box"]().fits
    changed = swap.changed_functions(compiled(), compiled(*change))
    assert [place.name for place in changed] == [name]
    before = in_use(3)
    assert swap.put(changed)
    assert in_use(3) is not before


@pytest.mark.parametrize("change", [("LIMIT = 3", "LIMIT = 4"), ("size = 1", "size = 2")])
def test_a_change_outside_functions_needs_a_new_import(swap, change):
    assert swap.changed_functions(compiled(), compiled(*change)) is None


def test_a_function_that_nobody_has_cannot_be_changed(swap):
    changed = swap.changed_functions(compiled(), compiled("number <", "number >"))
    nowhere = {place._replace(file="not_imported.py"): code for place, code in changed.items()}
    assert not swap.put(nowhere)
