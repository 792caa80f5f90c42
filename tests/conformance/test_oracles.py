"""The chain module against two others that we did not write: the library's path engine and OpenSSL.

Neither is used by the package. Where they differ from us, the difference names our rule.
"""

import functools
from datetime import timedelta

import pytest
from cryptography import x509

from chain_oracles import (
    ENGINE_DOES_NOT_CHECK,
    OPENSSL_DOES_NOT_CHECK,
    engine_accepts,
    openssl_accepts,
)
from conftest import needs_openssl
from nitro_attest import (
    ChainError,
    PolicyError,
    SignatureError,
    TrustedRoots,
    parse_unverified,
    verify,
)
from nitro_attest.testing import FAULTS


def we_accept(document, root_pem, at):
    try:
        verify(document, root_pem, at=at, allow_debug=True)
    except ChainError:
        return False
    except (SignatureError, PolicyError):
        pass  # both come after the chain
    return True


def roots_of(roots):
    (root,) = roots
    return root.certificate.parsed


def test_the_path_engine_agrees_on_every_genuine_chain(corpus):
    root = roots_of(TrustedRoots.AWS)
    for entry, document in corpus:
        if entry["expect"] != "genuine" or entry["kind"] != "enclave":
            continue
        parsed = parse_unverified(document)
        for shift in (timedelta(0), timedelta(days=30)):
            at = parsed.timestamp + shift
            ours = we_accept(document, None, at)
            assert ours == (shift == timedelta(0))
            assert engine_accepts(parsed.cabundle, parsed.certificate, root, at) == ours


@needs_openssl
def test_openssl_agrees_on_every_genuine_chain(corpus, tmp_path):
    root = roots_of(TrustedRoots.AWS)
    for entry, document in corpus:
        if entry["expect"] != "genuine" or entry["kind"] != "enclave":
            continue
        parsed = parse_unverified(document)
        for shift in (timedelta(0), timedelta(days=30)):
            at = parsed.timestamp + shift
            ours = we_accept(document, None, at)
            theirs = openssl_accepts(tmp_path, parsed.cabundle, parsed.certificate, root, at)
            assert theirs == ours


FORGED = sorted(
    name
    for name, fault in FAULTS.items()
    if fault.rule.startswith("X-") and int(fault.rule[2:]) < 20
)
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


def too_lenient(accepts, fake, when):
    """Rules whose faults another engine accepts; fails where it rejects what we accept."""
    rules = set()
    for name in FORGED:
        fault = FAULTS[name]
        document = fake.document(at=when, fault=name)
        at = when + fault.at_shift
        parsed = parse_unverified(document)
        root = x509.load_pem_x509_certificate(fake.root_pem)
        ours = we_accept(document, fake.root_pem, at)
        theirs = accepts(parsed.cabundle, parsed.certificate, root, at)
        assert theirs or not ours, f"{name}: we accept what another engine rejects"
        if theirs and not ours:
            rules.add(fault.rule)
    return rules


def test_the_path_engine_rejects_every_forged_chain_but_by_rules_that_are_ours(fake, when):
    assert too_lenient(engine_accepts, fake, when) == set(ENGINE_DOES_NOT_CHECK)


@needs_openssl
def test_openssl_rejects_every_forged_chain_but_by_rules_that_are_ours(fake, when, tmp_path):
    accepts = functools.partial(openssl_accepts, tmp_path)
    assert too_lenient(accepts, fake, when) == set(OPENSSL_DOES_NOT_CHECK)
