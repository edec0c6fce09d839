"""Limits of one request: time, rows, bytes, nesting. A refused request has changed nothing."""

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from tests.support.graphql_blog import blog_engine, blog_schema, empty_blog

from lamdb.errors import LamdbError, TimeLimit
from lamdb.graphql import idempotency
from lamdb.graphql.api import Api, Result
from lamdb.graphql.idempotency import KeyOrigin, Room
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, HttpResponse, handle
from lamdb.storage import Database, NoWaiting, WouldWait
from lamdb.storage.budget import Budget, Costs, Deadline, client_gone, current

SECONDS = 0.05
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
WRITE = (
    "mutation ($name: String!) { createOneTag(data: {name: $name}) { name } executeRaw(query: "
    f'"INSERT INTO Tag {ENDLESS} SELECT \'raw\' || i FROM n", parameters: "[]") }}'
)
CREATE = "mutation ($name: String!) { createOneTag(data: {name: $name}) { name } }"
TEXT = "x" * 10_000


@pytest.fixture(scope="module")
def api() -> Api:
    return Api(blog_engine(), ApiTypes.from_dmmf(blog_schema().dmmf, raw=True))


@pytest.fixture
def database(api: Api) -> Iterator[Database]:
    with empty_blog() as opened:
        with opened.writer() as connection:
            connection.execute("INSERT INTO Tag VALUES ('a'), ('b'), ('c')")
            users = [(n, f"{n}@x", TEXT) for n in range(1, 31)]
            connection.executemany(
                "INSERT INTO User (id, email, name, role, active, created) VALUES (?, ?, ?, 'adm', 1, "
                "'2020-01-01T00:00:00.000+00:00')",
                users,
            )
            connection.executemany(
                "INSERT INTO Post (id, title, likes, authorId) VALUES (?, 'p', 0, 1)",
                [(n,) for n in range(40)],
            )
        yield opened


def ask(
    api: Api,
    database: Database,
    query: str,
    variables: Any = None,
    deadline: Deadline | None = None,
    **costs: Any,
) -> Result:
    with Budget(Costs(**costs), deadline or Deadline()):
        return api.execute(database, GraphQLRequest(query, variables))


def code(result: Result | HttpResponse) -> str:
    answer = orjson.loads(result.body)
    return str(answer["errors"][0]["extensions"]["code"]) if "errors" in answer else "OK"


def tags(database: Database) -> list[str]:
    with database.reader() as connection:
        return [str(row[0]) for row in connection.execute("SELECT name FROM Tag ORDER BY name")]


# Time


@pytest.mark.parametrize("ends", ["limit", "deadline"])
def test_a_query_without_end_is_ended(database: Database, ends: str) -> None:
    budgets = {
        "limit": Budget(Costs(query_seconds=SECONDS)),
        "deadline": Budget(Costs(query_seconds=600), Deadline.after(SECONDS)),
    }
    said = ends if ends == "deadline" else "0.05 s"
    with database.reader() as connection, pytest.raises(TimeLimit, match=said), budgets[ends]:
        connection.execute(f"{ENDLESS} SELECT count(*) FROM n").fetchall()
    assert tags(database) == ["a", "b", "c"]


def test_a_request_that_is_ended_is_not_executed(api: Api, database: Database) -> None:
    result = ask(api, database, WRITE, {"name": "x"}, mutation_seconds=SECONDS)
    assert (code(result), result.status, result.executed) == ("TIME_LIMIT", 504, False)


def test_a_mutation_without_end_changes_nothing_and_lets_others_commit(api: Api, database: Database) -> None:
    def call(number: int) -> str:
        query, seconds = (WRITE, SECONDS * 10) if number == 2 else (CREATE, 60)
        return code(ask(api, database, query, {"name": f"n{number}"}, mutation_seconds=seconds))

    with ThreadPoolExecutor(5) as pool:
        codes = list(pool.map(call, range(5)))
    assert codes == ["OK", "OK", "TIME_LIMIT", "OK", "OK"]
    assert tags(database) == ["a", "b", "c", "n0", "n1", "n3", "n4"]


def test_a_deadline_that_has_passed_executes_nothing(api: Api, database: Database) -> None:
    with pytest.raises(LamdbError, match="deadline"):
        ask(api, database, CREATE, {"name": "late"}, deadline=Deadline.after(0))
    assert tags(database) == ["a", "b", "c"]


def test_what_is_cancelled_ends_and_changes_nothing(api: Api, database: Database) -> None:
    budget, begun = Budget(Costs()), threading.Event()
    codes: list[str] = []

    def work() -> None:
        with budget:
            begun.set()
            codes.append(code(api.execute(database, GraphQLRequest(WRITE, {"name": "x"}))))

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    budget.cancel(client_gone())
    thread.join(60)
    assert codes == ["CANCELLED"]
    assert tags(database) == ["a", "b", "c"]


def test_a_budget_ends_with_its_block() -> None:
    with Budget(Costs()) as budget:
        assert current() is budget
    assert current() is None


# Size


@pytest.mark.parametrize(
    "query",
    [
        "{ findManyUser { name } }",
        "{ findManyUser(distinct: [email]) { name } }",
        "{ findManyUser(take: 1) { " + " ".join(f"n{n}: name" for n in range(30)) + " } }",
        "{ findUniqueUser(where: {id: 1}) { " + " ".join(f"n{n}: name" for n in range(30)) + " } }",
        "{" + " ".join(f"r{n}: findUniqueUser(where: {{id: {n}}}) {{ name }}" for n in range(1, 25)) + "}",
        "{ findManyPost { author { name } } }",
        "{ findUniqueUser(where: {id: 1}) { posts { author { name } } } }",
        "{ findUniqueUser(where: {id: 1}) { a: posts(take: 30) { author { name } } b: posts { id } } }",
        "mutation { updateOneUser(where: {id: 1}, data: {score: {set: 1}}) { posts { author { name } } } }",
        'mutation { queryRaw(query: "SELECT name FROM User", parameters: "[]") }',
    ],
)
def test_an_answer_that_is_too_large_is_refused(api: Api, database: Database, query: str) -> None:
    result = ask(api, database, query, max_bytes=200_000)
    assert code(result) in {"RESPONSE_TOO_LARGE", "TOO_MANY_ROWS"}
    assert result.status == 413
    assert code(ask(api, database, query, max_bytes=2_000_000)) == "OK"


def test_a_mutation_whose_answer_is_too_large_changes_nothing(api: Api, database: Database) -> None:
    query = (
        "mutation { updateOneUser(where: {id: 1}, data: {score: {set: 1}}) { posts { author { name } } } }"
    )
    assert code(ask(api, database, query, max_bytes=200_000)) == "RESPONSE_TOO_LARGE"
    with database.reader() as connection:
        assert connection.execute("SELECT count(score) FROM User").get == 0


@pytest.mark.parametrize(
    "query",
    ["{ findManyUser { id } }", "{ findManyUser(distinct: [email]) { id } }", "{ findManyPost { id } }"],
)
def test_lists_are_bounded(api: Api, database: Database, query: str) -> None:
    assert code(ask(api, database, query, max_rows=29)) == "TOO_MANY_ROWS"
    assert code(ask(api, database, query, max_rows=40)) == "OK"


# Nesting


def cyclic(levels: int, arguments: str = "") -> str:
    inner = "id"
    for _ in range(levels):
        inner = f"replies{arguments} {{ {inner} }}"
    return f"{{ findManyPost{arguments} {{ {inner} }} }}"


def test_lists_in_lists_are_counted_before_anything_runs(api: Api, database: Database) -> None:
    assert code(ask(api, database, cyclic(5))) == "OK"
    refused = ask(api, database, cyclic(8))
    assert (code(refused), refused.status) == ("QUERY_TOO_COSTLY", 422)
    assert code(ask(api, database, cyclic(30, "(take: 1)"))) == "OK"


def test_take_counts_as_what_it_is_by_literal_and_by_variable(api: Api, database: Database) -> None:
    for take, expected in ((1, "OK"), (10, "QUERY_TOO_COSTLY"), (1, "OK"), (-9, "QUERY_TOO_COSTLY")):
        assert code(ask(api, database, cyclic(9, f"(take: {take})"))) == expected
        variable = "query ($n: Int) " + cyclic(9, "(take: $n)")
        assert code(ask(api, database, variable, {"n": take})) == expected


def test_filters_are_bounded(api: Api, database: Database) -> None:
    query = "query ($w: PostWhereInput!) { findManyPost(where: $w) { id } }"
    chain = [{"likes": {"gt": n}} for n in range(5_000)]
    many = {"w": {"AND": [{"OR": chain} for _ in range(5)]}}
    assert code(ask(api, database, query, many)) == "QUERY_TOO_COSTLY"
    assert code(ask(api, database, query, {"w": {"OR": [*chain, *chain]}})) == "P2029"
    listed = {"w": {"id": {"in": list(range(25_000))}}}
    assert code(ask(api, database, query, listed)) == "OK"


# On the event loop


@pytest.mark.parametrize(
    ("query", "small", "costly"),
    [
        (
            "query ($t: String!) { findManyUser(where: {name: {contains: $t}}) { id } }",
            {"t": "y"},
            {"t": "x" * 100 + "y"},
        ),
        ("query ($n: Int!) { findManyUser(take: $n) { name } }", {"n": 1}, {"n": 30}),
        (
            "query ($w: UserWhereInput!) { findManyUser(where: $w) { id } }",
            {"w": {"id": {"equals": 1}}},
            {"w": {"OR": [{"id": {"equals": 1}}, {"id": {"equals": 2}}]}},
        ),
        (
            "query ($b: Boolean!) { findManyTag { name } __schema @include(if: $b) { types { name } } }",
            {"b": False},
            {"b": True},
        ),
        (
            "query ($n: Int!) { findUniqueUser(where: {id: $n}) { "
            + " ".join(f"n{n}: name" for n in range(30))
            + " } }",
            {"n": 1000},
            {"n": 1},
        ),
    ],
    ids=["pattern", "rows", "filter", "introspection", "aliases"],
)
def test_a_quick_attempt_is_given_up_for_what_costs_more(
    api: Api, database: Database, query: str, small: Any, costly: Any
) -> None:
    def quickly(variables: Any) -> bytes:
        options = HttpOptions(max_staleness=math.inf)
        body = orjson.dumps({"query": query, "variables": variables})
        request = HttpRequest("POST", "/graphql", "", {"content-type": "application/json"}, body)
        with NoWaiting(quick=True):
            return handle(api, database, request, options).body

    assert code(ask(api, database, query, small)) == "OK"
    assert b'"data"' in quickly(small)
    with pytest.raises(WouldWait):
        quickly(costly)
    assert code(ask(api, database, query, costly)) == "OK"


# Answers that are kept


def send(api: Api, database: Database, query: str, key: str, room: Room, **headers: str) -> HttpResponse:
    body = orjson.dumps({"query": query})
    named = {"content-type": "application/json", "idempotency-key": key, **headers}
    return handle(api, database, HttpRequest("POST", "/graphql", "", named, body), HttpOptions(room=room))


def test_of_a_large_answer_only_the_fact_is_kept(api: Api, database: Database) -> None:
    query = "mutation { updateOneUser(where: {id: 1}, data: {score: {increment: 1}}) { name score } }"
    room = Room(answer=1000)
    assert code(send(api, database, query, "k", room)) == "OK"
    again = send(api, database, query, "k", room)
    assert (code(again), again.status) == ("ANSWER_NOT_KEPT", 409)
    with database.reader() as connection:
        assert connection.execute("SELECT coalesce(score, 0) FROM User WHERE id = 1").get in (0, 1)
        assert connection.execute(f"SELECT length(response) FROM {KeyOrigin.CLIENT}").get == 0


def test_kept_answers_take_no_more_than_their_room(api: Api, database: Database) -> None:
    query = "mutation { updateOneUser(where: {id: 1}, data: {score: {set: 1}}) { name } }"
    room = Room(answer=20_000, table=60_000)
    for number in range(12):
        assert code(send(api, database, query, f"k{number}", room)) == "OK"
    with database.reader() as connection:
        (count, size) = next(
            connection.execute(f"SELECT count(*), sum(length(response)) FROM {KeyOrigin.CLIENT}")
        )
    assert (count, size <= 60_000) == (5, True)
    assert send(api, database, query, "k11", room).headers["x-lamdb-replayed"] == "true"
    assert "x-lamdb-replayed" not in send(api, database, query, "k0", room).headers
    assert idempotency.DEFAULT_ROOM.table > idempotency.DEFAULT_ROOM.answer


def test_the_client_says_how_long_it_waits(api: Api, database: Database) -> None:
    for text, expected in (
        ("0", "TIME_LIMIT"),
        ("60", "OK"),
        ("soon", "MALFORMED_REQUEST"),
        ("-1", "MALFORMED_REQUEST"),
    ):
        query = 'mutation { createOneTag(data: {name: "t"}) { name } }'
        answer = send(api, database, query, text, idempotency.DEFAULT_ROOM, **{"x-lamdb-timeout": text})
        assert code(answer) == expected
