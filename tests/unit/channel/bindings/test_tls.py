"""B-1 to B-3: documents that name the TLS key or the certificate of the server."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings.base import Binding, Bound
from nitro_attest.channel.bindings.tls import TlsCertificateDigest, TlsKey, TlsKeyDigest
from support.bindings import altered, attested, changes, peer_with, spki, unbound
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
    attestation = attested(fake, when, public_key=spki(KEY))
    for changed in changes(spki(KEY)):
        unbound(DEFAULT.check, altered(attestation, public_key=changed), PEER)


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


def digests(field):
    """Each digest binding over a field, with its name and what it hashes of a server."""
    key = TlsKeyDigest(field=field, path="/attest")
    certificate = TlsCertificateDigest(field=field, path="/attest")
    return [
        (key, "tls-key-digest", lambda peer: peer.public_key),
        (certificate, "tls-certificate-digest", lambda peer: peer.certificate),
    ]


FIELDS = ["public_key", "user_data"]
DIGESTS = [(field, *each) for field in FIELDS for each in digests(field)]


@pytest.mark.parametrize(("field", "binding", "name", "hashed"), DIGESTS)
def test_b2_b3_a_document_with_the_digest_is_bound(fake, when, field, binding, name, hashed):
    attestation = attested(fake, when, **{field: sha256(hashed(PEER)).digest()})
    assert binding.check(attestation, PEER) == Bound(name, spki(KEY))
    other = peer_with(OTHER)
    failure = unbound(binding.check, attestation, other)
    assert failure.expected == sha256(hashed(other)).hexdigest()
    assert failure.found == sha256(hashed(PEER)).hexdigest()


@pytest.mark.parametrize(("field", "binding", "name", "hashed"), DIGESTS)
def test_b2_b3_each_changed_byte_of_the_digest_is_rejected(
    fake, when, field, binding, name, hashed
):
    digest = sha256(hashed(PEER)).digest()
    attestation = attested(fake, when, **{field: digest})
    for changed in (*changes(digest), digest[:-1], digest + b"\x00", b"", None):
        unbound(binding.check, altered(attestation, **{field: changed}), PEER)


@pytest.mark.parametrize(("field", "binding", "name", "hashed"), DIGESTS)
def test_b2_b3_the_digest_in_the_other_field_is_not_compared(
    fake, when, field, binding, name, hashed
):
    [other] = set(FIELDS) - {field}
    attestation = attested(fake, when, **{other: sha256(hashed(PEER)).digest()})
    assert unbound(binding.check, attestation, PEER).found is None


def test_b2_b3_the_two_digests_are_not_interchangeable(fake, when):
    for binding, _, _ in digests("user_data"):
        for hashed in (PEER.public_key, PEER.certificate):
            attestation = attested(fake, when, user_data=sha256(hashed).digest())
            if (hashed == PEER.public_key) is isinstance(binding, TlsKeyDigest):
                binding.check(attestation, PEER)
            else:
                unbound(binding.check, attestation, PEER)


def test_b2_b3_the_raw_key_is_not_its_digest(fake, when):
    attestation = attested(fake, when, public_key=spki(KEY), user_data=spki(KEY))
    for field in FIELDS:
        for binding, _, _ in digests(field):
            unbound(binding.check, attestation, PEER)


def test_b2_b3_the_request_and_the_answer_are_those_of_the_tls_key():
    for binding, _, _ in digests("user_data"):
        assert binding.nonce_bytes == 32
        assert binding.target(b"\x01") == "/attest?nonce=01"
        assert binding.document(b"raw") == b"raw"


@pytest.mark.parametrize("kind", [TlsKeyDigest, TlsCertificateDigest])
def test_b2_b3_wrong_arguments_are_rejected(kind, fake, when):
    assert code_of(kind, field="nonce", path="/a") == "input.expected"
    assert code_of(kind, field=None, path="/a") == "input.expected"
    assert code_of(kind, field="user_data", path="a?b") == "input.expected"
    unverified = parse_unverified(fake.document(at=when))
    binding = kind(field="user_data", path="/a")
    assert code_of(binding.check, unverified, PEER) == "input.document"
