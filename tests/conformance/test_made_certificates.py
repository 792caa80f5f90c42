"""The certificates that the tools of the vectors change element by element, and sign again."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_der_public_key

from nitro_attest import parse_unverified
from reference.chain_reference import elements
from support.paths import TOOLS

OTHER_LENGTHS = {
    *("X-1.long-length", "X-1.long-length-in-bundle"),
    *("X-1.indefinite-length", "X-1.indefinite-length-in-bundle"),
}
"""Their length is what is wrong, so that the reader of these tests does not take them."""


@pytest.fixture
def vectors(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from vectors import der_cases, fakes, handmade, table

    return der_cases, fakes, handmade, table


def path_of(fakes):
    return fakes.NITRO._pki.path(fakes.WHEN, fakes.NITRO.module_id)


def test_what_is_read_and_not_changed_is_written_as_it_was(vectors):
    _, fakes, handmade, _ = vectors
    for form in path_of(fakes):
        assert handmade.parse(form.der).encoded == form.der


def test_every_certificate_has_the_signature_of_its_issuer(vectors):
    """So that a verifier rejects it for what the case is about."""
    der_cases, fakes, _, table = vectors
    keys = [load_der_public_key(form.key.spki) for form in path_of(fakes)[:-1]]
    rows = (*der_cases.ENCODING, *der_cases.MEANING, *der_cases.DATES)
    checked = [case for case in table.cases(rows) if case.id not in OTHER_LENGTHS]
    assert len(checked) == len(rows) - len(OTHER_LENGTHS)
    for case in checked:
        document = parse_unverified(case.document)
        for key, child in zip(keys, [*document.cabundle[1:], document.certificate], strict=True):
            signed, _, signature, *_ = elements(elements(child)[0].content)
            key.verify(signature.content[1:], signed.whole, ECDSA(SHA384()))
