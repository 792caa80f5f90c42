"""Measures ``verify_dataset``: processes, CPU time per document, memory, and exact counts.

    python benchmarks/archives.py                   20,000 documents
    python benchmarks/archives.py --documents 1000000
    python benchmarks/archives.py --accelerator libcrypto_mb

The archive is made by FakeNitro: 100 enclaves with 100 signing certificates each (10,000 paths for
a million documents), 1 % forged in ten ways. Exits with 1 if a count is wrong or a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bare import ALGORITHM
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from nitro_attest import ANY_ENCLAVE, TrustedRoots, Verifier, parse_unverified
from nitro_attest.archive import Columns, Summary, arrow, verify_dataset
from nitro_attest.testing import FAULTS, FakeNitro
from nitro_attest.verification.signature import sig_structure

WHEN = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ENCLAVES = 100
PER_PATH = 100
"""Documents of one signing certificate: an enclave that asks every few minutes."""

FORGERIES = tuple(
    name for name, fault in FAULTS.items() if not (fault.verify or fault.at_shift or fault.exact)
)[::6][:10]
"""Ten faults that show under ``verify(document, root_pem, at=WHEN)``, of all families."""

SPEED_UP = 1.8
MAX_MIB = 250
MAX_BESIDE_US = 110
"""Limits: of the time with one process over that with two, of the memory of a worker, and of the
CPU time of a document beside the curve. An idle machine is needed for the first and the last:
``bare_speed_up`` shows what two processes gain here that only check signatures."""


def archive(folder: Path, documents: int) -> tuple[Path, Counter[str | None]]:
    """Writes an archive, and returns it with the number of documents for each expected code.

    One document is made of each path and written 100 times: no result is remembered, so each is
    verified anew, and making a million signatures would take longer than verifying them.
    """
    expected: Counter[str | None] = Counter()
    file = folder / "archive.parquet"
    schema = pa.schema([("id", pa.int64()), ("document", pa.binary())])
    fakes = [FakeNitro(seed=b"enclaves", enclave_id=f"{n:016x}") for n in range(ENCLAVES)]
    forged = [(fakes[0].document(at=WHEN, fault=name), FAULTS[name].code) for name in FORGERIES]
    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        for first in range(0, documents, 100 * PER_PATH):
            made = [_document(fakes, first // PER_PATH + n) for n in range(100)]
            rows = []
            for number in range(first, min(first + 100 * PER_PATH, documents)):
                if number % 100 == 99:
                    document, code = forged[number // 100 % len(forged)]
                else:
                    document, code = made[number % 100], None
                expected[code] += 1
                rows.append(document)
            ids = range(first, first + len(rows))
            writer.write_batch(pa.record_batch({"id": ids, "document": rows}, schema))
    return file, expected


def _document(fakes: list[FakeNitro], number: int) -> bytes:
    """A document of another path: another enclave, or the same one at another time."""
    at = WHEN - timedelta(seconds=number // len(fakes))
    return fakes[number % len(fakes)].document(at=at, user_data=number.to_bytes(8, "big"))


class Memory:
    """Notes the resident memory of each worker after each part."""

    def __init__(self) -> None:
        self.mib: dict[int, list[float]] = {}

    def __call__(self, done: Summary, total: int | None) -> None:
        """Called by ``verify_dataset``."""
        for process in multiprocessing.active_children():
            status = Path(f"/proc/{process.pid}/status")
            if process.pid and status.exists():
                kib = int(status.read_text().partition("VmRSS:")[2].split()[0])
                self.mib.setdefault(process.pid, []).append(kib / 1024)


def cpu_seconds() -> float:
    """CPU time of this process and of its workers that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measure(file: Path, verifier: Verifier, workers: int) -> dict[str, Any]:
    """Verifies the archive once."""
    memory = Memory()
    sink = file.with_name(f"results-{workers}.parquet")
    cpu, wall = cpu_seconds(), time.perf_counter()
    columns = Columns(keep=("id",))
    found = verify_dataset(file, sink, verifier, columns, at=WHEN, workers=workers, progress=memory)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {
        "workers": workers,
        "seconds": round(wall, 1),
        "cpu_us_per_document": round(cpu / found.rows * 1e6, 1),
        "worker_mib": [round(max(values)) for values in memory.mib.values()],
        "worker_mib_at_half": [round(values[len(values) // 2]) for values in memory.mib.values()],
        "counts": {None: found.verified, **found.rejected},
    }


def verification_us(file: Path, verifier: Verifier, count: int = 2000) -> float:
    """CPU time per document of ``verify_many`` alone, from a list to a list."""
    documents = next(pq.ParquetFile(file).iter_batches(count, columns=["document"]))
    items = documents.column(0).to_pylist()
    list(verifier.verify_many(items, workers=1, at=WHEN))
    start = time.process_time()
    list(verifier.verify_many(items, workers=1, at=WHEN))
    return (time.process_time() - start) / len(items) * 1e6


def arrow_us(file: Path, verifier: Verifier, count: int = 2000) -> float:
    """CPU time per document of Arrow in and out: a batch to requests, outcomes to a batch."""
    batch = next(pq.ParquetFile(file).iter_batches(count, columns=["document"]))
    start = time.process_time()
    items = list(arrow.requests_of(batch, Columns()))
    taken = time.process_time() - start
    outcomes = list(verifier.verify_many(items, workers=1, at=WHEN))
    start = time.process_time()
    arrow.result_arrays(outcomes)
    return (time.process_time() - start + taken) / batch.num_rows * 1e6


def bare_speed_up(file: Path, count: int = 4000) -> float:
    """The time that one process takes for this many bare verifications, over that of two."""
    seconds = []
    for processes in (1, 2):
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.map(partial(curve_us, file), [1] * processes)  # the processes have started
            start = time.perf_counter()
            pool.map(partial(curve_us, file), [count // processes] * processes, chunksize=1)
            seconds.append(time.perf_counter() - start)
    return seconds[0] / seconds[1]


def curve_us(file: Path, count: int = 500) -> float:
    """CPU time of one bare ECDSA P-384 verification by ``cryptography``."""
    (document,) = next(pq.ParquetFile(file).iter_batches(1, columns=["document"])).column(0)
    parsed = parse_unverified(document.as_py())
    key = x509.load_der_x509_certificate(parsed.certificate).public_key()
    r, s = (int.from_bytes(parsed.signature[i : i + 48], "big") for i in (0, 48))
    encoded, message = encode_dss_signature(r, s), sig_structure(parsed.protected, parsed.payload)
    start = time.process_time()
    for _ in range(count):
        key.verify(encoded, message, ALGORITHM)
    return (time.process_time() - start) / count * 1e6


def main() -> int:
    """Measures, prints JSON, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--accelerator")
    parser.add_argument("--folder", type=Path, help="of the archive; by default a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file, expected = archive(Path(folder), options.documents)
        roots = TrustedRoots.from_pem(FakeNitro(seed=b"enclaves").root_pem)
        verifier = Verifier(roots, policy=ANY_ENCLAVE, accelerator=options.accelerator)
        runs = [measure(file, verifier, workers) for workers in (1, 2)]
        report = {
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()}",
            "documents": options.documents,
            "accelerator": options.accelerator,
            "bytes": file.stat().st_size,
            "curve_us": round(curve_us(file), 1),
            "verify_many_us": round(verification_us(file, verifier), 1),
            "arrow_us": round(arrow_us(file, verifier), 1),
            "beside_curve_us": None,
            "runs": runs,
            "speed_up": round(runs[0]["seconds"] / runs[1]["seconds"], 2),
            "bare_speed_up": round(bare_speed_up(file), 2),
        }
    failures = []
    if options.accelerator is None:  # what an accelerator takes is not measured apart
        # One signature of each document, and one of each path: their issuers are soon known.
        curve = report["curve_us"] * (1 + 1 / PER_PATH)
        report["beside_curve_us"] = round(runs[0]["cpu_us_per_document"] - curve, 1)
        if report["beside_curve_us"] > MAX_BESIDE_US:
            failures.append(f"beside the curve: expected {MAX_BESIDE_US} us, see beside_curve_us")
    for run in runs:
        counts = run.pop("counts")
        if counts != expected:
            failures.append(f"{run['workers']} workers: expected {expected}, found {counts}")
        if any(mib > MAX_MIB for mib in run["worker_mib"]):
            failures.append(f"a worker has more than {MAX_MIB} MiB")
    if report["speed_up"] < SPEED_UP:
        failures.append(f"two processes: expected {SPEED_UP} x, found {report['speed_up']} x")
    print(json.dumps(report | {"failures": failures}, indent=2))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
