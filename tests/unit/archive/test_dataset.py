"""Archives: counts, results on disk, and what a job that did not finish leaves."""

import json
import os
import shutil
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Literal

import pytest

from nitro_attest import ANY_ENCLAVE, Evaluation, Policy, TrustedRoots, Verifier
from nitro_attest.errors import InputError
from support.errors import code_of

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
pq = pytest.importorskip("pyarrow.parquet")
from nitro_attest.archive import SCHEMA, Columns, Summary, dataset, verify_dataset  # noqa: E402

COLUMNS = Columns(keep=("id",))
evaluated = []


class Counting:
    """A policy that notes each document it is asked about."""

    kind: Literal["enclave"] = "enclave"
    max_age = None
    require_nonce = False

    def evaluate(self, document, facts):
        evaluated.append(document)
        return Evaluation()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(dataset, "_PART_ROWS", 4)


@pytest.fixture
def verifier(roots):
    return Verifier(roots, policy=ANY_ENCLAVE)


@pytest.fixture
def archive(tmp_path, fake_document):
    """Eighteen documents, of which every third is genuine."""
    documents = [fake_document, None, b"\x84"] * 6
    path = tmp_path / "archive.parquet"
    pq.write_table(pa.table({"id": range(18), "document": documents}), path)
    return path


@pytest.fixture
def sink(tmp_path):
    return tmp_path / "results.parquet"


EXPECTED = Summary(
    18,
    6,
    {"input.document": 6, "cbor.truncated": 6},
    {"freshness.unbound": 6, "root.custom": 6},
    "input.document",
)


def check_results(sink):
    results = pq.read_table(sink)
    assert results.column("id").to_pylist() == list(range(18))
    assert results.column("row").to_pylist() == list(range(1, 19))
    assert results.column("code").to_pylist() == [None, "input.document", "cbor.truncated"] * 6
    assert results.schema.names == ["source", "row", "id", *SCHEMA.names]
    assert [path.name for path in sink.parent.glob("results*")] == [sink.name]


class StoppedError(Exception):
    pass


def stop_after(parts):
    """A progress function that ends the job after some parts."""

    def progress(done, total):
        assert total == 18
        if done.rows >= parts * 4:
            raise StoppedError

    return progress


@pytest.mark.parametrize("workers", [1, 2])
def test_all_rows_are_counted_and_written_in_order(workers, archive, sink, verifier, when):
    seen = []
    found = verify_dataset(
        *(archive, sink, verifier, COLUMNS),
        at=when,
        workers=workers,
        progress=lambda done, total: seen.append((done.rows, total)),
    )
    assert found == EXPECTED
    check_results(sink)
    assert len(seen) == 5
    assert seen[-1] == (18, 18)


def test_counts_alone_need_no_file(archive, tmp_path, verifier, when):
    assert verify_dataset([archive, archive], None, verifier, at=when, workers=1) == (
        EXPECTED + EXPECTED
    )
    assert list(tmp_path.iterdir()) == [archive]


def test_columns_to_keep_have_the_unit_that_parquet_has(archive, sink, verifier, when):
    table = pq.read_table(archive)
    source = archive.with_suffix(".feather")
    for kind in (pa.time32("s"), pa.timestamp("s")):
        cells = pa.array([1] * 18, pa.int32() if kind == pa.time32("s") else pa.int64())
        feather.write_feather(table.append_column("kept", cells.cast(kind)), source)
        verify_dataset(source, sink, verifier, Columns(keep=("kept",)), at=when, workers=1)
        found = pq.read_table(sink).column("kept")
        assert found.cast(kind).cast(cells.type).to_pylist() == [1] * 18


def test_columns_that_parquet_cannot_have_are_an_error(archive, sink, verifier, when):
    source = archive.with_suffix(".feather")
    interval = pa.array([(1, 2, 3)] * 18, pa.month_day_nano_interval())
    impossible = pa.array([2**62] * 18, pa.timestamp("s"))
    for cells in (interval, impossible):
        table = pq.read_table(archive).append_column("kept", cells)
        feather.write_feather(table, source)
        shutil.rmtree(sink.with_name("results.parquet.parts"), ignore_errors=True)
        with pytest.raises(InputError) as caught:
            verify_dataset(source, sink, verifier, Columns(keep=("kept",)), at=when, workers=1)
        assert caught.value.code == "input.column"


def test_results_may_have_a_name_of_any_bytes(archive, tmp_path, verifier, when):
    sink = tmp_path / os.fsdecode(b"\xff.parquet")
    try:
        sink.touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    sink.unlink()
    for resume in (False, False, True):
        found = verify_dataset(archive, sink, verifier, at=when, workers=1, resume=resume)
        assert found == EXPECTED


def test_unfinished_work_is_resumed_and_finished_work_is_not_repeated(archive, sink, roots, when):
    verifier = Verifier(roots, policy=Counting())
    evaluated.clear()
    with pytest.raises(StoppedError):
        verify_dataset(archive, sink, verifier, COLUMNS, at=when, workers=1, progress=stop_after(3))
    assert not sink.exists()
    assert len(evaluated) == 4  # of twelve rows
    arguments = {"at": when, "workers": 1}
    assert code_of(verify_dataset, archive, sink, verifier, COLUMNS, **arguments) == "input.archive"
    found = verify_dataset(archive, sink, verifier, COLUMNS, resume=True, **arguments)
    assert found == EXPECTED
    assert len(evaluated) == 6
    check_results(sink)
    again = verify_dataset(archive, sink, verifier, COLUMNS, resume=True, **arguments)
    assert again == EXPECTED
    assert len(evaluated) == 6
    verify_dataset(archive, sink, verifier, COLUMNS, **arguments)  # replaces the results
    assert len(evaluated) == 12


def test_a_speed_up_may_change_between_the_parts(archive, sink, roots, when):
    first = Verifier(roots, policy=ANY_ENCLAVE, cache_size=0)
    with pytest.raises(StoppedError):
        verify_dataset(archive, sink, first, COLUMNS, at=when, workers=1, progress=stop_after(1))
    second = Verifier(roots, policy=ANY_ENCLAVE)
    assert (
        verify_dataset(archive, sink, second, COLUMNS, at=when, workers=2, resume=True) == EXPECTED
    )
    check_results(sink)


@pytest.mark.parametrize("finished", [False, True])
def test_another_job_is_never_resumed(finished, archive, sink, roots, fake, when):
    verifier = Verifier(roots, policy=ANY_ENCLAVE)
    arguments = {"at": when, "workers": 1}
    progress = None if finished else stop_after(2)
    with suppress(StoppedError):
        verify_dataset(archive, sink, verifier, COLUMNS, progress=progress, **arguments)
    both = roots | TrustedRoots.AWS
    for other, columns, changed in (
        (Verifier(roots, policy=Policy([{0: "ab" * 48}])), COLUMNS, {}),
        (Verifier(roots, policy=Counting()), COLUMNS, {}),
        (Verifier(both, policy=ANY_ENCLAVE), COLUMNS, {}),
        (Verifier(roots, policy=ANY_ENCLAVE, consistency="warn"), COLUMNS, {}),
        (Verifier(roots, policy=ANY_ENCLAVE, clock_skew=timedelta(0)), COLUMNS, {}),
        (verifier, Columns(), {}),
        (verifier, COLUMNS, {"at": "document"}),
        (verifier, COLUMNS, {"max_age": timedelta(days=1)}),
    ):
        with pytest.raises(InputError, match="results of another job"):
            verify_dataset(archive, sink, other, columns, resume=True, **{**arguments, **changed})
    pq.write_table(pq.read_table(archive), archive, row_group_size=5)
    with pytest.raises(InputError, match="results of another job"):
        verify_dataset(archive, sink, verifier, COLUMNS, resume=True, **arguments)


def test_a_part_that_is_not_whole_or_not_of_the_job_is_done_again(archive, sink, roots, when):
    verifier = Verifier(roots, policy=ANY_ENCLAVE)
    arguments = {"at": when, "workers": 1}
    with pytest.raises(StoppedError):
        verify_dataset(archive, sink, verifier, COLUMNS, progress=stop_after(4), **arguments)
    parts = sorted(sink.with_name("results.parquet.parts").glob("*.parquet"))
    assert len(parts) == 4
    parts[0].write_bytes(parts[0].read_bytes()[:-100])
    pq.write_table(pq.read_table(parts[1]).replace_schema_metadata({}), parts[1])
    pq.write_table(pq.read_table(parts[2]).slice(1), parts[2])
    whole = parts[3].read_bytes()
    parts[3].write_bytes(whole[:4] + bytes(60) + whole[64:])
    (parts[0].parent / "part-00000004.parquet.1.tmp").write_bytes(b"half a part")
    found = verify_dataset(archive, sink, verifier, COLUMNS, resume=True, **arguments)
    assert found == EXPECTED
    check_results(sink)


def test_two_processes_cannot_write_the_same_results(archive, sink, verifier, when):
    def second(done, total):
        arguments = {"at": when, "workers": 1, "resume": True}
        with pytest.raises(InputError, match="another process"):
            verify_dataset(archive, sink, verifier, COLUMNS, **arguments)
        raise StoppedError

    with pytest.raises(StoppedError):
        verify_dataset(archive, sink, verifier, COLUMNS, at=when, workers=1, progress=second)


def test_no_file_but_earlier_results_is_replaced(archive, sink, tmp_path, verifier, when):
    sink.write_bytes(b"somebody's file")
    with pytest.raises(InputError, match="is not a file of results"):
        verify_dataset(archive, sink, verifier, at=when, workers=1)
    assert sink.read_bytes() == b"somebody's file"
    with pytest.raises(InputError, match="is the archive"):
        verify_dataset(archive, archive, verifier, at=when, workers=1)


def test_results_in_the_folder_of_the_archive_are_not_read(archive, sink, verifier, when):
    for _ in range(2):
        found = verify_dataset(archive.parent, sink, verifier, COLUMNS, at=when, workers=1)
        assert found == EXPECTED


def test_an_archive_that_changes_has_no_results(archive, sink, verifier, when):
    def change(done, total):
        pq.write_table(pq.read_table(archive), archive, row_group_size=5)

    with pytest.raises(InputError, match="changed while it was read"):
        verify_dataset(archive, sink, verifier, at=when, workers=1, progress=change)
    assert not sink.exists()


def test_wrong_arguments(archive, sink, tmp_path, verifier, when):
    (tmp_path / "none").mkdir()
    pq.write_table(
        pa.table({"id": [], "document": pa.array([], pa.binary())}), tmp_path / "empty.parquet"
    )
    pq.write_table(pa.table({"row": [b""], "document": [b""]}), tmp_path / "row.parquet")
    for arguments, code in (
        ({"source": None}, "input.expected"),
        ({"source": [None]}, "input.expected"),
        ({"source": []}, "input.archive"),
        ({"source": tmp_path / "none"}, "input.archive"),
        ({"source": tmp_path / "empty.parquet"}, "input.archive"),
        ({"source": tmp_path / "absent"}, "input.file"),
        ({"columns": None}, "input.expected"),
        ({"columns": Columns("id")}, "input.column"),
        ({"columns": Columns(at="id")}, "input.column"),
        ({"source": tmp_path / "row.parquet", "columns": Columns(keep=("row",))}, "input.column"),
        ({"verifier": "none"}, "input.expected"),
        ({"workers": 0}, "input.workers"),
        ({"at": "never"}, "input.time"),
        ({"at": "document", "max_age": timedelta(1)}, "input.time"),
        ({"sink": None, "resume": True}, "input.expected"),
    ):
        call = {"source": archive, "sink": sink, "verifier": verifier, "columns": COLUMNS}
        assert code_of(verify_dataset, **{**call, **arguments}) == code, arguments
    assert not sink.exists()


def test_a_policy_that_cannot_be_pickled_is_an_error(archive, sink, roots):
    class Local(Counting):
        pass

    verifier = Verifier(roots, policy=Local())
    assert code_of(verify_dataset, archive, sink, verifier, workers=1) == "input.expected"


@pytest.mark.parametrize("workers", [1, 2])
def test_results_that_cannot_be_written_are_an_os_error(
    workers, archive, sink, verifier, when, tmp_path
):
    with pytest.raises(FileNotFoundError):
        verify_dataset(archive, tmp_path / "none/results", verifier, at=when, workers=workers)
    parts = sink.with_name("results.parquet.parts")

    def obstruct(done, total):
        for number in range(1, 5):
            (parts / f"part-{number:08}.parquet").mkdir(exist_ok=True)

    # The first part of two may be the second one.
    with pytest.raises(OSError, match="parquet"):
        verify_dataset(archive, sink, verifier, at=when, workers=workers, progress=obstruct)
    assert not sink.exists()


def test_rows_with_faults_of_text_are_results_too(tmp_path, sink, fake_document, verifier, when):
    lines = [json.dumps({"document": fake_document.hex(), "id": 1}), "{", json.dumps({"id": 2})]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    found = verify_dataset(tmp_path / "a.jsonl", sink, verifier, COLUMNS, at=when, workers=1)
    assert found.rejected == Counter({"input.batch": 1, "input.document": 1})
    (tmp_path / "a.bin").write_bytes(b"\x84" * 20000)
    found = verify_dataset(tmp_path / "a.bin", None, verifier, at=when, workers=1)
    assert found.first_rejected == "document.too_large"
