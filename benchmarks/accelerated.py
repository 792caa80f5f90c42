"""Time saved by accelerators, for documents of a known path: each installed one, and none.

    python benchmarks/accelerated.py [--rounds 30]

Wall-clock time of one document through verify_many, medians of rounds in which all take turns.
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
    """One for each way to check signatures that this machine has."""
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
    """One document of SIZE."""
    start = time.perf_counter()
    for outcome in verifier.verify_many([DOCUMENT] * SIZE, workers=workers, at=AT):
        outcome.unwrap()
    return (time.perf_counter() - start) / SIZE * 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What accelerators save.")
    parser.add_argument("--rounds", type=int, default=30)
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
            print(f"{workers} workers  {name:14} {each:7.1f} us  {base / each:5.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
