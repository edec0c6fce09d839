"""The studio on a cluster, in a browser: below a stage, with an API key, without the operator API."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamdb.graphql.transport import studio
from lamdb.storage import Database

from ..e2e.test_node_clients import CHROMIUM, NODE
from ..e2e.test_studio import SCHEMA, WITHOUT_KEY, work
from .cluster import Cluster, deploy, running
from .gateway import Gateway, Response

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not (NODE / "node_modules").is_dir(), reason="run `make e2e` to install the tools"),
    pytest.mark.skipif(not (studio.FILES / "app.js").is_file(), reason="the studio is not built: make build"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install the Debian package `chromium`"),
]

KEY = "k" * 20
NOTES = "INSERT INTO Note (text) VALUES ('note 1'), ('note 2')"


class KeyedGateway(Gateway):
    """Wants an API key for all but the page and its files, as the template's API with AuthMode API_KEY."""

    def integrate(self, event: dict[str, Any]) -> Response:
        path = event["requestContext"]["path"].removeprefix(f"/{self.stage}")
        if not studio.answers(path) or path in studio.NEED_RIGHTS:
            headers = {name.lower(): text for name, text in event["headers"].items()}
            if headers.get("x-api-key") != KEY:
                return self._own(403, "Forbidden")
            event["requestContext"].setdefault("identity", {})["apiKeyId"] = "the first"
        return super().integrate(event)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    with running(tmp_path, sql=True) as cluster:
        for name, text in cluster.s3.environment.items():
            monkeypatch.setenv(name, text)
        deploy(cluster.s3.url, SCHEMA)
        variables = {"LAMDB_STUDIO": "auto", "LAMDB_SQL_ROLE": "admin", "LAMDB_GRAPHIQL": "false"}
        cluster.proxy.variables = {**cluster.proxy.variables, **variables}
        yield cluster


def test_an_administrator_edits_and_goes_back_in_time(cluster: Cluster, tmp_path: Path) -> None:
    with Database.open(cluster.s3.url) as database, database.writer() as connection:
        for text in (NOTES, *WITHOUT_KEY):
            connection.execute(text)
    gateway = KeyedGateway(cluster.proxy)
    try:
        seen = work(gateway.url, tmp_path, 1, KEY)
    finally:
        gateway.close()
    assert gateway.refused == {403: 1}, "the page asks for a key and sends it from then on"
    assert (seen["canInsert"], seen["edited"], seen["insertsInThePast"]) == (True, True, False)
    assert not [url for url in seen["requests"] if "/admin/" in url]
    written = cluster.post("{ findUniqueNote(where: {id: 2}) { text } }")
    assert written.body["data"] == {"findUniqueNote": {"text": "changed by keys"}}
