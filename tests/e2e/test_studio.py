"""The studio in a browser: tables, edits, a million rows, the past, a phone, and readers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamdb.graphql.transport import studio

from .conftest import Server
from .test_node_clients import CHROMIUM, NODE, node

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not (NODE / "node_modules").is_dir(), reason="run `make e2e` to install the tools"),
    pytest.mark.skipif(not (studio.FILES / "app.js").is_file(), reason="the studio is not built: make build"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install the Debian package `chromium`"),
]

ROWS = 1_000_000
SCHEMA = """datasource db {
  provider = "sqlite"
}
model Note {
  id   Int     @id @default(autoincrement())
  text String
  done Boolean @default(false)
}
model Tag {
  name String @id
}
"""
# Prisma's Studio logs the queries that it gives up itself, and the browser each refusal.
EXPECTED = re.compile("AbortError: This operation was aborted|status of 40[13]")
FILL = f"""INSERT INTO Note (text)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT 'note ' || i FROM n"""

WITHOUT_KEY = (
    "CREATE TABLE Log (line TEXT)",
    "INSERT INTO Log VALUES ('same'), ('same'), (NULL)",
    "CREATE VIEW Short AS SELECT text FROM Note WHERE id <= 2",
)
"""Rows that no primary key tells apart."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "database"
    folder.mkdir()
    (folder / "schema.prisma").write_text(SCHEMA)
    return folder


def run_sql(server: Server, *texts: str, token: str = "") -> None:
    requests = [{"type": "execute", "stmt": {"sql": text}} for text in texts]
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = server.client.post("/v3/pipeline", json={"requests": requests}, headers=headers).json()
    assert [result["type"] for result in answer["results"]] == ["ok"] * len(texts), answer


def work(address: str, tmp_path: Path, pages: int, *token: str) -> dict[str, Any]:
    """The observations of a script that uses the studio below `address`.

    Its notes fill so many pages.
    """
    shots = tmp_path / "shots"
    shots.mkdir()
    seen: dict[str, Any] = node(
        "studio.mjs", address, str(CHROMIUM), str(tmp_path / "profile"), str(shots), str(pages), *token
    )
    assert [line for line in seen["console"] if not EXPECTED.search(line)] == []
    assert [line for line in seen["failures"] if not line.endswith(" net::ERR_ABORTED")] == []
    assert [url for url in seen["requests"] if not url.startswith(f"{address}/")] == []
    assert set(seen["tables"]) == {"Note", "Tag", "Log", "Short"}
    assert seen["withoutKey"] == {"Log": 3, "Short": 2}
    assert seen["width"] == 390
    return seen


def test_a_developer_edits_filters_pages_and_goes_back_in_time(
    serve: Callable[..., Server], project: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tartiflette", reason="the operator API is not compiled: `make setup` says why")
    server = serve("--store", "memory:", "--push", database=project)
    run_sql(server, FILL)
    run_sql(server, *WITHOUT_KEY)
    seen = work(server.url, tmp_path, ROWS // 25)
    assert (seen["edited"], seen["far"], seen["filtered"]) == (True, True, True)
    assert seen["insertsInThePast"] is False
    unbounded = [text for text in seen["sql"] if "count(" in text and "limit 10001" not in text]
    assert unbounded == []
    assert server.data("{ findUniqueNote(where: {id: 2}) { text } }") == {
        "findUniqueNote": {"text": "changed by keys"}
    }


def test_a_reader_sees_and_cannot_edit(serve: Callable[..., Server], project: Path, tmp_path: Path) -> None:
    tokens = {"LAMDB_SQL_TOKENS": "read:" + "r" * 20 + ", admin:" + "a" * 20}
    server = serve("--store", "memory:", "--push", database=project, **tokens)
    rows = "INSERT INTO Note (text) VALUES ('note 1'), ('note 2')"
    run_sql(server, rows, *WITHOUT_KEY, token="a" * 20)
    seen = work(server.url, tmp_path, 1, "r" * 20)
    assert seen["canInsert"] is False
    assert seen["save"] == 0
