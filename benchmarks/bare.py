"""The baseline (the curve operations of one document, and nothing else) and the timing loop.

Needs only ``cryptography``, so that it also runs in another verifier's environment.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_der_public_key

ALGORITHM = ec.ECDSA(SHA384())


class Pair(NamedTuple):
    """A key (DER SubjectPublicKeyInfo), a signature (DER) and the signed message."""

    key: bytes
    signature: bytes
    message: bytes


def verify_pairs(pairs: Iterable[Pair]) -> None:
    """Loads each key and verifies its signature."""
    for key, signature, message in pairs:
        load_der_public_key(key).verify(signature, message, ALGORITHM)


def interleaved(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[int]]:
    """Returns the thread CPU time of each case in nanoseconds; the cases alternate."""
    found: dict[str, list[int]] = {name: [] for name in cases}
    for call in cases.values():
        call()  # excludes what is created at first use
    for _ in range(rounds):
        for name, call in cases.items():
            start = time.thread_time_ns()
            call()
            found[name].append(time.thread_time_ns() - start)
    return found


def ratio(found: Mapping[str, list[int]], name: str, base: str) -> float:
    """Returns the median over the rounds of the time of a case divided by that of the base."""
    return statistics.median(x / y for x, y in zip(found[name], found[base], strict=True))


def microseconds(times: list[int]) -> float:
    """Returns the median of times in nanoseconds."""
    return round(statistics.median(times) / 1000, 2)
