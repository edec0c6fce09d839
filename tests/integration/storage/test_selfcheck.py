"""A server reads its store's files whole, a little at a time, and says what is damaged."""

import threading
from collections.abc import Callable

import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.errors import StoreUnavailable
from lamdb.storage import Database, ObjectStore
from lamdb.storage.ltx.files import KeyLayout
from lamdb.storage.ltx.selfcheck import CheckReport, SelfCheck
from lamdb.storage.maintenance.background import BackgroundMaintenance, Maintenance
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore

from .history import prune, tell

type Damage = Callable[[ObjectStore, KeyLayout], str]
"""Damages a store; words of the fault that must be found."""


def filled() -> ObjectStore:
    """Forty transactions, the first 32 of them also in two files of level 2; and a larger one."""
    store = memory_store()
    with Database(store, page_size=512) as database:
        tell(database, "CREATE TABLE t(a)")
        for number in range(39):
            tell(database, f"INSERT INTO t VALUES({number})")
        Maintenance(database.pages).run()
        tell(database, "INSERT INTO t SELECT randomblob(200000)")
    return store


def passed(check: SelfCheck, budget: int = 1 << 30) -> CheckReport:
    while (report := check.work(budget)) is None:
        pass
    return report


def flip(store: ObjectStore, key: str, position: int) -> None:
    body = bytearray(store.get(key) or b"")
    body[position] ^= 4
    store.delete(key)
    store.put_new(key, bytes(body), timestamp_ms=0)


def in_a_page(store: ObjectStore, layout: KeyLayout) -> str:
    flip(store, layout.key(0, 41, 41), 100_000)
    return layout.key(0, 41, 41)


def in_the_trailer(store: ObjectStore, layout: KeyLayout) -> str:
    flip(store, layout.key(2, 1, 16), -3)
    return layout.key(2, 1, 16)


def cut_off(store: ObjectStore, layout: KeyLayout) -> str:
    key = layout.key(2, 17, 32)
    body = store.get(key) or b""
    store.delete(key)
    store.put_new(key, body[:-1], timestamp_ms=0)
    return key


def missing(store: ObjectStore, layout: KeyLayout) -> str:
    store.delete(layout.key(0, 35, 35))
    return "transaction 35 is missing, though there is 41"


def missing_from_the_history(store: ObjectStore, layout: KeyLayout) -> str:
    store.delete(layout.key(0, 5, 5))
    return "transaction 5 is missing, though there is 15"


@pytest.mark.parametrize("damage", [in_a_page, in_the_trailer, cut_off, missing, missing_from_the_history])
def test_damage_is_found(damage: Damage, caplog: pytest.LogCaptureFixture) -> None:
    store = filled()
    with Database(store) as database:
        words = damage(store, KeyLayout(store.level_folder))
        maintenance = Maintenance(database.pages)
        assert maintenance.check(1 << 30)
        report = database.pages.last_check
        assert report is not None
        assert len(report.faults) == 1
        assert words in report.faults[0]
        assert [record.message for record in caplog.records] == ["the store is damaged"]
        assert caplog.records[0].levelname == "ERROR"


def test_a_whole_store_has_no_faults_and_is_read_within_the_budget() -> None:
    store = CountingStore(filled())
    with Database(store) as database:
        check = SelfCheck(database.pages.replica)
        calls = 0
        store.reset()
        while check.work(50_000) is None:
            calls += 1
        assert calls >= 10
        report = passed(check)
        assert report.faults == ()
        assert report.files == 2 + 9
        assert report.bytes > 200_000


def test_files_that_go_meanwhile_are_no_faults() -> None:
    store = filled()
    with Database(store) as database:
        check = SelfCheck(database.pages.replica)
        assert check.work(1) is None
        prune(store, range(33, 36))
        assert passed(check).faults == ()


def test_a_store_that_fails_is_checked_anew() -> None:
    store = FaultyStore(filled())
    with Database(store) as database:
        check = SelfCheck(database.pages.replica)
        store.fail("*", times=1)
        with pytest.raises(StoreUnavailable):
            passed(check)
        assert passed(check).faults == ()


def test_the_server_s_thread_checks_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    store = filled()
    with Database(store) as database:
        in_a_page(store, KeyLayout(store.level_folder))
        maintenance = Maintenance(database.pages)
        with BackgroundMaintenance(maintenance, interval=3600.0, check_interval=0.01):
            for _ in range(100):
                if database.pages.last_check is not None:
                    break
                threading.Event().wait(0.1)
        assert database.pages.last_check is not None
        assert database.pages.last_check.faults
        assert "the store is damaged" in caplog.text


def test_it_is_left_out_where_it_is_not_wanted() -> None:
    with Database(filled()) as database:
        with BackgroundMaintenance(Maintenance(database.pages), interval=3600.0):
            threading.Event().wait(1.3)
        assert database.pages.last_check is None
