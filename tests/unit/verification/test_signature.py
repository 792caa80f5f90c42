"""The Sig_structure and the range of r and s (C-14, C-16; RFC 9052 section 4.4)."""

import hashlib
from dataclasses import replace

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest import SignatureError, parse_unverified, verify
from nitro_attest.verification.signature import (
    P384_ORDER,
    check_signature,
    check_with_cryptography,
    sig_structure,
)
from reference.claims import good_claims, signing_key

PROTECTED = bytes.fromhex("a1013822")


def test_the_order_is_that_of_p384():
    assert ec.SECP384R1().group_order == P384_ORDER


def test_the_prefix_is_the_published_one():
    prefix = bytes.fromhex("846a5369676e61747572653144a101382240")
    assert sig_structure(PROTECTED, b"x").startswith(prefix)


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 4500, 16276])
def test_the_sig_structure_is_the_canonical_array_of_four(size):
    payload = bytes(size)
    expected = cbor2.dumps(["Signature1", PROTECTED, b"", payload])
    assert sig_structure(PROTECTED, payload) == expected


def test_c16_only_the_claim_that_the_key_signed_holds():
    one, other = good_claims(b"signature", 2)
    assert check_with_cryptography(one)
    assert not check_with_cryptography(one._replace(digest=other.digest))
    assert not check_with_cryptography(one._replace(signature=other.signature))
    assert not check_with_cryptography(one._replace(key=other.key))


def test_c16_the_digest_of_a_verified_signature_is_that_of_the_sig_structure(fake, when):
    received = fake.document(at=when)
    document, key = parse_unverified(received), verify(received, fake.root_pem, at=when).chain[0]
    signed = sig_structure(document.protected, document.payload)
    digest = check_signature(document, signing_key(key.public_key()))
    assert digest == hashlib.sha384(signed).digest()


@pytest.mark.parametrize(
    ("r", "s", "code"),
    [
        (1, 1, "signature.invalid"),
        (P384_ORDER - 1, P384_ORDER - 1, "signature.invalid"),
        (0, 1, "signature.range"),
        (1, 0, "signature.range"),
        (P384_ORDER, 1, "signature.range"),
        (1, P384_ORDER, "signature.range"),
    ],
)
def test_c14_r_and_s_are_from_1_to_the_order_less_1(fake_document, r, s, code):
    signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    honest = parse_unverified(fake_document)
    document = replace(honest, _parts=honest._parts._replace(signature=signature))
    stranger = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(SignatureError) as caught:
        check_signature(document, signing_key(stranger.public_key()))
    assert caught.value.code == code
    if code == "signature.range":
        assert f"value {'s' if r == 1 else 'r'} is" in caught.value.message
