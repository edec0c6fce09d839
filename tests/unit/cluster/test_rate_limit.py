"""The limit on mutations: a token bucket at the writer, which the proxy respects."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.graphql_blog import blog_schema, empty_blog
from tests.support.mirroring import World
from tests.unit.cluster.sources.test_writes import batch, code, names, state, write

from lamdb.cluster import proxy as proxies
from lamdb.cluster import reader, writer
from lamdb.cluster.invocation.sql_callers import PRINCIPAL_HEADER, ROLE_HEADER
from lamdb.cluster.proxy import Proxy
from lamdb.cluster.rate_limit import Rate
from lamdb.cluster.runtime.observability import Observer
from lamdb.cluster.service import FunctionRole, Service
from lamdb.cluster.sources.writes import Terms
from lamdb.errors import Throttled
from lamdb.graphql import stored_schema
from lamdb.settings import Settings

from .test_proxy import ANSWER, MUTATION, QUERY, Functions

BEYOND_RATE = {
    "statusCode": 503, "headers": {"retry-after": "1"}, "isBase64Encoded": False,
    "body": '{"errors":[{"message":"","extensions":{"code":"THROTTLED","retryable":true}}]}',
    "lamdb": ["THROTTLED", True],
}  # fmt: skip
CREATE = {"query": 'mutation { createOneTag(data: {name: "a"}) { name } }'}
COUNT = {"query": "{ findManyTag { name } }"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(rate: Rate) -> bool:
    try:
        rate.take()
    except Throttled:
        return True
    return False


@pytest.mark.parametrize(("per_second", "burst"), [(1, 1), (10, 3), (2.5, 20), (0.5, 2)])
def test_so_many_at_once_and_so_many_a_second(per_second: float, burst: int) -> None:
    clock = Clock()
    rate = Rate(per_second, burst, clock=clock)
    assert [refused(rate) for _ in range(burst + 2)] == [False] * burst + [True, True]
    clock.now += 1.001 / per_second
    assert [refused(rate), refused(rate)] == [False, True]
    clock.now += 1000 * burst / per_second
    assert [refused(rate) for _ in range(burst + 1)] == [False] * burst + [True]


def test_no_limit() -> None:
    assert Rate.of(0, 50) is None


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = (tmp_path / "store").as_uri()
    with empty_blog(url) as database, database.writer() as connection:
        stored_schema.store(connection, stored_schema.compute(blog_schema()))
    return url


def make(role: FunctionRole, store: str) -> Service:
    # The second token comes after eleven days.
    return Service(role, Settings(store=store, write_rate=1, write_burst=1))


def test_the_writer_limits_mutations_alone(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(writer.role(), store)
    assert made.rate is not None
    monkeypatch.setattr(made, "rate", Rate(1e-6, 1))
    assert made.handle(CREATE, None)["data"]
    answer = made.handle(CREATE, None)
    extensions = answer["errors"][0]["extensions"]
    assert (extensions["code"], extensions["retryable"], answer["extensions"]["lamdb"]["status"]) == (
        "THROTTLED",
        True,
        503,
    )
    assert made.handle(COUNT, None)["data"] == {"findManyTag": [{"name": "a"}]}
    assert make(reader.ROLE, store).rate is None


def test_a_queued_mutation_beyond_the_rate_is_answered_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(world.batches, "_terms", Terms(rate=Rate(1e-6, 2)))
    sent = [write("a"), write("b"), write("c"), write("a", attempt="again")]
    assert world.apply(batch(*sent)).answer == {"batchItemFailures": []}
    assert code(state(world, "c")) == "THROTTLED"
    assert state(world, "a")["response"] == {"data": {"createOneTag": {"name": "a"}}}, "done before"
    assert names(world) == {"a", "b"}
    # The same key is executed when it is sent again and there is room.
    monkeypatch.setattr(world.batches, "_terms", Terms())
    world.apply(batch(write("c", attempt="later")))
    assert names(world) == {"a", "b", "c"}


def post(proxy: Proxy, query: str) -> dict[str, Any]:
    body, headers = json.dumps({"query": query}), {"content-type": "application/json"}
    event = {"httpMethod": "POST", "path": "/graphql", "headers": headers, "body": body}
    return proxy.handle(event, None)


def test_the_proxy_passes_the_refusal_on_and_does_not_ask_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    functions = Functions([BEYOND_RATE])
    proxy = Proxy(Settings(writer_function="w", reader_function="r"), functions, Observer("proxy"))
    first, second = post(proxy, MUTATION), post(proxy, MUTATION)
    for answer in (first, second):
        assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "1")
        assert json.loads(answer["body"])["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert len(functions.asked) == 1
    assert post(proxy, QUERY)["body"] == ANSWER["body"]
    moment = proxies.time.monotonic()
    monkeypatch.setattr(proxies.time, "monotonic", lambda: moment + 2)
    assert post(proxy, MUTATION)["body"] == ANSWER["body"]


def test_sql_at_the_writer_counts_and_is_refused_in_its_own_form(store: str) -> None:
    made = Service(writer.role(), Settings(store=store, sql=True, write_rate=1, write_burst=1))
    body = {
        "requests": [{"type": "execute", "stmt": {"sql": 'INSERT INTO "Tag"(name) VALUES(?)', "args": []}}]
    }
    headers = {"content-type": "application/json", ROLE_HEADER: "write", PRINCIPAL_HEADER: "someone"}
    request = {
        "method": "POST",
        "path": "/v2/pipeline",
        "query": "",
        "headers": headers,
        "body": json.dumps(body),
    }

    def ask() -> tuple[int, Any]:
        answer = made.handle({"lamdb": {"request": request}}, None)
        return answer["statusCode"], answer.get("lamdb")

    made.rate = Rate(1e-6, 1)
    assert ask() == (200, None)
    assert ask() == (503, ("THROTTLED", True))
