"""An archive on one machine: any number of files in, one table of results out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from nitro_attest.archive.arrow import Columns, empty_batch, result_schema, verify_batch
from nitro_attest.archive.results import Results, Summary, count, folder_of, job_digest
from nitro_attest.archive.sources import (
    MARKS,
    Source,
    check_unchanged,
    find_sources,
    read,
    row_count,
    schema_of,
)
from nitro_attest.archive.workers import Pool, Task
from nitro_attest.errors import InputError
from nitro_attest.verification.batch import worker_count
from nitro_attest.verification.requirements import At
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier

__all__ = ["Summary", "verify_dataset"]

_PART_ROWS: Final = 1024
"""Rows of a part, the unit of work: 0.2 to 2 s on one processor."""

_DEFAULT_COLUMNS: Final = Columns()

Progress = Callable[[Summary, int | None], object]
"""Called with the counts so far, and the number of all rows, None if it is not known."""


def verify_dataset(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    sink: str | os.PathLike[str] | None,
    verifier: Verifier | NitroTpmVerifier,
    columns: Columns = _DEFAULT_COLUMNS,
    *,
    at: At = "now",
    max_age: timedelta | None = None,
    workers: int | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Verifies all documents of an archive on several processes, and writes a table of results.

    The results have the columns ``source`` (the file) and ``row`` (its number in the file, from 1;
    for JSONL, the line), the columns to keep, and those of ``SCHEMA``, in the order of the archive.

    Results are written in parts, to a folder with the name of ``sink`` and ``.parts``, and joined
    at the end: a file under the name of ``sink`` is always complete. After an error, a kill or an
    interrupt, ``resume=True`` continues with the parts that are not done.

    Processes are spawned, so a script must call this function under
    ``if __name__ == "__main__":``.

    Example:
        >>> summary = verify_dataset("archive/", "results.parquet", verifier)  # doctest: +SKIP
        >>> summary.verified == summary.rows  # doctest: +SKIP
        True

    Args:
        source: Files, or folders of files: Parquet, Arrow IPC, CSV or JSONL, by the end of their
            names; every other file is one document, in a form of ``decode_document``. In folders,
            names that begin with ``.`` or ``_`` are skipped.
        sink: The Parquet file to write; None only counts.
        verifier: The verifier, with an accelerator if it has one. It is pickled for each process.
        columns: The names of the columns, the same in every file.
        at: The verification time, as for ``verify_batch``.
        max_age: The maximum age of a document, as for ``verify_batch``.
        workers: The number of processes, 1 to 64; by default one per processor. With 1, all work
            is done in this process.
        resume: Continue a job that did not finish. All arguments but ``workers`` and the verifier's
            accelerator and cache must be the same, and the files unchanged.
        progress: Called after each part, in this process.

    Returns:
        The counts.

    Raises:
        InputError: ``input.archive``: a file cannot be read in its form, there are no documents,
            or ``sink`` or its parts are not of this job. ``input.column``, ``input.file``,
            ``input.time``, ``input.workers`` or ``input.expected``: another argument is invalid. An
            error in a document is a row.
        OSError: The results cannot be written. ``ChildProcessError``: a process was killed.
    """
    processes = worker_count(workers)
    _check_columns(columns)
    if sink is None and resume:
        raise InputError("input.expected", "resume=True requires a sink")
    if progress is not None and not callable(progress):
        raise InputError(
            "input.expected", f"progress: expected a function, found {progress!r:.100}"
        )
    target = None if sink is None else _file(sink)
    sources = _sources(source, target)
    schema = schema_of(sources, columns)
    empty = empty_batch(schema)
    verify_batch(empty, verifier, columns, at=at, max_age=max_age)  # checks the arguments
    total = row_count(sources)
    parts = _parts(read(sources, columns, schema))
    if (first := next(parts, None)) is None:
        raise InputError("input.archive", "there are no documents in the archive")
    job = job_digest(sources, verifier, columns, at, max_age)
    found = pa.schema([*list(MARKS)[:2], *result_schema(schema, columns)])
    task = Task(verifier, columns, at, max_age, found, job, None)
    with ExitStack() as stack:
        results = None
        if target is not None:
            results = stack.enter_context(Results(target, job, resume=resume))
            if results.finished:
                return count(results.read())
            task = replace(task, folder=results.folder)
        run = _Run(task, results, total, progress)
        run.verify(chain([first], parts), processes)
        check_unchanged(sources)
        if results is not None:
            results.finish(len(run.done))
    return run.summary()


class _Run:
    """The parts that are done, and their counts."""

    def __init__(
        self, task: Task, results: Results | None, total: int | None, progress: Progress | None
    ) -> None:
        self.done: dict[int, Summary] = {}
        self._task = task
        self._results = results
        self._total = total
        self._progress = progress
        self._so_far = Summary()

    def verify(self, parts: Iterable[pa.RecordBatch], workers: int) -> None:
        """Verifies all parts that are not finished."""
        if workers == 1:
            for index, part in self._unfinished(parts):
                self._count(index, self._task.run(index, part))
            return
        with Pool(self._task, workers) as pool:
            for index, summary in pool.run(self._unfinished(parts)):
                self._count(index, summary)

    def summary(self) -> Summary:
        """Returns the counts of all parts, in the order of the archive."""
        return reduce(add, (self.done[index] for index in range(len(self.done))))

    def _unfinished(self, parts: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
        for index, part in enumerate(parts):
            finished = None if self._results is None else self._results.part(index)
            if finished is not None and finished.num_rows == part.num_rows:
                self._count(index, count(finished))
            else:
                yield index, part

    def _count(self, index: int, summary: Summary) -> None:
        self.done[index] = summary
        self._so_far += summary
        if self._progress is not None:
            self._progress(self._so_far, self._total)


def _check_columns(columns: object) -> None:
    if not isinstance(columns, Columns):
        raise InputError("input.expected", f"columns: expected Columns, found {columns!r:.100}")
    for name in MARKS.names[:2]:
        if name in columns.keep:
            raise InputError(
                "input.column", f"keep: the result would have two columns {name!r}; rename one"
            )


def _file(sink: Any) -> Path:
    try:
        if isinstance(sink, (str, os.PathLike)) and b"\0" not in os.fsencode(sink):
            path = Path(sink)
            if path.name:
                return path
    except UnicodeError:
        pass
    raise InputError("input.expected", f"sink: expected the name of a file, found {sink!r:.100}")


def _sources(source: Any, target: Path | None) -> tuple[Source, ...]:
    paths = [source] if isinstance(source, (str, os.PathLike)) else source
    named = (str, os.PathLike)
    if not isinstance(paths, Sequence) or not all(p and isinstance(p, named) for p in paths):
        raise InputError(
            "input.expected", f"source: expected names of files or folders, found {source!r:.100}"
        )
    if target is None:
        return find_sources(paths, ())
    for path in paths:
        if target.exists() and Path(path).exists() and target.samefile(path):
            raise InputError(
                "input.archive", f"{str(target)!r} is the archive; the results would replace it"
            )
    return find_sources(paths, (target, folder_of(target)))


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yields all rows in parts that depend only on the rows, so that a job can be resumed."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= _PART_ROWS:
            table = pa.Table.from_batches(waiting)
            yield _joined(table.slice(0, _PART_ROWS))
            waiting = table.slice(_PART_ROWS).to_batches()
            rows -= _PART_ROWS
    if rows:
        yield _joined(pa.Table.from_batches(waiting))


def _joined(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
