"""The Sig_structure and the range of r and s (C-14, C-16; RFC 9052 section 4.4)."""

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest.signature import P384_ORDER, sig_structure

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
