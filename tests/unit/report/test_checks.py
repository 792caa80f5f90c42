"""The verdict, and what was checked: nothing that was not may look as if it was."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    AnyEnclave,
    Evaluation,
    Policy,
    PolicyFailure,
    Request,
    RevocationLists,
    verify,
)
from nitro_attest.errors import ChainError, InputError, PolicyError
from nitro_attest.report import Report

from .conftest import NONCE


def statuses(report):
    return {check["name"]: check["status"] for check in report.to_dict()["checks"]}


def detail(report, name):
    return next(c["detail"] for c in report.to_dict()["checks"] if c["name"] == name)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("accepted", "VERIFIED: the measurements match (PCR0, PCR1, PCR2)"),
        ("any", "AUTHENTIC, ANY ENCLAVE: no measurements were required"),
        ("instance", "AUTHENTIC, ANY INSTANCE: no measurements were required"),
        ("archived", "AUTHENTIC AT SIGNING TIME: archive mode; freshness was not checked; the"),
        ("requirement", "REJECTED policy.pcr_mismatch: 3 requirements are not met"),
        ("chain", "REJECTED chain.untrusted_root: the chain starts at an untrusted root"),
        ("expired", "REJECTED cert.expired: the signing certificate expired"),
        ("signature", "REJECTED signature.invalid: the signature does not match"),
        ("syntax", "REJECTED cose.signature_length: signature: expected a byte string of 96"),
        ("large", "REJECTED document.too_large: document too large"),
        ("kind", "REJECTED payload.kind: expected a document of an enclave"),
    ],
)
def test_the_verdict(reports, name, verdict):
    assert reports[name].verdict.startswith(verdict)


ORDER = ["Form", "Certificates", "Validity", "Signature", "Revocation"]
LATER = ["Agreement", "Debug mode", "Measurements", "Names and region", "Freshness"]
VALUES = ["user_data", "public_key"]


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        ("syntax", "Form"),
        ("truncated", "Form"),
        ("large", "Form"),
        ("kind", "Form"),
        ("chain", "Certificates"),
        ("expired", "Validity"),
        ("signature", "Signature"),
    ],
)
def test_checks_after_the_one_that_failed_were_not_reached(reports, name, failed):
    found = statuses(reports[name])
    place = ORDER.index(failed)
    assert [found[each] for each in ORDER[:place]] == ["passed"] * place
    assert found[failed] == "failed"
    assert {found[each] for each in [*ORDER[place + 1 :], *LATER, *VALUES]} == {"not reached"}
    assert found["Sender"] == "not checked"


def test_in_archive_mode_the_signature_comes_before_the_validity(report_of, made, fake, when):
    broken = made[:-1] + bytes([made[-1] ^ 1])
    found = statuses(report_of(broken, at="document"))
    assert (found["Signature"], found["Validity"]) == ("failed", "not reached")


def test_an_accepted_document(reports):
    assert statuses(reports["accepted"]) == {
        **dict.fromkeys(["Form", "Certificates", "Validity", "Signature"], "passed"),
        **dict.fromkeys(["Agreement", "Debug mode", "Measurements", "Freshness"], "passed"),
        **dict.fromkeys(["Revocation", "Names and region", *VALUES, "Sender"], "not checked"),
    }
    assert detail(reports["accepted"], "Freshness") == "the nonce is the expected one (32 bytes)"


def test_an_accepted_document_of_which_little_was_required(reports):
    found = statuses(reports["any"])
    assert {found[name] for name in ("Measurements", "Freshness", "Revocation")} == {"not checked"}
    assert statuses(reports["instance"])["Debug mode"] == "not checked"
    assert statuses(reports["archived"])["Freshness"] == "not checked"


def test_the_requirements_that_were_not_met(reports):
    found = statuses(reports["requirement"])
    assert {found[name] for name in ("Measurements", "Freshness")} == {"failed"}
    assert {found[name] for name in ("Form", "Certificates", "Signature")} == {"passed"}
    assert {found[name] for name in ("Agreement", "Debug mode")} == {"passed"}
    assert "2 requirements" in detail(reports["requirement"], "Measurements")
    assert "nonce mismatch" in detail(reports["requirement"], "Freshness")


def test_what_was_not_failed_by_a_rejected_document_is_passed_or_not_checked(report_of, made):
    options = {"nonce": NONCE, "max_age": timedelta(minutes=1), "user_data": b"other"}
    report = report_of(made, Policy([{3: "ab" * 48}], regions=["us-east-1"]), **options)
    found = statuses(report)
    assert found["Freshness"] == found["Names and region"] == "passed"
    assert found["user_data"] == "failed"
    assert found["public_key"] == "not checked"
    assert detail(report, "Freshness").endswith("the document is at most 0:01:00 old")
    matching = report_of(made, ANY_ENCLAVE, user_data=b"other", at="document")
    assert statuses(matching)["Freshness"] == "not checked"


def test_places_and_values_that_were_required(report_of, made, pinned):
    policy = Policy(pinned.measurements, regions=["us-east-1"], max_age=timedelta(minutes=5))
    found = report_of(made, policy, user_data=b"<b>bold</b>")
    assert statuses(found)["Names and region"] == "passed"
    assert statuses(found)["user_data"] == "passed"
    assert "0:05:00" in detail(found, "Freshness")
    elsewhere = report_of(made, Policy(pinned.measurements, regions=["eu-west-1"]))
    assert statuses(elsewhere)["Names and region"] == "failed"
    assert statuses(elsewhere)["Measurements"] == "passed"
    assert detail(elsewhere, "Measurements") == "one measurement set matches"
    assert statuses(elsewhere)["Freshness"] == "not checked"


def test_debug_mode_is_never_shown_as_passed(fake, when, report_of):
    document = fake.document(at=when, debug=True)
    assert statuses(report_of(document))["Debug mode"] == "failed"
    allowed = report_of(document, AnyEnclave(allow_debug=True))
    assert statuses(allowed)["Debug mode"] == "warning"
    unwanted = report_of(document, AnyEnclave(allow_debug=True), nonce=NONCE)
    assert statuses(unwanted)["Debug mode"] == "warning"


def test_warnings_about_measurements_nonce_and_names_are_not_hidden(report_of, made, fake, when):
    weak = report_of(made, Policy([{3: made_pcr(made, 3)}]))
    assert statuses(weak)["Measurements"] == "warning"
    short = fake.document(at=when, nonce=b"n")
    assert statuses(report_of(short, nonce=b"n"))["Freshness"] == "warning"


def made_pcr(document, index):
    from nitro_attest import parse_unverified

    return parse_unverified(document).pcrs[index]


def test_names_that_only_cause_a_warning_are_not_shown_as_agreeing(fake, when):
    document = fake.document(at=when, fault="X-24.other-instance")
    attestation = verify(document, fake.root_pem, at=when, consistency="warn")
    report = Report.of(attestation, Request(document))
    assert statuses(report)["Agreement"] == "warning"
    assert "names in the certificates" in detail(report, "Agreement")


def test_revocation_lists_that_were_used_are_listed(report_of, fake, when, made, pinned):
    lists = RevocationLists(*(fake.revocation_list(i, at=when) for i in ("root", "regional")))
    report = report_of(made, pinned, revocation=lists)
    assert statuses(report)["Revocation"] == "passed"
    assert detail(report, "Revocation").count("revocation list 1 of ") == 2
    assert detail(report_of(made, revocation=lists, nonce=b"m" * 32), "Revocation").count("list 1")
    revoking = fake.revocation_list("root", at=when, fault="R-7.key-compromise")
    lists = RevocationLists(revoking, fake.revocation_list("regional", at=when))
    found = statuses(report_of(made, revocation=lists))
    assert (found["Signature"], found["Revocation"]) == ("passed", "failed")
    assert found["Agreement"] == "not reached"


def test_a_list_that_cannot_be_used_fails_the_revocation(report_of, fake, when, made):
    error = ChainError("crl.stale", "old")
    found = statuses(Report.of(error, Request(made, at=when)))
    assert (found["Signature"], found["Revocation"]) == ("passed", "failed")


def test_a_usage_error_reached_no_check(made):
    found = statuses(Report.of(InputError("input.nonce", "none"), Request(made)))
    assert set(found.values()) == {"not reached", "not checked"}


def test_without_the_request_the_expectations_are_not_recorded(fake, when, made, pinned):
    attestation = verify(made, fake.root_pem, policy=pinned, at=when, nonce=NONCE)
    found = statuses(Report.of(attestation))
    assert found["user_data"] == found["public_key"] == "not recorded"
    assert found["Freshness"] == "passed"
    unbound = verify(made, fake.root_pem, policy=pinned, at=when)
    assert statuses(Report.of(unbound))["Freshness"] == "not checked"
    error = PolicyError([PolicyFailure("policy.module_id", "another")])
    found = statuses(Report.of(error))
    unknown = {"Freshness", "Measurements", "Debug mode", "user_data", "public_key"}
    assert {found[name] for name in unknown} == {"not recorded"}
    assert found["Names and region"] == "failed"


def test_without_the_policy_its_requirements_are_not_recorded(made, when):
    error = PolicyError([PolicyFailure("policy.user_data", "another")])
    found = statuses(Report.of(error, Request(made, user_data=b"other", at=when)))
    unknown = {"Freshness", "Measurements", "Names and region"}
    assert {found[name] for name in unknown} == {"not recorded"}
    assert found["user_data"] == "failed"


@dataclass(frozen=True)
class Own:
    """A policy of a user."""

    failures: tuple = ()
    kind = "enclave"
    max_age = None
    require_nonce = False

    def evaluate(self, document, facts):
        return Evaluation(failures=self.failures)


def test_a_policy_of_a_user_is_named_and_its_failures_are_shown(report_of, made):
    accepted = report_of(made, Own())
    assert accepted.verdict.startswith("AUTHENTIC, CUSTOM POLICY: accepted by the policy Own,")
    assert statuses(accepted)["Measurements"] == "not recorded"
    assert statuses(accepted)["Names and region"] == "not recorded"
    rejected = report_of(made, Own((PolicyFailure("own.rule", "not on a Sunday"),)))
    assert statuses(rejected)["Custom policy"] == "failed"
    assert rejected.verdict == "REJECTED own.rule: not on a Sunday"
