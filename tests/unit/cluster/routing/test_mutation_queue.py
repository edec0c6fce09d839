"""Writes through a queue: what the proxy sends, how it waits, and what it answers without an answer."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from lamdb.cluster.invocation.events import CONTENDED_HEADER
from lamdb.cluster.invocation.queued_mutation import LIMIT, Write
from lamdb.cluster.proxy import Proxy
from lamdb.cluster.routing.mutation_queue import Gate, Queueing, SqsQueue
from lamdb.cluster.routing.retry import Backoff
from lamdb.cluster.runtime.observability import Observer
from lamdb.errors import EventError, FunctionUnavailable, Throttled
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.transport import deferred
from lamdb.graphql.transport.wire import JSON, HttpRequest, HttpResponse
from lamdb.settings import Settings

MUTATION = "mutation { deleteManyTag { count } }"
DONE = deferred.done(200, b'{"data":{"deleteManyTag":{"count":1}}}', refused=False)


def envelope_of(response: HttpResponse) -> bytes:
    answer = {"statusCode": response.status, "headers": response.headers, "body": response.body.decode()}
    return json.dumps({**answer, "isBase64Encoded": False}).encode()


@dataclass
class World:
    """Functions and a queue. `busy`: whether the writer is throttled. `polls`: readers' answers in turn."""

    busy: bool = True
    answers: list[HttpResponse | Exception] = field(default_factory=lambda: [DONE])
    sent: list[Write] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refuses: bool = False
    again: list[int] = field(default_factory=list)

    def send(self, write: Write, again: int = 0) -> None:
        if self.refuses:
            raise FunctionUnavailable("The queue did not take the write.")
        self.sent.append(write)
        self.again.append(again)

    def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
        event = json.loads(payload)["lamdb"]
        self.asked.append((function, event))
        if function == "w":
            if self.busy:
                raise Throttled("busy")
            return envelope_of(HttpResponse(200, {"content-type": JSON}, b'{"data":{}}'))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return envelope_of(answer)

    def proxy(self, mode: str = "auto", *, queued: bool = True, quick: bool = False) -> Proxy:
        """`quick`: without pauses between attempts."""
        settings = Settings(writer_function="w", reader_function="r", write_mode=mode, retry_seconds=0.5)
        backoff = partial(Backoff, sleep=lambda _: None) if quick else Backoff
        queue = self if queued else None
        return Proxy(settings, self, Observer("proxy"), backoff=backoff, queue=queue, later=self)

    def post(self, proxy: Proxy, query: str = MUTATION, **headers: str) -> dict[str, Any]:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        event = {"httpMethod": "POST", "path": "/graphql", "body": json.dumps({"query": query})}
        return proxy.handle({**event, "headers": {"content-type": "application/json", **named}}, None)

    @property
    def functions(self) -> list[str]:
        return [function for function, _ in self.asked]


@pytest.mark.parametrize(
    ("mode", "busy", "functions", "queued"),
    [
        ("direct", False, ["w"], 0),
        ("auto", False, ["w"], 0),
        ("auto", True, ["w", "r"], 1),
        ("queued", False, ["r"], 1),
        ("queued", True, ["r"], 1),
    ],
)
def test_the_mode_says_which_way_a_write_goes(
    mode: str, busy: bool, functions: list[str], queued: int
) -> None:
    world = World(busy)
    answer = world.post(world.proxy(mode))
    assert answer["statusCode"] == 200
    assert (list(dict.fromkeys(world.functions)), len(world.sent)) == (functions, queued)


@pytest.mark.parametrize(("throttles", "tells"), [(0, False), (1, False), (2, True), (3, True)])
@pytest.mark.parametrize("size", [0, LIMIT])
def test_a_write_that_had_to_wait_tells_the_writer(throttles: int, tells: bool, size: int) -> None:
    class Busy(World):
        def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
            self.busy = len(self.asked) < throttles
            return super().__call__(function, payload, seconds)

    world = Busy()
    proxy = world.proxy("auto", quick=True)
    assert world.post(proxy, MUTATION + "#" + "x" * size)["statusCode"] == 200
    headers = [event["request"]["headers"] for _, event in world.asked]
    assert len(headers) == throttles + 1
    assert [CONTENDED_HEADER in each for each in headers] == [number >= 2 for number in range(len(headers))]
    assert (CONTENDED_HEADER in headers[-1]) is tells


def test_a_client_cannot_say_that_the_writer_is_contended() -> None:
    world = World(busy=False)
    world.post(world.proxy(), **{CONTENDED_HEADER.replace("-", "_"): "true"})
    assert CONTENDED_HEADER not in world.asked[0][1]["request"]["headers"]


def test_who_was_throttled_leaves_the_writer_to_the_queue_for_a_while() -> None:
    world = World(answers=[DONE, DONE])
    proxy = world.proxy()
    world.post(proxy)
    before = len(world.asked)
    world.post(proxy)
    assert world.functions[before:] == ["r"]


def test_the_gate_closes_for_longer_each_time_and_opens_again() -> None:
    now = 0.0
    gate = Gate(lambda: now)
    assert gate.is_open
    gate.refused()
    assert not gate.is_open
    now = 1.0
    assert gate.is_open
    for _ in range(6):
        gate.refused()
    now = 15.9
    assert not gate.is_open
    now = 31.0
    assert gate.is_open


@pytest.mark.parametrize("size", [LIMIT, 2 * LIMIT])
def test_what_is_too_large_for_the_queue_goes_the_other_way(size: int) -> None:
    world = World(busy=False)
    world.post(world.proxy("queued"), MUTATION + "#" + "x" * size)
    assert (world.functions, world.sent) == (["w"], [])


def test_the_write_has_the_clients_key_or_one_of_the_proxys_and_the_deadline() -> None:
    world = World(answers=[DONE] * 3)
    proxy = world.proxy("queued")
    world.post(proxy, idempotency_key="k")
    world.post(proxy)
    world.post(proxy, x_lamdb_timeout="0.2")
    first, second, third = world.sent
    assert (first.key, first.proxys, second.proxys) == ("k", False, True)
    assert len({first.attempt, second.attempt, second.key, third.key}) == 4
    assert third.deadline is not None
    assert third.deadline <= time.time() + 0.2
    assert world.asked[0][1]["request"]["path"] == "/writes/k"


@pytest.mark.parametrize("trouble", [deferred.pending(), Throttled("busy"), FunctionUnavailable("lost")])
def test_an_answer_is_asked_for_until_it_is_there(trouble: Any) -> None:
    world = World(answers=[trouble, trouble, DONE])
    answer = world.post(world.proxy("queued"))
    assert json.loads(answer["body"]) == {"data": {"deleteManyTag": {"count": 1}}}


def test_without_an_answer_the_truth_is_told_with_a_place_to_ask() -> None:
    world = World(answers=[deferred.pending()] * 20)
    answer = world.post(world.proxy("queued"), idempotency_key="k/1")
    assert answer["statusCode"] == 503
    assert answer["headers"]["location"] == "/writes/k%2F1"
    (error,) = json.loads(answer["body"])["errors"]
    assert error["extensions"]["code"] == "WRITE_PENDING"
    assert "retryable" not in error["extensions"]


@pytest.mark.parametrize(
    ("answers", "refuses", "counted"),
    [([DONE], False, False), ([deferred.pending()] * 20, False, True), ([], True, True)],
)
def test_what_clients_are_refused_is_counted(
    answers: list[Any], refuses: bool, counted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(answers=answers, refuses=refuses)
    world.post(world.proxy("auto"))
    assert ("RefusedRequests" in capsys.readouterr().out) is counted


def test_a_queue_that_takes_nothing_is_an_error_of_its_own() -> None:
    world = World(refuses=True)
    answer = world.post(world.proxy("queued"))
    assert answer["statusCode"] == 503
    assert "FUNCTION_UNAVAILABLE" in answer["body"]


@pytest.mark.parametrize(
    ("status", "refused", "accept", "expected"),
    [
        (400, False, "application/json", 200),
        (400, False, "application/graphql-response+json", 400),
        (422, True, "application/json", 422),
        (504, True, "application/json", 504),
        (200, False, "application/graphql-response+json", 200),
    ],
)
def test_a_failure_has_the_status_that_it_has_without_a_queue(
    status: int, refused: bool, accept: str, expected: int
) -> None:
    told = deferred.done(status, b'{"errors":[{"message":"no"}]}', refused=refused)
    world = World(answers=[told])
    answer = world.post(world.proxy("queued"), accept=accept)
    assert answer["statusCode"] == expected
    assert answer["headers"]["content-type"].startswith(accept)


def test_a_stored_response_is_told_as_one() -> None:
    told = deferred.done(200, b'{"data":{}}', refused=False, replayed=True)
    world = World(answers=[told, deferred.done(200, b'{"data":{}}', refused=False)])
    proxy = world.proxy("queued")
    answers = [world.post(proxy, idempotency_key="k") for _ in range(2)]
    assert [answer["headers"].get("x-lamdb-replayed") for answer in answers] == ["true", None]


@pytest.mark.parametrize("queued", [True, False])
@pytest.mark.parametrize("key", ["k", None])
def test_who_does_not_wait_gets_a_place_to_ask(queued: bool, key: str | None) -> None:
    world = World()
    given = {} if key is None else {"idempotency_key": key}
    answer = world.post(world.proxy("direct", queued=queued), prefer="respond-async", **given)
    (write,) = world.sent
    assert answer["statusCode"] == 202
    assert answer["headers"]["location"].startswith(f"/writes/{write.key}")
    assert (write.proxys, write.deadline) == (False, None)
    query = "" if key is None else f"?{deferred.told_apart(write.request, write.attempt)}"
    assert answer["headers"]["location"] == f"/writes/{write.key}{query}"
    assert world.asked == []


def test_queries_do_not_go_later() -> None:
    world = World(answers=[HttpResponse(200, {}, b"{}")])
    answer = world.post(world.proxy(), "{ findManyTag { name } }", prefer="respond-async")
    assert (answer["statusCode"], world.sent) == (200, [])


@dataclass
class Time:
    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def queueing(time: Time, world: World, answered_after: Callable[[], float], pushes: list[float]) -> Queueing:
    def ask(_: HttpRequest, seconds: float) -> HttpResponse:
        return DONE if time.now >= answered_after() else deferred.pending()

    def push(write: Write, seconds: float) -> None:
        pushes.append(time.now)

    return Queueing(world, ask, push, clock=lambda: time.now, sleep=time.sleep, chance=lambda: 1.0)


def write(number: int) -> Write:
    return Write(f"k{number}", f"a{number}", GraphQLRequest(MUTATION))


def test_a_turn_that_cannot_come_in_time_is_refused_at_once() -> None:
    clock, world = Time(), World()
    waits = queueing(clock, world, lambda: 1e9, [])
    for number in range(12):
        try:
            assert waits.execute(write(number), JSON, 10.0).status == 503
        except Throttled:
            break
    else:
        pytest.fail("nothing was refused")
    before = len(world.sent)
    with pytest.raises(Throttled):
        waits.execute(write(99), JSON, 2.0)
    assert len(world.sent) == before
    clock.now += 31
    waits.execute(write(100), JSON, 2.0)
    assert len(world.sent) == before + 1


def test_a_stalled_queue_is_passed_by() -> None:
    clock, pushes = Time(), []
    waits = queueing(clock, World(), lambda: 8.0, pushes)
    assert waits.execute(write(1), JSON, 20.0).status == 200
    assert len(pushes) == 1
    assert 3.0 <= pushes[0] <= 4.5


@pytest.mark.parametrize(
    ("trouble", "seconds", "again"),
    [
        (Throttled("busy"), 28.0, [0, 1, 2]),
        (Throttled("busy"), 8.0, [0, 1]),
        (Throttled("busy"), 2.5, [0]),
        (FunctionUnavailable("down"), 28.0, [0]),
        (None, 28.0, [0]),
    ],
)
def test_a_busy_writer_finds_a_stalled_write_in_the_queue_again(
    trouble: Exception | None, seconds: float, again: list[int]
) -> None:
    clock, world = Time(), World()

    def push(write: Write, seconds: float) -> None:
        if trouble is not None:
            raise trouble

    def ask(_: HttpRequest, seconds: float) -> HttpResponse:
        return deferred.pending()

    waits = Queueing(world, ask, push, clock=lambda: clock.now, sleep=clock.sleep, chance=lambda: 1.0)
    assert waits.execute(write(1), JSON, seconds).status == 503
    assert world.again == again
    assert len({each.attempt for each in world.sent}) == 1


def test_a_message_sent_again_does_not_wait_for_the_first() -> None:
    sent: list[tuple[str, str, str]] = []

    class Api:
        def send(self, body: str, group: str, deduplication: str) -> int:
            sent.append((body, group, deduplication))
            return 200

    queue = SqsQueue.__new__(SqsQueue)
    queue._api = Api()  # type: ignore[assignment]
    for again in range(3):
        queue.send(write(1), again)
    assert [len({each[part] for each in sent}) for part in range(3)] == [1, 3, 3]


def test_few_questions_are_asked_once_it_is_known_how_long_answers_take() -> None:
    clock, world = Time(), World()
    ready = [0.0]
    waits = queueing(clock, world, lambda: ready[0], [])
    for number in range(30):
        ready[0] = clock.now + 2.0
        before = waits.polls
        waits.execute(write(number), JSON, 20.0)
    assert waits.polls - before <= 4


@pytest.mark.parametrize("text", ["\ufffe", "\uffff", "\x7f", "é ☃ 😀", "a\\b"])
def test_a_message_holds_any_text_and_says_the_same(text: str) -> None:
    request = GraphQLRequest(MUTATION, {"text": text, "n": 1.5}, "name")
    sent = Write("k", "a", request, True, 12.5)
    body = sent.written()
    assert not {"\ufffe", "\uffff", "\x7f"} & set(body)
    assert Write.of(json.loads(body)["lamdb"]["write"]) == sent


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"key": "k"},
        {"key": 1, "attempt": "a", "query": "q"},
        {"key": "k", "attempt": "a", "query": None},
        {"key": "k", "attempt": "a", "query": "q", "variables": []},
        {"key": "k", "attempt": "a", "query": "q", "deadline": "soon"},
        None,
        [],
    ],
)
def test_what_holds_no_write_is_an_error_of_the_message(members: Any) -> None:
    with pytest.raises(EventError):
        Write.of(members)
