"""B-10: the keys of Nautilus enclaves."""

from cryptography.hazmat.primitives.asymmetric import ed25519

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings import EnclaveKey, Nautilus
from support.bindings import altered, attested, changes, unbound
from support.errors import code_of

KEY = ed25519.Ed25519PrivateKey.generate().public_key()
OCTETS = KEY.public_bytes_raw()
BINDING = Nautilus()


def test_b10_the_key_is_read(fake, when):
    result = BINDING.check(attested(fake, when, public_key=OCTETS))
    assert result == EnclaveKey("nautilus", OCTETS, KEY)
    assert result.key == KEY


def test_b10_each_changed_byte_gives_a_different_key(fake, when):
    attestation = attested(fake, when, public_key=OCTETS)
    for changed in changes(OCTETS):
        assert BINDING.check(altered(attestation, public_key=changed)).key != KEY


def test_b10_a_document_of_another_form_is_rejected(fake, when):
    for wrong in (None, b"", OCTETS[:-1], OCTETS + b"\x00"):
        unbound(BINDING.check, attested(fake, when, public_key=wrong))
    unbound(BINDING.check, attested(fake, when, user_data=OCTETS))


def test_b10_the_key_of_an_unverified_document_is_not_read(fake, when):
    unverified = parse_unverified(fake.document(at=when, public_key=OCTETS))
    assert code_of(BINDING.check, unverified) == "input.document"
