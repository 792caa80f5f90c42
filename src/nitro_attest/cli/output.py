"""Output of every verb: lines for people, JSON for programs, and errors in either form.

Text from a file, a document or a certificate is escaped, so that it cannot control a terminal.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from itertools import zip_longest
from typing import Any, Final, Literal, TextIO

import click

from nitro_attest._internal.wording import shown
from nitro_attest.cli import terminal
from nitro_attest.cli.exit_codes import exit_code_of
from nitro_attest.cli.progress import LAST_LINE
from nitro_attest.errors import AttestationWarning, NitroAttestError, PolicyError, PolicyFailure

SCHEMA: Final = "nitro-attest/1"

_HINTS: Final[dict[str, tuple[str | None, str]]] = {
    "document.encoding": (
        "--format",
        "set the form with --format raw, hex or base64, or the member of JSON with --json-field",
    ),
    "cert.expired": (
        "--at",
        "to verify an archived document as of its own timestamp, use --at document",
    ),
    "chain.untrusted_root": (
        "--root",
        "select a partition with --partition, or trust a root with --root",
    ),
    "policy.debug": (
        "--allow-debug",
        'to accept debug mode, use --allow-debug; a policy file must have "allow_debug": true too',
    ),
    "policy.pcr_mismatch": (
        None,
        "the document comes from a different image, version or parent than expected",
    ),
    "payload.kind": ("--kind", "set the kind of document with --kind enclave or --kind nitrotpm"),
    "payload.unknown_key": (
        "--unknown-fields",
        "to skip fields that this version does not know, use --unknown-fields warn",
    ),
    "eif.crc": ("--ignore-crc", "to measure the file anyway, use --ignore-crc"),
    "eif.too_large": ("--max-size", "to measure a larger image, use --max-size"),
    "pe.too_large": ("--max-size", "to measure a larger image, use --max-size"),
}
"""By error code: the option that a hint names, if any, and the hint."""

Kind = Literal["accepted", "limited", "rejected"]
"""The kinds of verdict. ``limited``: authentic, but fewer requirements than usual."""

_STYLES: Final[dict[Kind, tuple[str, str]]] = {
    "accepted": ("green", "\N{CHECK MARK}"),
    "limited": ("yellow", "!"),
    "rejected": ("red", "\N{BALLOT X}"),
}

_EXPECTED: Final = "    expected "
_FOUND: Final = "    found    "

_VALUE_COLUMNS: Final = 64
"""Maximum width of a value in such a line: more than half a PCR, below 80 with the label."""

_MAX_PAIRS: Final = 4
"""Maximum number of pairs of lines that compare two values; longer values are cut."""

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")

_INDENT: Final = 4
"""Indentation of the second and further lines of a verdict."""

_MIN_COLUMNS: Final = 20
"""Minimum width of a value; a narrower terminal breaks the lines itself."""

_ARGUMENT: Final = re.compile(r"\b([a-z]+(?:_[a-z]+)*)=(?=[\s,;.)]|$)")
"""An argument that a message of the library names, such as ``pcr_index=``."""


def emit(lines: Iterable[str], *, to_stderr: bool = False) -> None:
    """Prints lines, all in one write: a reader of stdout gets them whole or not at all."""
    LAST_LINE.erase()
    click.echo("".join(f"{line}\n" for line in lines), nl=False, err=to_stderr)


def emit_result(verdict: str, lines: Iterable[str], last: str, *, to_stderr: bool = False) -> None:
    """Prints a verdict and the lines below it.

    Args:
        verdict: The first line.
        lines: The other lines.
        last: The verdict again, which only a terminal shows: there the first line scrolls away.
        to_stderr: Print to stderr instead of stdout.
    """
    again = [] if terminal.width(_stream(to_stderr)) is None else [last]
    emit([verdict, *lines, *again], to_stderr=to_stderr)


def styled(verdict: str, kind: Kind, *, to_stderr: bool = False) -> str:
    """Returns a verdict in the colour of its kind, with a mark where the terminal can show it.

    Colour and mark only repeat what the words of the verdict say. On a terminal its further lines
    are indented, so that none of them can begin with a file name that reads like a verdict.
    """
    color, mark = _STYLES[kind]
    if terminal.width(_stream(to_stderr)) is not None and terminal.shows_unicode():
        verdict = f"{mark} {verdict}"
    return click.style(_wrapped("", verdict, to_stderr=to_stderr), fg=color, bold=True)


def row(label: str, value: str, show: Callable[[str], str] | None = None) -> str:
    """Returns one fact of a result, for stdout; a terminal gets it in lines of its width.

    Args:
        label: The name of the fact.
        value: Its value.
        show: Makes the value safe to print; by default ``escape``.
    """
    return _wrapped(f"  {label:<12} ", (show or escape)(value))


def escape(text: str) -> str:
    """Replaces everything but printable ASCII with backslash escapes."""
    return "".join(c if c.isascii() and c.isprintable() else _escaped(c) for c in text)


def shown_name(name: str) -> str:
    """Escapes a name that the user gave; in a UTF-8 locale, safe characters are kept.

    Text of documents, certificates and images is never shown in this way: a letter that only looks
    like an ASCII one could be part of it.
    """
    if not terminal.shows_unicode():
        return escape(name)
    return "".join(c if terminal.is_safe(c) else _escaped(c) for c in name)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _stream(to_stderr: bool) -> TextIO | None:
    return sys.stderr if to_stderr else sys.stdout


def _wrapped(head: str, text: str, *, to_stderr: bool = False) -> str:
    """Returns a head and a text; on a terminal, the lines of the text are aligned."""
    width = terminal.width(_stream(to_stderr))
    if width is None:
        return head + text
    columns = max(width - len(head), _MIN_COLUMNS)
    if any(map(terminal.is_wide, text)):
        columns //= 2
    return textwrap.fill(
        text,
        len(head) + columns - columns % 2,  # no line begins with the second digit of a byte
        initial_indent=head,
        subsequent_indent=" " * (len(head) or _INDENT),
        break_on_hyphens=False,
    )


class Source(str):
    """The name of a document, with the form in which it was read.

    Args:
        name: The file, or the line of a batch.
        read_as: The form in words; None for raw bytes, hex and base64.
    """

    read_as: str | None

    def __new__(cls, name: str, read_as: str | None) -> Source:
        """Makes the name."""
        source = super().__new__(cls, name)
        source.read_as = read_as
        return source


def to_json(**members: Any) -> str:
    """Returns a result as one line of JSON, with its schema."""
    source = members.get("source")
    if isinstance(source, Source) and source.read_as is not None:
        members["read_as"] = source.read_as
    return json.dumps({"schema": SCHEMA} | members)


def reject(
    source: str,
    error: NitroAttestError,
    as_json: bool,
    *,
    quiet: bool = False,
    at: datetime | None = None,
    warnings: Iterable[AttestationWarning] = (),
    **members: Any,
) -> int:
    """Reports that an argument was rejected.

    Args:
        source: The file or other argument.
        error: The reason.
        as_json: Print one JSON object on stdout instead of lines on stderr.
        quiet: Print only the verdict of these lines.
        at: The verification time, if the user gave it.
        warnings: Warnings to print on stderr.
        members: Further members of the object.

    Returns:
        The exit code.
    """
    noted = [_warning(warning) for warning in warnings]
    if as_json:
        emit([to_json(source=source, **members, error=error.to_dict())])
        emit(noted, to_stderr=True)
        return exit_code_of(error)
    first = f"REJECTED {error.code}: {shown_name(source)}"
    verdict = styled(first, "rejected", to_stderr=True)
    if quiet:
        emit([verdict], to_stderr=True)
    else:
        lines = [*_rejection_lines(error, at), *noted]
        emit_result(verdict, lines, verdict, to_stderr=True)
    return exit_code_of(error)


def report_error(error: NitroAttestError) -> int:
    """Reports an error of the call as a whole, such as one in a policy file, on stderr.

    Returns:
        The exit code.
    """
    emit([f"nitro-attest: {error.code}: {_sentence(error.message)}"], to_stderr=True)
    return exit_code_of(error)


def warn(warnings: Iterable[AttestationWarning]) -> None:
    """Prints warnings on stderr."""
    emit(map(_warning, warnings), to_stderr=True)


def _warning(warning: AttestationWarning) -> str:
    return _wrapped("warning: ", f"{warning.code}: {escape(warning.message)}", to_stderr=True)


def _rejection_lines(error: NitroAttestError, at: datetime | None) -> Iterator[str]:
    """Yields the message or messages, the byte offset, the verification time and the hint."""
    if isinstance(error, PolicyError):
        for failure in error.failures:
            yield from _failure_lines(failure)
    else:
        yield _wrapped("  ", _sentence(error.message), to_stderr=True)
    if error.offset is not None:
        yield f"  at byte {error.offset}"
    if at is not None:
        yield f"  verified as of {utc(at)}, as given"
    if error.code in _HINTS:
        option, hint = _HINTS[error.code]
        options = _options_of_verb()
        if "--document-format" in options:  # where --format is that of the output
            hint = hint.replace("--format", "--document-format")
        if option is None or option in options:
            yield _wrapped("  hint: ", hint, to_stderr=True)


def _failure_lines(failure: PolicyFailure) -> Iterator[str]:
    """Yields the message; on a terminal, two values in it are one above the other."""
    message = f"{failure.code}: {failure.message}"
    expected, found = failure.expected or "", failure.found or ""
    width = terminal.width(sys.stderr)
    if width is not None and _HEX.fullmatch(expected) and _HEX.fullmatch(found):
        cut = f": expected {_as_in(message, expected)}, found {_as_in(message, found)}"
        before, values, after = message.partition(cut)
        if values:
            yield _wrapped("  ", _sentence(before + after), to_stderr=True)
            yield from _compared(expected, found, max(width, _MIN_COLUMNS))
            return
    yield _wrapped("  ", _sentence(message), to_stderr=True)


def _as_in(message: str, value: str) -> str:
    """Returns the hex digits of a value as the message has them, which may cut long ones."""
    return value if value in message else shown(bytes.fromhex(value))


def _compared(expected: str, found: str, width: int) -> Iterator[str]:
    """Yields two values in pairs of lines, and marks the first byte that differs.

    Of long values, yields only the pair with this byte.
    """
    columns = min(width - len(_EXPECTED), _VALUE_COLUMNS) // 2 * 2
    longest = max(len(expected), len(found))
    pairs = enumerate(zip_longest(expected, found))
    first = next((place for place, (one, other) in pairs if one != other), 0)
    starts = range(0, longest, columns)
    if longest > _MAX_PAIRS * columns:
        starts = range(first - first % columns, first + 1, columns)
    for start in starts:
        yield _EXPECTED + expected[start : start + columns]
        yield _FOUND + found[start : start + columns]
        if start <= first < start + columns:
            mark = " " * (len(_EXPECTED) + first - start)
            note = f" first difference: byte {first // 2}"
            yield f"{mark}^{note}" if len(mark + note) < width else f"{note} ^".rjust(len(mark) + 1)


def utc(moment: datetime) -> str:
    """Returns a time in UTC, to the millisecond."""
    moment = moment.astimezone(timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"


def _options_of_verb() -> set[str]:
    verb = click.get_current_context().command
    return {option for parameter in verb.params for option in parameter.opts}


def _sentence(message: str) -> str:
    """Escapes a message of the library, and writes ``--pcr-index`` for ``pcr_index=``."""
    return escape(_ARGUMENT.sub(lambda name: f"--{name[1].replace('_', '-')}", message))
