"""Documents of one call: files, or the lines of a batch file (docs/reference/cli.md)."""

from __future__ import annotations

import reprlib
import sys
import zlib
from codecs import BOM_UTF8
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

import click

from nitro_attest._internal.checks import check_keys
from nitro_attest._internal.files import unreadable
from nitro_attest._internal.strict_json import read_json
from nitro_attest.cli.options import duration, hex_bytes, moment
from nitro_attest.cli.output import Source
from nitro_attest.cli.progress import Progress
from nitro_attest.cli.source import Encoding, open_input, read_named_document
from nitro_attest.document_text import decode
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.verification.batch import Item, Outcome, Request

if TYPE_CHECKING:
    from io import BufferedReader


class Job(NamedTuple):
    """One document of a call.

    Attributes:
        name: Its name in results.
        item: The request to verify it, or the error that prevents one.
        id: The id that its line has; None if it has none.
    """

    name: str
    item: Item
    id: str | int | None = None


_VALUES: Final[dict[str, Callable[[str], Any]]] = {
    "nonce": hex_bytes,
    "user_data": hex_bytes,
    "public_key": hex_bytes,
    "max_age": duration,
    "at": moment,
}

_GZIP: Final = b"\x1f\x8b"

_DOCUMENT: Final = 'hex, base64 or {"file": PATH}'

_LONGEST_LINE: Final = 1 << 17
"""Bytes. A document of 16384 bytes and three values of 4096 bytes take 57 KB in hex."""


def from_files(
    names: Iterable[str],
    encoding: Encoding | None,
    json_field: str | None,
    expected: Mapping[str, Any],
) -> Iterator[Job]:
    """Yields one job per file; a file that cannot be read or decoded is a job that fails."""
    for name in names:
        try:
            source, document = read_named_document(name, encoding, json_field)
            yield Job(source, Request(document, **expected))
        except NitroAttestError as error:
            yield Job(name, error)


def from_batch(
    name: str, encoding: Encoding | None, json_field: str | None, expected: Mapping[str, Any]
) -> Iterator[Job]:
    """Yields one job per line of a batch file; a malformed line is a job that fails.

    Empty lines are skipped, but counted. The file may be compressed with gzip; if that data is
    truncated or corrupt, a last job has the error.

    Args:
        name: The file, or ``-`` for stdin.
        encoding: The form of the files that lines name.
        json_field: The member of the files that lines name.
        expected: Values that options require of every document; a line must not repeat one.

    Raises:
        InputError: ``input.file``: the file cannot be read. ``input.batch``: it has no lines.
    """
    found = False
    with open_input(name) as file:
        lines = _decompressed(name, file)
        for number in count(1):
            entry: dict[str, Any] = {}
            read_as: str | None = None
            item: Item
            try:
                line = _line(lines)
                if not line:
                    break
                if number == 1:
                    line = line.removeprefix(BOM_UTF8)
                if not (text := line.strip(b" \t\r\n")):
                    continue
                entry = _entry(text)
                read_as, item = _request(entry, encoding, json_field, expected)
            except NitroAttestError as error:
                item = error
            except (OSError, EOFError, zlib.error) as error:
                yield Job(Source(f"{name}:{number}", None), _unread(error))
                return
            found = True
            yield Job(Source(f"{name}:{number}", read_as), item, entry.get("id"))
    if not found:
        raise InputError("input.batch", f"{name!r} has no lines; expected one per document")


def outcomes(
    verify: Callable[[Iterable[Item]], Generator[Outcome[Any], None, None]],
    jobs: Iterable[Job],
    total: int | None,
) -> Iterator[tuple[Job, Outcome[Any]]]:
    """Verifies jobs and yields them and their outcomes, in order.

    Args:
        verify: A bound ``verify_many`` of a verifier.
        jobs: The jobs; a bounded number is read ahead.
        total: Number of jobs, to show progress; None if it is not known.
    """
    ahead: deque[Job] = deque()

    def items() -> Iterator[Item]:
        for job in jobs:
            ahead.append(job)
            yield job.item

    with Progress("verifying") as progress:
        for done, outcome in enumerate(verify(items())):
            if total != 1 and not sys.stdout.isatty():  # there, results show the progress
                progress.show(done, total)
            yield ahead.popleft(), outcome


def counts(results: Counter[str]) -> Iterator[str]:
    """Yields one line per result, the most frequent first: its number of documents, its name."""
    for result, number in results.most_common():
        yield f"{number:>9}  {result}"


def summary(results: Counter[str]) -> str:
    """Returns the line after several documents: the number verified, and the other results.

    Args:
        results: Number of documents by result: ``verified``, or the reason why not.
    """
    verified = results["verified"]
    others = "".join(
        f", {number} {result}" for result, number in results.most_common() if result != "verified"
    )
    return f"{verified} of {results.total()} verified{others}"


def line_count(name: str) -> int | None:
    """Returns the number of lines; None for gzip, and for a pipe, which can be read only once."""
    if not Path(name).is_file():
        return None
    with open_input(name) as file:
        if _is_gzip(name, file):
            return None
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_LONGEST_LINE), b""))


def _is_gzip(name: str, file: BinaryIO) -> bool:
    """Recognises gzip by its first bytes.

    Raises:
        InputError: ``input.file``: the file cannot be read.
    """
    try:
        return cast("BufferedReader", file).peek(len(_GZIP)).startswith(_GZIP)
    except OSError as error:
        raise unreadable(name, error) from error


def _decompressed(name: str, file: BinaryIO) -> BinaryIO:
    """Returns a reader of the lines of a file; gzip is read as a stream, in bounded memory."""
    if not _is_gzip(name, file):
        return file
    from gzip import GzipFile  # 4 ms, rarely needed

    return cast("BinaryIO", GzipFile(fileobj=file))


def _unread(error: Exception) -> InputError:
    return InputError("input.file", f"cannot read this line or any after it: {error}")


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


def _entry(line: bytes) -> dict[str, Any]:
    """Parses a line of a batch file: an object with known keys and, if any, an id.

    Raises:
        InputError: ``input.batch``.
    """
    try:
        entry, end = read_json(text := line.decode("utf-8"))
        if not isinstance(entry, dict) or end != len(text):
            raise InputError("input.batch", "expected one JSON object per line")
        check_keys(entry, {"document", "id", *_VALUES}, "the object")
    except UnicodeDecodeError as error:
        raise InputError("input.batch", "the line is not UTF-8") from error
    except InputError as error:
        # The source has the number of the line in the file.
        raise InputError("input.batch", error.message.removeprefix("line 1, ")) from error
    if type(entry.get("id")) not in (str, int, type(None)):
        found = reprlib.repr(entry["id"])
        raise InputError("input.batch", f"expected text or an integer as id, found {found}")
    return entry


def _request(
    entry: Mapping[str, Any],
    encoding: Encoding | None,
    json_field: str | None,
    expected: Mapping[str, Any],
) -> tuple[str | None, Request]:
    """Makes the request of a line, and returns the form of its document too.

    Raises:
        InputError: ``input.batch``: a value is malformed, or is missing. ``input.file``: the line
            names an unreadable file.
        FormatError: ``document.too_large`` or ``document.encoding``.
    """
    values = {name: _value(name, entry[name]) for name in _VALUES if name in entry}
    if twice := sorted(values.keys() & expected.keys()):
        raise InputError("input.batch", f"{twice[0]} is given both by the line and by an option")
    if "document" not in entry:
        raise InputError("input.batch", f"the object has no document; expected {_DOCUMENT}")
    read_as, document = _document(entry["document"], encoding, json_field)
    return read_as, Request(document, **expected, **values)


def _value(name: str, text: object) -> Any:
    if text is None:  # as in Python: a missing value must not remove a check
        raise InputError("input.batch", f"{name} is null; to require none, leave the key out")
    if not isinstance(text, str):
        raise InputError("input.batch", f"expected text as {name}, found {reprlib.repr(text)}")
    try:
        return _VALUES[name](text)
    except click.BadParameter as error:
        raise InputError("input.batch", f"{name}: {error.message}") from error


def _document(
    value: object, encoding: Encoding | None, json_field: str | None
) -> tuple[str | None, bytes]:
    """Decodes a document from text, or reads it from the file that the line names."""
    match value:
        case str() if value.isascii():
            decoded = decode(value.encode("ascii"))
            return decoded.read_as, decoded.document
        case {"file": str(name), **others} if not others and name != "-":
            source, document = read_named_document(name, encoding, json_field)
            return source.read_as, document
    raise InputError("input.batch", f"document: expected {_DOCUMENT}")
