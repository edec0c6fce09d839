"""Publishing of changes: order, progress, gaps, and two publishers at once."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.event_bus import CHANGING, EventBus

from lamdb.cluster.aws.events_api import EventsRefused
from lamdb.cluster.aws.http import AnswerLost, Unreachable
from lamdb.cluster.publishing import publisher as module
from lamdb.cluster.publishing.entries import MISSING, Entries
from lamdb.cluster.publishing.progress import Overtaken, Progress, ProgressObject
from lamdb.cluster.publishing.publisher import Publisher
from lamdb.errors import NotPublished, StoreUnavailable
from lamdb.graphql.api import GraphQLRequest
from lamdb.graphql.execution.changes_run import ChangeFeed
from lamdb.graphql.from_settings import serving
from lamdb.rules.caller import Caller
from lamdb.server.instance import Instance
from lamdb.settings import Settings
from lamdb.storage import Database, recording
from lamdb.storage.budget import NEVER, Deadline
from lamdb.storage.stores.objectstore import PUBLISHED
from lamdb.storage.stores.obstores import Obstore, memory_store

numbers = itertools.count(1)


class Bench:
    """A database, the store of its progress, and a bus."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.store: Obstore = memory_store()
        self.bus = EventBus()

    def publisher(self, *models: str) -> Publisher:
        entries = Entries("s3://bucket/lamdb", "shop", "lamdb")
        progress = ProgressObject(self.store)
        return Publisher(self.instance.database, self.instance.api, progress, self.bus, entries, models)

    def run(self, document: str, **variables: Any) -> int:
        """Executes a mutation. Returns its TXID."""
        result = self.instance.api.execute(self.instance.database, GraphQLRequest(document, variables))
        assert b'"errors"' not in result.body, result.body
        return result.txid

    def create(self, name: str | None = None) -> int:
        number = next(numbers)
        self.run(
            "mutation ($id: Int!, $name: String) { createOneAuthor(data: {id: $id, name: $name}) { id } }",
            id=number,
            name=name,
        )
        return number

    @property
    def cursor(self) -> str:
        body = self.store.get(PUBLISHED)
        assert body is not None
        return str(json.loads(body)["cursor"])

    def published(self) -> list[int]:
        """The ids of the authors in the events, in order."""
        return [each["key"]["id"] for each in self.bus.details if "key" in each]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "schema.prisma").write_text(CHANGING)
    with Instance.open(Settings(store="memory:", database=str(tmp_path)), push=True) as instance:
        bench = Bench(instance)
        bench.create()
        report = bench.publisher().publish(NEVER)
        assert (report.gaps, report.published, report.finished) == (1, 0, True)
        yield bench


def test_the_first_event_tells_consumers_to_read_the_records(bench: Bench) -> None:
    (entry,) = bench.bus.accepted
    assert (entry["DetailType"], entry["Source"], entry["EventBusName"]) == (MISSING, "lamdb", "shop")
    (detail,) = bench.bus.details
    assert (detail["reason"], detail["since"], detail["cursor"]) == ("START", None, bench.cursor)


def test_changes_are_published_as_the_feed_has_them_and_once(bench: Bench) -> None:
    txid = bench.run('mutation { createOneAuthor(data: {id: 900, name: "Ann"}) { id } }')
    bench.run('mutation { updateOneAuthor(where: {id: 900}, data: {name: "Bo"}) { id } }')
    bench.run('mutation { createOneLabel(data: {name: "new"}) { name } }')
    bench.run("mutation { createOneOther(data: {id: 1}) { id } }")
    bench.run("mutation { deleteOneAuthor(where: {id: 900}) { id } }")
    report = bench.publisher().publish(NEVER)
    assert (report.published, report.finished, report.cursor) == (4, True, bench.cursor)
    assert bench.bus.names()[1:] == ["Author created", "Author updated", "Label created", "Author deleted"]
    first, second, _, last = bench.bus.details[1:]
    assert first == {
        "id": first["id"],
        "cursor": str(txid),
        "txid": str(txid),
        "model": "Author",
        "operation": "CREATE",
        "key": {"id": 900},
        "before": None,
        "after": {"id": 900, "name": "Ann", "books": None},
        "cut": False,
    }
    assert (second["before"], second["after"]) == ({"name": "Ann"}, {"name": "Bo"})
    assert (last["before"], last["after"]) == ({"id": 900, "name": "Bo", "books": None}, None)
    assert len({each["id"] for each in bench.bus.details}) == 5
    assert bench.publisher().publish(NEVER).published == 0
    assert len(bench.bus.accepted) == 5


def test_publishing_makes_no_commits_and_an_idle_one_writes_nothing(bench: Bench) -> None:
    bench.create()
    before = bench.instance.database.txid
    bench.publisher().publish(NEVER)
    assert bench.instance.database.txid == before
    known = bench.store.get_tagged(PUBLISHED)
    bench.publisher().publish(NEVER)
    bench.run("mutation { createOneOther(data: {id: 1}) { id } }")
    bench.publisher().publish(NEVER)
    assert bench.store.get_tagged(PUBLISHED) == known


def test_only_the_chosen_models_are_published(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(30):
        bench.run("mutation ($n: String!) { createOneLabel(data: {name: $n}) { name } }", n=str(number))
    author = bench.create()
    publisher = bench.publisher("Author", "Nobody")
    assert publisher.publish(NEVER).published == 1
    assert bench.published() == [author]
    assert caplog.records[-1].models == ["Nobody"]
    bench.run('mutation { createOneLabel(data: {name: "x"}) { name } }')
    before = bench.cursor
    assert publisher.publish(NEVER).published == 0
    assert bench.cursor != before, "changes of other models are passed over for good"


@pytest.mark.parametrize("size", [1, 7, 500])
def test_batches_are_full_and_in_order(bench: Bench, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", size)
    fields = "".join(f"a{n}: createOneAuthor(data: {{id: {1000 + n}}}) {{ id }} " for n in range(23))
    bench.run(f"mutation {{ {fields} }}")
    bench.create()
    assert bench.publisher().publish(NEVER).published == 24
    cursors = [each["cursor"] for each in bench.bus.details[1:]]
    feed = ChangeFeed(bench.instance.api.newest(bench.instance.database).api.types.changes())
    with bench.instance.database.reader() as connection:
        page = feed.page(connection, bench.bus.details[0]["cursor"], feed.models, 100)
    assert cursors == [each["cursor"] for each in page.changes]
    assert sorted(bench.published()[:23]) == list(range(1000, 1023))
    if size == 500:
        assert [len(request) for request in bench.bus.requests] == [1, 10, 10, 4]


def test_progress_is_kept_after_each_batch(bench: Bench) -> None:
    expected = [bench.create() for _ in range(25)]
    counted = itertools.count()

    def fail() -> None:
        if next(counted) == 2:
            raise MemoryError

    bench.bus.before = fail
    with pytest.raises(MemoryError):
        bench.publisher().publish(NEVER)
    assert bench.published() == expected[:20]
    bench.bus.before = lambda: None
    assert bench.publisher().publish(NEVER).published == 5, "the cursor was given free"
    assert bench.published() == expected


def test_no_change_is_lost_wherever_a_publisher_dies(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies before or after each of its requests, and its lease ends."""
    monkeypatch.setattr(Progress, "is_taken", lambda self: False)
    for deaths in range(14):
        expected = [bench.create() for _ in range(12)]
        before = len(bench.bus.accepted)
        left = itertools.count(deaths)

        def die(left: Iterator[int] = left) -> None:
            if next(left) >= 13:
                raise Crash

        original = Obstore.replace

        def replace(store: Obstore, *arguments: Any, die: Any = die, original: Any = original) -> Any:
            die()
            done = original(store, *arguments)
            die()
            return done

        with monkeypatch.context() as patch:
            patch.setattr(Obstore, "replace", replace)
            bench.bus.before = bench.bus.after = die
            with contextlib.suppress(Crash):
                bench.publisher().publish(NEVER)
        bench.bus.before = bench.bus.after = lambda: None
        bench.publisher().publish(NEVER)
        seen = [each["key"]["id"] for each in bench.bus.details[before:]]
        assert set(seen) == set(expected)
        assert sorted(set(seen), key=seen.index) == expected


class Crash(BaseException):
    """The process ends."""


def test_the_end_of_time_comes_after_a_batch(bench: Bench) -> None:
    expected = [bench.create() for _ in range(25)]
    deadline = Deadline.after(60.0)
    bench.bus.after = lambda: object.__setattr__(deadline, "at", 0.0)
    report = bench.publisher().publish(deadline)
    assert (report.published, report.finished) == (10, False)
    bench.bus.after = lambda: None
    assert bench.publisher().publish(NEVER).published == 15
    assert bench.published() == expected


def test_two_publishers_do_not_publish_at_once(bench: Bench) -> None:
    expected = [bench.create() for _ in range(12)]
    reports = []
    bench.bus.before = lambda: reports.append(bench.publisher().publish(NEVER))
    assert bench.publisher().publish(NEVER).finished
    assert [(report.busy, report.published) for report in reports] == [(True, 0)] * 2
    assert bench.published() == expected


def test_a_commit_of_which_a_busy_publisher_was_told_is_published_by_the_other(bench: Bench) -> None:
    """The second call comes while the first one sends its last batch, and leaves the change to it."""
    bench.create()
    late: list[int] = []

    def commit() -> None:
        if not late:
            late.append(bench.create())
            assert bench.publisher().publish(NEVER).busy

    bench.bus.before = commit
    assert bench.publisher().publish(NEVER).published == 2
    assert bench.published()[-1:] == late


def test_a_publisher_that_was_frozen_gives_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [bench.create() for _ in range(25)]
    counted = itertools.count()

    def freeze() -> None:
        if next(counted) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(Progress, "is_taken", lambda self: False)
                assert bench.publisher().publish(NEVER).finished

    bench.bus.before = freeze
    report = bench.publisher().publish(NEVER)
    assert (report.busy, report.finished) == (True, False)
    seen = bench.published()
    assert sorted(set(seen), key=seen.index) == expected
    assert len(seen) == 35, "the batch of the frozen one comes twice"
    assert bench.publisher().publish(NEVER).finished


def test_changes_that_are_not_kept_any_more_are_told_of(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.create()
    since = bench.cursor
    with bench.instance.database.writer() as connection:
        recording.restart(connection)
    last = bench.create()
    report = bench.publisher().publish(NEVER)
    assert report.gaps == 1
    detail = next(each for each in bench.bus.details if each.get("reason") == "NOT_KEPT")
    assert detail["since"] == since
    after = bench.create()
    bench.publisher().publish(NEVER)
    assert last not in bench.published()
    assert bench.published()[-1] == after


def test_a_cursor_of_another_database_is_told_of(bench: Bench) -> None:
    found = bench.store.get_tagged(PUBLISHED)
    assert found is not None
    bench.store.replace(PUBLISHED, Progress("999999").dumps(), found[1])
    bench.create()
    assert bench.publisher().publish(NEVER).gaps == 1
    assert bench.bus.details[-1]["reason"] == "OTHER_DATABASE"
    author = bench.create()
    bench.publisher().publish(NEVER)
    assert bench.published() == [author]


def test_a_gap_whose_event_is_refused_stays(bench: Bench) -> None:
    bench.store.delete(PUBLISHED)
    bench.bus.refuse = lambda entry: "InternalFailure" if entry["DetailType"] == MISSING else ""
    with pytest.raises(NotPublished):
        bench.publisher().publish(Deadline.after(0.5))
    author = bench.create()
    bench.bus.refuse = lambda entry: ""
    bench.publisher().publish(NEVER)
    assert bench.bus.details[-1]["reason"] == "START"
    assert author not in bench.published(), "it is among the records that are read then"


def test_nothing_is_published_while_nothing_is_recorded(bench: Bench, tmp_path: Path) -> None:
    before = len(bench.bus.accepted)
    with bench.instance.database.writer() as connection:
        recording.configure(connection, None)
    assert bench.publisher().publish(NEVER).finished
    assert len(bench.bus.accepted) == before


def test_a_database_without_a_schema_is_no_error(tmp_path: Path) -> None:
    """A stack is there before its first migration, and its alarm must not go off."""
    bus, store = EventBus(), memory_store()
    entries = Entries("s3://bucket/lamdb", "shop", "lamdb")
    with Database.open("memory:") as database:
        publisher = Publisher(database, serving(Settings()), ProgressObject(store), bus, entries)
        assert publisher.publish(NEVER).finished
        with database.writer() as connection:
            connection.execute("CREATE TABLE t (x)")
        assert publisher.publish(NEVER).finished
    assert (bus.accepted, store.get(PUBLISHED)) == ([], None)


def test_an_object_that_is_not_progress_is_not_overwritten(bench: Bench) -> None:
    found = bench.store.get_tagged(PUBLISHED)
    assert found is not None
    for body in (b"", b"[]", b'{"cursor": "1"}', b"\xff"):
        etag = bench.store.get_tagged(PUBLISHED)
        assert etag is not None
        bench.store.replace(PUBLISHED, body, etag[1])
        with pytest.raises(StoreUnavailable) as caught:
            bench.publisher().publish(NEVER)
        assert "Delete the object" in caught.value.hint
        assert bench.store.get(PUBLISHED) == body


def test_progress_whose_write_lost_its_answer_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    store = memory_store()
    progress = ProgressObject(store)
    original = Obstore.replace
    # As if the request had been sent twice: the second one finds the first one's object.
    monkeypatch.setattr(
        Obstore, "replace", lambda *arguments: (original(*arguments), original(*arguments))[1]
    )
    first = progress.replace(Progress("1").taken())
    second = progress.replace(Progress("2", first.publisher, first.until, first.etag))
    assert progress.read() == second
    monkeypatch.undo()
    with pytest.raises(Overtaken):
        progress.replace(Progress("3", first.publisher, first.until, first.etag))
    with pytest.raises(Overtaken):
        progress.replace(Progress("3").taken())


def test_a_bus_that_is_not_there_gets_nothing(bench: Bench) -> None:
    """EventBridge would accept the events, and drop them."""
    author = bench.create()
    before = bench.cursor
    bench.bus.exists = lambda: False
    with pytest.raises(NotPublished, match="no event bus shop"):
        bench.publisher().publish(NEVER)
    assert (bench.cursor, bench.published()) == (before, [])
    bench.bus.exists = lambda: True
    assert bench.publisher().publish(NEVER).published == 1
    assert bench.published() == [author]
    assert set(bench.bus.looked_for) == {"shop"}


@pytest.mark.parametrize(
    "error",
    [EventsRefused("DescribeEventBus", "AccessDeniedException", 400), AnswerLost("late"), Unreachable("no")],
)
def test_a_bus_that_cannot_be_looked_for_gets_the_changes(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as that of another account, which only lets events be put."""

    def fail() -> bool:
        raise error

    bench.bus.exists = fail
    publisher = bench.publisher()
    for _ in range(2):
        bench.create()
        assert publisher.publish(NEVER).published == 1
    assert [record.message for record in caplog.records if "event bus" in record.message] == [
        "cannot find out whether the event bus exists"
    ]


def test_rules_do_not_bind_the_publisher(tmp_path: Path) -> None:
    rule = "/// @@allow('create', true)\n/// @@allow('read', id < 0)\n"
    (tmp_path / "schema.prisma").write_text(CHANGING.replace("model Author", f"{rule}model Author"))
    with Instance.open(Settings(store="memory:", database=str(tmp_path)), push=True) as instance:
        bench = Bench(instance)
        bench.publisher().publish(NEVER)
        author = bench.create("unseen")
        assert bench.publisher().publish(NEVER).published == 1
        assert bench.published() == [author]
        query = '{ changes(since: "1") { changes { key } } }'
        caller = Caller({"sub": "a"})
        seen = instance.api.execute(instance.database, GraphQLRequest(query, caller=caller))
        assert json.loads(seen.body) == {"data": {"changes": {"changes": []}}}


def test_a_lost_answer_of_the_bus_publishes_again(bench: Bench) -> None:
    author = bench.create()
    calls = itertools.count()

    def lose() -> None:
        if next(calls) == 0:
            raise AnswerLost("ReadTimeoutError")

    bench.bus.after = lose
    assert bench.publisher().publish(NEVER).published == 1
    assert bench.published() == [author, author]
