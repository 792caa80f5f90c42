"""B-4 to B-11: bindings over genuine documents.

Each binding accepts every document of its form with the right statement, and rejects every other
one. The forms are written a second time here, over raw fields, and the documents of a product are
named by the repositories in which they were published.
"""

import base64
import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from nitro_attest import verify, verify_nitrotpm
from nitro_attest.channel.bindings import (
    Dstack,
    Evervault,
    Nautilus,
    Nitriding,
    Oyster,
    Secp256k1Key,
    TlsCertificateDigest,
    TlsKey,
    TlsKeyDigest,
    TurnkeyApp,
    TurnkeyBoot,
)
from support.bindings import altered, changes, peer_with, unbound
from support.errors import code_of, code_or_none
from support.paths import FIXTURES

P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
P256K = 2**256 - 2**32 - 977
P25519 = 2**255 - 19


@pytest.fixture(scope="module")
def enclaves(corpus):
    """The attestation of each genuine enclave document, with its manifest entry."""
    genuine = [each for each in corpus if each[0]["expect"] == "genuine"]
    found = [each for each in genuine if each[0]["kind"] == "enclave"]
    assert len(found) > 100
    return [(e, verify(document, at="document", allow_debug=True)) for e, document in found]


@pytest.fixture(scope="module")
def turnkey():
    """A published boot proof and app proof of Turnkey, which cannot be distributed."""
    path = Path(os.environ.get("NITRO_ATTEST_CORPUS", "")).parent / "bindings/turnkey-1.json"
    if "NITRO_ATTEST_CORPUS" not in os.environ or not path.exists():
        pytest.skip(
            "no proofs of Turnkey: NITRO_ATTEST_CORPUS is not set, or has no sibling bindings/"
        )
    return json.loads(path.read_text())


def accepted(check, enclaves):
    """The documents that a check accepts, by file, with the result; no other error is raised."""
    results = {}
    for entry, attestation in enclaves:
        code = code_or_none(check, attestation)
        assert code in (None, "policy.binding")
        if code is None:
            results[entry["file"]] = check(attestation)
    return results


def published_by(enclaves, *owners):
    """The documents of these owners of repositories: their attestations by file."""
    return {
        entry["file"]: attestation
        for entry, attestation in enclaves
        if any(
            f"github.com/{owner}/" in s["repository"] for s in entry["source"] for owner in owners
        )
    }


def of_form(enclaves, form):
    """The files of the documents whose public_key and user_data have a form."""
    return {e["file"] for e, a in enclaves if form(a.public_key or b"", a.user_data or b"")}


def on_curve(x, y, p, a, b):
    x, y = int.from_bytes(x, "big"), int.from_bytes(y, "big")
    return max(x, y) < p and (y * y - x**3 - a * x - b) % p == 0


def is_secp256k1(octets):
    return len(octets) == 64 and on_curve(octets[:32], octets[32:], P256K, 0, 7)


def is_p256(octets):
    return octets[:1] == b"\x04" and on_curve(octets[1:33], octets[33:], P256, -3, P256_B)


def is_ed25519(octets):
    return len(octets) == 32  # no more can be said without using the key


def test_b4_nitriding(enclaves):
    results = accepted(Nitriding.read, enclaves)
    form = of_form(
        enclaves, lambda _, data: len(data) == 68 and data[:2] == data[34:36] == b"\x12\x20"
    )
    assert results.keys() == form
    assert len(form) == 12
    products = published_by(enclaves, "0xfreysa", "chrisschnabl", "EternisAI", "OpenGradient")
    assert form <= products.keys()
    for file, keys in results.items():
        data = products[file].user_data
        assert keys.certificate_digest == data[2:34]
        assert keys.application_digest == (data[36:] if any(data[36:]) else None)
        assert products[file].nonce is not None
        assert len(products[file].nonce) == Nitriding().nonce_bytes
    assert {bool(keys.application_digest) for keys in results.values()} == {True, False}


def test_b4_no_certificate_but_the_unknown_one_matches(enclaves):
    peer = peer_with(load_der_public_key(next(iter(evervault_keys(enclaves).values()))))
    assert not accepted(lambda attestation: Nitriding().check(attestation, peer), enclaves)
    [*_, attestation] = published_by(enclaves, "OpenGradient").values()
    own = b"\x12\x20" + sha256(peer.certificate).digest() + attestation.user_data[34:]
    for changed in changes(own[:36]):
        unbound(Nitriding().check, altered(attestation, user_data=changed + own[36:]), peer)
    Nitriding().check(altered(attestation, user_data=own), peer)


def evervault_keys(enclaves):
    """The user_data of the documents of Evervault Enclaves that is a TLS key."""
    products = published_by(enclaves, "evervault", "p-11")
    return {f: a.user_data for f, a in products.items() if len(a.user_data or b"") in (91, 120)}


def test_b5_evervault(enclaves):
    keys = evervault_keys(enclaves)
    assert len(keys) == 9
    for own, key in keys.items():
        peer = peer_with(load_der_public_key(key))
        results = accepted(lambda a, peer=peer: Evervault().check(a, peer), enclaves)
        assert own in results
        assert results.keys() == {file for file, other in keys.items() if other == key}
        assert {bound.public_key for bound in results.values()} == {key}


def test_b5_each_changed_byte_of_a_genuine_key_is_rejected(enclaves):
    attestations = published_by(enclaves, "evervault", "p-11")
    for file, key in evervault_keys(enclaves).items():
        peer = peer_with(load_der_public_key(key))
        for changed in changes(key):
            unbound(Evervault().check, altered(attestations[file], user_data=changed), peer)


def test_b5_no_other_field_is_a_tls_key(enclaves):
    """No user_data but Evervault's is the canonical DER of a key, so no server can match it."""
    known = evervault_keys(enclaves)
    for entry, attestation in enclaves:
        if entry["file"] not in known and attestation.user_data:
            with pytest.raises(ValueError, match="key"):
                load_der_public_key(attestation.user_data)


def test_b1_to_b3_no_document_matches_a_server_that_it_does_not_name(enclaves):
    for key in evervault_keys(enclaves).values():
        peer = peer_with(load_der_public_key(key))
        bindings = [TlsKey()]
        for field in ("public_key", "user_data"):
            bindings.append(TlsKeyDigest(field=field, path="/"))
            bindings.append(TlsCertificateDigest(field=field, path="/"))
        for binding in bindings:
            assert not accepted(lambda a, b=binding, peer=peer: b.check(a, peer), enclaves)


@pytest.mark.parametrize("kind", ["x25519", "ed25519", "secp256k1"])
def test_b6_oyster(enclaves, kind):
    forms = {
        "x25519": lambda key, _: len(key) == 32 and int.from_bytes(key, "little") < P25519,
        "ed25519": lambda key, _: is_ed25519(key),
        "secp256k1": lambda key, _: is_secp256k1(key),
    }
    results = accepted(Oyster(kind).check, enclaves)
    assert results.keys() == of_form(enclaves, forms[kind])
    attestations = {entry["file"]: attestation for entry, attestation in enclaves}
    for file, result in results.items():
        assert result.octets == attestations[file].public_key
        if kind != "secp256k1":
            assert result.key.public_bytes_raw() == result.octets
        else:
            numbers = result.key.public_numbers()
            assert numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big") == result.octets


def test_b6_every_document_of_oyster_has_a_key_of_one_of_the_kinds(enclaves):
    products = published_by(enclaves, "marlinprotocol")
    assert len(products) == 16
    points = accepted(Oyster("secp256k1").check, enclaves).keys()
    assert points <= products.keys()
    assert len(points) == 8
    # The others have 32 octets. Most of them exceed the range of X25519.
    assert products.keys() - points <= accepted(Oyster("ed25519").check, enclaves).keys()
    assert products.keys() - points - accepted(Oyster("x25519").check, enclaves).keys()


def test_b6_each_changed_byte_of_a_genuine_point_is_rejected(enclaves):
    for attestation in published_by(enclaves, "marlinprotocol").values():
        if len(attestation.public_key) == 64:
            for changed in changes(attestation.public_key):
                unbound(Oyster("secp256k1").check, altered(attestation, public_key=changed))


def test_b7_turnkey_boot(enclaves, turnkey):
    manifest = base64.b64decode(turnkey["manifest_base64"])
    results = accepted(TurnkeyBoot(manifest).check, enclaves)
    digest = sha256(manifest).digest()
    assert results.keys() == of_form(enclaves, lambda _, data: data == digest)
    assert len(results) == 2
    assert turnkey["ephemeral_public_key_hex"] in {keys.octets.hex() for keys in results.values()}
    document = base64.b64decode(turnkey["document_base64"])
    keys = TurnkeyBoot(manifest).check(verify(document, at="document"))
    assert keys.octets.hex() == turnkey["ephemeral_public_key_hex"]
    assert keys.manifest_digest == digest


def test_b7_the_form_of_turnkey(enclaves):
    """Documents of 2022 have an RSA key in PEM instead of two points, and are of another form."""
    results = accepted(TurnkeyBoot.read, enclaves)
    assert results.keys() == of_form(
        enclaves, lambda key, data: len(data) == 32 and is_p256(key[:65]) and is_p256(key[65:])
    )
    products = published_by(enclaves, "tkhq")
    assert len(products) == 6
    assert results.keys() == {f for f, a in products.items() if len(a.public_key) == 130}
    assert len(results) == 3


def test_b7_each_changed_byte_is_rejected(turnkey):
    manifest = base64.b64decode(turnkey["manifest_base64"])
    attestation = verify(base64.b64decode(turnkey["document_base64"]), at="document")
    for changed in changes(manifest):
        unbound(TurnkeyBoot(changed).check, attestation)
    for field in ("user_data", "public_key"):
        for changed in changes(getattr(attestation, field)):
            unbound(TurnkeyBoot(manifest).check, altered(attestation, **{field: changed}))
    for index in range(4):
        for changed in changes(attestation.pcrs[index]):
            pcrs = {**attestation.pcrs, index: changed}
            unbound(TurnkeyBoot(manifest).check, altered(attestation, pcrs=pcrs))


def test_b8_turnkey_app(enclaves, turnkey):
    boot = TurnkeyBoot(base64.b64decode(turnkey["manifest_base64"]))
    proof = turnkey["app_proof"]
    payload = proof["payload"].encode()
    signature = bytes.fromhex(proof["signature_hex"])
    results = accepted(TurnkeyApp(boot, payload, signature).check, enclaves)
    assert [keys.octets.hex() for keys in results.values()] == [proof["public_key_hex"]]
    attestation = verify(base64.b64decode(turnkey["document_base64"]), at="document")
    for changed in changes(payload):
        unbound(TurnkeyApp(boot, changed, signature).check, attestation)
    for changed in changes(signature):
        unbound(TurnkeyApp(boot, payload, changed).check, attestation)


def test_b9_dstack(enclaves):
    results = accepted(Dstack.read, enclaves)
    assert results.keys() == of_form(enclaves, lambda _, data: len(data) == 64)
    products = published_by(enclaves, "Dstack-TEE")
    assert len(products) == 3
    # The one other document with 64 bytes of user_data has the hex digits of a digest.
    [other] = results.keys() - products.keys()
    assert bytes.fromhex(results[other].report_data.decode())
    for file, attestation in products.items():
        pcrs = attestation.pcrs[0] + attestation.pcrs[1] + attestation.pcrs[2]
        assert results[file].report_data == attestation.user_data
        assert results[file].os_image_hash == (sha256(pcrs).digest() if any(pcrs) else bytes(32))
        own = Dstack(attestation.user_data)
        assert accepted(own.check, enclaves) == {
            each: report
            for each, report in results.items()
            if report.report_data == attestation.user_data
        }
        for changed in changes(attestation.user_data):
            unbound(own.check, altered(attestation, user_data=changed))


def test_b10_nautilus(enclaves):
    results = accepted(Nautilus().check, enclaves)
    assert results.keys() == of_form(enclaves, lambda key, _: is_ed25519(key))
    products = published_by(enclaves, "MystenLabs")
    signing = {f: a for f, a in products.items() if a.public_key is not None}
    assert len(signing) == 2
    for file, attestation in signing.items():
        assert results[file].key.public_bytes_raw() == attestation.public_key


def test_b11_secp256k1(enclaves):
    results = accepted(Secp256k1Key().check, enclaves)
    assert results.keys() == of_form(
        enclaves, lambda key, _: key[:1] == b"\x04" and is_secp256k1(key[1:])
    )
    products = published_by(enclaves, "base", "EspressoSystems")
    points = {f: a for f, a in products.items() if len(a.public_key or b"") == 65}
    assert len(points) == 4
    for file, attestation in points.items():
        numbers = results[file].key.public_numbers()
        octets = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        assert b"\x04" + octets == attestation.public_key
        for changed in changes(attestation.public_key):
            unbound(Secp256k1Key().check, altered(attestation, public_key=changed))


def test_the_documents_in_this_repository_have_the_forms_of_their_products():
    folder = FIXTURES / "real"
    turnkey = (folder / "20250916_encl_us-east-1_tkhq_b1086cbb.bin").read_bytes()
    nautilus = (folder / "20251110_encl_ap-south-1_mystenlabs_8e5652f3.bin").read_bytes()
    booted, signing = (verify(each, at="document") for each in (turnkey, nautilus))
    keys = TurnkeyBoot.read(booted)
    assert (keys.octets, keys.manifest_digest) == (booted.public_key, booted.user_data)
    assert Nautilus().check(signing).key.public_bytes_raw() == signing.public_key
    for check in (Nitriding.read, Dstack.read, Secp256k1Key().check, Oyster("secp256k1").check):
        unbound(check, booted)
        unbound(check, signing)
    unbound(Nautilus().check, booted)
    unbound(TurnkeyBoot.read, signing)


def test_t1_no_binding_takes_the_document_of_an_instance(corpus):
    documents = [document for entry, document in corpus if entry["kind"] == "nitrotpm"]
    assert documents
    for document in documents:
        attestation = verify_nitrotpm(document, at="document")
        for check in (
            Nitriding.read,
            Dstack.read,
            TurnkeyBoot.read,
            Nautilus().check,
            Secp256k1Key().check,
            Oyster("ed25519").check,
        ):
            assert code_of(check, attestation) == "input.document"
