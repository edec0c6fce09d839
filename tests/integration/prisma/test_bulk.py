"""`createMany` with many rows: the same as with one plan for all, without a plan for each list."""

from collections.abc import Iterator
from typing import Any

import apsw
import orjson
import pytest

from lamdb.errors import QueryError
from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.bulk import ManyRows
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

SCHEMA = """
datasource db {
  provider = "sqlite"
}

enum Kind {
  PLAIN
  ODD   @map("o")
}

model Thing {
  id        Int      @id @default(autoincrement())
  name      String   @unique
  kind      Kind     @default(PLAIN)
  note      String?
  data      Json?
  price     Decimal?
  big       BigInt   @default(1)
  token     String   @default(uuid())
  createdAt DateTime @default(now())
  updatedAt DateTime @updatedAt
}
"""
ROWS: list[dict[str, Any]] = [
    {
        "name": f"thing {n}",
        **({"kind": "ODD"} if n % 2 else {}),
        **({"note": None if n % 4 else f"note {n}"} if n % 3 else {}),
        **({"data": {"$type": "Json", "value": f'{{"n":{n}}}'}} if n % 5 else {}),
        **({"price": {"$type": "Decimal", "value": f"{n}.5"}} if n % 7 else {}),
    }
    for n in range(500)
]
STORED = "SELECT name, kind, note, data, price, big FROM Thing ORDER BY id"


@pytest.fixture(scope="module")
def schema() -> PrismaSchema:
    return PrismaSchema.parse(SCHEMA)


@pytest.fixture
def connection(schema: PrismaSchema) -> Iterator[apsw.Connection]:
    made = apsw.Connection(":memory:")
    push(made, schema)
    yield made
    made.close()


def request(rows: list[dict[str, Any]], action: str = "createMany", **selection: Any) -> dict[str, Any]:
    query = {"arguments": {"data": rows}, "selection": selection or {"count": True}}
    return {"modelName": "Thing", "action": action, "query": query}


def test_many_rows_are_stored_as_single_ones_are(schema: PrismaSchema, connection: apsw.Connection) -> None:
    engine = QueryEngine(schema)
    assert isinstance(engine.prepare(request(ROWS))[0], ManyRows)
    assert engine.run(connection, request(ROWS)) == {"count": 500}
    many = connection.execute(STORED).fetchall()
    connection.execute("DELETE FROM Thing")
    for row in ROWS:
        query = {"arguments": {"data": row}, "selection": {"id": True}}
        engine.run(connection, {"modelName": "Thing", "action": "createOne", "query": query})
    assert connection.execute(STORED).fetchall() == many
    assert [name for name, *_ in many] == [row["name"] for row in ROWS]


def test_all_rows_have_one_time_and_ids_of_their_own(
    schema: PrismaSchema, connection: apsw.Connection
) -> None:
    QueryEngine(schema).run(connection, request(ROWS))
    times, tokens = connection.execute(
        "SELECT count(DISTINCT createdAt || updatedAt), count(DISTINCT token) FROM Thing"
    ).fetchall()[0]
    assert (times, tokens) == (1, len(ROWS))


def test_created_records_come_back_in_order(schema: PrismaSchema, connection: apsw.Connection) -> None:
    answer = QueryEngine(schema).run(
        connection, request(ROWS, "createManyAndReturn", id=True, name=True, kind=True)
    )
    assert answer == [
        {"id": n + 1, "name": f"thing {n}", "kind": "ODD" if n % 2 else "PLAIN"} for n in range(500)
    ]


def test_one_bad_row_undoes_all(schema: PrismaSchema, connection: apsw.Connection) -> None:
    engine = QueryEngine(schema)
    with pytest.raises(QueryError, match="Unique constraint failed on the fields") as violation:
        engine.run(connection, request([*ROWS, {"name": "thing 7"}]))
    assert (violation.value.code, violation.value.meta["modelName"]) == ("P2002", "Thing")
    with pytest.raises(QueryError) as refusal:
        engine.run(connection, request([*ROWS, {"name": 7}]))
    assert refusal.value.code == "P2009"
    assert connection.execute("SELECT count(*) FROM Thing").fetchall() == [(0,)]


def test_lists_of_different_rows_share_their_plans(schema: PrismaSchema, connection: apsw.Connection) -> None:
    engine = QueryEngine(schema)
    engine.run(connection, request(ROWS))
    compiled = len(engine._plans)
    again = [{**row, "name": f"{row['name']} again"} for row in reversed(ROWS)]
    assert engine.run(connection, request(again)) == {"count": 500}
    assert len(engine._plans) == compiled < 100


def test_a_plan_that_carries_its_data_is_not_kept(schema: PrismaSchema, connection: apsw.Connection) -> None:
    engine = QueryEngine(schema)
    many = [{"name": {"equals": f"a thing with the number {n}"}} for n in range(900)]
    query = {"arguments": {"where": {"OR": many}}, "selection": {"id": True}}
    found = engine.run(connection, {"modelName": "Thing", "action": "findMany", "query": query})
    assert found == []
    assert len(engine._plans) == 0


@pytest.mark.parametrize(
    "document",
    [
        "mutation ($rows: [ThingCreateManyInput!]!)"
        " { made: createManyThing(data: $rows) { n: count __typename } }",
        "mutation { made: createManyThing(data: [%s]) { n: count __typename } }",
    ],
    ids=["variable", "literal"],
)
def test_through_the_api(schema: PrismaSchema, document: str) -> None:
    api = Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))
    literal = ", ".join(f'{{ name: "n{n}", note: "x" }}' for n in range(60))
    rows = [{"name": f"n{n}", "note": "x"} for n in range(60)]
    with Database.open("memory:") as database:
        with database.writer() as connection:
            push(connection, schema)
        query = document % literal if "%s" in document else document
        result = api.execute(database, GraphQLRequest(query, {"rows": rows} if "$rows" in query else {}))
        assert orjson.loads(result.body) == {"data": {"made": {"n": 60, "__typename": "AffectedRowsOutput"}}}
        with database.reader() as connection:
            assert connection.execute("SELECT count(*) FROM Thing").fetchall() == [(60,)]


@pytest.mark.parametrize(
    "rows",
    [
        [{"name": "a"}, {"id": 5, "name": "b"}, {"name": "c"}],
        [{"id": 7, "name": "a"}, {"name": "b"}],
        [
            {"name": "a", "kind": "ODD"},
            {"name": "b", "id": 3},
            {"name": "c", "big": 2},
            {"name": "d", "id": 9},
        ],
    ],
)
@pytest.mark.parametrize("action", ["createMany", "createManyAndReturn"])
def test_few_rows_of_other_fields_keep_their_order(
    schema: PrismaSchema, connection: apsw.Connection, action: str, rows: list[dict[str, Any]]
) -> None:
    """Generated ids ascend in the order of the list, and the first bad row is the one that is told."""
    selection = {"count": True} if action == "createMany" else {"id": True, "name": True}
    query = {"arguments": {"data": rows}, "selection": selection}
    engine = QueryEngine(schema)
    answer = engine.run(connection, {"modelName": "Thing", "action": action, "query": query})
    expected, last = [], 0
    for row in rows:
        number = row.get("id", last + 1)
        last = max(last, number)
        expected.append((number, row["name"]))
    assert connection.execute("SELECT id, name FROM Thing").fetchall() == sorted(expected)
    if action == "createManyAndReturn":
        assert [(row["id"], row["name"]) for row in answer] == expected
    else:
        assert answer == {"count": len(rows)}


SHELVES = """
datasource db {
  provider = "sqlite"
}

model Shelf {
  id    Int    @id
  books Book[]
}

model Book {
  id      Int    @id
  title   String
  pages   Int?
  shelf   Shelf? @relation(fields: [shelfId], references: [id])
  shelfId Int?
}
"""


@pytest.mark.parametrize("count", [2, 3, 60])
@pytest.mark.parametrize(
    ("types", "condition", "variables"),
    [
        ("$title: String!", "title: $title", {"title": "b1"}),
        ("$title: String!", "title: { in: [$title] }", {"title": "b1"}),
        ("$a: String!, $b: String!", "title: { notIn: [$a, $b] }, id: { lt: 3 }", {"a": "b0", "b": "b2"}),
        ("$where: BookWhereInput!", "AND: [$where]", {"where": {"title": {"equals": "b1"}}}),
        ("", 'title: "b1"', {}),
        ("", 'title: { in: ["b1", "x"] }', {}),
        # Of the same name as a field of the rows.
        ("$id: Int!", "id: $id", {"id": 1}),
        ("$pages: Int!", "pages: { gt: $pages }, id: { lt: 3 }", {"pages": 5}),
    ],
)
def test_filters_below_created_records_keep_their_variables(
    types: str, condition: str, variables: dict[str, Any], count: int
) -> None:
    """Many rows are written by plans for single rows."""
    schema = PrismaSchema.parse(SHELVES)
    api = Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))
    rows = [
        {"id": n, "title": f"b{n}", "shelfId": 1, **({"pages": 10} if n % 2 else {})} for n in range(count)
    ]
    query = (
        f"mutation m($rows: [BookCreateManyInput!]!{', ' * bool(types)}{types}) "
        f"{{ made: createManyBookAndReturn(data: $rows) "
        f"{{ id shelf {{ books(where: {{ {condition} }}) {{ title }} }} }} }}"
    )
    with Database.open("memory:") as database:
        with database.writer() as connection:
            push(connection, schema)
            connection.execute("INSERT INTO Shelf VALUES(1)")
        result = api.execute(database, GraphQLRequest(query, {"rows": rows, **variables}))
    made = orjson.loads(result.body)["data"]["made"]
    # Prisma's plan for a short list puts rows of the same fields together.
    made.sort(key=lambda record: record["id"])
    assert [record["id"] for record in made] == list(range(count))
    found = [[book["title"] for book in record["shelf"]["books"]] for record in made]
    # The related records of a long list are read after each row.
    assert found == [["b1"] if n or count < 20 else [] for n in range(count)]


# --- rows that refer to each other ----------------------------------------------------------------

TREE = """
datasource db {
  provider = "sqlite"
}

model Node {
  id       Int     @id
  note     String?
  color    String  @default("red")
  parentId Int?
  parent   Node?   @relation("tree", fields: [parentId], references: [id])
  children Node[]  @relation("tree")
}
"""


def chain(count: int, *, mixed: bool, last: int | None = None) -> list[dict[str, Any]]:
    """Rows of which each refers to the one after it."""
    rows: list[dict[str, Any]] = [{"id": number, "parentId": number + 1} for number in range(count)]
    rows[-1]["parentId"] = last
    if mixed:
        for row in rows[::2]:
            row["note"] = "even"
        rows[count // 2]["color"] = "blue"
    return rows


@pytest.fixture(scope="module")
def tree() -> QueryEngine:
    return QueryEngine(PrismaSchema.parse(TREE))


@pytest.fixture
def nodes(tree: QueryEngine) -> Iterator[apsw.Connection]:
    made = apsw.Connection(":memory:")
    made.execute("PRAGMA foreign_keys = ON")
    push(made, tree.schema)
    yield made
    made.close()


def create(rows: list[dict[str, Any]], action: str) -> dict[str, Any]:
    selection = {"count": True} if action == "createMany" else {"id": True}
    return {
        "modelName": "Node",
        "action": action,
        "query": {"arguments": {"data": rows}, "selection": selection},
    }


def parents(connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT id, parentId FROM Node ORDER BY id").fetchall()


@pytest.mark.parametrize("action", ["createMany", "createManyAndReturn"])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("count", [2, 20, 21, 300])
def test_rows_may_refer_to_later_ones(
    tree: QueryEngine, nodes: apsw.Connection, count: int, mixed: bool, action: str
) -> None:
    for last in (None, 0):  # a chain, and a circle
        rows = chain(count, mixed=mixed, last=last)
        answer = tree.run(nodes, create(rows, action))
        assert answer == ({"count": count} if action == "createMany" else [{"id": row["id"]} for row in rows])
        assert parents(nodes) == [(row["id"], row["parentId"]) for row in rows]
        nodes.execute("UPDATE Node SET parentId = NULL; DELETE FROM Node")


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("count", [2, 21, 300])
@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_row_that_refers_to_nothing_undoes_all(
    tree: QueryEngine, nodes: apsw.Connection, count: int, mixed: bool, in_transaction: bool
) -> None:
    tree.run(nodes, create([{"id": 5000}], "createMany"))
    if in_transaction:
        nodes.execute("BEGIN")
    for broken in (0, count // 2, count - 1):
        rows = chain(count, mixed=mixed)
        rows[broken]["parentId"] = 9999
        nodes.execute("SAVEPOINT s")
        with pytest.raises(QueryError) as caught:
            tree.run(nodes, create(rows, "createMany"))
        assert (caught.value.code, caught.value.meta) == ("P2003", {"modelName": "Node"})
        nodes.execute("ROLLBACK TO s; RELEASE s")
        assert nodes.execute("PRAGMA defer_foreign_keys").get == 0
        assert parents(nodes) == [(5000, None)]
    # Keys are checked at once again.
    with pytest.raises(apsw.ConstraintError):
        nodes.execute("INSERT INTO Node(id, parentId) VALUES(6000, 9999)")


def test_keys_that_the_transaction_defers_stay_deferred(tree: QueryEngine, nodes: apsw.Connection) -> None:
    nodes.execute("BEGIN; PRAGMA defer_foreign_keys = ON; INSERT INTO Node(id, parentId) VALUES(6000, 400)")
    assert tree.run(nodes, create(chain(300, mixed=True, last=401), "createMany")) == {"count": 300}
    assert nodes.execute("PRAGMA defer_foreign_keys").get == 1
    with pytest.raises(apsw.ConstraintError):
        nodes.execute("COMMIT")
    nodes.execute("INSERT INTO Node(id) VALUES(400), (401); COMMIT")
    assert len(parents(nodes)) == 303
