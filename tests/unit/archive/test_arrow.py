"""Batches: the rows, the columns, and what is wrong with an argument or with a row."""

import base64
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from hashlib import sha256

import pytest

from nitro_attest import ANY_ENCLAVE, ANY_INSTANCE, NitroTpmVerifier, Policy, Verifier
from nitro_attest.verification.batch import Rejected
from support.errors import code_of

pa = pytest.importorskip("pyarrow")
from nitro_attest.archive import SCHEMA, Columns, verify_batch, verify_stream  # noqa: E402
from nitro_attest.archive.arrow import result_arrays  # noqa: E402
from nitro_attest.errors import PolicyError, PolicyFailure  # noqa: E402

NONCE = b"n" * 20


@pytest.fixture(scope="module")
def document(fake, when):
    return fake.document(at=when, nonce=NONCE, user_data=b"data")


@pytest.fixture
def verifier(roots):
    return Verifier(roots, policy=ANY_ENCLAVE)


def batch_of(**columns):
    return pa.record_batch(columns)


def codes(batch, verifier, columns=Columns(), **arguments):  # noqa: B008  immutable
    return verify_batch(batch, verifier, columns, **arguments).column("code").to_pylist()


def test_a_verified_row_has_the_facts_of_its_attestation(document, verifier, when):
    attestation = verifier.verify(document, at=when)
    results = verify_batch(batch_of(document=[document]), verifier, at=when)
    assert results.schema == SCHEMA
    results.validate(full=True)
    (row,) = results.to_pylist()
    made = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(
        milliseconds=attestation.document.timestamp_ms
    )
    assert row == {
        **dict.fromkeys(("code", "message", "offset", "matched", "public_key")),
        "verified": True,
        "failures": [],
        "kind": "enclave",
        "module_id": attestation.module_id,
        "instance_id": attestation.instance_id,
        "region": "us-east-1",
        "timestamp": made,
        "verified_at": when,
        "time_source": "given",
        "attestation_id": attestation.attestation_id,
        "root": attestation.root.name,
        "debug": False,
        "warnings": [warning.code for warning in attestation.warnings],
        "pcrs": list(attestation.pcrs.items()),
        "user_data": b"data",
        "nonce": NONCE,
        "leaf_sha256": sha256(attestation.document.certificate).digest(),
    }


def test_a_rejected_row_has_every_failure_and_nothing_of_the_document(document, roots, when):
    verifier = Verifier(roots, policy=Policy([{0: "ab" * 48}], regions=["eu-west-1"]))
    results = verify_batch(batch_of(document=[document, b"\x84"]), verifier, at=when)
    by_policy, by_form = results.to_pylist()
    assert {name for name, value in by_policy.items() if value not in (None, [])} == {
        *("verified", "code", "message", "failures")
    }
    assert not by_policy["verified"]
    found = [(each["code"], each["pcr"]) for each in by_policy["failures"]]
    assert found == [("policy.pcr_mismatch", 0), ("policy.module_id", None)]
    assert (by_form["code"], by_form["offset"]) == ("cbor.truncated", 1)


def test_documents_of_instances_have_no_debug_mode(fake, roots, when):
    document = fake.document(at=when, kind="nitrotpm")
    verifier = NitroTpmVerifier(roots, policy=ANY_INSTANCE)
    (row,) = verify_batch(batch_of(document=[document]), verifier, at=when).to_pylist()
    assert (row["kind"], row["debug"], row["verified"]) == ("nitrotpm", None, True)
    assert len(row["pcrs"]) == len(verifier.verify(document, at=when).nitrotpm_pcrs)


BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())


@pytest.mark.parametrize("kind", BYTES, ids=str)
def test_every_type_of_bytes_is_read_and_a_bad_row_is_a_row(kind, document, verifier, when):
    cells = pa.array([document, None, b"", b"\x84" * 16385, b"\x84", document], kind)
    assert codes(batch_of(document=cells), verifier, at=when) == [
        *(None, "input.document", "document.empty", "document.too_large", "cbor.truncated", None)
    ]


TEXTS = (pa.string(), pa.large_string(), pa.string_view())


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_every_type_of_text_is_read_and_a_bad_row_is_a_row(kind, document, verifier, when):
    text = base64.b64encode(document).decode()
    cells = pa.array([text, document.hex(), None, "", "%", "\xe4", "A" * 262145], kind)
    assert codes(batch_of(document=cells), verifier, at=when) == [
        *(None, None, "input.document", "document.empty"),
        *("document.encoding", "document.encoding", "document.too_large"),
    ]


def test_other_forms_of_a_column_are_read(document, verifier, when):
    encoded = pa.array([document, None, document]).dictionary_encode()
    assert codes(batch_of(document=encoded), verifier, at=when) == [None, "input.document", None]
    fixed = pa.array([document], pa.binary(len(document)))
    assert codes(batch_of(document=fixed), verifier, at=when) == [None]
    opaque = pa.ExtensionArray.from_storage(
        pa.opaque(pa.binary(), "document", "test"), pa.array([document], pa.binary())
    )
    assert codes(batch_of(document=opaque), verifier, at=when) == [None]
    assert codes(batch_of(document=pa.nulls(2)), verifier) == ["input.document"] * 2
    assert codes(batch_of(document=pa.array([], pa.binary())), verifier) == []
    sliced = batch_of(document=[b"", document, b""]).slice(1, 1)
    assert codes(sliced, verifier, at=when) == [None]


@pytest.mark.parametrize("name", ["nonce", "user_data"])
def test_an_expected_value_that_is_missing_never_means_unchecked(name, document, verifier, when):
    right = NONCE if name == "nonce" else b"data"
    code = "input.nonce" if name == "nonce" else "input.expected"
    columns = Columns(**{name: "expected"})
    cells = [right, b"other", b"", None]
    batch = batch_of(document=[document] * 4, expected=cells)
    assert codes(batch, verifier, columns, at=when) == [None, f"policy.{name}", code, code]
    texts = [None if cell is None else cell.hex() for cell in cells]
    batch = batch_of(document=[document] * 5, expected=[*texts, "not hex"])
    assert codes(batch, verifier, columns, at=when) == [None, f"policy.{name}", code, code, code]
    batch = batch_of(document=[document] * 2, expected=pa.nulls(2))
    assert codes(batch, verifier, columns, at=when) == [code, code]


def test_every_row_has_its_own_verification_time(document, verifier, when):
    columns = Columns(at="received")
    late = when + timedelta(days=1)
    for unit in ("s", "ms", "us", "ns"):
        for zone in ("UTC", "Europe/Berlin"):
            times = pa.array([when, late, None], pa.timestamp(unit, zone))
            batch = batch_of(document=[document] * 3, received=times)
            expected = [None, "cert.expired", "input.time"]
            assert codes(batch, verifier, columns) == expected, (unit, zone)
    texts = [when.isoformat(), late.isoformat(), None, "2026-03-01", "yesterday" * 100]
    batch = batch_of(document=[document] * 5, received=texts)
    assert codes(batch, verifier, columns) == [None, "cert.expired", *["input.time"] * 3]
    for unit in ("s", "ms", "us"):  # in microseconds, 2**64 of the others are an early time
        far = pa.array([2**62, -(2**62), 2**58], pa.int64()).cast(pa.timestamp(unit, "UTC"))
        batch = batch_of(document=[document] * 3, received=far)
        assert codes(batch, verifier, columns) == ["input.time"] * 3, unit
    batch = batch_of(document=[document], received=pa.nulls(1))
    assert codes(batch, verifier, columns) == ["input.time"]


def test_a_maximum_age_counts_from_the_time_of_the_row(document, verifier, when):
    times = [when + timedelta(minutes=1), when + timedelta(minutes=3)]
    times = pa.array(times, pa.timestamp("us", "UTC"))
    batch = batch_of(document=[document] * 2, received=times)
    found = codes(batch, verifier, Columns(at="received"), max_age=timedelta(minutes=2))
    assert found == [None, "freshness.too_old"]


def test_kept_columns_come_first_and_unchanged(document, verifier, when):
    batch = batch_of(n=[1, 2], document=[document, b""], tag=pa.array(["a", None]))
    results = verify_batch(batch, verifier, Columns(keep=("tag", "n")), at=when)
    assert results.schema.names == ["tag", "n", *SCHEMA.names]
    assert results.column("tag").to_pylist() == ["a", None]
    assert results.column("n").to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"x": [b""]}, "input.column"),
        ({"document": [1]}, "input.column"),
        ({"document": [[b""]]}, "input.column"),
    ],
)
def test_a_wrong_column_is_an_error_of_the_call(columns, code, verifier):
    assert code_of(verify_batch, batch_of(**columns), verifier) == code


def test_wrong_arguments_are_errors_of_the_call(document, verifier, when):
    batch = batch_of(document=[document], n=[1], local=pa.array([when], pa.timestamp("us")))
    twice = pa.RecordBatch.from_arrays([batch.column(0)] * 2, names=["document", "document"])
    for arguments, code in (
        ({"batch": pa.table(batch)}, "input.expected"),
        ({"batch": twice}, "input.column"),
        ({"verifier": None}, "input.expected"),
        ({"columns": ("document",)}, "input.expected"),
        ({"columns": Columns("none")}, "input.column"),
        ({"columns": Columns(keep=("none",))}, "input.column"),
        ({"columns": Columns(nonce="n")}, "input.column"),
        ({"columns": Columns(at="n")}, "input.column"),
        ({"columns": Columns(at="local")}, "input.column"),  # of an unknown time zone
        ({"columns": Columns(at="n"), "at": when}, "input.time"),
        ({"at": "yesterday"}, "input.time"),
        ({"at": "document", "max_age": timedelta(1)}, "input.time"),
        ({"max_age": timedelta(0)}, "input.time"),
    ):
        call = {"batch": batch, "verifier": verifier, **arguments}
        assert code_of(verify_batch, **call) == code, arguments
    for arguments in (
        *({"document": None}, {"document": ""}, {"at": b"at"}, {"nonce": 1}, {"keep": "id"}),
        *({"keep": ["id"]}, {"keep": ("",)}, {"keep": ("id", "id")}, {"keep": ("code",)}),
    ):
        assert code_of(Columns, **arguments) == "input.column", arguments


def test_buffers_that_contradict_each_other_are_not_read(verifier):
    offsets = b"".join(offset.to_bytes(4, "little") for offset in (0, 1 << 30, 5))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"short")]
    hostile = pa.Array.from_buffers(pa.binary(), 2, buffers)
    assert code_of(verify_batch, batch_of(document=hostile), verifier) == "input.column"


def test_a_stream_is_read_as_it_is_needed(document, verifier, when):
    batches = [batch_of(document=[document, b""]) for _ in range(3)]
    taken = []

    def source():
        for number, batch in enumerate(batches):
            taken.append(number)
            yield batch

    reader = pa.RecordBatchReader.from_batches(batches[0].schema, source())
    results = verify_stream(reader, verifier, at=when)
    assert (results.schema, taken) == (SCHEMA, [])
    results.read_next_batch()
    assert len(taken) == 1
    assert results.read_all().column("code").to_pylist() == [None, "document.empty"] * 2


def test_a_stream_may_have_a_column_of_any_type(document, verifier, when):
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([7])])
    table = pa.table({"document": [document], "kept": union})
    for keep in ((), ("kept",)):
        found = verify_stream(table, verifier, Columns(keep=keep), at=when).read_all()
        assert found.column("verified").to_pylist() == [True]
    assert found.column("kept").to_pylist() == [7]


def test_wrong_arguments_of_a_stream_are_errors_before_the_first_batch(document, verifier):
    table = pa.table({"document": [document]})
    assert code_of(verify_stream, [document], verifier) == "input.expected"
    assert code_of(verify_stream, table, None) == "input.expected"
    assert code_of(verify_stream, table, verifier, Columns("none")) == "input.column"
    assert code_of(verify_stream, table, verifier, at="never") == "input.time"


def test_any_text_in_a_message_can_be_a_result():
    error = PolicyError([PolicyFailure("own.code", "\udc80", expected="\udc81")])
    (code, message, failures) = (result_arrays([Rejected(error)])[index] for index in (1, 2, 4))
    assert (code[0].as_py(), message[0].as_py()) == ("own.code", "\\udc80")
    assert failures[0].as_py()[0]["expected"] == "\\udc81"


def test_without_pyarrow_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from nitro_attest.__main__ import run\n"
        "sys.exit(run(['audit', 'x', '--summary-only']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("nitro-attest: input.extra: pyarrow is not installed")
    assert "with its extra arrow" in done.stderr
