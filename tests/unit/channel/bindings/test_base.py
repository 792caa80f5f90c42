"""The server of a connection, the comparison of its key, and the path of a request."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings.base import (
    Peer,
    check_attestation,
    check_path,
    compare,
    require_size,
)
from support.bindings import peer_with, spki, unbound
from support.errors import code_of, rejection

KEYS = {
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("kind", KEYS)
def test_the_key_of_a_server_is_that_of_its_certificate(kind):
    key = KEYS[kind].public_key()
    assert peer_with(key).public_key == spki(key)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_certificate_that_cannot_be_read_has_no_key(cut):
    certificate = peer_with(KEYS["p256"].public_key()).certificate
    failure = unbound(lambda: Peer(certificate[:cut]).public_key)
    assert failure.found == certificate[:cut].hex()


def test_a_certificate_whose_key_is_not_on_its_curve_has_no_key():
    key = KEYS["p256"].public_key()
    point = spki(key)[-64:]
    certificate = peer_with(key).certificate
    assert certificate.count(point) == 1
    unbound(lambda: Peer(certificate.replace(point, bytes(63) + b"\x01")).public_key)


def test_a_certificate_that_the_library_warns_of_has_a_key():
    key = KEYS["p256"].public_key()
    certificate = peer_with(key).certificate
    version_and_serial = bytes.fromhex("a003020102020101")
    assert certificate.count(version_and_serial) == 1
    zero = certificate.replace(version_and_serial, bytes.fromhex("a003020102020100"))
    with pytest.warns(CryptographyDeprecationWarning):
        x509.load_der_x509_certificate(zero)
    assert Peer(zero).public_key == spki(key)


def test_a_comparison_names_what_was_expected_and_found():
    compare("key", expected=b"same", found=b"same")
    failure = unbound(lambda: compare("key", expected=b"\x01" * 33, found=b"\x02"))
    assert failure.message == f"key mismatch: expected {'01' * 32}... (33 bytes), found 02"
    assert (failure.expected, failure.found) == ("01" * 33, "02")
    failure = unbound(lambda: compare("key", expected=b"\x01", found=None))
    assert failure.message == "the document has no key; expected 01"
    assert (failure.expected, failure.found) == ("01", None)
    assert unbound(lambda: compare("key", expected=b"\x01", found=b"")).found == ""


def test_a_size_is_exact():
    assert require_size("key", b"ab", 2) == b"ab"
    failure = unbound(require_size, "key", b"abc", 2)
    assert failure.message == "key has the wrong size: expected 2 bytes, found 3 bytes"
    assert (failure.expected, failure.found) == ("2 bytes", "616263")
    failure = unbound(require_size, "key", None, 1)
    assert failure.message == "key has the wrong size: expected 1 byte, found none"
    assert failure.found is None


def test_only_a_verified_document_of_an_enclave_is_checked(fake, when):
    unverified = parse_unverified(fake.document(at=when))
    for value in (unverified, None, b""):
        assert code_of(check_attestation, value) == "input.document"
    assert "found UnverifiedDocument" in rejection(check_attestation, unverified).message


@pytest.mark.parametrize("path", ["/", "/.well-known/nitro-attestation", "/a%20b/(c);d=e,f@g:h"])
def test_a_path_of_a_request_target_is_accepted(path):
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "a", "http://host/", "/a b", "/a?b", "/a#b", "/a\r\nHost: b", "/a\n", "/\x00", "/é"),
        *("/a\\b", '/"', None, b"/"),
    ],
)
def test_a_path_that_would_change_the_request_is_rejected(path):
    assert code_of(check_path, path) == "input.expected"
