"""After any write to a database, its index agrees with its rows, and a search finds what a scan would."""

import json
import re
import tempfile
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

import apsw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.mirroring import Letters, records, stream

from lamdb.cluster.sources.batches import Batches
from lamdb.errors import MigrationError
from lamdb.graphql import stored_schema
from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.from_settings import serving
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.searches import search_faults
from lamdb.prisma.query.engine import QueryEngine
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.backup.importing import import_file
from lamdb.storage.backup.restore import restore_file
from lamdb.storage.stores.url import open_store

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
MODELS = """
/// @lamdb.search title^3 body tags.name owner.name more owner.more.list
/// @lamdb.search.facets kind tags.name more.list owner.more
/// @lamdb.search.rank views
/// @lamdb.mirror dynamodb:Docs
/// @lamdb.key id
model Doc {
  id      Int     @id @default(autoincrement())
  title   String
  body    String?
  kind    String?
  views   Int     @default(0)
  ownerId String?
  owner   Owner?  @relation(fields: [ownerId], references: [id], onDelete: Cascade)
  tags    Tag[]
  more    Json?
}
/// @lamdb.search name
/// @lamdb.mirror dynamodb:Owners
model Owner {
  id    String @id
  name  String
  age   Int?
  docs  Doc[]
  more  Json?
}
/// @lamdb.mirror dynamodb:Tags
/// @lamdb.key id
model Tag {
  id   Int    @id @default(autoincrement())
  name String @unique
  docs Doc[]
}
"""
VARIANTS = [
    MODELS,
    MODELS.replace("kind    String?", 'kind    String  @default("some")'),
    MODELS.replace("age   Int?", "age   Float @default(1)"),
    MODELS.replace(" owner.name more", " more").replace("title^3", "title"),
    MODELS.replace(" owner.more.list\n", "\n").replace(" more.list", " more"),
    MODELS.replace("body    String?", 'body    String  @default("red")'),
    MODELS.replace("name String @unique", 'name String @unique @default("blue")'),
]
WORDS = ["3", "red", "blue", "green", "redder", "a1"]
TEXT = st.lists(st.sampled_from([*WORDS, "x'\"y", "Ünder", "-"]), max_size=3).map(" ".join)
MORE = st.one_of(
    st.recursive(
        st.one_of(TEXT, st.sampled_from(WORDS), st.none(), st.booleans(), st.integers(-1, 9), st.just(1.5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2),
            st.dictionaries(st.sampled_from(["list", "other"]), inner, max_size=2),
        ),
        max_leaves=5,
    ).map(json.dumps),
    st.sampled_from(["red", '{"list": ["blue"', "", '"a1"', '[{"list": "green"}, {"list": ["a1"]}]']),
)
"""JSON, and texts that are none."""
ID = st.integers(1, 4)
OWNER = st.sampled_from(["o1", "o2", "o3"])
APIS = serving(Settings())
"""The APIs of stored schemas, by which events are applied."""


@cache
def served(models: str) -> tuple[PrismaSchema, Api]:
    schema = PrismaSchema.parse(HEAD + models)
    return schema, Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))


@cache
def stored(models: str) -> stored_schema.Deployable:
    return stored_schema.compute(served(models)[0])


def deploy(database: Database, models: str) -> None:
    with database.writer() as connection:
        migrate.push(connection, served(models)[0], force=True)
        stored_schema.store(connection, stored(models))


def literal(value: Any) -> str:
    return json.dumps(value)


GRAPHQL = st.one_of(
    st.builds(
        lambda title, owner, tag: (
            f"createOneDoc(data: {{ title: {literal(title)}, kind: {literal(title)},"
            f" owner: {{ connectOrCreate: {{ where: {{ id: {literal(owner)} }},"
            f" create: {{ id: {literal(owner)}, name: {literal(title)} }} }} }},"
            f" tags: {{ connectOrCreate: {{ where: {{ name: {literal(tag)} }},"
            f" create: {{ name: {literal(tag)} }} }} }}"
            " }) { id }"
        ),
        TEXT, OWNER, TEXT,
    ),
    st.builds(
        lambda id_, text: (
            f"upsertOneDoc(where: {{ id: {id_} }}, create: {{ title: {literal(text)} }},"
            f" update: {{ body: {literal(text)}, more: [{literal(text)}, 3],"
            " views: { increment: 1 } }) { id }"
        ),
        ID, TEXT,
    ),
    st.builds(lambda id_: f"deleteManyDoc(where: {{ id: {id_} }}) {{ count }}", ID),
    st.builds(
        lambda id_, text: (
            f"updateManyTag(where: {{ id: {id_} }}, data: {{ name: {literal(text)} }}) {{ count }}"
        ),
        ID, TEXT,
    ),
    st.builds(
        lambda owner, text: (
            f"updateManyOwner(where: {{ id: {literal(owner)} }},"
            f" data: {{ name: {literal(text)} }}) {{ count }}"
        ),
        OWNER, TEXT,
    ),
    st.builds(lambda owner: f"deleteManyOwner(where: {{ id: {literal(owner)} }}) {{ count }}", OWNER),
    st.builds(
        lambda id_, tag: (
            f"updateManyDoc(where: {{ tags: {{ some: {{ id: {tag} }} }}, id: {id_} }},"
            ' data: { title: "green" }) { count }'
        ),
        ID, ID,
    ),
).map(lambda field: ("graphql", f"mutation {{ {field} }}"))  # fmt: skip
INSERTS = st.sampled_from(["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"])
SQL = st.one_of(
    st.builds(
        lambda insert, id_, text: (f"{insert} INTO Doc (id, title) VALUES (?, ?)", (id_, text)),
        INSERTS, ID, TEXT,
    ),
    st.builds(lambda old, new: ("UPDATE Doc SET id = ? WHERE id = ?", (old, new)), ID, ID),
    st.builds(lambda id_, text: ("UPDATE Doc SET body = ? || body WHERE id >= ?", (text, id_)), ID, TEXT),
    st.builds(lambda old, new: ("UPDATE OR IGNORE Owner SET id = ? WHERE id = ?", (old, new)), OWNER, OWNER),
    st.builds(lambda id_, tag: ("INSERT OR IGNORE INTO _DocToTag VALUES (?, ?)", (id_, tag)), ID, ID),
    st.builds(lambda id_: ("DELETE FROM _DocToTag WHERE A = ?", (id_,)), ID),
    st.builds(lambda id_: ("DELETE FROM Tag WHERE id = ?", (id_,)), ID),
    st.builds(lambda id_, more: ("UPDATE Doc SET more = ? WHERE id = ?", (more, id_)), ID, MORE),
    st.builds(lambda id_, more: ("UPDATE Owner SET more = ? WHERE id = ?", (more, id_)), OWNER, MORE),
).map(lambda statement: ("sql", statement))  # fmt: skip
SEQUENCE = st.integers(1, 30)
"""So few numbers that some records repeat, and some follow newer ones."""
EVENT_NAME = st.sampled_from(["INSERT", "MODIFY", "MODIFY", "REMOVE"])


def optional(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Attributes of an item, of which any may be missing."""
    return st.fixed_dictionaries({}, optional=strategies)


OWNER_RECORD = st.builds(
    partial(stream, table="Owners"),
    SEQUENCE, EVENT_NAME, OWNER, optional(name=TEXT, age=st.integers(0, 99)),
)  # fmt: skip
RECORD = st.one_of(
    OWNER_RECORD,
    st.builds(
        partial(stream, table="Docs"),
        SEQUENCE, EVENT_NAME, ID,
        optional(
            title=TEXT, body=st.none() | TEXT, kind=TEXT, views=st.integers(0, 9) | TEXT,
            ownerId=st.none() | OWNER,
        ),
    ),
    st.builds(partial(stream, table="Tags"), SEQUENCE, EVENT_NAME, ID, optional(name=TEXT)),
)  # fmt: skip
MIRROR = st.lists(RECORD, min_size=1, max_size=5).map(lambda batch: ("mirror", batch))
MIGRATION = st.integers(0, len(VARIANTS) - 1).map(lambda number: ("migrate", number))
RESTORE = st.integers(0, 5).map(lambda back: ("restore", back))
IMPORT = st.just(("import", None))
STEPS = st.lists(
    st.one_of(GRAPHQL, GRAPHQL, SQL, SQL, SQL, MIRROR, MIRROR, MIGRATION, RESTORE, IMPORT), max_size=14
)


def do(database: Database, models: str, step: tuple[str, Any]) -> str:
    """One step; the models after it."""
    kind, what = step
    if kind == "graphql":
        served(models)[1].execute(database, GraphQLRequest(what))
    elif kind == "sql":
        try:
            with database.writer() as connection:
                connection.execute(*what)
        except apsw.ConstraintError:
            pass
    elif kind == "mirror":
        answer = Batches(database, APIS, Letters()).apply(records(*what)).answer
        assert answer == {"batchItemFailures": []}
    else:
        try:
            deploy(database, VARIANTS[what])
        except MigrationError:
            return models
        return VARIANTS[what]
    return models


def imported(database: Database) -> Database:
    """A new database, made of a file that the other was exported to."""
    made = Database(open_store("memory:"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported.db"
        restore_file(database.pages.replica, database.txid, path)
        import_file(made, path, Path(folder))
    return made


def copied(connection: apsw.Connection) -> apsw.Connection:
    """A copy in memory, which can be written as FTS5's check demands."""
    copy = apsw.Connection(":memory:")
    with copy.backup("main", connection, "main") as backup:
        backup.step()
    return copy


def values_in(text: str | None, *keys: str) -> list[str]:
    """The texts and numbers that keys lead to in a JSON text; none in a text that is no JSON."""

    def below(value: Any) -> Any:
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    try:
        whole = None if text is None else json.loads(text)
    except ValueError:
        return []
    found = [below(each) for each in whole] if isinstance(whole, list) else below(whole)
    listed = found if isinstance(found, list) else [found]
    return [
        str(each) for each in listed if isinstance(each, str | int | float) and not isinstance(each, bool)
    ]


def check(connection: apsw.Connection) -> None:
    assert search_faults(connection) == []
    scanned = {}
    for docid, more, owners, *texts in connection.execute(
        "SELECT d.id, d.more, o.more, d.title, d.body, o.name, group_concat(t.name, ' ') FROM Doc d"
        " LEFT JOIN Owner o ON o.id = d.ownerId LEFT JOIN _DocToTag j ON j.A = d.id"
        " LEFT JOIN Tag t ON t.id = j.B GROUP BY d.id"
    ):
        found = [str(text) for text in texts if text is not None]
        found += [*values_in(more), *values_in(owners, "list")]
        scanned[docid] = set(re.findall(r"\w+", " ".join(found).lower()))
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(Doc_search)")}
    for word in WORDS if {"owner_name", "owner_more_list"} <= columns else ():
        found = {rowid for (rowid,) in connection.execute("SELECT rowid FROM Doc_search(?)", (word,))}
        assert found == {docid for docid, words in scanned.items() if word in words}
    owners = {rowid for (rowid,) in connection.execute("SELECT rowid FROM Owner_search('red')")}
    names = connection.execute("SELECT rowid, name FROM Owner").fetchall()
    assert owners == {rowid for rowid, name in names if "red" in re.findall(r"\w+", str(name).lower())}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_an_index_is_true_after_any_writes(steps: list[tuple[str, Any]]) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(Database(open_store("memory:")))
        models = MODELS
        deploy(database, models)
        past = [(database.txid, models)]
        for kind, what in steps:
            if kind == "restore":
                txid, models = past[max(0, len(past) - 1 - what)]
                database.restore(txid=txid)
            elif kind == "import":
                database = stack.enter_context(imported(database))
                past = []
            else:
                models = do(database, models, (kind, what))
            past.append((database.txid, models))
        with database.writer() as connection:
            check(connection)
        with database.as_of(txid=past[len(past) // 2][0]) as connection:
            check(copied(connection))


STREAMED = st.one_of(
    OWNER_RECORD,
    st.builds(
        partial(stream, table="Docs"),
        SEQUENCE, EVENT_NAME, ID,
        optional(
            title=TEXT, body=st.none() | TEXT, kind=st.sampled_from(["", "a"]), views=st.integers(0, 9)
        ),
    ),
)  # fmt: skip
REQUIRED = {"Owner": "name", "Doc": "title"}
NULLABLE = {"Owner": ["age"], "Doc": ["body", "kind"]}
FACETS = ", facets: [{ field: kind }]", "facets { values { value count } }"


def answered(database: Database, document: str) -> Any:
    answer = json.loads(served(MODELS)[1].execute(database, GraphQLRequest(document)).body)
    assert "errors" not in answer, answer
    return answer


class Items:
    """The records that a mirror must have after the records of streams: each from its newest image."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Any], dict[str, Any]] = {}
        self._newest: dict[tuple[str, Any], int] = {}

    def take(self, record: dict[str, Any]) -> None:
        """An image that lacks the required field changes an existing record and makes no new one."""
        model = "Owner" if "table/Owners/" in record["eventSourceARN"] else "Doc"
        change = record["dynamodb"]
        written = {
            name: int(value["N"]) if "N" in value else value.get("S")
            for name, value in change.get("NewImage", {}).items()
        }
        key = model, next(iter(change["Keys"]["id"].values()))
        sequence = int(change["SequenceNumber"])
        if sequence <= self._newest.get(key, 0):
            return
        if record["eventName"] == "REMOVE":
            self.rows.pop(key, None)
        elif key in self.rows or REQUIRED[model] in written:
            self.rows[key] = self.rows.get(key, {}) | dict.fromkeys(NULLABLE[model]) | written
        else:
            return
        self._newest[key] = sequence

    def created_by_the_api(self) -> Database:
        database = Database(open_store("memory:"))
        deploy(database, MODELS)
        for (model, _), row in self.rows.items():
            data = ", ".join(f"{name}: {literal(value)}" for name, value in row.items())
            create = f"mutation {{ createOne{model}(data: {{ {data} }}) {{ id }} }}"
            answered(database, create)
        return database


def answers(database: Database) -> list[Any]:
    """The hits of searches for each word, by id, with scores and marks, and facets."""
    found = []
    for word in (*WORDS, "under", ""):
        for model, field in REQUIRED.items():
            facets, counts = ("", "") if model == "Owner" else FACETS
            query = (
                f'{{ search{model}(query: "{word} ", typos: OFF, match: ALL, take: 100{facets}) {{ totalCount'
                f" {counts} hits {{ score highlight(field: {field}) node {{ id {field} }} }} }} }}"
            )
            (answer,) = answered(database, query)["data"].values()
            answer["hits"].sort(key=lambda hit: str(hit["node"]["id"]))
            found.append((word, model, answer))
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=st.lists(st.lists(STREAMED, min_size=1, max_size=6), max_size=5), replayed=st.booleans())
def test_what_streams_write_is_found_as_what_the_api_writes(
    batches: list[list[dict[str, Any]]], replayed: bool
) -> None:
    items = Items()
    with Database(open_store("memory:")) as database:
        deploy(database, MODELS)
        for batch in batches * (1 + replayed):
            do(database, MODELS, ("mirror", batch))
            for record in batch:
                items.take(record)
        with items.created_by_the_api() as other:
            assert answers(database) == answers(other)


def test_past_and_restored_states_are_searched(tmp_path: Any) -> None:
    """A restored file is checked by SQLite itself, a past state through the API."""
    path = tmp_path / "restored.db"
    with Database(open_store("memory:")) as database:
        with database.writer() as connection:
            migrate.push(connection, served(MODELS)[0])
        api = served(MODELS)[1]
        api.execute(database, GraphQLRequest('mutation { createOneDoc(data: { title: "red box" }) { id } }'))
        before = database.txid
        change = 'updateManyDoc(data: { title: "blue box" }) { count }'
        api.execute(database, GraphQLRequest(f"mutation {{ {change} }}"))
        found = []
        for txid in (before, database.txid):
            with database.as_of(txid=txid) as connection:
                check(copied(connection))
                counted = "SELECT count(*) FROM Doc_search(?)"
                found += [connection.execute(counted, (word,)).get for word in ("red", "blue")]
        assert found == [1, 0, 0, 1]
        restore_file(database.pages.replica, before, path)
    restored = apsw.Connection(str(path))
    check(restored)
    assert restored.execute("SELECT title FROM Doc_search('red')").get == "red box"
    restored.close()
