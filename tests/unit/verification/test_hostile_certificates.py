"""Warnings and exceptions of the library on hostile certificates do not leave ours (X-1)."""

import contextlib
import warnings
from base64 import encodebytes

import cbor2
import pytest

from conftest import ROOT
from nitro_attest import TrustedRoots, parse_unverified, verify
from nitro_attest.__main__ import run
from nitro_attest.errors import ChainError
from nitro_attest.measurements.eif.signature import check_signature_section
from nitro_attest.measurements.pcr import pcr8_from_certificate
from nitro_attest.verification.certificate import load_certificate
from support.errors import code_of

DOCUMENT = (ROOT / "fixtures/real/20250916_encl_us-east-1_tkhq_b1086cbb.bin").read_bytes()


@pytest.fixture
def year_zero(fake, when):
    """A document whose certificates name a year that no datetime can hold."""
    document = fake.document(at=when, variant="X-11.generalized-time")
    changed = document.replace(b"\x18\x0f2026", b"\x18\x0f0000")
    assert changed != document
    return changed


def test_x1_a_date_in_the_year_zero_is_a_malformed_certificate(year_zero, fake, when, tmp_path):
    assert code_of(verify, year_zero, fake.root_pem, at=when) == "cert.malformed"
    path = tmp_path / "doc"
    path.write_bytes(year_zero)
    assert run(["verify", str(path)]) == 4
    assert run(["inspect", str(path)]) == 0


def test_x1_no_warning_of_the_library_reaches_the_caller():
    """A country of six letters, for one, makes the library warn."""
    hostile = DOCUMENT.replace(b"\x06\x03\x55\x04\x06\x13\x02US", b"\x06\x03\x55\x04\x06\x0c\x02U ")
    assert hostile != DOCUMENT
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        code_of(verify, hostile, at="document")
    assert not seen


def test_x7_no_warning_about_an_issuers_name_reaches_the_caller():
    """A common name that calls itself a country, for one; issuers are read to explain a fault."""
    start = DOCUMENT.index(parse_unverified(DOCUMENT).cabundle[1])
    at = DOCUMENT.index(b"\x06\x03\x55\x04\x03", start) + 4
    hostile = DOCUMENT[:at] + b"\x06" + DOCUMENT[at + 1 :]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert code_of(verify, hostile, at="document") == "chain.name"
    assert not seen


def test_x1_whatever_der_is_given_a_certificate_or_a_chain_error():
    start = DOCUMENT.index(b"\x30\x82\x02")
    certificate = DOCUMENT[start : start + 644]
    for at in range(len(certificate)):
        for value in (0x00, 0xFF):
            changed = bytearray(certificate)
            changed[at] = value
            with contextlib.suppress(ChainError):  # and nothing else
                load_certificate(bytes(changed), "it")


@pytest.mark.parametrize("read", ["root", "pcr8", "eif"])
def test_no_warning_of_the_library_reaches_who_reads_another_certificate(read, fake, when):
    """A serial number that is not positive makes the library warn."""
    der = parse_unverified(fake.document(at=when, fault="X-2.negative")).certificate
    pem = b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % encodebytes(der)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        if read == "root":
            assert code_of(TrustedRoots.from_pem, pem) == "input.root"
        elif read == "pcr8":
            assert pcr8_from_certificate(pem) == pcr8_from_certificate(der)
        else:
            section = cbor2.dumps([{"signing_certificate": pem, "signature": b""}])
            assert code_of(check_signature_section, section, bytes(48), 0) == "eif.signature"
    assert not seen
