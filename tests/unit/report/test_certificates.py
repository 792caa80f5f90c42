from datetime import timedelta

import pytest

from nitro_attest import parse_unverified
from nitro_attest.report.certificates import Unreadable, certificates
from nitro_attest.testing import FAULTS
from reference.documents import byte_string, document_of, items_of, payload_of


@pytest.mark.parametrize(("name", "root"), [("accepted", "trusted root"), ("chain", "root as re")])
def test_the_certificates_are_listed_from_the_root_down(reports, name, root, when):
    rows = certificates(reports[name]._facts)
    assert [row.role.rpartition(" ")[0] or row.role for row in rows[1:4]] == ["intermediate CA"] * 3
    assert rows[0].role.startswith(root)
    assert rows[-1].role == "signing certificate"
    assert rows[0].name == "FAKE-NOT-AWS.nitro-enclaves"
    assert rows[-1].name.endswith(".us-east-1.aws")
    assert "CN=FAKE-NOT-AWS.nitro-enclaves" in rows[1].issuer
    assert all(row.not_before < when < row.not_after for row in rows)
    assert len(rows[0].sha256) == 64


def test_the_state_at_a_time(reports):
    leaf = certificates(reports["accepted"]._facts)[-1]
    hour = timedelta(hours=1)
    assert leaf.state(leaf.not_after) == leaf.state(leaf.not_before)
    assert leaf.state(leaf.not_after) == "valid at the verification time"
    assert leaf.state(leaf.not_after + hour) == "expired 1 h before the verification time"
    assert leaf.state(leaf.not_before - hour) == "valid only 1 h after the verification time"
    assert leaf.state(None) == ""


def test_a_certificate_that_cannot_be_read_is_listed_with_the_reason(report_of):
    document = document_of(payload_of(items_of(certificate=byte_string(10))))
    rows = certificates(report_of(document)._facts)
    assert all(isinstance(row, Unreadable) for row in rows)
    assert rows[-1].role == "signing certificate"
    assert rows[-1].reason.startswith("signing certificate cannot be read: ")
    assert "signing certificate cannot be read" in report_of(document).to_html()


def test_an_issuer_that_cannot_be_read_is_listed_with_the_reason(made, report_of):
    regional = parse_unverified(made).cabundle[1]
    broken = regional.replace(b"FAKE-NOT-AWS", b"\xff" * 12)
    rows = certificates(report_of(made.replace(regional, broken))._facts)
    assert [isinstance(row, Unreadable) for row in rows] == [False, True, False, False, False]
    assert rows[1].reason.startswith("intermediate CA 1 cannot be read: ")


def test_a_document_that_cannot_be_read_has_no_certificates(reports):
    assert certificates(reports["syntax"]._facts) == []


@pytest.mark.parametrize("fault", sorted(name for name in FAULTS if name.startswith("X-"))[::5])
def test_hostile_certificates_are_shown_without_a_warning(fake, when, report_of, fault):
    report = report_of(fake.document(at=when, fault=fault))
    assert "<h2" in report.to_html()
    assert report.to_markdown()


def test_a_serial_number_that_is_not_positive_causes_no_warning(fake, when, report_of):
    faults = [name for name in FAULTS if name.startswith("X-2.")]
    assert faults
    for fault in faults:
        assert certificates(report_of(fake.document(at=when, fault=fault))._facts)
