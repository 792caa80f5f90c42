"""Stores: single use by threads and by processes, bounded, and without early forgetting."""

import sqlite3
import threading

import pytest

from nitro_attest import InputError, MemoryStore, SqliteStore

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


def test_a_file_that_is_not_a_store_is_an_error(tmp_path):
    path = tmp_path / "used"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(sqlite3.Error):
        SqliteStore(path)


def test_the_system_clock_is_the_default(tmp_path):
    for store in (MemoryStore(), SqliteStore(tmp_path / "used")):
        assert not store.add(KEY, 1_700_000_000_000)
        assert store.add(KEY, 253402300799999)
