"""Internal: files of documents, read as Arrow batches of one form.

The rows of a file are always the same, in the same order, so that unfinished work can be resumed.
A row of a text file that cannot be read is a row with a fault; a file that cannot be read is an
error.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import reprlib
import stat
import zlib
from codecs import BOM_UTF8
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nitro_attest._internal.files import unreadable
from nitro_attest._internal.strict_json import read_json
from nitro_attest.archive.arrow import (
    Columns,
    column_of,
    index_of,
    is_bytes,
    is_text,
    names_of,
    plain_type,
)
from nitro_attest.document_text import MAX_TEXT_BYTES, decode
from nitro_attest.errors import FormatError, InputError, NitroAttestError
from nitro_attest.limits import MAX_DOCUMENT_BYTES

Form = Literal["parquet", "ipc", "csv", "jsonl", "document"]

_FORMS: Final[Mapping[str, Form]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".arrows": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
}
"""By the end of a file's name; a file of any other name is one document."""

_ROWS: Final = 256
"""Rows that are read at once: 4 MiB of the largest documents."""

_LONGEST_LINE: Final = 1 << 20
"""Bytes of a line of text. A document of 16384 bytes has 32768 digits in hex."""

MARKS: Final = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("fault_code", pa.string()),
        pa.field("fault", pa.string()),
    ]
)
"""The first columns of every batch: the place of the row, and why it cannot be read, if so."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        path: The file.
        form: Its form, by its name.
        size: Its size in bytes when it was listed.
        changed_ns: The time of its last change then, in nanoseconds since 1970.
    """

    path: Path
    form: Form
    size: int
    changed_ns: int

    @property
    def name(self) -> str:
        """The name of the file as text: a name may be any bytes."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


class _Row(NamedTuple):
    """One row of a text file: its number, its values by name, and its fault."""

    number: int
    values: Mapping[str, Any]
    fault: NitroAttestError | None = None


def find_sources(
    paths: Sequence[str | os.PathLike[str]], skipped: Sequence[Path]
) -> tuple[Source, ...]:
    """Lists the files to read, in order: those of a folder and of its subfolders by name.

    Args:
        paths: Files and folders. In a folder, names that begin with ``.`` or ``_`` are skipped,
            because engines write files of their own under such names.
        skipped: Files and folders that a folder may contain, but that are not read.

    Raises:
        InputError: ``input.file``: a file or folder does not exist or cannot be read, or is neither
            a folder nor a regular file. ``input.archive``: links lead to one folder twice.
    """
    found: list[Source] = []
    for path in map(Path, paths):
        try:
            files = _files_in(path, skipped) if path.is_dir() else iter([path])
            found += map(_source, files)
        except (OSError, ValueError) as error:
            raise unreadable(path, error) from error
    return tuple(found)


def check_unchanged(sources: Iterable[Source]) -> None:
    """Rejects files that changed after they were listed: their rows may be of two versions.

    Raises:
        InputError: ``input.archive`` or ``input.file``.
    """
    for source in sources:
        if find_sources([source.path], ()) != (source,):
            raise InputError(
                "input.archive", f"{source.name!r} changed while it was read; verify it again"
            )


def schema_of(sources: Iterable[Source], columns: Columns) -> pa.Schema:
    """Returns the schema that the columns have in every file.

    Raises:
        InputError: ``input.column``: a column is missing, or has two types in two files.
            ``input.archive`` or ``input.file``: a file cannot be read.
    """
    first: tuple[Source, pa.Schema] | None = None
    for source in sources:
        schema = _schema_of(source, columns)
        if first is None:
            first = source, schema
        for one, other in zip(first[1], schema, strict=True):
            if one.type != other.type:
                raise InputError(
                    "input.column",
                    f"column {one.name!r} has the type {one.type} in {first[0].name!r}, and "
                    f"{other.type} in {source.name!r}; expected one type",
                )
    if first is None:
        raise InputError("input.archive", "there are no files to verify")
    return first[1]


def row_count(sources: Iterable[Source]) -> int | None:
    """Returns the number of all rows; None if that requires reading a file."""
    total = 0
    for source in sources:
        if source.form == "parquet":
            with _readable(source), _file(source) as file:
                total += pq.read_metadata(file).num_rows
        elif source.form == "document":
            total += 1
        else:
            return None
    return total


def read(
    sources: Iterable[Source], columns: Columns, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yields all rows: the columns of ``MARKS``, then those of ``schema``.

    Args:
        sources: The files.
        columns: The names of the columns.
        schema: The result of ``schema_of``.

    Raises:
        InputError: ``input.archive`` or ``input.file``: a file cannot be read.
    """
    documents: list[_Row] = []
    names: list[str] = []
    for source in sources:
        if source.form == "document":
            documents.append(_document(source, columns.document))
            names.append(source.name)
        if documents and (len(documents) == _ROWS or source.form != "document"):
            yield _batch_of(documents, names, schema)
            documents, names = [], []
        if source.form in ("parquet", "ipc"):
            yield from _table_batches(source, schema)
        elif source.form in ("csv", "jsonl"):
            yield from _text_batches(source, columns, schema)
    if documents:
        yield _batch_of(documents, names, schema)


def _source(path: Path) -> Source:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device may have no end
        raise InputError("input.file", f"cannot read {str(path)!r}: expected a regular file")
    return Source(path, _form_of(path), status.st_size, status.st_mtime_ns)


def _files_in(folder: Path, skipped: Sequence[Path]) -> Iterator[Path]:
    """Yields the files by name. Without recursion, and each folder once: links may form loops."""
    waiting = [folder]
    seen = set()
    while waiting:
        path = waiting.pop()
        if not path.is_dir():
            yield path
            continue
        status = path.stat()
        if (status.st_dev, status.st_ino) in seen:
            raise InputError(
                "input.archive",
                f"{str(path)!r} is a folder that has another path in the archive too; remove the "
                "link to it",
            )
        seen.add((status.st_dev, status.st_ino))
        waiting += [
            child
            for child in sorted(path.iterdir(), reverse=True)
            if not child.name.startswith((".", "_"))
            and not any(_same(child, other) for other in skipped)
        ]


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def _form_of(path: Path) -> Form:
    name = path.name.lower()
    return next((form for end, form in _FORMS.items() if name.endswith(end)), "document")


@contextmanager
def _readable(source: Source) -> Iterator[None]:
    """Turns every error of a reader (pyarrow, csv, gzip) for one file into InputError.

    ValueError is what pyarrow raises for names in the file that are not UTF-8.
    """
    try:
        yield
    except NitroAttestError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise unreadable(source.path, error) from error
    except (pa.ArrowException, csv.Error, EOFError, OSError, ValueError, zlib.error) as error:
        raise InputError(
            "input.archive", f"cannot read {source.name!r} as {source.form}: {error}"
        ) from error


def _schema_of(source: Source, columns: Columns) -> pa.Schema:
    names = names_of(columns)
    if source.form == "document" and names != [columns.document]:
        raise InputError(
            "input.column",
            f"{source.name!r}: expected a table with a column {names[1]!r}, found one document",
        )
    with _readable(source):
        found = _whole_schema(source, names)
    try:
        kinds = {name: plain_type(found.field(index_of(found, name)).type) for name in names}
    except InputError as error:
        raise InputError(error.code, f"{source.name!r}: {error.message}") from None
    with _readable(source):
        _decode_names(kinds.values())
    return pa.schema([(name, _wide(kind)) for name, kind in kinds.items()])


def _decode_names(kinds: Iterable[pa.DataType]) -> None:
    """Decodes the names in types. A file may have any bytes there, which many calls cannot use.

    Raises:
        UnicodeDecodeError: A name is not UTF-8.
    """
    waiting = list(kinds)
    while waiting:
        kind = plain_type(waiting.pop())
        if pa.types.is_timestamp(kind):
            _ = kind.tz
        for field in map(kind.field, range(kind.num_fields)):
            _ = field.name
            waiting.append(field.type)


def _whole_schema(source: Source, names: list[str]) -> pa.Schema:
    """Returns the schema of a file; a file of JSON or a document has whatever is expected."""
    match source.form:
        case "parquet":
            with _file(source) as file:
                return pq.read_schema(file)
        case "ipc":
            with _mapped(source) as file:
                return _ipc_reader(file).schema
        case "csv":
            with _opened(source) as file:
                return pa.schema([(name, pa.large_string()) for name in _csv_header(source, file)])
        case "jsonl":
            return pa.schema([(name, pa.large_string()) for name in names])
    return pa.schema([(name, pa.large_binary()) for name in names])


def _wide(kind: pa.DataType) -> pa.DataType:
    """Returns the one type for bytes, and the one for text, that any number of rows fits in."""
    if is_bytes(kind):
        return pa.large_binary()
    return pa.large_string() if is_text(kind) else kind


# Tables


def _file(source: Source) -> pa.NativeFile:
    """Opens a file. A name of text must be UTF-8 for pyarrow, one of bytes may have any."""
    return pa.OSFile(os.fsencode(source.path))


def _mapped(source: Source) -> pa.NativeFile:
    return pa.memory_map(os.fsencode(source.path))


def _ipc_reader(file: pa.NativeFile) -> Any:
    """Opens either form of Arrow IPC, a file or a stream."""
    try:
        return pa.ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        return pa.ipc.open_stream(file)


def _ipc_batches(source: Source) -> Iterator[pa.RecordBatch]:
    with _mapped(source) as file:
        reader = _ipc_reader(file)
        if isinstance(reader, pa.RecordBatchStreamReader):
            yield from reader
        else:
            yield from map(reader.get_batch, range(reader.num_record_batches))


def _parquet_batches(source: Source, names: list[str]) -> Iterator[pa.RecordBatch]:
    with _file(source) as file, pq.ParquetFile(file) as table:
        yield from table.iter_batches(_ROWS, columns=names, use_threads=False)


def _table_batches(source: Source, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    row = 1
    with _readable(source):
        batches = (
            _parquet_batches(source, schema.names)
            if source.form == "parquet"
            else _ipc_batches(source)
        )
        for batch in batches:
            for start in range(0, batch.num_rows, _ROWS):
                part = batch.slice(start, _ROWS)
                cells = [column_of(part, each.name).cast(each.type) for each in schema]
                yield _marked(source, row, pa.RecordBatch.from_arrays(cells, schema=schema))
                row += part.num_rows


def _marked(source: Source, row: int, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Adds the columns of ``MARKS``, and replaces documents that are too large by a fault."""
    count = batch.num_rows
    documents, *others = batch.columns
    limit = MAX_DOCUMENT_BYTES if is_bytes(documents.type) else MAX_TEXT_BYTES
    faults = [pa.nulls(count, pa.string())] * 2
    if is_bytes(documents.type) or is_text(documents.type):
        large = pc.greater(pc.binary_length(documents), limit)
        if pc.any(large).as_py():
            error = _too_large(limit)
            none = pa.scalar(None, pa.string())
            faults = [pc.if_else(large, text, none) for text in (error.code, error.message)]
            documents = pc.if_else(large, pa.scalar(None, documents.type), documents)
    marks = [
        pa.repeat(pa.scalar(source.name), count),
        pa.array(range(row, row + count), pa.int64()),
        *faults,
    ]
    return pa.RecordBatch.from_arrays(
        [*marks, documents, *others], schema=pa.schema([*MARKS, *batch.schema])
    )


def _too_large(limit: int) -> FormatError:
    return FormatError(
        "document.too_large", f"document too large: expected at most {limit} bytes, found more"
    )


# Text


def _opened(source: Source) -> BinaryIO:
    if source.path.name.lower().endswith(".gz"):
        return cast("BinaryIO", gzip.open(source.path, "rb"))
    return source.path.open("rb")


def _lines(file: BinaryIO) -> Iterator[bytes | InputError]:
    """Yields the lines of a file, without the byte order mark of the first."""
    first = True
    while line := file.readline(_LONGEST_LINE):
        part = line
        while len(part) == _LONGEST_LINE and not part.endswith(b"\n"):
            part = file.readline(_LONGEST_LINE)
        if part is not line:
            yield InputError(
                "input.batch", f"expected at most {_LONGEST_LINE} bytes in a line, found more"
            )
        else:
            yield line.removeprefix(BOM_UTF8) if first else line
        first = False


class _CsvRows:
    """The rows of a file, as an iterator.

    The parser joins lines that end within quotes, however many. It gets one that it must reject,
    within quotes or not, in place of a line that is too long or makes the row too long.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._lines = _lines(file)
        self._size = 0
        self._reader = csv.reader(self._text(), strict=True)

    def __iter__(self) -> _CsvRows:
        return self

    def __next__(self) -> list[str]:
        self._size = 0
        return next(self._reader)

    def _text(self) -> Iterator[str]:
        for line in self._lines:
            if isinstance(line, bytes):
                self._size += len(line)
                if self._size <= _LONGEST_LINE:
                    yield line.decode("utf-8", "surrogateescape")
                    continue
            yield '"too long"x\n'


def _csv_header(source: Source, file: BinaryIO) -> list[str]:
    try:
        header = next(_CsvRows(file), [])
        for name in header:
            name.encode()
    except (csv.Error, UnicodeEncodeError) as error:
        raise InputError(
            "input.archive", f"{source.name!r}: the first line is malformed: {error}"
        ) from error
    return header


def _csv_rows(file: BinaryIO) -> Iterator[_Row]:
    reader = _CsvRows(file)
    header = next(reader, [])
    number = 0
    while True:
        try:
            cells = next(reader, None)
            if cells is None:
                return
            if not cells:  # an empty line
                continue
            if len(cells) != len(header):
                raise InputError(
                    "input.batch", f"expected {len(header)} values in a row, found {len(cells)}"
                )
            for cell in cells:
                cell.encode()
            row = _Row(number + 1, {k: v or None for k, v in zip(header, cells, strict=True)})
        except (csv.Error, UnicodeEncodeError, InputError) as error:
            row = _Row(number + 1, {}, _line_fault(error, "CSV"))
        number += 1
        yield row


def _line_fault(error: Exception, form: str) -> InputError:
    if isinstance(error, UnicodeError):
        return InputError("input.batch", "the row is not UTF-8")
    if isinstance(error, InputError):
        return InputError("input.batch", error.message.removeprefix("line 1, "))
    return InputError("input.batch", f"the row is not {form}: {error}")


def _json_rows(file: BinaryIO, names: list[str], kept: Collection[str]) -> Iterator[_Row]:
    for number, line in enumerate(_lines(file), 1):
        try:
            if isinstance(line, InputError):
                raise line
            if not (text := line.strip(b" \t\r\n").decode("utf-8")):
                continue
            entry, end = read_json(text, ignore_case=False)
            if not isinstance(entry, dict) or end != len(text):
                raise InputError("input.batch", "expected one JSON object per line")
            yield _Row(number, {name: _json_text(name, entry.get(name), kept) for name in names})
        except (UnicodeError, InputError) as error:
            yield _Row(number, {}, _line_fault(error, "JSON"))


def _json_text(name: str, value: object, kept: Collection[str]) -> str | None:
    if isinstance(value, str):
        value.encode()  # JSON can escape half of a surrogate pair, which no text has
        return value
    if value is None or name in kept:
        return None if value is None else json.dumps(value)
    raise InputError("input.batch", f"{name}: expected text, found {reprlib.repr(value)}")


def _text_batches(source: Source, columns: Columns, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with _readable(source), _opened(source) as file:
        rows = (
            _csv_rows(file)
            if source.form == "csv"
            else _json_rows(file, schema.names, columns.keep)
        )
        while some := list(islice(rows, _ROWS)):
            yield _batch_of(some, repeat(source.name), schema)


def _batch_of(rows: Sequence[_Row], names: Iterable[str], schema: pa.Schema) -> pa.RecordBatch:
    cells = {
        each.name: pa.array([row.values.get(each.name) for row in rows], each.type)
        for each in schema
    }
    marks = [
        pa.array([name for name, _ in zip(names, rows, strict=False)], pa.string()),
        pa.array([row.number for row in rows], pa.int64()),
        pa.array([row.fault and row.fault.code for row in rows], pa.string()),
        pa.array([row.fault and row.fault.message for row in rows], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(
        [*marks, *cells.values()], schema=pa.schema([*MARKS, *schema])
    )


def _document(source: Source, column: str) -> _Row:
    """Reads a file that is one document, in any form of ``decode_document``."""
    with _readable(source), source.path.open("rb") as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    try:
        document = decode(data).document
        if len(document) > MAX_DOCUMENT_BYTES:
            raise _too_large(MAX_DOCUMENT_BYTES)
    except NitroAttestError as error:
        return _Row(1, {}, error)
    return _Row(1, {column: document})
