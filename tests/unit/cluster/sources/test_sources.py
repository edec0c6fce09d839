"""Events of other services, in this process: what becomes of each, in one transaction, exactly once."""

import json
import random
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.mirroring import (
    TAGS,
    World,
    bus,
    create_tag,
    deploy,
    message,
    notification,
    object_event,
    records,
    sample,
    stream,
    without_group,
)

from lamdb.cluster.sources import batches
from lamdb.cluster.sources.deadletters import DeadLetterQueue
from lamdb.cluster.sources.records import read
from lamdb.errors import EventError, Fenced, NoSchema, StoreUnavailable, TransactionTooLarge
from lamdb.storage import Database, fencing
from lamdb.storage.stores.obstores import memory_store

ORDERS = "{ findManyOrder(orderBy: {id: asc}) { id customer total } }"
PRICES = "{ findManyPrice(orderBy: {sku: asc}) { sku cents } }"
PHOTOS = "{ findManyPhoto(orderBy: {path: asc}) { path size } }"
PARCELS = "{ findManyParcel(orderBy: {code: asc}) { code place kilos } }"


@pytest.fixture
def world() -> World:
    return World()


def names(world: World) -> list[str]:
    return [tag["name"] for tag in world.ask(TAGS)]


# DynamoDB


def test_an_item_becomes_a_record_with_every_type(world: World) -> None:
    image = {
        "customer": {"name": "Ada", "age": 36},
        "total": 19.99,
        "count": 3,
        "serial": 2**60,
        "weight": 1.5,
        "paid": True,
        "state": "DONE",
        "picture": b"\x00\xff",
        "tags": {"colours": {"red", "blue"}, "sizes": [1, 2.5, None, b"hi"]},
        "placed": 1795344000,
    }
    report = world.apply(records(stream(1, "INSERT", "a", image)))
    assert (report.applied, report.answer) == (1, {"batchItemFailures": []})
    fields = "id customer total count serial weight paid state picture tags placed note"
    assert world.ask(f"{{ findUniqueOrder(where: {{id: \"a\"}}) {{ {fields} }} }}") == {
        "id": "a", "customer": "Ada", "total": "19.99", "count": 3, "serial": str(2**60), "weight": 1.5,
        "paid": True, "state": "DONE", "picture": "AP8=", "placed": "2026-11-22T10:40:00.000Z", "note": None,
        "tags": '{"colours":["blue","red"],"sizes":[1,2.5,null,"aGk="]}',
    }  # fmt: skip


def test_what_an_item_lost_is_null_and_what_is_local_stays(world: World) -> None:
    world.apply(records(stream(1, "INSERT", "a", {"customer": {"name": "Ada"}, "count": 1, "total": 5})))
    world.ask('mutation { updateOneOrder(where: {id: "a"}, data: {note: "mine"}) { id } }')
    world.apply(records(stream(2, "MODIFY", "a", {"total": 6})))
    assert world.ask("{ findManyOrder { customer count total note } }") == [
        {"customer": None, "count": None, "total": "6", "note": "mine"}
    ]


def test_a_batch_is_one_transaction_and_a_repeated_one_is_none(world: World) -> None:
    batch = records(*(stream(number, "INSERT", f"o{number}") for number in range(50)))
    before = world.database.txid
    assert world.apply(batch).applied == 50
    assert world.database.txid == before + 1
    again = world.apply(batch)
    assert (again.applied, again.repeated) == (0, 50)
    assert world.database.txid == before + 1


def test_a_removed_item_does_not_come_back_by_an_older_event(world: World) -> None:
    created, removed = stream(5, "INSERT", "a"), stream(12, "REMOVE", "a")
    world.apply(records(created, removed))
    assert world.ask(ORDERS) == []
    assert world.apply(records(created, removed)).repeated == 2
    assert world.ask(ORDERS) == []
    world.apply(records(stream(111, "INSERT", "a")))
    assert [order["id"] for order in world.ask(ORDERS)] == ["a"]


CHANGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["INSERT", "MODIFY", "REMOVE"])),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=25)
@given(CHANGES, st.randoms(use_true_random=False))
def test_however_records_come_the_table_is_what_it_was_in_the_end(
    changes: list[tuple[str, str]], chance: random.Random
) -> None:
    """Out of order, some twice, in batches of any size."""
    made = [stream(number, name, key, {"total": number}) for number, (key, name) in enumerate(changes)]
    last = {key: (name, number) for number, (key, name) in enumerate(changes)}
    expected = {key: str(number) for key, (name, number) in last.items() if name != "REMOVE"}
    coming = made + chance.choices(made, k=len(made))
    chance.shuffle(coming)
    world = World()
    while coming:
        size = chance.randint(1, len(coming))
        batch, coming = coming[:size], coming[size:]
        assert world.failures(records(*batch)) == []
    assert {order["id"]: order["total"] for order in world.ask(ORDERS)} == expected
    world.database.close()


# GraphQL in messages


def test_a_request_in_a_message_is_executed_once(world: World) -> None:
    batch = records(message(1, create_tag("a")), message(2, create_tag("b")))
    before = world.database.txid
    assert world.apply(batch).applied == 2
    assert world.apply(batch).repeated == 2
    assert names(world) == ["a", "b"]
    assert world.database.txid == before + 1


def test_a_request_in_an_event_is_executed_once_by_whatever_way_it_comes(world: World) -> None:
    event = bus(1, "TagWanted", create_tag("a"))
    assert world.apply(event).applied == 1
    assert world.apply(event).repeated == 1
    assert world.apply(records(message(1, event))).repeated == 1
    assert names(world) == ["a"]


def test_what_the_sender_calls_the_same_is_the_same(world: World) -> None:
    key = {"attributes": {"MessageDeduplicationId": "mine"}}
    assert world.apply(records(message(1, create_tag("a"), **key))).applied == 1
    assert world.apply(records(message(2, create_tag("a"), **key))).repeated == 1
    other = world.apply(records(message(3, create_tag("b"), **key)))
    assert (other.set_aside, world.letters.taken) == (1, [("message-3", "IDEMPOTENCY_MISMATCH")])


def test_equal_messages_without_a_name_of_their_own_are_two(world: World) -> None:
    world.apply(records(stream(1, "INSERT", "a", {"total": 1})))
    more = {"query": 'mutation { updateOneOrder(where: {id: "a"}, data: {total: {increment: 1}}) { id } }'}
    assert world.apply(records(message(1, more), message(2, more))).applied == 2
    assert world.ask(ORDERS)[0]["total"] == "3"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "mutation { nothing }"}, "P2009"),
        ({"query": "mutation {"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": TAGS}, "EVENT"),
        ({"query": "mutation { __typename }", "variables": 3}, "EVENT"),
        (create_tag("taken"), "P2002"),
        ({**create_tag("x"), "variables": {}}, "BAD_USER_INPUT"),
        ("not json", "EVENT"),
        ("[]", "EVENT"),
        ({"sku": "a"}, "EVENT"),
        ({"detail-type": "x", "source": "y", "detail": {}}, "EVENT"),
        ({"sku": "a", "revision": -1, "cents": 1}, "EVENT"),
        ({"sku": "a", "revision": 1, "cents": "many"}, "EVENT"),
        ({"revision": 1, "cents": 1}, "EVENT"),
        ({"sku": "a", "revision": 1, "cents": 2**40}, "EVENT"),
    ],
)
def test_poison_is_set_aside_and_the_rest_of_the_batch_is_kept(world: World, body: Any, code: str) -> None:
    world.ask('mutation { createOneTag(data: {name: "taken"}) { id } }')
    before = world.database.txid
    batch = [message(1, create_tag("a")), message(2, body), message(3, create_tag("b"))]
    report = world.apply(records(*batch))
    assert (report.applied, report.set_aside, report.answer) == (2, 1, {"batchItemFailures": []})
    ((identifier, told),) = world.letters.taken
    assert identifier == "message-2"
    if code != "BAD_USER_INPUT":
        assert told == code
    assert world.letters.bodies == [batch[1]["body"]]
    assert names(world) == ["taken", "a", "b"]
    assert world.database.txid == before + 1


def test_a_mutation_that_fails_half_way_leaves_nothing(world: World) -> None:
    query = 'mutation { a: createOneTag(data: {name: "x"}) { id } b: createOneTag(data: {name: "x"}) { id } }'
    world.apply(records(message(1, {"query": query}), message(2, create_tag("y"))))
    assert names(world) == ["y"]
    assert world.letters.taken == [("message-1", "P2002")]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_however_messages_come_each_is_executed_once_and_in_order(
    sound: list[bool], chance: random.Random
) -> None:
    """Answers get lost, and dead letters find no place, until both are over."""
    world = World()
    waiting = [
        message(number, create_tag(f"t{number}") if is_sound else "poison")
        for number, is_sound in enumerate(sound)
    ]
    for troubles in (True, True, True, False):
        world.letters.full = troubles and chance.random() < 0.5
        left = []
        while waiting:
            size = chance.randint(1, 5)
            batch, waiting = waiting[:size], waiting[size:]
            failed = set(world.failures(records(*batch)))
            is_lost = troubles and chance.random() < 0.4
            left += [each for each in batch if is_lost or each["messageId"] in failed]
        waiting = left
    assert names(world) == [f"t{number}" for number, is_sound in enumerate(sound) if is_sound]
    assert {name for name, _ in world.letters.taken} == {
        f"message-{number}" for number, is_sound in enumerate(sound) if not is_sound
    }
    assert waiting == []
    world.database.close()


# EventBridge


def test_events_of_several_types_feed_one_record(world: World) -> None:
    world.apply(bus(1, "ParcelSent", {"code": "p", "place": "Ulm", "kilos": 2}))
    world.apply(bus(2, "ParcelSeen", {"code": "p", "place": "Bonn"}))
    assert world.ask(PARCELS) == [{"code": "p", "place": "Bonn", "kilos": 2.0}]
    world.apply(bus(3, "ParcelSeen", {"code": "p", "kilos": 3}))
    assert world.ask("{ findManyParcel { place kilos seen } }") == [
        {"place": "Bonn", "kilos": 3.0, "seen": "2026-11-22T10:40:03.000Z"}
    ]
    world.apply(bus(4, "ParcelLost", {"code": "p"}))
    assert world.ask(PARCELS) == []


def test_an_older_event_changes_nothing_and_of_one_second_the_last_counts(world: World) -> None:
    world.apply(bus(5, "ParcelSent", {"code": "p", "place": "Ulm"}))
    assert world.apply(bus(4, "ParcelSeen", {"code": "p", "place": "Bonn"})).repeated == 1
    same = bus(6, "ParcelSeen", {"code": "p", "place": "Kiel"}, second=5)
    world.apply(same)
    world.apply(bus(7, "ParcelSeen", {"code": "p", "place": "Köln"}, second=5))
    assert world.apply(same).repeated == 1
    assert world.ask(PARCELS)[0]["place"] == "Köln"


def test_a_change_of_what_is_not_there_waits_among_the_dead_letters(world: World) -> None:
    early = bus(2, "ParcelSeen", {"code": "p", "kilos": 3})
    assert world.apply(records(message(1, early))).set_aside == 1
    world.apply(bus(1, "ParcelSent", {"code": "p", "place": "Ulm"}))
    (body,) = world.letters.bodies
    assert world.apply(records(message(9, body))).applied == 1
    assert world.ask(PARCELS) == [{"code": "p", "place": "Ulm", "kilos": 3.0}]


def test_an_event_that_nothing_mirrors_says_what_to_do() -> None:
    with pytest.raises(EventError, match="No model mirrors eventbridge:shop/Closed") as caught:
        World(letters=False).apply(bus(1, "Closed", {}))
    assert "@lamdb.mirror" in caught.value.hint


# S3


@pytest.mark.parametrize("way", ["notification", "bus", "queue", "queued notification"])
def test_objects_come_and_go_in_their_order(world: World, way: str) -> None:
    def send(sequencer: str, exists: bool, size: int) -> Any:
        if "notification" in way:
            name = "ObjectCreated:Put" if exists else "ObjectRemoved:Delete"
            event = records(notification(sequencer, name, "raw/a+b%C3%BC.jpg", size))
        else:
            event = object_event(
                sequencer, "Object Created" if exists else "Object Deleted", "raw/a bü.jpg", size
            )
        return world.apply(records(message(int(sequencer, 16), event)) if "queue" in way else event)

    send("0055", True, 1)
    send("0055A", True, 2)  # Later: the shorter one is padded on the right.
    assert world.ask(PHOTOS) == [{"path": "raw/a bü.jpg", "size": "2"}]
    assert send("0054FF", True, 3).repeated == 1
    send("0055B", False, 0)
    assert send("0055A", True, 2).repeated == 1
    assert world.ask(PHOTOS) == []


def test_objects_elsewhere_and_other_events_are_passed_over(world: World) -> None:
    other = notification("01", "ObjectCreated:Put", "cooked/a.jpg")
    tagged = notification("02", "ObjectTagging:Put", "raw/a.jpg")
    report = world.apply(records(other, tagged))
    assert (report.applied, report.repeated) == (0, 2)
    assert world.apply(records(message(1, {"Event": "s3:TestEvent"}))).repeated == 1
    assert world.ask(PHOTOS) == []
    assert world.letters.taken == []


def test_the_end_of_an_earlier_version_is_not_that_of_the_object(world: World) -> None:
    world.apply(records(notification("01", "ObjectCreated:Put", "raw/a", 1, versionId="v1")))
    world.apply(records(notification("02", "ObjectCreated:Put", "raw/a", 2, versionId="v2")))
    world.apply(records(notification("03", "ObjectRemoved:Delete", "raw/a", 0, versionId="v1")))
    assert world.ask(PHOTOS) == [{"path": "raw/a", "size": "2"}]
    world.apply(records(notification("04", "ObjectRemoved:DeleteMarkerCreated", "raw/a", 0, versionId="v3")))
    assert world.ask(PHOTOS) == []


# SQS items


def test_items_in_messages_are_mirrored_by_their_own_version(world: World) -> None:
    def price(number: int, revision: int, cents: int, **more: Any) -> dict[str, Any]:
        return message(number, {"sku": "a", "revision": revision, "cents": cents}, **more)

    world.apply(records(price(1, 9, 100), price(2, 10, 200), price(3, 8, 300)))
    assert world.ask(PRICES) == [{"sku": "a", "cents": 200}]
    removed = {"messageAttributes": {"lamdb-remove": {"stringValue": "true", "dataType": "String"}}}
    assert world.apply(records(price(4, 10, 0, **removed))).repeated == 1
    world.apply(records(price(5, 11, 0, **removed)))
    assert world.ask(PRICES) == []


def test_a_standard_queue_reports_the_failed_messages_alone() -> None:
    world = World(letters=False)
    batch = [message(1, create_tag("a")), message(2, "poison"), message(3, create_tag("b"))]
    assert world.failures(records(*map(without_group, batch))) == ["message-2"]
    assert names(world) == ["a", "b"]


# The samples


def test_the_samples_do_what_they_say_once(world: World) -> None:
    for name in ("sqs", "eventbridge", "dynamodb-stream", "s3", "s3-eventbridge"):
        assert world.apply(sample(name)).applied == 1, name
    for name in ("s3-eventbridge", "s3", "dynamodb-stream", "eventbridge", "sqs"):
        assert world.apply(sample(name)).repeated == 1, name
    assert names(world) == ["from-a-queue", "from-a-bus", "from-a-table"]
    assert world.ask("{ findManyImport { key size } }") == [{"key": "imports/tags.graphql", "size": 2048}]


# Order and failures where there is no place for dead letters


def test_without_dead_letters_a_group_stops_at_the_first_failure() -> None:
    world = World(letters=False)
    other = {"attributes": {"MessageGroupId": "other"}}
    batch = [
        message(1, create_tag("a")),
        message(2, "poison"),
        message(3, create_tag("b")),
        message(4, create_tag("c"), **other),
    ]
    assert world.failures(records(*batch)) == ["message-2", "message-3"]
    assert names(world) == ["a", "c"]


def test_without_dead_letters_a_stream_stops_at_the_first_failure() -> None:
    world = World(letters=False)
    bad = stream(2, "INSERT", "b", {"total": "much"})
    assert world.failures(records(stream(1, "INSERT", "a"), bad, stream(3, "INSERT", "c"))) == ["2", "3"]
    assert [order["id"] for order in world.ask(ORDERS)] == ["a"]


def test_a_stream_without_images_says_what_it_needs(world: World) -> None:
    record = stream(1, "INSERT", "a")
    del record["dynamodb"]["NewImage"]
    world.apply(records(record))
    assert world.letters.taken == [("1", "EVENT")]


def test_what_cannot_be_set_aside_is_reported(world: World) -> None:
    world.letters.full = True
    assert world.failures(records(message(1, "poison"), message(2, create_tag("a")))) == ["message-1"]
    world.letters.full = False
    report = world.apply(records(message(1, "poison"), message(2, create_tag("a"))))
    assert (report.repeated, report.set_aside, report.answer) == (1, 1, {"batchItemFailures": []})
    assert names(world) == ["a"]


# Failures that pass


def failing(monkeypatch: pytest.MonkeyPatch, world: World, *errors: Exception) -> list[int]:
    """The next writes fail, after their work was done."""
    write, left, sizes = world.database.write, list(errors), []

    def fails(work: Any) -> Any:
        def counted(connection: Any) -> Any:
            outcome = work(connection)
            sizes.append(len(outcome))
            if left:
                raise left.pop(0)
            return outcome

        return write(counted)

    monkeypatch.setattr(world.database, "write", fails)
    return sizes


def test_a_fenced_batch_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fencing, "FIRST_PAUSE", 0.001)
    sizes = failing(monkeypatch, world, Fenced("x"), Fenced("x"))
    assert world.apply(records(message(1, create_tag("a")), message(2, create_tag("b")))).applied == 2
    assert sizes == [2, 2, 2]
    assert names(world) == ["a", "b"]


def test_a_store_that_fails_fails_the_batch_and_nothing_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = records(message(1, create_tag("a")), message(2, "poison"))
    with monkeypatch.context() as patch:
        failing(patch, world, StoreUnavailable("x"))
        with pytest.raises(StoreUnavailable):
            world.apply(batch)
    assert (names(world), world.letters.taken) == ([], [])
    assert world.apply(batch).applied == 1


def test_a_batch_that_is_too_large_for_one_transaction_takes_several(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = failing(monkeypatch, world, TransactionTooLarge("x"), TransactionTooLarge("x"))
    assert world.apply(records(*(message(n, create_tag(str(n))) for n in range(5)))).applied == 5
    assert sizes == [5, 2, 1, 1, 3]
    assert names(world) == ["0", "1", "2", "3", "4"]


def test_a_record_that_is_too_large_by_itself_is_set_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, world, TransactionTooLarge("x"), TransactionTooLarge("x"))
    world.apply(records(message(1, create_tag("a")), message(2, create_tag("b"))))
    assert world.letters.taken == [("message-1", "TRANSACTION_TOO_LARGE")]
    assert names(world) == ["b"]


def test_what_failed_on_an_old_state_is_tried_on_the_newest(tmp_path: Path) -> None:
    """As when another environment of the writer has just written."""
    url = (tmp_path / "store").as_uri()
    with Database.open(url) as made:
        deploy(made)
    with Database.open(url) as old, Database.open(url) as other:
        behind, ahead = World(database=old), World(database=other)
        assert behind.ask(PARCELS) == []
        ahead.apply(bus(1, "ParcelSent", {"code": "p", "place": "Ulm"}))
        report = behind.apply(records(message(1, bus(2, "ParcelSeen", {"code": "p", "kilos": 3}))))
        assert (report.applied, report.set_aside) == (1, 0)
        assert behind.ask(PARCELS) == [{"code": "p", "place": "Ulm", "kilos": 3.0}]


def test_letters_hold_nothing_that_sqs_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    class Client:
        def send_message(self, **message: Any) -> None:
            sent.append(message)

    monkeypatch.setattr(boto3, "client", lambda _: Client())
    record = read(records(notification("", "ObjectCreated:Put", "raw/a"))).records[0]
    DeadLetterQueue("https://sqs.example/dead.fifo").put(record, EventError("\x00\x1b bad \ud800"))
    DeadLetterQueue("https://sqs.example/dead").put(record, EventError(""))
    attributes = sent[0]["MessageAttributes"]
    assert attributes["lamdb-message"]["StringValue"] == "?? bad ?"
    assert attributes["lamdb-record"]["StringValue"] == "?"
    assert json.loads(sent[0]["MessageBody"])["Records"][0]["eventSource"] == "aws:s3"
    assert len(sent[0]["MessageDeduplicationId"]) == 64
    assert "MessageGroupId" not in sent[1]


def test_a_database_without_a_schema_keeps_events_waiting() -> None:
    world = World(database=Database.open("memory:"))
    with pytest.raises(NoSchema):
        world.apply(records(message(1, create_tag("a"))))


def test_a_fault_of_ours_keeps_no_event_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(batches.Mirroring, "apply", broken)
    report = world.apply(records(stream(1, "INSERT", "a"), stream(2, "INSERT", "b")))
    assert (report.set_aside, [code for _, code in world.letters.taken]) == (2, ["INTERNAL", "INTERNAL"])


def test_a_batch_of_several_sources_is_refused(world: World) -> None:
    with pytest.raises(EventError, match="one source"):
        world.apply(records(message(1, create_tag("a")), stream(1, "INSERT", "a")))


# Several writers


@pytest.mark.parametrize(
    ("mutation", "left"),
    [
        ('mutation { updateOneTag(where: {id: 1}, data: {name: {set: "b"}}) { id } }', ["b"]),
        ("mutation { deleteOneTag(where: {id: 1}) { id } }", []),
        ("mutation { deleteManyTag { count } }", []),
    ],
)
def test_a_batch_that_would_commit_nothing_sees_another_writers_news(mutation: str, left: list[str]) -> None:
    store = memory_store()
    with Database(store, stale_after=1000.0) as one, Database(store, stale_after=1000.0) as two:
        deploy(one)
        two.refresh()
        World(database=one).ask('mutation { createOneTag(data: {name: "a"}) { id } }')
        behind = World(database=two)
        report = behind.apply(records(message(1, {"query": mutation})))
        assert (report.applied, report.set_aside) == (1, 0)
        assert names(behind) == left


def test_a_mirrored_record_that_another_writer_wrote_is_removed() -> None:
    store = memory_store()
    with Database(store, stale_after=1000.0) as one, Database(store, stale_after=1000.0) as two:
        deploy(one)
        two.refresh()
        ahead, behind = World(database=one), World(database=two)
        ahead.apply(records(stream(1, "INSERT", "a", {"total": 1})))
        behind.apply(records(stream(2, "REMOVE", "a")))
        one.refresh()
        assert ahead.ask("{ findManyOrder { id } }") == []


# Topics

TOPIC = "arn:aws:sns:eu-west-1:1:prices"


def envelope(published: Any, number: int = 1, **attributes: str) -> dict[str, Any]:
    """Wraps a message as SNS does."""
    return {
        "Type": "Notification",
        "MessageId": f"notification-{number}",
        "TopicArn": TOPIC,
        "Message": published if isinstance(published, str) else json.dumps(published),
        "Timestamp": f"2026-11-22T10:40:{number:02}.000Z",
        "SignatureVersion": "1",
        "Signature": "x",
        "SigningCertURL": "x",
        "UnsubscribeURL": "x",
        "MessageAttributes": {
            name.replace("_", "-"): {"Type": "String", "Value": text} for name, text in attributes.items()
        },
    }


def by_topic(*of: dict[str, Any]) -> dict[str, Any]:
    """The event of a function that is subscribed to the topic."""
    return {
        "Records": [
            {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": TOPIC, "Sns": each}
            for each in of
        ]
    }


def by_queue(*of: dict[str, Any]) -> dict[str, Any]:
    return records(*(message(number, each) for number, each in enumerate(of, 1)))


PRICE = {"sku": "a", "revision": 1, "cents": 5}


@pytest.mark.parametrize("bring", [by_topic, by_queue])
def test_what_a_topic_brings_is_unwrapped(world: World, bring: Any) -> None:
    photo = notification("1", "ObjectCreated:Put", "raw/a.jpg")
    parcel = bus(1, "ParcelSent", {"code": "p", "place": "here"})
    event = bring(
        envelope(PRICE, 1), envelope(create_tag("t"), 2), envelope(records(photo), 3), envelope(parcel, 4)
    )
    assert world.apply(event).applied == 4
    assert world.ask(PRICES) == [{"sku": "a", "cents": 5}]
    assert (names(world), world.ask(PHOTOS)) == (["t"], [{"path": "raw/a.jpg", "size": "1"}])
    assert [parcel["code"] for parcel in world.ask(PARCELS)] == ["p"]
    assert world.apply(event).applied == 0, "the same again"


@pytest.mark.parametrize("bring", [by_topic, by_queue])
def test_a_topics_attribute_removes(world: World, bring: Any) -> None:
    world.apply(bring(envelope(PRICE, 1)))
    world.apply(bring(envelope({**PRICE, "revision": 2}, 2, lamdb_remove="true")))
    assert world.ask(PRICES) == []


def test_a_minimal_envelope_and_what_only_looks_like_one(world: World) -> None:
    world.apply(by_queue({"Type": "Notification", "Message": json.dumps(PRICE)}))
    assert world.ask(PRICES) == [{"sku": "a", "cents": 5}]
    own = {"Type": "Notification", "Message": "text", "sku": "b", "revision": 1, "cents": 1}
    world.apply(records(message(9, own)))
    assert len(world.ask(PRICES)) == 2


def test_a_topic_is_not_told_of_single_records() -> None:
    world = World(letters=False)
    with pytest.raises(EventError):
        world.apply(by_topic(envelope("no JSON", 1)))
    assert World().apply(by_topic(envelope("no JSON", 1), envelope(PRICE, 2))).set_aside == 1


# Times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20240101", "2024-01-01T00:00:00.000Z"),
        ("19991231", "1999-12-31T00:00:00.000Z"),
        ("20240101T123000Z", "2024-01-01T12:30:00.000Z"),
        ("2024-01-01", "2024-01-01T00:00:00.000Z"),
        ("1700000000", "2023-11-14T22:13:20.000Z"),
        ("1700000000000", "2023-11-14T22:13:20.000Z"),
        (1700000000, "2023-11-14T22:13:20.000Z"),
    ],
)
def test_times_as_text(world: World, text: Any, expected: str) -> None:
    world.apply(records(stream(1, "INSERT", "a", {"placed": text})))
    assert world.ask("{ findManyOrder { placed } }") == [{"placed": expected}]


@pytest.mark.parametrize("text", ["2024", "99999999", "20240230", "20240101123000", "12345", "٢٠٢٤٠١٠١"])
def test_digits_that_are_no_time_are_refused(world: World, text: str) -> None:
    assert world.apply(records(stream(1, "INSERT", "a", {"placed": text}))).set_aside == 1
