"""A bounded, thread-safe cache of values by key: the least recently used is dropped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class LruCache(Generic[_Key, _Value]):
    """Caches the values that ``get`` makes.

    ``functools.lru_cache`` on a method would make its object refer to itself.

    Args:
        size: Maximum number of entries; 0 to cache nothing.
    """

    __slots__ = ("_entries", "_lock", "_size", "hits", "misses")

    def __init__(self, size: int) -> None:
        self._entries: OrderedDict[_Key, _Value] = OrderedDict()
        self._lock = threading.Lock()
        self._size = size
        self.hits = 0
        self.misses = 0

    def get(self, key: _Key, make: Callable[[], _Value]) -> _Value:
        """Returns the value of a key; calls ``make`` if it is not cached. Errors are not cached."""
        with self._lock:
            if key in self._entries:
                self.hits += 1
                self._entries.move_to_end(key)
                return self._entries[key]
            self.misses += 1
        value = make()  # without the lock: it takes a millisecond, and may be entered again
        with self._lock:
            self._entries[key] = value
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
        return value

    def known(self, key: _Key) -> _Value | None:
        """Returns the cached value of a key, or None; counts no hit or miss."""
        with self._lock:
            return self._entries.get(key)

    def clear(self) -> None:
        """Removes all entries and resets the counts."""
        with self._lock:
            self._entries.clear()
            self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)
