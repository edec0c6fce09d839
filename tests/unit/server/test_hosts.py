"""By which names a server is addressed, and which pages may use it: DNS rebinding does not reach it."""

import pytest

from lamdb.errors import Forbidden, SettingsError
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.server.hosts import Hosts
from lamdb.settings import Settings

from .test_app import QUERY, Application, Instance, Scope, Wire, code, instance, post, send, with_app

__all__ = ["instance"]


def admitted(
    headers: dict[str, str], listening: str = "127.0.0.1", *, is_health: bool = False, **settings: str
) -> bool:
    variables = {f"LAMDB_{name.upper()}": text for name, text in settings.items()}
    hosts = Hosts(Settings.load(variables), listening)
    try:
        hosts.check(HttpRequest("GET", "/", "", headers), is_health=is_health)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("localhost.:80", True),
        ("127.0.0.1:8000", True),
        ("127.9.9.9", True),
        ("[::1]:8000", True),
        ("attacker.example", False),
        ("attacker.example:8000", False),
        ("127.0.0.1.attacker.example", False),
        ("localhost.attacker.example", False),
        ("localhost@attacker.example", False),
        ("attacker.example@localhost", False),
        ("localhost/attacker", False),
        ("localhost#x", False),
        ("localhost:x", False),
        ("192.0.2.7", False),
        ("[::1", False),
        ("", False),
        ("0.0.0.0:8000", False),
        ("a" * 400, False),
    ],
)
@pytest.mark.parametrize("listening", ["127.0.0.1", "localhost", "::1"])
def test_a_loopback_server_is_addressed_by_loopback_names(host: str, expected: bool, listening: str) -> None:
    assert admitted({"host": host}, listening) is expected
    assert admitted({"host": host}, listening, is_health=True) is expected


@pytest.mark.parametrize("host", ["db.example.com", "10.0.0.7:8000", "lamdb", "[2001:db8::1]:80", ""])
@pytest.mark.parametrize("listening", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_server_that_others_reach_is_addressed_by_any(host: str, listening: str) -> None:
    assert admitted({"host": host, "origin": "https://app.example"}, listening)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("db.example.com", True),
        ("DB.example.com.:443", True),
        ("a.b.internal.example", True),
        ("internal.example", False),
        ("other.example.com", False),
        ("xdb.example.com", False),
        ("localhost:8000", True),
        ("[2001:db8::1]:80", True),
    ],
)
@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
def test_names_by_setting(host: str, expected: bool, listening: str) -> None:
    names = "db.example.com, *.internal.example, [2001:db8::1]"
    assert admitted({"host": host}, listening, hosts=names) is expected
    assert admitted({"host": host}, listening, hosts="*")


def test_load_balancers_ask_for_health_by_any_address() -> None:
    asked = {"host": "10.1.2.3:8000"}
    assert admitted(asked, "0.0.0.0", hosts="db.example.com", is_health=True)
    assert not admitted(asked, "0.0.0.0", hosts="db.example.com")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:8000", True),
        ("http://localhost:5173", True),
        ("http://127.0.0.1:3000", True),
        ("https://attacker.example", False),
        ("http://attacker.example:8000", False),
        ("http://localhost.attacker.example", False),
        ("http://localhost@attacker.example", False),
        ("null", False),
        ("", True),
        ("chrome-extension://abcdefgh", True),
        ("https://app.example", True),
    ],
)
def test_pages_of_other_sites_are_refused(origin: str, expected: bool) -> None:
    headers = {"host": "localhost:8000", "origin": origin}
    assert admitted(headers, cors_origins="https://app.example") is expected
    assert admitted(headers, cors_origins="*")


@pytest.mark.parametrize("value", ["http://db.example", "db.example:80", "a b", "*.", "a,*x", "x/y"])
def test_names_that_are_none(value: str) -> None:
    with pytest.raises(SettingsError, match="LAMDB_HOSTS"):
        Settings.load({"LAMDB_HOSTS": value})


PATHS = ["/", "/graphql", "/schema.graphql", "/healthz", "/graphiql/app.js", "/admin/graphql", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_every_route_is_guarded(instance: Instance, path: str, accept: str) -> None:
    async def test(app: Application) -> None:
        for method in ("GET", "HEAD", "OPTIONS"):
            headers = {"host": "rebound.attacker.example:8000", "accept": accept}
            status, answered, answer = await send(app, Scope(method, path, headers), Wire())
            assert (status, code(answer)) == (403, "FORBIDDEN")
            assert "access-control-allow-origin" not in answered

    with_app(instance, test)


def test_a_rebound_page_reads_nothing(instance: Instance) -> None:
    async def test(app: Application) -> None:
        for host in ("attacker.example", "attacker.example:8000"):
            status, _, answer = await send(app, *post({"query": QUERY}, host=host, origin=f"http://{host}"))
            assert (status, code(answer)) == (403, "FORBIDDEN")
        status, _, answer = await send(app, *post({"query": QUERY}, host="localhost:8000"))
        assert (status, list(answer)) == (200, ["data"])

    with_app(instance, test)


def test_headers_of_cross_origin_requests(instance: Instance) -> None:
    asking = {"origin": "https://app.example", "access-control-request-method": "POST"}

    async def test(app: Application) -> str:
        _, headers, _ = await send(app, Scope("OPTIONS", "/graphql", asking), Wire())
        return headers["access-control-allow-headers"]

    more = ("apollo-require-preflight", "x-apollo-operation-name")
    usual = with_app(instance, test, cors_origins=("https://app.example",))
    allowed = with_app(instance, test, cors_origins=("https://app.example",), cors_headers=more)
    assert allowed.split(", ") == [*usual.split(", "), *more]


def test_names_of_headers_in_settings() -> None:
    loaded = Settings.load({"LAMDB_CORS_HEADERS": "Apollo-Require-Preflight, x-a"})
    assert loaded.cors_headers == ("apollo-require-preflight", "x-a")
    for wrong in ("a b", "x:y", "ä"):
        with pytest.raises(SettingsError, match="LAMDB_CORS_HEADERS"):
            Settings.load({"LAMDB_CORS_HEADERS": wrong})


def test_the_past_can_be_closed(instance: Instance) -> None:
    async def test(app: Application) -> tuple[int, str | None]:
        status, _, answer = await send(app, *post({"query": QUERY}, x_lamdb_as_of="1"))
        return status, code(answer) if "errors" in answer else None

    assert with_app(instance, test, as_of=False) == (403, "FORBIDDEN")
    assert with_app(instance, test)[1] != "FORBIDDEN"
