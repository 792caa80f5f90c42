"""What tests share: where documents are, a fixed time, one fake PKI."""

import json
import os
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import settings

from nitro_attest.__main__ import run
from nitro_attest.testing import FakeNitro

# How long an example takes says nothing here: other work may share the machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command is not installed: it was not asked"
)


@pytest.fixture(scope="session")
def when():
    """The time at which the fake documents of a test are made and judged."""
    return datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)


@pytest.fixture
def clock(monkeypatch, when):
    """Stops the clock that verification reads, at ``when`` and a part of a millisecond."""
    stopped = round(when.timestamp() * 1000) * 1_000_000 + 999_999
    monkeypatch.setattr("nitro_attest.verification.verifier.time.time_ns", lambda: stopped)


@pytest.fixture(scope="session")
def fake():
    return FakeNitro(seed=b"tests")


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
        pytest.skip("NITRO_ATTEST_CORPUS is not set: genuine documents beyond fixtures/real unread")
    entries = json.loads((Path(folder) / "manifest.json").read_text())["documents"]
    return [(entry, (Path(folder) / entry["file"]).read_bytes()) for entry in entries]


@pytest.fixture
def tool(capsys):
    """Runs the command line tool in this process: exit code, stdout, stderr."""

    def call(*arguments):
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
