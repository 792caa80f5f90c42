"""The fuzz targets hold wherever the tests run: over their seeds, and over seeded mutations."""

import hashlib
import random
import re
import sys
from itertools import chain

import pytest

from nitro_attest.verification.core import Limits, parse
from nitro_attest.verification.signature import sig_structure
from support.paths import ROOT

sys.path.insert(0, str(ROOT / "fuzz"))

from run import lines_of
from targets import TARGETS, certificates, documents

MUTATIONS = 300


def seeds_of(name):
    return list(dict.fromkeys(TARGETS[name].seeds()))


def mutations(seeds, chooser):
    for _ in range(MUTATIONS):
        data = bytearray(chooser.choice(seeds))
        for _ in range(chooser.randint(1, 3)):
            at = chooser.randint(0, len(data))
            other = chooser.choice(seeds)
            start = chooser.randint(0, len(other))
            size = chooser.randint(0, 16)
            change = chooser.choice(["flip", "insert", "delete", "splice"])
            if change == "flip" and at < len(data):
                data[at] ^= 1 << chooser.randrange(8)
            elif change == "insert":
                data[at:at] = chooser.randbytes(size)
            elif change == "delete":
                del data[at : at + size]
            elif change == "splice":
                data[at : at + size] = other[start : start + size]
        yield bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_must_hold_holds_for_the_seeds_of_which_some_are_accepted_and_some_rejected(name):
    accepted = [TARGETS[name].check(seed) for seed in seeds_of(name)]
    assert set(accepted) == {True, False}


@pytest.mark.parametrize("name", TARGETS)
def test_what_must_hold_holds_for_mutations_of_the_seeds(name):
    for data in mutations(seeds_of(name), random.Random(name)):
        TARGETS[name].check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_dictionary_of_a_target_is_there_and_the_seeds_fit(name):
    assert (ROOT / "fuzz" / TARGETS[name].dictionary).is_file()
    assert max(map(len, seeds_of(name))) <= TARGETS[name].longest


def tolerant_parse(document, limits, unknown_fields):
    return parse(document, Limits(4096, 4096, 4096), unknown_fields)


def unchecked_signature(document, key, check):
    return hashlib.sha384(sig_structure(document.protected, document.payload)).digest()


class Everything:
    def __contains__(self, item):
        return True


# A target, what to break in the code that it is about, and what to put there.
BREAKAGES = [
    ("document", "nitro_attest.verification.document.parse", tolerant_parse),
    ("payload", "reference.cose_reference.shortest_info", lambda argument: 27),
    ("verify", "nitro_attest.verification.verifier.check_signature", unchecked_signature),
    (
        "signed",
        "nitro_attest.verification.signature.sig_structure",
        lambda protected, payload: payload,
    ),
    ("challenge", "nitro_attest.freshness.stores.MemoryStore.take", lambda self, key: 1 << 50),
    ("certificate", "nitro_attest.verification.certificate._UNDERSTOOD", Everything()),
    ("chain", "nitro_attest.verification.path._check_signature", lambda parent, child, path: None),
    ("eif", "nitro_attest.measurements.eif.layout._check_tables", lambda *found: []),
    ("eif", "nitro_attest.measurements.eif.image.image_measurement", bytes),
    ("json", "nitro_attest._internal.strict_json._object", dict),
    ("nitro_cli", "nitro_attest.cli.nitro_cli._MAX_CID", 1 << 40),
    ("http_answer", "nitro_attest.transport.response._LENGTH", re.compile("[0-9_]+")),
    ("http_request", "nitro_attest.enclave.server._NONCE_QUERY", re.compile("nonce=(..).*")),
    ("tls_request", "nitro_attest.enclave.answers._NONCE_QUERY", re.compile("nonce=(..).*")),
    ("tls_request", "nitro_attest.enclave.tls_server._START", b"GET /"),
    ("statement", "nitro_attest.provenance.statement.ZERO_PCR", b""),
    ("statement", "nitro_attest.provenance.statement._check_hash_algorithm", print),
    ("envelope", "nitro_attest.provenance.key._signed", lambda *found: True),
    ("recipient", "nitro_attest.kms.recipient.hmac.compare_digest", lambda one, other: True),
]


@pytest.mark.parametrize(("name", "broken", "value"), BREAKAGES, ids=[b for _, b, _ in BREAKAGES])
def test_a_target_notices_that_the_code_it_is_about_is_broken(name, broken, value, monkeypatch):
    documents.signed(), certificates.signed_paths()  # found by sound code
    seeds = seeds_of(name)
    monkeypatch.setattr(broken, value)
    with pytest.raises(AssertionError):
        list(map(TARGETS[name].check, chain(seeds, mutations(seeds, random.Random(name)))))


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_names_code_that_exists(name):
    assert TARGETS[name].covers
    for part in TARGETS[name].covers:
        assert lines_of(part)[1]


def test_code_that_does_not_exist_cannot_be_named():
    for part in ("absent", "enclave.client:absent", "enclave.client:fetch,Fetched.absent"):
        with pytest.raises(ValueError, match=" has no "):
            lines_of(part)
