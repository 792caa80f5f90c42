"""P-22: loading the public key of a document in the given form, and sealing to it."""

import contextlib
import itertools

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest import (
    InputError,
    PolicyError,
    hpke_suite,
    parse_unverified,
    seal_to,
    verify,
    verify_nitrotpm,
)
from nitro_attest.keys.public_key import decode_public_key, load_public_key

SPKI = PublicFormat.SubjectPublicKeyInfo
KEYS = {
    "x25519": x25519.X25519PrivateKey.generate(),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
}
RSA = rsa.generate_private_key(65537, 2048)
CURVES = ["p256", "p384", "p521", "secp256k1"]
AGREEING = ["x25519", "p256", "p384", "p521"]
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def raw(kind, point=PublicFormat.UncompressedPoint):
    key = KEYS[kind].public_key()
    if kind in ("x25519", "ed25519"):
        return key.public_bytes_raw()
    return key.public_bytes(Encoding.X962, point)


def rejected(data, kind):
    with pytest.raises(PolicyError) as caught:
        decode_public_key(data, kind)
    assert caught.value.code == "policy.public_key"
    assert caught.value.failures[0].found == (None if data is None else data.hex())
    return caught.value.message


@pytest.mark.parametrize("key", [RSA, *KEYS.values()], ids=["rsa", *KEYS])
@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_subject_public_key_info_is_loaded_without_a_kind(key, encoding):
    public = key.public_key()
    assert decode_public_key(public.public_bytes(encoding, SPKI), None) == public


def test_the_key_of_a_verified_document_is_loaded(fake, when):
    document = fake.document(at=when, public_key=raw("p256"))
    attestation = verify(document, fake.root_pem, at=when)
    assert load_public_key(attestation, "p256") == KEYS["p256"].public_key()
    with pytest.raises(PolicyError):
        load_public_key(attestation)


def test_the_key_of_a_verified_nitrotpm_document_is_loaded(fake, when):
    document = fake.document(at=when, kind="nitrotpm", public_key=raw("p256"))
    attestation = verify_nitrotpm(document, fake.root_pem, at=when)
    assert load_public_key(attestation, "p256") == KEYS["p256"].public_key()


@pytest.mark.parametrize("kind", KEYS)
def test_bare_octets_are_loaded_only_as_the_given_kind(kind):
    assert decode_public_key(raw(kind), kind) == KEYS[kind].public_key()
    assert "pass kind=" in rejected(raw(kind), None)
    for wrong in (raw(kind)[:-1], raw(kind) + b"\x00"):
        message = rejected(wrong, kind)
        assert f"of kind {kind}" in message
        assert f"{len(raw(kind))} octets" in message
        assert f"found {len(wrong)} octets that are no such key" in message
    for missing in (b"", None):
        assert rejected(missing, kind) == "the document has no public_key"


@pytest.mark.parametrize(("of", "kind"), list(itertools.permutations(CURVES, 2)))
def test_a_point_of_a_different_curve_is_rejected(of, kind):
    rejected(raw(of), kind)


@pytest.mark.parametrize("kind", CURVES)
def test_a_compressed_point_and_a_point_off_the_curve_are_rejected(kind):
    assert "uncompressed" in rejected(raw(kind, PublicFormat.CompressedPoint), kind)
    rejected(b"\x06" + raw(kind)[1:], kind)
    rejected(raw(kind)[:-1] + bytes([raw(kind)[-1] ^ 1]), kind)
    rejected(b"\x04" + bytes(len(raw(kind)) - 1), kind)


def test_a_subject_public_key_info_is_not_bare_octets():
    rejected(KEYS["x25519"].public_key().public_bytes(Encoding.DER, SPKI), "x25519")


@pytest.mark.parametrize("kind", ["P256", "rsa", "", 4])
def test_an_unknown_kind_is_rejected(kind):
    for data in (raw("p256"), None):
        with pytest.raises(InputError, match="unknown kind"):
            decode_public_key(data, kind)


@given(st.binary(max_size=200), st.sampled_from([None, *KEYS]))
def test_any_octets_give_a_key_or_a_policy_error(data, kind):
    with contextlib.suppress(PolicyError):
        decode_public_key(data, kind)


@pytest.mark.parametrize("kind", AGREEING)
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_hpke_decrypts_with_the_key_and_the_info(kind, size):
    key = KEYS[kind]
    data = b"s" * size
    sealed = seal_to(key.public_key(), data, info=b"release/1")
    suite = hpke_suite(key.public_key())
    assert suite.decrypt(sealed, key, b"release/1") == data
    assert sealed != seal_to(key.public_key(), data, info=b"release/1")
    with pytest.raises(InvalidTag):
        suite.decrypt(sealed, key, b"release/2")
    with pytest.raises(InvalidTag):
        suite.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]), key, b"release/1")


def test_oaep_decrypts_with_the_key():
    for data in (b"", b"secret", b"x" * 190):
        assert RSA.decrypt(seal_to(RSA.public_key(), data), OAEP) == data


def not_sealed(key, data=b"secret", **options):
    with pytest.raises(InputError) as caught:
        seal_to(key, data, **options)
    assert caught.value.code == "input.expected"
    return caught.value.message


def test_unsupported_keys_and_arguments_are_rejected_before_encryption():
    assert "at most 190 bytes" in not_sealed(RSA.public_key(), b"x" * 191)
    assert "HPKE" in not_sealed(RSA.public_key(), info=b"i")
    short = rsa.RSAPublicNumbers(65537, 2**2046 + 1).public_key()  # 1 bit less than needed
    assert "at least 2048 bits, found 2047" in not_sealed(short)
    for key in (KEYS["ed25519"], KEYS["secp256k1"], dsa.generate_private_key(1024)):
        assert "unsupported key type" in not_sealed(key.public_key())
    with pytest.raises(InputError):
        hpke_suite(RSA.public_key())


def test_a_key_of_small_order_is_rejected():
    assert "no shared secret" in not_sealed(decode_public_key(bytes(32), "x25519"))


def test_an_rsa_key_with_inconsistent_numbers_is_rejected():
    """The library loads an even modulus, and fails only when it encrypts with it."""
    modulus = RSA.public_key().public_numbers().n
    der = RSA.public_key().public_bytes(Encoding.DER, SPKI)
    even = der.replace(modulus.to_bytes(256, "big"), (modulus - 1).to_bytes(256, "big"))
    assert "inconsistent" in not_sealed(decode_public_key(even, None))


def test_the_key_of_an_unverified_document_is_not_loaded(fake, when):
    unverified = parse_unverified(fake.document(at=when, public_key=bytes(32)))
    for document in (unverified, verify(fake.document(at=when), fake.root_pem, at=when).document):
        with pytest.raises(InputError, match="expected the result of a verification") as caught:
            load_public_key(document, "x25519")
        assert caught.value.code == "input.expected"


@pytest.mark.parametrize("wrong", [None, "text", 5, ["secret"]])
def test_only_bytes_are_sealed_and_decoded(wrong):
    for key in (RSA, KEYS["x25519"]):
        assert "data: expected bytes" in not_sealed(key.public_key(), wrong)
    assert "info: expected bytes" in not_sealed(KEYS["x25519"].public_key(), info=wrong)
    if wrong is not None:
        with pytest.raises(InputError, match="public_key: expected bytes"):
            decode_public_key(wrong, "x25519")


@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_any_buffer_is_sealed(buffer):
    sealed = seal_to(KEYS["x25519"].public_key(), buffer(b"secret"), info=buffer(b"v1"))
    suite = hpke_suite(KEYS["x25519"].public_key())
    assert suite.decrypt(sealed, KEYS["x25519"], b"v1") == b"secret"


def test_a_buffer_of_wider_items_is_sealed_and_measured_in_bytes():
    key, wide = KEYS["x25519"], memoryview(b"secrets!").cast("Q")
    sealed = seal_to(key.public_key(), wide, info=wide)
    assert hpke_suite(key.public_key()).decrypt(sealed, key, b"secrets!") == b"secrets!"
    assert "found 192" in not_sealed(RSA.public_key(), memoryview(bytes(192)).cast("Q"))
