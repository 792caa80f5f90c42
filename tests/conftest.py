"""Fixtures and marks for all tests: documents, a fixed time, one fake PKI."""

import json
import os
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import settings

from nitro_attest.__main__ import run
from nitro_attest.testing import FakeNitro
from nitro_attest.verification.roots import TrustedRoots
from support.paths import FIXTURES
from support.paths import ROOT as ROOT  # for tests that import it from here

# The time that an example takes means nothing: other processes may share the machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command is not installed"
)


@pytest.fixture(scope="session")
def when():
    """The time at which the fake documents of a test are made and verified."""
    return datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)


@pytest.fixture
def clock(monkeypatch, when):
    """Stops the clock that verification reads, at ``when`` and a part of a millisecond."""
    stopped = round(when.timestamp() * 1000) * 1_000_000 + 999_999
    monkeypatch.setattr("nitro_attest.verification.verifier.time.time_ns", lambda: stopped)


@pytest.fixture(scope="session")
def fake():
    return FakeNitro(seed=b"tests")


@pytest.fixture
def roots(fake):
    """The trusted roots with the root of ``fake`` alone."""
    return TrustedRoots.from_pem(fake.root_pem)


@pytest.fixture(scope="session")
def fake_document(fake, when):
    return fake.document(at=when)


@pytest.fixture(scope="session")
def genuine():
    """A genuine document that is not in debug mode, and the time in it."""
    document = (FIXTURES / "real/20250916_encl_us-east-1_tkhq_b1086cbb.bin").read_bytes()
    made = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=1758057949422)
    return document, made


@pytest.fixture(scope="session")
def corpus():
    """The documents of NITRO_ATTEST_CORPUS with their manifest entries; skips without it."""
    folder = os.environ.get("NITRO_ATTEST_CORPUS")
    if not folder:
        pytest.skip("NITRO_ATTEST_CORPUS is not set: only fixtures/real is tested")
    entries = json.loads((Path(folder) / "manifest.json").read_text())["documents"]
    return [(entry, (Path(folder) / entry["file"]).read_bytes()) for entry in entries]


@pytest.fixture
def tool(capsys):
    """Runs the command line tool in this process; returns exit code, stdout and stderr."""

    def call(*arguments):
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
