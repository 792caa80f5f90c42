"""B-5: the documents of Evervault Enclaves."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings import Binding, Bound, Evervault
from support.bindings import altered, attested, changes, peer_with, spki, unbound
from support.errors import code_of

KEYS = {
    91: ec.generate_private_key(ec.SECP256R1()).public_key(),
    120: ec.generate_private_key(ec.SECP384R1()).public_key(),
}
KEY = KEYS[91]
PEER = peer_with(KEY)
BINDING: Binding = Evervault()
ENCODED = base64.b64encode(b"raw").decode()


def test_b5_the_request_has_no_nonce():
    assert BINDING.nonce_bytes == 0
    assert BINDING.target(b"") == "/.well-known/attestation"
    assert code_of(BINDING.target, bytes(20)) == "input.nonce"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"attestation_doc": ENCODED}).encode(),
        b'\n{"other": [1], "Other": 2, "attestation_doc": "%s"}\n' % ENCODED.encode(),
    ],
)
def test_b5_the_answer_is_a_json_object_with_base64(body):
    assert BINDING.document(body) == b"raw"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"raw", b"null", b"[]", b"{}", b"\xff", b'"cmF3"', b"{" * 100),
        b'{"attestation_doc": null}',
        b'{"attestation_doc": 1}',
        b'{"attestation_doc": "raw!"}',
        b'{"attestation_doc": "cmF3"} {}',
        b'{"attestation_doc": "cmF3"',
        b'{"attestation_doc": "cmF3", "attestation_doc": "cmF3"}',
        b'{"attestation_doc": "\xc3\xa9"}',
        b'{"attestation_doc": "\\ud800"}',
    ],
)
def test_b5_another_answer_is_rejected(body):
    assert code_of(BINDING.document, body) == "document.encoding"


@pytest.mark.parametrize("size", KEYS)
def test_b5_a_document_with_the_key_of_the_server_is_bound(fake, when, size):
    key = KEYS[size]
    assert len(spki(key)) == size
    attestation = attested(fake, when, user_data=spki(key))
    assert BINDING.check(attestation, peer_with(key)) == Bound("evervault", spki(key))


def test_b5_a_document_with_a_different_key_is_not_bound(fake, when):
    failure = unbound(BINDING.check, attested(fake, when, user_data=spki(KEYS[120])), PEER)
    assert (failure.expected, failure.found) == (spki(KEY).hex(), spki(KEYS[120]).hex())
    assert unbound(BINDING.check, attested(fake, when), PEER).found is None
    unbound(BINDING.check, attested(fake, when, public_key=spki(KEY)), PEER)


def test_b5_each_changed_byte_of_the_key_is_rejected(fake, when):
    attestation = attested(fake, when, user_data=spki(KEY))
    for changed in (*changes(spki(KEY)), spki(KEY)[:-1], spki(KEY) + b"\x00"):
        unbound(BINDING.check, altered(attestation, user_data=changed), PEER)


def test_b5_the_same_key_in_another_encoding_is_rejected(fake, when):
    padded = bytes.fromhex("308159") + spki(KEY)[2:]  # a length in a longer form
    compressed = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    compressed += bytes([2 + spki(KEY)[-1] % 2]) + spki(KEY)[27:59]
    for other in (padded, compressed, spki(KEY)[26:]):
        unbound(BINDING.check, attested(fake, when, user_data=other), PEER)


def test_b5_an_unverified_document_binds_nothing(fake, when):
    unverified = parse_unverified(fake.document(at=when, user_data=spki(KEY)))
    assert code_of(BINDING.check, unverified, PEER) == "input.document"
