"""How every verb speaks: lines for people, JSON for programs, and refusals in either form.

All that a file, a document or a certificate says is escaped: it may have been written to fool a
terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import click

from nitro_attest.errors import AttestationWarning, NitroAttestError, PolicyError

SCHEMA: Final = "nitro-attest/1"

_HINTS: Final = {
    "document.encoding": "name the form with --format raw, hex or base64",
    "cert.expired": "to judge a kept document when it was made, say --at document",
    "chain.untrusted_root": "name a partition with --partition or a root with --root",
    "policy.debug": "to accept debug mode, say --allow-debug; a policy file must allow it too",
    "policy.pcr_mismatch": "another image, or another version, is running than the one expected",
    "payload.kind": "to judge the other kind of document, name it with --kind",
    "eif.crc": "to measure the file all the same, say --ignore-crc",
}


def emit(lines: Iterable[str], *, to_stderr: bool = False) -> None:
    """Prints lines."""
    for line in lines:
        click.echo(line, err=to_stderr)


def row(label: str, value: str) -> str:
    """One fact, with its value escaped."""
    return f"  {label:<12} {escape(value)}"


def escape(text: str) -> str:
    """Text with all that is not printable ASCII written as escapes."""
    return "".join(
        c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def to_json(**members: Any) -> str:
    """One line: an answer as a JSON object."""
    return json.dumps({"schema": SCHEMA} | members)


def refuse(source: str, error: NitroAttestError, as_json: bool, **members: Any) -> int:
    """Says why there is no answer about a source.

    Args:
        source: The file, or what else was asked about.
        error: Why.
        as_json: Print one object on stdout, in place of lines on stderr.
        members: What else the object holds.

    Returns:
        The exit code.
    """
    if as_json:
        emit([to_json(source=source, **members, error=error.to_dict())])
    else:
        emit(_refusal_lines(source, error), to_stderr=True)
    return error.exit_code


def warn(notices: Iterable[AttestationWarning]) -> None:
    """Says on stderr what should be known of an answer that has no room for it."""
    emit((f"warning: {n.code}: {escape(n.message)}" for n in notices), to_stderr=True)


def _refusal_lines(source: str, error: NitroAttestError) -> Iterable[str]:
    """Code, sentence, place and what to do."""
    yield f"REFUSED {error.code}: {escape(source)}"
    messages = (
        [f"{failure.code}: {failure.message}" for failure in error.failures]
        if isinstance(error, PolicyError)
        else [error.message]
    )
    for message in messages:
        yield f"  {escape(message)}"
    if error.offset is not None:
        yield f"  at byte {error.offset}"
    if error.code in _HINTS:
        yield f"  hint: {_HINTS[error.code]}"
