"""The proofs of the C core leave no function out, assume nothing unsaid, and notice broken code."""

import json
import re
import shutil
import sys

import pytest

from support.paths import ROOT

sys.path.insert(0, str(ROOT / "proofs"))

import prove

CSRC = ROOT / "csrc"
BROKEN = json.loads((ROOT / "proofs" / "broken.json").read_text())
needs_the_provers = pytest.mark.skipif(
    not all(map(shutil.which, prove.TOOLS)),
    reason=f"not all of {prove.TOOLS} are here: nothing was proved",
)


def sources():
    return {name: (CSRC / name).read_text() for name in prove.SOURCES}


def test_every_function_of_the_core_is_among_those_that_are_proved():
    bodies = sum(len(re.findall(r"^\{$", text, re.M)) for text in sources().values())
    assert len(set(prove.functions(CSRC))) == bodies > 40
    assert {path.name for path in CSRC.glob("*.[ch]")} == set(prove.SOURCES)


def test_no_contract_assumes_what_nobody_proves():
    for text in sources().values():
        assert not re.search(r"\b(admit|axiom|axiomatic|lemma)\b", text)


@pytest.mark.parametrize("broken", BROKEN, ids=[b["what"] for b in BROKEN])
def test_a_break_still_fits_the_source(broken):
    assert sources()[broken["file"]].count(broken["was"]) == 1
    assert broken["function"] in prove.functions(CSRC)


@needs_the_provers
def test_the_bounds_check_is_proved_and_a_byte_too_many_is_noticed():
    assert prove.prove(CSRC, ["cbor_take"], seconds=60).faults == []
    assert f"not proved: {BROKEN[0]['goal']}" in prove.faults_of_broken(BROKEN[0])


@needs_the_provers
def test_a_function_without_goals_is_a_fault():
    assert "has no goal: no_such_function" in prove.prove(CSRC, ["no_such_function"], 5).faults
