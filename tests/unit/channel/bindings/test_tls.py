"""B-1: documents that name the TLS key of the server."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings.base import Binding, Bound
from nitro_attest.channel.bindings.tls import TlsKey
from support.bindings import attested, changes, peer_with, spki, unbound
from support.errors import code_of

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
OTHER = ec.generate_private_key(ec.SECP256R1()).public_key()
PEER = peer_with(KEY)
DEFAULT: Binding = TlsKey()


def test_b1_the_request_carries_the_nonce_and_the_answer_is_the_document():
    assert DEFAULT.nonce_bytes == 32
    target = f"/.well-known/nitro-attestation?nonce={'ab' * 32}"
    assert DEFAULT.target(b"\xab" * 32) == target
    assert TlsKey(path="/attest").target(b"\x01\x02") == "/attest?nonce=0102"
    assert DEFAULT.document(b"raw") == b"raw"


def test_b1_a_document_with_the_key_of_the_server_is_bound(fake, when):
    attestation = attested(fake, when, public_key=spki(KEY))
    assert DEFAULT.check(attestation, PEER) == Bound("tls-key", spki(KEY))


def test_b1_a_document_with_a_different_key_is_not_bound(fake, when):
    attestation = attested(fake, when, public_key=spki(OTHER))
    failure = unbound(DEFAULT.check, attestation, PEER)
    assert (failure.expected, failure.found) == (spki(KEY).hex(), spki(OTHER).hex())
    unbound(DEFAULT.check, attested(fake, when, public_key=spki(KEY)), peer_with(OTHER))


def test_b1_a_document_without_a_key_is_not_bound(fake, when):
    assert unbound(DEFAULT.check, attested(fake, when), PEER).found is None
    assert unbound(DEFAULT.check, attested(fake, when, public_key=b""), PEER).found == ""
    unbound(DEFAULT.check, attested(fake, when, user_data=spki(KEY)), PEER)


def test_b1_each_changed_byte_of_the_key_is_rejected(fake, when):
    for changed in changes(spki(KEY)):
        unbound(DEFAULT.check, attested(fake, when, public_key=changed), PEER)


def test_b1_the_same_key_in_another_encoding_is_rejected(fake, when):
    padded = bytes.fromhex("308159") + spki(KEY)[2:]  # a length in a longer form
    for other in (padded, spki(KEY) + b"\x00", spki(KEY)[26:]):
        unbound(DEFAULT.check, attested(fake, when, public_key=other), PEER)


def test_b1_an_unverified_document_binds_nothing(fake, when):
    unverified = parse_unverified(fake.document(at=when, public_key=spki(KEY)))
    assert code_of(DEFAULT.check, unverified, PEER) == "input.document"


@pytest.mark.parametrize("path", ["attestation", "/a?b=c", "/a\r\nX: y", ""])
def test_a_path_that_would_change_the_request_is_rejected(path):
    assert code_of(TlsKey, path) == "input.expected"
