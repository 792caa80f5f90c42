"""The proofs of the C core cover every function, hide no assumption, and notice broken code."""

import json
import re
import shutil
import sys

import pytest

from support.paths import ROOT

sys.path.insert(0, str(ROOT / "proofs"))

import prove
import record

CSRC = ROOT / "csrc"
BROKEN = json.loads((ROOT / "proofs" / "broken.json").read_text())
needs_the_provers = pytest.mark.skipif(
    not all(map(shutil.which, record.TOOLS)),
    reason=f"nothing was proved: not all of {', '.join(record.TOOLS)} are installed",
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


FEW = prove.Steps(cvc4=40_000, z3=200_000)
PEEK = next(broken for broken in BROKEN if broken["function"] == "cbor_peek")


@needs_the_provers
def test_a_function_is_proved_and_its_break_is_noticed():
    assert prove.prove(CSRC, ["cbor_peek"], prove.STEPS).faults == []
    assert prove.result_of_break(PEEK, FEW) == "noticed"


@needs_the_provers
def test_a_break_whose_goal_holds_or_does_not_exist_is_not_noticed():
    harmless = {**PEEK, "is": PEEK["was"]}
    assert prove.result_of_break(harmless, FEW) == "NOT NOTICED: cbor_peek_ensures holds"
    unknown = {**PEEK, "goal": "cbor_peek_ensures_99"}
    assert prove.result_of_break(unknown, FEW) == (
        "NOT NOTICED: cbor_peek_ensures_99 is not proved of the core as it is"
    )


@needs_the_provers
def test_a_function_without_goals_is_a_fault():
    assert "has no goal: no_such_function" in prove.prove(CSRC, ["no_such_function"], FEW).faults


@needs_the_provers
def test_the_provers_stop_after_their_steps():
    assert prove.prove(CSRC, ["cbor_peek"], prove.Steps(100, 100)).faults[:1] == [
        "not proved: cbor_peek_ensures"
    ]


VERDICTS = """\
[wp] 3 goals scheduled
[wp] [CVC4 1.8] Goal typed_cbor_take_ensures_2 : Valid (Qed:188ms) (110ms) (23777)
[wp] [Failed] Goal typed_cbor_take_ensures
  Z3 4.8.12: Unknown (Qed:164ms)
  CVC4 1.8: {verdict} (Qed:164ms)
[wp] [Qed] Goal typed_cbor_take_if_assigns_exit : Valid (7ms)
[wp] Proved goals:    2 / 3
"""


def test_goals_are_read_by_function_and_a_goal_out_of_steps_is_unproved():
    proof = prove.read_verdicts(
        VERDICTS.format(verdict="Step limit"), ["cbor_take", "cbor_take_if"]
    )
    assert proof.proved == {
        "cbor_take": ["cbor_take_ensures_2"],
        "cbor_take_if": ["cbor_take_if_assigns_exit"],
    }
    assert proof.faults == ["not proved: cbor_take_ensures"]


@pytest.mark.parametrize("verdict", ["Timeout", "Failed", "Out Of Memory"])
def test_a_goal_out_of_time_or_memory_has_no_verdict(verdict):
    proof = prove.read_verdicts(VERDICTS.format(verdict=verdict), ["cbor_take", "cbor_take_if"])
    assert [fault.partition("\n")[0] for fault in proof.faults] == ["no verdict: cbor_take_ensures"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree of sources and proofs whose proof is recorded, with tools of these versions."""
    monkeypatch.setattr(record, "versions", lambda: {"frama-c": "25.0", "z3": "4.8"})
    shutil.copytree(CSRC, tmp_path / "csrc", ignore=shutil.ignore_patterns("build"))
    shutil.copytree(ROOT / "proofs", tmp_path / "proofs")
    record.write(record.subject(tmp_path), {"functions": 53, "goals": 1490, "breaks": 20}, tmp_path)
    return tmp_path


def test_a_recorded_proof_differs_in_nothing(tree):
    assert record.differences(tree) == []
    (tree / "proofs" / "README.md").write_text("Text is not part of the proof.")
    (tree / "csrc" / "Makefile").write_text("")
    assert record.differences(tree) == []


@pytest.mark.parametrize(
    "path",
    ["csrc/nitro_cose.c", "csrc/cbor_skip.h", "proofs/prove.py", "proofs/broken.json"],
)
def test_a_changed_or_missing_source_differs_from_the_recorded_proof(tree, path):
    with (tree / path).open("a") as source:
        source.write(" ")
    assert record.differences(tree) == [path]
    (tree / path).unlink()
    assert record.differences(tree) == [path]


def test_a_new_source_differs_from_the_recorded_proof(tree):
    (tree / "csrc" / "further.h").touch()
    assert record.differences(tree) == ["csrc/further.h"]


@pytest.mark.parametrize(
    ("versions", "differences"),
    [
        ({"frama-c": "25.0", "z3": "4.9"}, ["z3"]),
        ({"frama-c": "25.0"}, ["z3"]),
        ({"frama-c": "25.0", "z3": "4.8", "cvc4": "1.8"}, ["cvc4"]),
    ],
)
def test_another_tool_differs_from_the_recorded_proof(tree, monkeypatch, versions, differences):
    monkeypatch.setattr(record, "versions", lambda: versions)
    assert record.differences(tree) == differences


def test_without_a_record_everything_differs(tree):
    (tree / "proofs" / "proved.json").unlink()
    assert {"csrc/nitro_cose.c", "proofs/prove.py", "frama-c", "z3"} <= set(
        record.differences(tree)
    )


def test_the_committed_record_is_complete():
    recorded = record.read()
    assert recorded["functions"] == len(prove.functions(CSRC))
    assert recorded["breaks"] == len(BROKEN)
    assert set(recorded["tools"]) == set(record.TOOLS)
