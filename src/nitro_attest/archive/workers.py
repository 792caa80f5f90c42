"""Internal: a pool of processes, each of which verifies one part at a time.

Processes are spawned: a forked one would inherit locks of threads that it does not have. A process
that dies ends the run, because its part is not finished; finished parts are kept.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from nitro_attest.archive.arrow import Columns, requests_of, result_arrays
from nitro_attest.archive.results import Summary, count, with_job, write_part
from nitro_attest.archive.sources import MARKS
from nitro_attest.errors import FormatError, InputError
from nitro_attest.verification.batch import Item
from nitro_attest.verification.requirements import At
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier


@dataclass(frozen=True, slots=True)
class Task:
    """The parts of the work that all workers have in common.

    Attributes:
        verifier: The verifier; each worker has a copy, with a cache of its own.
        columns: The names of the columns.
        at: The verification time of every row.
        max_age: The maximum age of a document.
        schema: The schema of the results.
        job: The digest of the job.
        folder: The folder for finished parts; None: results are counted, not written.
    """

    verifier: Verifier | NitroTpmVerifier
    columns: Columns
    at: At
    max_age: timedelta | None
    schema: pa.Schema
    job: str
    folder: Path | None

    def run(self, index: int, part: pa.RecordBatch) -> Summary:
        """Verifies a part, writes its results, and counts them.

        Raises:
            InputError: ``input.column``: Parquet cannot have a column to keep.
            OSError: The results cannot be written.
        """
        marks = part.select(MARKS.names)
        rows = part.select(range(len(MARKS), part.num_columns))
        outcomes = self.verifier.verify_many(
            _items(marks, rows, self.columns), workers=1, at=self.at, max_age=self.max_age
        )
        kept = [rows.column(name) for name in self.columns.keep]
        results = pa.Table.from_arrays(
            [*marks.columns[:2], *kept, *result_arrays(outcomes)],
            schema=with_job(self.schema, self.job),
        )
        if self.folder is not None:
            write_part(self.folder, index, results)
        return count(results)


def _items(marks: pa.RecordBatch, rows: pa.RecordBatch, columns: Columns) -> Iterator[Item]:
    codes, messages = (marks.column(name).to_pylist() for name in ("fault_code", "fault"))
    for code, message, item in zip(codes, messages, requests_of(rows, columns), strict=True):
        if code is None:
            yield item
        else:
            kind = InputError if code.startswith("input.") else FormatError
            yield kind(code, message)


class Done(NamedTuple):
    """A finished part."""

    part: int
    summary: Summary


class _Worker:
    """One process and the connection to it."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, task), daemon=True)
        # The mask is inherited. Ctrl-C reaches every process, but the parent ends the others.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # so that the death of the process closes the connection

    def begin(self, index: int, part: bytes) -> None:
        """Hands over a part.

        Raises:
            ChildProcessError: The process has ended.
        """
        try:
            self.connection.send((index, part))
        except OSError as error:
            raise self._ended() from error

    def result(self) -> Done:
        """Waits for the part that was handed over.

        Raises:
            ChildProcessError: The process has ended.
            Exception: As raised in the process.
        """
        try:
            result = self.connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if isinstance(result, Exception):
            raise result
        done: Done = result
        return done

    def _ended(self) -> ChildProcessError:
        self.process.join()
        code = self.process.exitcode or 0
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        return ChildProcessError(
            f"worker process {self.process.pid} ended with {reason} before its part was done"
        )


class Pool:
    """Spawned processes. A context manager, which ends them all.

    Args:
        task: The work.
        workers: The number of processes.
    """

    def __init__(self, task: Task, workers: int) -> None:
        self._task = task
        self._count = workers
        self._workers: list[_Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()  # idle, or after an error; parts are complete or absent
            worker.process.join()
            worker.connection.close()

    def run(self, parts: Iterable[tuple[int, pa.RecordBatch]]) -> Iterator[Done]:
        """Verifies parts, at most one per process at a time, and yields what is done.

        Args:
            parts: The parts; each is taken when the one before it has been handed over.

        Raises:
            ChildProcessError: A process has ended.
            OSError: Results cannot be written.
        """
        busy: dict[Any, _Worker] = {}
        idle: list[_Worker] = []
        for index, part in parts:
            if not idle and len(self._workers) < self._count:
                self._workers.append(_Worker(self._task))
                idle.append(self._workers[-1])
            while not idle:
                yield from _collect(busy, idle)
            worker = idle.pop()
            worker.begin(index, _to_bytes(part))
            busy[worker.connection] = worker
        while busy:
            yield from _collect(busy, idle)


def _collect(busy: dict[Any, _Worker], idle: list[_Worker]) -> Iterator[Done]:
    for connection in wait(list(busy)):
        worker = busy.pop(connection)
        done = worker.result()
        idle.append(worker)
        yield done


def _to_bytes(part: pa.RecordBatch) -> bytes:
    data = pa.BufferOutputStream()
    with pa.ipc.new_stream(data, part.schema) as writer:
        writer.write_batch(part)
    written: bytes = data.getvalue().to_pybytes()
    return written


def _work(connection: Connection, task: Task) -> None:
    """The main function of a worker."""
    pa.set_cpu_count(1)
    while True:
        try:
            index, data = connection.recv()
        except (EOFError, OSError):  # the parent has ended, perhaps without reading a result
            return
        try:
            part = pa.ipc.open_stream(data).read_next_batch()
            result: Done | Exception = Done(index, task.run(index, part))
        except Exception as error:  # noqa: BLE001  raised again in the parent
            result = error
        try:
            connection.send(result)
        except OSError:
            return
