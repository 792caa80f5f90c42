"""No element and no attribute of a report comes from a document, whatever that contains."""

import re
import string
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from nitro_attest import ANY_ENCLAVE, NitroAttestError, Request, Verifier
from nitro_attest.report import Report
from reference.documents import document_of, items_of, payload_of, text
from reference.documents import string as cbor_string

AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
KEY = ec.generate_private_key(ec.SECP384R1())
MARKUP = (
    "</script><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "<img src=x onerror=alert(1)>",
    "</style><style>*{display:none}</style>",
    "</title></head><body>VERIFIED",
    "<!--",
    "]]>",
    "&lt;b&gt;&#60;",
    "`|<b>|` [x](http://x) ![x](http://x) @all #1",
    "\u202edeifirev\u202c",
    "\0\n\r\t\x1b[31m",
)


class Structure(HTMLParser):
    """The start tags of a page with the names of their attributes, and the ends."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, tuple(name for name, _ in attributes)))

    def handle_endtag(self, tag):
        self.found.append(tag)

    def handle_comment(self, data):
        self.found.append(("comment", data))

    def handle_decl(self, decl):
        self.found.append(("declaration", decl))

    handle_pi = unknown_decl = handle_decl


def report_of(document, source="doc"):
    try:
        result = Verifier(policy=ANY_ENCLAVE).verify(document, at=AT)
    except NitroAttestError as error:
        result = error
    return Report.of(result, Request(document, at=AT), source=source)


def certificate(name):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder(subject, subject, KEY.public_key(), 1)
        .not_valid_before(AT)
        .not_valid_after(AT + timedelta(hours=3))
    )
    return cbor_string(2, builder.sign(KEY, SHA384()).public_bytes(Encoding.DER))


def structure_of(values, name="name", source="doc"):
    items = items_of(
        module_id=text(values["module_id"]),
        user_data=cbor_string(2, values["user_data"]),
        nonce=cbor_string(2, values["nonce"]),
        certificate=certificate(name),
    )
    report = report_of(document_of(payload_of(items)), source)
    assert report._facts.parsed is not None
    assert_markdown_is_inert(report.to_markdown())
    # The table of bytes depends on sizes, and a signature has no fixed size.
    before, _, table = report.to_html().partition('<h2 id="bytes">')
    assert {each for each in Structure(table).found if isinstance(each, tuple)} <= IN_TABLE
    return Structure(before).found


IN_TABLE = {
    *(("p", ()), ("p", ("class",)), ("strong", ()), ("code", ()), ("caption", ()), ("footer", ())),
    *(("table", ("class", "role")), ("table", ("class",)), ("thead", ("role",)), ("thead", ())),
    *(("tbody", ("role",)), ("tbody", ()), ("tr", ("role",)), ("tr", ("id",)), ("tr", ())),
    *(("th", ("scope", "role")), ("th", ("scope",)), ("td", ("role", "data-label")), ("td", ())),
    *(("a", ("href",)), ("span", ("class",)), ("span", ("class", "title"))),
    ("div", ("class", "role", "tabindex", "aria-label")),
    *(("div", ("class", "aria-hidden")), ("script", ("type", "id"))),
}
"""The elements of the table of bytes and after it, with their attributes."""


def assert_markdown_is_inert(markdown):
    """Outside of code spans there is nothing but this package's own text."""
    outside = re.sub("`[^`\n]*`", "", markdown)
    assert not re.search(r"[<\[\]!@]|http", outside.replace("`", ""))


def benign(values):
    return {
        "module_id": "a" * len(values["module_id"]),
        "user_data": b"a" * len(values["user_data"]),
        "nonce": b"a" * len(values["nonce"]),
    }


@pytest.mark.parametrize("hostile", MARKUP)
def test_known_attacks_change_no_element(hostile):
    visible = "".join(c for c in hostile if c in string.printable[:94]) or "a"
    printable = "".join(c for c in hostile if c in string.printable[:95]).encode()
    values = {"module_id": visible, "user_data": printable, "nonce": printable}
    found = structure_of(values, hostile[:60], hostile)
    assert found == structure_of(benign(values))


PRINTABLE = st.text(string.printable[:95], max_size=60)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=16)
"""Names of a certificate: at most 64 bytes of UTF-8, or the library writes none."""


@settings(max_examples=60)
@given(
    module_id=st.text(string.printable[:94], min_size=1, max_size=60),
    user_data=PRINTABLE,
    nonce=PRINTABLE,
    name=NAMES,
    source=st.text(),
)
def test_no_content_changes_an_element(module_id, user_data, nonce, name, source):
    values = {"module_id": module_id, "user_data": user_data.encode(), "nonce": nonce.encode()}
    hostile = structure_of(values, name, source)
    assert hostile == structure_of(benign(values))


@settings(max_examples=100)
@given(st.binary(max_size=300), st.sampled_from(MARKUP))
def test_any_bytes_give_a_page_of_known_elements(data, hostile):
    for document in (data, b"\x84\x44\xa1\x01\x38\x22\xa0" + data, data + hostile.encode()):
        page = Structure(report_of(document).to_html()).found
        names = {each[0] for each in page if isinstance(each, tuple)}
        assert names <= KNOWN
        assert page.count(("script", ("type", "id"))) == 1
        assert_markdown_is_inert(report_of(document).to_markdown())


KNOWN = {
    *("declaration", "html", "head", "meta", "title", "style", "body", "header", "main", "footer"),
    *("section", "div", "h1", "h2", "p", "span", "strong", "code", "a", "br", "mark", "script"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "desc", "line", "text", "tspan", "rect"),
}


@pytest.mark.parametrize("key", MARKUP)
def test_an_error_that_quotes_the_document_is_text(key):
    items = [*items_of(), (text(key), b"\xf6")]
    report = report_of(document_of(payload_of(items)))
    assert report.verdict.startswith("REJECTED payload.unknown_key")
    other = report_of(document_of(payload_of([*items_of(), (text("a" * len(key)), b"\xf6")])))
    rows = {tag for tag in Structure(report.to_html()).found if isinstance(tag, tuple)}
    assert rows == {t for t in Structure(other.to_html()).found if isinstance(t, tuple)}
    assert_markdown_is_inert(report.to_markdown())
