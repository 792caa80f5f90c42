"""Keys in bare octets: those of one kind are not accepted as another's."""

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest import PolicyError
from nitro_attest.channel.bindings.enclave_key import EnclaveKey, bare_key
from support.bindings import unbound

P = 2**255 - 19
POINTS = {
    "p256": ec.generate_private_key(ec.SECP256R1()).public_key(),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()).public_key(),
}


def octets(key, form=PublicFormat.UncompressedPoint):
    return key.public_bytes(Encoding.X962, form)


def little(number):
    return number.to_bytes(32, "little")


@given(st.binary(min_size=32, max_size=32))
def test_every_ed25519_key_is_read(seed):
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    assert bare_key(key.public_bytes_raw(), "ed25519") == key


@given(st.binary(min_size=32, max_size=32))
def test_every_x25519_key_is_in_range(seed):
    key = x25519.X25519PrivateKey.from_private_bytes(seed).public_key()
    assert bare_key(key.public_bytes_raw(), "x25519") == key


@pytest.mark.parametrize("number", [P, P + 1, 2**255 - 1, 2**255, 2**256 - 1])
def test_a_number_out_of_range_is_no_x25519_key(number):
    failure = unbound(bare_key, little(number), "x25519")
    assert "out of range" in failure.message
    assert failure.expected == "a key of kind x25519"
    assert failure.found == little(number).hex()
    bare_key(little(P - 2), "x25519")


@pytest.mark.parametrize("kind", ["x25519", "ed25519"])
@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_other_sizes_are_no_keys_of_curve25519(kind, size):
    unbound(bare_key, bytes(size), kind)


@pytest.mark.parametrize("kind", POINTS)
def test_a_point_of_the_curve_is_a_key(kind):
    assert bare_key(octets(POINTS[kind]), kind) == POINTS[kind]


@pytest.mark.parametrize("kind", POINTS)
def test_other_octets_are_no_point(kind):
    point = octets(POINTS[kind])
    [other] = POINTS.keys() - {kind}
    for wrong in (
        octets(POINTS[other]),
        octets(POINTS[kind], PublicFormat.CompressedPoint),
        point[:-1] + bytes([point[-1] ^ 1]),
        b"\x06" + point[1:],
        b"\x04" + bytes(64),
        b"\x00",
        point[:-1],
        point + b"\x00",
    ):
        unbound(bare_key, wrong, kind)


@given(st.binary(max_size=70), st.sampled_from(["x25519", "ed25519", "p256", "secp256k1"]))
def test_any_octets_are_a_key_or_rejected(data, kind):
    with contextlib.suppress(PolicyError):
        bare_key(data, kind)


def test_keys_of_enclaves_are_values():
    point = octets(POINTS["p256"])
    first, second = (EnclaveKey("a", point, bare_key(point, "p256")) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != EnclaveKey("b", point, first.key)
