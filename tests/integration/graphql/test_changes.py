"""The feed of changes: following it leads from any past state to the present one, whoever writes, and how."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.hrana.conftest import SqlClient

from lamdb.graphql.api import GraphQLRequest
from lamdb.graphql.transport.http import HttpOptions
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.streams.in_memory import Streams
from lamdb.rules.caller import Caller
from lamdb.server.instance import Instance
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage import recording as recording_module

type Json = dict[str, Any]
type State = dict[tuple[str, str], Json]

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
SCHEMA = (
    HEAD
    + """
enum Kind {
  NEWS @map("n")
  OLD
}

/// @lamdb.changes
model Post {
  id       Int      @id
  title    String   @map("the title") @unique
  kind     Kind     @default(NEWS)
  views    BigInt?
  raw      Bytes?
  meta     Json?
  score    Float?
  price    Decimal?
  on       Boolean  @default(false)
  at       DateTime?
  comments Comment[]
  @@map("posts table")
}

/// @lamdb.changes
model Comment {
  postId Int
  number Int
  text   String?
  post   Post @relation(fields: [postId], references: [id], onDelete: Cascade, onUpdate: Cascade)
  @@id([postId, number])
}

model Other {
  id Int @id
}
"""
)
POST = "id title kind views raw meta score price on at"
FIND = f"{{ findManyPost {{ {POST} }} findManyComment {{ postId number text }} }}"
CHANGES = """query ($since: String, $models: [ChangeModel!], $take: Int) {
  changes(since: $since, models: $models, take: $take) {
    next more changes { cursor txid model operation key before after }
  }
}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    return tmp_path


@pytest.fixture
def instance(folder: Path) -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(folder)), push=True) as opened:
        yield opened


def ask(instance: Instance, query: str, caller: Caller | None = None, **variables: Any) -> Any:
    result = instance.api.execute(instance.database, GraphQLRequest(query, variables, caller=caller))
    return json.loads(result.body)


def read(instance: Instance, since: str | None, caller: Caller | None = None, **arguments: Any) -> Any:
    answer = ask(instance, CHANGES, caller, since=since, **arguments)
    assert "errors" not in answer, answer
    return answer["data"]["changes"]


def refused(instance: Instance, since: str | None, **arguments: Any) -> str:
    return str(ask(instance, CHANGES, since=since, **arguments)["errors"][0]["extensions"]["code"])


def key_of(model: str, record: Json) -> tuple[str, str]:
    names = ["id"] if "id" in record else ["postId", "number"]
    return model, json.dumps({name: record[name] for name in names}, sort_keys=True)


def state_of(instance: Instance) -> State:
    data = ask(instance, FIND)["data"]
    return {key_of(model, each): each for model in ("Post", "Comment") for each in data[f"findMany{model}"]}


def apply(state: State, changes: list[Json]) -> None:
    """Follows changes; what they say about the state before must be so."""
    for change in changes:
        key = change["model"], json.dumps(json.loads(change["key"]), sort_keys=True)
        before, after = (json.loads(change[name] or "{}") for name in ("before", "after"))
        match change["operation"]:
            case "CREATE":
                assert key not in state
                state[key] = after
            case "UPDATE":
                assert {name: state[key][name] for name in before} == before
                state[key] = {**state[key], **after}
            case "DELETE":
                assert state.pop(key) == before


def follow(instance: Instance, since: str, state: State, chance: random.Random) -> str:
    """Follows the feed to its end in pages of any size, with a reconnect after any change."""
    while True:
        page = read(instance, since, take=chance.choice((1, 2, 3, 7, 1000)))
        changes = page["changes"]
        if changes and chance.random() < 0.3:
            changes = changes[: chance.randrange(len(changes)) + 1]
            since = changes[-1]["cursor"]
        else:
            since = page["next"]
            if not page["more"]:
                apply(state, changes)
                return since
        apply(state, changes)


def sql_client(database: Database) -> SqlClient:
    return SqlClient(SqlEndpoint(SqlEngine(database, busy_seconds=5), Streams(), HttpOptions()))


TITLES = ["a", "b", "c", "d", "é", "longer " * 40]
IDS = range(1, 7)
RAW, TIME = '"AAE="', '"2026-01-02T03:04:05Z"'


def mutation(chance: random.Random) -> str:
    post, title = chance.choice(IDS), json.dumps(chance.choice(TITLES))
    number = chance.choice(IDS)
    return chance.choice(
        [
            f"createOnePost(data: {{id: {post}, title: {title}, raw: {RAW}, at: {TIME}}}) {{ id }}",
            f"updateOnePost(where: {{id: {post}}}, data: {{title: {{set: {title}}}, kind: {{set: OLD}}}})"
            " { id }",
            f"updateManyPost(where: {{id: {{gt: {post}}}}}, data: {{views: {{set: {number}}},"
            " on: {set: true}}) { count }",
            f"upsertOnePost(where: {{id: {post}}}, create: {{id: {post}, title: {title}, comments: {{create: "
            f"[{{number: 1, text: {title}}}]}}}}, update: {{score: {{set: {number}.5}}}}) {{ id }}",
            f"deleteOnePost(where: {{id: {post}}}) {{ id }}",
            f"deleteManyPost(where: {{id: {{lt: {post}}}}}) {{ count }}",
            f"updateOnePost(where: {{id: {post}}}, data: {{id: {{set: {number}}}}}) {{ id }}",
            f"createOneComment(data: {{number: {number}, post: {{connect: {{id: {post}}}}}}}) {{ number }}",
            f"createOneOther(data: {{id: {number}}}) {{ id }}",
        ]
    )


def document(chance: random.Random) -> str:
    fields = [f"m{number}: {mutation(chance)}" for number in range(chance.choice((1, 1, 2, 3)))]
    return f"mutation {{ {' '.join(fields)} }}"


def statement(chance: random.Random) -> str:
    post, number = chance.choice(IDS), chance.choice(IDS)
    title = chance.choice(TITLES)
    return chance.choice(
        [
            f'INSERT OR REPLACE INTO "posts table" (id, "the title") VALUES ({post}, \'{title}\')',
            f'INSERT INTO "posts table" (id, "the title") VALUES ({post}, \'{title}\') '
            "ON CONFLICT DO UPDATE SET views = coalesce(views, 0) + 1",
            f'UPDATE OR REPLACE "posts table" SET id = {post} WHERE id = {number}',
            f"UPDATE \"posts table\" SET score = {number} / 4.0, price = {number}.25, raw = x'00ff'"
            f" WHERE id > {post}",
            'UPDATE "posts table" SET views = views',
            'DELETE FROM "posts table"',
            f"DELETE FROM Comment WHERE number = {number}",
            f"INSERT OR IGNORE INTO Comment VALUES ({post}, {number}, 't'), ({post}, {number} + 1, 'u')",
            f"INSERT INTO Comment VALUES (99, {number}, 'no such post')",
            f"INSERT INTO Other VALUES ({number})",
        ]
    )


def write(instance: Instance, sql: SqlClient, chance: random.Random) -> None:
    match chance.randrange(5):
        case 0 | 1:
            ask(instance, document(chance))
        case 2:
            sql.run(statement(chance))
        case 3:
            sql.run("BEGIN")
            for _ in range(chance.randrange(4)):
                if chance.random() < 0.3:
                    sql.run("SAVEPOINT s")
                    sql.run(statement(chance))
                    sql.run(chance.choice(("ROLLBACK TO s", "RELEASE s")))
                sql.run(statement(chance))
            sql.run(chance.choice(("COMMIT", "ROLLBACK")))
        case 4:
            jobs = [document(chance) for _ in range(4)]
            with ThreadPoolExecutor(len(jobs)) as pool:
                list(pool.map(lambda each: ask(instance, each), jobs))


@pytest.mark.parametrize("seed", range(4))
def test_following_the_feed_leads_to_the_present_state(instance: Instance, seed: int) -> None:
    chance = random.Random(seed)
    sql = sql_client(instance.database)
    late_since = since = read(instance, None)["next"]
    late: State = {}
    state: State = {}
    seen = 0
    for _ in range(60):
        before = since
        write(instance, sql, chance)
        if chance.random() < 0.4:
            since = follow(instance, since, state, chance)
            assert state == state_of(instance)
            seen += before != since
    since = follow(instance, since, state, chance)
    follow(instance, late_since, late, chance)
    assert seen > 5
    assert state == late == state_of(instance)


def test_every_change_has_the_txid_of_the_commit_that_made_it(instance: Instance) -> None:
    since = read(instance, None)["next"]
    txids = []
    for number in range(3):
        ask(instance, f'mutation {{ createOnePost(data: {{id: {number}, title: "{number}"}}) {{ id }} }}')
        txids.append(str(instance.database.txid))
    assert [each["txid"] for each in read(instance, since)["changes"]] == txids
    # A TXID is a cursor, too.
    assert [each["txid"] for each in read(instance, txids[0])["changes"]] == txids[1:]


def test_what_fails_leaves_nothing_and_commits_nothing(instance: Instance) -> None:
    ask(instance, 'mutation { createOnePost(data: {id: 1, title: "a"}) { id } }')
    since, txid = read(instance, None)["next"], instance.database.txid
    twice = 'createOnePost(data: {id: 2, title: "b"}) { id }'
    assert "errors" in ask(instance, f"mutation {{ {twice} again: {twice} }}")
    ask(instance, 'mutation { updateManyPost(data: {title: {set: "a"}}) { count } }')
    assert read(instance, since)["changes"] == []
    assert instance.database.txid - txid <= 1


def test_models_are_chosen(instance: Instance) -> None:
    since = read(instance, None)["next"]
    ask(
        instance,
        'mutation { createOnePost(data: {id: 1, title: "a", comments: {create: [{number: 1}]}}) { id } }',
    )
    assert [each["model"] for each in read(instance, since)["changes"]] == ["Post", "Comment"]
    page = read(instance, since, models=["Comment"])
    assert [each["model"] for each in page["changes"]] == ["Comment"]
    assert read(instance, page["next"])["changes"] == []
    assert read(instance, since, models=[])["changes"] == []


def test_a_large_commit_comes_in_pages(instance: Instance) -> None:
    since = read(instance, None)["next"]
    rows = [(number, f"{number} " + "x" * 300) for number in range(3000)]
    with instance.database.writer() as connection:
        connection.executemany('INSERT INTO "posts table" (id, "the title") VALUES (?, ?)', rows)
    with instance.database.reader() as connection:
        assert connection.execute("SELECT count(*) FROM _lamdb_changes").get > 5
    seen: list[Json] = []
    while True:
        page = read(instance, since, take=700)
        seen += page["changes"]
        since = page["next"]
        if not page["more"]:
            break
    assert sorted(json.loads(each["key"])["id"] for each in seen) == list(range(3000))
    assert since == str(instance.database.txid)


@pytest.mark.parametrize("since", ["", "x", "1.2", "-1", "1.2.3.4", "9" * 30])
def test_cursors_that_are_none_are_refused(instance: Instance, since: str) -> None:
    assert refused(instance, since) == "P2009"


@pytest.mark.parametrize("take", [0, -1, 1001])
def test_pages_are_bounded(instance: Instance, take: int) -> None:
    assert refused(instance, "1", take=take) == "P2009"


@pytest.mark.parametrize("rows", [1, 3000])
def test_text_that_is_no_utf_8_stops_neither_writers_nor_the_feed(ruled: Instance, rows: int) -> None:
    since = read(ruled, None)["next"]
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    with ruled.database.writer() as connection:
        connection.execute(
            f'{numbers} INSERT INTO Note (id, text, "is public", owner)'
            " SELECT i, CAST(x'ff' AS TEXT) || i, 1, CAST(x'fe' AS TEXT) FROM n",
            (rows,),
        )
    with ruled.database.writer() as connection:
        connection.execute("UPDATE Note SET raw = 'r'")
    with ruled.database.writer() as connection:
        connection.execute("DELETE FROM Note; INSERT INTO Note VALUES (1, 'a', 1, 'ann', NULL, NULL)")
    seen: list[str] = []
    while True:
        page = read(ruled, since, CALLERS["ann"], take=1000)
        seen += [each["operation"] for each in page["changes"]]
        since = page["next"]
        if not page["more"]:
            break
    assert "RESET" in seen
    assert set(seen) <= {"RESET", "CREATE"}


# Retention


def fill(instance: Instance, commits: int, size: int = 10) -> None:
    with instance.database.writer() as connection:
        connection.execute('INSERT OR IGNORE INTO "posts table" (id, "the title") VALUES (1, \'x\')')
    for _ in range(commits):
        with instance.database.writer() as connection:
            title = f"{instance.database.txid} " + "y" * size
            connection.execute('UPDATE "posts table" SET "the title" = ?', (title,))


def test_old_changes_go_and_a_cursor_before_them_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "schema.prisma").write_text(SCHEMA.replace("@lamdb.changes", "@lamdb.changes keep 60m"))
    with Instance.open(Settings(store="memory:", database=str(folder)), push=True) as instance:
        since = read(instance, None)["next"]
        fill(instance, 20)
        middle = read(instance, None)["next"]
        assert len(read(instance, since)["changes"]) == 21
        now = recording_module.time.time()
        monkeypatch.setattr(recording_module.time, "time", lambda: now + 3601)
        fill(instance, 3)
        assert refused(instance, since) == "CHANGES_NOT_KEPT"
        assert len(read(instance, middle)["changes"]) == 3


@pytest.mark.parametrize("since", [None, "1"])
def test_a_database_that_records_nothing_has_no_feed(instance: Instance, since: str | None) -> None:
    with instance.database.writer() as connection:
        recording_module.configure(connection, None)
    assert refused(instance, since) == "CHANGES_NOT_KEPT"


@pytest.mark.parametrize("size", [10, 3000])
def test_the_bytes_of_changes_are_bounded(folder: Path, size: int) -> None:
    (folder / "schema.prisma").write_text(SCHEMA.replace("@lamdb.changes", "@lamdb.changes keep 1d, 20kB"))
    with Instance.open(Settings(store="memory:", database=str(folder)), push=True) as instance:
        since = read(instance, None)["next"]
        fill(instance, 300, size)
        with instance.database.reader() as connection:
            kept = connection.execute("SELECT sum(length(content)) FROM _lamdb_changes").get
        assert 5_000 < kept <= 20 * 1024
        assert refused(instance, since) == "CHANGES_NOT_KEPT"
        recent = str(instance.database.txid - 1)
        assert len(read(instance, recent)["changes"]) == 1


def test_a_commit_that_exceeds_all_room_interrupts_the_feed(folder: Path) -> None:
    (folder / "schema.prisma").write_text(SCHEMA.replace("@lamdb.changes", "@lamdb.changes keep 8kB"))
    with Instance.open(Settings(store="memory:", database=str(folder)), push=True) as instance:
        fill(instance, 1)
        since = read(instance, None)["next"]
        fill(instance, 1, 10_000)
        assert refused(instance, since) == "CHANGES_NOT_KEPT"
        fill(instance, 1)  # which has the long text as the value before
        since = read(instance, None)["next"]
        fill(instance, 1)
        assert len(read(instance, since)["changes"]) == 1


# Schemas that change, and states that others made


def test_altered_tables_are_to_be_read_anew(instance: Instance) -> None:
    fill(instance, 1)
    since = read(instance, None)["next"]
    sql = sql_client(instance.database)
    assert sql.code('ALTER TABLE "posts table" ADD COLUMN more TEXT') is None
    fill(instance, 1)
    changes = read(instance, since)["changes"]
    assert [(each["model"], each["operation"]) for each in changes] == [
        ("Post", "RESET"),
        ("Comment", "RESET"),
        ("Post", "UPDATE"),
    ]
    assert changes[0]["key"] is changes[0]["before"] is changes[0]["after"] is None


@pytest.mark.parametrize("table", ["posts table", "Comment", "Later"])
def test_tables_that_are_dropped_and_made_again_are_to_be_read_anew(folder: Path, table: str) -> None:
    settings = Settings(store=f"file://{folder}/store", database=str(folder))
    with Instance.open(settings, push=True) as instance:
        fill(instance, 1)
    (folder / "schema.prisma").write_text(SCHEMA + "/// @lamdb.changes\nmodel Later {\n  id Int @id\n}\n")
    with Instance.open(settings, push=True) as instance:
        for _ in range(2):
            since = read(instance, None)["next"]
            with instance.database.writer(foreign_keys=False) as connection:
                found = "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY rowid"
                made = [sql for (sql,) in connection.execute(found, (table,))]
                connection.execute(f'DROP TABLE "{table}"; {"; ".join(made)}')
            operations = {each["operation"] for each in read(instance, since)["changes"]}
            assert operations == {"RESET"}


def test_other_tables_and_indexes_change_nothing(instance: Instance) -> None:
    fill(instance, 1)
    since = read(instance, None)["next"]
    sql = sql_client(instance.database)
    for each in ("CREATE INDEX i ON Comment (text)", "DROP INDEX i"):
        assert sql.code(each) is None
    fill(instance, 1)
    assert [each["operation"] for each in read(instance, since)["changes"]] == ["UPDATE"]


@pytest.mark.parametrize(
    ("old", "new", "operations"),
    [
        ("model Other {", "/// @lamdb.changes\nmodel Other {", {"RESET"}),
        ("/// @lamdb.changes\nmodel Comment", "model Comment", {"RESET"}),
        ("/// @lamdb.changes\n", "/// @lamdb.changes keep 3d\n", set()),
        ("score    Float?", "score    Float?\n  extra String?", {"RESET"}),
    ],
)
def test_a_new_schema_tells_what_to_read_anew(
    folder: Path, tmp_path: Path, old: str, new: str, operations: set[str]
) -> None:
    settings = Settings(store=f"file://{tmp_path}/store", database=str(folder))
    with Instance.open(settings, push=True) as instance:
        fill(instance, 1)
        since = read(instance, None)["next"]
    assert old in SCHEMA
    (folder / "schema.prisma").write_text(SCHEMA.replace(old, new))
    with Instance.open(settings, push=True) as instance:
        assert {each["operation"] for each in read(instance, since)["changes"]} == operations
        since = read(instance, None)["next"]
        fill(instance, 1)
        assert [each["operation"] for each in read(instance, since)["changes"]] == ["UPDATE"]


def test_a_schema_without_the_annotation_removes_the_record(folder: Path, tmp_path: Path) -> None:
    settings = Settings(store=f"file://{tmp_path}/store", database=str(folder))
    with Instance.open(settings, push=True) as instance:
        fill(instance, 1)
    (folder / "schema.prisma").write_text(SCHEMA.replace("/// @lamdb.changes\n", ""))
    with Instance.open(settings, push=True) as instance:
        fill(instance, 1)
        with instance.database.reader() as connection:
            names = "SELECT count(*) FROM sqlite_schema WHERE name IN ('_lamdb_feed', '_lamdb_changes')"
            assert connection.execute(names).get == 0
        assert "errors" in ask(instance, CHANGES, since="1")
    (folder / "schema.prisma").write_text(SCHEMA)
    with Instance.open(settings, push=True) as instance:
        since = read(instance, None)["next"]
        fill(instance, 1)
        assert len(read(instance, since)["changes"]) == 1


def test_a_restored_state_begins_the_feed_anew(instance: Instance) -> None:
    fill(instance, 2)
    past = instance.database.txid
    fill(instance, 2)
    since = read(instance, None)["next"]
    instance.database.restore(txid=past)
    for cursor in (since, str(past)):
        assert refused(instance, cursor) == "CHANGES_NOT_KEPT"
    since = read(instance, None)["next"]
    fill(instance, 1)
    assert len(read(instance, since)["changes"]) == 1


def test_writers_of_several_processes_record(folder: Path, tmp_path: Path) -> None:
    settings = Settings(store=f"file://{tmp_path}/store", database=str(folder))
    with Instance.open(settings, push=True) as one, Instance.open(settings, push=True) as other:
        since = read(one, None)["next"]
        for number in range(6):
            chosen = (one, other)[number % 2]
            chosen.database.refresh()
            ask(chosen, f'mutation {{ createOnePost(data: {{id: {number}, title: "{number}"}}) {{ id }} }}')
        one.database.refresh()
        keys = [json.loads(each["key"])["id"] for each in read(one, since)["changes"]]
        assert keys == list(range(6))


# Rules

RULED = (
    HEAD
    + """
/// @@allow('read', public || auth().sub == owner || author.trusted)
/// @@deny('read', raw == auth().banned)
/// @lamdb.changes
model Note {
  id       Int     @id
  text     String  @unique
  public   Boolean @map("is public")
  owner    String?
  raw      String?
  author   Author? @relation(fields: [authorId], references: [id])
  authorId Int?
}

/// @@allow('all', auth().admin == true)
model Author {
  id      Int     @id
  trusted Boolean
  notes   Note[]
}
"""
)
NOTES = "{ findManyNote { id text public owner raw authorId } }"
CALLERS = {
    "ann": Caller({"sub": "ann"}),
    "bob": Caller({"sub": "bob", "banned": "r1"}),
    "nobody": Caller(None),
}


@pytest.fixture
def ruled(tmp_path: Path) -> Iterator[Instance]:
    (tmp_path / "schema.prisma").write_text(RULED)
    with Instance.open(Settings(store="memory:", database=str(tmp_path)), push=True) as opened:
        opened.database.write(lambda each: each.execute("INSERT INTO Author VALUES (1, 1), (2, 0)"))
        yield opened


def sight_of(instance: Instance, caller: Caller) -> dict[int, Json]:
    return {each["id"]: each for each in ask(instance, NOTES, caller)["data"]["findManyNote"]}


def change_notes(instance: Instance, chance: random.Random, number: int) -> None:
    """Changes some notes in one commit; a new text for each that is written."""

    def work(connection: Any) -> None:
        for part in range(chance.choice((1, 1, 2))):
            values = {
                "id": chance.choice(IDS),
                "text": f"text {number}.{part}",
                "is public": int(chance.random() < 0.3),
                "owner": chance.choice(("ann", "bob", None)),
                "raw": chance.choice(("r1", "r2", None)),
                "authorId": chance.choice((1, 2, None)),
            }
            if chance.random() < 0.5:
                chosen = chance.sample(sorted(set(values) - {"id"}), k=chance.choice((1, 2)))
                assigned = ", ".join(f'"{name}" = ?' for name in chosen)
                bound = (*(values[name] for name in chosen), values["id"])
                connection.execute(f"UPDATE Note SET {assigned} WHERE id = ?", bound)
            elif chance.random() < 0.3:
                connection.execute("DELETE FROM Note WHERE id = ?", (values["id"],))
            else:
                columns = ", ".join(f'"{name}"' for name in values)
                connection.execute(
                    f"INSERT OR REPLACE INTO Note ({columns}) VALUES (?, ?, ?, ?, ?, ?)",
                    tuple(values.values()),
                )

    instance.database.write(work)


@pytest.mark.parametrize("seed", range(3))
def test_callers_see_the_changes_of_what_they_may_read(ruled: Instance, seed: int) -> None:
    chance = random.Random(seed)
    begin = read(ruled, None)["next"]
    readable: dict[str, set[str]] = {name: set() for name in CALLERS}
    states: dict[str, dict[int, Json]] = {name: {} for name in CALLERS}
    cursors = dict.fromkeys(CALLERS, begin)
    told: dict[str, int] = dict.fromkeys(CALLERS, 0)
    for number in range(80):
        change_notes(ruled, chance, number)
        for name, caller in CALLERS.items():
            sight = sight_of(ruled, caller)
            readable[name] |= {each["text"] for each in sight.values()}
            if chance.random() < 0.3 or number == 79:
                state = states[name]
                while True:
                    page = read(ruled, cursors[name], caller, take=chance.choice((1, 5, 1000)))
                    cursors[name] = page["next"]
                    for change in page["changes"]:
                        told[name] += 1
                        before, after = (json.loads(change[each] or "{}") for each in ("before", "after"))
                        assert {each["text"] for each in (before, after) if "text" in each} <= readable[name]
                        key = json.loads(change["key"])["id"]
                        if change["operation"] == "DELETE":
                            state.pop(key, None)
                        elif change["operation"] == "CREATE":
                            state[key] = after
                        elif key in state:
                            state[key] |= after
                    if not page["more"]:
                        break
                assert state == sight
    every = read(ruled, begin, take=1000)["changes"]
    assert 10 < told["nobody"] < len(every)


def test_a_model_without_rules_tells_callers_nothing(tmp_path: Path) -> None:
    schema = RULED.replace("/// @@allow('all', auth().admin == true)", "/// @lamdb.changes")
    (tmp_path / "schema.prisma").write_text(schema)
    with Instance.open(Settings(store="memory:", database=str(tmp_path)), push=True) as instance:
        since = read(instance, None)["next"]
        instance.database.write(lambda each: each.execute("INSERT INTO Author VALUES (1, 1)"))
        assert len(read(instance, since)["changes"]) == 1
        assert read(instance, since, CALLERS["ann"])["changes"] == []


def test_a_rule_that_was_not_noted_for_an_update_withholds_it(tmp_path: Path) -> None:
    settings = Settings(store=f"file://{tmp_path}/store", database=str(tmp_path))
    rules = RULED[RULED.index("/// @@allow('read'") : RULED.index("/// @lamdb.changes")]
    (tmp_path / "schema.prisma").write_text(RULED.replace(rules, "/// @@allow('read', public)\n"))
    with Instance.open(settings, push=True) as instance:
        since = read(instance, None)["next"]
        for sql in ("INSERT INTO Note VALUES (1, 'a', 1, 'ann', NULL, NULL)", "UPDATE Note SET text = 'b'"):
            instance.database.write(lambda each, sql=sql: each.execute(sql))
        changes = read(instance, since, CALLERS["ann"])["changes"]
        assert [each["operation"] for each in changes] == ["CREATE", "UPDATE"]
    (tmp_path / "schema.prisma").write_text(RULED.replace(rules, "/// @@allow('read', owner == 'ann')\n"))
    with Instance.open(settings, push=True) as instance:
        changes = read(instance, since, CALLERS["ann"])["changes"]
        assert [each["operation"] for each in changes] == ["CREATE"]
        instance.database.write(lambda each: each.execute("UPDATE Note SET text = 'c'"))
        changes = read(instance, since, CALLERS["ann"])["changes"]
        assert [each["operation"] for each in changes] == ["CREATE", "UPDATE"]
