"""Measures verifications with and without each accelerator that is installed.

    python benchmarks/accelerated.py [--rounds 30]

First prints CPU time as ratios: one document with AWS-LC against bare verifications by
``cryptography``, and a batch of documents of new paths with libcrypto_mb, in one worker, against
the same batch without. Then the median wall-clock time of verify_many per document of a cached
path. Whatever is compared takes turns in every round.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from datetime import timedelta
from functools import partial

from bare import ALGORITHM, interleaved, ratio, verify_pairs
from cases import AT, DOCUMENT, pairs
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hostile import WHEN

from nitro_attest import ANY_ENCLAVE, InputError, TrustedRoots, Verifier
from nitro_attest.testing import FakeNitro
from nitro_attest.verification import accelerators

SIZE = 64

_NEW_ISSUERS = timedelta(days=21)
"""After this time every certificate below the root has been replaced."""


def single(rounds: int) -> dict[str, float]:
    """Returns the CPU time of one document with AWS-LC, against bare verifications.

    ``cold`` has no cached path and is compared with five verifications, ``warm`` with one.
    """
    five = pairs()
    last, key = five[-1], load_der_public_key(five[-1].key)
    cold = Verifier(policy=ANY_ENCLAVE, accelerator="aws-lc", cache_size=0)
    warm = Verifier(policy=ANY_ENCLAVE, accelerator="aws-lc")
    cases = {
        "cold": partial(cold.verify, DOCUMENT, at=AT),
        "five": partial(verify_pairs, five),
        "warm": partial(warm.verify, DOCUMENT, at=AT),
        "one": partial(key.verify, last.signature, last.message, ALGORITHM),
    }
    found = interleaved({name: cases[name] for name in ("cold", "five")}, rounds)
    found |= interleaved({name: cases[name] for name in ("warm", "one")}, rounds)
    return {
        "cold with aws-lc / five bare": ratio(found, "cold", "five"),
        "warm with aws-lc / one bare": ratio(found, "warm", "one"),
    }


def new_paths(rounds: int) -> dict[str, float]:
    """Returns how many times faster a batch of new paths is with libcrypto_mb, in one worker."""
    fake = FakeNitro(seed=b"benchmarks")
    roots = TrustedRoots.from_pem(fake.root_pem)
    documents = [fake.document(at=WHEN + number * _NEW_ISSUERS) for number in range(SIZE)]

    def verify(accelerator: str | None) -> None:
        verifier = Verifier(roots, policy=ANY_ENCLAVE, accelerator=accelerator)
        for outcome in verifier.verify_many(documents, workers=1, at="document"):
            outcome.unwrap()
        if verifier.cache_info()["issuers"] != SIZE:
            raise SystemExit("expected documents of different issuers")

    cases = {"without": partial(verify, None), "with": partial(verify, "libcrypto_mb")}
    return {
        "new paths, without / with libcrypto_mb": ratio(
            interleaved(cases, rounds), "without", "with"
        )
    }


def verifiers(roots: TrustedRoots) -> dict[str, Verifier]:
    """Returns one verifier for each signature check that runs on this machine."""
    found = {"cryptography": Verifier(roots, policy=ANY_ENCLAVE)}
    for name in accelerators.NAMES:
        try:
            found[name] = Verifier(roots, policy=ANY_ENCLAVE, accelerator=name)
        except InputError as error:
            print(f"{name}: not measured: {error.message}")
    return found


def microseconds(verifier: Verifier, documents: list[bytes], workers: int) -> float:
    """Returns the wall-clock time per document of one batch."""
    start = time.perf_counter()
    for outcome in verifier.verify_many(documents, workers=workers, at=WHEN):
        outcome.unwrap()
    return (time.perf_counter() - start) / len(documents) * 1e6


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="batches of each accelerator")
    rounds = parser.parse_args().rounds
    fake = FakeNitro(seed=b"benchmarks")
    known = verifiers(TrustedRoots.from_pem(fake.root_pem))
    # One signing certificate, and all signatures differ: equal ones would be checked once.
    documents = [fake.document(at=WHEN, user_data=bytes([number])) for number in range(SIZE)]
    for verifier in known.values():
        microseconds(verifier, documents, workers=1)  # caches the path
    found: dict[str, float] = {}
    if "aws-lc" in known:
        found |= single(rounds)
    if "libcrypto_mb" in known:
        found |= new_paths(max(rounds // 10, 3))
    for name, value in found.items():
        print(f"{name:40} {value:5.2f}")
    for workers in (1, 2):
        times: dict[str, list[float]] = {name: [] for name in known}
        for _ in range(rounds):
            for name, verifier in known.items():
                times[name].append(microseconds(verifier, documents, workers))
        base = statistics.median(times["cryptography"])
        for name, measured in times.items():
            each = statistics.median(measured)
            print(f"workers: {workers}  {name:14} {each:7.1f} us  {base / each:5.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
