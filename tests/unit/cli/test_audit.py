"""``nitro-attest audit``: its options, counts and exit codes."""

import json

import pytest

from support.terminal import run_on_terminal

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def archive(tmp_path, fake, fake_document, when):
    other = fake.document(at=when, nonce=b"n" * 20)
    table = {
        "id": ["a", "b", "c", "d"],
        "doc": [fake_document, b"\x84", None, other],
        "received": pa.array([when] * 4, pa.timestamp("us", "UTC")),
        "nonce": [None, None, None, b"n" * 20],
    }
    pq.write_table(pa.table(table), tmp_path / "archive.parquet")
    (tmp_path / "root.pem").write_bytes(fake.root_pem)
    return tmp_path / "archive.parquet"


@pytest.fixture
def options(archive, when):
    return [
        *("--document", "doc", "--root", archive.parent / "root.pem", "--workers", 1),
        *("--any-enclave", "--at", when.isoformat()),
    ]


def test_the_counts_and_the_results(tool, archive, options, tmp_path):
    out = tmp_path / "results.parquet"
    code, output, errors = tool("audit", archive, "--out", out, "--id", "id", *options)
    assert (code, errors) == (3, "")  # of the first rejected row
    assert output.splitlines() == [
        "2 of 4 verified",
        f"  results      {out}",
        "  rejected     1 cbor.truncated",
        "  rejected     1 input.document",
        "  warnings     2 freshness.unbound",
        "  warnings     2 root.custom",
    ]
    results = pq.read_table(out).to_pylist()
    assert [(row["id"], row["code"]) for row in results] == [
        *(("a", None), ("b", "cbor.truncated"), ("c", "input.document"), ("d", None))
    ]


def test_json_has_the_counts(tool, archive, options, tmp_path):
    code, output, _ = tool("audit", archive, "--summary-only", "--json", *options)
    assert code == 3
    assert json.loads(output) == {
        "schema": "nitro-attest/1",
        "rows": 4,
        "verified": 2,
        "rejected": {"cbor.truncated": 1, "input.document": 1},
        "warnings": {"freshness.unbound": 2, "root.custom": 2},
        "results": None,
    }
    assert {path.name for path in tmp_path.iterdir()} == {"archive.parquet", "root.pem"}


@pytest.mark.parametrize(
    ("documents", "added", "code"),
    [
        ("ok", (), 0),
        ("ok", ("--pcr", "0=" + "ab" * 48), 6),
        ("ok", ("--kind", "nitrotpm", "--any-instance"), 3),
        ("ok", ("--max-age", "1s"), 0),
        ("null first", (), 2),
    ],
)
def test_the_exit_code_is_that_of_verify(
    documents, added, code, tool, tmp_path, fake, fake_document, when
):
    rows = [fake_document] if documents == "ok" else [None, b"\x84", fake_document]
    pq.write_table(pa.table({"document": rows}), tmp_path / "a.parquet")
    (tmp_path / "root.pem").write_bytes(fake.root_pem)
    call = ["audit", tmp_path / "a.parquet", "--summary-only", "--root", tmp_path / "root.pem"]
    call += ["--at", when.isoformat(), "--workers", 1, *added]
    assert tool(*call)[0] == code


@pytest.mark.parametrize(
    ("accepted", "rejected", "code", "failed_on"),
    [
        (("root.custom",), (), 6, ("freshness.unbound",)),
        ((), (), 6, ("freshness.unbound", "root.custom")),
        (("root.custom", "freshness.unbound"), (), 0, ()),
        ((), (b"\x84",), 3, ("freshness.unbound", "root.custom")),
    ],
)
def test_warnings_fail_an_audit_that_asks_for_it(
    accepted, rejected, code, failed_on, tool, tmp_path, fake, fake_document, when
):
    pq.write_table(pa.table({"document": [fake_document, *rejected]}), tmp_path / "a.parquet")
    (tmp_path / "root.pem").write_bytes(fake.root_pem)
    call = ["audit", tmp_path / "a.parquet", "--summary-only", "--root", tmp_path / "root.pem"]
    call += ["--any-enclave", "--at", when.isoformat(), "--workers", 1, "--fail-on-warning"]
    call += [word for each in accepted for word in ("--accept-warning", each)]
    found, output, _ = tool(*call)
    verdict = f"1 of {1 + len(rejected)} verified"
    verdict += f"; FAILED ON WARNING {', '.join(failed_on)}" if failed_on else ""
    assert (found, output.splitlines()[0]) == (code, verdict)
    found, output, _ = tool(*call, "--json")
    assert found == code
    assert json.loads(output).get("failed_on", []) == list(failed_on)


def test_times_and_nonces_of_the_rows(tool, archive, tmp_path):
    call = ["audit", archive, "--document", "doc", "--root", tmp_path / "root.pem", "--any-enclave"]
    call += ["--workers", 1, "--json", "--summary-only", "--at-column", "received"]
    found = json.loads(tool(*call)[1])
    assert found["verified"] == 2
    found = json.loads(tool(*call, "--nonce-column", "nonce")[1])
    assert found["rejected"] == {"input.nonce": 2, "input.document": 1}
    assert found["verified"] == 1
    found = json.loads(tool(*call, "--max-age", "1s")[1])
    assert found["verified"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected either --out FILE or --summary-only"),
        (("--out", "r", "--summary-only"), "expected either --out FILE or --summary-only"),
        (("--summary-only", "--resume"), "--resume requires --out"),
        (("--summary-only", "--at", "document", "--at-column", "a"), "combined with --at-column"),
        (("--summary-only", "--at", "document", "--max-age", "1s"), "with --at document"),
        (("--summary-only", "--workers", "0"), "--workers"),
        (("--summary-only", "--document", ""), "the value is empty"),
        (("--summary-only", "--accelerator", "none"), "--accelerator"),
        (("--summary-only", "--accept-warning", "root.custom"), "requires --fail-on-warning"),
        (("--summary-only", "--document", "none"), "input.column"),
        (("--summary-only", "--any-enclave", "--pcr", "0=" + "ab" * 48), "--any-enclave"),
    ],
)
def test_wrong_options_are_usage_errors(arguments, message, tool, archive, monkeypatch):
    monkeypatch.chdir(archive.parent)
    code, output, errors = tool("audit", archive, *arguments)
    assert (code, output) == (2, "")
    assert message in errors


def test_a_source_is_needed_and_an_empty_one_is_an_error(tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for sources in ((), ("",), ("none",), (tmp_path,)):
        assert tool("audit", *sources, "--summary-only")[0] == 2, sources


def test_a_terminal_shows_the_counts_so_far(archive, options):
    command = ["audit", archive, "--summary-only", *options]
    _, screen = run_on_terminal(*command)
    assert "verifying [####################] 100 % 1 cbor.truncated, 1 input.document" in screen
