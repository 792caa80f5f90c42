"""The arguments of a report: what is read from them, and which are rejected."""

from datetime import datetime, timedelta, timezone

import pytest

from nitro_attest import ANY_ENCLAVE, Limits, Request, Verifier, verify
from nitro_attest.errors import FormatError, PolicyError
from nitro_attest.report import Report
from nitro_attest.report.facts import read
from support.errors import code_of


def test_the_document_of_another_attestation_is_rejected(fake, when, made):
    attestation = verify(made, fake.root_pem, at=when)
    other = fake.document(at=when, nonce=b"other")
    for document in (other, made[:-1] + bytes([made[-1] ^ 1]), made[:-1], b""):
        assert code_of(Report.of, attestation, Request(document)) == "input.document"
    assert Report.of(attestation, Request(made)).accepted


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: b"not what the document has"} for name in ("nonce", "user_data", "public_key")),
        {"max_age": timedelta(seconds=1)},
    ],
)
def test_expectations_that_were_not_met_are_no_part_of_a_report(fake, when, made, wrong):
    attestation = verify(made, fake.root_pem, at=when)
    right = {name: getattr(attestation, name) for name in wrong if name != "max_age"}
    assert code_of(Report.of, attestation, Request(made, **wrong)) == "input.document"
    if None not in right.values():
        assert Report.of(attestation, Request(made, **right)).accepted


def test_the_document_of_a_policy_error_is_authentic(fake, when, made):
    verifier = Verifier(fake.root_pem, policy={0: "ab" * 48})
    with pytest.raises(PolicyError) as caught:
        verifier.verify(made, at=when)
    assert not Report.of(caught.value, Request(made)).accepted
    for fault in ("C-16.payload-swapped", "X-1.cut"):
        forged = fake.document(at=when, fault=fault)
        assert code_of(Report.of, caught.value, Request(forged)) == "input.document"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"result": None}, "input.expected"),
        ({"result": "REJECTED"}, "input.expected"),
        ({"request": b"document"}, "input.expected"),
        ({"source": None}, "input.expected"),
        ({"revocation": []}, "input.expected"),
        ({"verified_at": datetime(2026, 1, 1)}, "input.time"),
        ({"verified_at": "now"}, "input.time"),
    ],
)
def test_an_argument_of_another_type_is_an_input_error(arguments, code):
    right = {"result": FormatError("cose.tag", "x"), "request": None}
    assert code_of(Report.of, **right | arguments) == code


def test_the_verification_time_is_that_of_the_request_or_the_given_one(made, when):
    error = FormatError("cose.tag", "x")
    other = when + timedelta(days=1)
    for at, expected in ((when, when), ("now", other), (None, other)):
        assert read(error, Request(made, at=at), None, None, other, "d").verified_at == expected
    archived = read(error, Request(made, at="document"), None, None, other, "d")
    assert archived.verified_at == when - timedelta(seconds=20)
    assert read(error, Request(b"x", at="document"), None, None, other, "d").verified_at is None


def test_a_document_accepted_under_wider_limits_is_shown(fake, when):
    document = fake.document(at=when, user_data=b"u" * 2000)
    verifier = Verifier(fake.root_pem, policy=ANY_ENCLAVE, limits=Limits(user_data=2000))
    report = Report.of(verifier.verify(document, at=when), Request(document))
    assert "75" * 2000 in report.to_html()


def test_a_buffer_is_copied(made):
    buffer = bytearray(made)
    facts = read(FormatError("cose.tag", "x"), Request(buffer), None, None, None, "d")
    buffer[:] = bytes(len(buffer))
    assert facts.document == made


def test_text_and_large_input_leave_what_can_be_shown():
    error = FormatError("document.encoding", "text")
    assert read(error, Request("8444"), None, None, None, "d").document == b""
    large = Request(bytearray(30000))
    assert len(read(error, large, None, None, None, "d").document) == 16384


def test_no_clock_is_read(made, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: pytest.fail("the clock was read"))
    report = Report.of(FormatError("cose.tag", "x"), Request(made, at="now"))
    assert "Verification time: not known" in report.to_html()
    assert report.to_dict()["verified_at"] is None
    dated = Report.of(
        FormatError("cose.tag", "x"), verified_at=datetime(2026, 1, 1, tzinfo=timezone.utc)
    )
    assert "2026-01-01 00:00:00 UTC" in dated.to_html()
