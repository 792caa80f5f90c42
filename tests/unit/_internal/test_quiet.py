"""X-1: what the cryptography package warns of reaches nobody, and no filter is touched."""

import warnings
from dataclasses import replace
from operator import attrgetter

import pytest
from cryptography import x509

from nitro_attest._internal.quiet import quietly

COUNTRY = bytes.fromhex("300c310a3008060355040613") + b"\x01X"  # countryName has 2 characters

UNUSUAL = {
    "serial": ({"serial": 0}, x509.load_der_x509_certificate, "serial number"),
    "subject": ({"subject": COUNTRY}, attrgetter("subject"), "length must be"),
    "issuer": ({"issuer": COUNTRY}, attrgetter("issuer"), "length must be"),
}


@pytest.fixture(params=UNUSUAL.values(), ids=UNUSUAL)
def unusual(request, fake, when):
    """A read, what it reads, and what the library warns of meanwhile."""
    changes, read, warned = request.param
    der = replace(fake._pki.path(when, fake.module_id)[-1], **changes).der
    is_property = isinstance(read, attrgetter)
    return read, x509.load_der_x509_certificate(der) if is_property else der, warned


def test_a_plain_read_warns(unusual):
    read, source, warned = unusual
    with pytest.warns(Warning, match=warned):
        read(source)


@pytest.mark.parametrize("action", ["always", "error"])
def test_a_quiet_read_does_not(unusual, action):
    read, source, _ = unusual
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter(action)
        quietly(read, source)
    assert not seen


def test_the_filters_of_the_process_are_left_alone_meanwhile():
    seen = quietly(attrgetter("filters"), warnings)
    assert seen is warnings.filters


def test_an_exception_of_the_read_is_raised():
    with pytest.raises(KeyError):
        quietly({}.__getitem__, "absent")


def test_the_callers_own_warnings_are_shown_afterwards():
    quietly(len, ())
    with pytest.warns(UserWarning, match="the caller's"):
        warnings.warn("the caller's", stacklevel=1)
