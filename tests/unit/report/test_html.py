"""The page: well-formed, self-contained, the same every time, and never mistaken for another."""

import json
import re
from html.parser import HTMLParser

import html5lib
import pytest

from nitro_attest import Policy

NAMES = (
    *("accepted", "any", "archived", "instance", "requirement", "chain", "expired", "signature"),
    *("syntax", "truncated", "large", "kind"),
)
REJECTED = NAMES[4:]


class Page(HTMLParser):
    """The elements of a page, its text, and the text of its headings."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.headings = [], [], []
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._open = tag

    def handle_data(self, data):
        self.text.append(data)
        if self._open in ("h1", "h2", "title"):
            self.headings.append((self._open, data))
        self._open = ""

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_valid_html(reports, name):
    html5lib.HTMLParser(strict=True).parse(reports[name].to_html())
    page = Page(reports[name].to_html())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for attributes in page.all("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    labels = " ".join(a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a)
    assert set(labels.split()) <= set(ids)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_self_contained_and_runs_nothing(reports, name):
    page = Page(reports[name].to_html())
    attributes = {key for _, found in page.elements for key in found}
    assert not attributes & {"src", "srcset", "style", "action", "data", "xlink:href"}
    assert not any(key.startswith("on") for key in attributes)
    assert not {"link", "img", "iframe", "object", "embed", "form", "base"} & {
        tag for tag, _ in page.elements
    }
    (script,) = page.all("script")
    assert script["type"] == "application/json"
    policies = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize("name", NAMES)
def test_equal_arguments_give_an_equal_page(reports, name):
    assert reports[name].to_html() == reports[name].to_html()


@pytest.mark.parametrize("name", NAMES)
def test_the_json_inside_is_the_report(reports, name):
    html = reports[name].to_html()
    block = re.search('<script type="application/json" id="report">(.*?)</script>', html)[1]
    assert json.loads(block) == json.loads(json.dumps(reports[name].to_dict()))
    assert not set("<>&") & set(block)


@pytest.mark.parametrize("name", REJECTED)
def test_a_rejected_document_shows_it_in_title_heading_sections_and_print(reports, name):
    html = reports[name].to_html()
    page = Page(html)
    texts = dict(page.headings)
    assert page.headings[0][1].startswith("REJECTED ")
    assert next(text for tag, text in page.headings if tag == "h1").startswith("REJECTED ")
    assert "VERIFIED" not in texts["title"].replace("UNVERIFIED", "")
    content = [t for tag, t in page.headings if tag == "h2" and t.startswith(("Cont", "Cert", "P"))]
    assert all(t.endswith(("(UNVERIFIED)", "(of a REJECTED document)")) for t in content)
    assert any(a.get("class") == "watermark" for a in page.all("div"))
    assert 'content: "REJECTED: this document was not verified"' in html
    assert "Why it was rejected" in html
    assert '<body class="rejected">' in html


@pytest.mark.parametrize("name", ["chain", "expired", "signature", "kind"])
def test_content_that_was_only_parsed_is_marked_as_unverified(reports, name):
    html = reports[name].to_html()
    assert html.count("UNVERIFIED: the signature was not verified") == 4
    assert "Time of the document (unverified): " in html


def test_content_of_an_authentic_but_rejected_document_is_marked_as_rejected(reports):
    html = reports["requirement"].to_html()
    assert html.count("REJECTED: the signature is valid, but") == 4
    assert "UNVERIFIED" not in html


@pytest.mark.parametrize("name", ["accepted", "any", "archived", "instance"])
def test_an_accepted_document_has_no_mark_of_a_rejected_one(reports, name):
    html = reports[name].to_html()
    assert "<h1>REJECTED" not in html
    assert 'class="watermark"' not in html
    assert "UNVERIFIED" not in html


@pytest.mark.parametrize("name", ["syntax", "truncated"])
def test_the_place_of_a_failure_is_marked_and_linked(reports, name):
    facts = reports[name]._facts
    html = reports[name].to_html()
    offset = facts.error.offset
    row = f"byte-{offset // 16 * 16:04x}"
    assert f'The error is at <a href="#{row}">byte {offset} (0x{offset:04x})</a>' in html
    mark = re.search(rf'<tr id="{row}">.*?<mark[^>]*>(.*?)</mark>', html)[1]
    end = "&lt;end: more was expected&gt;"
    assert mark == (end if offset == len(facts.document) else f"{facts.document[offset]:02x}")
    assert html.count("<mark") == 1


def test_a_failure_at_the_end_of_a_full_row_has_a_row_of_its_own(report_of, made):
    report = report_of(made[:32])
    assert report._facts.error.offset == 32
    assert '<tr id="byte-0020"><th scope="row">0020</th><td><mark>&lt;end' in report.to_html()


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_is_shown_once(reports, name):
    html = reports[name].to_html()
    rows = re.findall(r'<tr id="byte-[0-9a-f]{4}"><th[^>]*>.*?</th><td>(.*?)</td>', html)
    shown = re.sub("<[^>]*>", "", "".join(rows)).replace("&lt;end: more was expected&gt;", "")
    assert bytes.fromhex(shown) == reports[name]._facts.document


def test_each_field_has_its_rule_at_its_bytes_and_in_the_table(reports):
    html = reports["accepted"].to_html()
    assert 'title="pcrs 0: measurement of an enclave: 48 bytes. Rules P-15 to P-18. Bytes ' in html
    for field in ("nonce", "timestamp", "cabundle 3", "unprotected", "end", "signature"):
        assert f'<th scope="row" role="rowheader">{field}</th>' in html


def test_a_document_of_which_only_the_error_is_known(reports):
    from nitro_attest.report import Report

    html = Report.of(reports["syntax"]._facts.error).to_html()
    assert "Why it was rejected" in html
    assert "Bytes of the document" not in html
    assert re.search(r"The error is at byte \d+ \(0x[0-9a-f]+\)\.", html)


def test_warnings_and_fields_are_shown(fake, when, report_of, reports):
    assert "<code>root.custom</code>" in reports["any"].to_html()
    empty = report_of(fake.document(at=when, nonce=b"", user_data=b"\xff")).to_html()
    assert "empty (0 bytes)" in empty
    assert "1 byte: <code>ff</code></td>" in empty
    assert "absent" in empty
    assert "as text: <code>&lt;b&gt;bold&lt;/b&gt;</code>" in reports["any"].to_html()


def test_zeros_of_every_pcr_are_expected_or_listed(report_of, made):
    listed = "Only zeros, and not compared: PCR5, PCR6"
    assert listed in report_of(made).to_html()
    all_zeros = Policy([{0: "ab" * 48, **dict.fromkeys(range(5, 16), "00" * 48)}])
    assert "Only zeros" not in report_of(made, all_zeros).to_html()
