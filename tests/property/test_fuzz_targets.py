"""The fuzz targets hold wherever the tests run: over their seeds, and over seeded mutations."""

import random
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "fuzz"))

from targets import TARGETS

MUTATIONS = 300


def seeds_of(name):
    return list(dict.fromkeys(TARGETS[name].seeds()))


def mutations(seeds, chooser):
    for _ in range(MUTATIONS):
        data = bytearray(chooser.choice(seeds))
        for _ in range(chooser.randint(1, 3)):
            at = chooser.randint(0, len(data))
            other = chooser.choice(seeds)
            start = chooser.randint(0, len(other))
            size = chooser.randint(0, 16)
            change = chooser.choice(["flip", "insert", "delete", "splice"])
            if change == "flip" and at < len(data):
                data[at] ^= 1 << chooser.randrange(8)
            elif change == "insert":
                data[at:at] = chooser.randbytes(size)
            elif change == "delete":
                del data[at : at + size]
            elif change == "splice":
                data[at : at + size] = other[start : start + size]
        yield bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_must_hold_holds_for_the_seeds_of_which_some_are_accepted_and_some_refused(name):
    accepted = [TARGETS[name].check(seed) for seed in seeds_of(name)]
    assert set(accepted) == {True, False}


@pytest.mark.parametrize("name", TARGETS)
def test_what_must_hold_holds_for_mutations_of_the_seeds(name):
    for data in mutations(seeds_of(name), random.Random(name)):
        TARGETS[name].check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_dictionary_of_a_target_is_there_and_the_seeds_fit(name):
    assert (ROOT / "fuzz" / TARGETS[name].dictionary).is_file()
    assert max(map(len, seeds_of(name))) <= TARGETS[name].longest
