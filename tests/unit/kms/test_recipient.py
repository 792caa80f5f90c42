"""K-5 to K-9: answers that KMS encrypted to the key decrypt; all others are rejected."""

import copy
import hashlib
import json
import os
import pickle
import shlex
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from conftest import needs_openssl
from nitro_attest import InputError, KmsError
from nitro_attest.kms.cms import parse_enveloped_data
from nitro_attest.kms.recipient import RecipientKey
from nitro_attest.testing.cms import encode_cms, encrypt_for

PRIVATE_KEY = rsa.generate_private_key(65537, 2048)
KEY = RecipientKey(PRIVATE_KEY)
KEY_ID = hashlib.sha256(KEY.public_key_der).digest()
SECRET = b"thirty-two octets of data key..."
OAEP = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
SHA1_OAEP = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
SHAPES = [True, False]


def error_of(blob, key=KEY):
    with pytest.raises(KmsError) as caught:
        key.decrypt(blob)
    return caught.value


def encrypted(content_key, oaep=OAEP):
    return PRIVATE_KEY.public_key().encrypt(content_key, oaep)


def cbc(content_key, iv, padded):
    encryptor = Cipher(algorithms.AES(content_key), modes.CBC(iv)).encryptor()
    return encryptor.update(padded)


@pytest.fixture(scope="module")
def blobs():
    """Genuine answers of KMS from the folder NITRO_ATTEST_VECTORS; skips without it."""
    path = os.environ.get("NITRO_ATTEST_VECTORS")
    if not path:
        pytest.skip("NITRO_ATTEST_VECTORS is not set: kms_recipient_blobs.json unread")
    text = (Path(path) / "kms_recipient_blobs.json").read_text()
    entries = json.loads(text)["blobs"]
    return {entry["name"]: bytes.fromhex(entry["hex"]) for entry in entries}


# The key


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
@pytest.mark.parametrize("constructed", SHAPES)
def test_a_key_of_each_size_decrypts_both_forms(bits, constructed):
    private_key = rsa.generate_private_key(65537, bits)
    key = RecipientKey(private_key)
    for plaintext in (b"", b"s", SECRET, bytes(4096)):
        blob = encrypt_for(plaintext, private_key.public_key(), constructed=constructed)
        assert key.decrypt(blob) == plaintext


def test_only_keys_of_the_sizes_that_kms_accepts_are_made():
    assert "2048 bits" in repr(RecipientKey.generate())
    for bits in (1024, 2047, 8192, None, "2048"):
        with pytest.raises(InputError):
            RecipientKey.generate(bits)
    for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(InputError):
            RecipientKey(key)


def test_the_private_key_does_not_leave_the_object():
    private = PRIVATE_KEY.private_numbers()
    shown = repr(KEY) + str(KEY) + repr([KEY])
    for number in (private.d, private.p, private.q):
        assert f"{number:x}" not in shown
        assert str(number) not in shown
    assert KEY_ID.hex() in repr(KEY)
    der = PRIVATE_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = [getattr(KEY, name) for name in dir(KEY) if not name.startswith("_")]
    assert der not in public
    assert PRIVATE_KEY not in public
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="does not leave the enclave"):
            escape(KEY)


def test_attest_requests_a_document_with_the_key(fake, when):
    asked = {}

    class Nsm:
        def attest(self, **fields):
            asked.update(fields)
            return fake.document(at=when, **fields)

    document = KEY.attest(Nsm(), user_data=b"u", nonce=b"n")
    assert asked == {"public_key": KEY.public_key_der, "user_data": b"u", "nonce": b"n"}
    assert KEY.recipient(document) == {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": document,
    }


@pytest.mark.parametrize("document", [b"", None, "text", bytearray(10), bytes(16385), b"other"])
def test_recipient_rejects_a_document_without_the_key(document):
    with pytest.raises(InputError) as caught:
        KEY.recipient(document)
    assert caught.value.code == "input.expected"


@pytest.mark.parametrize("blob", [None, "text", 7, bytearray(10), memoryview(b"")])
def test_an_answer_that_is_not_bytes_is_rejected(blob):
    with pytest.raises(InputError):
        KEY.decrypt(blob)


# K-5, K-6, K-9: the form


def test_k5_the_fake_encodes_answers_as_kms_does(blobs):
    for name, constructed in (("input_ber", True), ("input_ber_w_ctx", False), ("edgebit", True)):
        found = parse_enveloped_data(blobs[name])
        again = encode_cms(
            found.key_id, found.encrypted_key, found.iv, found.ciphertext, constructed=constructed
        )
        assert again == blobs[name]


def test_k7_genuine_answers_to_a_different_key_are_rejected(blobs):
    for blob in blobs.values():
        assert error_of(blob).code == "kms.recipient"


def test_a_published_answer_of_kms_decrypts_with_its_published_key(blobs):
    path = os.environ.get("NITRO_ATTEST_KMS_KEY")
    if not path:
        pytest.skip(
            "NITRO_ATTEST_KMS_KEY does not name the key that edgebitio/nitro-enclaves-sdk-go "
            "publishes in crypto/cms/cms_test.go: the worked decryption was not done"
        )
    key = RecipientKey(load_pem_private_key(Path(path).read_bytes(), None))
    expected = "3be82c440f06cb4d44c4c2ec3bf30d472407d3a9125aa4c1842b98f6bdd26e41"
    assert key.decrypt(blobs["edgebit"]).hex() == expected


def test_k9_answers_are_accepted_up_to_the_size_limit():
    assert error_of(b"").code == "kms.format"
    public = PRIVATE_KEY.public_key()
    fixed = len(encrypt_for(bytes(5000), public)) - 5008
    largest = encrypt_for(bytes((6144 - fixed) // 16 * 16 - 1), public)
    assert 6144 - 16 < len(largest) <= 6144
    assert KEY.decrypt(largest)
    assert error_of(encrypt_for(bytes(6144), public)).code == "kms.format"


def test_k6_truncated_answers_and_trailing_bytes_are_rejected():
    blob = encrypt_for(SECRET, PRIVATE_KEY.public_key())
    assert error_of(blob + b"\x00").code == "kms.format"
    assert {error_of(blob[:size]).code for size in range(1, len(blob))} == {"kms.format"}


SHA256 = "300d06096086480165030402010500"
CHANGES = {
    "content type": ("2a864886f70d010703", "2a864886f70d010701"),
    "version of EnvelopedData": ("30800201023182", "30800201003182"),
    "version of KeyTransRecipientInfo": ("0201028020", "0201008020"),
    "key encryption algorithm": ("2a864886f70d010107", "2a864886f70d010101"),
    "hash of RSAES-OAEP": ("a00f" + SHA256, "a00f300d06096086480165030402020500"),
    "parameters of the hash": ("a00f" + SHA256, "a00f300d06096086480165030402010400"),
    "mask generation": ("2a864886f70d010108", "2a864886f70d010109"),
    "hash of MGF1": ("010108" + SHA256, "010108300d06096086480165030402030500"),
    "encrypted content type": ("2a864886f70d010701", "2a864886f70d010702"),
    "content encryption algorithm": ("60864801650304012a", "608648016503040102"),
    "no encrypted content": ("a080", "a180"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_k5_a_different_algorithm_version_or_type_is_rejected(what):
    old, new = map(bytes.fromhex, CHANGES[what])
    # A random ciphertext would contain the shortest of these now and then.
    blob = encode_cms(KEY_ID, encrypted(bytes(32)), bytes(16), bytes(16))
    head, found, tail = blob.rpartition(old)
    assert found
    error = error_of(head + new + tail)
    assert error.code == "kms.format"
    assert what in error.message
    assert error.offset is not None


def test_k5_an_iv_that_is_not_16_bytes_is_rejected():
    for iv in (b"", bytes(15), bytes(17)):
        assert "IV" in error_of(encode_cms(KEY_ID, bytes(256), iv, bytes(16))).message


def test_k6_a_constructed_ciphertext_needs_at_least_one_part():
    whole = encode_cms(KEY_ID, encrypted(bytes(32)), bytes(16), bytes(16))
    part = b"\x04\x10" + bytes(16)
    head, found, tail = whole.rpartition(part)
    assert found
    assert "no encrypted content" in error_of(head + tail).message
    halves = b"\x04\x08" + bytes(8) + b"\x04\x08" + bytes(8)
    assert parse_enveloped_data(head + halves + tail).ciphertext == bytes(16)
    assert error_of(head + b"\x24\x80" + halves + b"\x00\x00" + tail).code == "kms.format"


def test_k7_an_identifier_of_a_different_size_is_not_compared():
    content_key, iv = bytes(32), bytes(16)
    ciphertext = cbc(content_key, iv, b"secret" + b"\x0a" * 10)
    for key_id in (hashlib.sha1(KEY.public_key_der).digest(), b""):
        blob = encode_cms(key_id, encrypted(content_key), iv, ciphertext)
        assert KEY.decrypt(blob) == b"secret"
    blob = encode_cms(bytes(32), encrypted(content_key), iv, ciphertext)
    assert error_of(blob).code == "kms.recipient"


# K-8: one error


def outcome(blob):
    """The plaintext, everything visible of a kms.decrypt error, or the code of another error."""
    try:
        return KEY.decrypt(blob)
    except KmsError as error:
        seen = (*error.args, error.__cause__, error.__context__)
        return seen if error.code == "kms.decrypt" else error.code


def padded_with(tail):
    content_key, iv, block = bytes(32), bytes(16), bytes(16 - len(tail)) + tail
    return encode_cms(KEY_ID, encrypted(content_key), iv, cbc(content_key, iv, block))


COULD_NOT = ("kms.decrypt", "could not decrypt the CiphertextForRecipient", None, None, None)
UNREADABLE = {
    "OAEP of nothing": lambda: encode_cms(KEY_ID, bytes(256), bytes(16), bytes(16)),
    "OAEP over the modulus": lambda: encode_cms(KEY_ID, b"\xff" * 256, bytes(16), bytes(16)),
    "short encrypted key": lambda: encode_cms(KEY_ID, bytes(255), bytes(16), bytes(16)),
    "long encrypted key": lambda: encode_cms(KEY_ID, bytes(512), bytes(16), bytes(16)),
    "empty encrypted key": lambda: encode_cms(KEY_ID, b"", bytes(16), bytes(16)),
    "OAEP with SHA-1": lambda: encode_cms(
        KEY_ID,
        encrypted(bytes(32), SHA1_OAEP),
        bytes(16),
        cbc(bytes(32), bytes(16), b"\x10" * 16),
    ),
    "content key of 16": lambda: encode_cms(
        KEY_ID, encrypted(bytes(16)), bytes(16), cbc(bytes(16), bytes(16), b"\x10" * 16)
    ),
    "content key of 33": lambda: encode_cms(KEY_ID, encrypted(bytes(33)), bytes(16), bytes(16)),
    "empty content key": lambda: encode_cms(KEY_ID, encrypted(b""), bytes(16), bytes(16)),
    "no ciphertext": lambda: encode_cms(KEY_ID, encrypted(bytes(32)), bytes(16), b""),
    "half a block": lambda: encode_cms(KEY_ID, encrypted(bytes(32)), bytes(16), bytes(8)),
    "padding 00": lambda: padded_with(b"\x00"),
    "padding 11": lambda: padded_with(b"\x11"),
    "padding ff": lambda: padded_with(b"\xff"),
    "padding 02 with 01 before": lambda: padded_with(b"\x01\x02"),
    "padding 10 with one wrong": lambda: padded_with(b"\x0f" + b"\x10" * 15),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("again", range(3))
def test_k8_all_decryption_failures_are_indistinguishable(what, again):
    assert outcome(UNREADABLE[what]()) == COULD_NOT


def test_k8_paddings_of_all_lengths_are_accepted():
    for size in range(1, 17):
        assert KEY.decrypt(padded_with(bytes([size]) * size)) == bytes(16 - size)


@pytest.mark.parametrize("constructed", SHAPES)
def test_every_bit_is_checked_except_the_iv_and_the_ciphertext(constructed):
    """Only TLS protects the IV and the ciphertext."""
    blob = encrypt_for(SECRET, PRIVATE_KEY.public_key(), constructed=constructed)
    enveloped = parse_enveloped_data(blob)
    malleable = {
        blob.index(part) + place
        for part in (enveloped.iv, enveloped.ciphertext)
        for place in range(len(part))
    }
    for bit in range(8 * len(blob)):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        if bit // 8 in malleable:
            assert outcome(bytes(changed)) not in (SECRET, "kms.format", "kms.recipient")
        else:
            assert outcome(bytes(changed)) in ("kms.format", "kms.recipient", COULD_NOT)


# Compared with OpenSSL


@needs_openssl
@pytest.mark.parametrize("options", [[], ["-stream"]], ids=["definite", "indefinite"])
@pytest.mark.parametrize("key_id", [KEY_ID, hashlib.sha1(KEY_ID).digest()], ids=["ours", "sha1"])
@pytest.mark.parametrize("size", [1, 32, 3000])
def test_answers_made_by_openssl_decrypt(tmp_path, options, key_id, size):
    plaintext = bytes(range(256)) * 12
    (tmp_path / "plaintext").write_bytes(plaintext[:size])
    (tmp_path / "key.pem").write_bytes(
        PRIVATE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "openssl.cnf").write_text(
        "[req]\ndistinguished_name=name\nprompt=no\n[name]\nCN=recipient\n"
        f"[v3]\nsubjectKeyIdentifier={key_id.hex()}\n"
    )

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    openssl(
        *("req", "-x509", "-key", "key.pem", "-config", "openssl.cnf", "-extensions", "v3"),
        *("-days", "1", "-out", "certificate.pem"),
    )
    openssl(
        *("cms", "-encrypt", "-binary", "-in", "plaintext", "-keyid", "-aes-256-cbc", *options),
        *("-outform", "DER", "-out", "blob", "-recip", "certificate.pem"),
        *("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"),
        *("-keyopt", "rsa_mgf1_md:sha256"),
    )
    blob = (tmp_path / "blob").read_bytes()
    assert (blob[1] == 0x80) == bool(options)
    assert KEY.decrypt(blob) == plaintext[:size]


@needs_openssl
@pytest.mark.parametrize("constructed", SHAPES)
def test_openssl_decrypts_answers_of_the_fake(tmp_path, constructed):
    blob = encrypt_for(SECRET, PRIVATE_KEY.public_key(), constructed=constructed)
    (tmp_path / "blob").write_bytes(blob)
    (tmp_path / "key.pem").write_bytes(
        PRIVATE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    done = subprocess.run(
        shlex.split("openssl cms -decrypt -binary -inform DER -in blob -inkey key.pem"),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert done.stdout == SECRET
