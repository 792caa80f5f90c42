"""Arrow batches: one row in, one row out, in the same order.

A row that cannot be verified (a null, text of no known form) is a row with an error code. Only
wrong arguments raise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from itertools import repeat
from typing import Any, Final

import pyarrow as pa

from nitro_attest._internal.times import parse_time
from nitro_attest._internal.values import rebuilt
from nitro_attest.document_text import MAX_TEXT_BYTES, decode
from nitro_attest.errors import InputError, NitroAttestError, PolicyError
from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation
from nitro_attest.verification.batch import Item, Outcome, Request
from nitro_attest.verification.policy import is_debug
from nitro_attest.verification.requirements import At
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier

__all__ = ["SCHEMA", "Columns", "verify_batch", "verify_stream"]

_TIME: Final = pa.timestamp("us", "UTC")  # Spark has no other unit

_FAILURE: Final = pa.struct(
    [
        pa.field("code", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("expected", pa.string()),
        pa.field("found", pa.string()),
        pa.field("pcr", pa.int32()),
        pa.field("measurement_set", pa.string()),
    ]
)

SCHEMA: Final = pa.schema(
    [
        pa.field("verified", pa.bool_(), nullable=False),
        pa.field("code", pa.string()),
        pa.field("message", pa.string()),
        pa.field("offset", pa.int32()),
        pa.field("failures", pa.list_(_FAILURE), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("module_id", pa.string()),
        pa.field("instance_id", pa.string()),
        pa.field("region", pa.string()),
        pa.field("timestamp", _TIME),
        pa.field("verified_at", _TIME),
        pa.field("time_source", pa.string()),
        pa.field("attestation_id", pa.binary()),
        pa.field("matched", pa.string()),
        pa.field("root", pa.string()),
        pa.field("debug", pa.bool_()),
        pa.field("warnings", pa.list_(pa.string()), nullable=False),
        pa.field("pcrs", pa.map_(pa.int32(), pa.binary())),
        pa.field("public_key", pa.binary()),
        pa.field("user_data", pa.binary()),
        pa.field("nonce", pa.binary()),
        pa.field("leaf_sha256", pa.binary()),
    ]
)
"""The columns of a result (docs/reference/archive.md). Stable: columns may be added at the end."""

_NOTHING: Final = (None,) * 11
"""The columns from ``kind`` to ``debug`` of a rejected document: nothing in it is verified."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NANOSECONDS: Final = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}
_HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2})+")


@rebuilt
@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns of a table of documents.

    A row in which one of the columns ``at``, ``nonce``, ``user_data`` or ``public_key`` is null is
    rejected: naming the column requests a check, and a missing value must not remove it.

    Attributes:
        document: The documents: bytes, or text in one of the forms of ``decode_document``.
        at: The verification times: timestamps with a time zone, or text in the form of RFC 3339.
        nonce: The expected nonces: bytes, or text of hex digits; so are the next two.
        user_data: The expected user_data.
        public_key: The expected public_key.
        keep: The columns to copy to the result, before its own columns.

    Raises:
        InputError: ``input.column``: a name is not text or is empty, or a column to keep is given
            twice or has the name of a column of the result.

    Example:
        >>> Columns("doc", at="received_at", keep=("id",)).document
        'doc'
    """

    document: str = "document"
    at: str | None = None
    nonce: str | None = None
    user_data: str | None = None
    public_key: str | None = None
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if type(self.keep) is not tuple:
            raise InputError(
                "input.column", f"keep: expected a tuple of names, found {self.keep!r:.100}"
            )
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        named = [(name, value) for name, value in values.items() if name != "keep"]
        for what, name in [*named, *(("keep", name) for name in self.keep)]:
            if name is None and what not in ("document", "keep"):
                continue
            if not isinstance(name, str) or not name:
                raise InputError(
                    "input.column", f"{what}: expected the name of a column, found {name!r:.100}"
                )
        for name in self.keep:
            if name in SCHEMA.names or self.keep.count(name) > 1:
                raise InputError(
                    "input.column", f"keep: the result would have two columns {name!r}; rename one"
                )


_DEFAULT_COLUMNS: Final = Columns()


def verify_batch(
    batch: pa.RecordBatch,
    verifier: Verifier | NitroTpmVerifier,
    columns: Columns = _DEFAULT_COLUMNS,
    *,
    at: At = "now",
    max_age: timedelta | None = None,
) -> pa.RecordBatch:
    """Verifies the documents of one Arrow batch, in the caller's thread.

    Documents are read in place. To use several processors, run several processes, as
    ``verify_dataset`` and every engine do: threads wait for the interpreter's lock.

    Args:
        batch: The documents, one per row, with the columns that ``columns`` names.
        verifier: The verifier.
        columns: The names of the columns.
        at: The verification time of every row, as for ``Verifier.verify``; ``"now"`` if
            ``columns`` names a column for it.
        max_age: The maximum age of a document, positive; the stricter of this and the policy's
            applies.

    Returns:
        A batch of the columns to keep and those of ``SCHEMA``, with the rows of ``batch`` in their
        order.

    Raises:
        InputError: ``input.column``: a column is missing, there are two of its name, or its type
            is wrong. ``input.time``: ``at`` or ``max_age`` is invalid. ``input.expected``: another
            argument has the wrong type.

    Example:
        >>> import pyarrow as pa
        >>> batch = pa.record_batch({"id": [1, 2], "document": [document, b"none"]})
        >>> verifier = Verifier(root_pem, policy=ANY_ENCLAVE)
        >>> results = verify_batch(batch, verifier, Columns(keep=("id",)))
        >>> results.column("code").to_pylist()
        [None, 'document.encoding']
    """
    if not isinstance(batch, pa.RecordBatch):
        raise InputError(
            "input.expected", f"batch: expected a RecordBatch, found {type(batch).__name__}"
        )
    check_arguments(verifier, columns, at)
    outcomes = verifier.verify_many(requests_of(batch, columns), workers=1, at=at, max_age=max_age)
    kept = [column_of(batch, name) for name in columns.keep]
    results = result_arrays(outcomes)
    return pa.RecordBatch.from_arrays(
        [*kept, *results], schema=result_schema(batch.schema, columns)
    )


def verify_stream(
    data: Any,
    verifier: Verifier | NitroTpmVerifier,
    columns: Columns = _DEFAULT_COLUMNS,
    *,
    at: At = "now",
    max_age: timedelta | None = None,
) -> pa.RecordBatchReader:
    """Verifies a stream of Arrow batches, as a stream: nothing is read before it is needed.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"document": [document]})
        >>> verifier = Verifier(root_pem, policy=ANY_ENCLAVE)
        >>> verify_stream(table, verifier).read_all().column("verified").to_pylist()
        [True]

    Args:
        data: A Table or a RecordBatchReader of pyarrow, or any object with the Arrow PyCapsule
            stream interface, such as a DataFrame of Polars or a relation of DuckDB.
        verifier: As for ``verify_batch``, like all that follow.
        columns: The names of the columns.
        at: The verification time of every row.
        max_age: The maximum age of a document.

    Returns:
        The results; ``read_all()`` makes a Table of them.

    Raises:
        InputError: ``input.column``, ``input.time`` or ``input.expected``, as for ``verify_batch``.
    """
    if not hasattr(data, "__arrow_c_stream__"):
        raise InputError(
            "input.expected",
            f"data: expected a table or a stream of Arrow batches, found {type(data).__name__}",
        )
    reader = pa.RecordBatchReader.from_stream(data)
    check_arguments(verifier, columns, at)
    schema = result_schema(reader.schema, columns)
    empty = empty_batch(reader.schema)
    verify_batch(empty, verifier, columns, at=at, max_age=max_age)  # raises before the first read
    results = (verify_batch(one, verifier, columns, at=at, max_age=max_age) for one in reader)
    return pa.RecordBatchReader.from_batches(schema, results)


def result_schema(schema: pa.Schema, columns: Columns) -> pa.Schema:
    """Returns the schema of the results: the columns to keep, then those of ``SCHEMA``.

    Args:
        schema: The schema of the documents.
        columns: The names of their columns.

    Raises:
        InputError: ``input.column``: a column to keep is missing, or there are two of its name.
    """
    kept = [schema.field(index_of(schema, name)) for name in columns.keep]
    return pa.schema([pa.field(each.name, plain_type(each.type)) for each in kept] + list(SCHEMA))


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """Returns a batch without rows; ``RecordBatch.from_pylist`` cannot make every type."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, each.type) for each in schema], schema=schema)


def names_of(columns: Columns) -> list[str]:
    """Returns the names of all columns to read, each once."""
    named = (columns.document, columns.at, columns.nonce, columns.user_data, columns.public_key)
    return list(dict.fromkeys([name for name in named if name is not None] + [*columns.keep]))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type of the values of a dictionary or an extension type; else the type."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    return plain_type(kind.value_type) if pa.types.is_dictionary(kind) else kind


def requests_of(batch: pa.RecordBatch, columns: Columns) -> Iterator[Item]:
    """Returns an iterator of one request, or the error of its row, for each row of a batch.

    Args:
        batch: The documents. Their bytes are not copied; the verifier copies each when it takes it.
        columns: The names of the columns.

    Raises:
        InputError: ``input.column``, before the first row.
    """
    documents = _documents(batch, columns.document)
    moments: Iterator[Any] = repeat(None)
    if columns.at is not None:
        moments = _moments(batch, columns.at)
    expected = {
        name: _values(batch, name, column)
        for name in ("nonce", "user_data", "public_key")
        if (column := getattr(columns, name)) is not None
    }
    return _requests(documents, moments, expected)


def result_arrays(outcomes: Iterable[Outcome[Any]]) -> list[pa.Array]:
    """Returns the columns of ``SCHEMA`` for these outcomes."""
    rows = [
        _verified(outcome.unwrap()) if outcome.error is None else _rejected(outcome.error)
        for outcome in outcomes
    ]
    columns = zip(*rows, strict=True) if rows else repeat(())
    return [pa.array(values, each.type) for each, values in zip(SCHEMA, columns, strict=bool(rows))]


def check_arguments(verifier: object, columns: object, at: object) -> None:
    """Rejects a verifier or columns of another type, and two sources of verification times.

    Raises:
        InputError: ``input.expected`` or ``input.time``.
    """
    if not isinstance(verifier, (Verifier, NitroTpmVerifier)):
        raise InputError(
            "input.expected",
            f"verifier: expected a Verifier or NitroTpmVerifier, found {type(verifier).__name__}",
        )
    if not isinstance(columns, Columns):
        raise InputError("input.expected", f"columns: expected Columns, found {columns!r:.100}")
    if columns.at is not None and at != "now":
        raise InputError(
            "input.time", f"at={at!r} cannot be combined with times in the column {columns.at!r}"
        )


def index_of(schema: pa.Schema, name: str) -> int:
    """Returns the index of a column.

    Raises:
        InputError: ``input.column``: there is not exactly one of that name.
    """
    found: list[int] = schema.get_all_field_indices(name)
    if len(found) == 1:
        return found[0]
    try:
        names = ", ".join(map(repr, schema.names))
    except UnicodeDecodeError as error:
        names = f"unknown, as a name is not UTF-8 ({error})"
    raise InputError(
        "input.column",
        f"expected one column {name!r}, found {len(found) or 'none'}; the columns are: {names}",
    )


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Returns a column, with its values in place of a dictionary or an extension type.

    Raises:
        InputError: ``input.column``: there is not exactly one of that name, or its buffers
            contradict each other, so that a reader could read past their end.
    """
    column = batch.column(index_of(batch.schema, name))
    try:
        column.validate(full=True)
        while plain_type(column.type) != column.type:
            dictionary = pa.types.is_dictionary(column.type)
            column = column.dictionary_decode() if dictionary else column.storage
    except pa.ArrowException as error:
        raise InputError("input.column", f"column {name!r} is malformed: {error}") from error
    return column


def is_bytes(kind: pa.DataType) -> bool:
    """Returns True for every type of bytes."""
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Returns True for every type of text."""
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _cells(column: pa.Array) -> Iterator[memoryview | None]:
    """Yields the bytes of each value, where the column has them; None for a null."""
    for scalar in column:
        buffer = scalar.as_buffer()
        yield None if buffer is None else memoryview(buffer)


def _converted(
    batch: pa.RecordBatch,
    name: str,
    from_bytes: Callable[[memoryview | None], Any],
    from_text: Callable[[memoryview | None], Any],
) -> Iterator[Any]:
    column = column_of(batch, name)
    if pa.types.is_null(column.type):
        return map(from_bytes, repeat(None, len(column)))
    if is_bytes(column.type):
        return map(from_bytes, _cells(column))
    if is_text(column.type):
        return map(from_text, _cells(column))
    raise InputError(
        "input.column", f"column {name!r}: expected bytes or text, found {column.type}"
    )


def _documents(batch: pa.RecordBatch, name: str) -> Iterator[memoryview | bytes | InputError]:
    null = InputError("input.document", f"column {name!r} is null; expected a document")

    def raw(cell: memoryview | None) -> memoryview | InputError:
        if cell is None:
            return null
        return cell

    def text(cell: memoryview | None) -> bytes | NitroAttestError:
        if cell is None:
            return null
        try:
            return decode(bytes(cell[: MAX_TEXT_BYTES + 1])).document
        except NitroAttestError as error:
            return error

    return _converted(batch, name, raw, text)


def _values(
    batch: pa.RecordBatch, what: str, name: str
) -> Iterator[memoryview | bytes | InputError]:
    code = "input.nonce" if what == "nonce" else "input.expected"
    null = f"{what}: column {name!r} is null; expected a value in every row"

    def raw(cell: memoryview | None) -> memoryview | InputError:
        return InputError(code, null) if cell is None else cell

    def digits(cell: memoryview | None) -> bytes | InputError:
        if cell is None:
            return InputError(code, null)
        text = bytes(cell[:MAX_TEXT_BYTES])
        if not _HEX.fullmatch(text):
            return InputError(
                code, f"{what}: expected an even number of hex digits in column {name!r}"
            )
        return bytes.fromhex(text.decode("ascii"))

    return _converted(batch, name, raw, digits)


def _moments(batch: pa.RecordBatch, name: str) -> Iterator[datetime | InputError]:
    column = column_of(batch, name)
    null = InputError("input.time", f"at: column {name!r} is null; expected a time in every row")
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        unit = column.type.unit
        values = column.cast(pa.int64()).to_pylist()
        return (null if value is None else _after_epoch(value, unit) for value in values)
    if is_text(column.type):
        return (null if cell is None else _parsed(cell) for cell in _cells(column))
    if pa.types.is_null(column.type):
        return repeat(null, len(column))
    raise InputError(
        "input.column",
        f"column {name!r}: expected timestamps with a time zone, or text, found {column.type}",
    )


def _after_epoch(value: int, unit: str) -> datetime | InputError:
    try:
        return _EPOCH + timedelta(microseconds=value * _NANOSECONDS[unit] // 1000)
    except OverflowError:
        return InputError("input.time", f"{value} {unit} since 1970: out of range")


def _parsed(cell: memoryview) -> datetime | InputError:
    try:
        return parse_time(bytes(cell[:100]).decode("utf-8", "replace"))
    except InputError as error:
        return error


def _requests(
    documents: Iterator[Any], moments: Iterator[Any], expected: dict[str, Iterator[Any]]
) -> Iterator[Item]:
    for document, at in zip(documents, moments, strict=False):
        values = {name: next(column) for name, column in expected.items()}
        cells = (document, at, *values.values())
        fault = next((cell for cell in cells if isinstance(cell, NitroAttestError)), None)
        yield fault or Request(document, **values, at=at)


def _verified(result: Attestation | NitroTpmAttestation) -> tuple[Any, ...]:
    document = result.document
    if isinstance(result, Attestation):
        kind, debug, pcrs = "enclave", is_debug(result.document), result.pcrs
    else:
        kind, debug, pcrs = "nitrotpm", None, result.nitrotpm_pcrs
    return (
        *(True, None, None, None, ()),
        kind,
        document.module_id,
        result.instance_id,
        result.region,
        document.timestamp_ms * 1000,
        result.verified_at_ms * 1000,
        result.time_source,
        result.attestation_id,
        result.matched,
        result.root.name,
        debug,
        [warning.code for warning in result.warnings],
        list(pcrs.items()),
        document.public_key,
        document.user_data,
        document.nonce,
        sha256(document.certificate).digest(),
    )


def _rejected(error: NitroAttestError) -> tuple[Any, ...]:
    failures = error.failures if isinstance(error, PolicyError) else ()
    return (
        False,
        error.code,
        _utf_8(error.message),
        error.offset,
        [{name: _utf_8(value) for name, value in each.to_dict().items()} for each in failures],
        *_NOTHING,
        (),
        *(None, None, None, None, None),
    )


def _utf_8(value: Any) -> Any:
    """Escapes characters that a column of text cannot have; a policy's messages may be any text."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
