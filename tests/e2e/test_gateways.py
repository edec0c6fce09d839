"""The examples of gateways: nginx and Caddy in front of a server, and the structure of the others' files."""

import base64
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from .conftest import ROOT, Server, run

EXAMPLES = ROOT / "examples/gateways"
SITES = ("db", "basic", "forward")
QUERY = {"query": "{ findManyTag(take: 1) { name } }"}
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CADDY = shutil.which("caddy")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Gateway:
    """A running gateway with its certificate's authority."""

    port: int
    authority: Path
    lamdb: Server
    key: str

    def send(self, site: str, path: str = "/graphql", body: Any = QUERY, **headers: str) -> httpx.Response:
        name = f"{site}.example.com"
        method = "GET" if body is None else "POST"
        context = ssl.create_default_context(cafile=str(self.authority))
        with httpx.Client(verify=context, timeout=30) as client:
            return client.request(
                method,
                f"https://127.0.0.1:{self.port}{path}",
                json=body,
                headers={"host": name, **headers},
                extensions={"sni_hostname": name},
            )


@pytest.fixture(scope="module")
def auth() -> Iterator[str]:
    """A service that lets requests pass that name `ann`."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            passes = self.path == "/verify" and self.headers.get("x-user") == "ann"
            self.send_response(204 if passes else 403)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def lamdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server, str]]:
    """A server that knows its callers, one that knows none, and a key of the former."""
    store = f"file://{tmp_path_factory.mktemp('store')}"
    hosts = ",".join(f"{site}.example.com" for site in SITES)
    plain = Server("--store", store, LAMDB_HOSTS=hosts)
    created = run("key", "create", "--name", "web", "--role", "write", "--store", store)
    assert created.returncode == 0, created.stderr
    (key,) = re.findall(r"lamdb_key_[\w-]+", created.stdout)
    knowing = Server("--store", store, LAMDB_HOSTS=hosts, LAMDB_AUTH="keys")
    yield knowing, plain, key
    knowing.close()
    plain.close()


def certificate(directory: Path) -> None:
    names = ",".join(f"DNS:{site}.example.com" for site in SITES)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", "tls.key", "-out", "tls.crt", "-days", "2", "-subj", "/CN=db.example.com"),
            *("-addext", f"subjectAltName={names}"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
    )


def nginx(directory: Path, knowing: str, plain: str, auth: str, ports: tuple[int, int]) -> list[str]:
    assert NGINX is not None
    certificate(directory)
    (directory / "users").write_text("reader:{PLAIN}a password\n")
    text = (EXAMPLES / "nginx/nginx.conf").read_text()
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # The first site's lamDB knows its callers, that of the others does not.
    first, others = text.split("# User name and password.")
    others = others.replace("proxy_pass http://lamdb;", f"proxy_pass http://{plain};")
    text = f"{first}# User name and password.{others}"
    for old, new in (
        ("http {", f"http {{\n{temporary}"),
        ("server lamdb:8000;", f"server {knowing};"),
        ("http://auth:9000", f"http://{auth}"),
        ("listen 80;", f"listen 127.0.0.1:{ports[0]};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{ports[1]} ssl;"),
        ("/etc/nginx/tls/", f"{directory}/"),
        ("/etc/nginx/users", f"{directory}/users"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    # As root its workers would be another user, who cannot read a temporary directory.
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(f"{user} daemon off; pid {directory}/pid;\n{text}")
    return [NGINX, "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")]


def caddy(directory: Path, knowing: str, plain: str, ports: tuple[int, int]) -> list[str]:
    assert CADDY is not None
    text = (EXAMPLES / "caddy/Caddyfile").read_text()
    first, others = text.split("# User name and password.")
    others = others.replace("{$LAMDB:lamdb:8000}", plain)
    (directory / "Caddyfile").write_text(f"{first}# User name and password.{others}")
    return [CADDY, "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def gateway(
    request: pytest.FixtureRequest,
    lamdb: tuple[Server, Server, str],
    auth: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    if {"nginx": NGINX, "caddy": CADDY}[request.param] is None:
        pytest.skip(f"needs the Debian package {request.param}")
    directory = tmp_path_factory.mktemp(request.param)
    directory.chmod(0o755)
    knowing, plain, key = lamdb
    addresses = knowing.url.removeprefix("http://"), plain.url.removeprefix("http://")
    ports = free_port(), free_port()
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    if request.param == "nginx":
        command = nginx(directory, *addresses, auth, ports)
        authority = directory / "tls.crt"
    else:
        command = caddy(directory, *addresses, ports)
        authority = directory / "caddy/pki/authorities/local/root.crt"
        hashed = subprocess.run(
            [str(CADDY), "hash-password", "--plaintext", "a password"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        environ |= {"LAMDB": addresses[0], "AUTH": auth, "DB_HASH": hashed, "CADDY_TLS": "internal"}
        environ |= {"HTTP_PORT": str(ports[0]), "HTTPS_PORT": str(ports[1])}
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    made = Gateway(ports[1], authority, knowing, key)
    try:
        wait_for(made, process, directory / "log")
        yield made
    finally:
        process.terminate()
        process.wait(30)


def wait_for(gateway: Gateway, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if all(gateway.send(site, "/healthz", None, **{"x-user": "ann"}).status_code for site in SITES):
                return
        except (httpx.TransportError, OSError):
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"reader:{password}".encode()).decode()


def test_lamdb_verifies_what_the_gateway_passes_on(gateway: Gateway) -> None:
    assert gateway.send("db").status_code == 401
    assert gateway.send("db", authorization="Bearer lamdb_key_wrong").status_code == 401
    found = gateway.send("db", authorization=f"Bearer {gateway.key}")
    assert (found.status_code, found.json()["data"]["findManyTag"]) == (200, [{"name": "history"}])
    assert found.headers["x-request-id"]
    assert gateway.send("db", **{"x-api-key": gateway.key}).status_code == 200


def test_users_have_passwords(gateway: Gateway) -> None:
    assert gateway.send("basic").status_code == 401
    assert gateway.send("basic", authorization=basic("wrong")).status_code == 401
    found = gateway.send("basic", authorization=basic("a password"))
    assert (found.status_code, found.json()["data"]["findManyTag"]) == (200, [{"name": "history"}])


def test_a_service_decides(gateway: Gateway) -> None:
    assert gateway.send("forward").status_code == 403
    assert gateway.send("forward", **{"x-user": "bob"}).status_code == 403
    assert gateway.send("forward", **{"x-user": "ann"}).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/admin/graphql"])
def test_operators_paths_are_closed(gateway: Gateway, path: str) -> None:
    secrets = {"authorization": f"Bearer {gateway.key}"}
    assert gateway.send("db", path, None, **secrets).status_code == 403
    headers = {"authorization": basic("a password")}
    assert gateway.send("basic", path, None, **headers).status_code == 403
    assert gateway.send("forward", path, None, **{"x-user": "ann"}).status_code == 403


def test_health_is_open_and_large_bodies_are_refused(gateway: Gateway) -> None:
    for site in ("db", "basic"):
        assert gateway.send(site, "/healthz", None).json()["status"] == "ok"
    large = {"query": "{ a }", "variables": {"text": "x" * 11_000_000}}
    assert gateway.send("basic", body=large, authorization=basic("a password")).status_code in (413, 502)


def test_sql_streams_through_the_gateway(gateway: Gateway) -> None:
    statement = {"sql": "SELECT value FROM json_each('[1, 2, 3]')"}
    steps = {"batch": {"steps": [{"stmt": statement}]}}
    found = gateway.send("db", "/v3/cursor", steps, authorization=f"Bearer {gateway.key}")
    assert found.status_code == 200
    assert len(re.findall(r'"type":"row"', found.text)) == 3


@pytest.mark.skipif(NGINX is None, reason="needs the Debian package nginx")
@pytest.mark.parametrize("gateway", ["nginx"], indirect=True)
def test_clients_that_send_too_much_are_slowed_down(gateway: Gateway) -> None:
    context = ssl.create_default_context(cafile=str(gateway.authority))
    extensions = {"sni_hostname": "db.example.com"}
    found: set[int] = set()
    with httpx.Client(verify=context, timeout=30, headers={"host": "db.example.com"}) as client:
        for _ in range(5000):
            url = f"https://127.0.0.1:{gateway.port}/healthz"
            found.add(client.get(url, extensions=extensions).status_code)
            if 429 in found:
                break
    assert found == {200, 429}


def test_names_in_traefiks_files_are_defined() -> None:
    static = yaml.safe_load((EXAMPLES / "traefik/traefik.yaml").read_text())
    http = yaml.safe_load((EXAMPLES / "traefik/dynamic.yaml").read_text())["http"]
    hosts = [re.findall(r"Host\(`([^`]+)`\)", router["rule"]) for router in http["routers"].values()]
    assert hosts == [[f"{site}.example.com"] for site in SITES]
    for router in http["routers"].values():
        assert set(router["middlewares"]) <= set(http["middlewares"])
        assert router["service"] in http["services"]
        assert set(router["entryPoints"]) <= set(static["entryPoints"])
        assert router["tls"]["certResolver"] in static["certificatesResolvers"]
        assert "!PathPrefix(`/admin/`)" in router["rule"]
        assert "!Path(`/metrics`)" in router["rule"]


def test_kongs_file_has_its_plugins_where_they_belong() -> None:
    kong = yaml.safe_load((EXAMPLES / "kong/kong.yaml").read_text())
    assert kong["_format_version"] == "3.0"
    (service,) = kong["services"]
    routes = {route["name"]: {plugin["name"] for plugin in route["plugins"]} for route in service["routes"]}
    assert routes == {"db": {"jwt"}, "basic": {"basic-auth"}, "operators": {"request-termination"}}
    assert {plugin["name"] for plugin in service["plugins"]} == {"rate-limiting", "request-size-limiting"}
    (consumer,) = kong["consumers"]
    assert {"jwt_secrets", "basicauth_credentials"} <= set(consumer)
