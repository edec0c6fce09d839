"""The database that a command works on: options override variables, and nothing is guessed."""

import pytest

from lamdb.cli.options import locate, store_of
from lamdb.errors import SettingsError, UsageError

PLACES = ("store", "url", "function", "stack")
VALUES = {"store": "memory:", "url": "http://localhost", "function": "f", "stack": "s"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PLACES:
        monkeypatch.delenv(f"LAMDB_{name.upper()}", raising=False)


def named(**options: str) -> dict[str, str]:
    settings = locate(**options).settings
    return {name: getattr(settings, name) for name in PLACES if getattr(settings, name)}


@pytest.mark.parametrize("place", PLACES)
def test_each_way_by_option_and_by_variable(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    assert named(**{place: VALUES[place]}) == {place: VALUES[place]}
    monkeypatch.setenv(f"LAMDB_{place.upper()}", VALUES[place])
    assert named() == {place: VALUES[place]}
    assert locate().is_store == (place == "store")


@pytest.mark.parametrize("place", PLACES)
def test_an_option_puts_every_variable_aside(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    for name in PLACES:
        monkeypatch.setenv(f"LAMDB_{name.upper()}", VALUES[name])
    assert named(**{place: VALUES[place]}) == {place: VALUES[place]}


def test_two_of_a_kind_are_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--store and --stack each name a database"):
        locate(store="memory:", stack="s")
    monkeypatch.setenv("LAMDB_STORE", "memory:")
    monkeypatch.setenv("LAMDB_URL", "http://localhost")
    with pytest.raises(UsageError, match="LAMDB_STORE and LAMDB_URL each name a database"):
        locate()


def test_none_is_an_error_that_says_how() -> None:
    with pytest.raises(UsageError) as caught:
        locate()
    assert "--stack" in caught.value.hint


def test_an_address_is_one() -> None:
    with pytest.raises(SettingsError, match="--url is 'localhost:8000'"):
        locate(url="localhost:8000")


def test_what_needs_files_is_not_asked_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_of(locate(store="memory:")).store == "memory:"
    monkeypatch.setenv("LAMDB_URL", "http://localhost")
    with pytest.raises(UsageError, match="files of a store"):
        store_of(locate())
