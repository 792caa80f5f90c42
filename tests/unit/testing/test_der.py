"""The DER writer and the certificate form, compared with the library that parses their output."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import CertificateForm, Extension, KeyRing
from nitro_attest.testing.pki import basic_constraints, key_usage, name

RING = KeyRing(b"test", deterministic=True)
NAME = name((NameOID.COMMON_NAME, "somebody"))


def form(**changes):
    key = RING.key("somebody")
    plain = CertificateForm(
        subject=NAME,
        issuer=NAME,
        key=key,
        signer=key,
        serial=1,
        not_before=datetime(2026, 1, 1, tzinfo=timezone.utc),
        not_after=datetime(2026, 1, 2, tzinfo=timezone.utc),
        extensions=(basic_constraints(ca=True), key_usage("key_cert_sign")),
    )
    return replace(plain, **changes)


def test_a_plain_form_is_parsed_with_its_content():
    made = form()
    read = x509.load_der_x509_certificate(made.der)
    read.verify_directly_issued_by(read)
    assert read.version is x509.Version.v3
    assert read.subject.rfc4514_string() == "CN=somebody"
    assert read.not_valid_before_utc == made.not_before
    assert read.not_valid_after_utc == made.not_after
    assert read.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    spki = read.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki == made.key.spki
    assert read.public_bytes(Encoding.DER) == made.der


@given(st.integers(1, (1 << 400) - 1))
def test_any_positive_serial_is_parsed_back(serial):
    read = x509.load_der_x509_certificate(form(serial=serial, signature=b"").der)
    assert read.serial_number == serial


@given(st.integers(-(1 << 200), 1 << 200))
def test_integers_have_the_shortest_form_of_x690(value):
    encoded = der.integer(value)
    content = encoded[2:]
    assert int.from_bytes(content, "big", signed=True) == value
    assert len(content) == 1 or content[:2] not in (b"\x00\x00", b"\xff\xff")
    if len(content) > 1:
        assert int.from_bytes(content[1:], "big", signed=True) != value


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65535, 65536])
def test_lengths_have_the_shortest_form_of_x690(size):
    encoded = der.octet_string(bytes(size))
    head = len(encoded) - size
    assert head == 2 + (size > 127) + (size > 255) + (size > 65535)
    value = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), encoded)
    assert value.value == encoded


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 1 << 40), max_size=6))
def test_object_identifiers_are_parsed_back(first, second, rest):
    dotted = ".".join(map(str, (first, second, *rest)))
    made = form(extensions=(Extension(dotted, False, b""),), signature=b"")
    (extension,) = x509.load_der_x509_certificate(made.der).extensions
    assert extension.oid.dotted_string == dotted
    assert not extension.critical


def test_times_have_the_form_of_rfc_5280_by_default():
    before = datetime(2049, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
    assert der.time(before) == b"\x17\x0d491231235959Z"
    assert der.time(before + timedelta(seconds=1)) == b"\x18\x0f20500101000000Z"
    assert der.time(before, generalized=True) == b"\x18\x0f20491231235959Z"
    east = before.astimezone(timezone(timedelta(hours=9)))
    assert der.time(east) == der.time(before)


def test_certificates_that_no_library_makes_can_be_made():
    twice = (key_usage("crl_sign"), key_usage("key_cert_sign"))
    read = x509.load_der_x509_certificate(form(extensions=twice).der)
    with pytest.raises(x509.DuplicateExtension):
        _ = read.extensions
    assert x509.load_der_x509_certificate(form(version=None).der).version is x509.Version.v1
    mixed = x509.load_der_x509_certificate(
        form(inner_algorithm=der.sequence(der.object_identifier("1.2.840.10045.4.3.2"))).der
    )
    with pytest.raises(ValueError, match="algorithm"):
        mixed.verify_directly_issued_by(mixed)


def test_keys_are_derived_from_the_secret_and_the_label():
    assert RING.key("a").spki == KeyRing(b"test", deterministic=True).key("a").spki
    assert RING.key("a").spki != RING.key("b").spki
    assert RING.key("a").spki != KeyRing(b"other", deterministic=True).key("a").spki
    assert RING.key("a").sign(b"message") == RING.key("a").sign(b"message")


def test_serials_are_positive_and_carry_a_sign_octet():
    serial = RING.serial("a", 20)
    assert serial.bit_length() == 160
    assert der.integer(serial)[:3] == b"\x02\x15\x00"
