"""Markdown for a ticket: nothing from a document can become markup."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest.report.markdown import code

NAMES = ("accepted", "any", "requirement", "chain", "signature", "syntax", "truncated", "instance")


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_the_same_every_time_and_begins_with_the_verdict(reports, name):
    report = reports[name]
    assert report.to_markdown() == report.to_markdown()
    word = report.verdict.partition(" ")[0].rstrip(":,")
    assert report.to_markdown().startswith(f"# {word}")
    assert "proves nothing" in report.to_markdown()


@pytest.mark.parametrize("name", ["requirement", "chain", "signature"])
def test_each_section_of_a_rejected_document_is_marked(reports, name):
    titles = re.findall("^## (.*)$", reports[name].to_markdown(), re.MULTILINE)
    content = [title for title in titles if title.startswith(("Content", "Cert", "PCR", "Fields"))]
    assert len(content) == 4
    assert all(title.endswith(("(UNVERIFIED)", "(of a REJECTED document)")) for title in content)


@pytest.mark.parametrize("name", NAMES)
def test_all_rows_of_a_table_have_as_many_cells_as_its_head(reports, name):
    for table in re.findall(r"(?:^\|.*\n)+", reports[name].to_markdown(), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


@given(st.text())
def test_text_in_a_code_span_cannot_end_it(text):
    written = code(text)
    assert written.isascii()
    assert written.isprintable()
    if written != "(empty)":
        assert written[0] == written[-1] == "`"
        assert not set("`|") & set(written[1:-1])


def test_the_bytes_around_a_failure_are_shown(reports):
    markdown = reports["syntax"].to_markdown()
    offset = reports["syntax"]._facts.error.offset
    assert f"- at byte {offset}: `" in markdown
    assert "[end]`" in reports["truncated"].to_markdown()


def test_a_certificate_that_cannot_be_read_has_its_reason(report_of):
    from reference.documents import document_of, items_of, payload_of

    document = document_of(payload_of(items_of(nonce=b"\x40")))
    markdown = report_of(document).to_markdown()
    assert "| signing certificate | `signing certificate cannot be read" in markdown
    assert "| nonce | empty (0 bytes) |" in markdown
