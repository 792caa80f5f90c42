"""One measurement set by itself (L-1, M-3, M-8, M-9, T-4, T-5)."""

import reprlib

import pytest

from nitro_attest import (
    InputError,
    MeasurementSet,
    NitroTpmMeasurementSet,
    parse_unverified,
    verify,
    verify_nitrotpm,
)
from nitro_attest._internal.pcrs import EMPTY_RAMDISKS
from support.errors import code_of

ONE = b"\x01" * 48
HEX = ONE.hex()


def refusal(call, *args):
    with pytest.raises(InputError) as caught:
        call(*args)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("kind", [MeasurementSet, NitroTpmMeasurementSet])
def test_a_measurement_set_cannot_be_changed(kind):
    expected = kind({4: ONE}, "v1")
    with pytest.raises(AttributeError):
        expected.name = "v2"
    with pytest.raises(TypeError):
        expected.pcrs[4] = bytes(48)


def test_the_registers_are_kept_in_their_order():
    expected = MeasurementSet({8: ONE, 0: ONE, 16: ONE})
    assert list(expected.pcrs) == [0, 8, 16]
    assert list(expected.to_named()) == ["PCR0", "PCR8", "PCR16"]


def test_a_name_has_at_most_128_characters():
    assert MeasurementSet({0: ONE}, "x" * 128).name == "x" * 128
    code, message = refusal(MeasurementSet, {0: ONE}, "x" * 129)
    assert code == "policyfile.format"
    assert message.endswith("x'")


def test_l1_a_named_value_is_text_even_where_the_bytes_would_do():
    expected = ("policyfile.hex", "PCR0: expected hex digits, found " + reprlib.repr(ONE))
    assert refusal(MeasurementSet.from_named, {"PCR0": ONE}) == expected


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (HEX[:-1], "expected 96 hex digits, found 95"),
        ("0x" + HEX + "0", "expected 96 hex digits, found 97"),
        (HEX[:-1] + "g", "expected 96 hex digits, found another character"),
        (ONE[:-1], "expected 48 bytes or hex, found 47 bytes"),
        (7, "expected 48 bytes or hex, found int"),
    ],
)
def test_m9_the_sentence_says_what_is_wrong_with_a_value(value, found):
    assert refusal(MeasurementSet, {5: value}) == ("policyfile.hex", f"PCR5: {found}")


@pytest.mark.parametrize("pins", [{0: EMPTY_RAMDISKS}, {1: ONE}, {2: ONE}, {8: ONE}])
def test_m4_one_register_of_the_image_says_which_it_is(pins):
    assert MeasurementSet(pins).weaknesses() == []


@pytest.mark.parametrize("pins", [{17: ONE}, {4: ONE, 17: ONE}, {2: EMPTY_RAMDISKS, 17: ONE}])
def test_m4_pcr17_without_an_image_is_weak_and_the_sentence_names_sandboxes(pins):
    [weak] = MeasurementSet(pins, "pod").weaknesses()
    assert weak.code == "policy.weak"
    assert "PCR17 does not prove a Nitro Sandbox" in weak.message
    assert weak.message.endswith("beside the PCRs of the guest image (measurement set 'pod')")
    assert MeasurementSet({**pins, 0: ONE}).weaknesses() == []


def test_m4_other_weak_sets_are_not_about_sandboxes():
    for pins in ({4: ONE}, {16: ONE}, {18: ONE}):
        [weak] = MeasurementSet(pins).weaknesses()
        assert "Sandbox" not in weak.message


@pytest.mark.parametrize(("name", "suffix"), [(None, ""), ("v1", " (measurement set 'v1')")])
def test_sentences_name_the_set_if_it_has_a_name(name, suffix):
    [weak] = MeasurementSet({4: ONE}, name).weaknesses()
    assert weak.message.endswith(f"pin PCR0, PCR1 and PCR2{suffix}")
    _, message = refusal(MeasurementSet({4: ONE}, name).with_pins, {4: bytes(48)})
    assert message.endswith(f"; keep one{suffix}")


def test_t1_only_a_verified_document_of_the_sets_kind_is_compared(fake, fake_document, when):
    document = verify(fake_document, fake.root_pem, at=when).document
    instance_document = fake.document(at=when, kind="nitrotpm")
    instance = verify_nitrotpm(instance_document, fake.root_pem, at=when).document
    pins = {4: document.pcrs[4]}
    assert MeasurementSet(pins).failures(document) == []
    assert NitroTpmMeasurementSet(pins).failures(instance) != []
    unverified = (parse_unverified(fake_document), parse_unverified(instance_document))
    for wrong in (instance, *unverified, None):
        assert code_of(MeasurementSet(pins).failures, wrong) == "input.document"
    for wrong in (document, *unverified, None):
        assert code_of(NitroTpmMeasurementSet(pins).failures, wrong) == "input.document"


@pytest.mark.parametrize("wrong", [None, 5, "PCR0", [("PCR0", HEX)]])
def test_named_values_are_a_mapping(wrong):
    for kind in (MeasurementSet, NitroTpmMeasurementSet):
        assert code_of(kind.from_named, wrong) == "policyfile.format"
