"""The studio behind the proxy: its paths, its callers, and where their statements go."""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lamdb.cluster import proxy as proxies
from lamdb.cluster.proxy import Proxy
from lamdb.cluster.runtime.observability import Observer
from lamdb.graphql.transport import studio
from lamdb.settings import Settings

HOST = "api.example.com"
JSON = {"content-type": "application/json"}
SELECT = {"requests": [{"type": "execute", "stmt": {"sql": "SELECT 1"}}, {"type": "close"}]}
INSERT = {"requests": [{"type": "execute", "stmt": {"sql": "INSERT INTO Note VALUES (1)"}}]}
ADMIN = {"authorizer": {"claims": {"sub": "u", "cognito:groups": "admins"}}}
WRITER = {"authorizer": {"claims": {"sub": "u", "cognito:groups": "others"}}}
ANSWER = {"statusCode": 200, "headers": {}, "body": '{"results":[]}', "isBase64Encoded": False}


@dataclass
class Client:
    """Sends requests to a proxy by the routes of the template, below the stage `v1`."""

    settings: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def _invoke(self, function: str, payload: bytes, seconds: float) -> bytes:
        self.asked.append((function, json.loads(payload)["lamdb"]["request"]))
        return json.dumps(ANSWER).encode()

    def send(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "",
        route: str = "",
        context: dict[str, Any] | None = None,
        sent: str = "",
        **headers: str,
    ) -> dict[str, Any]:
        given: dict[str, Any] = {"admin_groups": ("admins",), "graphiql": False} | self.settings
        settings = Settings(writer_function="w", reader_function="r", **given)
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        event = {
            "httpMethod": method or ("GET" if body is None else "POST"),
            "path": path,
            "resource": route or path,
            "headers": {"Host": HOST} | ({} if body is None else JSON) | named,
            "requestContext": {
                "path": sent or f"/v1{path}",
                "resourcePath": route or path,
                "stage": "v1",
                "domainName": HOST,
                **(context or {}),
            },
            "body": None if body is None else json.dumps(body),
        }
        if route.endswith("{proxy+}"):
            event["pathParameters"] = {"proxy": path.removeprefix(route.removesuffix("{proxy+}"))}
        return Proxy(settings, self._invoke, Observer("proxy")).handle(event, None)

    def page_file(self, name: str, **headers: str) -> dict[str, Any]:
        return self.send(f"/studio/{name}", route="/studio/{proxy+}", **headers)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files as a layer has them: compressed only."""
    (tmp_path / "app.js.gz").write_bytes(gzip.compress(b"1;"))
    monkeypatch.setattr(studio, "FILES", tmp_path)


def code_of(answer: dict[str, Any]) -> str:
    return str(json.loads(answer["body"])["errors"][0]["extensions"]["code"])


@pytest.mark.usefixtures("files")
def test_the_page_and_its_files_are_for_everybody(client: Client) -> None:
    page = client.send("/studio")
    assert (page["statusCode"], page["headers"]["content-type"]) == (200, "text/html; charset=utf-8")
    assert page["headers"]["content-security-policy"] == studio.CONTENT_SECURITY_POLICY
    for attribute in ("href", "src"):
        assert f'{attribute}="/' not in page["body"], "links are below the stage"
    packed = client.page_file("app.js", accept_encoding="gzip")
    assert (packed["headers"]["content-encoding"], packed["isBase64Encoded"]) == ("gzip", True)
    etag = packed["headers"]["etag"]
    assert client.page_file("app.js")["body"] == "1;"
    assert client.page_file("app.js", if_none_match=etag)["statusCode"] == 304
    assert client.asked == []


def test_a_slash_at_the_end_leads_to_the_page(client: Client) -> None:
    """Links of the page would else lead to `/studio/studio/…`. For API Gateway both are one route."""
    for answer in (
        client.send("/studio", sent="/v1/studio/"),
        client.send("/studio/", route="/{proxy+}"),
    ):
        assert (answer["statusCode"], answer["headers"]["location"]) == (308, "../studio")


@pytest.mark.parametrize(
    ("body", "function"),
    [(SELECT, "r"), (INSERT, "w")],
)
def test_statements_go_where_those_of_sql_go(client: Client, body: Any, function: str) -> None:
    answer = client.send(studio.DATA, body, context=ADMIN, origin=f"https://{HOST}", x_lamdb_as_of="5")
    assert (answer["statusCode"], answer["body"]) == (200, ANSWER["body"])
    ((asked, request),) = client.asked
    assert (asked, request["path"]) == (function, studio.DATA)
    assert request["headers"]["x-lamdb-sql-role"] == "admin"
    assert request["headers"]["x-lamdb-sql-principal"] == "u"
    assert request["headers"]["x-lamdb-as-of"] == "5"


@pytest.mark.parametrize(
    ("settings", "context", "role"),
    [
        ({}, ADMIN, "admin"),
        ({}, WRITER, None),
        ({}, {}, None),
        ({"admin_groups": ()}, {"authorizer": {"claims": {"lamdb_role": "admin"}}}, "admin"),
        ({"admin_groups": ()}, {"authorizer": {"claims": {"lamdb_role": "read"}}}, None),
        ({"admin_groups": ()}, {}, None),
        ({"admin_groups": (), "sql_role": "admin"}, {}, "admin"),
        (
            {"admin_groups": (), "sql_role": "admin"},
            {"authorizer": {"claims": {"lamdb_role": "write"}}},
            None,
        ),
        ({"studio": "on"}, WRITER, "write"),
        ({"studio": "on", "read_groups": ("others",)}, WRITER, "read"),
        ({"studio": "on", "read_groups": ("readers",)}, WRITER, None),
    ],
)
def test_callers_need_the_role_admin(
    settings: dict[str, Any], context: dict[str, Any], role: str | None
) -> None:
    """Unless LAMDB_STUDIO is `on`, which the template does not set."""
    client = Client(settings)
    session = client.send(studio.SESSION, context=context)
    data = client.send(studio.DATA, SELECT, context=context)
    if role is None:
        assert (session["statusCode"], code_of(session)) == (403, "FORBIDDEN")
        assert (data["statusCode"], code_of(data)) == (403, "FORBIDDEN")
        assert client.asked == []
        return
    assert session["headers"]["cache-control"] == "no-store"
    said = json.loads(session["body"])
    assert (said["role"], said["operator"], said["links"]) == (role, False, [])
    assert said["asksForToken"] is bool(context)
    assert data["statusCode"] == 200


def test_callers_by_key_can_sign_out_and_links_lead_to_graphiql() -> None:
    client = Client({"admin_groups": (), "sql_role": "admin", "graphiql": True})
    said = json.loads(client.send(studio.SESSION, context={"identity": {"apiKeyId": "k"}})["body"])
    assert said["asksForToken"] is True
    assert said["links"] == [{"name": "GraphiQL", "path": "/"}]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://api.example.com:9999", "https://API.example.com.evil"]
)
def test_pages_of_other_origins_are_refused(origin: str) -> None:
    """Settings that admit them to the API change nothing."""
    client = Client({"cors_origins": ("*",)})
    for path, body in ((studio.SESSION, None), (studio.DATA, SELECT)):
        assert client.send(path, body, context=ADMIN, origin=origin)["statusCode"] == 403
    assert client.asked == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_taken(client: Client, kind: str) -> None:
    refused = client.send(studio.DATA, SELECT, context=ADMIN, content_type=kind)
    assert (refused["statusCode"], client.asked) == (415, [])


@pytest.mark.parametrize("path", [studio.SESSION, studio.DATA])
@pytest.mark.parametrize("end", ["", "/"])
def test_the_public_route_leads_to_no_data(path: str, end: str) -> None:
    """API Gateway does not authenticate by that route, so a role by default is nobody's."""
    client = Client({"admin_groups": (), "sql_role": "admin"})
    answer = client.send(f"{path}{end}", route="/studio/{proxy+}")
    assert (answer["statusCode"], code_of(answer)) == (404, "NOT_FOUND")
    routed = {"routeKey": "GET /studio/{proxy+}", "resourcePath": None}
    assert client.send(path, route="/studio/{proxy+}", context=routed)["statusCode"] == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/studio/nothing.js", 404),
        ("GET", "/studio/../graphiql.html", 404),
        ("GET", "/studio/graphql", 404),
        ("GET", "/studio/v3", 404),
        ("POST", "/studio/v2/pipeline", 405),
        ("POST", "/studio", 405),
        ("GET", "/studiox", 404),
    ],
)
def test_other_paths(client: Client, method: str, path: str, status: int) -> None:
    assert client.send(path, method=method, route="/{proxy+}", context=ADMIN)["statusCode"] == status
    assert client.asked == []


@pytest.mark.parametrize("settings", [{"studio": "off"}, {"sql": False}])
def test_without_it_there_is_nothing(settings: dict[str, Any]) -> None:
    client = Client(settings)
    for path in ("/studio", "/studio/app.js", studio.SESSION):
        assert client.send(path, context=ADMIN)["statusCode"] == 404


def test_the_proxy_knows_its_path() -> None:
    assert proxies.STUDIO == studio.PATH
