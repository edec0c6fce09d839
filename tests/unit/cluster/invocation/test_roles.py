"""Roles by groups and claims: what a token allows in GraphQL and in SQL, and the callers that need none."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.graphql_blog import blog_schema, empty_blog
from tests.unit.cluster.test_proxy import MUTATION, QUERY, Functions

from lamdb.cluster import reader, writer
from lamdb.cluster.invocation import events
from lamdb.cluster.invocation.queued_mutation import Write
from lamdb.cluster.invocation.roles import caller_of, role_of
from lamdb.cluster.invocation.sql_callers import identify
from lamdb.cluster.proxy import Proxy
from lamdb.cluster.runtime.observability import Observer
from lamdb.cluster.service import Service
from lamdb.errors import Forbidden
from lamdb.graphql import stored_schema
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.rules.caller import ANONYMOUS, Caller, read_caller
from lamdb.settings import Settings

BOTH = Settings(read_groups=("readers",), write_groups=("writers",), admin_groups=("admins",))
WRITERS = Settings(write_groups=("writers", "editors"))
READERS = Settings(read_groups=("readers",))
ADMINS = Settings(admin_groups=("admins",))


def rest(**claims: Any) -> dict[str, Any]:
    """The context of a REST API with a Cognito authorizer."""
    return {"authorizer": {"claims": claims}}


def http(**claims: Any) -> dict[str, Any]:
    """The context of an HTTP API with a JWT authorizer."""
    return {"authorizer": {"jwt": {"claims": claims, "scopes": None}}}


def groups(names: str) -> dict[str, str]:
    return {"cognito:groups": names}


@pytest.mark.parametrize(
    ("settings", "named", "role"),
    [
        (BOTH, "readers", "read"),
        (BOTH, "writers", "write"),
        (BOTH, "admins", "admin"),
        (BOTH, "readers,writers", "write"),
        (BOTH, "others,readers,others2", "read"),
        (BOTH, "others", None),
        (BOTH, "", None),
        (BOTH, "READERS", None),
        (BOTH, "writers2", None),
        (WRITERS, "editors", "write"),
        (WRITERS, "others", "read"),
        (WRITERS, "", "read"),
        (READERS, "readers", "read"),
        (READERS, "others", None),
        (ADMINS, "admins", "admin"),
        (ADMINS, "others", "write"),
        (Settings(), "others", "write"),
        (Settings(), "", "write"),
    ],
)
def test_groups_decide(settings: Settings, named: str, role: str | None) -> None:
    joined_otherwise = f"[{named.replace(',', ' ')}]"
    for context in (
        rest(**groups(named)),
        http(**groups(joined_otherwise)),
        rest(**{"cognito:groups": named.split(",")}),
    ):
        if role is None:
            with pytest.raises(Forbidden, match="in no group"):
                role_of(context, settings)
        else:
            assert role_of(context, settings) == role


@pytest.mark.parametrize("context", [{}, {"authorizer": None}, {"authorizer": {}}, rest(), http(sub="a")])
def test_without_groups_in_the_request_nothing_that_needs_one_is_allowed(context: dict[str, Any]) -> None:
    for settings in (BOTH, READERS):
        with pytest.raises(Forbidden):
            role_of(context, settings)
    assert role_of(context, WRITERS) == "read"
    assert role_of(context, Settings()) == "write"
    assert role_of(context, Settings(), "admin") == "admin"


@pytest.mark.parametrize("name", ["lamdb_role", "custom:lamdb_role"])
def test_a_claim_says_the_role_where_no_groups_are_named(name: str) -> None:
    for role in ("read", "write", "admin"):
        for context in (rest(**{name: role}), http(**{name: role})):
            assert role_of(context, Settings()) == role
            assert identify(context, Settings(sql_role="read"))[0] == role
    with pytest.raises(Forbidden, match="unknown"):
        role_of(rest(**{name: "owner"}), Settings())
    # A user may be able to change an attribute; groups are assigned by administrators.
    assert role_of(rest(**{name: "admin"}, **groups("readers")), BOTH) == "read"


def test_the_role_of_sql_comes_from_groups_too() -> None:
    settings = Settings(write_groups=("writers",), sql_role="admin")
    assert identify(rest(sub="u1", **groups("writers")), settings) == ("write", "u1")
    assert identify(rest(sub="u2", **groups("")), settings) == ("read", "u2")


def event(query: str, *, path: str = "/graphql", context: dict[str, Any] | None = None) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    body = json.dumps({"query": query})
    base = {"httpMethod": "POST", "path": path, "headers": headers, "body": body}
    return {**base, "requestContext": context or {}}


def code(answer: dict[str, Any]) -> str | None:
    body = json.loads(answer["body"])
    return body["errors"][0]["extensions"]["code"] if "errors" in body else None


def proxied(settings: Settings, of: dict[str, Any]) -> tuple[int, list[str]]:
    functions = Functions()
    named = Settings(
        writer_function="w",
        reader_function="r",
        read_groups=settings.read_groups,
        write_groups=settings.write_groups,
    )
    answer = Proxy(named, functions, Observer("proxy")).handle(of, None)
    assert (answer["statusCode"] == 200) is (code(answer) is None)
    return answer["statusCode"], [name for name, _ in functions.asked]


@pytest.mark.parametrize(
    ("named", "query", "expected"),
    [
        ("readers", QUERY, (200, ["r"])),
        ("readers", MUTATION, (403, [])),
        ("writers", QUERY, (200, ["r"])),
        ("writers", MUTATION, (200, ["w"])),
        ("others", QUERY, (403, [])),
        ("others", MUTATION, (403, [])),
    ],
)
def test_the_proxy_enforces_them(named: str, query: str, expected: tuple[int, list[str]]) -> None:
    assert proxied(BOTH, event(query, context=rest(**groups(named)))) == expected


@pytest.mark.parametrize("path", ["/schema.graphql", "/writes/k", "/nowhere"])
def test_everything_but_health_needs_a_group(path: str) -> None:
    get = {"httpMethod": "GET", "path": path, "headers": {}, "requestContext": rest(**groups("others"))}
    assert proxied(BOTH, get) == (403, [])
    assert proxied(BOTH, {**get, "path": "/healthz"})[0] == 200


def test_the_state_of_a_write_is_asked_for_its_caller() -> None:
    functions = Functions()
    named = Settings(writer_function="w", reader_function="r")
    for context in (rest(sub="ann"), {}):
        get = {"httpMethod": "GET", "path": "/writes/k", "headers": {}, "requestContext": context}
        Proxy(named, functions, Observer("proxy")).handle(get, None)
    callers = [read_caller(asked["caller"]) for _, asked in functions.asked]
    assert [caller and caller.find("sub") for caller in callers] == ["ann", None]


def test_mutations_that_do_not_wait_need_it_too() -> None:
    sent = event(MUTATION, context=rest(**groups("readers")))
    sent["headers"]["prefer"] = "respond-async"
    assert proxied(BOTH, sent) == (403, [])


def test_a_claim_of_reading_only_holds_in_graphql() -> None:
    assert proxied(Settings(), event(MUTATION, context=rest(lamdb_role="read"))) == (403, [])
    assert proxied(Settings(), event(QUERY, context=rest(lamdb_role="read"))) == (200, ["r"])


def test_who_may_invoke_the_function_is_not_asked() -> None:
    functions = Functions()
    settings = Settings(writer_function="w", reader_function="r", read_groups=("readers",))
    answer = Proxy(settings, functions, Observer("proxy")).handle({"query": MUTATION}, None)
    assert "errors" not in answer
    assert [name for name, _ in functions.asked] == ["w"]


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = (tmp_path / "store").as_uri()
    with empty_blog(url) as database, database.writer() as connection:
        stored_schema.store(connection, stored_schema.compute(blog_schema()))
    return url


def test_reader_and_writer_enforce_them_where_they_are_routes(store: str) -> None:
    settings = Settings(store=store, read_groups=("readers",), write_groups=("writers",))
    create = 'mutation { createOneTag(data: {name: "a"}) { name } }'
    for role in (reader.ROLE, writer.role()):
        service = Service(role, settings)

        def ask(query: str, named: str, path: str = role.path, to: Service = service) -> str | None:
            return code(to.handle(event(query, path=path, context=rest(**groups(named))), None))

        assert ask(QUERY, "readers") is None
        assert ask(QUERY, "others") == "FORBIDDEN"
        assert ask(create, "readers") == "FORBIDDEN"
        allowed = ask(create, "writers")
        assert allowed == ("READ_ONLY" if role.read_only else None)
    headers, body = {"content-type": "application/json"}, json.dumps({"query": QUERY})
    request = {"method": "POST", "path": "/graphql", "query": "", "headers": headers, "body": body}
    assert code(Service(reader.ROLE, settings).handle({"lamdb": {"request": request}}, None)) is None


@pytest.mark.parametrize(
    ("context", "role", "caller"),
    [
        ({}, "write", ANONYMOUS),
        ({"identity": {"apiKeyId": "k"}}, "write", ANONYMOUS),
        ({"identity": {"userArn": "arn:aws:iam::1:role/x"}}, "write", None),
        ({"authorizer": {"iam": {"userArn": "arn:aws:iam::1:role/x"}}}, "write", None),
        ({"authorizer": {"claims": {"sub": "u"}}}, "admin", None),
        ({"authorizer": {"claims": {"sub": "u", "custom:t": "9"}}}, "read", {"sub": "u", "t": "9"}),
        ({"authorizer": {"jwt": {"claims": {"sub": "u", "x": "1"}}}}, "write", {"sub": "u", "x": "1"}),
        ({"authorizer": {"lambda": {"sub": "u", "t": 3}}}, "write", {"sub": "u", "t": 3}),
        ({"authorizer": {"principalId": "p"}}, "write", {"sub": "p"}),
        (
            {"authorizer": {"claims": {"sub": "u", "cognito:groups": "[a b]"}}},
            "write",
            {"sub": "u", "groups": ["a", "b"]},
        ),
    ],
)
def test_the_caller_that_rules_bind(context: Any, role: str, caller: Any) -> None:
    found = caller_of(context, role)
    if isinstance(caller, dict):
        assert found is not None
        assert found.claims is not None
        assert caller.items() <= found.claims.items()
    else:
        assert found == caller


def test_the_proxy_sends_the_caller_on() -> None:
    for caller in (None, ANONYMOUS, Caller({"sub": "u"})):
        request = HttpRequest("POST", "/graphql", "", {}, b"{}", caller)
        received = events.read(json.loads(events.envelope(request)))
        assert isinstance(received, events.Received)
        assert received.request.caller == caller
        write = Write("k", "a", GraphQLRequest("mutation { x }", caller=caller))
        assert Write.of(json.loads(write.written())["lamdb"]["write"]).request.caller == caller
    direct = events.read({"query": "{ a }"})
    assert isinstance(direct, events.Received)
    assert direct.request.caller is None
    forged = {"httpMethod": "POST", "path": "/graphql", "caller": {"trusted": True}, "headers": {}}
    outside = events.read(forged)
    assert isinstance(outside, events.Received)
    assert outside.request.caller == ANONYMOUS
