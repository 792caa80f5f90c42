"""Measurements in this process: verifications and their parts, each with its baseline."""

from __future__ import annotations

import hashlib
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import pairwise
from typing import Any

import naive
from bare import ALGORITHM, Pair, interleaved, microseconds, ratio, verify_pairs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from hostile import GENUINE, WHEN

from nitro_attest import ANY_ENCLAVE, TrustedRoots, Verifier, parse_unverified
from nitro_attest.testing import FakeNitro
from nitro_attest.verification import core
from nitro_attest.verification._native import ffi, lib
from nitro_attest.verification.signature import sig_structure

DOCUMENT = GENUINE.read_bytes()
PARSED = parse_unverified(DOCUMENT)
ROOT = x509.load_der_x509_certificate(PARSED.cabundle[0])
AT = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=PARSED.timestamp_ms)


def pairs() -> list[Pair]:
    """Returns the five signatures of the genuine document; the last one is the document's own."""
    bundle = [*PARSED.cabundle, PARSED.certificate]
    path = [x509.load_der_x509_certificate(der) for der in bundle]
    keys = [
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for certificate in path
    ]
    r, s = (int.from_bytes(PARSED.signature[i : i + 48], "big") for i in (0, 48))
    return [
        *(
            Pair(key, child.signature, child.tbs_certificate_bytes)
            for key, child in zip(keys, path[1:], strict=False)
        ),
        Pair(
            keys[-1],
            encode_dss_signature(r, s),
            sig_structure(PARSED.protected, PARSED.payload),
        ),
    ]


def single(rounds: int) -> dict[str, Any]:
    """Measures single verifications in one thread.

    Each case alternates with its own baseline only: any other work in between would evict it from
    the processor's caches, at a cost that depends on that other work.
    """
    five = pairs()
    last = five[-1]
    key = load_der_public_key(last.key)
    cold = Verifier(policy=ANY_ENCLAVE, cache_size=0)
    warm = Verifier(policy=ANY_ENCLAVE)
    fake = FakeNitro(seed=b"benchmarks")
    issuers = Verifier(TrustedRoots.from_pem(fake.root_pem), policy=ANY_ENCLAVE)
    made = iter([fake.document(at=WHEN + timedelta(seconds=n)) for n in range(2 * rounds + 2)])
    later = WHEN + timedelta(seconds=2 * rounds + 2)
    bare_five = partial(verify_pairs, five)
    bare_one = partial(key.verify, last.signature, last.message, ALGORITHM)
    anew = partial(verify_pairs, five[-1:])
    measured: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "cold / bare_five": (partial(cold.verify, DOCUMENT, at=AT), bare_five),
        "naive / bare_five": (partial(naive.verify, DOCUMENT, PARSED.cabundle[0], AT), bare_five),
        "library / bare_five": (partial(library_alone, last), bare_five),
        "issuers_known / bare_one_key_anew": (lambda: issuers.verify(next(made), at=later), anew),
        "issuers_known / bare_one": (lambda: issuers.verify(next(made), at=later), bare_one),
        "warm / bare_one": (partial(warm.verify, DOCUMENT, at=AT), bare_one),
        "parse / bare_one": (partial(parse_unverified, DOCUMENT), bare_one),
        "sha384 / bare_one": (lambda: hashlib.sha384(last.message).digest(), bare_one),
        "c_core_through_ffi / bare_one": (partial(through_ffi, 50), bare_one),
    }
    times, ratios = {}, {}
    for name, (case, base) in measured.items():
        found = interleaved({"case": case, "base": base}, rounds)
        share = 50 if case is measured["c_core_through_ffi / bare_one"][0] else 1
        case_name, _, base_name = name.partition(" / ")
        times[case_name] = round(microseconds(found["case"]) / share, 2)
        times[base_name] = microseconds(found["base"])
        ratios[name] = round(ratio(found, "case", "base") / share, 4)
    if issuers.cache_info()["issuer_misses"] != 1:
        raise SystemExit("issuer cache: expected 1 miss; the documents have different issuers")
    return {"microseconds": times, "ratios": ratios}


def library_alone(last: Pair) -> None:
    """Makes only the calls to ``cryptography`` that a first verification needs: the lower bound.

    It verifies each link, and decodes the names and extensions of each certificate below the root.
    """
    path = [ROOT, *map(x509.load_der_x509_certificate, PARSED.cabundle[1:])]
    path.append(x509.load_der_x509_certificate(PARSED.certificate))
    for issuer, subject in pairwise(path):
        _ = subject.subject, subject.extensions
        subject.verify_directly_issued_by(issuer)
    path[-1].public_key().verify(last.signature, last.message, ALGORITHM)


def through_ffi(times: int) -> None:
    """Calls both functions of the C core and reads their results, without slicing the fields."""
    for _ in range(times):
        envelope = ffi.new("nitro_sign1 *")
        lib.nitro_sign1_parse(DOCUMENT, len(DOCUMENT), envelope)
        core._SIGN1.unpack(ffi.buffer(envelope))
        out = ffi.new("nitro_payload *")
        lib.nitro_payload_parse(PARSED.payload, len(PARSED.payload), ffi.NULL, out)
        core._PAYLOAD.unpack(ffi.buffer(out))


def many(rounds: int, size: int) -> dict[str, Any]:
    """Measures the wall-clock time of verify_many with a cached path, and of its baseline."""
    last = pairs()[-1]
    key = load_der_public_key(last.key)
    verifier = Verifier(policy=ANY_ENCLAVE)

    def bare(count: int) -> None:
        for _ in range(count):
            key.verify(last.signature, last.message, ALGORITHM)

    def bare_threads() -> None:
        threads = [threading.Thread(target=bare, args=(size // 2,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def verify(workers: int) -> None:
        deque(verifier.verify_many([DOCUMENT] * size, workers=workers, at=AT), 0)

    cases: dict[str, Callable[[], None]] = {
        "bare, 1 thread": partial(bare, size),
        "bare, 2 threads": bare_threads,
        "verify_many, 1 worker": partial(verify, 1),
        "verify_many, 2 workers": partial(verify, 2),
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, call in cases.items():
            start = time.perf_counter()
            call()
            found[name].append((time.perf_counter() - start) / size * 1e6)
    each = {name: statistics.median(times) for name, times in found.items()}
    bare_speedup = each["bare, 1 thread"] / each["bare, 2 threads"]
    speedup = each["verify_many, 1 worker"] / each["verify_many, 2 workers"]
    return {
        "wall_microseconds_a_document": {name: round(t, 1) for name, t in each.items()},
        "speed-up of 2 threads": {
            "bare": round(bare_speedup, 3),
            "verify_many": round(speedup, 3),
            "verify_many / bare": round(speedup / bare_speedup, 3),
        },
    }
