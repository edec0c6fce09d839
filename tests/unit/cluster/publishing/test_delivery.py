"""Delivery of a batch: failures of single events and of requests, and when it gives up."""

import json
import random
from collections import Counter
from typing import Any

import pytest
from tests.support.event_bus import EventBus

from lamdb.cluster.aws.events_api import TRANSIENT, EventsRefused
from lamdb.cluster.aws.http import AnswerLost, Unreachable
from lamdb.cluster.publishing.delivery import deliver
from lamdb.cluster.publishing.entries import Entries, Event
from lamdb.errors import NotPublished

ENTRIES = Entries("s3://bucket/lamdb", "shop", "lamdb")
FIXED = {"txid": "7", "model": "Author", "operation": "CREATE", "before": None, "after": '{"id":1}'}


def events(count: int) -> list[Event]:
    return [
        ENTRIES.of_change({**FIXED, "cursor": f"7.0.{number}", "key": json.dumps({"id": number})})
        for number in range(count)
    ]


def forever() -> float:
    return 60.0


def key(entry: Any) -> int:
    return int(json.loads(entry["Detail"])["key"]["id"])


class Pauses(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def test_only_events_that_failed_are_sent_again_after_growing_pauses() -> None:
    bus, pauses, attempts = EventBus(), Pauses(), Counter[int]()

    def refuse(entry: dict[str, str]) -> str:
        attempts[key(entry)] += 1
        return "ThrottlingException" if attempts[key(entry)] <= key(entry) else ""

    bus.refuse = refuse
    assert deliver(bus, events(5), forever, pauses) == 0
    assert [[key(entry) for entry in request] for request in bus.requests] == [
        [0, 1, 2, 3, 4],
        [1, 2, 3, 4],
        [2, 3, 4],
        [3, 4],
        [4],
    ]
    assert sorted(map(key, bus.accepted)) == [0, 1, 2, 3, 4]
    assert len(pauses) == 4
    assert pauses[-1] > pauses[0]


@pytest.mark.parametrize("seed", range(20))
def test_every_event_is_accepted_whatever_fails_meanwhile(seed: int) -> None:
    bus, chance = EventBus(), random.Random(seed)
    failures: list[Exception] = [
        Unreachable("refused"),
        AnswerLost("ReadTimeoutError"),
        EventsRefused("PutEvents", "ThrottlingException", 400),
        EventsRefused("PutEvents", "Unknown", 503),
    ]

    def fail() -> None:
        if chance.random() < 0.2:
            raise chance.choice(failures)

    bus.before = bus.after = fail
    bus.refuse = lambda entry: chance.choice(sorted(TRANSIENT)) if chance.random() < 0.1 else ""
    for batch in ([event] for event in events(10)):
        for _ in range(5):
            try:
                assert deliver(bus, batch, forever, Pauses()) == 0
                break
            except NotPublished:
                continue
    assert {key(entry) for entry in bus.accepted} == set(range(10))


def test_an_event_that_is_refused_for_its_content_goes_without_it() -> None:
    """Such as one whose Json is nested more deeply than EventBridge takes."""
    bus = EventBus()
    bus.refuse = lambda entry: "MalformedDetail" if key(entry) == 1 and "false}" in entry["Detail"] else ""
    assert deliver(bus, events(3), forever, Pauses()) == 1
    cut = {key(entry): json.loads(entry["Detail"])["cut"] for entry in bus.accepted}
    assert cut == {0: False, 1: True, 2: False}


@pytest.mark.parametrize(
    ("code", "requests"),
    [("MalformedDetail", 2), ("InvalidArgument", 2), ("AccessDeniedException", 1), ("RedactionFailure", 1)],
)
def test_an_event_that_is_not_accepted_is_an_error_and_not_passed_over(code: str, requests: int) -> None:
    """Without its values it is sent only where they may be the reason."""
    bus = EventBus()
    bus.refuse = lambda entry: code if key(entry) == 1 else ""
    with pytest.raises(NotPublished, match=code):
        deliver(bus, events(3), forever, Pauses())
    assert len(bus.requests) == requests


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"]
)
def test_a_request_that_will_not_be_accepted_is_sent_once(code: str) -> None:
    bus, requests = EventBus(), []

    def refuse() -> None:
        requests.append(code)
        raise EventsRefused("PutEvents", code, 400)

    bus.before = refuse
    with pytest.raises(NotPublished, match=code):
        deliver(bus, events(3), forever, Pauses())
    assert requests == [code]


def test_attempts_are_limited() -> None:
    bus, pauses = EventBus(), Pauses()
    bus.refuse = lambda entry: "InternalFailure"
    with pytest.raises(NotPublished, match="InternalFailure"):
        deliver(bus, events(1), forever, pauses)
    assert len(bus.requests) == 8
    assert max(pauses) <= 2.0


def test_there_is_no_attempt_after_the_time() -> None:
    bus = EventBus()
    bus.refuse = lambda entry: "InternalFailure"
    with pytest.raises(NotPublished):
        deliver(bus, events(1), lambda: 0.01, Pauses())
    assert len(bus.requests) == 1
