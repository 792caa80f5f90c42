"""The rules of one certificate, called by themselves (X-1, X-2, X-9, X-12 to X-17)."""

import re
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from nitro_attest import ChainError, TrustedRoots
from nitro_attest.verification.certificate import read_certificate


@pytest.fixture
def root(fake):
    (trusted,) = TrustedRoots.from_pem(fake.root_pem)
    return trusted.certificate


@pytest.fixture
def form(fake, when):
    """The form of the signing certificate of a document."""
    return fake._pki.path(when, fake.module_id)[-1]


def refusal(form):
    with pytest.raises(ChainError) as caught:
        read_certificate(form.der, "it")
    return caught.value


def test_a_certificate_prints_neither_its_key_nor_its_extensions(root):
    assert "extensions" not in repr(root)
    assert "key_info" not in repr(root)


def test_x9_the_key_is_cut_out_as_the_library_encodes_it(root):
    key = root.parsed.public_key()
    assert root.key_info == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_x9_a_certificate_too_small_for_a_key_of_ours_is_refused_for_its_key(form):
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    nobody = x509.Name([]).public_bytes()
    names = {"subject": nobody, "issuer": nobody}
    tiny = replace(form, **names, serial=1, extensions=(), spki=spki, signature=b"")
    assert len(tiny.der) < 0x80  # so that no length in it has the long form
    error = refusal(tiny)
    assert error.code == "cert.algorithm"
    assert "found a key of another kind or encoding (1.3.101.112)" in error.message


def test_what_was_read_cannot_be_changed(root):
    with pytest.raises(AttributeError):
        root.not_after_ms = 0


def test_x10_times_are_whole_milliseconds_since_1970(form):
    read = read_certificate(form.der, "it")
    for time, expected in (
        (read.not_before_ms, form.not_before),
        (read.not_after_ms, form.not_after),
    ):
        assert type(time) is int
        assert time == expected.timestamp() * 1000


@pytest.mark.parametrize("date", ["not before", "not after"])
def test_x1_either_date_in_the_year_zero_is_a_malformed_certificate(form, date):
    der = replace(form, generalized=True).der
    dates = [match.start() for match in re.finditer(rb"\x18\x0f2026", der)]
    at = dates[date == "not after"] + 2
    with pytest.raises(ChainError) as caught:
        read_certificate(der[:at] + b"0000" + der[at + 4 :], "it")
    assert len(dates) == 2
    assert caught.value.code == "cert.malformed"


@pytest.mark.parametrize(
    ("serial", "found"),
    [
        (0, "not positive"),
        (-1, "not positive"),
        (-(2**200), "not positive"),
        (2**167, "22 octets long"),
        (2**175, "23 octets long"),
    ],
)
def test_x2_a_serial_number_that_is_not_positive_or_too_long_is_named_so(form, serial, found):
    error = refusal(replace(form, serial=serial))
    assert error.code == "cert.serial"
    assert f"of 1 to 21 octets, found one that is {found}" in error.message


@pytest.mark.parametrize("serial", [1, 2**160, 2**167 - 1])
def test_x2_a_positive_serial_number_of_up_to_21_octets_is_read(form, serial):
    read = read_certificate(replace(form, serial=serial).der, "it")
    assert read.parsed.serial_number == serial


def test_x1_a_common_name_that_is_a_bit_string_is_a_malformed_certificate(form):
    name = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x03\x02\x00a"
    assert refusal(replace(form, subject=name)).code == "cert.malformed"
    text = name[:-4] + b"\x0c\x02aa"  # the same as UTF8String
    read = read_certificate(replace(form, subject=text).der, "it")
    assert read.common_name == "aa"


@pytest.mark.parametrize(("names", "found"), [([], ""), (["a"], "a"), (["a", "b"], "")])
def test_x24_only_a_single_common_name_counts(form, names, found):
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Amazon")]
    attributes += [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]
    subject = x509.Name(attributes).public_bytes()
    read = read_certificate(replace(form, subject=subject).der, "it")
    assert read.common_name == found
