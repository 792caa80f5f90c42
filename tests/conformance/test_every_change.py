"""No change of a genuine document verifies: of a byte, of a bit, cut short, with a byte more.

By default all truncations and seeded samples of the rest. Everything, with the counts printed:

    NITRO_ATTEST_LONG=1 pytest -s tests/conformance/test_every_change.py
"""

import os
import random
from collections import Counter

import pytest

from nitro_attest import (
    AnyEnclave,
    ChainError,
    FormatError,
    NitroAttestError,
    SignatureError,
    Verifier,
    parse_unverified,
)
from support.paths import FIXTURES

LONG = bool(os.environ.get("NITRO_ATTEST_LONG"))
DOCUMENTS = {path.stem: path.read_bytes() for path in sorted((FIXTURES / "real").glob("*.bin"))}
VERIFIER = Verifier(policy=AnyEnclave(allow_debug=True))

# Which steps may reject a change, by where it is made. What covers the certificates is judged after
# them. A changed head in the payload nearly always spoils its form; a greater length of a
# certificate that swallows exactly the next fields does not, and makes it no certificate.
REJECTED_BY = {
    "envelope": {FormatError},
    "payload": {FormatError, ChainError, SignatureError},
    "certificates": {ChainError},
    "signature": {SignatureError},
}


def regions(document):
    """Where each byte of a document belongs."""
    parsed = parse_unverified(document)
    found = ["envelope"] * len(document)
    parts = [(parsed.payload, "payload"), (parsed.signature, "signature")]
    parts += [(der, "certificates") for der in (*parsed.cabundle, parsed.certificate)]
    for content, region in parts:
        start = document.index(content)
        found[start : start + len(content)] = [region] * len(content)
    return found


def error_of(document):
    """The error that a document is rejected with; None if it verifies."""
    try:
        VERIFIER.verify(document, at="document")
    except NitroAttestError as error:
        rejected = error
    else:
        return None
    assert rejected.offset is None or 0 <= rejected.offset <= len(document)
    return rejected


def sample(population, size, chooser):
    return population if LONG else sorted(chooser.sample(population, size))


def other_values(byte, chooser):
    """All other values of a byte: the eight with one bit changed, and of the rest some or all."""
    bits = [byte ^ 1 << bit for bit in range(8)]
    return bits + sample([value for value in range(256) if value not in (byte, *bits)], 4, chooser)


def report(what, counts):
    print(f"\n{what}: {sum(counts.values())} rejected; " + ", ".join(
        f"{' '.join(key)} {count}" for key, count in sorted(counts.items())
    ))  # fmt: skip


def test_the_documents_verify_unchanged_and_each_region_is_there():
    assert len(DOCUMENTS) >= 3
    for document in DOCUMENTS.values():
        assert error_of(document) is None
        assert set(regions(document)) == set(REJECTED_BY)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_change_of_a_byte_or_a_bit_is_rejected_by_the_step_it_concerns(name):
    document, chooser, counts = DOCUMENTS[name], random.Random(name), Counter()
    where = regions(document)
    for at in sample(range(len(document)), 150, chooser):
        for value in other_values(document[at], chooser):
            error = error_of(document[:at] + bytes([value]) + document[at + 1 :])
            assert type(error) in REJECTED_BY[where[at]], (at, value, error)
            counts[where[at], type(error).__name__] += 1
    assert not LONG or sum(counts.values()) == 255 * len(document)
    report(f"{name}: one byte changed", counts)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_c13_every_truncation_is_a_format_error_at_its_end(name):
    document = DOCUMENTS[name]
    for size in range(len(document)):
        error = error_of(document[:size])
        assert type(error) is FormatError
        assert error.code == ("document.empty" if size == 0 else "cbor.truncated")
        assert error.offset == size
    report(f"{name}: cut short", Counter({("anywhere", "FormatError"): len(document)}))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_insertion_of_a_byte_is_a_format_error_but_that_of_the_tag(name):
    document, counts = DOCUMENTS[name], Counter()
    for at in sample(range(len(document) + 1), 40, random.Random(name)):
        for value in range(256):
            longer = document[:at] + bytes([value]) + document[at:]
            error = error_of(longer)
            if longer == b"\xd2" + document:  # C-4
                assert error is None
                continue
            assert type(error) is FormatError, (at, value, error)
            counts["anywhere", error.code] += 1
    assert not LONG or sum(counts.values()) == 256 * (len(document) + 1) - 1
    report(f"{name}: one byte more", counts)
