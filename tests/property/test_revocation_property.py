"""Revocation lists only ever reject more (R-6, R-7)."""

import functools
from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from nitro_attest import ANY_ENCLAVE, NitroAttestError, RevocationLists, TrustedRoots, Verifier
from nitro_attest.testing import FAULTS, LIST_FAULTS, FakeNitro
from support.errors import code_or_none

WHEN = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
FAKE = FakeNitro(seed=b"revocation")
ROOTS = TrustedRoots.from_pem(FAKE.root_pem)
PLAIN = Verifier(ROOTS, policy=ANY_ENCLAVE)


@functools.cache
def document(fault):
    return FAKE.document(at=WHEN, fault=fault)


@functools.cache
def readable(issuer, fault):
    """The list, or None if it cannot be read."""
    try:
        return next(iter(RevocationLists(FAKE.revocation_list(issuer, at=WHEN, fault=fault))))
    except NitroAttestError:
        return None


FAULTY_DOCUMENTS = st.sampled_from([None, *(name for name in FAULTS if name.startswith("X-"))])
LISTS = st.lists(
    st.builds(
        readable,
        st.sampled_from(["root", "regional", "zonal", "instance"]),
        st.sampled_from([None, None, *LIST_FAULTS]),
    ).filter(bool),
    min_size=1,
    max_size=6,
)


def verdict(lists, fault=None):
    verifier = Verifier(ROOTS, policy=ANY_ENCLAVE, revocation=RevocationLists(*lists))
    return code_or_none(verifier.verify, document(fault), at=WHEN)


@settings(max_examples=200)
@given(LISTS, FAULTY_DOCUMENTS)
def test_no_lists_make_a_verifier_accept_what_it_rejects(lists, fault):
    plain = code_or_none(PLAIN.verify, document(fault), at=WHEN)
    with_lists = verdict(lists, fault)
    if plain is not None:
        assert with_lists is not None


@settings(max_examples=200)
@given(LISTS, LISTS)
def test_no_further_list_makes_a_revoked_certificate_good(lists, further):
    if verdict(lists) == "cert.revoked":
        assert verdict([*further, *lists]) == verdict([*lists, *further]) == "cert.revoked"


@settings(max_examples=100)
@given(LISTS)
def test_the_order_of_lists_does_not_change_what_is_accepted(lists):
    assert (verdict(lists) is None) == (verdict(lists[::-1]) is None)
