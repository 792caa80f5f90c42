"""B-9: the report data of dstack."""

from hashlib import sha256

import pytest

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings import Dstack, DstackReport
from support.bindings import altered, attested, changes, unbound
from support.errors import code_of

REPORT_DATA = sha256(b"statement").digest() + bytes(32)
PCRS = {0: b"\x0a" * 48, 1: b"\x0b" * 48, 2: b"\x0c" * 48}
IMAGE_HASH = sha256(b"\x0a" * 48 + b"\x0b" * 48 + b"\x0c" * 48).digest()


def test_b9_the_report_data_and_the_image_hash_are_read(fake, when):
    attestation = attested(fake, when, user_data=REPORT_DATA, pcrs=PCRS)
    report = DstackReport(REPORT_DATA, IMAGE_HASH)
    assert Dstack.read(attestation) == report
    assert Dstack(REPORT_DATA).check(attestation) == report


def test_b9_the_image_hash_of_an_enclave_in_debug_mode_is_zero(fake, when):
    attestation = attested(fake, when, user_data=REPORT_DATA, debug=True)
    assert Dstack(REPORT_DATA).check(attestation).os_image_hash == bytes(32)


def test_b9_the_image_hash_depends_on_each_of_the_three_pcrs(fake, when):
    for index in PCRS:
        changed = PCRS | {index: b"\x0d" * 48}
        attestation = attested(fake, when, user_data=REPORT_DATA, pcrs=changed)
        hashed = b"".join(changed[each] for each in (0, 1, 2))
        assert Dstack.read(attestation).os_image_hash == sha256(hashed).digest()


def test_b9_each_changed_byte_is_rejected(fake, when):
    attestation = attested(fake, when, user_data=REPORT_DATA)
    for changed in changes(REPORT_DATA):
        failure = unbound(Dstack(REPORT_DATA).check, altered(attestation, user_data=changed))
        assert (failure.expected, failure.found) == (REPORT_DATA.hex(), changed.hex())


def test_b9_a_document_of_another_form_is_rejected(fake, when):
    for wrong in (None, b"", REPORT_DATA[:32], REPORT_DATA[:-1], REPORT_DATA + b"\x00"):
        attestation = attested(fake, when, user_data=wrong, public_key=REPORT_DATA)
        unbound(Dstack.read, attestation)
        unbound(Dstack(REPORT_DATA).check, attestation)


@pytest.mark.parametrize("report_data", [b"", REPORT_DATA[:32], REPORT_DATA + b"\x00", None, "00"])
def test_b9_report_data_of_another_size_is_a_usage_error(report_data):
    assert code_of(Dstack, report_data) == "input.expected"


def test_b9_an_unverified_document_is_not_read(fake, when):
    unverified = parse_unverified(fake.document(at=when, user_data=REPORT_DATA))
    assert code_of(Dstack.read, unverified) == "input.document"
    assert code_of(Dstack(REPORT_DATA).check, unverified) == "input.document"
