"""B-7, B-8: the boot proofs and app proofs of Turnkey, made here in their form."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest import parse_unverified
from nitro_attest.channel.bindings import TurnkeyApp, TurnkeyBoot, TurnkeyKeys
from support.bindings import altered, attested, changes, unbound
from support.errors import code_of

ENCRYPTION = ec.generate_private_key(ec.SECP256R1())
SIGNING = ec.generate_private_key(ec.SECP256R1())
PCRS = {index: bytes([0xA0 + index]) * 48 for index in range(4)}
PAYLOAD = b'{"type":"statement"}'


def point(key):
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def manifest(pcrs):
    return b"namespace" + b"".join(b"\x30\x00\x00\x00" + value for value in pcrs) + b"rest"


def signed(payload, key=SIGNING, algorithm=SHA256):
    integers = decode_dss_signature(key.sign(payload, ec.ECDSA(algorithm())))
    return b"".join(number.to_bytes(32, "big") for number in integers)


MANIFEST = manifest(PCRS.values())
DIGEST = sha256(MANIFEST).digest()
KEYS = point(ENCRYPTION) + point(SIGNING)
BOOT = TurnkeyBoot(MANIFEST)
SIGNATURE = signed(PAYLOAD)
APP = TurnkeyApp(BOOT, PAYLOAD, SIGNATURE)


@pytest.fixture
def booted(fake, when):
    """Makes the attestation of an enclave with the manifest, or with other fields."""

    def make(**fields):
        fields = {"user_data": DIGEST, "public_key": KEYS, "pcrs": PCRS} | fields
        return attested(fake, when, **fields)

    return make


def test_b7_an_enclave_with_the_manifest_is_accepted_with_its_keys(booted):
    keys = BOOT.check(booted())
    assert keys == TurnkeyBoot.read(booted())
    assert keys == TurnkeyKeys(KEYS, DIGEST, ENCRYPTION.public_key(), SIGNING.public_key())
    assert keys.encryption_key == ENCRYPTION.public_key()
    assert keys.signing_key == SIGNING.public_key()
    hash(keys)


def test_b7_each_changed_byte_of_the_manifest_is_rejected(booted):
    attestation = booted()
    for changed in changes(MANIFEST):
        failure = unbound(TurnkeyBoot(changed).check, attestation)
        assert (failure.expected, failure.found) == (sha256(changed).hexdigest(), DIGEST.hex())


def test_b7_each_changed_byte_of_the_digest_is_rejected(booted):
    attestation = booted()
    for changed in changes(DIGEST):
        unbound(BOOT.check, altered(attestation, user_data=changed))


def test_b7_each_changed_byte_of_a_key_is_rejected(booted):
    attestation = booted()
    for changed in changes(KEYS):
        unbound(BOOT.check, altered(attestation, public_key=changed))


@pytest.mark.parametrize("index", PCRS)
def test_b7_a_document_with_other_pcrs_than_the_manifest_is_rejected(booted, index):
    failure = unbound(BOOT.check, booted(pcrs=PCRS | {index: b"\xff" * 48}))
    assert "PCR0 to PCR3" in failure.message


def test_b7_a_document_without_pcr3_is_rejected(booted):
    pcrs = {index: value for index, value in booted().pcrs.items() if index != 3}
    unbound(BOOT.check, altered(booted(), pcrs=pcrs))


@pytest.mark.parametrize(
    "listed",
    [
        [PCRS[1], PCRS[0], PCRS[2], PCRS[3]],
        [PCRS[0], PCRS[1], PCRS[2]],
        [PCRS[0], PCRS[1], PCRS[2], b"", PCRS[3]],
        [PCRS[1], PCRS[2], PCRS[3]],
        [],
    ],
)
def test_b7_a_manifest_that_does_not_list_the_pcrs_in_order_is_rejected(booted, listed):
    other = manifest(listed)
    unbound(TurnkeyBoot(other).check, booted(user_data=sha256(other).digest()))


def test_b7_a_document_of_another_form_is_rejected(booted):
    p384 = point(ec.generate_private_key(ec.SECP384R1()))
    for wrong in (None, b"", point(SIGNING), KEYS[1:], KEYS + b"\x00", p384, bytes(130)):
        unbound(TurnkeyBoot.read, booted(public_key=wrong))
        unbound(BOOT.check, booted(public_key=wrong))
    for wrong in (None, b"", DIGEST[:-1], DIGEST + b"\x00", MANIFEST):
        unbound(TurnkeyBoot.read, booted(user_data=wrong))
        unbound(BOOT.check, booted(user_data=wrong))


@pytest.mark.parametrize("wrong", [b"", None, "manifest"])
def test_b7_a_manifest_that_is_no_bytes_is_a_usage_error(wrong):
    assert code_of(TurnkeyBoot, wrong) == "input.expected"


def test_b7_an_unverified_document_is_not_read(fake, when):
    document = fake.document(at=when, user_data=DIGEST, public_key=KEYS, pcrs=PCRS)
    for check in (TurnkeyBoot.read, BOOT.check, APP.check):
        assert code_of(check, parse_unverified(document)) == "input.document"


def test_b8_a_payload_signed_by_the_enclave_is_accepted(booted):
    assert APP.check(booted()) == BOOT.check(booted())


def test_b8_each_changed_byte_of_the_payload_or_the_signature_is_rejected(booted):
    attestation = booted()
    for changed in changes(PAYLOAD):
        unbound(TurnkeyApp(BOOT, changed, SIGNATURE).check, attestation)
    for changed in changes(SIGNATURE):
        assert unbound(TurnkeyApp(BOOT, PAYLOAD, changed).check, attestation).found == changed.hex()


def test_b8_a_signature_by_another_key_or_over_another_hash_is_rejected(booted):
    attestation = booted()
    for signature in (
        signed(PAYLOAD, ENCRYPTION),
        signed(PAYLOAD, algorithm=SHA384),
        signed(sha256(PAYLOAD).digest()),
        bytes(64),
        b"\xff" * 64,
    ):
        unbound(TurnkeyApp(BOOT, PAYLOAD, signature).check, attestation)


def test_b8_the_keys_may_not_be_exchanged(booted):
    unbound(APP.check, booted(public_key=KEYS[65:] + KEYS[:65]))


def test_b8_an_app_proof_is_worth_nothing_without_the_manifest(booted):
    unbound(APP.check, booted(user_data=bytes(32)))
    unbound(APP.check, booted(pcrs=PCRS | {3: b"\xff" * 48}))


@pytest.mark.parametrize(
    "arguments",
    [
        (MANIFEST, PAYLOAD, SIGNATURE),
        (BOOT, PAYLOAD.decode(), SIGNATURE),
        (BOOT, PAYLOAD, SIGNATURE[:-1]),
        (BOOT, PAYLOAD, SIGNATURE + b"\x00"),
        (BOOT, PAYLOAD, SIGNATURE.hex()),
        (BOOT, PAYLOAD, None),
    ],
)
def test_b8_wrong_arguments_are_usage_errors(arguments):
    assert code_of(TurnkeyApp, *arguments) == "input.expected"
