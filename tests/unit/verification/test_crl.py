"""The form of one revocation list, checked when it is read (R-1, R-3 to R-5, R-7)."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest import RevocationList
from nitro_attest.limits import MAX_CRL_BYTES
from nitro_attest.testing import LIST_FAULTS
from support.errors import code_of, code_or_none, rejection

BY_FORM = {
    fault.id: fault.code
    for fault in LIST_FAULTS.values()
    if fault.code in ("input.crl", "crl.malformed")
    or (fault.code == "crl.scope" and fault.id not in ("R-5.other-address", "R-5.relative-name"))
}


@pytest.mark.parametrize("fault", LIST_FAULTS)
def test_a_fault_of_form_is_found_without_the_issuer(fake, when, fault):
    data = fake.revocation_list("root", at=when, fault=fault)
    if fault in BY_FORM:
        assert code_of(RevocationList.from_bytes, data) == BY_FORM[fault]
    else:
        assert RevocationList.from_bytes(data)


def test_the_facts_of_a_list(fake, when):
    revoked = {5: x509.ReasonFlags.superseded, 2**159: None}
    data = fake.revocation_list("root", at=when, revoked=revoked, number=7)
    one = RevocationList.from_bytes(data)
    issued = when.replace(microsecond=0)
    assert (one.number, one.addresses, one.serials) == (7, None, frozenset(revoked))
    assert (one.this_update, one.next_update) == (issued, issued + timedelta(days=7))
    assert one.entry(5).serial_number == 5
    assert one.entry(6) is None
    assert one.entry(-5) is None
    assert one.to_dict()["entries"] == 2
    assert str(one).startswith("revocation list 7 of ")
    assert repr(one).startswith("<RevocationList: revocation list 7 of ")


@pytest.mark.parametrize("serial", ["5", 5.0, True, None])
def test_only_an_integer_is_a_serial_number(fake, when, serial):
    one = RevocationList.from_bytes(fake.revocation_list("root", at=when, revoked={1: None}))
    assert code_of(one.entry, serial) == "input.expected"


def test_r1_pem_is_read_as_der_is(fake, when):
    data = fake.revocation_list("root", at=when)
    pem = x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)
    assert RevocationList.from_bytes(pem) == RevocationList.from_bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no list",
        None,
        "text",
        bytearray(b"\x30\x00"),
        b"-----BEGIN X509 CRL-----\n-----BEGIN X509 CRL-----\n",
        b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
        bytes(MAX_CRL_BYTES + 1),
    ],
    ids=lambda data: repr(data)[:30],
)
def test_r1_anything_else_is_an_input_error(data):
    assert code_of(RevocationList.from_bytes, data) == "input.crl"


def test_r1_the_message_shows_the_first_bytes_of_what_is_no_list():
    message = rejection(RevocationList.from_bytes, b"# Title\n" * 9).message
    assert message.endswith("found 72 bytes that begin with 23205469746c650a")


@pytest.mark.parametrize("position", range(40))
def test_hostile_bytes_raise_no_other_error(fake, when, position):
    data = bytearray(fake.revocation_list("root", at=when, revoked={5: None}))
    for value in (0x00, 0x7F, 0x80, 0xFF):
        data[position] = value
        code = code_or_none(RevocationList.from_bytes, bytes(data))
        assert code in {None, "input.crl", "crl.malformed", "crl.scope"}
