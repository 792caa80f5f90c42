"""Tests for a timing difference between the failed checks of RecipientKey.decrypt (K-8).

Decrypts four kinds of KMS answers in random order: valid ones, ones whose content key does not
decrypt (OAEP), ones whose content key has the wrong length, and ones with invalid padding. Answers
are drawn from a pool of 500 of each kind. The mean of each kind is compared with the mean of the
padding failures by Welch's t-test: an absolute value above about 4.5 is not due to chance.

    python benchmarks/kms_timing.py [--tries 10000] [--clock wall|cpu] [--json]

An attacker can observe wall-clock time only. Thread CPU time has less noise, so it shows smaller
differences.
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
from nitro_attest.testing.cms import encode_cms

KINDS = ("valid", "oaep", "length", "padding")
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
CLOCKS = {"wall": time.perf_counter_ns, "cpu": time.thread_time_ns}
POOL = 500


def make(kind: str, public_key: rsa.RSAPublicKey, key_id: bytes) -> bytes:
    """Makes one answer of a kind; the answers of all kinds have the same length."""
    content_key, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    tail = b"\x11" if kind == "padding" else b"\x01"
    encryptor = Cipher(algorithms.AES(content_key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(secrets.token_bytes(47) + tail)
    encrypted_key = public_key.encrypt(content_key[:31] if kind == "length" else content_key, OAEP)
    if kind == "oaep":
        encrypted_key = bytes([encrypted_key[0] >> 1]) + secrets.token_bytes(255)
    return encode_cms(key_id, encrypted_key, iv, ciphertext)


def measure(tries: int, clock: Callable[[], int]) -> dict[str, list[float]]:
    """Returns the microseconds of each try, by kind."""
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
    """Returns Welch's t of two samples, each without its slowest 5 %, which are scheduler noise."""
    left, right = (sorted(sample)[: len(sample) * 19 // 20] for sample in (left, right))
    error = math.sqrt(
        statistics.variance(left) / len(left) + statistics.variance(right) / len(right)
    )
    return (statistics.fmean(left) - statistics.fmean(right)) / error


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=10_000, help="decryptions of each kind")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="time to measure")
    parser.add_argument("--json", action="store_true", help="print JSON")
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
