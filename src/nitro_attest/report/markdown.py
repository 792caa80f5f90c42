"""A report as Markdown, for a ticket.

Text from a document or certificate is only ever written in code spans, without the characters that
could end one, so it cannot become a link, a picture, a mention or HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from nitro_attest._internal.wording import plural
from nitro_attest.report.byte_map import regions
from nitro_attest.report.certificates import CertificateRow, certificates
from nitro_attest.report.checks import checks, verdict
from nitro_attest.report.facts import Facts
from nitro_attest.report.pcrs import pcr_rows, zero_pcrs
from nitro_attest.report.wording import FORGED, NOT_A_PROOF, UNWANTED, utc
from nitro_attest.verification.document import BaseDocument

_UNSAFE: Final = "`|\\"
_AROUND: Final = 32


def to_markdown(facts: Facts) -> str:
    """Writes a report as Markdown.

    Args:
        facts: The verification.

    Returns:
        The text. Equal arguments give an equal one.
    """
    return "".join(f"{line}\n" for line in _lines(facts))


def code(text: str) -> str:
    """Writes text as a code span; all but printable ASCII, backticks and bars is escaped."""
    safe = "".join(
        c if c.isascii() and c.isprintable() and c not in _UNSAFE else _escaped(c) for c in text
    )
    return f"`{safe}`" if safe.strip() else "(empty)"


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character in _UNSAFE:
        return f"\\x{ord(character):02x}"
    return character.encode("unicode_escape").decode()


def _lines(facts: Facts) -> Iterator[str]:
    result = verdict(facts)
    yield f"# {result.word}" if result.code is None else f"# {result.word} {code(result.code)}"
    yield ""
    yield code(result.reason)
    yield ""
    yield f"- document: {code(facts.source)}"
    known = facts.verified_at
    yield f"- verification time: {'not known' if known is None else utc(known)}"
    if facts.content is not None:
        claim = "" if facts.authentic else " (unverified)"
        yield f"- document made{claim}: {utc(facts.content.timestamp)}"
    yield from _warnings(facts)
    yield from _section("What was checked, and what was not")
    yield from _table(
        ("Check", "Result", "Detail", "Rules"),
        [(c.name, c.status, code(c.detail) if c.detail else "", c.rules) for c in checks(facts)],
    )
    yield from _failures(facts)
    if facts.content is not None:
        yield from _content(facts, facts.content)
    yield from ("", NOT_A_PROOF)


def _section(title: str) -> Iterator[str]:
    yield from ("", f"## {title}", "")


def _content_section(facts: Facts, title: str) -> Iterator[str]:
    """Begins a section about the content; that of a rejected document is marked."""
    if facts.attestation is not None:
        yield from _section(title)
        return
    yield from _section(
        f"{title} ({'of a REJECTED document' if facts.authentic else 'UNVERIFIED'})"
    )
    yield from (f"> **{UNWANTED if facts.authentic else FORGED}**", "")


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _warnings(facts: Facts) -> Iterator[str]:
    if facts.attestation is not None and facts.attestation.warnings:
        yield from _section("Warnings")
        for each in facts.attestation.warnings:
            yield f"- {code(each.code)}: {code(each.message)}"


def _failures(facts: Facts) -> Iterator[str]:
    if facts.error is None:
        return
    yield from _section("Why it was rejected")
    for each in facts.error.to_dict()["failures"] or [facts.error.to_dict()]:
        yield f"- {code(each['code'])}: {code(each['message'])}"
    offset = facts.error.offset
    if offset is not None and facts.document is not None:
        start = max(0, offset - _AROUND)
        before, after = facts.document[start:offset], facts.document[offset : offset + _AROUND]
        yield f"- at byte {offset}: `{before.hex(' ')} [{after.hex(' ') or 'end'}]`"


def _content(facts: Facts, content: BaseDocument) -> Iterator[str]:
    yield from _content_section(facts, "Content")
    yield from _table(
        ("Field", "Value"),
        [
            ("module_id", code(content.module_id)),
            *((n, _bytes(getattr(content, n))) for n in ("nonce", "user_data", "public_key")),
            *((code(ascii(each.name)), _bytes(each.value)) for each in content.unknown_fields),
        ],
    )
    yield from _content_section(facts, "Certificates")
    yield from _table(
        ("Certificate", "Name", "Valid from", "Valid until", "At the verification"),
        [
            (
                row.role,
                code(row.name),
                utc(row.not_before),
                utc(row.not_after),
                row.state(facts.verified_at),
            )
            if isinstance(row, CertificateRow)
            else (row.role, code(row.reason), "", "", "")
            for row in certificates(facts)
        ],
    )
    yield from _content_section(facts, "PCRs")
    yield from _table(
        ("PCR", "Measures", "Found", "Expected", "Comparison"),
        [
            (
                f"PCR{row.number}",
                row.meaning,
                "none" if row.found is None else f"`{row.found}`",
                ", ".join(f"`{each.value}`" for each in row.expected),
                row.status,
            )
            for row in pcr_rows(facts)
        ],
    )
    if zeros := zero_pcrs(facts):
        yield from ("", f"Only zeros, and not compared: {', '.join(f'PCR{i}' for i in zeros)}.")
    if facts.document is not None:
        yield from _content_section(facts, "Fields in the bytes")
        yield from _table(
            ("Field", "Offsets", "Rules"),
            [(r.label, f"{r.start} to {r.end - 1}", r.rules) for r in regions(facts)],
        )


def _bytes(value: bytes | None) -> str:
    if value is None:
        return "absent"
    return f"{plural(len(value), 'byte')}: `{value.hex()}`" if value else "empty (0 bytes)"
