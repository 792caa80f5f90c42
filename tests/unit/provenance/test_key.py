"""DSSE envelopes: every byte counts, and only the named key (V-2, V-3)."""

import base64
import copy
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest.limits import MAX_PROVENANCE_SIGNATURES
from nitro_attest.provenance import SignerKey, read_provenance
from nitro_attest.provenance.key import pre_authentication_encoding
from support.errors import code_of, code_or_none, rejection
from support.statements import (
    KEY,
    KEYS,
    OTHER_KEY,
    b64,
    compact,
    envelope,
    pem_of,
    signature,
    signed,
    statement,
)

SIGNER = SignerKey(pem_of(KEY))


def code(value, signer=SIGNER):
    return code_or_none(read_provenance, compact(value), signer)


def test_the_encoding_is_that_of_the_specification():
    # the example in protocol.md of DSSE
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@pytest.mark.parametrize("name", KEYS)
def test_each_kind_of_key_verifies_its_own_signature_alone(name):
    found = read_provenance(signed(keys=[KEYS[name]]), SignerKey(pem_of(KEYS[name])))
    assert found.signer == SignerKey(pem_of(KEYS[name]).decode()).signer
    for other in KEYS:
        if other != name:
            rejected = code(envelope(keys=[KEYS[other]]), SignerKey(pem_of(KEYS[name])))
            assert rejected == "provenance.signature"


def test_the_named_key_may_be_any_of_several_but_must_be_one():
    assert code(envelope(keys=[OTHER_KEY, KEY])) is None
    assert code(envelope(keys=[KEY, OTHER_KEY])) is None
    assert code(envelope(keys=[OTHER_KEY, KEYS["Ed25519"]])) == "provenance.signature"


def test_the_key_id_is_a_hint_that_selects_nothing():
    hinted = envelope(keys=[OTHER_KEY, KEY])
    hinted["signatures"][0]["keyid"] = SIGNER.signer.key_sha256
    assert code(hinted) is None
    del hinted["signatures"][1]
    assert code(hinted) == "provenance.signature"


def with_signatures(entries):
    return envelope() | {"signatures": entries}


SIG = envelope()["signatures"][0]
CHANGED = {
    "no signature": (with_signatures([]), "provenance.format"),
    "too many": (with_signatures([SIG] * (MAX_PROVENANCE_SIGNATURES + 1)), "provenance.format"),
    "no list": (with_signatures(SIG), "provenance.format"),
    "no object": (with_signatures([SIG["sig"]]), "provenance.format"),
    "no sig": (with_signatures([{"keyid": "x"}]), "provenance.format"),
    "a member of a signature": (with_signatures([SIG | {"cert": ""}]), "provenance.unknown_key"),
    "a member": (envelope() | {"extra": 1}, "provenance.unknown_key"),
    "no payload": ({"payloadType": "x", "signatures": [SIG]}, "provenance.format"),
    "payload as an object": (envelope() | {"payload": statement()}, "provenance.format"),
    "no padding": (envelope() | {"payload": "e30"}, "provenance.format"),
    "URL-safe": (envelope() | {"payload": "-_-_"}, "provenance.format"),
    "line end": (envelope() | {"payload": envelope()["payload"] + "\n"}, "provenance.format"),
    "no ASCII": (envelope() | {"payload": "\u00e9\u00e9\u00e9\u00e9"}, "provenance.format"),
    "no type": (envelope() | {"payloadType": ""}, "provenance.format"),
    "a Sigstore bundle": ({"mediaType": "x", "dsseEnvelope": envelope()}, "provenance.format"),
    "a list": ([envelope()], "provenance.format"),
    "type": (envelope(payload_type="application/json"), "provenance.payload_type"),
    "type not signed": (envelope() | {"payloadType": "text/plain"}, "provenance.payload_type"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_another_form_is_rejected(name):
    value, expected = CHANGED[name]
    assert code(value) == expected


def test_a_signature_over_the_payload_alone_is_no_signature():
    payload = compact(statement()).encode()
    forged = envelope(payload) | {"signatures": [{"sig": b64(signature(KEY, payload))}]}
    assert code(forged) == "provenance.signature"


def test_the_signature_is_verified_before_the_content_is_read():
    assert code(envelope(b"no JSON", keys=[OTHER_KEY])) == "provenance.signature"
    assert code(envelope(b"no JSON")) == "provenance.format"


@pytest.mark.parametrize("name", KEYS)
def test_every_change_of_one_byte_is_rejected(name):
    text, signer = signed(keys=[KEYS[name]]).encode(), SignerKey(pem_of(KEYS[name]))
    assert read_provenance(text, signer)
    for place in range(len(text)):
        changed = bytearray(text)
        changed[place] ^= 1 << place % 7
        assert code_of(read_provenance, bytes(changed), signer).startswith("provenance.")


def test_every_change_of_one_byte_of_the_payload_or_the_signature_is_rejected():
    whole = envelope()
    for name in ("payload", "sig"):
        original = whole["payload"] if name == "payload" else SIG["sig"]
        data = bytearray(base64.b64decode(original))
        for place in range(len(data)):
            data[place] ^= 1
            changed = (
                whole | {"payload": b64(data)}
                if name == "payload"
                else with_signatures([{"sig": b64(data)}])
            )
            assert code(changed) == "provenance.signature"
            data[place] ^= 1


WRONG_KEYS = {
    "RSA": pem_of(rsa.generate_private_key(65537, 2048)),
    "P-521": pem_of(ec.derive_private_key(2, ec.SECP521R1())),
    "secp256k1": pem_of(ec.derive_private_key(2, ec.SECP256K1())),
    "two keys": pem_of(KEY) + pem_of(OTHER_KEY),
    "DER": KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "a path": "signer.pem",
    "nothing": "",
    "None": None,
    "damaged": pem_of(KEY).replace(b"M", b"N"),
    "surrogate": "-----BEGIN \ud800",
}


@pytest.mark.parametrize("name", WRONG_KEYS)
def test_what_is_not_one_key_of_a_known_kind_is_rejected(name):
    error = rejection(SignerKey, WRONG_KEYS[name])
    assert error.code == "provenance.signer"
    assert error.message.startswith("the key of the signer: expected ")


def test_a_signer_is_a_value():
    again = pickle.loads(pickle.dumps(SIGNER))
    assert again == SIGNER == copy.copy(SIGNER)
    assert hash(again) == hash(SIGNER)
    assert again != SignerKey(pem_of(OTHER_KEY))
    assert read_provenance(signed(), again)
