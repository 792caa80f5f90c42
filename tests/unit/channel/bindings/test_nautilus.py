"""B-10: the keys of Nautilus enclaves."""

from cryptography.hazmat.primitives.asymmetric import ed25519

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings import EnclaveKey, Nautilus
from support.bindings import altered, attested, changes, unbound
from support.errors import code_of, code_or_none

KEY = ed25519.Ed25519PrivateKey.generate().public_key()
OCTETS = KEY.public_bytes_raw()
BINDING = Nautilus()


def test_b10_the_key_is_read(fake, when):
    result = BINDING.check(attested(fake, when, public_key=OCTETS))
    assert result == EnclaveKey("nautilus", OCTETS, KEY)
    assert result.key == KEY


def test_b10_each_changed_byte_is_rejected_or_gives_a_different_key(fake, when):
    attestation = attested(fake, when, public_key=OCTETS)
    codes = []
    for changed in changes(OCTETS):
        other = altered(attestation, public_key=changed)
        codes.append(code_or_none(BINDING.check, other))
        assert codes[-1] or BINDING.check(other).key != KEY
    assert set(codes) == {None, "policy.binding"}  # about half of the octets are no point


def test_b10_a_document_of_another_form_is_rejected(fake, when):
    for wrong in (None, b"", OCTETS[:-1], OCTETS + b"\x00", b"\x02" + bytes(31)):
        unbound(BINDING.check, attested(fake, when, public_key=wrong))
    unbound(BINDING.check, attested(fake, when, user_data=OCTETS))


def test_b10_the_key_of_an_unverified_document_is_not_read(fake, when):
    unverified = parse_unverified(fake.document(at=when, public_key=OCTETS))
    assert code_of(BINDING.check, unverified) == "input.document"
