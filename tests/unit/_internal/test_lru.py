"""The cache of verified paths: bounded, in order of use, and silent about failures."""

import pytest

from nitro_attest._internal.lru import LruCache


def test_a_value_is_made_once_and_counted():
    cache = LruCache(2)
    assert [cache.get("a", lambda: 1), cache.get("a", lambda: 2)] == [1, 1]
    assert (cache.hits, cache.misses, len(cache)) == (1, 1, 1)


def test_the_least_recently_used_is_dropped():
    cache = LruCache(2)
    for key in ("a", "b", "a", "c"):
        cache.get(key, lambda: key)  # noqa: B023  called at once
    assert [cache.known(key) for key in ("a", "b", "c")] == ["a", None, "c"]
    assert cache.misses == 3  # known() counts nothing


def test_nothing_is_remembered_of_a_failure_or_with_size_0():
    cache = LruCache(1)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0)
    assert cache.known("a") is None
    nothing = LruCache(0)
    assert nothing.get("a", lambda: 1) == 1
    assert nothing.known("a") is None


def test_clear_forgets_entries_and_counts():
    cache = LruCache(1)
    cache.get("a", lambda: 1)
    cache.clear()
    assert (cache.hits, cache.misses, len(cache)) == (0, 0, 0)
