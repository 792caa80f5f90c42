"""The contents of a report, and its form in a notebook."""

import json
from html import unescape

from nitro_attest import Attestation, Request, verify
from nitro_attest.report import Report, load_ipython_extension


def test_the_values_are_json_and_name_what_was_not_verified(reports):
    for name, report in reports.items():
        values = report.to_dict()
        assert json.loads(json.dumps(values)) == values
        assert values["schema"] == "nitro-attest-report/1"
        assert values["verified"] is report.accepted is (values["error"] is None)
        assert (values["attestation"] is None) is not report.accepted
        assert (values["unverified"] is None) is (
            report.accepted or name in ("syntax", "truncated", "large")
        )


def test_the_values_have_the_document_and_the_place_of_each_field(reports, made):
    values = reports["accepted"].to_dict()
    assert bytes.fromhex(values["document"]) == made
    assert values["fields"][0] == {"field": "start", "number": None, "start": 0, "end": 1}
    assert values["fields"][-1]["end"] == len(made)
    assert values["verified_at"] == "2026-03-01T12:00:00.250+00:00"


def test_without_a_request_the_report_has_no_bytes(fake, when, made):
    report = Report.of(verify(made, fake.root_pem, at=when))
    assert report.to_dict()["document"] is None
    assert report.to_dict()["fields"] == []
    assert "Bytes of the document" not in report.to_html()
    assert "Fields in the bytes" not in report.to_markdown()


def test_its_repr_is_the_verdict(reports):
    assert repr(reports["any"]).startswith("<Report: AUTHENTIC, ANY ENCLAVE: ")


def test_a_notebook_shows_the_page_in_a_frame_without_scripts(reports):
    shown = reports["requirement"]._repr_html_()
    assert shown.startswith("<iframe sandbox title=")
    assert shown.count("<") == 2
    source = shown.partition('srcdoc="')[2].partition('"')[0]
    assert unescape(source) == reports["requirement"].to_html()


class Formatter(dict):
    """The part of IPython's formatter that the extension uses."""

    for_type = dict.__setitem__


class Shell:
    def __init__(self):
        self.display_formatter = self
        self.formatters = {"text/html": Formatter()}


def test_the_extension_shows_attestations_as_reports(fake, when, made):
    shell = Shell()
    load_ipython_extension(shell)
    attestation = verify(made, fake.root_pem, at=when)
    shown = shell.formatters["text/html"][Attestation](attestation)
    assert shown == Report.of(attestation)._repr_html_()
    assert len(shell.formatters["text/html"]) == 2


def test_reports_of_equal_results_are_equal(fake, when, made):
    attestation = verify(made, fake.root_pem, at=when)
    assert Report.of(attestation, Request(made)) == Report.of(attestation, Request(made))
