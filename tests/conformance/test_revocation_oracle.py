"""OpenSSL's check of revocation lists agrees, or the difference has its rule."""

import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from conftest import needs_openssl
from nitro_attest import parse_unverified
from nitro_attest.testing import LIST_FAULTS

pytestmark = needs_openssl

TOLERATED_BY_OPENSSL = {
    "R-1.trailing-bytes",
    "R-2.sha256",
    "R-2.sha512",
    "R-3.version-1",
    "R-3.version-3",
    "R-3.no-next-update",
    "R-4.no-number",
    "R-4.negative-number",
    "R-4.number-of-21-octets",
    "R-4.two-numbers",
    "R-4.number-of-another-type",
    "R-5.no-address",
    "R-5.ca-certificates",  # the certificates that are checked here are all of CAs
    "R-5.entry-of-another-issuer",
    "R-5.unknown-reason",
    "R-5.two-reasons",
    "R-5.serial-not-positive",
    "R-5.serial-twice",
    "R-7.removed",
}
"""The faults that OpenSSL may accept: the rules are stricter than its check, never weaker."""


@pytest.fixture
def openssl(fake_document, when, tmp_path):
    """Verifies the zonal CA, the last one that names a list, with lists of both of its issuers."""
    root, regional, zonal = parse_unverified(fake_document).cabundle[:3]
    for name, der in {"root": root, "regional": regional, "zonal": zonal}.items():
        pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
        (tmp_path / f"{name}.pem").write_bytes(pem)

    def accepts(lists):
        command = ["openssl", "verify", "-crl_check_all", "-attime", str(int(when.timestamp()))]
        command += ["-CAfile", "root.pem", "-untrusted", "regional.pem"]
        for number, der in enumerate(lists):
            done = subprocess.run(
                ["openssl", "crl", "-inform", "DER", "-out", f"{number}.pem"],
                input=der,
                cwd=tmp_path,
                capture_output=True,
                check=False,
            )
            if done.returncode:
                return False
            command += ["-CRLfile", f"{number}.pem"]
        done = subprocess.run(
            [*command, "zonal.pem"], cwd=tmp_path, capture_output=True, check=False
        )
        return done.returncode == 0

    return accepts


def test_openssl_accepts_the_lists_that_we_accept(openssl, fake, when):
    assert openssl([fake.revocation_list(ca, at=when) for ca in ("root", "regional")])


@pytest.mark.parametrize("issuer", ["root", "regional"])
@pytest.mark.parametrize("fault", sorted(LIST_FAULTS.keys() - TOLERATED_BY_OPENSSL))
def test_openssl_rejects_the_lists_that_we_reject(openssl, fake, when, issuer, fault):
    faults = {"root": None, "regional": None, issuer: fault}
    assert not openssl([fake.revocation_list(ca, at=when, fault=f) for ca, f in faults.items()])
