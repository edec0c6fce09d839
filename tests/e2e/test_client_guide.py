"""The examples of docs/clients.md, run as they stand there against the demo."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Server

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/clients.md").read_text()
NODE_PACKAGES = Path(__file__).parent / "node/node_modules"
CLIENTS_PYTHON = ROOT / ".venv-clients/bin/python"
ADDRESS = "http://127.0.0.1:8000"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (NODE_PACKAGES / "@apollo/client").is_dir(),
    reason="run `make e2e` to install the tools",
)


def has_gql() -> bool:
    asked = [CLIENTS_PYTHON, "-c", "import gql, httpx"]
    return CLIENTS_PYTHON.exists() and subprocess.run(asked, capture_output=True).returncode == 0


def example(title: str) -> str:
    (code,) = re.findall(rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```$', GUIDE, re.MULTILINE | re.DOTALL)
    return str(code)


def node(directory: Path, name: str, server: Server, source: str | None = None) -> str:
    """The output of an example, or of a script beside the examples."""
    if not (directory / "node_modules").exists():
        (directory / "node_modules").symlink_to(NODE_PACKAGES)
    for title in ("session.mjs", "request.mjs", "apollo.mjs", "urql.mjs"):
        (directory / title).write_text(example(title).replace(ADDRESS, server.url))
    if source is not None:
        (directory / name).write_text(source.replace(ADDRESS, server.url))
    done = subprocess.run(
        ["node", name],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def two_tags(server: Server) -> list[dict[str, str]]:
    found: list[dict[str, str]] = server.data("{ findManyTag(take: 2, orderBy: {id: asc}) { name } }")[
        "findManyTag"
    ]
    assert len(found) == 2
    return found


@needs_node
@pytest.mark.node
@pytest.mark.parametrize("name", ["request.mjs", "apollo.mjs", "urql.mjs"])
def test_the_clients_in_javascript(demo: Server, tmp_path: Path, name: str) -> None:
    assert json.loads(node(tmp_path, name, demo)) == two_tags(demo)


@needs_node
@pytest.mark.node
def test_the_session_token_is_passed_on(demo: Server, tmp_path: Path) -> None:
    source = """
import { sessionFetch } from "./session.mjs";
const seen = [];
const real = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  seen.push(new Headers(options.headers).get("x-lamdb-txid"));
  const response = await real(url, options);
  seen.push(response.headers.get("x-lamdb-txid"));
  return response;
};
const send = (query) => sessionFetch("http://127.0.0.1:8000/graphql", {
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ query }),
});
await send('mutation { createOneTag(data: {name: "session"}) { id } }');
await send("{ findManyTag { name } }");
console.log(JSON.stringify(seen));
"""
    before, written, sent, read = json.loads(node(tmp_path, "tokens.mjs", demo, source))
    assert before is None
    assert written == sent
    assert int(read) >= int(written) > 0


PERSISTED = """
import { createHash } from "node:crypto";
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { createPersistedQueryLink } from "@apollo/client/link/persisted-queries";
const sent = [];
const http = new HttpLink({ uri: "http://127.0.0.1:8000/graphql", fetch: async (url, options) => {
  const asked = options.method === "GET"
    ? Object.fromEntries(new URL(url).searchParams) : JSON.parse(options.body);
  const response = await fetch(url, options);
  const { errors } = await response.clone().json();
  const shape = `${options.method} ${["query", "extensions"].filter((name) => name in asked).join("+")}`;
  sent.push(`${shape} ${errors?.[0].extensions.code ?? response.status}`);
  return response;
} });
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const link = createPersistedQueryLink({ sha256, useGETForHashedQueries: process.argv[2] === "GET" });
const client = new ApolloClient({ link: link.concat(http), cache: new InMemoryCache() });
const name = process.argv[3];
const found = gql`query Found($name: String!) { findManyTag(where: {name: {equals: $name}}) { id name } }`;
const create = gql`mutation Create($name: String!) { createOneTag(data: {name: $name}) { id name } }`;
const answers = [];
for (const each of [name, name + "2"]) {
  const { data } = await client.mutate({ mutation: create, variables: { name: each } });
  answers.push(data.createOneTag.name);
  const options = { query: found, variables: { name: each }, fetchPolicy: "no-cache" };
  answers.push((await client.query(options)).data.findManyTag[0].name);
}
console.log(JSON.stringify({ answers, sent }));
"""


def persisted(directory: Path, server: Server, method: str, name: str) -> dict[str, list[str]]:
    node(directory, "request.mjs", server)  # writes the files
    (directory / "persisted.mjs").write_text(PERSISTED.replace(ADDRESS, server.url))
    done = subprocess.run(
        ["node", "persisted.mjs", method, name],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


@needs_node
@pytest.mark.node
def test_apollo_sends_each_document_once(tmp_path: Path) -> None:
    server = Server("--store", "memory:")
    try:
        get = persisted(tmp_path, server, "GET", "persisted")
        post = persisted(tmp_path, server, "POST", "again")
        guide = json.loads(node(tmp_path, "apollo-persisted.mjs", server, example("apollo-persisted.mjs")))
    finally:
        server.close()
    assert get["answers"] == ["persisted", "persisted", "persisted2", "persisted2"]
    assert get["sent"] == [
        "POST extensions PERSISTED_QUERY_NOT_FOUND",
        "POST query+extensions 200",
        "GET extensions PERSISTED_QUERY_NOT_FOUND",
        "POST query+extensions 200",
        "POST extensions 200",
        "GET extensions 200",
    ]
    assert post["sent"] == ["POST extensions 200"] * 4
    assert len(guide) == 2


@needs_node
@pytest.mark.node
def test_apollo_sends_documents_to_a_server_that_keeps_none(tmp_path: Path) -> None:
    server = Server("--store", "memory:", LAMDB_PERSISTED_QUERIES="0")
    try:
        told = persisted(tmp_path, server, "GET", "persisted")
    finally:
        server.close()
    assert told["answers"] == ["persisted", "persisted", "persisted2", "persisted2"]
    refused, *others = told["sent"]
    assert refused == "POST extensions PERSISTED_QUERY_NOT_SUPPORTED"
    assert [each.startswith("POST query") for each in others] == [True] * 4, "the hash is tried once"


@needs_node
@pytest.mark.node
def test_types_are_generated_with_the_scalars_of_the_guide(demo: Server, tmp_path: Path) -> None:
    source = """
import { buildClientSchema, getIntrospectionQuery, parse, printSchema } from "graphql";
import { codegen } from "@graphql-codegen/core";
import * as types from "@graphql-codegen/typescript";
import * as operations from "@graphql-codegen/typescript-operations";
import settings from "./codegen.mjs";
const asked = await fetch(settings.schema, {
  method: "POST", headers: { "content-type": "application/json" },
  body: JSON.stringify({ query: getIntrospectionQuery({ specifiedByUrl: true }) }),
});
const schema = parse(printSchema(buildClientSchema((await asked.json()).data)));
const document = parse("query Articles { findManyArticle { createdAt views author { role } } }");
console.log(await codegen({
  schema, documents: [{ location: "a.ts", document }], filename: "types.ts", config: settings.config,
  plugins: [{ types: {} }, { operations: {} }], pluginMap: { types, operations },
}));
"""
    (tmp_path / "codegen.mjs").write_text(example("codegen.ts").replace(ADDRESS, demo.url))
    generated = node(tmp_path, "generate.mjs", demo, source)
    assert re.search(r"DateTime: \{ input: string; output: string;? \}", generated)
    assert re.search(r"BigInt: \{ input: string \| number; output: string;? \}", generated)
    assert "any" not in re.findall(r"\b(?:input|output): (\w+)", generated)
    assert "createdAt: string" in generated


@pytest.mark.skipif(not has_gql(), reason="run `make e2e` to install the clients in Python")
def test_the_client_in_python(demo: Server, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [CLIENTS_PYTHON, "-c", str(code).replace(ADDRESS, demo.url)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed, transaction = done.stdout.splitlines()
    assert printed == str(two_tags(demo))
    assert re.fullmatch(r"transaction \d+", transaction)
