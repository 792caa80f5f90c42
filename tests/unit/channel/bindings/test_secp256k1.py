"""B-11: secp256k1 keys of enclaves."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings import EnclaveKey, Secp256k1Key
from support.bindings import altered, attested, changes, unbound
from support.errors import code_of

KEY = ec.generate_private_key(ec.SECP256K1()).public_key()
OCTETS = KEY.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
COMPRESSED = KEY.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
BINDING = Secp256k1Key()


def test_b11_the_key_is_read(fake, when):
    result = BINDING.check(attested(fake, when, public_key=OCTETS))
    assert result == EnclaveKey("secp256k1", OCTETS, KEY)
    assert result.key == KEY


def test_b11_each_changed_byte_is_rejected(fake, when):
    attestation = attested(fake, when, public_key=OCTETS)
    for changed in changes(OCTETS):
        unbound(BINDING.check, altered(attestation, public_key=changed))


def test_b11_a_document_of_another_form_is_rejected(fake, when):
    other = P256.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    for wrong in (None, b"", OCTETS[1:], OCTETS + b"\x00", COMPRESSED, other, bytes(65)):
        unbound(BINDING.check, attested(fake, when, public_key=wrong))
    unbound(BINDING.check, attested(fake, when, user_data=OCTETS))


def test_b11_the_key_of_an_unverified_document_is_not_read(fake, when):
    unverified = parse_unverified(fake.document(at=when, public_key=OCTETS))
    assert code_of(BINDING.check, unverified) == "input.document"
