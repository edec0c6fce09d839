"""The cache of what was made of texts: its order and its bounds."""

from concurrent.futures import ThreadPoolExecutor

from lamdb.lru import LruCache


def test_the_least_recently_used_goes_first() -> None:
    cache = LruCache[str, int](entries=2, weight=1000)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_long_texts_push_out_more() -> None:
    cache = LruCache[str, int](entries=100, weight=10)
    for text in ("aaaa", "bbbb", "cccc"):
        cache.put(text, 1)
    assert cache.get("aaaa") is None
    assert len(cache) == 2
    cache.put("d" * 50, 1)
    assert len(cache) == 1, "one document is kept, however long"


def test_replacing_an_entry_does_not_count_it_twice() -> None:
    cache = LruCache[str, int](entries=100, weight=10)
    for number in range(10):
        cache.put("aaaa", number)
    cache.put("bbbb", 1)
    assert cache.get("aaaa") == 9


def test_the_cache_holds_under_threads() -> None:
    cache = LruCache[str, int](entries=5, weight=1000)

    def work(seed: int) -> None:
        for number in range(2000):
            text = str((number * seed) % 11)
            cache.put(text, number)
            cache.get(text)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (3, 5, 7, 9)))
    assert len(cache) == 5


def test_an_entry_may_grow() -> None:
    cache = LruCache[bytes, int](entries=100, weight=10)
    cache.put(b"aa", 1)
    cache.put(b"bb", 2)
    cache.put(b"cc", 3, weight=8)
    assert (len(cache), cache.get(b"aa")) == (2, None)
    cache.put(b"cc", 3, weight=9)
    assert cache.values() == [3]
    cache.put(b"cc", 3, weight=1)
    cache.put(b"dddddddd", 4)
    assert len(cache) == 2


def test_a_cleared_cache_weighs_nothing() -> None:
    cache = LruCache[str, int](entries=100, weight=10)
    cache.put("aaaaaaaaa", 1)
    cache.clear()
    cache.put("bbbbb", 1)
    cache.put("ccccc", 1)
    assert (len(cache), cache.get("aaaaaaaaa")) == (2, None)
