from datetime import timedelta

import pytest

from nitro_attest.report.certificates import CertificateRow, Unreadable, certificates
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


@pytest.mark.parametrize("fault", ["X-1.version-1", "X-13.no-utf8-name", "X-7.other-name"])
def test_hostile_certificates_are_read_or_listed(fake, when, report_of, fault):
    from nitro_attest.testing import FAULTS

    name = fault if fault in FAULTS else next(f for f in FAULTS if f.startswith(fault[:3]))
    rows = certificates(report_of(fake.document(at=when, fault=name))._facts)
    assert len(rows) >= 2
    assert all(isinstance(row, CertificateRow | Unreadable) for row in rows)
