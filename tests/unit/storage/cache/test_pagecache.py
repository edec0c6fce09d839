"""The page cache keeps to its budget and to what was used last."""

from lamdb.storage.cache.pagecache import PageCache, cache_key


def test_the_least_recently_used_go_first() -> None:
    cache = PageCache(budget=30)
    for key in (1, 2, 3):
        cache.put(key, bytes(10))
    assert cache.get(1) == bytes(10)
    cache.put(4, bytes(10))
    assert [key for key in (1, 2, 3, 4) if key in cache] == [1, 3, 4]
    assert (cache.size, len(cache)) == (30, 3)


def test_putting_twice_counts_once() -> None:
    cache = PageCache(budget=30)
    cache.put(1, bytes(10))
    cache.put(1, bytes(10))
    assert cache.size == 10


def test_a_page_beyond_the_budget_is_not_kept() -> None:
    cache = PageCache(budget=5)
    cache.put(1, bytes(10))
    assert (cache.get(1), cache.size) == (None, 0)


def test_clearing() -> None:
    cache = PageCache(budget=30)
    cache.put(1, bytes(10))
    cache.clear()
    assert (cache.get(1), cache.size) == (None, 0)


def test_keys_do_not_collide() -> None:
    keys = {cache_key(txid, number) for txid in (1, 2, 2**40) for number in (1, 2, 2**32 - 1)}
    assert len(keys) == 9
