"""The names that the storage package offers to the other parts."""

import lamdb.storage


def test_the_public_names() -> None:
    assert sorted(lamdb.storage.__all__) == [
        "Database",
        "NoWaiting",
        "ObjectInfo",
        "ObjectStore",
        "WouldWait",
        "open_store",
    ]
