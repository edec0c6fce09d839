"""Mutations in messages, at the writer: one commit for a batch, each with its own answer, each once."""

import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from tests.support.mirroring import TAGS, World, create_tag, message, records

from lamdb.cluster import mutation_results
from lamdb.cluster.invocation.queued_mutation import SOURCE, Write
from lamdb.cluster.sources.records import read
from lamdb.errors import StoreUnavailable, TransactionTooLarge
from lamdb.graphql.digests import digest_of
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.transport import deferred
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.rules.caller import ANONYMOUS, Caller

CREATE = "mutation ($name: String!) { createOneTag(data: {name: $name}) { name } }"
REMOVE = "mutation ($name: String!) { deleteOneTag(where: {name: $name}) { name } }"


@pytest.fixture
def world() -> World:
    return World()


def write(name: str, key: str = "", query: str = CREATE, **more: Any) -> Write:
    key = key or name
    return Write(key, more.pop("attempt", f"attempt-{key}"), GraphQLRequest(query, {"name": name}), **more)


def batch(*of: Write) -> dict[str, Any]:
    return records(
        *(
            message(number, each.written(), attributes={"MessageGroupId": each.group})
            for number, each in enumerate(of)
        )
    )


def state(world: World, key: str, query: str = "", caller: Caller | None = ANONYMOUS) -> Any:
    request = HttpRequest("GET", f"/writes/{quote(key, safe='')}", query, {}, caller=caller)
    response = mutation_results.answer(world.database, request)
    return json.loads(response.body)


def code(told: Any) -> str:
    return str(told["response"]["errors"][0]["extensions"]["code"])


def names(world: World) -> set[str]:
    return {tag["name"] for tag in world.ask(TAGS)}


@pytest.mark.parametrize("proxys", [True, False])
def test_ten_writes_share_a_commit_and_each_has_its_answer(world: World, proxys: bool) -> None:
    before = world.database.txid
    sent = [write(f"n{number}", proxys=proxys) for number in range(9)]
    assert world.apply(batch(*sent, write("n0", "other"))).answer == {"batchItemFailures": []}
    assert world.database.txid == before + 1
    for number in range(9):
        told = state(world, f"n{number}")
        assert told["response"] == {"data": {"createOneTag": {"name": f"n{number}"}}}
    assert code(state(world, "other")) == "P2002"
    assert names(world) == {f"n{number}" for number in range(9)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (CREATE, "P2002"),
        ('mutation { deleteOneTag(where: {name: "nobody"}) { name } }', "P2025"),
        ("mutation ($name: String!) { nothing(name: $name) }", "P2009"),
        ("mutation ($name: String!) {", "GRAPHQL_PARSE_FAILED"),
    ],
)
def test_a_failure_is_an_answer_and_keeps_nothing_from_being_done(
    world: World, query: str, expected: str
) -> None:
    world.apply(batch(write("a")))
    report = world.apply(batch(write("b"), write("a", "bad", query), write("c")))
    assert (report.applied, report.set_aside, report.answer) == (2, 0, {"batchItemFailures": []})
    told = state(world, "bad")
    assert told["status"] == "done"
    assert code(told) == expected
    assert names(world) == {"a", "b", "c"}


def test_what_comes_again_is_not_done_again(world: World) -> None:
    world.apply(batch(write("a")))
    event = batch(write("b"), write("a", "fails"))
    world.apply(event)
    txid = world.database.txid
    # Now it could succeed, but its client has been told that it failed.
    world.ask('mutation { deleteOneTag(where: {name: "a"}) { name } }')
    for _ in range(2):
        assert world.apply(event).applied == 0
    assert names(world) == {"b"}
    assert code(state(world, "fails")) == "P2002"
    assert world.database.txid == txid + 1


def test_another_attempt_under_the_key_of_a_failure_is_executed(world: World) -> None:
    world.apply(batch(write("a")))
    world.apply(batch(write("a", "k", attempt="one")))
    world.ask('mutation { deleteOneTag(where: {name: "a"}) { name } }')
    assert state(world, "k", "attempt=two") == {"status": "pending"}
    world.apply(batch(write("a", "k", attempt="two")))
    assert state(world, "k", "attempt=two")["response"]["data"]
    assert state(world, "k")["response"]["data"]


def test_a_key_that_was_used_for_something_else_is_refused(world: World) -> None:
    first, second = write("a", "k", attempt="one"), write("b", "k", attempt="two")
    world.apply(batch(first, second))
    assert names(world) == {"a"}
    own = f"attempt=one&request={digest_of(first.request).hex()}"
    assert state(world, "k", own)["response"]["data"]
    other = f"attempt=two&request={digest_of(second.request).hex()}"
    told = state(world, "k", other)
    assert (code(told), told["httpStatus"], told["refused"]) == ("IDEMPOTENCY_MISMATCH", 422, True)


@pytest.mark.parametrize("query", [CREATE, REMOVE])
def test_only_its_caller_is_told_the_response(world: World, query: str) -> None:
    ann, bob = Caller({"sub": "ann"}), Caller({"sub": "bob"})
    first = Write("k", "one", GraphQLRequest(query, {"name": "a"}, caller=ann))
    world.apply(batch(first))
    own = deferred.told_apart(first.request, first.attempt)
    for named in ("", "attempt=one", own):
        told = state(world, "k", named, Caller({"sub": "ann", "iat": 2}))
        assert told["status"] == "done"
        assert told == state(world, "k", named, None)
        assert state(world, "k", named, bob) == state(world, "k", named) == {"status": "pending"}
    second = Write("k", "two", GraphQLRequest(query, {"name": "a"}, caller=bob))
    world.apply(batch(second))
    expected = "IDEMPOTENCY_MISMATCH" if query == CREATE else "P2025"
    assert code(state(world, "k", deferred.told_apart(second.request, "two"), bob)) == expected


@pytest.mark.parametrize(("seconds", "done"), [(-60.0, False), (-0.001, False), (60.0, True), (None, True)])
def test_a_write_that_nobody_waits_for_is_not_begun(world: World, seconds: float | None, done: bool) -> None:
    deadline = None if seconds is None else time.time() + seconds
    world.apply(batch(write("a", deadline=deadline), write("b")))
    assert names(world) == ({"a", "b"} if done else {"b"})
    told = state(world, "a")
    assert "data" in told["response"] if done else code(told) == "TIME_LIMIT"


def test_a_store_that_fails_brings_all_of_it_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    event = batch(write("a"), write("b"))
    with monkeypatch.context() as patch:
        patch.setattr(world.database, "write", failing(StoreUnavailable("down")))
        with pytest.raises(StoreUnavailable):
            world.apply(event)
    assert state(world, "a") == {"status": "pending"}
    assert world.apply(event).applied == 2


def failing(error: Exception) -> Any:
    def write(work: Any) -> Any:
        raise error

    return write


def test_what_fits_into_no_transaction_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = world.database.write, []

    def limited(work: Any) -> Any:
        calls.append(work)
        if len(calls) == 1:
            raise TransactionTooLarge("too large")
        return real(work)

    monkeypatch.setattr(world.database, "write", limited)
    report = world.apply(batch(write("a")))
    assert report.answer == {"batchItemFailures": []}
    assert code(state(world, "a")) == "TRANSACTION_TOO_LARGE"
    assert names(world) == set()


@pytest.mark.parametrize("body", ['{"lamdb": {"write": {}}}', '{"lamdb": {"write": {"key": 1}}}'])
def test_poison_is_set_aside_and_the_rest_is_done(world: World, body: str) -> None:
    event = records(message(1, body), message(2, write("a").written()), message(3, create_tag("b")))
    report = world.apply(event)
    assert (report.set_aside, report.answer) == (1, {"batchItemFailures": []})
    assert names(world) == {"a", "b"}


def test_an_invocation_brings_a_write_too(world: World) -> None:
    event = {"Records": [{"eventSource": SOURCE, "write": json.loads(write("a").written())}]}
    assert not read(event).reports
    assert world.apply(event).answer == {}
    assert state(world, "a")["response"]["data"]


@pytest.mark.parametrize("path", ["/writes/never", "/writes/never?"])
def test_what_is_not_known_is_pending(world: World, path: str) -> None:
    response = mutation_results.answer(world.database, HttpRequest("GET", path, "", {}))
    assert (response.status, response.headers["retry-after"]) == (202, "1")


def test_a_place_to_ask_tells_requests_with_one_key_apart(world: World) -> None:
    one, two = write("one", "same"), write("two", "same", attempt="second")
    world.apply(batch(one))
    world.apply(batch(two))
    told = [state(world, "same", deferred.told_apart(each.request, each.attempt)) for each in (one, two)]
    assert told[0]["response"] == {"data": {"createOneTag": {"name": "one"}}}
    assert (told[1]["httpStatus"], code(told[1])) == (422, "IDEMPOTENCY_MISMATCH")


def test_an_attempt_that_found_an_earlier_response_is_told_as_replayed(world: World) -> None:
    def replayed(attempt: str) -> bool:
        request = HttpRequest("GET", "/writes/key", f"attempt={attempt}", {})
        return mutation_results.answer(world.database, request).headers.get("x-lamdb-replayed") == "true"

    world.apply(batch(write("a", "key", attempt="first")))
    world.apply(batch(write("a", "key", attempt="second")))
    assert [replayed("first"), replayed("second"), replayed("third")] == [False, True, False]
    # A message that comes again changes nothing.
    before = world.database.txid
    world.apply(batch(write("a", "key", attempt="second")))
    assert world.database.txid == before
    assert names(world) == {"a"}
