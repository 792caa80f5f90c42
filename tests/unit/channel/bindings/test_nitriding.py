"""B-4: the documents of nitriding."""

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings import Binding, Bound, Nitriding, NitridingKeys
from support.bindings import altered, attested, changes, peer_with, spki, unbound
from support.errors import code_of

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
PEER = peer_with(KEY)
DIGEST = sha256(PEER.certificate).digest()
APPLICATION = sha256(b"keys of the application").digest()
USER_DATA = b"\x12\x20" + DIGEST + b"\x12\x20" + APPLICATION
BINDING: Binding = Nitriding()


def test_b4_the_request_has_a_nonce_of_20_bytes_and_the_answer_is_base64():
    assert BINDING.nonce_bytes == 20
    assert BINDING.target(bytes(20)) == "/enclave/attestation?nonce=" + "00" * 20
    assert BINDING.document(base64.b64encode(b"raw") + b"\n") == b"raw"
    assert code_of(BINDING.document, b"no attestation") == "document.encoding"


def test_b4_a_document_with_the_digest_of_the_certificate_is_bound(fake, when):
    attestation = attested(fake, when, user_data=USER_DATA, public_key=b"dummy")
    assert BINDING.check(attestation, PEER) == Bound("nitriding", spki(KEY))
    assert Nitriding.read(attestation) == NitridingKeys(DIGEST, APPLICATION)


def test_b4_a_different_certificate_for_the_same_key_is_not_bound(fake, when):
    again = peer_with(KEY)
    assert again.public_key == PEER.public_key
    assert again.certificate != PEER.certificate  # its signature is a new one
    attestation = attested(fake, when, user_data=USER_DATA)
    failure = unbound(BINDING.check, attestation, again)
    assert failure.expected == sha256(again.certificate).hexdigest()
    assert failure.found == DIGEST.hex()


def test_b4_the_application_may_have_no_keys(fake, when):
    user_data = USER_DATA[:36] + bytes(32)
    assert Nitriding.read(attested(fake, when, user_data=user_data)).application_digest is None


def test_b4_each_changed_byte_of_the_form_or_the_certificate_digest_is_rejected(fake, when):
    attestation = attested(fake, when, user_data=USER_DATA)
    for changed in changes(USER_DATA[:36]):
        unbound(BINDING.check, altered(attestation, user_data=changed + APPLICATION), PEER)


def test_b4_each_changed_byte_before_a_digest_is_another_form(fake, when):
    attestation = attested(fake, when, user_data=USER_DATA)
    for changed in changes(b"\x12\x20"):
        for other in (changed + USER_DATA[2:], USER_DATA[:34] + changed + APPLICATION):
            unbound(Nitriding.read, altered(attestation, user_data=other))


def test_b4_each_changed_byte_of_the_application_digest_is_reported(fake, when):
    attestation = attested(fake, when, user_data=USER_DATA)
    for changed in changes(APPLICATION):
        other = altered(attestation, user_data=USER_DATA[:36] + changed)
        assert Nitriding.read(other) == NitridingKeys(DIGEST, changed)


@pytest.mark.parametrize(
    "user_data",
    [None, b"", USER_DATA[:-1], USER_DATA + b"\x00", USER_DATA[:34], DIGEST, DIGEST + APPLICATION],
    ids=["null", "empty", "short", "long", "half", "digest", "digests"],
)
def test_b4_user_data_of_another_form_is_rejected(fake, when, user_data):
    attestation = attested(fake, when, user_data=user_data, public_key=USER_DATA)
    unbound(Nitriding.read, attestation)
    unbound(BINDING.check, attestation, PEER)


def test_b4_an_unverified_document_binds_nothing(fake, when):
    unverified = parse_unverified(fake.document(at=when, user_data=USER_DATA))
    assert code_of(BINDING.check, unverified, PEER) == "input.document"
    assert code_of(Nitriding.read, unverified) == "input.document"
