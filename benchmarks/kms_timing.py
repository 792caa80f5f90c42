"""Measures if the time of RecipientKey.decrypt reveals which of its checks failed (K-8).

Answers of four kinds are decrypted in random order: one that decrypts, one whose content key does
not decrypt (OAEP), one whose content key has a different length, and one whose padding is wrong.
Every attempt has a new blob, so that no cache contains it. The mean of each kind of failure is
compared with that of the padding failures by Welch's t; a value beyond about 4.5 is not chance.

    python benchmarks/kms_timing.py [--tries 10000] [--clock wall|cpu] [--json]

An observer can measure only wall time. The CPU time of the thread has less noise and shows more.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import json
import math
import random
import secrets
import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from nitro_attest.errors import KmsError
from nitro_attest.kms.recipient import RecipientKey
from nitro_attest.testing.cms import enclose

KINDS = ("opens", "oaep", "length", "padding")
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
CLOCKS = {"wall": time.perf_counter_ns, "cpu": time.thread_time_ns}
POOL = 500


def make(kind: str, public_key: rsa.RSAPublicKey, key_id: bytes) -> bytes:
    """One blob of a kind, all of them of the same length."""
    content_key, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    tail = b"\x11" if kind == "padding" else b"\x01"
    encryptor = Cipher(algorithms.AES(content_key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(secrets.token_bytes(47) + tail)
    sealed = public_key.encrypt(content_key[:31] if kind == "length" else content_key, OAEP)
    if kind == "oaep":
        sealed = bytes([sealed[0] >> 1]) + secrets.token_bytes(len(sealed) - 1)
    return enclose(key_id, sealed, iv, ciphertext)


def measure(tries: int, clock: Callable[[], int]) -> dict[str, list[float]]:
    """Microseconds of each try, by kind."""
    private_key = rsa.generate_private_key(65537, 2048)
    key = RecipientKey(private_key)
    key_id = hashlib.sha256(key.public_key_der).digest()
    pool = {
        kind: [make(kind, private_key.public_key(), key_id) for _ in range(POOL)] for kind in KINDS
    }
    order = [kind for kind in KINDS for _ in range(tries)]
    random.shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    gc.disable()
    for kind in order:
        blob = random.choice(pool[kind])
        start = clock()
        with contextlib.suppress(KmsError):
            key.decrypt(blob)
        times[kind].append((clock() - start) / 1000)
    return times


def welch(left: list[float], right: list[float]) -> float:
    """Welch's t of two samples, without their slowest twentieth, which is the scheduler's."""
    left, right = (sorted(sample)[: len(sample) * 19 // 20] for sample in (left, right))
    error = math.sqrt(
        statistics.variance(left) / len(left) + statistics.variance(right) / len(right)
    )
    return (statistics.fmean(left) - statistics.fmean(right)) / error


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=10_000)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    times = measure(arguments.tries, CLOCKS[arguments.clock])
    rows = [
        {
            "kind": kind,
            "tries": len(times[kind]),
            "median_us": round(statistics.median(times[kind]), 1),
            "mean_us": round(statistics.fmean(times[kind]), 1),
            "deviation_us": round(statistics.stdev(times[kind]), 1),
            "t_against_padding": round(welch(times[kind], times["padding"]), 1),
        }
        for kind in KINDS
    ]
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
