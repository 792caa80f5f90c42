"""Where single use is remembered: in one process, or in a file that several processes share."""

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

DEFAULT_CAPACITY: Final = 65536
"""Keys that a store holds at once unless told otherwise; in memory about 20 MB when full."""

_LOCK_TIMEOUT_SECONDS: Final = 10.0

Clock = Callable[[], int]


def now_ms() -> int:
    """The system's time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Store(Protocol):
    """Keys that are remembered until they are taken or expire.

    Keys are digests of 32 or 48 bytes: nothing in a store is secret, and how long a look-up takes
    says nothing about a nonce. Each method is one atomic step for all who share the store. Whatever
    a method raises reaches the caller of the Challenger or ReplayGuard, who then has no result.
    """

    def add(self, key: bytes, expires_ms: int) -> bool:
        """Remembers a key.

        Args:
            key: 32 or 48 bytes.
            expires_ms: When the key may be forgotten, in milliseconds since 1970.

        Returns:
            True if the key was new. False if it is there already, or expires at or before the
            store's own time: then it may have been there and been forgotten.
        """

    def take(self, key: bytes) -> int | None:
        """Forgets a key. Of all who ask for one key, at most one gets an answer.

        Returns:
            When it expires, as given to ``add``; None if the store does not hold it.
        """


class MemoryStore:
    """A Store in this process, for its threads. A second process would not see what it holds.

    Args:
        capacity: How many keys to hold at once. When it is full nothing is forgotten: ``add``
            refuses, because a key forgotten early could be used twice.
        clock: The time in milliseconds since 1970.

    Raises:
        InputError: ``input.limits``: the capacity is not a positive integer.
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
        """As ``Store.add``.

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
            self._note(expires_ms, key)
            return True

    def take(self, key: bytes) -> int | None:
        """As ``Store.take``."""
        with self._lock:
            return self._expiry.pop(key, None)

    def _note(self, expires_ms: int, key: bytes) -> None:
        heapq.heappush(self._soonest, (expires_ms, key))
        # What was taken leaves its note behind; without this the notes would outgrow the capacity.
        if len(self._soonest) > 2 * self._capacity:
            self._soonest = [(expires, known) for known, expires in self._expiry.items()]
            heapq.heapify(self._soonest)

    def _forget_expired(self, now: int) -> None:
        while self._soonest and self._soonest[0][0] <= now:
            expires_ms, key = heapq.heappop(self._soonest)
            if self._expiry.get(key) == expires_ms:
                del self._expiry[key]


class SqliteStore:
    """A Store in a SQLite file, for all processes of one machine, that survives a restart.

    Every call opens the file anew, so an object may be shared by threads and forked. The file must
    lie on a local disk: the locks of network file systems are not to be relied on.

    Args:
        path: The file; made when it is not there.
        capacity: As in MemoryStore.
        clock: As in MemoryStore; all who share the file must agree on the time.

    Raises:
        InputError: ``input.limits``: the capacity is not a positive integer.
        sqlite3.Error: From here and from every method: the file cannot be used, or another process
            held it for 10 s. Nothing is then remembered or taken.
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
        """As ``Store.add``.

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
        """As ``Store.take``."""
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
        # IMMEDIATE takes the write lock before the first read: two processes that both read first
        # could both find the key.
        with closing(
            sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
        ) as database:
            database.execute("BEGIN IMMEDIATE")
            with database:
                yield database


def _checked(capacity: int) -> int:
    if type(capacity) is not int or capacity < 1:
        raise InputError(
            "input.limits", f"capacity is {capacity!r}; a positive integer was expected"
        )
    return capacity


def _full(capacity: int) -> InputError:
    return InputError(
        "input.limits",
        f"the store holds {capacity} keys that have not expired, which is its capacity; make it "
        "larger, or the time that keys are kept for shorter",
    )
