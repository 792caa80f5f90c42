"""Stores of single-use keys and of CRL numbers: in one process, or in a file that several share.

A store keeps the latest time that it has seen. If a clock jumps forward, keys are forgotten too
early; while it is set back, the store still rejects every key that it may have forgotten.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_CRL_NUMBER_OCTETS

__all__ = ["DEFAULT_CAPACITY", "Clock", "MemoryStore", "SqliteStore", "Store", "now_ms"]

DEFAULT_CAPACITY: Final = 65536
"""Default number of keys that a store holds at once; about 20 MB of memory when full."""

_LOCK_TIMEOUT_SECONDS: Final = 10.0
_MAX_MS: Final = 2**63 - 1
"""The largest integer of SQLite."""

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
            before the latest time that the store has seen: the store may have forgotten it.
        """

    def take(self, key: bytes) -> int | None:
        """Removes a key. Of concurrent calls for one key, at most one gets a result.

        Args:
            key: 32 or 48 bytes.

        Returns:
            The ``expires_ms`` given to ``add``; None if the store does not have the key, or if it
            has expired by the latest time that the store has seen.
        """


class MemoryStore:
    """A store in the memory of one process, shared by its threads but not by other processes.

    Args:
        capacity: Maximum number of keys held at once. A full store drops nothing: ``add``
            raises, because a key dropped early could be used twice.
        clock: Returns the time in milliseconds since 1970-01-01 UTC.

    Raises:
        InputError: ``input.limits``: the capacity is not a positive integer. ``input.expected``:
            the clock, or an argument of a method, has the wrong type.

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
        self._capacity = _checked_capacity(capacity)
        self._clock = _checked_clock(clock)
        self._latest_ms = 0
        self._expiry: dict[bytes, int] = {}
        self._crl_numbers: dict[bytes, int] = {}
        self._soonest: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._expiry)

    def add(self, key: bytes, expires_ms: int) -> bool:
        """Remembers a key: see ``Store.add``.

        Raises:
            InputError: ``input.limits``: the store is full. ``input.expected``: an argument has
                the wrong type.
        """
        _check_key(key)
        _check_expiry(expires_ms)
        with self._lock:
            now = self._now()
            self._forget_expired(now)
            if key in self._expiry or expires_ms <= now:
                return False
            if len(self._expiry) == self._capacity:
                raise _full(self._capacity)
            self._expiry[key] = expires_ms
            self._schedule(expires_ms, key)
            return True

    def take(self, key: bytes) -> int | None:
        """Removes a key: see ``Store.take``.

        Raises:
            InputError: ``input.expected``: the key has the wrong type.
        """
        _check_key(key)
        with self._lock:
            return _unless_expired(self._expiry.pop(key, None), self._now())

    def raise_crl_number(self, issuer: bytes, number: int) -> int:
        """Raises a CRL number: see ``CrlNumberStore.raise_crl_number``.

        Raises:
            InputError: ``input.expected``: an argument has the wrong type or range.
        """
        _check_key(issuer)
        _check_crl_number(number)
        with self._lock:
            highest = max(number, self._crl_numbers.get(issuer, 0))
            self._crl_numbers[issuer] = highest
            return highest

    def _now(self) -> int:
        self._latest_ms = max(self._latest_ms, _time_of(self._clock))
        return self._latest_ms

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
    must be on a local disk, because locks on network file systems are not reliable, and in a
    directory that only the service can write to.

    Args:
        path: Path of the file. It is created with mode 0600 if it does not exist. A symbolic link
            is rejected.
        capacity: Maximum number of keys held at once, as for MemoryStore.
        clock: Returns the time in milliseconds since 1970-01-01 UTC. The clocks of all users of
            the file must agree: the store keeps to the latest time that any of them has shown.

    Raises:
        InputError: ``input.limits``: the capacity is not a positive integer. ``input.expected``:
            another argument, or that of a method, has the wrong type. ``input.store``, also raised
            by every method: the file is missing, is not a store or cannot be used, or another
            process locked it for 10 s. In that case nothing is remembered or removed.

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
        self._path = _absolute(path)
        self._capacity = _checked_capacity(capacity)
        self._clock = _checked_clock(clock)
        self._create()
        with self._transaction() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS used (key BLOB PRIMARY KEY, expires_ms INTEGER)"
            )
            database.execute("CREATE INDEX IF NOT EXISTS expiry ON used (expires_ms)")
            database.execute(
                "CREATE TABLE IF NOT EXISTS latest (id INTEGER PRIMARY KEY, seen_ms INTEGER)"
            )
            database.execute(
                "CREATE TABLE IF NOT EXISTS crl_numbers (issuer BLOB PRIMARY KEY, number BLOB)"
            )
            self._now(database)

    def add(self, key: bytes, expires_ms: int) -> bool:
        """Remembers a key: see ``Store.add``.

        Raises:
            InputError: ``input.limits``: the store is full. ``input.expected``: an argument has
                the wrong type. ``input.store``: the file cannot be used.
        """
        _check_key(key)
        _check_expiry(expires_ms)
        with self._transaction() as database:
            now = self._now(database)
            database.execute("DELETE FROM used WHERE expires_ms <= ?", (now,))
            if self._expiry(database, key) is not None or expires_ms <= now:
                return False
            ((held,),) = database.execute("SELECT count(*) FROM used")
            if held >= self._capacity:
                raise _full(self._capacity)
            database.execute("INSERT INTO used VALUES (?, ?)", (key, expires_ms))
            return True

    def take(self, key: bytes) -> int | None:
        """Removes a key: see ``Store.take``.

        Raises:
            InputError: ``input.expected``: the key has the wrong type. ``input.store``: the file
                cannot be used.
        """
        _check_key(key)
        with self._transaction() as database:
            expires_ms = self._expiry(database, key)
            database.execute("DELETE FROM used WHERE key = ?", (key,))
            return _unless_expired(expires_ms, self._now(database))

    def raise_crl_number(self, issuer: bytes, number: int) -> int:
        """Raises a CRL number: see ``CrlNumberStore.raise_crl_number``.

        Raises:
            InputError: ``input.expected``: an argument has the wrong type or range.
                ``input.store``: the file cannot be used.
        """
        _check_key(issuer)
        _check_crl_number(number)
        with self._transaction() as database:
            query = "SELECT number FROM crl_numbers WHERE issuer = ?"
            row = database.execute(query, (issuer,)).fetchone()
            if row is not None:
                if type(row[0]) is not bytes:
                    found = type(row[0]).__name__
                    raise self._unusable(f"expected a CRL number as bytes, found {found}")
                number = max(number, int.from_bytes(row[0], "big"))
            # As bytes, because an integer of SQLite has 64 bits.
            stored = number.to_bytes(MAX_CRL_NUMBER_OCTETS, "big")
            database.execute("INSERT OR REPLACE INTO crl_numbers VALUES (?, ?)", (issuer, stored))
            return number

    def _now(self, database: sqlite3.Connection) -> int:
        """Returns the latest time that any user of the file has seen, and stores it."""
        clock_ms = _time_of(self._clock)
        seen_ms = self._integer(database, "SELECT seen_ms FROM latest WHERE id = 0", ())
        if seen_ms is not None and seen_ms >= clock_ms:
            return seen_ms
        database.execute("INSERT OR REPLACE INTO latest VALUES (0, ?)", (clock_ms,))
        return clock_ms

    def _expiry(self, database: sqlite3.Connection, key: bytes) -> int | None:
        return self._integer(database, "SELECT expires_ms FROM used WHERE key = ?", (key,))

    def _integer(
        self, database: sqlite3.Connection, query: str, arguments: tuple[bytes, ...]
    ) -> int | None:
        """Reads one number, or None if there is no row. A column can have a value of any type."""
        row = database.execute(query, arguments).fetchone()
        if row is None:
            return None
        if type(row[0]) is not int:
            raise self._unusable(f"expected a time in milliseconds, found {type(row[0]).__name__}")
        return row[0]

    def _create(self) -> None:
        """Creates the file, if there is none, with mode 0600.

        It is created under another name and then linked: to close a file that another thread has
        opened as a database would release that thread's locks (POSIX).
        """
        try:
            if os.path.lexists(self._path):
                return
            descriptor, new = tempfile.mkstemp(dir=self._path.parent)  # mode 0600
            try:
                os.close(descriptor)
                os.link(new, self._path)
            finally:
                Path(new).unlink()
        except FileExistsError:  # another process was faster
            pass
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise self._unusable(str(error)) from error

    def _check_file(self) -> None:
        """Rejects a symbolic link: it could lead to a store that someone else can change."""
        try:
            mode = self._path.lstat().st_mode
        except OSError as error:  # a new file in place of a deleted one would have forgotten all
            raise self._unusable(str(error)) from error
        if not stat.S_ISREG(mode):
            found = "a symbolic link" if stat.S_ISLNK(mode) else "another kind of file"
            raise self._unusable(f"expected a regular file, found {found}")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # IMMEDIATE takes the write lock before the first read. Otherwise two processes could both
        # read first, and both find the key.
        self._check_file()
        try:
            with closing(
                sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
            ) as database:
                database.execute("BEGIN IMMEDIATE")
                with database:
                    yield database
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, reason: str) -> InputError:
        return InputError("input.store", f"the store {str(self._path)!r} cannot be used: {reason}")


def _absolute(path: str | os.PathLike[str]) -> Path:
    """Returns a path that a change of directory does not lead to another store."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        text = ""
    if not text:
        raise InputError("input.expected", f"path: expected a path, found {path!r}")
    return Path(text).absolute()


def _checked_capacity(capacity: int) -> int:
    if type(capacity) is not int or capacity < 1:
        raise InputError(
            "input.limits", f"expected capacity to be a positive integer, found {capacity!r}"
        )
    return capacity


def _checked_clock(clock: Clock) -> Clock:
    if not callable(clock):
        raise InputError("input.expected", f"clock: expected a function, found {clock!r}")
    return clock


def _time_of(clock: Clock) -> int:
    now = clock()
    if type(now) is not int or not 0 <= now <= _MAX_MS:
        raise InputError(
            "input.time", f"clock: expected milliseconds since 1970-01-01 UTC, found {now!r}"
        )
    return now


def _check_key(key: object) -> None:
    if type(key) is not bytes:
        raise InputError("input.expected", f"key: expected bytes, found {type(key).__name__}")


def _check_expiry(expires_ms: object) -> None:
    if type(expires_ms) is not int or not abs(expires_ms) <= _MAX_MS:
        raise InputError(
            "input.expected",
            f"expires_ms: expected milliseconds since 1970-01-01 UTC, found {expires_ms!r}",
        )


def _check_crl_number(number: object) -> None:
    if type(number) is not int or not 0 <= number < 256**MAX_CRL_NUMBER_OCTETS:
        raise InputError(
            "input.expected",
            f"number: expected a CRL number of at most {MAX_CRL_NUMBER_OCTETS} octets, found "
            f"{type(number).__name__}",
        )


def _unless_expired(expires_ms: int | None, now: int) -> int | None:
    return None if expires_ms is None or expires_ms <= now else expires_ms


def _full(capacity: int) -> InputError:
    return InputError(
        "input.limits",
        f"the store is full: it holds {capacity} keys that have not expired; raise its capacity, "
        "or shorten the lifetime of the keys",
    )
