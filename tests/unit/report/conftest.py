"""Results of each kind, and the reports of them."""

from datetime import timedelta

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    NitroAttestError,
    NitroTpmVerifier,
    Policy,
    Request,
    Verifier,
    parse_unverified,
)
from nitro_attest.report import Report

NONCE = b"n" * 32


@pytest.fixture(scope="session")
def made(fake, when):
    """A document of an enclave with a nonce and user_data, made 20 s before ``when``."""
    at = when - timedelta(seconds=20)
    return fake.document(at=at, nonce=NONCE, user_data=b"<b>bold</b>")


@pytest.fixture(scope="session")
def instance(fake, when):
    return fake.document(at=when, kind="nitrotpm", nonce=NONCE)


@pytest.fixture(scope="session")
def pinned(made):
    """The policy that ``made`` meets."""
    pcrs = parse_unverified(made).pcrs
    return Policy([{0: pcrs[0], 1: pcrs[1], 2: pcrs[2]}])


@pytest.fixture
def report_of(fake, when):
    """Verifies a document and returns the report, whatever the result."""

    def call(document, policy=ANY_ENCLAVE, *, roots=None, revocation=None, at=when, **call):
        kind = NitroTpmVerifier if policy.kind == "nitrotpm" else Verifier
        trusted = fake.root_pem if roots is None else roots
        verifier = kind(trusted, policy=policy, revocation=revocation)
        request = Request(document, at=at, **call)
        try:
            result = verifier.verify(document, at=at, **call)
        except NitroAttestError as error:
            result = error
        return Report.of(result, request, policy=policy, revocation=revocation, source="doc.bin")

    return call


@pytest.fixture
def reports(report_of, made, instance, pinned, when):
    """A report of each kind by name."""
    from nitro_attest import ANY_INSTANCE, TrustedRoots

    return {
        "accepted": report_of(made, pinned, nonce=NONCE),
        "any": report_of(made),
        "archived": report_of(made, pinned, at="document"),
        "instance": report_of(instance, ANY_INSTANCE),
        "requirement": report_of(made, Policy([{0: "ab" * 48}, {1: "cd" * 48}]), nonce=b"m" * 32),
        "chain": report_of(made, roots=TrustedRoots.AWS),
        "expired": report_of(made, at=when + timedelta(days=400)),
        "signature": report_of(made[:-1] + bytes([made[-1] ^ 1])),
        "syntax": report_of(made[:2000] + b"\xff" + made[2000:]),
        "truncated": report_of(made[:-1]),
        "large": report_of(made + bytes(20000)),
        "kind": report_of(instance),
    }
