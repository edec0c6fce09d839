"""A migration that another process deploys, seen by clients of a server that goes on running."""

import subprocess
from pathlib import Path

from .conftest import LAMDB, Server

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
OLD = HEAD + "model Thing {\n  id   Int    @id @default(autoincrement())\n  name String\n}\n"
NEW = OLD.replace("  name String\n", "  name String\n  size Int    @default(7)\n")


def migrate(*arguments: str, project: Path, store: str) -> str:
    command = [str(LAMDB), "migrate", *arguments, "--database", str(project), "--store", store]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_running_server_serves_what_another_process_deploys(tmp_path: Path) -> None:
    project, store = tmp_path / "project", f"file://{tmp_path}/store"
    project.mkdir()
    (project / "schema.prisma").write_text(OLD)
    migrate("dev", "--name", "init", project=project, store=store)
    server = Server("--store", store, database=project)
    try:
        server.data('mutation { createOneThing(data: { name: "n" }) { id } }')
        query = "{ findManyThing { name size } }"
        assert server.post(query).json()["errors"][0]["extensions"]["code"] == "P2009"
        (project / "schema.prisma").write_text(NEW)
        out = migrate("dev", "--name", "sizes", project=project, store=store)
        txid = out.strip().rpartition(" ")[2].removesuffix(".")
        answer = server.data(query, x_lamdb_txid=txid)
        assert answer == {"findManyThing": [{"name": "n", "size": 7}]}
        assert "size: Int!" in server.client.get("/schema.graphql").text
    finally:
        server.close()
