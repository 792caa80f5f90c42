"""Whatever bytes come in: a result or a NitroAttestError, for a bounded price."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nitro_attest.verification.path
from nitro_attest import NitroAttestError, parse_unverified, verify
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from support.paths import FIXTURES

GENUINE = (FIXTURES / "real/20250916_encl_us-east-1_tkhq_b1086cbb.bin").read_bytes()


def outcome(document, **options):
    """None where it verifies, else the error; anything but a NitroAttestError fails the test."""
    try:
        verify(document, at="document", allow_debug=True, **options)
    except NitroAttestError as error:
        rejection = error
    else:
        return None
    assert rejection.code.partition(".")[0] in rejection.families
    assert rejection.offset is None or 0 <= rejection.offset <= len(document)
    assert rejection.message
    return rejection


@given(st.binary(max_size=600))
def test_random_bytes_are_rejected_in_good_order(data):
    assert outcome(data) is not None


@given(st.binary(max_size=200))
def test_random_bytes_after_a_good_start_are_rejected_in_good_order(data):
    assert outcome(GENUINE[:12] + data) is not None


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_genuine_document_is_rejected_in_good_order(data):
    document = bytearray(GENUINE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(document)))
        cut = data.draw(st.integers(0, 40))
        document[at : at + cut] = data.draw(st.binary(max_size=40))
    if bytes(document) not in (GENUINE, b"\xd2" + GENUINE):
        assert outcome(bytes(document)) is not None


def test_a_document_costs_no_more_signature_checks_than_its_bundle_has_certificates(
    fake, when, monkeypatch
):
    counted = []
    check = nitro_attest.verification.path._check_signature
    monkeypatch.setattr(
        "nitro_attest.verification.path._check_signature",
        lambda *link: (counted.append(1), check(*link)),
    )
    verify(fake.document(at=when), fake.root_pem, at=when)
    assert len(counted) == 4
    for fault in ("X-6.crowd", "X-6.looped", "X-3.reversed", "X-16.regional-allows-1"):
        counted.clear()
        document = fake.document(at=when, fault=fault)
        with pytest.raises(NitroAttestError):
            verify(document, fake.root_pem, at=when)
        assert len(counted) <= len(parse_unverified(document).cabundle)


@pytest.mark.parametrize("filler", [b"\x80", b"\xa0", b"\xff", b"\x9f", b"\xbf", b"\x5f", b"\xc0"])
def test_the_largest_hostile_input_needs_less_than_a_mebibyte(filler):
    document = GENUINE[:5] + b"\x84" + filler * (MAX_DOCUMENT_BYTES - 6)
    payload = b"\x84\x44\xa1\x01\x38\x22\xa0\x59\x3f\x94" + b"\xbf" + filler * 16275
    for hostile in (document, payload + b"\x58\x60" + bytes(96), GENUINE):
        outcome(hostile)
        tracemalloc.start()
        outcome(hostile)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20


def test_an_input_over_the_limit_is_rejected_before_it_is_copied():
    large = bytearray(64 << 20)
    tracemalloc.start()
    error = outcome(large)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.code == "document.too_large"
    assert peak < 1 << 16
