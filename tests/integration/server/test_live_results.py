"""Results that count as unchanged, against the same query executed again: with rules, through schemas."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamdb.deployment import deploy
from lamdb.deployment.project import Project
from lamdb.graphql import stored_schema
from lamdb.graphql.request import GraphQLRequest
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.rules.caller import ANONYMOUS, Caller
from lamdb.server.instance import Instance
from lamdb.settings import Settings
from lamdb.storage.watched_reads import Watch

SCHEMA = """datasource db {
  provider = "sqlite"
}
/// @@allow('all', auth().sub == owner || team.open)
/// @@deny('read', banned.name == auth().sub)
/// @lamdb.search text
model Note {
  id       Int     @id @default(autoincrement())
  text     String
  owner    String
  rank     Int     @default(0)
  teamId   Int
  team     Team    @relation(fields: [teamId], references: [id])
  bannedId Int?
  banned   Banned? @relation(fields: [bannedId], references: [id])
  tags     Tag[]
}
/// @@allow('read', open || notes?[owner == auth().sub])
model Team {
  id    Int     @id
  name  String
  open  Boolean @default(false)
  notes Note[]
}
model Banned {
  id    Int    @id
  name  String
  notes Note[]
}
/// @@allow('all', true)
model Tag {
  id    Int    @id @default(autoincrement())
  name  String
  notes Note[]
}
/// @@allow('all', true)
model Noise {
  id   Int    @id @default(autoincrement())
  text String
}
"""
QUERIES = [
    "{ findManyNote(orderBy: { id: asc }) { id text team { name } tags(orderBy: { id: asc }) { name } } }",
    "{ findManyNote(where: { team: { notes: { some: { rank: { gt: 3 } } } } }) { id } }",
    "{ findManyTeam(orderBy: { id: asc }) { name notes(orderBy: { id: asc }) { text } } }",
    "{ aggregateNote { _count { _all } _max { rank } } }",
    "{ groupByNote(by: [teamId], orderBy: { teamId: asc }) { teamId _count { _all } } }",
    "{ findUniqueTag(where: { id: 2 }) { name notes(orderBy: { id: asc }) { id } } }",
    '{ searchNote(query: "word3", take: 50) { totalCount hits { node { id } } } }',
    "{ findFirstNoise(orderBy: { id: desc }) { text } findFirstTag(where: { id: 1 }) { name } }",
    '{ __type(name: "Noise") { fields { name } } }',
]
CALLERS = [None, ANONYMOUS, Caller({"sub": "ann"}), Caller({"sub": "bob"})]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    with Instance.open(Settings(store="memory:", database=str(tmp_path)), push=True) as opened:
        with opened.database.writer() as connection:
            for number in range(1, 5):
                connection.execute(
                    "INSERT INTO Team VALUES (?, ?, ?)", (number, f"team {number}", number == 1)
                )
            connection.execute("INSERT INTO Banned VALUES (1, 'bob'), (2, 'zoe')")
            connection.execute("INSERT INTO Tag (name) VALUES ('a'), ('b'), ('c')")
        yield opened


def commit(instance: Instance, chance: random.Random) -> None:
    number, team = chance.randrange(1, 30), chance.randrange(1, 5)
    owner, banned = chance.choice(["ann", "bob"]), chance.choice(["1", "2", "NULL"])
    statement = chance.choice(
        [
            "INSERT INTO Note (text, owner, teamId, bannedId)"
            f" VALUES ('word{number % 6}', '{owner}', {team}, {banned})",
            f"UPDATE Note SET text = 'word{number % 6} word3' WHERE id % 10 = {number % 10}",
            f"UPDATE Note SET owner = '{owner}', rank = {number % 8} WHERE id % 10 = {number % 10}",
            f"UPDATE Note SET bannedId = {banned} WHERE id % 10 = {number % 10}",
            f"DELETE FROM Note WHERE id = {number}",
            f"UPDATE Team SET open = NOT open WHERE id = {team}",
            f"UPDATE Banned SET name = '{owner}' WHERE id = 2",
            f"INSERT OR IGNORE INTO _NoteToTag SELECT id, {team % 3 + 1} FROM Note WHERE id % 9 = {team}",
            f"DELETE FROM _NoteToTag WHERE A % 10 = {number % 10}",
            f"UPDATE Tag SET name = 'tag {number}' WHERE id = {team}",
            *[f"INSERT INTO Noise (text) VALUES ('{number}')"] * 6,
        ]
    )
    instance.database.write(lambda connection: connection.execute(statement))


def redeploy(instance: Instance, folder: Path, step: int) -> None:
    schema = SCHEMA
    if step % 2:
        schema = schema.replace("auth().sub == owner ||", "auth().sub == owner || rank > 5 ||")
    if step % 3:
        schema = schema.replace("  text String\n}", "  text String\n  more Int?\n}")
    (folder / "schema.prisma").write_text(schema)
    deploy.push_project(instance.database, Project.at(str(folder)), is_private=True)


def asked(query: str, caller: Caller | None) -> GraphQLRequest:
    return GraphQLRequest(query, caller=caller)


@pytest.mark.parametrize("seed", range(4))
def test_no_result_that_counts_as_unchanged_is_another(instance: Instance, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    known: dict[tuple[str, int], tuple[bytes, Watch]] = {}

    def follow(query: str, number: int) -> None:
        result, watch = instance.api.follow(instance.database, asked(query, CALLERS[number]))
        assert result.executed, result.body
        known[query, number] = result.body, watch

    for query in QUERIES:
        for number in range(len(CALLERS)):
            follow(query, number)
    verdicts = {False: 0, True: 0}
    differ = 0
    for step in range(100):
        for _ in range(chance.choice([1, 1, 3])):
            commit(instance, chance)
        if step % 25 == 24:
            redeploy(instance, tmp_path, chance.randrange(6))
        for (query, number), (body, watch) in list(known.items()):
            changed = watch.has_changed()
            verdicts[changed] += 1
            now = instance.api.execute(instance.database, asked(query, CALLERS[number])).body
            if changed:
                differ += now != body
                follow(query, number)
                assert known[query, number][0] == now
            else:
                assert now == body, (query, CALLERS[number])
    assert differ > 100
    assert verdicts[False] > 400


def test_a_schema_that_changes_no_table_counts(instance: Instance) -> None:
    """Rules are in comments of the schema, of which SQLite knows nothing."""
    request = asked(QUERIES[3], CALLERS[2])
    instance.api.execute(instance.database, request)  # so that the schema of this state is known
    _, watch = instance.api.follow(instance.database, request)
    other = PrismaSchema.parse(SCHEMA.replace("auth().sub == owner ||", "rank > 5 ||"))
    made = stored_schema.compute(other)
    with instance.database.writer() as connection:
        version = connection.execute("PRAGMA schema_version").get
        assert stored_schema.store(connection, made)
        assert connection.execute("PRAGMA schema_version").get == version
    assert watch.has_changed()
