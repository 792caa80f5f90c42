"""Internal: results on disk, of which only finished parts can be read.

Each part is written under a temporary name, synced to disk, and renamed: under its own name it is
complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pickle
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nitro_attest._internal.version import __version__
from nitro_attest.archive.arrow import Columns
from nitro_attest.archive.sources import Source
from nitro_attest.errors import InputError
from nitro_attest.verification.policy import AnyEnclave, AnyInstance, NitroTpmPolicy, Policy
from nitro_attest.verification.requirements import At
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier

_JOB: Final = b"nitro_attest.job"
"""Key of the metadata of every Parquet file of results: the digest of the job."""

_OPTIONS: Final = ("clock_skew", "consistency", "unknown_fields", "limits")
"""The options of a verifier that change a verdict, besides roots, policy and revocation lists."""

_PARTS_PER_GROUP: Final = 16
"""Parts in one row group of the results: 16384 rows, at most 40 MB in memory."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of an archive, or of the part of it that is done.

    Attributes:
        rows: The number of documents.
        verified: The number of those that were verified.
        rejected: The number of the others, by error code.
        warnings: The number of verified documents by the code of each warning.
        first_rejected: The error code of the first document that was rejected; None if none was.
    """

    rows: int = 0
    verified: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    first_rejected: str | None = None

    def __add__(self, later: Summary) -> Summary:
        return Summary(
            self.rows + later.rows,
            self.verified + later.verified,
            Counter(self.rejected) + Counter(later.rejected),
            Counter(self.warnings) + Counter(later.warnings),
            self.first_rejected or later.first_rejected,
        )


def count(results: pa.RecordBatch | pa.Table) -> Summary:
    """Counts results, which have the columns of ``SCHEMA``."""
    codes = results.column("code").to_pylist()
    rejected = Counter(code for code in codes if code is not None)
    warnings = Counter(pc.list_flatten(results.column("warnings")).to_pylist())
    verified = pc.sum(results.column("verified")).as_py() or 0
    return Summary(len(codes), verified, rejected, warnings, next(iter(rejected), None))


def job_digest(
    sources: tuple[Source, ...],
    verifier: Verifier | NitroTpmVerifier,
    columns: Columns,
    at: At,
    max_age: timedelta | None,
) -> str:
    """Returns SHA-256, in hex, over all that results depend on.

    That is the version of this package, the name, size and time of change of every file, and all
    arguments of the verifier but those that only change its speed.

    Raises:
        InputError: ``input.expected``: the policy is neither one of this package nor can be
            pickled.
    """
    rebuild, (roots,) = verifier.__reduce__()
    settings = rebuild.keywords
    lists = settings["revocation"]
    identity = [
        __version__,
        [[one.name, one.size, one.changed_ns] for one in sources],
        type(verifier).__name__,
        sorted(root.sha256 for root in roots),
        _policy_identity(settings["policy"]),
        [repr(settings[name]) for name in _OPTIONS],
        None if lists is None else [repr(lists), *(_sha256(one.der) for one in lists)],
        repr(columns),
        at.isoformat() if isinstance(at, datetime) else at,
        repr(max_age),
    ]
    return _sha256(json.dumps(identity).encode())


def _policy_identity(policy: object) -> str:
    if isinstance(policy, (Policy, NitroTpmPolicy, AnyEnclave, AnyInstance)):
        return repr(policy)
    try:
        return _sha256(pickle.dumps(policy))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            "input.expected", f"policy: expected one that can be pickled: {error}"
        ) from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Results:
    """The file of the results, and the folder of its finished parts beside it.

    A context manager: it holds a lock, so that no second process writes the same results.

    Args:
        sink: The file.
        job: The digest of the job.
        resume: Continue what an earlier process left.

    Raises:
        InputError: ``input.archive``: there are results of another job, or unfinished ones and
            ``resume`` is False, or a file that is not one of results; or another process is writing
            results there.
        OSError: The folder cannot be made.
    """

    def __init__(self, sink: Path, job: str, *, resume: bool) -> None:
        self._sink = sink
        self._job = job
        self.folder = folder_of(sink)
        self.finished = False
        self._lock: BinaryIO | None = None
        if sink.exists():
            self._check_sink(resume)
        if self.finished:
            return
        if not resume or not self.folder.exists():
            self._make_folder()
        self._lock = (self.folder / "lock").open("wb")
        try:
            self._begin(self._lock, resume)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def _check_sink(self, resume: bool) -> None:
        found = _job_of(self._sink)
        if found is None:
            raise InputError(
                "input.archive",
                f"{str(self._sink)!r} exists and is not a file of results, so it is not replaced; "
                "choose another name",
            )
        if resume and not self.folder.exists():
            self._check_job(found, self._sink)
            self.finished = True

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir()
        except FileExistsError:
            raise InputError(
                "input.archive",
                f"{str(self.folder)!r} has unfinished results; continue them with resume=True "
                "(--resume), or remove that folder",
            ) from None

    def _begin(self, lock: BinaryIO, resume: bool) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "input.archive", f"another process is writing results in {str(self.folder)!r}"
            ) from None
        job = self.folder / "job"
        if resume and job.exists():
            self._check_job(job.read_text("ascii"), self.folder)
        for unfinished in self.folder.glob("*.tmp"):
            unfinished.unlink()
        write_whole(job, self._job.encode("ascii"))

    def _check_job(self, found: str, place: Path) -> None:
        if found != self._job:
            raise InputError(
                "input.archive",
                f"{str(place)!r} has results of another job: the files, the policy, the roots or "
                "an option have changed; remove it to start again",
            )

    def part(self, index: int) -> pa.Table | None:
        """Reads a finished part; None if it is not finished, or damaged."""
        path = part_path(self.folder, index)
        if not path.exists() or _job_of(path) != self._job:
            return None
        try:
            return _read(path)
        except (pa.ArrowException, OSError):
            return None

    def read(self) -> pa.Table:
        """Reads the columns to count of finished results."""
        return _read(self._sink, columns=["verified", "code", "warnings"])

    def finish(self, parts: int) -> None:
        """Joins all parts into the file, which appears under its name when it is complete.

        Raises:
            OSError: It cannot be written; the parts are kept.
        """
        temporary = self.folder / "results.tmp"
        with temporary.open("wb") as file:
            # Parquet has no unit for some types of columns to keep, such as times in seconds: the
            # parts have another type then.
            schema = _schema_of(part_path(self.folder, 0))
            with pq.ParquetWriter(file, schema) as writer:
                for start in range(0, parts, _PARTS_PER_GROUP):
                    indexes = range(start, min(start + _PARTS_PER_GROUP, parts))
                    tables = [_read(part_path(self.folder, index)) for index in indexes]
                    writer.write_table(pa.concat_tables(tables).combine_chunks())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._sink)
        folder = os.open(self._sink.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        shutil.rmtree(self.folder)


def folder_of(sink: Path) -> Path:
    """Returns the folder of the finished parts of results."""
    return sink.with_name(sink.name + ".parts")


def part_path(folder: Path, index: int) -> Path:
    """Returns the file of a part."""
    return folder / f"part-{index:08}.parquet"


def with_job(schema: pa.Schema, job: str) -> pa.Schema:
    """Returns the schema of a file of results: with the digest of its job."""
    return schema.with_metadata({_JOB: job.encode("ascii")})


def write_part(folder: Path, index: int, results: pa.Table) -> None:
    """Writes a part, completely or not at all.

    Raises:
        InputError: ``input.column``: Parquet cannot have a column to keep.
        OSError: It cannot be written.
    """
    data = pa.BufferOutputStream()
    try:
        pq.write_table(_without_seconds(results), data)
    except pa.ArrowException as error:
        raise InputError(
            "input.column", f"keep: a column cannot be written as Parquet: {error}"
        ) from error
    write_whole(part_path(folder, index), data.getvalue())


def _without_seconds(results: pa.Table) -> pa.Table:
    """Gives times in seconds a unit that Parquet has; pyarrow before 26 does not check the range.

    Raises:
        ArrowInvalid: A time is out of range.
    """
    for index, column in enumerate(results.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "s":
            cells = results.column(index).cast(pa.timestamp("ms", column.type.tz))
            results = results.set_column(index, column.name, cells)
    return results


def write_whole(path: Path, data: Any) -> None:
    """Writes a file that appears under its name when all of it is on the disk.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    with pa.OSFile(os.fsencode(path)) as file:  # a name of bytes: one of text must be UTF-8
        return pq.read_table(file, columns=columns)


def _schema_of(path: Path) -> pa.Schema:
    with pa.OSFile(os.fsencode(path)) as file:
        return pq.read_schema(file)


def _job_of(path: Path) -> str | None:
    """Returns the digest of the job that wrote a file; None if it is not a file of results."""
    try:
        metadata: Mapping[bytes, bytes] = _schema_of(path).metadata or {}
    except (pa.ArrowException, OSError):
        return None
    found = metadata.get(_JOB)
    return None if found is None else found.decode("ascii", "replace")
