"""Writes that the writer receives from the queue by itself: one commit for all that wait, each once."""

import importlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import botocore.session
import pytest
from tests.support.mirroring import TAGS, World, bus, create_tag, message, records

from lamdb.cluster.aws.http import AnswerLost, Unreachable
from lamdb.cluster.aws.sqs_api import Refused
from lamdb.cluster.invocation.queued_mutation import SOURCE, Write
from lamdb.cluster.sources import batches as module
from lamdb.cluster.sources import draining
from lamdb.cluster.sources.draining import MOST_MESSAGES, SECONDS, Draining, arn_of, as_delivered
from lamdb.errors import StoreUnavailable
from lamdb.graphql.request import GraphQLRequest
from lamdb.storage.budget import NEVER, Deadline

queues = importlib.import_module("tests.lambda.queues")  # `lambda` is a keyword

ARN = "arn:aws:sqs:us-east-1:123456789012:writes.fifo"
CREATE = "mutation ($name: String!) { createOneTag(data: {name: $name}) { name } }"
TRANSIENT = [Refused("status 500"), AnswerLost("ReadTimeoutError"), Unreachable("ConnectTimeoutError")]


def write(name: str, key: str = "", **more: Any) -> Write:
    key = key or name
    return Write(key, more.pop("attempt", f"attempt-{key}"), GraphQLRequest(CREATE, {"name": name}), **more)


@dataclass
class Bench:
    """A database, a queue of writes, and what drains it; time stands still unless something sleeps."""

    world: World
    queue: Any = field(default_factory=lambda: queues.FifoQueue(visibility=1000.0))
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    """Called whenever the writer pauses."""

    def __post_init__(self) -> None:
        self.draining = self.again()

    def again(self) -> Draining:
        """The writer in a new environment."""
        return Draining(
            self.world.batches, self, ARN, clock=lambda: self.now, now=lambda: self.now, sleep=self.sleep
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()

    # The queue, as the writer sees it

    def receive(self) -> list[dict[str, Any]]:
        return [queues._received(each) for each in self.queue.receive()]

    def delete(self, handles: Sequence[str]) -> int:
        return len(self.queue.delete(handles))

    def release(self, handles: Sequence[str]) -> None:
        self.queue.release(handles)

    # What happens

    def send(self, *of: Write) -> None:
        for each in of:
            self.queue.send(each.written(), each.group, each.attempt)

    def say(self, body: str) -> None:
        self.queue.send(body, "g", f"d{len(self.queue.messages)}-{time.monotonic_ns()}")

    def event(self, *of: Write, age: float = 5.0, arn: str = ARN) -> dict[str, Any]:
        """The event by which the mapping brings messages."""
        sent = str(int((self.now - age) * 1000))
        brought = [
            message(number, each.written(), attributes={"MessageGroupId": each.group, "SentTimestamp": sent})
            for number, each in enumerate(of)
        ]
        return records(*({**each, "eventSourceARN": arn} for each in brought))

    def apply(self, *of: Write, deadline: Deadline = NEVER, **how: Any) -> Any:
        return self.draining.apply(self.event(*of, **how), deadline)

    def come_again(self) -> None:
        """The visibility timeout of all messages is over."""
        for each in self.queue.messages:
            each.visible = 0.0

    @property
    def names(self) -> set[str]:
        return {tag["name"] for tag in self.world.ask(TAGS)}

    @property
    def txid(self) -> int:
        return self.world.database.txid

    @property
    def asked(self) -> dict[str, int]:
        return dict(self.queue.requests - queues.Counter({"SendMessage": 10**6}))


@pytest.fixture
def bench() -> Bench:
    return Bench(World())


def numbered(count: int, start: int = 0) -> list[Write]:
    return [write(f"n{number:03}") for number in range(start, start + count)]


@pytest.mark.parametrize("waiting", [0, 1, 9, 10, 37])
def test_all_that_waits_shares_the_commit_of_the_message_that_was_brought(bench: Bench, waiting: int) -> None:
    first, *others = numbered(waiting + 1)
    bench.send(*others)
    before = bench.txid
    report = bench.apply(first)
    assert report.answer == {"batchItemFailures": []}
    assert report.applied == waiting + 1
    assert bench.txid == before + 1
    assert len(bench.names) == waiting + 1
    assert bench.queue.messages == []


def test_the_requests_to_the_queue_are_as_few_as_ten_messages_a_request_allow(bench: Bench) -> None:
    first, *others = numbered(26)
    bench.send(*others)
    bench.apply(first)
    # Three for 25 messages and one that finds nothing more.
    assert bench.asked == {"ReceiveMessage": 4, "DeleteMessageBatch": 3}


@pytest.mark.parametrize(("age", "asks"), [(0.0, False), (0.15, False), (0.21, True), (30.0, True)])
def test_the_queue_is_not_asked_by_a_message_that_came_at_once(bench: Bench, age: float, asks: bool) -> None:
    bench.send(write("other"))
    bench.apply(write("a"), age=age)
    assert bool(bench.asked) is asks
    assert bench.names == ({"a", "other"} if asks else {"a"})


def test_after_a_crowd_the_queue_is_asked_at_once_and_not_much_later(bench: Bench) -> None:
    bench.send(write("b"))
    bench.apply(write("a"))
    bench.send(write("d"))
    bench.apply(write("c"), age=0.0)
    assert bench.names == {"a", "b", "c", "d"}
    bench.now += SECONDS + 0.01
    bench.send(write("f"))
    bench.apply(write("e"), age=0.0)
    assert "f" not in bench.names


def test_a_whole_batch_says_that_more_waits(bench: Bench) -> None:
    bench.send(write("other"))
    bench.apply(*numbered(10), age=0.0)
    assert "other" in bench.names


def test_what_comes_meanwhile_is_taken_in_commits_at_a_pace(bench: Bench) -> None:
    late = [numbered(3, 10), numbered(2, 20)]
    bench.meanwhile = lambda: bench.send(*late.pop(0)) if late else None
    bench.send(write("b"))
    before = bench.txid
    report = bench.apply(write("a"))
    assert (report.applied, report.answer) == (7, {"batchItemFailures": []})
    assert bench.txid == before + 3
    assert bench.slept == [pytest.approx(draining.PACE)] * 3
    assert bench.queue.messages == []


@pytest.mark.parametrize(("left", "rounds"), [(math.inf, 10), (3.0, 10), (1.5, 5), (0.3, 1)])
def test_an_invocation_ends_in_time_though_more_comes(bench: Bench, left: float, rounds: int) -> None:
    numbers = iter(range(100))
    bench.meanwhile = lambda: bench.send(write(f"late{next(numbers)}"))
    bench.send(write("b"))
    before = bench.txid
    with patch.object(Deadline, "remaining", lambda deadline: deadline.at - bench.now):
        bench.apply(write("a"), deadline=Deadline(bench.now + left))
    assert abs(bench.txid - before - rounds) <= 1
    assert len(bench.queue.messages) >= 1


def test_one_commit_takes_no_more_than_so_many(bench: Bench) -> None:
    bench.send(*numbered(MOST_MESSAGES + 15))
    before = bench.txid
    bench.apply(write("first"))
    assert bench.txid == before + 2
    assert bench.queue.messages == []


def test_large_messages_fill_a_commit_sooner(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "MOST_BYTES", 1000)
    bench.send(*numbered(30))
    before = bench.txid
    bench.apply(write("first"))
    assert bench.txid == before + 3


def test_a_failure_among_them_is_an_answer_and_poison_is_set_aside(bench: Bench) -> None:
    bench.world.apply(records(message(99, create_tag("taken"))))
    bench.send(write("b"), write("taken", "bad"))
    bench.say('{"lamdb": {"write": {"key": 1}}}')
    bench.say("no JSON")
    bench.send(write("c"))
    report = bench.apply(write("a"))
    assert (report.set_aside, report.answer) == (2, {"batchItemFailures": []})
    assert bench.names == {"taken", "a", "b", "c"}
    assert bench.queue.messages == []


@pytest.mark.parametrize("letters", ["full", "none"])
def test_poison_that_has_no_place_to_go_stays_in_the_queue(letters: str) -> None:
    bench = Bench(World(letters=letters != "none"))
    bench.world.letters.full = True
    bench.say("no JSON")
    bench.send(write("b"))
    assert bench.apply(write("a")).answer == {"batchItemFailures": []}
    assert bench.names == {"a", "b"}
    assert [each.body for each in bench.queue.messages] == ["no JSON"]
    assert bench.receive() == []  # not before its visibility timeout


def test_what_the_mapping_brought_is_reported_by_itself() -> None:
    bench = Bench(World(letters=False))
    bench.send(write("b"))
    event = records({**message(7, "no JSON"), "eventSourceARN": ARN})
    event["Records"][0]["attributes"]["SentTimestamp"] = "0"
    report = bench.draining.apply(event, NEVER)
    assert report.answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    assert bench.names == {"b"}
    assert bench.queue.messages == []


def test_other_messages_in_the_queue_are_applied_as_ever(bench: Bench) -> None:
    bench.say(json.dumps(create_tag("by hand")))
    bench.apply(write("a"))
    assert bench.names == {"a", "by hand"}


@pytest.mark.parametrize("trouble", TRANSIENT)
@pytest.mark.parametrize("when", ["receive", "delete"])
def test_a_queue_that_fails_does_no_harm(bench: Bench, trouble: Exception, when: str) -> None:
    bench.send(*numbered(3))
    with patch.object(bench, when, side_effect=trouble):
        assert bench.apply(write("a")).answer == {"batchItemFailures": []}
    assert "a" in bench.names
    bench.come_again()
    bench.draining = bench.again()
    before = bench.txid
    report = bench.apply(write("b"))
    assert report.applied == (1 if when == "delete" else 4)
    assert bench.txid == before + 1
    assert len(bench.names) == 5
    assert bench.queue.messages == []


def test_a_writer_that_dies_after_its_commit_has_done_each_once(bench: Bench) -> None:
    class Died(BaseException):
        pass

    bench.send(*numbered(12))
    with patch.object(bench, "delete", side_effect=Died), pytest.raises(Died):
        bench.apply(write("a"))
    assert len(bench.queue.messages) == 12
    bench.come_again()
    bench.draining = bench.again()
    assert bench.apply(write("a")).applied == 0
    assert len(bench.names) == 13
    assert bench.queue.messages == []


def test_what_fails_with_others_is_tried_without_them(bench: Bench) -> None:
    real, failing = bench.world.database.write, [StoreUnavailable("down")]

    def unsteady(work: Any) -> Any:
        if failing:
            raise failing.pop()
        return real(work)

    bench.send(write("b"))
    with patch.object(bench.world.database, "write", unsteady):
        assert bench.apply(write("a")).answer == {"batchItemFailures": []}
    assert bench.names == {"a"}
    assert len(bench.queue.messages) == 1
    bench.come_again()
    bench.apply(write("c"))
    assert bench.names == {"a", "b", "c"}


def test_a_failure_of_a_later_commit_leaves_the_answer_as_it_is(bench: Bench) -> None:
    real, calls = bench.world.database.write, []

    def unsteady(work: Any) -> Any:
        calls.append(work)
        if len(calls) == 2:
            raise StoreUnavailable("down")
        return real(work)

    bench.meanwhile = lambda: bench.send(write("late")) if "late" not in str(bench.queue.messages) else None
    bench.send(write("b"))
    with patch.object(bench.world.database, "write", unsteady):
        assert bench.apply(write("a")).answer == {"batchItemFailures": []}
    assert bench.names == {"a", "b"}
    assert len(bench.queue.messages) == 1


def test_a_store_that_fails_altogether_fails_the_invocation(bench: Bench) -> None:
    bench.send(write("b"))
    with (
        patch.object(bench.world.database, "write", side_effect=StoreUnavailable("down")),
        pytest.raises(StoreUnavailable),
    ):
        bench.apply(write("a"))
    assert len(bench.queue.messages) == 1


def test_what_takes_long_is_left_to_the_next_commit_in_order(bench: Bench) -> None:
    ticks = iter([0.0, *([0.1] * 4), *([99.0] * 100)])
    bench.world.batches._clock = lambda: next(ticks)
    sent = numbered(8)
    bench.send(*sent)
    before = bench.txid
    with patch.object(module, "_BESIDES_SECONDS", 2.0):
        bench.draining._round(bench.draining._take())
    assert len(bench.names) == 4
    assert bench.txid == before + 1
    assert [each.body for each in bench.queue.messages] == [each.written() for each in sent[4:]]
    assert len(bench.receive()) == 4  # visible at once


def test_messages_with_one_key_are_done_in_order(bench: Bench) -> None:
    bench.send(write("one", "same", attempt="1"), write("two", "same", attempt="2"), write("other"))
    bench.apply(write("a"))
    assert bench.names == {"a", "one", "other"}
    assert bench.queue.messages == []


@pytest.mark.parametrize("seconds", [-1.0, 60.0])
def test_a_write_that_nobody_waits_for_is_not_begun(bench: Bench, seconds: float) -> None:
    bench.send(write("b", deadline=time.time() + seconds))
    bench.apply(write("a"))
    assert bench.names == ({"a", "b"} if seconds > 0 else {"a"})
    assert bench.queue.messages == []


def others(bench: Bench) -> Iterator[dict[str, Any]]:
    yield bench.event(write("a"), arn="arn:aws:sqs:us-east-1:123456789012:events.fifo")
    yield bench.event(write("a"), arn="arn:aws:sqs:eu-west-1:123456789012:writes.fifo")
    yield bus(1, "ParcelSent", {"code": "p", "place": "here"})


@pytest.mark.parametrize("number", range(3))
def test_events_from_elsewhere_ask_nothing_of_the_queue(bench: Bench, number: int) -> None:
    bench.send(write("other"))
    bench.draining.apply(list(others(bench))[number], NEVER)
    assert bench.asked == {}
    assert len(bench.queue.messages) == 1


def test_a_write_that_is_sent_past_the_queue_takes_what_waits_but_does_not_go_on(bench: Bench) -> None:
    bench.send(*numbered(3))
    before = bench.txid
    event = {"Records": [{"eventSource": SOURCE, "write": json.loads(write("a").written())}]}
    assert bench.draining.apply(event, NEVER).answer == {}
    assert bench.txid == before + 1
    assert len(bench.names) == 4
    assert bench.slept == []


@pytest.mark.parametrize("contended", [True, False])
@pytest.mark.parametrize("crowded", [True, False])
def test_after_a_request_that_waited_what_is_in_the_queue_is_done(
    bench: Bench, contended: bool, crowded: bool
) -> None:
    if crowded:
        bench.send(write("before"))
        bench.apply(write("brought"))
    bench.queue.requests.clear()
    bench.send(*numbered(13))
    before = bench.txid
    done = bench.draining.drain(contended)
    assert done == (13 if contended or crowded else 0)
    assert bench.txid == before + (1 if done else 0)
    assert len(bench.queue.messages) == 13 - done
    assert bench.slept == ([pytest.approx(draining.PACE)] if crowded else [])


@pytest.mark.parametrize("trouble", [*TRANSIENT, StoreUnavailable("down")])
def test_draining_after_a_request_fails_with_nothing(bench: Bench, trouble: Exception) -> None:
    bench.send(write("a"))
    fails = "receive" if not isinstance(trouble, StoreUnavailable) else "write"
    of = bench if fails == "receive" else bench.world.database
    with patch.object(of, fails, side_effect=trouble):
        assert bench.draining.drain(True) == 0
    bench.come_again()
    assert bench.draining.drain(True) == 1


@pytest.mark.parametrize(
    ("url", "region", "arn"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/1/a.fifo", "eu-west-1", "arn:aws:sqs:eu-west-1:1:a.fifo"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/a", "cn-north-1", "arn:aws-cn:sqs:cn-north-1:1:a"),
        (
            "https://sqs.us-gov-west-1.amazonaws.com/1/a",
            "us-gov-west-1",
            "arn:aws-us-gov:sqs:us-gov-west-1:1:a",
        ),
        ("http://127.0.0.1:9/123456789012/writes.fifo", "us-east-1", ARN),
    ],
)
def test_the_arn_of_a_queue_is_found_by_its_url(url: str, region: str, arn: str) -> None:
    assert arn_of(url, region) == arn


def test_the_arn_of_a_queue_has_the_partition_that_botocore_knows() -> None:
    known = botocore.session.Session().get_data("partitions")["partitions"]
    regions = [(each["id"], name) for each in known for name in each["regions"] if "global" not in name]
    assert len({partition for partition, _ in regions}) >= 8
    for partition, region in regions:
        assert arn_of("https://sqs/1/a", region) == f"arn:{partition}:sqs:{region}:1:a"


def test_a_received_message_has_the_form_of_a_delivered_one() -> None:
    received = {
        "MessageId": "m",
        "ReceiptHandle": "h",
        "Body": "{}",
        "MD5OfBody": "…",
        "Attributes": {"MessageGroupId": "g", "SentTimestamp": "1"},
        "MessageAttributes": {"lamdb-remove": {"DataType": "String", "StringValue": "true"}},
    }
    assert as_delivered(received, ARN) == {
        "messageId": "m",
        "receiptHandle": "h",
        "body": "{}",
        "attributes": {"MessageGroupId": "g", "SentTimestamp": "1"},
        "messageAttributes": {"lamdb-remove": {"dataType": "String", "stringValue": "true"}},
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
    }
