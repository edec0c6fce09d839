"""Generated identifiers have their formats, differ, and sort by time where they should."""

import re
import threading
import uuid

import pytest

from lamdb.prisma.query import generators
from lamdb.prisma.query.generators import GENERATORS, base36, product


@pytest.mark.parametrize(
    ("name", "arguments", "form"),
    [
        ("uuid", (4,), r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("uuid", (7,), r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("cuid", (1,), r"c[0-9a-z]{24}"),
        ("cuid", (2,), r"[a-z][0-9a-z]{23}"),
        ("ulid", (), r"[0-7][0-9A-HJKMNP-TV-Z]{25}"),
        ("nanoid", (), r"[A-Za-z0-9_-]{21}"),
        ("nanoid", (10,), r"[A-Za-z0-9_-]{10}"),
    ],
)
def test_forms(name: str, arguments: tuple[int, ...], form: str) -> None:
    made = [GENERATORS[name](*arguments) for _ in range(2000)]
    assert all(re.fullmatch(form, one) for one in made)
    assert len(set(made)) == len(made)


def test_uuid7_grows_within_a_millisecond_and_between_threads() -> None:
    made: list[str] = []
    lock = threading.Lock()

    def make() -> None:
        for _ in range(2000):
            with lock:
                made.append(generators.uuid7())

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == sorted(made)
    assert len(set(made)) == 8000
    assert {uuid.UUID(one).version for one in made} == {7}
    assert {uuid.UUID(one).variant for one in made} == {uuid.RFC_4122}


def test_uuid7_survives_a_clock_that_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1000, 999, 500, 1001])
    monkeypatch.setattr(generators, "_milliseconds", lambda: next(times))
    make = generators._Uuid7()
    made = [make() for _ in range(4)]
    assert made == sorted(made)
    assert int(made[-1].replace("-", "")[:12], 16) == 1001


def test_uuid7_carries_into_the_time_when_its_random_part_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "_milliseconds", lambda: 1000)
    make = generators._Uuid7()
    first = make()
    make._random = (1 << 74) - 1
    assert first < make()
    assert make._time == 1001


@pytest.mark.parametrize(("name", "length"), [("cuid", 8), ("ulid", 10)])
def test_time_comes_first(name: str, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    make = {"cuid": generators.cuid, "ulid": generators.ulid}[name]
    monkeypatch.setattr(generators, "_milliseconds", lambda: 1_700_000_000_000)
    early = make()
    monkeypatch.setattr(generators, "_milliseconds", lambda: 1_700_000_000_001)
    late = make()
    start = 1 if name == "cuid" else 0
    assert early[start : start + length] < late[start : start + length]


def test_ulid_encodes_the_time_as_its_specification_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "_milliseconds", lambda: 1469918176385)
    assert generators.ulid().startswith("01ARYZ6S41")


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (35, "z"), (36, "10"), (36**4 - 1, "zzzz")])
def test_base36(number: int, text: str) -> None:
    assert base36(number) == text
    assert int(text, 36) == number


def test_product_pairs_lists_and_scalars() -> None:
    assert product([1, 2], ["a", "b"]) == [[1, "a"], [1, "b"], [2, "a"], [2, "b"]]
    assert product(1, ["a"]) == [[1, "a"]]
    assert product([1], "a") == [[1, "a"]]
    assert product(1, "a") == [[1, "a"]]
    assert product([], [1]) == []


def test_now_is_in_utc_with_milliseconds() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", generators.now())


def test_unknown_versions_are_refused() -> None:
    for name in ("uuid", "cuid"):
        with pytest.raises(KeyError):
            GENERATORS[name](5)
