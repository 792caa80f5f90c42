"""B-6: the keys of Oyster enclaves."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings import EnclaveKey, Oyster
from support.bindings import altered, attested, changes, unbound
from support.errors import code_of, code_or_none

POINT = ec.generate_private_key(ec.SECP256K1()).public_key()
P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
KEYS = {
    "x25519": x25519.X25519PrivateKey.generate().public_key(),
    "ed25519": ed25519.Ed25519PrivateKey.generate().public_key(),
    "secp256k1": POINT,
}


def octets(key):
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    return key.public_bytes_raw()


@pytest.mark.parametrize("kind", KEYS)
def test_b6_the_key_is_read_as_the_kind_of_the_caller(fake, when, kind):
    result = Oyster(kind).check(attested(fake, when, public_key=octets(KEYS[kind])))
    assert result == EnclaveKey("oyster", octets(KEYS[kind]), KEYS[kind])
    assert result.key == KEYS[kind]


@pytest.mark.parametrize("kind", KEYS)
def test_b6_each_changed_byte_is_rejected_or_gives_a_different_key(fake, when, kind):
    attestation = attested(fake, when, public_key=octets(KEYS[kind]))
    for changed in changes(octets(KEYS[kind])):
        other = altered(attestation, public_key=changed)
        code = code_or_none(Oyster(kind).check, other)
        assert code in (None, "policy.binding")
        assert code or Oyster(kind).check(other).key != KEYS[kind]
        assert kind != "secp256k1" or code


def test_b6_a_document_of_another_form_is_rejected(fake, when):
    for kind in KEYS:
        for wrong in (None, b"", octets(KEYS[kind])[:-1], octets(KEYS[kind]) + b"\x00", bytes(65)):
            unbound(Oyster(kind).check, attested(fake, when, public_key=wrong))
    for wrong in (octets(P256), b"\x04" + octets(POINT), octets(POINT)[::-1]):
        unbound(Oyster("secp256k1").check, attested(fake, when, public_key=wrong))
    unbound(Oyster("x25519").check, attested(fake, when, user_data=octets(KEYS["x25519"])))


def test_b6_the_kind_is_one_of_three():
    for kind in ("p256", "", None):
        assert code_of(Oyster, kind) == "input.expected"


def test_b6_the_key_of_an_unverified_document_is_not_read(fake, when):
    unverified = parse_unverified(fake.document(at=when, public_key=octets(POINT)))
    assert code_of(Oyster("secp256k1").check, unverified) == "input.document"
