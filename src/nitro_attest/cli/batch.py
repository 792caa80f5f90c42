"""Many documents of one call: files, or the lines of a batch file (docs/reference/cli.md)."""

from __future__ import annotations

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
from nitro_attest.cli.source import Encoding, decode, read_document
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.verification.batch import Item, Outcome, Request

Job = tuple[str, Item]
"""What to call a document, and the document with what is expected of it, or why there is none."""

_VALUES: Final[dict[str, Callable[[str], Any]]] = {
    "nonce": hex_bytes,
    "user_data": hex_bytes,
    "public_key": hex_bytes,
    "max_age": duration,
}

_LONGEST_LINE: Final = 1 << 17
"""A document of 16384 bytes and three values of 4096 in hex take 57 KB; the rest is room."""


def from_files(
    names: Iterable[str], encoding: Encoding, expected: Mapping[str, Any]
) -> Iterator[Job]:
    """One job for each file."""
    for name in names:
        try:
            yield name, Request(read_document(name, encoding), **expected)
        except NitroAttestError as error:
            yield name, error


def from_batch(name: str, encoding: Encoding, expected: Mapping[str, Any]) -> Iterator[Job]:
    """One job for each line of a batch file; a malformed line is a job that fails.

    Args:
        name: The file, or ``-`` for stdin.
        encoding: Form of the files that lines name.
        expected: What is expected of every document; no line may say otherwise.

    Raises:
        InputError: ``input.file``: it cannot be read. ``input.batch``: it has no lines.
    """
    with _open(name) as file:
        for number in count(1):
            try:
                line = _line(file)
                if not line:
                    break
                yield f"{name}:{number}", _request(line, encoding, expected)
            except NitroAttestError as error:
                yield f"{name}:{number}", error
    if number == 1:
        raise InputError("input.batch", f"{name!r} has no lines; one for each document is expected")


def judged(
    verify: Callable[[Iterable[Item]], Generator[Outcome[Any], None, None]],
    jobs: Iterable[Job],
    total: int | None,
) -> Iterator[tuple[str, Outcome[Any]]]:
    """Each job's name with its outcome, in order; after several, a summary on stderr.

    Args:
        verify: ``Verifier.verify_many`` or its like.
        jobs: What to judge; taken a bounded number ahead.
        total: How many there are, for a progress bar; None for no bar.
    """
    names: deque[str] = deque()

    def items() -> Iterator[Item]:
        for name, item in jobs:
            names.append(name)
            yield item

    found: Counter[str] = Counter()
    with _bar(total) as bar:
        for outcome in verify(items()):
            yield names.popleft(), outcome
            found[outcome.error.code if outcome.error else "verified"] += 1
            if bar:
                bar.update(1)
    if total != 1:
        verified = found.pop("verified", 0)
        refused = "".join(f", {number} {code}" for code, number in found.most_common())
        everything = verified + sum(found.values())
        click.echo(f"{verified} of {everything} verified{refused}", err=True)


def line_count(name: str) -> int | None:
    """How many lines a batch file has; None for what can be read only once."""
    if not Path(name).is_file():
        return None
    with _open(name) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_LONGEST_LINE), b""))


def _open(name: str) -> AbstractContextManager[BinaryIO]:
    if name == "-":
        if sys.stdin is None:
            raise InputError("input.file", "standard input is closed")
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError("input.file", f"cannot read {name!r}: {reason}") from error


def _bar(total: int | None) -> AbstractContextManager[Any]:
    """A progress bar, where it neither mixes with the answers nor goes to a file."""
    if total is None or sys.stdout.isatty() or not sys.stderr.isatty():
        return nullcontext()
    return click.progressbar(length=total, label="verifying", file=sys.stderr)


def _line(file: BinaryIO) -> bytes:
    """The next line; empty at the end."""
    line = part = file.readline(_LONGEST_LINE)
    while len(part) == _LONGEST_LINE and not part.endswith(b"\n"):
        part = file.readline(_LONGEST_LINE)
    if part is not line:
        raise InputError("input.batch", f"the line is longer than {_LONGEST_LINE} bytes")
    return line


def _request(line: bytes, encoding: Encoding, expected: Mapping[str, Any]) -> Request:
    try:
        entry, end = read_json(text := line.decode("utf-8").strip(" \t\r\n"))
        if not isinstance(entry, dict) or end != len(text):
            raise InputError("input.batch", "the line is not one JSON object")
        check_keys(entry, {"document", *_VALUES}, "the object")
        values = {name: _value(name, text) for name, text in entry.items() if name != "document"}
    except UnicodeDecodeError as error:
        raise InputError("input.batch", "the line is not UTF-8") from error
    except InputError as error:
        raise InputError("input.batch", error.message) from error
    if twice := sorted(values.keys() & expected.keys()):
        raise InputError("input.batch", f"{twice[0]} is given by the line and by an option")
    return Request(_document(entry.get("document"), encoding), **expected, **values)


def _value(name: str, text: object) -> Any:
    if not isinstance(text, str):
        raise InputError("input.batch", f"{name} is not text")
    try:
        return _VALUES[name](text)
    except click.BadParameter as error:
        raise InputError("input.batch", f"{name}: {error.message}") from error


def _document(value: object, encoding: Encoding) -> bytes:
    """A document as text, or from the file that the line names."""
    match value:
        case str() if value.isascii():
            return decode(value.encode("ascii"), "auto")
        case {"file": str(name), **others} if not others and name != "-":
            return read_document(name, encoding)
    raise InputError("input.batch", 'document is neither hex or base64 text nor {"file": PATH}')
