"""Documents of one call: files, or the lines of a batch file (docs/reference/cli.md)."""

from __future__ import annotations

import reprlib
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from nitro_attest._internal.checks import check_keys
from nitro_attest._internal.strict_json import read_json
from nitro_attest.cli.options import duration, hex_bytes
from nitro_attest.cli.source import Encoding, decode, open_input, read_document
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.verification.batch import Item, Outcome
from nitro_attest.verification.requirements import Request

Job = tuple[str, Item]
"""The name of a document, and the request to verify it or the error that prevents one."""

_VALUES: Final[dict[str, Callable[[str], Any]]] = {
    "nonce": hex_bytes,
    "user_data": hex_bytes,
    "public_key": hex_bytes,
    "max_age": duration,
}

_LONGEST_LINE: Final = 1 << 17
"""Bytes. A document of 16384 bytes and three values of 4096 bytes take 57 KB in hex."""


def from_files(
    names: Iterable[str], encoding: Encoding, expected: Mapping[str, Any]
) -> Iterator[Job]:
    """Yields one job per file; a file that cannot be read or decoded is a job that fails."""
    for name in names:
        try:
            yield name, Request(read_document(name, encoding), **expected)
        except NitroAttestError as error:
            yield name, error


def from_batch(name: str, encoding: Encoding, expected: Mapping[str, Any]) -> Iterator[Job]:
    """Yields one job per line of a batch file; a malformed line is a job that fails.

    Args:
        name: The file, or ``-`` for stdin.
        encoding: The form of the files that lines name.
        expected: Values that options require of every document; a line must not repeat one.

    Raises:
        InputError: ``input.file``: the file cannot be read. ``input.batch``: it has no lines.
    """
    with open_input(name) as file:
        for number in count(1):
            try:
                line = _line(file)
                if not line:
                    break
                yield f"{name}:{number}", _request(line, encoding, expected)
            except NitroAttestError as error:
                yield f"{name}:{number}", error
    if number == 1:
        raise InputError("input.batch", f"{name!r} has no lines; expected one per document")


def outcomes(
    verify: Callable[[Iterable[Item]], Generator[Outcome[Any], None, None]],
    jobs: Iterable[Job],
    total: int | None,
) -> Iterator[tuple[str, Outcome[Any]]]:
    """Verifies jobs and yields their names and outcomes, in order.

    Several documents are followed by a summary on stderr.

    Args:
        verify: A bound ``verify_many`` of a verifier.
        jobs: The jobs; a bounded number is read ahead.
        total: Number of jobs, for a progress bar; None shows no bar.
    """
    names: deque[str] = deque()

    def items() -> Iterator[Item]:
        for name, item in jobs:
            names.append(name)
            yield item

    results: Counter[str] = Counter()
    with _bar(total) as bar:
        for outcome in verify(items()):
            yield names.popleft(), outcome
            results[outcome.error.code if outcome.error else "verified"] += 1
            if bar:
                bar.update(1)
    if total != 1:
        verified = results.pop("verified", 0)
        rejected = "".join(f", {number} {code}" for code, number in results.most_common())
        done = verified + sum(results.values())
        click.echo(f"{verified} of {done} verified{rejected}", err=True)


def line_count(name: str) -> int | None:
    """Number of lines in a batch file; None for a pipe, which can be read only once."""
    if not Path(name).is_file():
        return None
    with open_input(name) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_LONGEST_LINE), b""))


def _bar(total: int | None) -> AbstractContextManager[Any]:
    """A progress bar on stderr, if that is a terminal and stdout, with the results, is not."""
    if total is None or sys.stdout.isatty() or not sys.stderr.isatty():
        return nullcontext()
    return click.progressbar(length=total, label="verifying", file=sys.stderr)


def _line(file: BinaryIO) -> bytes:
    """Reads the next line; empty at the end.

    Raises:
        InputError: ``input.batch``: the line is too long; all of it has been read.
    """
    line = part = file.readline(_LONGEST_LINE)
    while len(part) == _LONGEST_LINE and not part.endswith(b"\n"):
        part = file.readline(_LONGEST_LINE)
    if part is not line:
        raise InputError(
            "input.batch", f"expected at most {_LONGEST_LINE} bytes in a line, found more"
        )
    return line


def _request(line: bytes, encoding: Encoding, expected: Mapping[str, Any]) -> Request:
    """Parses a line of a batch file.

    Raises:
        InputError: ``input.batch``: a malformed line. ``input.file``: it names an unreadable file.
        FormatError: ``document.too_large`` or ``document.encoding``.
    """
    try:
        entry, end = read_json(text := line.decode("utf-8").strip(" \t\r\n"))
        if not isinstance(entry, dict) or end != len(text):
            raise InputError("input.batch", "expected one JSON object per line")
        check_keys(entry, {"document", *_VALUES}, "the object")
        values = {name: _value(name, text) for name, text in entry.items() if name != "document"}
    except UnicodeDecodeError as error:
        raise InputError("input.batch", "the line is not UTF-8") from error
    except InputError as error:
        raise InputError("input.batch", error.message) from error
    if twice := sorted(values.keys() & expected.keys()):
        raise InputError("input.batch", f"{twice[0]} is given both by the line and by an option")
    return Request(_document(entry.get("document"), encoding), **expected, **values)


def _value(name: str, text: object) -> Any:
    if not isinstance(text, str):
        raise InputError("input.batch", f"expected text as {name}, found {reprlib.repr(text)}")
    try:
        return _VALUES[name](text)
    except click.BadParameter as error:
        raise InputError("input.batch", f"{name}: {error.message}") from error


def _document(value: object, encoding: Encoding) -> bytes:
    """Decodes a document from text, or reads it from the file that the line names."""
    match value:
        case str() if value.isascii():
            return decode(value.encode("ascii"), "auto")
        case {"file": str(name), **others} if not others and name != "-":
            return read_document(name, encoding)
    raise InputError("input.batch", 'expected hex, base64 or {"file": PATH} as document')
