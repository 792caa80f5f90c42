"""The chain module against two others that we did not write: the library's path engine and OpenSSL.

Neither is used by the package. Where they differ from us, the difference names our rule.
"""

import functools
import shutil
import subprocess
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
)

from nitro_attest import ChainError, NitroAttestError, TrustedRoots, parse_unverified, verify
from nitro_attest.testing import FAULTS

# What another engine accepts although the named rule refuses it, and why it may.
ENGINE_DOES_NOT_CHECK = {
    "X-2": "any serial number",
    "X-3": "the bundle is a bag",
    "X-4": "a root is its name and key, not its bytes",
    "X-5": "the root need not be sent",
    "X-6": "the bundle is a bag",
    "X-9": "weaker algorithms and other forms of keys",
    "X-10": "fractions of a second are dropped",
    "X-12": "further critical extensions are understood",
    "X-18": "the bundle is a bag",
    "X-19": "key identifiers are hints",
}
OPENSSL_DOES_NOT_CHECK = {
    rule: why for rule, why in ENGINE_DOES_NOT_CHECK.items() if rule not in ("X-10", "X-19")
} | {
    "X-1": "version 2, and names it cannot print",
    "X-13": "an extension twice",
    "X-14": "criticality",
    "X-7": "names that differ in case or string type",
    "X-15": "missing keyUsage",
    "X-17": "what a signing certificate may do",
}


def engine_accepts(cabundle, leaf, root, at):
    """CA and leaf policies as AWS makes them; the bundle is a bag to the engine."""

    def needs(extension, attribute):
        def check(_policy, _certificate, value):
            if not getattr(value, attribute):
                raise ValueError(f"{extension} without {attribute}")

        return check

    def not_ca(_policy, _certificate, value):
        if value.ca:
            raise ValueError("a CA")

    anything = ExtensionPolicy.permit_all()
    authorities = anything.require_present(
        x509.BasicConstraints, Criticality.CRITICAL, needs("basicConstraints", "ca")
    ).require_present(x509.KeyUsage, Criticality.AGNOSTIC, needs("keyUsage", "key_cert_sign"))
    leaves = anything.require_present(
        x509.BasicConstraints, Criticality.CRITICAL, not_ca
    ).require_present(x509.KeyUsage, Criticality.AGNOSTIC, needs("keyUsage", "digital_signature"))
    try:
        verifier = (
            PolicyBuilder()
            .store(Store([root]))
            .time(at.replace(tzinfo=None))
            .max_chain_depth(8)
            .extension_policies(ca_policy=authorities, ee_policy=leaves)
            .build_client_verifier()
        )
        verifier.verify(
            x509.load_der_x509_certificate(leaf),
            [x509.load_der_x509_certificate(der) for der in cabundle],
        )
    except Exception:  # hostile certificates make the library raise more than it documents
        return False
    return True


def openssl_accepts(folder, cabundle, leaf, root, at):
    try:
        pems = [
            x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
            for der in (*cabundle, leaf)
        ]
    except Exception:
        return False
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (folder / "bundle.pem").write_bytes(b"".join(pems[:-1]))
    (folder / "leaf.pem").write_bytes(pems[-1])
    command = ["openssl", "verify", "-attime", str(int(at.timestamp()))]
    command += ["-no-CAfile", "-no-CApath", "-no-CAstore", "-trusted", folder / "root.pem"]
    command += ["-untrusted", folder / "bundle.pem", folder / "leaf.pem"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def we_accept(document, root_pem, at):
    try:
        verify(document, root_pem, at=at, allow_debug=True)
    except ChainError:
        return False
    except NitroAttestError as error:
        if error.exit_code < ChainError.exit_code:
            raise
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


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command is not installed"
)


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
    """Rules whose faults another engine accepts; fails where it refuses what we accept."""
    rules = set()
    for name in FORGED:
        fault = FAULTS[name]
        document = fake.document(at=when, fault=name)
        at = when + fault.at_shift
        parsed = parse_unverified(document)
        root = x509.load_pem_x509_certificate(fake.root_pem)
        ours = we_accept(document, fake.root_pem, at)
        theirs = accepts(parsed.cabundle, parsed.certificate, root, at)
        assert theirs or not ours, f"{name}: we accept what another engine refuses"
        if theirs and not ours:
            rules.add(fault.rule)
    return rules


def test_the_path_engine_refuses_every_forged_chain_but_by_rules_that_are_ours(fake, when):
    assert too_lenient(engine_accepts, fake, when) == set(ENGINE_DOES_NOT_CHECK)


@needs_openssl
def test_openssl_refuses_every_forged_chain_but_by_rules_that_are_ours(fake, when, tmp_path):
    accepts = functools.partial(openssl_accepts, tmp_path)
    assert too_lenient(accepts, fake, when) == set(OPENSSL_DOES_NOT_CHECK)
