"""Measures verify_many with and without each accelerator that is installed.

    python benchmarks/accelerated.py [--rounds 30]

All documents have a cached certificate path. Prints the median wall-clock time per document; the
accelerators take turns in every round.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from cases import AT, DOCUMENT

from nitro_attest import ANY_ENCLAVE, InputError, Verifier
from nitro_attest.verification import accelerators

SIZE = 64


def verifiers() -> dict[str, Verifier]:
    """Returns one verifier for each signature check that runs on this machine."""
    found = {"cryptography": Verifier(policy=ANY_ENCLAVE)}
    for name in accelerators.NAMES:
        try:
            found[name] = Verifier(policy=ANY_ENCLAVE, accelerator=name)
        except InputError as error:
            print(f"{name}: not measured: {error.message}")
    for verifier in found.values():
        verifier.verify(DOCUMENT, at=AT)
    return found


def microseconds(verifier: Verifier, workers: int) -> float:
    """Returns the wall-clock time per document of one batch of SIZE documents."""
    start = time.perf_counter()
    for outcome in verifier.verify_many([DOCUMENT] * SIZE, workers=workers, at=AT):
        outcome.unwrap()
    return (time.perf_counter() - start) / SIZE * 1e6


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="batches of each accelerator")
    rounds = parser.parse_args().rounds
    known = verifiers()
    for workers in (1, 2):
        times: dict[str, list[float]] = {name: [] for name in known}
        for _ in range(rounds):
            for name, verifier in known.items():
                times[name].append(microseconds(verifier, workers))
        base = statistics.median(times["cryptography"])
        for name, found in times.items():
            each = statistics.median(found)
            print(f"workers: {workers}  {name:14} {each:7.1f} us  {base / each:5.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
