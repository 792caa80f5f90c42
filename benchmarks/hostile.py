"""Documents for the C core: accepted ones, and at least one of each class that it rejects."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import cbor2

from nitro_attest.errors import FormatError
from nitro_attest.testing import FAULTS, FakeNitro

WHEN = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
GENUINE = Path(__file__).parents[1] / "fixtures/real/20250916_encl_us-east-1_tkhq_b1086cbb.bin"


def inputs() -> dict[str, bytes]:
    """Returns documents by name; the same ones at every call."""
    return {"accepted: genuine": GENUINE.read_bytes(), "accepted: largest": _largest()} | {
        f"refused: {name}": document for name, document in (_faults() | _crafted()).items()
    }


def _envelope(payload: bytes) -> bytes:
    head = b"\x59" + len(payload).to_bytes(2, "big")
    return bytes.fromhex("8444a1013822a0") + head + payload + b"\x58\x60" + bytes(96)


def _fields() -> dict[str, object]:
    return {
        "module_id": "m" * 256,
        "digest": "SHA384",
        "timestamp": 1758057949422,
        "pcrs": {index: bytes(48) for index in range(32)},
        "certificate": bytes(1024),
        "cabundle": [bytes(1024)] * 8,
        "public_key": bytes(1024),
        "user_data": bytes(1024),
        "nonce": bytes(1024),
    }


def _largest() -> bytes:
    return _envelope(cbor2.dumps(_fields()))


def _faults() -> dict[str, bytes]:
    """Returns a document with the first fault of each code."""
    fake = FakeNitro(seed=b"benchmarks")
    found: dict[str, bytes] = {}
    for name, fault in FAULTS.items():
        if fault.code.partition(".")[0] in FormatError.families and fault.code not in found:
            found[fault.code] = fake.document(at=WHEN, fault=name)
    return found


def _crafted() -> dict[str, bytes]:
    """Returns the costliest inputs for a parser that recurses, searches or copies needlessly."""
    fields = _fields()
    last = dict(fields) | {"x": 0}
    twice = cbor2.dumps(fields)[1:] + cbor2.dumps("nonce") + cbor2.dumps(bytes(1024))
    return {
        "1 MB of zeros": bytes(1 << 20),
        "1 MB of nested arrays": b"\x84" * (1 << 20),
        "16 KB of nested arrays": b"\x84" * 16384,
        "payload of nested maps": _envelope(b"\xa1" * 16000),
        "payload of nested indefinite maps": _envelope(b"\xbf" * 16000),
        "map that claims 2^64-1 entries": _envelope(b"\xbb" + b"\xff" * 8 + bytes(16000)),
        "key of 15 KB": _envelope(b"\xa1\x79\x3a\x98" + b"k" * 15000),
        "unknown key after all others": _envelope(cbor2.dumps(last)),
        "key twice after all others": _envelope(b"\xaa" + twice),
        "15 KB of many byte UTF-8": _envelope(b"\xa1\x79\x3a\x98" + "é".encode() * 7500),
    }
