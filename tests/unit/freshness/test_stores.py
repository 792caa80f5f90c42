"""Stores: single use by threads and by processes, bounded, and without early forgetting."""

import os
import sqlite3
import stat
import threading
from contextlib import closing

import pytest

from nitro_attest import InputError, MemoryStore, SqliteStore
from support.errors import code_of, rejection

KEY, OTHER = bytes(32), bytes([1]) * 32


class Clock:
    def __init__(self, now=1000):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def make(request, tmp_path, clock):
    def make(capacity=3):
        if request.param == "memory":
            return MemoryStore(capacity, clock=clock)
        return SqliteStore(tmp_path / "used", capacity, clock=clock)

    return make


def test_a_key_is_taken_once(make):
    store = make()
    assert store.add(KEY, 2000)
    assert store.take(OTHER) is None
    assert store.take(KEY) == 2000
    assert store.take(KEY) is None


def test_a_key_is_added_once_until_it_expires(make, clock):
    store = make()
    assert store.add(KEY, 2000)
    assert not store.add(KEY, 3000)
    clock.now = 1999
    assert not store.add(KEY, 3000)
    clock.now = 2000
    assert store.add(KEY, 3000)
    assert store.take(KEY) == 3000


def test_a_key_that_may_have_been_forgotten_is_not_new(make, clock):
    store = make()
    clock.now = 2000
    assert not store.add(KEY, 2000)
    assert not store.add(KEY, 1)
    assert store.take(KEY) is None


def test_a_full_store_raises_rather_than_forgets(make, clock):
    store = make(capacity=2)
    assert store.add(KEY, 2000)
    assert store.add(OTHER, 3000)
    with pytest.raises(InputError) as caught:
        store.add(bytes([2]) * 32, 4000)
    assert caught.value.code == "input.limits"
    assert not store.add(KEY, 5000)
    clock.now = 2000
    assert store.add(bytes([2]) * 32, 4000)
    assert store.take(OTHER) == 3000


@pytest.mark.parametrize("capacity", [0, -1, True, 1.5, None, "3"])
def test_a_capacity_is_a_positive_integer(make, capacity):
    with pytest.raises(InputError) as caught:
        make(capacity)
    assert caught.value.code == "input.limits"


def test_memory_stays_within_the_capacity_however_often_keys_come_and_go(clock):
    store = MemoryStore(4, clock=clock)
    for number in range(1000):
        key = number.to_bytes(32, "big")
        assert store.add(key, 2000)
        assert store.take(key) == 2000
    assert len(store) == 0
    assert len(store._soonest) <= 8


def test_a_key_added_again_is_not_forgotten_with_its_first_expiry(clock):
    store = MemoryStore(4, clock=clock)
    assert store.add(KEY, 2000)
    store.take(KEY)
    assert store.add(KEY, 3000)
    clock.now = 2500
    assert store.add(OTHER, 4000)
    assert store.take(KEY) == 3000


def test_only_one_of_many_threads_gets_each_key(make):
    store = make(capacity=64)
    keys = [number.to_bytes(32, "big") for number in range(16)]
    won = []
    start = threading.Barrier(8)

    def race():
        start.wait()
        won.extend([("add", key) for key in keys if store.add(key, 2000)])
        start.wait()
        won.extend([("take", key) for key in keys if store.take(key)])

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted([(what, key) for what in ("add", "take") for key in keys])


def test_a_sqlite_store_outlives_its_process_and_is_shared(tmp_path, clock):
    assert SqliteStore(tmp_path / "used", clock=clock).add(KEY, 2000)
    assert not SqliteStore(tmp_path / "used", clock=clock).add(KEY, 2000)
    assert SqliteStore(str(tmp_path / "used"), clock=clock).take(KEY) == 2000


def test_a_store_that_saw_a_later_time_keeps_to_it(make, clock):
    store = make()
    assert store.add(KEY, 2000)
    clock.now = 5000
    assert store.add(OTHER, 9000)  # forgets KEY
    clock.now = 1000
    assert not store.add(KEY, 2000)
    assert not store.add(KEY, 5000)
    assert store.take(KEY) is None
    assert store.add(KEY, 5001)


def test_a_key_that_has_expired_by_the_latest_time_cannot_be_taken(make, clock):
    store = make()
    assert store.add(KEY, 2000)
    assert store.add(OTHER, 2001)
    clock.now = 2000
    assert store.take(bytes([2]) * 32) is None  # shows the time, and forgets nothing
    clock.now = 1000
    assert store.take(KEY) is None
    assert store.take(OTHER) == 2001


def test_the_latest_time_survives_a_restart_and_is_that_of_all_processes(tmp_path):
    path = tmp_path / "used"
    ahead, behind = (SqliteStore(path, clock=Clock(now)) for now in (5000, 1000))
    assert behind.add(KEY, 6000)
    assert not behind.add(OTHER, 5000)
    assert ahead.add(OTHER, 5001)
    assert not SqliteStore(path, clock=Clock(2000)).add(bytes([2]) * 32, 5000)


def test_a_step_that_fails_leaves_the_time_and_the_keys_as_they_were(tmp_path, clock):
    store = SqliteStore(tmp_path / "used", 1, clock=clock)
    assert store.add(KEY, 9000)
    clock.now = 5000
    assert code_of(store.add, OTHER, 9000) == "input.limits"
    clock.now = 1000
    assert store.take(KEY) == 9000
    assert store.add(OTHER, 2000)


def test_a_file_that_is_not_a_store_is_an_error(tmp_path):
    path = tmp_path / "used"
    path.write_bytes(b"not a database at all" * 100)
    assert code_of(SqliteStore, path) == "input.store"


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def planted(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


@pytest.mark.parametrize("value", ["'text'", "x'00'", "1.5", "NULL", "''", "1e300"])
def test_a_row_of_another_type_is_an_error(tmp_path, clock, value):
    store = SqliteStore(tmp_path / "used", clock=clock)
    key = f"x'{KEY.hex()}'"
    planted(tmp_path / "used", f"INSERT INTO used VALUES ({key}, {value})")
    assert code_of(store.take, KEY) == "input.store"
    if value not in ("1.5",):  # which has expired
        assert code_of(store.add, KEY, 2000) == "input.store"
    assert store.add(OTHER, 2000)
    planted(
        tmp_path / "used",
        f"CREATE TABLE planted AS SELECT 0 AS id, {value} AS seen_ms",
        "DROP TABLE latest",
        "ALTER TABLE planted RENAME TO latest",
    )
    for step in (lambda: store.add(OTHER, 2000), lambda: store.take(OTHER)):
        assert code_of(step) == "input.store"
    assert code_of(SqliteStore, tmp_path / "used", clock=clock) == "input.store"


@pytest.mark.parametrize("columns", ["key", "key, expires_ms, more", "other, names"])
def test_a_table_of_another_form_is_an_error(tmp_path, columns):
    planted(tmp_path / "used", f"CREATE TABLE used ({columns})")

    def use():
        SqliteStore(tmp_path / "used").add(KEY, 253402300799999)

    assert code_of(use) == "input.store"


def test_the_file_is_made_for_its_owner_alone(tmp_path, clock):
    previous = os.umask(0)
    try:
        store = SqliteStore(tmp_path / "used", clock=clock)
        assert store.add(KEY, 2000)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "used").stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["used"]


def test_a_file_that_exists_keeps_its_mode(tmp_path):
    (tmp_path / "used").touch(0o640)
    SqliteStore(tmp_path / "used")
    assert stat.S_IMODE((tmp_path / "used").stat().st_mode) == 0o640


@pytest.mark.parametrize("target", ["there", "nowhere"])
def test_a_symbolic_link_is_rejected(tmp_path, clock, target):
    SqliteStore(tmp_path / "there")
    (tmp_path / "link").symlink_to(tmp_path / target)
    assert code_of(SqliteStore, tmp_path / "link") == "input.store"
    store = SqliteStore(tmp_path / "used", clock=clock)
    (tmp_path / "used").rename(tmp_path / "there")
    (tmp_path / "used").symlink_to(tmp_path / target)
    assert code_of(store.add, KEY, 2000) == "input.store"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_was_deleted_is_not_made_anew_with_an_empty_memory(tmp_path, clock):
    store = SqliteStore(tmp_path / "used", clock=clock)
    (tmp_path / "used").unlink()
    assert code_of(store.add, KEY, 2000) == "input.store"
    assert names_in(tmp_path) == []


def test_a_file_that_cannot_be_made_is_an_error(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "used", "a\0b", "\ud800", os.devnull):
        assert code_of(SqliteStore, path) == "input.store"
    assert "expected a regular file" in rejection(SqliteStore, os.devnull).message


def test_a_file_that_another_process_makes_first_is_used(tmp_path, monkeypatch, clock):
    other = SqliteStore(tmp_path / "used", clock=clock)
    assert other.add(KEY, 2000)
    monkeypatch.setattr("os.path.lexists", lambda path: False)
    assert not SqliteStore(tmp_path / "used", clock=clock).add(KEY, 2000)
    assert names_in(tmp_path) == ["used"]


def test_a_locked_file_is_an_error(tmp_path, monkeypatch, clock):
    monkeypatch.setattr("nitro_attest.freshness.stores._LOCK_TIMEOUT_SECONDS", 0)
    store = SqliteStore(tmp_path / "used", clock=clock)
    with closing(sqlite3.connect(tmp_path / "used", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        assert code_of(store.add, KEY, 2000) == "input.store"
    assert store.add(KEY, 2000)


def test_a_relative_path_is_that_of_the_first_directory(tmp_path, monkeypatch, clock):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("used", clock=clock)
    assert store.add(KEY, 2000)
    monkeypatch.chdir("elsewhere")
    assert not store.add(KEY, 2000)


@pytest.mark.parametrize("name", [":memory:", "file:used?mode=memory", b"used"])
def test_a_path_is_always_the_name_of_a_file(tmp_path, monkeypatch, clock, name):
    monkeypatch.chdir(tmp_path)
    assert SqliteStore(name, clock=clock).add(KEY, 2000)
    assert names_in(tmp_path) == [os.fsdecode(name)]


@pytest.mark.parametrize("now", [-1, 2**63, 1.5, None, True])
def test_a_clock_gives_milliseconds(make, clock, now):
    store = make()
    clock.now = now
    assert code_of(store.add, KEY, 2000) == "input.time"
    assert code_of(store.take, KEY) == "input.time"


def test_the_system_clock_is_the_default(tmp_path):
    for store in (MemoryStore(), SqliteStore(tmp_path / "used")):
        assert not store.add(KEY, 1_700_000_000_000)
        assert store.add(KEY, 253402300799999)


LARGEST = 256**20 - 1


def test_r4_the_number_of_an_issuer_only_rises(make):
    store = make()
    assert store.raise_crl_number(KEY, 5) == 5
    assert store.raise_crl_number(KEY, 4) == 5
    assert store.raise_crl_number(OTHER, 0) == 0
    assert store.raise_crl_number(KEY, LARGEST) == LARGEST
    assert store.raise_crl_number(KEY, 6) == LARGEST


def test_r4_the_number_survives_a_restart(tmp_path):
    SqliteStore(tmp_path / "used").raise_crl_number(KEY, 2**100)
    assert SqliteStore(tmp_path / "used").raise_crl_number(KEY, 1) == 2**100


@pytest.mark.parametrize(
    ("issuer", "number"),
    [(KEY, -1), (KEY, LARGEST + 1), (KEY, "1"), (KEY, True), (KEY, None), ("x", 1), (None, 1)],
)
def test_r4_a_number_of_another_form_is_an_input_error(make, issuer, number):
    assert code_of(make().raise_crl_number, issuer, number) == "input.expected"


def test_r4_a_planted_number_of_another_type_is_an_error(tmp_path):
    store = SqliteStore(tmp_path / "used")
    planted(tmp_path / "used", f"INSERT INTO crl_numbers VALUES (x'{KEY.hex()}', 'text')")
    assert code_of(store.raise_crl_number, KEY, 1) == "input.store"
