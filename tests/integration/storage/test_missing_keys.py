"""An S3 that answers 403 for a missing key: callers that may list below the prefix are told it is missing."""

import os
from collections.abc import Callable, Iterator

import pytest
from tests.support.s3_faults import FaultyS3

from lamdb.errors import StoreRefused, StoreUnavailable
from lamdb.storage.stores.objectstore import ObjectInfo, ObjectStore
from lamdb.storage.stores.url import open_store

LOOKS: dict[str, Callable[[ObjectStore, str], object]] = {
    "get": lambda store, key: store.get(key),
    "get_range": lambda store, key: store.get_range(key, 0, 2),
    "get_suffix": lambda store, key: store.get_suffix(key, 2),
    "head": lambda store, key: store.head(key),
}
PRESENT = "0000/0000000000000005-0000000000000005.ltx"
# Before, after and between what is there, in its folder, in another, and in none.
MISSING = [
    "0000/0000000000000004-0000000000000004.ltx",
    "0000/0000000000000006-0000000000000006.ltx",
    "0000/0000000000000005-0000000000000005.ltxx",
    "0000/0000000000000005-0000000000000005.lt",
    "0001/0000000000000001-0000000000000005.ltx",
    "lamdb",
    "z",
]


@pytest.fixture(scope="module")
def server():
    with FaultyS3() as s3:
        yield s3


@pytest.fixture
def s3(server: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.restrict(test="prefix")
    open_store(server.url).put_new(PRESENT, b"here", timestamp_ms=0)
    server.reset()
    return server


@pytest.mark.parametrize("look", LOOKS)
def test_one_list_tells_a_missing_key_from_a_forbidden_one(s3: FaultyS3, look: str) -> None:
    store = open_store(s3.url)
    assert LOOKS[look](store, PRESENT)
    assert s3.requests().requests.get("LIST", 0) == 0
    for key in MISSING:
        s3.reset()
        assert LOOKS[look](store, key) is None
        assert s3.requests().requests == {"HEAD" if look == "head" else "GET": 1, "LIST": 1}


@pytest.mark.parametrize("look", LOOKS)
def test_callers_that_may_list_the_bucket_need_no_second_request(s3: FaultyS3, look: str) -> None:
    s3.restrict()
    for key in MISSING:
        assert LOOKS[look](open_store(s3.url), key) is None
    assert "LIST" not in s3.requests().requests


@pytest.mark.parametrize("look", LOOKS)
def test_what_is_listed_and_forbidden_is_an_error(s3: FaultyS3, look: str) -> None:
    s3.set(forbidden=1.0)
    with pytest.raises(StoreUnavailable) as refused:
        LOOKS[look](open_store(s3.url), PRESENT)
    s3.set()
    assert isinstance(refused.value, StoreRefused)
    assert PRESENT in str(refused.value)
    assert "s3:ListBucket" in (refused.value.hint or "")


@pytest.mark.parametrize("look", LOOKS)
def test_a_caller_that_may_not_list_is_refused(s3: FaultyS3, look: str) -> None:
    s3.restrict(test="none")
    with pytest.raises(StoreUnavailable) as refused:
        LOOKS[look](open_store(s3.url), MISSING[0])
    assert isinstance(refused.value, StoreRefused)
    assert MISSING[0] in str(refused.value)


def test_an_object_that_is_created_between_the_two_requests_is_read(
    s3: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(s3.url), open_store(s3.url)
    late = "0000/0000000000000009-0000000000000009.ltx"
    listing = store.list

    def create_then_list(prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        other.put_new(late, b"late", timestamp_ms=0)
        return listing(prefix, after=after)

    monkeypatch.setattr(store, "list", create_then_list)
    assert store.get(late) == b"late"
