"""Deployments make the vocabulary of a search with its index: misspelt words are found from the start."""

import pytest

from lamdb.deployment.apply import push
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.search import vocabulary
from lamdb.search.engine import SearchEngine
from lamdb.search.request import SearchRequest
from lamdb.storage import Database

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
PLAIN = "model Post {\n  id Int @id @default(autoincrement())\n  title String\n}\n"
SEARCHED = f"/// @lamdb.search title\n{PLAIN}"


def test_a_deployment_makes_vocabularies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_SMALL_TABLE", 1)
    with Database.open("memory:") as database:
        push(database, PrismaSchema.parse(HEAD + PLAIN))
        with database.writer() as connection:
            connection.executemany(
                "INSERT INTO Post (title) VALUES (?)", [("terminal",), ("emulator",), ("editor",)]
            )
        schema = PrismaSchema.parse(HEAD + SEARCHED)
        push(database, schema)
        (definition,) = schema.searches
        with database.reader() as connection:
            result = SearchEngine(definition).search(connection, SearchRequest("terminl "))
        assert (result.total, result.corrected_query) == (1, "terminal ")
