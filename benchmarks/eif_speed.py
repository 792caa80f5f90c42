"""Measures the time and memory that measuring a large enclave image takes.

Writes a sparse image whose second ramdisk holds nearly all bytes (the worst case: each of them
belongs to PCR0, PCR2 and the CRC-32) and measures it in a new process. The baseline is one
``hashlib.sha384`` pass over the same file, also in a new process. The two alternate; the fastest
pass of each is reported.

    python benchmarks/eif_speed.py [--mib 2048] [--rounds 3] [--folder DIR] [--json]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from nitro_attest.measurements import measure
from nitro_attest.measurements.eif.layout import CRC_OFFSET, HEADER, MAGIC, SECTION_HEAD

CHUNK = 1 << 20


def write_sparse_image(path: Path, ramdisk_bytes: int) -> None:
    """Writes a kernel, a command line, a small ramdisk and a large, sparse one of zeros."""
    sections = [(1, b"kernel"), (2, b"console=ttyS0"), (3, b"init")]
    body = b""
    offsets, sizes = [0] * 32, [0] * 32
    for index, (kind, data) in enumerate(sections):
        offsets[index], sizes[index] = HEADER.size + len(body), len(data)
        body += SECTION_HEAD.pack(kind, 0, len(data)) + data
    offsets[3], sizes[3] = HEADER.size + len(body), ramdisk_bytes
    body += SECTION_HEAD.pack(3, 0, ramdisk_bytes)
    header = HEADER.pack(MAGIC, 4, 0, 1 << 32, 2, 0, 4, *offsets, *sizes, 0, 0)
    crc = zlib.crc32(body, zlib.crc32(header[:CRC_OFFSET]))
    zeros = bytes(CHUNK)
    for start in range(0, ramdisk_bytes, CHUNK):
        crc = zlib.crc32(zeros[: ramdisk_bytes - start], crc)
    with path.open("wb") as file:
        file.write(header[:CRC_OFFSET] + struct.pack(">I", crc) + body)
        file.truncate(file.tell() + ramdisk_bytes)


def hash_once(path: Path) -> None:
    """Reads and hashes the file once, with the same buffer size: the baseline."""
    digest = hashlib.sha384()
    buffer = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])


def single_pass(name: str, path: Path) -> dict[str, float]:
    """Makes one pass; returns its seconds and the peak memory of this process in MiB."""
    start = time.perf_counter()
    if name == "measure":
        measure(path)
    else:
        hash_once(path)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "peak_mib": peak / (1 << 20 if sys.platform == "darwin" else 1024)}


def fresh_pass(name: str, path: Path) -> dict[str, float]:
    """Makes one pass in a new process."""
    command = [sys.executable, __file__, "--pass", name, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True)
    result: dict[str, float] = json.loads(answer.stdout)
    return result


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=2048, help="size of the large ramdisk in MiB")
    parser.add_argument("--rounds", type=int, default=3, help="passes of each kind")
    parser.add_argument("--folder", help="directory for the temporary sparse file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--pass", nargs=2, dest="single", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.single:
        print(json.dumps(single_pass(arguments.single[0], Path(arguments.single[1]))))
        return
    passes: dict[str, list[dict[str, float]]] = {"sha384": [], "measure": []}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "sparse.eif"
        write_sparse_image(path, arguments.mib << 20)
        for _ in range(arguments.rounds):
            for name, results in passes.items():
                results.append(fresh_pass(name, path))
    fastest = {name: min(r["seconds"] for r in results) for name, results in passes.items()}
    report = {
        "mib": arguments.mib,
        "sha384_seconds": round(fastest["sha384"], 3),
        "measure_seconds": round(fastest["measure"], 3),
        "ratio": round(fastest["sha384"] / fastest["measure"], 3),
        "peak_mib": round(max(r["peak_mib"] for r in passes["measure"]), 1),
    }
    if arguments.json:
        print(json.dumps(report))
    else:
        print(
            "{mib} MiB: sha384 {sha384_seconds} s, measure {measure_seconds} s, "
            "ratio {ratio}, peak {peak_mib} MiB".format(**report)
        )


if __name__ == "__main__":
    main()
