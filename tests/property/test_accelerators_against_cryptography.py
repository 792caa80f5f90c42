"""Accelerators against ``cryptography``, on signatures good and changed and at every edge.

Each must confirm nothing that ``cryptography`` rejects. NITRO_ATTEST_LONG=1 compares a million.
"""

import hashlib
import json
import os
import random
from itertools import islice
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from nitro_attest import InputError
from nitro_attest.verification import accelerators
from nitro_attest.verification.accelerators import aws_lc, libcrypto_mb
from nitro_attest.verification.signature import SignatureClaim, check_with_cryptography
from reference.claims import changed, good_claims, signing_key

COUNT = 1_000_000 if os.environ.get("NITRO_ATTEST_LONG") else 4_000


@pytest.fixture(params=accelerators.NAMES)
def confirmed(request, monkeypatch):
    """Returns a function that gives the claims which the accelerator alone confirms."""
    for module in (aws_lc, libcrypto_mb):
        monkeypatch.setattr(module, "check_with_cryptography", lambda claim: False)
    try:
        accelerator = accelerators.load(request.param)
    except InputError as error:
        pytest.skip(f"{request.param} was not compared: {error.message}")
    return lambda claims: [accelerator.precheck(claims)(claim) for claim in claims]


def test_c16_it_confirms_nothing_that_cryptography_rejects_and_all_that_it_accepts(confirmed):
    good = list(good_claims(b"accelerators", 64))
    chooser = random.Random("claims")
    claims = (changed(chooser.choice(good), good, chooser) for _ in range(COUNT))
    compared = accepted = 0
    while some := list(islice(claims, 1_000)):
        expected = [check_with_cryptography(claim) for claim in some]
        assert confirmed_in_eights(confirmed, some) == expected
        compared += len(some)
        accepted += sum(expected)
    assert compared == COUNT
    assert COUNT / 20 < accepted < COUNT / 2
    print(f"\n{compared} compared, {accepted} accepted by both")


def confirmed_in_eights(confirmed, claims):
    return [
        found
        for start in range(0, len(claims), 8)
        for found in confirmed(claims[start : start + 8])
    ]


def test_c16_wycheproofs_cases(confirmed):
    folder = os.environ.get("NITRO_ATTEST_VECTORS")
    name = "wycheproof_ecdsa_secp384r1_sha384_p1363.json"
    if not folder or not (Path(folder) / name).is_file():
        pytest.skip(f"NITRO_ATTEST_VECTORS is not set or has no {name}: unread")
    groups = json.loads((Path(folder) / name).read_text())["testGroups"]
    compared = 0
    for group in groups:
        key = load_der_public_key(bytes.fromhex(group["publicKeyDer"]))
        assert isinstance(key.curve, ec.SECP384R1)
        for case in group["tests"]:
            signature = bytes.fromhex(case["sig"])
            if len(signature) != 96:
                continue  # C-10 rejects it before any curve is asked
            claim = SignatureClaim(
                signing_key(key), signature, hashlib.sha384(bytes.fromhex(case["msg"])).digest()
            )
            assert confirmed([claim] * 3) == [case["result"] == "valid"] * 3, case["comment"]
            compared += 1
    assert compared > 200
