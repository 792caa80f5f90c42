"""Stores of single-use keys: in one process, or in a file that several processes share."""

from __future__ import annotations

import heapq
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final, Protocol

from nitro_attest.errors import InputError

__all__ = ["DEFAULT_CAPACITY", "Clock", "MemoryStore", "SqliteStore", "Store", "now_ms"]

DEFAULT_CAPACITY: Final = 65536
"""Default number of keys that a store holds at once; about 20 MB of memory when full."""

_LOCK_TIMEOUT_SECONDS: Final = 10.0

Clock = Callable[[], int]
"""Returns the time in milliseconds since 1970-01-01 UTC."""


def now_ms() -> int:
    """Returns the system time in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class Store(Protocol):
    """Keys that are remembered until they are taken or expire.

    Keys are digests of 32 or 48 bytes: nothing in a store is secret, and the duration of a look-up
    reveals nothing about a nonce. Each method must be one atomic step for all users of the store.
    An exception of a method reaches the caller of the Challenger or ReplayGuard, who then gets no
    result.
    """

    def add(self, key: bytes, expires_ms: int) -> bool:
        """Remembers a key.

        Args:
            key: 32 or 48 bytes.
            expires_ms: Time from which the key may be forgotten, in milliseconds since 1970-01-01
                UTC.

        Returns:
            True if the key is new. False if the store has it already, or if it expires at or
            before the store's own time: the store may have forgotten it.
        """

    def take(self, key: bytes) -> int | None:
        """Removes a key. Of concurrent calls for one key, at most one gets a result.

        Args:
            key: 32 or 48 bytes.

        Returns:
            The ``expires_ms`` given to ``add``; None if the store does not have the key.
        """


class MemoryStore:
    """A store in the memory of one process, shared by its threads but not by other processes.

    Args:
        capacity: Maximum number of keys held at once. A full store drops nothing: ``add``
            raises, because a key dropped early could be used twice.
        clock: Returns the time in milliseconds since 1970-01-01 UTC.

    Raises:
        InputError: ``input.limits``: the capacity is not a positive integer.

    Example:
        >>> from nitro_attest import MemoryStore
        >>> store = MemoryStore(clock=lambda: 1_000)
        >>> key = bytes(32)
        >>> store.add(key, expires_ms=61_000)
        True
        >>> store.add(key, expires_ms=61_000)
        False
        >>> store.take(key)
        61000
        >>> store.take(key) is None
        True
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY, *, clock: Clock = now_ms) -> None:
        self._capacity = _checked(capacity)
        self._clock = clock
        self._expiry: dict[bytes, int] = {}
        self._soonest: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._expiry)

    def add(self, key: bytes, expires_ms: int) -> bool:
        """Remembers a key: see ``Store.add``.

        Raises:
            InputError: ``input.limits``: the store is full.
        """
        with self._lock:
            now = self._clock()
            self._forget_expired(now)
            if key in self._expiry or expires_ms <= now:
                return False
            if len(self._expiry) == self._capacity:
                raise _full(self._capacity)
            self._expiry[key] = expires_ms
            self._schedule(expires_ms, key)
            return True

    def take(self, key: bytes) -> int | None:
        """Removes a key: see ``Store.take``."""
        with self._lock:
            return self._expiry.pop(key, None)

    def _schedule(self, expires_ms: int, key: bytes) -> None:
        heapq.heappush(self._soonest, (expires_ms, key))
        # A removed key leaves its entry in the heap. Rebuild the heap before it outgrows the store.
        if len(self._soonest) > 2 * self._capacity:
            self._soonest = [(expires, known) for known, expires in self._expiry.items()]
            heapq.heapify(self._soonest)

    def _forget_expired(self, now: int) -> None:
        while self._soonest and self._soonest[0][0] <= now:
            expires_ms, key = heapq.heappop(self._soonest)
            if self._expiry.get(key) == expires_ms:
                del self._expiry[key]


class SqliteStore:
    """A store in a SQLite file, shared by the processes of one machine; it survives a restart.

    Each call opens the file anew, so threads and forked processes may share an object. The file
    must be on a local disk: locks on network file systems are not reliable.

    Args:
        path: Path of the file, which is created if it does not exist.
        capacity: Maximum number of keys held at once, as for MemoryStore.
        clock: Returns the time in milliseconds since 1970-01-01 UTC. The clocks of all users of
            the file must agree.

    Raises:
        InputError: ``input.limits``: the capacity is not a positive integer.
        sqlite3.Error: Also raised by every method: the file cannot be used, or another process
            locked it for 10 s. In that case nothing is remembered or removed.

    Example:
        >>> from nitro_attest import SqliteStore
        >>> SqliteStore("challenges.db", clock=lambda: 1_000).add(bytes(32), expires_ms=61_000)
        True
        >>> SqliteStore("challenges.db", clock=lambda: 2_000).take(bytes(32))
        61000
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        capacity: int = DEFAULT_CAPACITY,
        *,
        clock: Clock = now_ms,
    ) -> None:
        self._path = os.fspath(path)
        self._capacity = _checked(capacity)
        self._clock = clock
        with self._transaction() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS used (key BLOB PRIMARY KEY, expires_ms INTEGER)"
            )
            database.execute("CREATE INDEX IF NOT EXISTS expiry ON used (expires_ms)")

    def add(self, key: bytes, expires_ms: int) -> bool:
        """Remembers a key: see ``Store.add``.

        Raises:
            InputError: ``input.limits``: the store is full.
        """
        with self._transaction() as database:
            now = self._clock()
            database.execute("DELETE FROM used WHERE expires_ms <= ?", (now,))
            if self._expiry(database, key) is not None or expires_ms <= now:
                return False
            ((held,),) = database.execute("SELECT count(*) FROM used")
            if held >= self._capacity:
                raise _full(self._capacity)
            database.execute("INSERT INTO used VALUES (?, ?)", (key, expires_ms))
            return True

    def take(self, key: bytes) -> int | None:
        """Removes a key: see ``Store.take``."""
        with self._transaction() as database:
            expires_ms = self._expiry(database, key)
            database.execute("DELETE FROM used WHERE key = ?", (key,))
            return expires_ms

    @staticmethod
    def _expiry(database: sqlite3.Connection, key: bytes) -> int | None:
        row = database.execute("SELECT expires_ms FROM used WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # IMMEDIATE takes the write lock before the first read. Otherwise two processes could both
        # read first, and both find the key.
        with closing(
            sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
        ) as database:
            database.execute("BEGIN IMMEDIATE")
            with database:
                yield database


def _checked(capacity: int) -> int:
    if type(capacity) is not int or capacity < 1:
        raise InputError(
            "input.limits", f"expected capacity to be a positive integer, found {capacity!r}"
        )
    return capacity


def _full(capacity: int) -> InputError:
    return InputError(
        "input.limits",
        f"the store is full: it holds {capacity} keys that have not expired; raise its capacity, "
        "or shorten the lifetime of the keys",
    )
