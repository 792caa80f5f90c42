"""Genuine and forged documents have the same results in every way in: library, tools, engines.

Each engine is tested where it is installed; .ci/run engines installs each in an environment of its
own.
"""

import json
import os
import sys
from datetime import datetime
from pathlib import Path

import pytest

from nitro_attest import ANY_ENCLAVE, NitroAttestError, TrustedRoots, Verifier
from nitro_attest.testing import FAULTS
from support.paths import FIXTURES

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
from nitro_attest.archive import Columns, verify_batch, verify_stream  # noqa: E402

COLUMNS = Columns(keep=("id",))


class Archive:
    """Documents, and how to verify them."""

    def __init__(self, documents, roots, at, folder):
        self.documents = documents
        self.roots = roots
        self.verifier = Verifier(roots, policy=ANY_ENCLAVE)
        self.at = at
        self.folder = folder
        self.table = pa.table({"id": range(len(documents)), "document": documents})
        self.file = folder / "documents.parquet"
        pq.write_table(self.table, self.file, row_group_size=10, compression="none")
        self.options = ["--any-enclave", "--root", folder / "roots.pem", "--at"]
        self.options.append(at.isoformat() if isinstance(at, datetime) else at)


@pytest.fixture(params=["genuine", "forged"])
def archive(request, tmp_path, fake, when):
    if request.param == "forged":
        names = [name for name, fault in FAULTS.items() if not (fault.verify or fault.at_shift)]
        documents = [fake.document(at=when, fault=name) for name in names]
        documents += [fake.document(at=when), fake.document(at=when, debug=True)]
        (tmp_path / "roots.pem").write_bytes(fake.root_pem)
        return Archive(documents, TrustedRoots.from_pem(fake.root_pem), when, tmp_path)
    folders = [FIXTURES / "real", Path(os.environ.get("NITRO_ATTEST_CORPUS", "/nonexistent"))]
    documents = [file.read_bytes() for folder in folders for file in sorted(folder.glob("*.bin"))]
    (tmp_path / "roots.pem").write_bytes((FIXTURES / "roots/aws.pem").read_bytes())
    return Archive(documents, TrustedRoots.AWS, "document", tmp_path)


def by_id(rows):
    return [row["code"] for row in sorted(rows, key=lambda row: row["id"])]


def verify_many(archive, _tool):
    outcomes = archive.verifier.verify_many(archive.documents, at=archive.at)
    return [outcome.error and outcome.error.code for outcome in outcomes]


def batch(archive, _tool):
    (record,) = archive.table.combine_chunks().to_batches()
    return by_id(verify_batch(record, archive.verifier, COLUMNS, at=archive.at).to_pylist())


def batch_command(archive, tool):
    lines = []
    for number, document in enumerate(archive.documents):
        file = archive.folder / f"{number}.bin"
        file.write_bytes(document)
        lines.append(json.dumps({"document": {"file": str(file)}}))
    (archive.folder / "batch.jsonl").write_text("\n".join(lines))
    options = [*archive.options, "--format", "raw", "--json"]
    _, output, _ = tool("verify", "--batch", archive.folder / "batch.jsonl", *options)
    results = map(json.loads, output.splitlines())
    return [result["error"]["code"] if "error" in result else None for result in results]


def audit_command(archive, tool):
    out = archive.folder / "results.parquet"
    tool("audit", archive.file, "--out", out, "--id", "id", "--workers", 1, *archive.options)
    return by_id(pq.read_table(out).to_pylist())


def duckdb(archive, _tool):
    duckdb = pytest.importorskip("duckdb")
    documents = duckdb.connect().sql(f"select * from '{archive.file}'")
    results = duckdb.from_arrow(verify_stream(documents, archive.verifier, COLUMNS, at=archive.at))
    found = results.project("id, code, verified, pcrs[1], failures").fetchall()
    assert all(verified == (code is None) for _, code, verified, *_ in found)
    return [code for _, code, *_ in sorted(found, key=lambda row: row[0])]


def polars(archive, _tool):
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(archive.file)
    results = polars.DataFrame(verify_stream(frame, archive.verifier, COLUMNS, at=archive.at))
    return by_id(results.to_dicts())


def spark(archive, _tool):
    sql = pytest.importorskip("pyspark.sql")
    from nitro_attest.archive import spark

    session = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = session.getOrCreate()
    frame = session.read.parquet(str(archive.file)).repartition(3)
    results = spark.verify(frame, archive.verifier, COLUMNS, at=archive.at)
    rows = [row.asDict() for row in results.collect()]
    assert {row["timestamp"] is None for row in rows if row["code"]} <= {True}
    return by_id(rows)


def ray(archive, _tool):
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    ray.init(num_cpus=2, include_dashboard=False, ignore_reinit_error=True)
    verifier, at = archive.verifier, archive.at
    results = ray.data.read_parquet(str(archive.file)).map_batches(
        lambda table: verify_stream(table, verifier, Columns(keep=("id",)), at=at).read_all(),
        batch_format="pyarrow",
    )
    return by_id(results.take_all())


WAYS = (verify_many, batch, batch_command, audit_command, duckdb, polars, spark, ray)


@pytest.mark.filterwarnings("default")  # those of the engines are their own
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_in_has_the_same_results(way, archive, tool):
    def code_of(document):
        try:
            archive.verifier.verify(document, at=archive.at)
        except NitroAttestError as error:
            return error.code
        return None

    expected = [code_of(document) for document in archive.documents]
    assert None in expected
    assert way(archive, tool) == expected
