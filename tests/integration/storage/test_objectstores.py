"""Every object store keeps the same contract."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.errors import NotAStore, StoreUnavailable
from lamdb.storage import ObjectStore, open_store
from lamdb.storage.stores import localstore
from lamdb.storage.stores.localstore import LocalStore
from lamdb.storage.stores.wrappers import CountingStore

NOW = 1_700_000_000_123


def keys(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    return [entry.key for entry in store.list(prefix, after=after)]


def test_what_was_put_can_be_read(store: ObjectStore) -> None:
    body = bytes(range(256)) * 100
    assert store.put_new("0000/a.ltx", body, timestamp_ms=NOW) is True
    assert store.get("0000/a.ltx") == body
    assert store.get_range("0000/a.ltx", 250, 10) == body[250:260]
    assert store.get_range("0000/a.ltx", len(body) - 5, 100) == body[-5:]
    assert store.get_suffix("0000/a.ltx", 7) == body[-7:]
    assert store.get_suffix("0000/a.ltx", 10 * len(body)) == body
    found = store.head("0000/a.ltx")
    assert found is not None
    assert (found.key, found.size) == ("0000/a.ltx", len(body))


def test_absence_is_an_answer(store: ObjectStore) -> None:
    assert store.get("0000/none") is None
    assert store.get_range("0000/none", 0, 1) is None
    assert store.get_suffix("0000/none", 1) is None
    assert store.head("0000/none") is None
    assert keys(store) == []
    store.delete("0000/none")


def test_a_key_is_created_once(store: ObjectStore) -> None:
    assert store.put_new("k", b"first", timestamp_ms=NOW)
    assert not store.put_new("k", b"second", timestamp_ms=NOW)
    assert store.get("k") == b"first"
    assert keys(store) == ["k"]


def test_a_deleted_key_is_free_again(store: ObjectStore) -> None:
    store.put_new("k", b"first", timestamp_ms=NOW)
    store.delete("k")
    assert store.get("k") is None
    assert store.put_new("k", b"second", timestamp_ms=NOW)


def test_one_of_many_threads_creates_a_key(make_store: Callable[[], ObjectStore]) -> None:
    winners = []
    barrier = threading.Barrier(8)

    def create(number: int) -> None:
        store = make_store()
        barrier.wait()
        if store.put_new("k", str(number).encode() * 10_000, timestamp_ms=NOW):
            winners.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert make_store().get("k") == str(winners[0]).encode() * 10_000


def test_lists_in_order_below_a_folder_after_a_key(store: ObjectStore) -> None:
    names = ["0000/1-1.ltx", "0000/2-2.ltx", "0000/3-3.ltx", "0001/1-2.ltx", "0009/1-3.ltx", "top"]
    for name in reversed(names):
        store.put_new(name, name.encode(), timestamp_ms=NOW)
    assert keys(store) == names
    assert keys(store, "0000/") == names[:3]
    assert keys(store, "0000/", after="0000/1-1.ltx") == names[1:3]
    assert keys(store, "0000/", after="0000/2") == names[1:3]
    assert keys(store, after="0000/g") == names[3:]
    assert keys(store, "0007/") == []
    assert {entry.size for entry in store.list("0000/")} == {12}


def test_lists_more_than_one_page(store: ObjectStore) -> None:
    pages_of = 20 if store.url.startswith("file:") else 1000
    names = [f"0000/{number:016x}" for number in range(pages_of + 10)]
    for name in names:
        store.put_new(name, b"x", timestamp_ms=NOW)
    assert keys(store, "0000/") == names
    assert keys(store, "0000/", after=names[4]) == names[5:]


def test_prefixes_do_not_see_each_other(s3: SimpleNamespace) -> None:
    one, other = open_store(f"s3://{s3.bucket}/one"), open_store(f"s3://{s3.bucket}/other")
    one.put_new("k", b"1", timestamp_ms=NOW)
    assert keys(other) == []
    assert open_store(f"s3://{s3.bucket}").get("one/k") == b"1"


def test_s3_keeps_the_time_where_litestream_looks(s3: SimpleNamespace) -> None:
    open_store(s3.url).put_new("k", b"x", timestamp_ms=NOW)
    metadata = s3.client.head_object(Bucket=s3.bucket, Key="data/demo/k")["Metadata"]
    assert metadata == {"litestream-timestamp": "2023-11-14T22:13:20.123Z"}


def test_a_directory_keeps_the_time_where_litestream_looks(tmp_path: Path) -> None:
    open_store(tmp_path.as_uri()).put_new("k", b"x", timestamp_ms=NOW)
    modified = datetime.fromtimestamp((tmp_path / "k").stat().st_mtime, UTC)
    assert modified.isoformat(timespec="milliseconds") == "2023-11-14T22:13:20.123+00:00"


def test_a_large_body_stays_create_only(s3: SimpleNamespace) -> None:
    store, body = open_store(s3.url), bytes(20 * 1024 * 1024)
    assert store.put_new("k", body, timestamp_ms=NOW)
    assert not store.put_new("k", body, timestamp_ms=NOW)
    assert store.get("k") == body


def test_a_missing_bucket_is_not_an_empty_store(s3: SimpleNamespace) -> None:
    store = open_store("s3://no-such-bucket-here/x")
    for request in (
        lambda: store.get("k"),
        lambda: store.get_suffix("k", 5),
        lambda: list(store.list()),
        lambda: store.put_new("k", b"", timestamp_ms=NOW),
    ):
        with pytest.raises(StoreUnavailable, match="no-such-bucket-here"):
            request()


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    with pytest.raises(NotAStore, match="not a directory"):
        list(open_store((tmp_path / "file").as_uri()).list())


def test_what_a_crash_leaves_behind_is_not_listed(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.put_new("ltx/0/k", b"x", timestamp_ms=NOW)
    (tmp_path / "ltx/0/.k.0123456789abcdef.tmp").write_bytes(b"half")
    assert keys(store) == ["ltx/0/k"]


def test_what_a_crash_leaves_behind_is_deleted_a_day_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    store.put_new("ltx/0/k", b"x", timestamp_ms=NOW)
    left, others = tmp_path / "ltx/0/.k.0123456789abcdef.tmp", tmp_path / "ltx/0/mine.tmp"
    left.write_bytes(b"half")
    others.write_bytes(b"whole")
    LocalStore(tmp_path).upload("ltx/2/k", timestamp_ms=NOW).abort()
    assert left.exists()
    monkeypatch.setattr(localstore, "_ABANDONED_SECONDS", -1.0)
    store.put_new("ltx/0/l", b"x", timestamp_ms=NOW)
    assert left.exists()
    upload = store.upload("ltx/2/k", timestamp_ms=NOW)
    assert not left.exists()
    assert others.exists()
    upload.write(b"merged")
    assert upload.finish()
    assert keys(store) == ["ltx/0/k", "ltx/0/l", "ltx/2/k"]


RACER = """
import sys, time
from pathlib import Path
from lamdb.storage import open_store
url, name, go = sys.argv[1:]
store = open_store(url)
while not Path(go).exists():
    time.sleep(0.001)
for key in range(100):
    if store.put_new(f"k{key}", name.encode() * 50_000, timestamp_ms=0):
        print(key)
"""


def test_processes_create_each_key_once_and_whole(tmp_path: Path) -> None:
    url, go = (tmp_path / "store").as_uri(), tmp_path / "go"
    racers = {
        name: subprocess.Popen(
            [sys.executable, "-c", RACER, url, name, go], stdout=subprocess.PIPE, text=True
        )
        for name in "abc"
    }
    time.sleep(0.5)
    go.touch()
    won = {name: racer.communicate(timeout=60)[0].split() for name, racer in racers.items()}
    assert sorted(int(key) for keys in won.values() for key in keys) == list(range(100))
    store = open_store(url)
    for name, mine in won.items():
        assert {store.get(f"k{key}") for key in mine} <= {name.encode() * 50_000}


def test_wrappers_pass_everything_on(store: ObjectStore) -> None:
    counting = CountingStore(FaultyStore(store))
    counting.put_new("0000/a", b"hello", timestamp_ms=NOW)
    assert counting.get("0000/a") == b"hello"
    assert counting.get_range("0000/a", 1, 2) == b"el"
    assert counting.get_suffix("0000/a", 2) == b"lo"
    assert counting.head("0000/a") == store.head("0000/a")
    assert keys(counting) == ["0000/a"]
    counting.delete("0000/a")
    assert store.get("0000/a") is None
    expected = {"put_new": 1, "get": 1, "get_range": 1, "get_suffix": 1, "head": 1, "list": 1, "delete": 1}
    assert counting.requests == expected
    assert counting.bytes_read == 5 + 2 + 2
