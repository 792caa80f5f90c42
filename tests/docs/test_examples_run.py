"""The examples in the docstrings of the public names run as they are printed."""

import doctest
import importlib
from datetime import datetime

import pytest
from api_tool import OBJECTS, api, label

import nitro_attest
from nitro_attest.testing import FakeNitro

REQUIRED = {
    "nitro_attest.verify",
    "nitro_attest.verify_nitrotpm",
    "nitro_attest.Verifier",
    "nitro_attest.Verifier.verify",
    "nitro_attest.Verifier.verify_many",
    "nitro_attest.NitroTpmVerifier",
    "nitro_attest.Policy",
    "nitro_attest.MeasurementSet",
    "nitro_attest.TrustedRoots.from_pem",
    "nitro_attest.parse_unverified",
    "nitro_attest.Challenger",
    "nitro_attest.ReplayGuard",
    "nitro_attest.load_public_key",
    "nitro_attest.seal_to",
    "nitro_attest.policy_files.load_policy",
    "nitro_attest.policy_files.parse_policy",
    "nitro_attest.measurements.measure",
    "nitro_attest.measurements.pcr3_from_role_arn",
    "nitro_attest.measurements.pcr8_from_certificate",
    "nitro_attest.enclave.client.attest",
    "nitro_attest.kms.statements.statements",
    "nitro_attest.testing.FakeNitro",
}
"""The names that most programs use: each has an example."""

READS_THE_CLOCK = ("nitro_attest.testing.nitro", "nitro_attest.freshness.challenge")
"""The modules that call datetime.now(); the fixture ``clock`` stops time.time_ns() for the rest."""

EXAMPLES = [item for item in OBJECTS if api.section(item.docstring, "Example")]


class Stopped(type(datetime)):
    """Makes ``isinstance(value, datetime)`` true of ordinary datetimes in a patched module."""

    def __instancecheck__(cls, value):
        return isinstance(value, datetime)


@pytest.fixture
def example_names(monkeypatch, tmp_path, clock, when):
    """The names that examples may use beside those of their module, at a fixed time."""

    class Fixed(datetime, metaclass=Stopped):
        @classmethod
        def now(cls, tz=None):
            return when.astimezone(tz)

    for module in READS_THE_CLOCK:
        monkeypatch.setattr(importlib.import_module(module), "datetime", Fixed)
    monkeypatch.chdir(tmp_path)
    nitro = FakeNitro(seed=b"examples", instance_id="i-0123456789abcdef0")
    nonce = bytes(range(32))
    document = nitro.document(at=when, nonce=nonce)
    attestation = nitro_attest.verify(document, nitro.root_pem, nonce=nonce)
    pcrs = {index: attestation.pcrs[index] for index in (0, 1, 2)}
    return {
        "nitro": nitro,
        "root_pem": nitro.root_pem,
        "when": when,
        "nonce": nonce,
        "document": document,
        "attestation": attestation,
        "pcrs": pcrs,
        **{f"pcr{index}": value for index, value in pcrs.items()},
        "instance": nitro.document(at=when, kind="nitrotpm", nonce=nonce),
    }


@pytest.mark.parametrize("item", EXAMPLES, ids=label)
def test_the_example_runs(item, example_names):
    text = api.section(item.docstring, "Example")
    names = {"nitro_attest": nitro_attest}
    names |= {name: getattr(nitro_attest, name) for name in api.exported("nitro_attest")}
    defining, _ = api.definition(item.module, item.name.partition(".")[0])
    names |= vars(importlib.import_module(defining))
    names |= example_names
    test = doctest.DocTestParser().get_doctest(text, names, label(item), None, 0)
    assert test.examples, "an example without >>>"
    report = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)


def test_the_names_that_most_programs_use_have_an_example():
    assert len(REQUIRED) >= 20
    missing = REQUIRED - {label(item) for item in EXAMPLES}
    assert not sorted(missing)
