"""Outcomes of a commit that several callers share."""

import threading
from collections.abc import Callable

import apsw
import pytest

from lamdb.errors import (
    CommitUnknown,
    LimitError,
    StorageError,
    StoreUnavailable,
    TransactionTooLarge,
)
from lamdb.storage import Database, groupcommit
from lamdb.storage.groupcommit import GroupCommit, _fail_unfinished, _Group, _Member
from lamdb.storage.stores.obstores import memory_store


def nothing(connection: apsw.Connection) -> None:
    return None


def members(*errors: BaseException | None) -> list[_Member]:
    made = [_Member(nothing) for _ in errors]
    for member, error in zip(made, errors, strict=True):
        member.error = error
    return made


def test_an_interrupt_leaves_what_is_decided_and_makes_the_rest_unknown() -> None:
    interrupt, own = KeyboardInterrupt(), ValueError("own")
    first, second = members(own, None)
    second.result = 5
    _fail_unfinished([first, second], interrupt)
    assert first.error is own
    assert isinstance(second.error, CommitUnknown)
    assert str(second.error) == "the write was interrupted; it may or may not have been committed"
    assert second.error.__cause__ is interrupt
    assert second.result is None


def test_a_failure_of_all_is_a_copy_for_each() -> None:
    error = StoreUnavailable("down", meta={"a": 1})
    group = _Group(members(None, None))
    group.fail(error)
    found = [member.error for member in group.members]
    assert found[0] is not found[1]
    assert error not in [*map(id, found)]
    for own in found:
        assert isinstance(own, StoreUnavailable)
        assert (str(own), own.meta, own.__cause__) == ("down", {"a": 1}, error)


def test_a_group_is_open_and_has_not_looked() -> None:
    group = _Group([])
    assert (group.closed, group.looked) == (False, False)


@pytest.mark.parametrize(
    ("errors", "depends"),
    [
        ((None,), True),
        ((ValueError(),), True),
        ((StorageError("x"),), False),
        ((StoreUnavailable("x"), None), True),
        ((StoreUnavailable("x"), LimitError("x")), False),
    ],
)
def test_what_another_state_could_change(errors: tuple[BaseException | None, ...], depends: bool) -> None:
    assert _Group(members(*errors)).depends_on_data() == depends


def test_a_member_has_the_outcome_that_it_was_given() -> None:
    (member,) = members(None)
    assert not member.finished
    member.result = 5
    assert member.outcome() == 5
    member.turn = threading.Event()
    member.finish()
    assert (member.finished, member.turn.is_set()) == (True, True)
    member.fail(ValueError("no"))
    assert member.result is None
    with pytest.raises(ValueError, match="no"):
        member.outcome()


def test_a_call_begins_without_an_outcome(database: Database) -> None:
    made = _Member(nothing)
    assert (made.finished, made.turn, made.result, made.error) == (False, None, None, None)
    assert (database.txid, database._groups._led, len(database._groups._waiting)) == (1, False, 0)


@pytest.fixture
def database() -> Database:
    database = Database(memory_store())
    table = "CREATE TABLE t(id INTEGER PRIMARY KEY, a REFERENCES t DEFERRABLE INITIALLY DEFERRED)"
    database.write(lambda connection: connection.execute(table))
    return database


def insert(value: object) -> Callable[[apsw.Connection], None]:
    def work(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO t(a) VALUES(?)", (value,))

    return work


def test_a_deferred_violation_is_that_of_a_constraint(database: Database) -> None:
    with pytest.raises(apsw.ConstraintError, match=r"^FOREIGN KEY constraint failed$") as caught:
        database.write(insert(99))
    assert caught.value.extendedresult == apsw.SQLITE_CONSTRAINT_FOREIGNKEY
    assert caught.value.args == ("FOREIGN KEY constraint failed",)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "RELEASE lamdb_member; COMMIT"])
def test_ending_the_transaction_is_refused(end: str, database: Database) -> None:
    with pytest.raises(
        StorageError, match=r"^the transaction was ended by what was to be done in it"
    ) as caught:
        database.write(lambda connection: connection.execute(end))
    assert caught.value.hint == "Use savepoints there, not COMMIT or ROLLBACK."
    before = database.txid
    database.write(lambda connection: connection.execute("CREATE TABLE u(a)"))
    assert database.txid == before + 1


def test_deferring_foreign_keys_ends_with_the_member(database: Database) -> None:
    def defer(connection: apsw.Connection) -> None:
        connection.execute("PRAGMA defer_foreign_keys = ON")

    def deferred(connection: apsw.Connection) -> int:
        return connection.execute("PRAGMA defer_foreign_keys").get

    def failing(connection: apsw.Connection) -> None:
        defer(connection)
        raise ValueError("after all")

    database.write(defer)
    assert database.write(deferred) == 0
    with pytest.raises(ValueError, match="after all"):
        database.write(failing)
    assert database.write(deferred) == 0


def test_a_write_that_changes_nothing_looks_at_the_store_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    real = Database.refresh
    monkeypatch.setattr(Database, "refresh", lambda self: looks.append(self.txid) or real(self))
    ran: list[int] = []
    assert database.write(lambda connection: ran.append(1)) is None
    assert (looks, ran) == ([1], [1])
    database.write(lambda connection: connection.execute("CREATE TABLE v(a)"))
    assert looks == [1]
    with pytest.raises(LimitError):
        database.write(raising(LimitError("too much")))
    assert looks == [1]
    with pytest.raises(ValueError):
        database.write(raising(ValueError()))
    assert looks == [1, 2]


def raising(error: Exception) -> Callable[[apsw.Connection], None]:
    def work(connection: apsw.Connection) -> None:
        raise error

    return work


def test_a_write_on_an_old_state_runs_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    real = Database.refresh
    monkeypatch.setattr(Database, "refresh", lambda self: looks.append(self.txid) or real(self))
    store = memory_store()
    other = Database(store)
    other.write(lambda connection: connection.execute("CREATE TABLE t(a)"))
    old = Database(store)
    other.write(lambda connection: connection.execute("CREATE TABLE u(a)"))
    found: list[int] = []

    def count(connection: apsw.Connection) -> int:
        found.append(connection.execute("SELECT count(*) FROM sqlite_schema").get)
        return found[-1]

    assert old.write(count) == 2
    assert (found, looks) == ([1, 2], [1])


def test_a_store_that_does_not_say_fails_the_write(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def refresh(self: Database) -> int:
        looks.append(self.txid)
        raise StoreUnavailable("silent")

    monkeypatch.setattr(Database, "refresh", refresh)
    ran: list[int] = []
    with pytest.raises(StoreUnavailable, match="silent"):
        database.write(lambda connection: ran.append(1))
    assert (len(looks), ran) == (1, [1])


def test_who_comes_after_the_look_is_in_another_group(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that runs again has the state of one look, which was newest while all of them waited."""
    groups = database._groups
    (late,) = members(None)
    late.turn = threading.Event()
    real = Database.refresh

    def refresh(self: Database) -> int:
        groups._waiting.append(late)
        return real(self) + 1

    monkeypatch.setattr(Database, "refresh", refresh)
    ran: list[int] = []
    database.write(lambda connection: ran.append(1))
    assert ran == [1, 1]
    assert ([*groups._waiting], late.finished, late.turn.is_set()) == ([late], False, True)
    groups._waiting.clear()


def test_a_failed_write_that_has_changed_something_commits_nothing(database: Database) -> None:
    def failing(connection: apsw.Connection) -> None:
        connection.executemany("INSERT INTO t(a) VALUES(?)", [(None,)] * 2000)
        raise ValueError("after all")

    before = database.txid
    with pytest.raises(ValueError, match="after all"):
        database.write(failing)
    assert database.txid == before
    assert database.write(lambda connection: connection.execute("SELECT count(*) FROM t").get) == 0


# --- turns ----------------------------------------------------------------------------------------


class _Interrupted(threading.Event):
    """The main thread is interrupted while it waits for its turn."""

    def wait(self, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt


def queue(count: int) -> tuple[GroupCommit, list[_Member]]:
    """A queue that another caller leads, in which so many wait."""
    groups = GroupCommit(None, seconds=1.0, bytes=100)  # type: ignore[arg-type]
    groups._led = True
    waiting = members(*[None] * count)
    for member in waiting:
        member.turn = _Interrupted()
    groups._waiting.extend(waiting)
    return groups, waiting


def interrupt(groups: GroupCommit, member: _Member) -> None:
    assert member.turn is not None
    with pytest.raises(KeyboardInterrupt):
        groups._wait(member, member.turn)


def woken(waiting: list[_Member]) -> list[bool]:
    return [member.turn is not None and member.turn.is_set() for member in waiting]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_who_is_interrupted_leaves_the_queue(place: int) -> None:
    groups, waiting = queue(3)
    interrupt(groups, waiting[place])
    waiting.pop(place)
    assert [*groups._waiting] == waiting
    assert (woken(waiting), groups._led) == ([False, False], True)


def test_who_is_interrupted_with_the_turn_hands_it_on() -> None:
    groups, waiting = queue(3)
    waiting[0].wake()
    interrupt(groups, waiting[0])
    assert [*groups._waiting] == waiting[1:]
    assert (woken(waiting[1:]), groups._led) == ([True, False], True)


def test_nobody_leads_when_the_last_is_interrupted_with_the_turn() -> None:
    groups, waiting = queue(1)
    waiting[0].wake()
    interrupt(groups, waiting[0])
    assert ([*groups._waiting], groups._led) == ([], False)


def test_an_interrupt_of_one_that_runs_in_a_group_changes_no_turn() -> None:
    groups, waiting = queue(3)
    taken = groups._waiting.popleft()
    interrupt(groups, taken)
    assert [*groups._waiting] == waiting[1:]
    assert (woken(waiting[1:]), groups._led) == ([False, False], True)


def test_a_caller_that_is_interrupted_leaves_the_queue(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = database._groups
    groups._led = True
    monkeypatch.setattr(groupcommit.threading, "Event", _Interrupted)
    ran: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        database.write(lambda connection: ran.append(1))
    assert ([*groups._waiting], ran) == ([], [])


def test_a_lone_caller_leads_and_then_nobody_does(database: Database) -> None:
    groups = database._groups
    assert database.write(lambda connection: (groups._led, len(groups._waiting))) == (True, 0)
    assert (groups._led, len(groups._waiting)) == (False, 0)


# --- several in a group ---------------------------------------------------------------------------


def led(database: Database, *works: Callable[[apsw.Connection], object]) -> list[_Member]:
    """Members with these works, after the first has led, and then each that is left."""
    groups = database._groups
    made = [_Member(work) for work in works]
    groups._waiting.extend(made)
    groups._led = True
    while groups._waiting:
        groups._lead()
    assert all(member.finished for member in made)
    assert (len(groups._waiting), groups._led) == (0, False)
    return made


def failures(made: list[_Member]) -> list[type[BaseException] | None]:
    return [member.error and type(member.error) for member in made]


def ends(connection: apsw.Connection) -> None:
    connection.execute("ROLLBACK")


def large(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE large AS SELECT zeroblob(100000) AS b")


def count(connection: apsw.Connection) -> int:
    return connection.execute("SELECT count(*) FROM t").get


def test_a_group_that_ends_the_transaction_is_tried_one_by_one(database: Database) -> None:
    before = database.txid
    made = led(database, insert(None), insert(None), count, ends, insert(None), count)
    assert failures(made) == [None, None, None, StorageError, None, None]
    assert [made[2].result, made[5].result] == [2, 3]
    # Two alone, and one with what came after.
    assert database.txid == before + 3


def test_two_of_which_one_ends_the_transaction(database: Database) -> None:
    assert failures(led(database, insert(None), ends)) == [None, StorageError]
    assert failures(led(database, ends, insert(None))) == [StorageError, None]
    assert database.write(count) == 2


def test_members_that_are_tried_one_by_one_share_a_look(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    real = Database.refresh
    monkeypatch.setattr(Database, "refresh", lambda self: looks.append(self.txid) or real(self))
    made = led(database, count, count, ends)
    assert failures(made) == [None, None, StorageError]
    assert len(looks) == 1


def test_nobody_joins_members_that_are_tried_one_by_one(database: Database) -> None:
    groups, late, runs = database._groups, _Member(count), [0]

    def calls_another(connection: apsw.Connection) -> None:
        runs[0] += 1
        if runs[0] == 2:
            groups._waiting.append(late)

    made = [_Member(calls_another), _Member(ends)]
    groups._waiting.extend(made)
    groups._led = True
    groups._lead()
    assert (runs, [*groups._waiting], late.finished) == ([2], [late], False)
    groups._waiting.clear()


def test_what_is_too_large_fails_alone() -> None:
    database = Database(memory_store(), max_transaction_bytes=60_000)
    database.write(lambda connection: connection.execute("CREATE TABLE t(a)"))
    for works, expected in (
        ((large,), [TransactionTooLarge]),
        ((insert(None), large), [None, TransactionTooLarge]),
        ((large, insert(None), large), [TransactionTooLarge, None, TransactionTooLarge]),
    ):
        assert failures(led(database, *works)) == expected
    assert database.write(count) == 2


class _Refused:
    """A lease of a store that does not answer."""

    txid = 0

    def __init__(self) -> None:
        self.tried = 0

    def __enter__(self) -> apsw.Connection:
        self.tried += 1
        raise StoreUnavailable("down")

    def __exit__(self, *error: object) -> None: ...


def test_a_lease_that_fails_is_tried_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = _Refused()
    monkeypatch.setattr(database, "writer", lambda: lease)
    assert failures(led(database, insert(None))) == [StoreUnavailable]
    assert lease.tried == 1


def test_an_interrupt_while_a_member_runs_makes_all_unknown(database: Database) -> None:
    interrupt_ = KeyboardInterrupt()

    def interrupted(connection: apsw.Connection) -> None:
        raise interrupt_

    groups = database._groups
    made = [_Member(insert(None)), _Member(interrupted)]
    groups._waiting.extend(made)
    groups._led = True
    with pytest.raises(KeyboardInterrupt):
        groups._lead()
    assert failures(made) == [CommitUnknown, CommitUnknown]
    assert [member.error and member.error.__cause__ for member in made] == [interrupt_, interrupt_]
    assert all(member.finished for member in made)
    assert database.write(count) == 0


class _Lease:
    def __init__(self, changed: list[int]) -> None:
        self._changed = changed
        self.looks = 0

    def changed_bytes(self) -> int:
        self.looks += 1
        return self._changed.pop(0)


def joined(
    monkeypatch: pytest.MonkeyPatch,
    times: list[float],
    changed: list[int],
    *,
    closed: bool = False,
    waiting: int = 9,
) -> tuple[int, int]:
    """How many join a group of one within 1 s and 100 bytes, and how often its bytes were looked at."""
    clock = iter(times)
    monkeypatch.setattr(groupcommit.time, "monotonic", lambda: next(clock))
    groups = GroupCommit(None, seconds=1.0, bytes=100)  # type: ignore[arg-type]
    groups._waiting.extend(members(*[None] * waiting))
    expected = [*groups._waiting]
    group = _Group(members(None), closed=closed)
    lease = _Lease(changed)
    first = group.members[0]
    assert [*groups._members(lease, group)] == group.members  # type: ignore[arg-type]
    assert group.members == [first, *expected[: len(group.members) - 1]]
    assert len(groups._waiting) == waiting - len(group.members) + 1
    return len(group.members) - 1, lease.looks


def test_who_waits_joins_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert joined(monkeypatch, [5.0, 5.001, 5.002, 6.0], [0]) == (2, 0)
    assert joined(monkeypatch, [5.0, 5.5, 5.999, 6.0], [0, 0]) == (2, 2)
    assert joined(monkeypatch, [5.0, 6.0], []) == (0, 0)
    assert joined(monkeypatch, [5.0], [], closed=True) == (0, 0)
    assert joined(monkeypatch, [5.0, 5.0, 5.0, 5.0], [], waiting=2) == (2, 0)


def test_who_waits_joins_until_enough_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert joined(monkeypatch, [5.0, 5.01, 5.02, 5.03], [99, 99, 100]) == (2, 3)
    assert joined(monkeypatch, [5.0, 5.01], [101]) == (0, 1)
    # A look is worth it every two milliseconds.
    assert joined(monkeypatch, [5.0, 5.0015, 5.0025, 5.004, 5.0046], [0, 100]) == (3, 2)
    monkeypatch.setattr(groupcommit, "_MEASURE_EVERY", 0.25)
    assert joined(monkeypatch, [5.0, 5.25, 6.0], []) == (1, 0)
    assert joined(monkeypatch, [5.0, 5.375, 6.0], [0]) == (1, 1)
