"""An argument of a wrong type or size raises InputError, whatever it is, and never anything else.

Each public function is called with correct arguments, one of which is replaced by each of the wrong
values. A call that still returns is none of this test's business: many values are not wrong for
every argument.
"""

import asyncio
import importlib
import inspect
from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import nitro_attest as api
from nitro_attest import ANY_ENCLAVE, ANY_INSTANCE, NitroAttestError, archive, provenance
from nitro_attest.enclave import client
from nitro_attest.keys import public_key
from nitro_attest.report import Report
from nitro_attest.testing import FakeNitro
from nitro_attest.verification.batch import Rejected, Verified
from support.errors import code_of
from support.paths import FIXTURES
from support.statements import KEY, compact, pem_of, signed, statement

MODULES = (
    "nitro_attest",
    "nitro_attest.provenance",
    "nitro_attest.document_text",
    "nitro_attest.enclave.client",
    "nitro_attest.report",
    *(f"nitro_attest.archive.{name}" for name in ("arrow", "dataset")),
    *(f"nitro_attest.freshness.{name}" for name in ("challenge", "stores")),
    *(f"nitro_attest.keys.{name}" for name in ("public_key", "seal")),
    *(
        f"nitro_attest.verification.{name}"
        for name in ("attestation", "batch", "core", "crl", "document", "measurement_set")
    ),
    *(
        f"nitro_attest.verification.{name}"
        for name in ("policy", "requirements", "revocation", "roots", "verifier")
    ),
)

NOT_CALLED = {
    "Attestation": "only a verification makes one",
    "NitroTpmAttestation": "only a verification makes one",
    "AttestationDocument": "only a verification makes one",
    "NitroTpmDocument": "only a verification makes one",
    "UnverifiedDocument": "only parse_unverified() makes one",
    "UnknownField": "only parse_unverified() makes one",
    "UnknownField.count": "of every tuple",
    "UnknownField.index": "of every tuple",
    "UnverifiedDocument.authenticated": "for the verifier alone",
    "Attestation.to_dict": "the argument is a truth value",
    "NitroTpmAttestation.to_dict": "the argument is a truth value",
    "AttestationDocument.to_dict": "the argument is a truth value",
    "NitroTpmDocument.to_dict": "the argument is a truth value",
    "UnverifiedDocument.to_dict": "the argument is a truth value",
    "Root": "only TrustedRoots makes one",
    "Store": "an interface",
    "Store.add": "an interface",
    "Store.take": "an interface",
    "CrlNumberStore": "an interface",
    "CrlNumberStore.raise_crl_number": "an interface",
    "RevocationLists.check": "for the verifier alone",
    "Statement": "only a reader makes one",
    "Subject": "only a reader makes one",
    "Signer": "only a reader makes one",
    "VerificationPolicy": "an interface",
    "VerificationPolicy.evaluate": "an interface",
    "AnyEnclave.evaluate": "accepts everything",
    "AnyInstance.evaluate": "accepts everything",
    "now_ms": "has no argument",
    "Report": "only Report.of() makes one",
    "Summary": "only verify_dataset makes one",
    "load_ipython_extension": "takes a shell of IPython",
}
"""Public names without an entry in ``calls``, and the reason."""


class Other:
    """A type that no function of the package knows."""


NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
WRONG = (
    *(None, True, -1, 0, 5, 2**70, 1.5, float("nan"), float("inf"), float("-inf")),
    *("", "text", "\ud800", "a\0b", b"", b"bytes", bytearray(b"bytes"), memoryview(b"bytes")),
    *(object(), Other, int, Path("x"), lambda: None, iter(()), range(3)),
    *([], [None], [[]], (), set(), {}, {1: 2}, {"a": None}, {"PCR0": 5}, {None: b""}),
    *(timedelta(0), timedelta.max, timedelta.min, datetime(2026, 1, 1)),
    *(datetime.max.replace(tzinfo=timezone.utc), datetime.min.replace(tzinfo=timezone.utc)),
)

PCR = "ab" * 48


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Each public function with correct arguments, by name."""
    file = tmp_path_factory.mktemp("stores") / "used"
    fake = FakeNitro(seed=b"tests")
    fields = {"nonce": b"n" * 16, "user_data": b"u", "public_key": b"p"}
    document = fake.document(at=NOW, **fields)
    instance = fake.document(at=NOW, kind="nitrotpm", **fields)
    pem = fake.root_pem
    verifier = api.Verifier(pem, policy=ANY_ENCLAVE)
    of_instances = api.NitroTpmVerifier(pem, policy=ANY_INSTANCE)
    attestation = api.verify(document, pem, at=NOW)
    facts = api.DocumentFacts("i-1", None, timedelta(0))
    key = X25519PrivateKey.generate().public_key()
    memory = api.MemoryStore(clock=lambda: 1000)
    sqlite = api.SqliteStore(file, clock=lambda: 1000)
    challenger = api.Challenger(verifier, api.MemoryStore())
    guard = api.ReplayGuard(verifier, api.MemoryStore(), max_age=timedelta(minutes=1))
    policy = api.Policy([{0: PCR}])
    crl = fake.revocation_list("root", at=NOW)
    one_list = api.RevocationList.from_bytes(crl)
    listing = {"max_age": timedelta(days=1), "numbers": memory}
    signer = provenance.SignerKey(pem_of(KEY))
    stated = provenance.read_provenance(signed(), signer)
    instance_policy = api.NitroTpmPolicy([{4: PCR}])

    call = {"document": document, **fields, "at": NOW, "max_age": timedelta(minutes=1)}
    call_of_instance = {**call, "document": instance}
    names = {"consistency": None, "unknown_fields": "reject"}
    options = {"roots": pem, "clock_skew": timedelta(0), **names}
    options |= {"limits": api.Limits(), "cache_size": 1, "accelerator": None, "revocation": None}
    many = {"workers": 1, "at": NOW, "max_age": timedelta(minutes=1)}
    places = {"module_ids": None, "instance_ids": None, "regions": None}
    conditions = {"max_age": None, "require_nonce": False, **places}
    store = {"key": bytes(32), "expires_ms": 2000}
    numbered = {"issuer": bytes(32), "number": 1}
    batch = pa.record_batch({"document": [document]})
    archive_file = file.with_name("archive.bin")
    archive_file.write_bytes(document)
    table = {"verifier": verifier, "columns": archive.Columns(), "at": NOW}
    table["max_age"] = timedelta(minutes=1)
    list_file = file.with_name("list.crl")
    list_file.write_bytes(crl)
    return {
        "verify": (
            api.verify,
            call | {"root_pem": pem, "policy": ANY_ENCLAVE, "allow_debug": False, **names},
        ),
        "verify_nitrotpm": (
            api.verify_nitrotpm,
            call_of_instance | {"root_pem": pem, "policy": ANY_INSTANCE, **names},
        ),
        "Verifier": (api.Verifier, options | {"policy": {0: PCR}}),
        "Verifier.verify": (verifier.verify, call),
        "Verifier.verify_many": (verifier.verify_many, {"items": [document], **many}),
        "Verifier.verify_many, an item": (
            lambda item: verifier.verify_many([item], at=NOW),
            {"item": document},
        ),
        "NitroTpmVerifier": (api.NitroTpmVerifier, options | {"policy": ANY_INSTANCE}),
        "NitroTpmVerifier.verify": (of_instances.verify, call_of_instance),
        "NitroTpmVerifier.verify_many": (of_instances.verify_many, {"items": [instance], **many}),
        "Request": (lambda **request: verifier.verify_many([api.Request(**request)]), call),
        "Rejected": (Rejected, {"error": api.InputError("input.time", "late")}),
        "Verified": (Verified, {"attestation": attestation}),
        "Limits": (api.Limits, {"public_key": 1, "user_data": 1, "nonce": 1}),
        "parse_unverified": (
            api.parse_unverified,
            {"document": document, "limits": api.Limits()},
        ),
        "decode_document": (
            api.decode_document,
            {"text": f'{{"a": "{document.hex()}"}}', "json_field": "a"},
        ),
        "AnyEnclave": (api.AnyEnclave, {"allow_debug": False, "max_age": None, "explicit": True}),
        "AnyInstance": (api.AnyInstance, {"max_age": None, "explicit": True}),
        "Policy": (
            api.Policy,
            {"measurements": [{0: PCR}], "allow_debug": False, "caveats": (), **conditions},
        ),
        "Policy.from_dict": (api.Policy.from_dict, {"value": policy.to_dict()}),
        "Policy.with_pins": (policy.with_pins, {"pins": {1: PCR}}),
        "Policy.evaluate": (policy.evaluate, {"document": attestation.document, "facts": facts}),
        "NitroTpmPolicy": (api.NitroTpmPolicy, {"measurements": [{4: PCR}], **conditions}),
        "NitroTpmPolicy.with_pins": (instance_policy.with_pins, {"pins": {7: PCR}}),
        "NitroTpmPolicy.evaluate": (
            instance_policy.evaluate,
            {"document": of_instances.verify(instance, at=NOW).document, "facts": facts},
        ),
        **{
            name: call
            for kind in (api.MeasurementSet, api.NitroTpmMeasurementSet)
            for name, call in {
                kind.__name__: (kind, {"pcrs": {4: PCR}, "name": "v1"}),
                f"{kind.__name__}.from_named": (
                    kind.from_named,
                    {"values": {"PCR4": PCR}, "name": "v1"},
                ),
                f"{kind.__name__}.with_pins": (kind({4: PCR}).with_pins, {"pins": {7: PCR}}),
                f"{kind.__name__}.failures": (
                    kind({4: PCR}).failures,
                    {"document": attestation.document},
                ),
            }.items()
        },
        "Evaluation": (api.Evaluation, {"matched": None, "failures": (), "warnings": ()}),
        "DocumentFacts": (
            api.DocumentFacts,
            {"instance_id": "i-1", "region": None, "age": timedelta(0)},
        ),
        "TrustedRoots": (api.TrustedRoots, {"_roots": tuple(api.TrustedRoots.AWS)}),
        "TrustedRoots.from_pem": (api.TrustedRoots.from_pem, {"pem": pem}),
        "TrustedRoots.from_ders": (
            lambda der: api.TrustedRoots.from_ders(fake.root_der, der),
            {"der": fake.root_der},
        ),
        "TrustedRoots.from_partition": (api.TrustedRoots.from_partition, {"partition": "aws"}),
        "TrustedRoots.from_sha256": (api.TrustedRoots.from_sha256, {"fingerprint": "00" * 32}),
        "TrustedRoots.find": (api.TrustedRoots.AWS.find, {"der": fake.root_der}),
        "Challenge": (api.Challenge, {"nonce": bytes(32), "expires_at": NOW}),
        "Challenge.new": (api.Challenge.new, {"ttl": timedelta(minutes=1), "at": NOW}),
        "Challenger": (
            api.Challenger,
            {"verifier": verifier, "store": memory, "ttl": timedelta(minutes=1)},
        ),
        "Challenger.issue": (challenger.issue, {"at": "now"}),
        "Challenger.answer": (
            challenger.answer,
            {"challenge": call["nonce"]} | {name: call[name] for name in call if name != "nonce"},
        ),
        "ReplayGuard": (
            api.ReplayGuard,
            {"verifier": verifier, "store": memory, "max_age": timedelta(minutes=1)},
        ),
        "ReplayGuard.verify": (
            guard.verify,
            {name: call[name] for name in call if name != "max_age"},
        ),
        "MemoryStore": (api.MemoryStore, {"capacity": 1, "clock": lambda: 1000}),
        "MemoryStore.add": (memory.add, store),
        "MemoryStore.take": (memory.take, {"key": bytes(32)}),
        "MemoryStore.raise_crl_number": (memory.raise_crl_number, numbered),
        "SqliteStore": (api.SqliteStore, {"path": file, "capacity": 1, "clock": lambda: 1000}),
        "SqliteStore.add": (sqlite.add, store),
        "SqliteStore.take": (sqlite.take, {"key": bytes(32)}),
        "SqliteStore.raise_crl_number": (sqlite.raise_crl_number, numbered),
        "RevocationList": (api.RevocationList.from_bytes, {"data": crl}),
        "RevocationList.from_bytes": (api.RevocationList.from_bytes, {"data": crl}),
        "RevocationList.entry": (one_list.entry, {"serial": 5}),
        "RevocationLists": (
            lambda given, **named: api.RevocationLists(given, **named),
            {"given": crl, **listing},
        ),
        "RevocationLists.from_files": (
            lambda path, **named: api.RevocationLists.from_files(path, **named),
            {"path": list_file, **listing},
        ),
        "make_statement": (
            provenance.make_statement,
            {"path": FIXTURES / "vectors/eif/synthetic.eif", "builder": {}, "max_size": 1 << 20},
        ),
        "parse_unverified_statement": (
            provenance.parse_unverified_statement,
            {"payload": compact(statement()), "predicate_type": provenance.PREDICATE_TYPE},
        ),
        "read_provenance": (
            provenance.read_provenance,
            {"content": signed(), "signer": signer, "predicate_type": provenance.PREDICATE_TYPE},
        ),
        "Provenance": (
            provenance.Provenance,
            {"statement": stated.statement, "signer": stated.signer},
        ),
        "Provenance.policy": (stated.policy, conditions | {"allow_debug": False}),
        "Provenance.check_image": (
            stated.check_image,
            {"path": FIXTURES / "vectors/eif/synthetic.eif"},
        ),
        "SignerKey": (provenance.SignerKey, {"pem": pem_of(KEY)}),
        "SigstoreIdentity": (
            provenance.SigstoreIdentity,
            {"identity": "a", "issuer": "b", "repository": None, "ref": None}
            | {"sigstore_root": None},
        ),
        "load_public_key": (api.load_public_key, {"attestation": attestation, "kind": "p256"}),
        "decode_public_key": (
            public_key.decode_public_key,
            {"data": key.public_bytes_raw(), "kind": "x25519"},
        ),
        "seal_to": (api.seal_to, {"public_key": key, "data": b"secret", "info": b"v1"}),
        "seal_to, RSA": (
            lambda data: api.seal_to(rsa.generate_private_key(65537, 2048).public_key(), data),
            {"data": b"secret"},
        ),
        "hpke_suite": (api.hpke_suite, {"public_key": key}),
        "fetch": (client.fetch, {"endpoint": "unix:/none", "nonce": None, "timeout": 1.0}),
        "attest": (
            client.attest,
            {"endpoint": "unix:/none", "policy": ANY_ENCLAVE, "roots": pem, "nonce": None}
            | {"max_age": None, **names, "revocation": None, "timeout": 1.0},
        ),
        "fetch_async": (
            lambda **named: asyncio.run(client.fetch_async(**named)),
            {"endpoint": "unix:/none", "nonce": None, "timeout": 1.0},
        ),
        "attest_async": (
            lambda **named: asyncio.run(client.attest_async(**named)),
            {"endpoint": "unix:/none", "policy": ANY_ENCLAVE, "roots": pem, "nonce": None}
            | {"max_age": None, **names, "revocation": None, "timeout": 1.0},
        ),
        "Report.of": (
            lambda **named: Report.of(**named).to_html() + Report.of(**named).to_markdown(),
            {"result": attestation, "request": api.Request(**call), "source": "doc.bin"},
        ),
        "Report.of, an error": (
            lambda **named: Report.of(**named).to_html() + Report.of(**named).to_markdown(),
            {"result": api.FormatError("cose.tag", "x"), "request": api.Request(**call)}
            | {"policy": policy, "revocation": None, "verified_at": NOW, "source": "doc.bin"},
        ),
        "Report.of, a wrong request": (
            lambda **named: Report.of(
                api.FormatError("cose.tag", "x"), api.Request(**named), policy=policy
            ).to_html(),
            dict(call),
        ),
        "Columns": (
            archive.Columns,
            {"document": "d", "at": None, "nonce": None, "user_data": None, "public_key": None}
            | {"keep": ()},
        ),
        "verify_batch": (archive.verify_batch, {"batch": batch, **table}),
        "verify_stream": (archive.verify_stream, {"data": pa.table(batch), **table}),
        "verify_dataset": (
            archive.verify_dataset,
            {"source": archive_file, "sink": None, "workers": 1, "resume": False, **table},
        ),
        "Fetched": (client.Fetched, {"document": document, "nonce": bytes(32)}),
    }


def test_every_public_function_is_called(calls):
    missing = set()
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value) or not getattr(value, "__module__", "").startswith("nitro_"):
                continue  # a constant, or the name of a type
            if inspect.isclass(value) and issubclass(value, NitroAttestError | api.PolicyFailure):
                continue
            missing |= {name} - calls.keys()
            for method, function in inspect.getmembers(value, inspect.isroutine):
                with_arguments = inspect.isclass(value) and not method.startswith("_")
                if with_arguments and len(inspect.signature(function).parameters) > 1:
                    missing |= {f"{name}.{method}"} - calls.keys()
    assert missing - {"AttestationWarning"} == NOT_CALLED.keys()


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_argument_raises_nothing_but_an_error_of_this_package(
    calls, number, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # a text is the name of a store
    wrong, escaped = WRONG[number], []
    for name, (function, arguments) in calls.items():
        for argument in arguments:
            try:
                result = function(**arguments | {argument: wrong})
                if isinstance(result, Generator):
                    list(result)
            except NitroAttestError:
                pass
            except Exception as error:
                escaped.append(f"{name}({argument}={wrong!r}): {error!r}")
    assert escaped == []


@pytest.mark.parametrize(
    "wait", [None, "1", [], b"1", float("nan"), float("inf"), -1, timedelta(1)]
)
def test_a_wrong_wait_is_rejected(wait):
    assert code_of(client.fetch, "unix:/none", wait=wait) == "input.time"


@pytest.mark.parametrize(
    "path", ["unix:/\ud800", "unix:/a\0b", "http://\ud800:1", "vsock:1:\u0663"]
)
def test_an_endpoint_that_no_system_call_takes_is_rejected(path):
    assert code_of(client.fetch, path) == "input.endpoint"
