"""The rules of one certificate, called by themselves (X-1, X-2, X-9, X-12 to X-17)."""

import pytest

from nitro_attest import TrustedRoots, certificate


@pytest.fixture
def root(fake):
    (trusted,) = TrustedRoots.from_pem(fake.root_pem)
    return trusted.certificate


def test_a_certificate_does_not_print_its_extensions(root):
    assert "_extensions" not in repr(root)


def test_x1_one_thread_at_a_time_touches_the_warning_filters(fake, monkeypatch):
    real = certificate.x509.load_der_x509_certificate
    held = []

    def load(der):
        held.append(certificate._filters_lock.locked())
        return real(der)

    monkeypatch.setattr(certificate.x509, "load_der_x509_certificate", load)
    certificate.load_certificate(fake.root_der, "it")
    assert held == [True]
    assert not certificate._filters_lock.locked()
