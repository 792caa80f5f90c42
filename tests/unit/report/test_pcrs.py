import pytest

from nitro_attest import ANY_ENCLAVE, MeasurementSet, NitroTpmPolicy, Policy, parse_unverified
from nitro_attest.report.pcrs import MAX_SETS, pcr_rows, zero_pcrs

ZEROS = "00" * 48


def rows(report):
    return {row.number: row for row in pcr_rows(report._facts)}


def test_the_set_that_matched_is_beside_what_was_found(report_of, made):
    pcrs = parse_unverified(made).pcrs
    other = MeasurementSet({0: "ab" * 48}, name="old")
    matching = MeasurementSet({0: pcrs[0], 5: ZEROS}, name="new")
    found = rows(report_of(made, Policy([other, matching])))
    assert found[0].expected == (("new", pcrs[0].hex(), True),)
    assert (found[0].found, found[0].status) == (pcrs[0].hex(), "as expected")
    assert (found[5].found, found[5].status) == (ZEROS, "as expected")
    assert (found[1].expected, found[1].status) == ((), "not compared")


def test_a_mismatch_and_a_missing_pcr(report_of, made):
    pcrs = parse_unverified(made).pcrs
    sets = [{0: "ab" * 48, 1: pcrs[1]}, {0: pcrs[0], 20: "cd" * 48}]
    found = rows(report_of(made, Policy(sets)))
    assert [each.measurement_set for each in found[0].expected] == ["#1", "#2"]
    assert found[0].status == "matches 1 of 2 sets"
    assert found[1].status == "as expected"
    assert (found[20].found, found[20].status) == (None, "MISMATCH")


def test_an_unverified_value_is_never_as_expected(report_of, made, pinned):
    found = rows(report_of(made[:-1] + bytes([made[-1] ^ 1]), pinned))
    assert found[0].status == "as expected, but UNVERIFIED"


def test_zeros_of_which_none_is_expected_are_left_out(report_of, made):
    report = report_of(made, Policy([{3: parse_unverified(made).pcrs[3], 8: ZEROS}]))
    assert set(rows(report)) == {0, 1, 2, 3, 4, 8}
    assert zero_pcrs(report._facts) == [5, 6, 7, 9, 10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize("count", [MAX_SETS, MAX_SETS + 5])
def test_only_some_of_many_sets_are_shown_and_the_others_counted(report_of, made, count):
    report = report_of(made, Policy([{0: f"{n:02x}" * 48} for n in range(1, count + 1)]))
    assert len(rows(report)[0].expected) == MAX_SETS
    assert ("5 more measurement sets not shown" in report.to_html()) is (count > MAX_SETS)


def test_a_pcr_of_an_instance_means_something_else(report_of, made, instance):
    policy = NitroTpmPolicy([{4: parse_unverified(instance).pcrs[4], 12: ZEROS}])
    of_instance = rows(report_of(instance, policy))
    assert of_instance[4].meaning == "the boot chain: what firmware started"
    assert of_instance[12].status == "as expected"
    assert rows(report_of(made))[4].meaning == "id of the parent instance"


def test_a_document_that_cannot_be_read_has_no_pcrs(report_of):
    assert rows(report_of(b"junk", Policy([{0: "ab" * 48}])))[0].found is None
    assert rows(report_of(b"junk", ANY_ENCLAVE)) == {}
