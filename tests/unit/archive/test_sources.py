"""Files of documents: their forms, rows that cannot be read, and files that cannot."""

import base64
import csv
import gzip
import json
import os

import pytest

from nitro_attest.errors import InputError
from support.errors import code_of

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
from nitro_attest.archive import Columns, sources  # noqa: E402
from nitro_attest.archive.sources import find_sources, read, row_count, schema_of  # noqa: E402

DOCUMENTS = [b"\x84one", None, b"", b"\x84four"]


def rows_of(*paths, columns=Columns()):  # noqa: B008  immutable
    found = find_sources(paths, ())
    batches = list(read(found, columns, schema_of(found, columns)))
    for batch in batches:
        batch.validate(full=True)
        assert 0 < batch.num_rows <= sources._ROWS
    return [row for batch in batches for row in batch.to_pylist()]


def places(rows):
    return [(row["row"], row["document"], row["fault_code"]) for row in rows]


def table(documents=tuple(DOCUMENTS)):
    return pa.table({"id": range(len(documents)), "document": list(documents)})


def write_ipc(table, path, opener):
    with pa.OSFile(str(path), "wb") as file, opener(file, table.schema) as writer:
        writer.write_table(table)


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize("name", ["a.parquet", "A.PQ", "a.arrow", "a.feather", "a.arrows"])
def test_tables_are_read_with_the_number_of_each_row(name, tmp_path):
    path = tmp_path / name
    if name.lower().endswith(("parquet", "pq")):
        pq.write_table(table(), path, row_group_size=3)
        assert row_count(find_sources([path], ())) == 4
    else:
        opener = pa.ipc.new_stream if name.endswith("arrows") else pa.ipc.new_file
        write_ipc(table(), path, opener)
        assert row_count(find_sources([path], ())) is None
    rows = rows_of(path, columns=Columns(keep=("id",)))
    assert places(rows) == [(n, cell, None) for n, cell in enumerate(DOCUMENTS, 1)]
    assert [row["id"] for row in rows] == [0, 1, 2, 3]
    assert {row["source"] for row in rows} == {str(path)}


def test_large_batches_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_ROWS", 2)
    path = tmp_path / "a.arrow"
    write_ipc(table([b"%d" % n for n in range(5)]), path, pa.ipc.new_file)
    assert [row["row"] for row in rows_of(path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("kind", "limit"), [(pa.binary(), 16384), (pa.string(), 262144)])
def test_a_document_that_is_too_large_stays_where_it_is(kind, limit, tmp_path):
    cells = pa.array(["A" * (limit + 1), "A" * limit, None], pa.string()).cast(kind)
    pq.write_table(pa.table({"document": cells}), tmp_path / "a.parquet")
    rows = rows_of(tmp_path / "a.parquet")
    assert [row["fault_code"] for row in rows] == ["document.too_large", None, None]
    assert f"expected at most {limit} bytes" in rows[0]["fault"]
    assert rows[0]["document"] is None
    assert len(rows[1]["document"]) == limit


@pytest.mark.parametrize("end", ["csv", "csv.gz"])
def test_rows_of_csv(end, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_LONGEST_LINE", 64)
    lines = [
        b"\xef\xbb\xbfdocument,id",
        b'"a\nb",1',
        b"",
        b",2",
        b"c",
        b"d,3,4",
        b'"e"f,5',
        b"\xff,6",
        b"x" * 64 + b"," + b"7",
        b"g,8",
        b'"h,9',
    ]
    content = b"\n".join(lines)
    path = tmp_path / f"a.{end}"
    path.write_bytes(gzip.compress(content) if end.endswith("gz") else content)
    rows = rows_of(path, columns=Columns(keep=("id",)))
    bad = "input.batch"
    assert places(rows) == [
        *((1, "a\nb", None), (2, None, None), (3, None, bad), (4, None, bad), (5, None, bad)),
        *((6, None, bad), (7, None, bad), (8, "g", None), (9, None, bad)),
    ]
    assert [row["id"] for row in rows] == ["1", "2", *[None] * 5, "8", None]
    assert rows[2]["fault"] == "expected 2 values in a row, found 1"
    assert rows[5]["fault"] == "the row is not UTF-8"


@pytest.mark.parametrize("end", ["jsonl", "ndjson", "jsonl.gz"])
def test_rows_of_jsonl_have_the_numbers_of_their_lines(end, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_LONGEST_LINE", 64)
    lines = [
        b'\xef\xbb\xbf{"document": "a", "id": 1}',
        b" ",
        b'{"id": {"of": [2]}}',
        b'{"document": 3}',
        b'{"document": "4", "document": "5"}',
        b"[]",
        b'{"document": "6"} more',
        b"\xff",
        b'{"document": "\\ud800"}',
        b"x" * 70,
        b'{"document": null, "id": "last", "other": 7}',
    ]
    content = b"\n".join(lines)
    path = tmp_path / f"a.{end}"
    path.write_bytes(gzip.compress(content) if end.endswith("gz") else content)
    rows = rows_of(path, columns=Columns(keep=("id",)))
    bad = "input.batch"
    assert places(rows) == [
        *((1, "a", None), (3, None, None), (4, None, bad), (5, None, bad), (6, None, bad)),
        *((7, None, bad), (8, None, bad), (9, None, bad), (10, None, bad), (11, None, None)),
    ]
    assert [row["id"] for row in rows][:2] == ["1", '{"of": [2]}']
    assert rows[-1]["id"] == "last"


def test_a_folder_is_read_by_name_and_other_files_are_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_ROWS", 2)
    (tmp_path / "sub").mkdir()
    for name, content in {
        "b.bin": b"\x84b",
        "a.txt": base64.b64encode(b"\x84\x44text"),
        "c": b"",
        "sub/d.bin": b"\x84" * 16385,
        "e.bin": b"x" * 300000,
        "_SUCCESS": b"",
        ".crc": b"",
        "results": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
    write_csv(tmp_path / "d.csv", [["document"], ["in a table"]])
    found = find_sources([tmp_path], [tmp_path / "results", tmp_path / "absent"])
    names = [os.path.relpath(one.path, tmp_path) for one in found]
    assert names == ["a.txt", "b.bin", "c", "d.csv", "e.bin", "sub/d.bin"]
    (tmp_path / "d.csv").unlink()
    (tmp_path / "results").unlink()
    assert row_count(find_sources([tmp_path], ())) == 5
    assert places(rows_of(tmp_path)) == [
        *((1, b"\x84\x44text", None), (1, b"\x84b", None), (1, None, "document.empty")),
        *((1, None, "document.too_large"), (1, None, "document.too_large")),
    ]


def test_files_of_two_types_are_an_error(tmp_path):
    pq.write_table(table(), tmp_path / "a.parquet")
    write_csv(tmp_path / "b.csv", [["document"], ["text"]])
    assert code_of(rows_of, tmp_path) == "input.column"


def test_columns_that_a_file_does_not_have_are_an_error(tmp_path):
    pq.write_table(table(), tmp_path / "a.parquet")
    write_csv(tmp_path / "b.csv", [["document", "document"], ["a", "b"]])
    (tmp_path / "c.bin").write_bytes(b"\x84")
    (tmp_path / "d.csv").write_bytes(b"")
    for name, columns in (
        *(("a.parquet", Columns("none")), ("a.parquet", Columns(keep=("none",)))),
        *(("b.csv", Columns()), ("c.bin", Columns(keep=("id",))), ("d.csv", Columns())),
    ):
        assert code_of(rows_of, tmp_path / name, columns=columns) == "input.column", name


def test_files_that_cannot_be_read_are_errors(tmp_path):
    write_ipc(table(), tmp_path / "a.arrow", pa.ipc.new_file)
    pq.write_table(table([os.urandom(5000)] * 40), tmp_path / "cut.parquet")
    whole = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:9] + bytes(4000) + whole[4009:])
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps({}).encode())[:-9])
    (tmp_path / "plain.csv.gz").write_bytes(b"document\n")
    (tmp_path / "bad.csv").write_bytes(b'"a"b\n')
    (tmp_path / "latin.csv").write_bytes(b"\xe4\n")
    for name in ("empty.parquet", "empty.arrow"):
        (tmp_path / name).write_bytes(b"")
    for name in (
        *("cut.parquet", "cut.jsonl.gz", "plain.csv.gz", "bad.csv", "latin.csv"),
        *("empty.parquet", "empty.arrow"),
    ):
        assert code_of(rows_of, tmp_path / name) == "input.archive", name
    for name in ("none.parquet", "none", "nul\0"):
        assert code_of(rows_of, tmp_path / name) == "input.file", name
    assert code_of(rows_of) == "input.archive"


def test_a_file_that_changes_is_noticed(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x84")
    found = find_sources([path], ())
    sources.check_unchanged(found)
    path.write_bytes(b"\x84\x84")
    with pytest.raises(InputError, match="changed while it was read"):
        sources.check_unchanged(found)


@pytest.mark.parametrize("end", ["bin", "parquet", "arrow"])
def test_a_file_name_of_any_bytes_is_text_in_the_results(end, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff." + end.encode())
    pq.write_table(table([b"\x84"]), tmp_path / "parquet")
    write_ipc(table([b"\x84"]), tmp_path / "arrow", pa.ipc.new_file)
    (tmp_path / "bin").write_bytes(b"\x84")
    try:
        (tmp_path / end).rename(path)
    except OSError:
        pytest.skip("this file system takes no such name")
    row_count(find_sources([path], ()))
    (row,) = rows_of(path)
    assert row["source"].endswith(f"/\\xff.{end}")
    assert row["document"] == b"\x84"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        *((b"document", "parquet"), (b"inner", "parquet")),
        *((b"document", "arrow"), (b"inner", "arrow"), (b"Zulu", "arrow")),
    ],
)
def test_a_table_with_names_that_are_not_utf_8_is_an_error(name, end, tmp_path):
    path = tmp_path / f"a.{end}"
    cells = {
        "document": [b"\x84"],
        "id": [{"inner": 1}],
        "at": pa.array([0], pa.timestamp("us", "Zulu")),
    }
    if end == "parquet":
        pq.write_table(pa.table(cells), path, store_schema=False)
    else:
        write_ipc(pa.table(cells), path, pa.ipc.new_file)
    columns = Columns(at="at", keep=("id",))
    assert len(rows_of(path, columns=columns)) == 1
    path.write_bytes(path.read_bytes().replace(name, b"\xff" + name[1:]))
    assert code_of(rows_of, path, columns=columns) in ("input.archive", "input.column")


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")  # opened, it would wait for a writer
    assert code_of(find_sources, [tmp_path], ()) == "input.file"


def test_a_folder_with_two_paths_is_an_error(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(b"\x84")
    assert len(find_sources([tmp_path], ())) == 1
    for target in (".", "a"):  # a loop, and rows that would be counted twice
        (tmp_path / "link").symlink_to(target)
        assert code_of(find_sources, [tmp_path], ()) == "input.archive", target
        (tmp_path / "link").unlink()


def test_a_row_of_csv_that_has_no_end_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_LONGEST_LINE", 100)
    path = tmp_path / "a.csv"
    cells = 'x","x\n' * 50  # each line ends within quotes
    path.write_text(f'document\n"\n{cells}')
    first, second, *_ = rows_of(path)
    assert [first["fault_code"], second["fault_code"]] == ["input.batch"] * 2
    path.write_text(f'"\n{cells}')
    assert code_of(rows_of, path) == "input.archive"
    path.write_text('document,id\n"a\nb",1\nc,2\n')
    assert [row["document"] for row in rows_of(path)] == ["a\nb", "c"]
