"""A report as one HTML file, which needs no script and loads nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from nitro_attest._internal.wording import plural
from nitro_attest.report.byte_map import Region, regions
from nitro_attest.report.certificates import CertificateRow, Unreadable, certificates
from nitro_attest.report.checks import Check, checks, verdict
from nitro_attest.report.drawing import chain_drawing
from nitro_attest.report.facts import Facts
from nitro_attest.report.markup import Child, Markup, element
from nitro_attest.report.pcrs import MAX_SETS, PcrRow, pcr_rows, zero_pcrs
from nitro_attest.report.style import Tone, content_security_policy, style_sheet
from nitro_attest.report.wording import FORGED, NOT_A_PROOF, UNWANTED, utc
from nitro_attest.verification.document import BaseDocument

_ROW_BYTES: Final = 16
_COLOURS: Final = 6
_SHOWN_BYTES: Final = 32

_SYMBOLS: Final = {
    "passed": "\u2713",
    "warning": "!",
    "failed": "\u2717",
}


def to_html(facts: Facts, values: dict[str, Any]) -> str:
    """Writes a report as an HTML document.

    Args:
        facts: The verification.
        values: The report as JSON-ready values, which the page contains for programs.

    Returns:
        The document. Equal arguments give an equal one.
    """
    sheet = style_sheet(_tone(facts))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta", http_equiv="Content-Security-Policy", content=content_security_policy(sheet)
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{verdict(facts).title}: {facts.source} - nitro-attest report"),
        element("style", Markup(sheet)),
    )
    body = element(
        "body",
        _header(facts),
        element("main", _warnings(facts), *_sections(facts)),
        _footer(facts),
        _watermark(facts),
        element("script", _json(values), type="application/json", id="report"),
        class_=_tone(facts),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _tone(facts: Facts) -> Tone:
    if facts.error is not None:
        return "rejected"
    return "verified" if verdict(facts).word == "VERIFIED" else "partly"


def _header(facts: Facts) -> Markup:
    result = verdict(facts)
    made = None if facts.content is None else facts.content.timestamp
    time = "not known" if facts.verified_at is None else utc(facts.verified_at)
    return element(
        "header",
        element(
            "div",
            element("h1", result.title),
            element("p", result.reason),
            element("p", "Document: ", element("code", facts.source)),
            element("p", f"Verification time: {time}"),
            None if made is None else element("p", f"{_claimed(facts)}: {utc(made)}"),
            class_="verdict",
        ),
    )


def _claimed(facts: Facts) -> str:
    return f"Time of the document{'' if facts.authentic else ' (unverified)'}"


def _watermark(facts: Facts) -> Markup | None:
    if facts.error is None:
        return None
    return element("div", "REJECTED", class_="watermark", aria_hidden="true")


def _footer(facts: Facts) -> Markup:
    return element("footer", element("p", NOT_A_PROOF))


def _warnings(facts: Facts) -> Markup | None:
    warnings = facts.attestation.warnings if facts.attestation else ()
    if not warnings:
        return None
    items = [element("p", element("code", w.code), f": {w.message}") for w in warnings]
    return _section("Warnings", "warnings", element("div", *items, class_="warning-text"))


def _sections(facts: Facts) -> Iterator[Markup]:
    yield _checks_section(facts)
    yield from _failures_section(facts)
    if facts.content is not None:
        yield _section(
            _marked(facts, "Content"), "content", _caution(facts), _fields(facts, facts.content)
        )
        yield _certificates_section(facts)
        yield _pcr_section(facts)
    if facts.document:
        yield _bytes_section(facts)


def _section(title: str, name: str, *children: Child) -> Markup:
    heading = element("h2", title, id=name)
    return element("section", heading, *children, aria_labelledby=name)


def _marked(facts: Facts, title: str) -> str:
    """Marks the title of a section about the content of a rejected document."""
    if facts.attestation is not None:
        return title
    return f"{title} ({'of a REJECTED document' if facts.authentic else 'UNVERIFIED'})"


def _caution(facts: Facts) -> Markup | None:
    if facts.attestation is not None:
        return None
    text = UNWANTED if facts.authentic else FORGED
    return element("p", element("strong", text), class_="warning-text")


# Tables


def _table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[Child]]) -> Markup:
    """Writes a table whose first column is the header of its rows.

    The roles are given because style sheets for narrow screens change ``display``.
    """
    head = element(
        "tr",
        *(element("th", title, scope="col", role="columnheader") for title in titles),
        role="row",
    )
    body = [
        element(
            "tr",
            element("th", first, scope="row", role="rowheader"),
            *(
                element("td", cell, role="cell", data_label=title)
                for title, cell in zip(titles[1:], rest, strict=True)
            ),
            role="row",
        )
        for first, *rest in rows
    ]
    return element(
        "table",
        element("caption", caption),
        element("thead", head, role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        class_="stack",
        role="table",
    )


def _checks_section(facts: Facts) -> Markup:
    rows = [
        (check.name, _status(check), check.detail, _rules(check.rules)) for check in checks(facts)
    ]
    table = _table(
        "Every check in its order; the rules are those of docs/reference/rules.md.",
        ("Check", "Result", "Detail", "Rules"),
        rows,
    )
    return _section("What was checked, and what was not", "checks", table)


def _rules(rules: str) -> Child:
    """Writes ids of rules, none of them broken at its hyphen."""
    first, *others = (element("span", each, class_="rule") for each in rules.split(", "))
    return [first, *(part for each in others for part in (Markup(", "), each))] if rules else None


def _status(check: Check) -> Markup:
    symbol = _SYMBOLS.get(check.status)
    return element(
        "span",
        None if symbol is None else element("span", f"{symbol} ", aria_hidden="true"),
        "passed, with a warning" if check.status == "warning" else check.status,
        class_=f"status {check.status.replace(' ', '-')}",
    )


def _failures_section(facts: Facts) -> Iterator[Markup]:
    if facts.error is None:
        return
    failures = facts.error.to_dict()["failures"] or [facts.error.to_dict()]
    rows = [(element("code", each["code"]), each["message"]) for each in failures]
    table = _table(
        "Reasons; docs/reference/codes.md describes every code.", ("Code", "Message"), rows
    )
    offset = None if facts.error.offset is None else element("p", _place(facts, facts.error.offset))
    yield _section("Why it was rejected", "failures", table, offset)


def _place(facts: Facts, offset: int) -> Child:
    text = f"byte {offset} (0x{offset:04x})"
    if facts.document is None or offset > len(facts.document):
        return f"The error is at {text}."
    link = element("a", text, href=f"#{_row_id(offset)}")
    return [Markup("The error is at "), link, Markup(".")]


def _fields(facts: Facts, content: BaseDocument) -> Markup:
    rows: list[tuple[Child, Child]] = [
        ("kind", "enclave" if facts.kind == "enclave" else "EC2 instance (NitroTPM)"),
        ("module_id", element("code", content.module_id)),
        ("timestamp", utc(content.timestamp)),
        *((name, _bytes(getattr(content, name))) for name in ("nonce", "user_data", "public_key")),
        *(
            (element("code", ascii(each.name)), _bytes(each.value))
            for each in content.unknown_fields
        ),
    ]
    if facts.attestation is not None:
        rows += [
            ("instance", element("code", facts.attestation.instance_id)),
            ("region", facts.attestation.region or "unknown"),
            ("attestation id", element("code", facts.attestation.attestation_id.hex())),
        ]
    return _table("Fields of the document, and what follows from them.", ("Field", "Value"), rows)


def _bytes(value: bytes | None) -> Child:
    if value is None:
        return "absent"
    if not value:
        return "empty (0 bytes)"
    text = value.decode("ascii", "replace")
    shown = element("code", value.hex())
    if not (text.isascii() and text.isprintable()):
        return [Markup(f"{plural(len(value), 'byte')}: "), shown]
    return [
        Markup(f"{plural(len(value), 'byte')}: "),
        shown,
        Markup(", as text: "),
        element("code", text),
    ]


def _certificates_section(facts: Facts) -> Markup:
    found = certificates(facts)
    readable = [each for each in found if isinstance(each, CertificateRow)]
    drawing = None
    if readable and facts.content is not None:
        picture = chain_drawing(readable, facts.content.timestamp, facts.verified_at)
        drawing = [
            _scrollable(picture, "Drawing of the certificate chain"),
            element(
                "p",
                "Each bar is the time for which a certificate is valid. The axis is logarithmic, "
                "before and after the time of the document. The table has the same times.",
            ),
        ]
    table = _table(
        "Certificates, the root first.",
        ("Certificate", "Name", "Valid from", "Valid until", "At the verification", "Details"),
        [_certificate_cells(facts, each) for each in found],
    )
    return _section(_marked(facts, "Certificates"), "certificates", _caution(facts), drawing, table)


def _certificate_cells(
    facts: Facts, row: CertificateRow | Unreadable
) -> tuple[Child, Child, Child, Child, Child, Child]:
    if isinstance(row, Unreadable):
        return row.role, row.reason, "", "", "", ""
    details = [
        element("span", "issuer ", element("code", row.issuer)),
        element("br"),
        element("span", "serial number ", element("code", row.serial)),
        element("br"),
        element("span", "SHA-256 ", element("code", row.sha256)),
    ]
    return (
        row.role,
        element("code", row.name),
        utc(row.not_before),
        utc(row.not_after),
        row.state(facts.verified_at) or "time not known",
        details,
    )


def _pcr_section(facts: Facts) -> Markup:
    table = _table(
        "PCRs of the document beside the expected ones.",
        ("PCR", "Measures", "Found and expected", "Comparison"),
        [
            (f"PCR{row.number}", row.meaning, _values(row), element("strong", row.status))
            for row in pcr_rows(facts)
        ],
    )
    zeros = zero_pcrs(facts)
    others = len(facts.measurement_sets) - MAX_SETS
    return _section(
        _marked(facts, "PCRs"),
        "pcrs",
        _caution(facts),
        table,
        element("p", f"Only zeros, and not compared: {', '.join(f'PCR{i}' for i in zeros)}.")
        if zeros
        else None,
        element("p", f"{plural(others, 'more measurement set')} not shown.")
        if others > 0
        else None,
    )


def _values(row: PcrRow) -> list[Markup]:
    cells = [element("span", "found ", _hex_or_absent(row.found))]
    for each in row.expected:
        name = "" if each.measurement_set is None else f" by {each.measurement_set}"
        cells += [element("br"), element("span", f"expected{name} ", element("code", each.value))]
    return cells


def _hex_or_absent(value: str | None) -> Child:
    return "none" if value is None else element("code", value)


# Bytes


def _bytes_section(facts: Facts) -> Markup:
    document = facts.document or b""
    parts = regions(facts)
    offset = None if facts.error is None else facts.error.offset
    if facts.parsed is None:
        text = "The document does not have the accepted form, so its fields cannot be shown."
    else:
        text = (
            "Each field has a colour, and shows its rules when you point at it; its key and CBOR "
            "heads are underlined. The table has the same in words, with links to the bytes."
        )
    return _section(
        _marked(facts, f"All {plural(len(document), 'byte')}"),
        "bytes",
        _caution(facts),
        element("p", text),
        _regions_table(document, parts) if facts.parsed is not None else None,
        _scrollable(_hex_table(document, parts, offset), "Bytes of the document"),
    )


def _scrollable(child: Markup, label: str) -> Markup:
    return element("div", child, class_="scroll", role="region", tabindex=0, aria_label=label)


def _regions_table(document: bytes, parts: Sequence[Region]) -> Markup:
    rows = [
        (
            part.label,
            element("a", _range(part), href=f"#{_row_id(part.start)}"),
            plural(part.end - part.start, "byte"),
            part.meaning,
            _rules(part.rules),
            _beginning(document[part.content : part.end]),
        )
        for part in parts
    ]
    titles = ("Field", "Offsets", "Size", "Meaning", "Rules", "Content")
    return _table("Parts of the document in their order.", titles, rows)


def _range(part: Region) -> str:
    last = part.end - 1
    return f"{part.start} to {last}" if last > part.start else f"{last}"


def _beginning(content: bytes) -> Child:
    if not content:
        return "none"
    more = "..." if len(content) > _SHOWN_BYTES else ""
    return element("code", content[:_SHOWN_BYTES].hex() + more)


def _row_id(offset: int) -> str:
    return f"byte-{offset // _ROW_BYTES * _ROW_BYTES:04x}"


def _hex_table(document: bytes, parts: Sequence[Region], offset: int | None) -> Markup:
    size = len(document) + (offset == len(document))  # a row for the end, if that is the fault
    rows = [
        element(
            "tr",
            element("th", f"{start:04x}", scope="row"),
            element("td", *_hex_cells(document, parts, start, offset)),
            element("td", _ascii(document[start : start + _ROW_BYTES])),
            id=_row_id(start),
        )
        for start in range(0, size, _ROW_BYTES)
    ]
    titles = ("offset", "bytes in hex", "as text")
    head = element("tr", *(element("th", title, scope="col") for title in titles))
    return element(
        "table",
        element("caption", "Bytes, 16 in each row."),
        element("thead", head),
        element("tbody", *rows),
        class_="hex",
    )


def _hex_cells(
    document: bytes, parts: Sequence[Region], start: int, offset: int | None
) -> Iterator[Markup]:
    end = min(start + _ROW_BYTES, len(document))
    for number, part in enumerate(parts):
        if part.start >= end or part.end <= start:
            continue
        title = f"{part.label}: {part.meaning}. Rules {part.rules}. Bytes {_range(part)}"
        for first, last, style in (
            (part.start, part.content, "head "),
            (part.content, part.end, ""),
        ):
            shown = range(max(first, start), min(last, end))
            if shown:
                yield element(
                    "span",
                    *_hex(document, shown, offset),
                    class_=f"{style}h{number % _COLOURS}",
                    title=title,
                )
    if offset == len(document) and start <= offset < start + _ROW_BYTES:
        yield element("mark", "<end: more was expected>")


def _hex(document: bytes, shown: range, offset: int | None) -> Iterator[Markup]:
    if offset not in shown:
        yield Markup(f"{document[shown.start : shown.stop].hex(' ')} ")
        return
    for at in shown:
        byte = f"{document[at]:02x}"
        yield element("mark", byte, title="The error is here") if at == offset else Markup(byte)
        yield Markup(" ")


def _ascii(part: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)


def _json(values: dict[str, Any]) -> Markup:
    """Writes JSON for a script element, in which no character can end it or begin a comment."""
    text = json.dumps(values)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
