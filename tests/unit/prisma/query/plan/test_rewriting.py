"""SQL of plans is rewritten to be quicker, and gives the same rows in the same order."""

from collections.abc import Iterator
from random import Random
from typing import Any

import apsw
import orjson
import pytest
from tests.unit.prisma.query.plan.plan_nodes import INT, param, run_closures, template

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.prisma.query.plan import Plan
from lamdb.prisma.query.plan.polish import polish
from lamdb.prisma.query.plan.rewriting import TableLookup, alternative, rewrite
from lamdb.prisma.query.plan.rewriting.text import Select, blank, pieces, read, write

SCHEMA = """
datasource db {
  provider = "sqlite"
}

generator client {
  provider = "prisma-client"
}

model Org {
  a     Int
  b     String
  name  String?
  units Unit[]

  @@id([a, b])
  @@index([name])
}

model Unit {
  id       Int     @id
  code     String? @unique
  v        Int?
  w        Float?
  oa       Int?
  ob       String?
  org      Org?    @relation(fields: [oa, ob], references: [a, b])
  parentId Int?
  parent   Unit?   @relation("tree", fields: [parentId], references: [id])
  children Unit[]  @relation("tree")
  friends  Unit[]  @relation("friends")
  friendOf Unit[]  @relation("friends")
  codeOf   String?
  named    Unit?   @relation("named", fields: [codeOf], references: [code])
  namers   Unit[]  @relation("named")
  notes    Note[]

  @@index([oa, ob])
  @@index([parentId])
  @@index([v])
  @@index([codeOf])
}

model Note {
  text   String
  number Int    @id @map("no (1)")
  unitId Int
  unit   Unit   @relation(fields: [unitId], references: [id])

  @@index([unitId])
  @@map("Note (x)")
}
"""

Json = dict[str, Any]


def sub(selection: Json, **arguments: Any) -> Json:
    return {"arguments": arguments, "selection": selection}


def request(model: str, action: str, selection: Json, **arguments: Any) -> Json:
    return {"modelName": model, "action": action, "query": sub(selection, **arguments)}


def find(model: str, selection: Json, **arguments: Any) -> Json:
    return request(model, "findMany", selection, **arguments)


def total(model: str, **arguments: Any) -> Json:
    return request(model, "aggregate", {"_count": sub({"_all": True})}, **arguments)


@pytest.fixture(scope="module")
def engine() -> QueryEngine:
    return QueryEngine(PrismaSchema.parse(SCHEMA))


@pytest.fixture
def db(engine: QueryEngine) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    push(connection, engine.schema)
    yield connection
    connection.close()


def queries(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        if node.get("type") == "templateSql":
            yield node
        else:
            for each in node.values():
                yield from queries(each)
    elif isinstance(node, list):
        for each in node:
            yield from queries(each)


def rewritten(engine: QueryEngine, db: apsw.Connection, made: Json) -> str:
    """The SQL of a plan's first query as it is run."""
    plan, _ = engine.prepare(made)
    first = next(queries(rewrite(polish(plan.tree, hide_equalities=True), TableLookup(db))))
    return "".join(fragment.get("chunk", "?") for fragment in first["fragments"])


# --- before and after ------------------------------------------------------------------------------


def test_counts_read_children_of_the_parents_that_are_wanted(
    engine: QueryEngine, db: apsw.Connection
) -> None:
    made = find("Unit", {"id": True, "_count": sub({"notes": True})}, take=10)
    assert rewritten(engine, db, made) == (
        "SELECT `main`.`Unit`.`id`, (SELECT COUNT(*) FROM `main`.`Note (x)` WHERE"
        " `main`.`Note (x)`.`unitId` = `main`.`Unit`.`id`) AS `_aggr_count_notes`"
        " FROM `main`.`Unit` ORDER BY `main`.`Unit`.`id` ASC LIMIT 10"
    )


def test_counts_of_a_table_in_itself_tell_parent_from_child(engine: QueryEngine, db: apsw.Connection) -> None:
    where = {"children": {"some": {"v": 3}}}
    made = find("Unit", {"id": True, "_count": sub({"children": sub({}, where=where)})}, take=10)
    sql = rewritten(engine, db, made)
    assert "FROM `main`.`Unit` AS `@counted` WHERE (EXISTS(" in sql
    assert "`@counted`.`parentId` = `main`.`Unit`.`id`" in sql
    assert "(`@counted`.`id`) = (`t0`.`parentId`)" in sql


def test_counts_without_an_index_stay(engine: QueryEngine, db: apsw.Connection) -> None:
    db.execute('DROP INDEX "Note (x)_unitId_idx"')
    made = find("Unit", {"id": True, "_count": sub({"notes": True})}, take=10)
    assert "GROUP BY" in rewritten(engine, db, made)


@pytest.mark.parametrize("declared", ["INTEGER COLLATE NOCASE", "TEXT", "REAL", ""])
def test_counts_by_keys_that_compare_otherwise_stay(
    engine: QueryEngine, db: apsw.Connection, declared: str
) -> None:
    db.execute(
        f'DROP TABLE "Note (x)"; CREATE TABLE "Note (x)" (text TEXT NOT NULL, "no (1)" INTEGER PRIMARY KEY,'
        f' unitId {declared}); CREATE INDEX by_unit ON "Note (x)" (unitId)'
    )
    made = find("Unit", {"id": True, "_count": sub({"notes": True})}, take=10)
    assert "GROUP BY" in rewritten(engine, db, made)


@pytest.mark.parametrize(
    ("made", "sql"),
    [
        (
            total("Unit"),
            "SELECT COUNT(*) AS `_count$_all` FROM (SELECT `main`.`Unit`.`id` FROM `main`.`Unit`) AS `sub`",
        ),
        (
            total("Unit", where={"v": 3}),
            "SELECT COUNT(*) AS `_count$_all` FROM (SELECT `main`.`Unit`.`id` FROM `main`.`Unit`"
            " WHERE `main`.`Unit`.`v` = +?) AS `sub`",
        ),
        (
            request("Unit", "aggregate", {"_min": sub({"v": True}), "_max": sub({"v": True})}),
            "SELECT (SELECT MIN(`v`) FROM `main`.`Unit`) AS `_min$v`,"
            " (SELECT MAX(`v`) FROM `main`.`Unit`) AS `_max$v`",
        ),
        (
            request("Unit", "aggregate", {"_min": sub({"w": True}), "_max": sub({"w": True})}),
            "SELECT MIN(`w`) AS `_min$w`, MAX(`w`) AS `_max$w` FROM (SELECT `main`.`Unit`.`w`"
            " FROM `main`.`Unit`) AS `sub`",
        ),
    ],
)  # fmt: skip
def test_aggregates(engine: QueryEngine, db: apsw.Connection, made: Json, sql: str) -> None:
    assert rewritten(engine, db, made) == sql


def test_all_are_counted_without_reading_them(engine: QueryEngine, db: apsw.Connection) -> None:
    steps = db.execute("EXPLAIN " + rewritten(engine, db, total("Unit"))).fetchall()
    assert "Count" in {step[1] for step in steps}


def test_distinct_reads_no_more_rows_than_it_returns(engine: QueryEngine, db: apsw.Connection) -> None:
    made = find("Unit", {"id": True}, distinct=["v"], take=3, skip=1)
    assert rewritten(engine, db, made) == (
        "SELECT `main`.`Unit`.`id`, `main`.`Unit`.`v` FROM (SELECT MIN(`main`.`Unit`.`id`) AS `@first`"
        " FROM `main`.`Unit` GROUP BY `main`.`Unit`.`v` ORDER BY `@first` ASC LIMIT 3 OFFSET 1) AS `@page`"
        " CROSS JOIN `main`.`Unit` ON `main`.`Unit`.`id` = `@page`.`@first`"
    )
    ranked = rewritten(
        engine, db, find("Unit", {"id": True}, distinct=["v"], take=3, orderBy=[{"w": "desc"}, {"id": "asc"}])
    )
    assert "row_number() OVER (PARTITION BY `main`.`Unit`.`v` ORDER BY `main`.`Unit`.`w` DESC" in ranked


@pytest.mark.parametrize(
    "arguments",
    [
        {"orderBy": [{"w": "desc"}]},
        {"orderBy": [{"codeOf": "asc"}]},
        {"orderBy": [{"org": {"name": "asc"}}, {"id": "asc"}]},
        {"cursor": {"id": 3}, "orderBy": [{"id": "asc"}]},
    ],
)
def test_distinct_with_ties_or_a_cursor_stays(
    engine: QueryEngine, db: apsw.Connection, arguments: Json
) -> None:
    sql = rewritten(engine, db, find("Unit", {"id": True}, distinct=["v"], take=3, **arguments))
    assert "GROUP BY" not in sql
    assert "row_number" not in sql


def test_a_long_offset_skips_keys(engine: QueryEngine, db: apsw.Connection) -> None:
    order = [{"w": "asc"}]
    sql = rewritten(engine, db, find("Unit", {"id": True, "code": True}, orderBy=order, skip=1000, take=3))
    assert sql == (
        "SELECT `main`.`Unit`.`id`, `main`.`Unit`.`code` FROM (SELECT `main`.`Unit`._rowid_ AS `@row`"
        " FROM `main`.`Unit` ORDER BY `main`.`Unit`.`w` ASC LIMIT 3 OFFSET 1000) AS `@page`"
        " CROSS JOIN `main`.`Unit` ON `main`.`Unit`._rowid_ = `@page`.`@row`"
    )
    assert "@page" not in rewritten(engine, db, find("Unit", {"id": True}, orderBy=order, skip=10, take=3))
    # The rows come in the order of the table, which no other index has.
    by_id = find("Unit", {"id": True, "code": True}, orderBy=[{"id": "asc"}], skip=1000, take=3)
    assert "@page" not in rewritten(engine, db, by_id)


def test_an_offset_stays_where_keys_would_be_read_in_another_order(
    engine: QueryEngine, db: apsw.Connection
) -> None:
    """An index that has all of a query's columns is in another order than the table."""
    db.execute("CREATE INDEX covers ON Unit (v, w)")
    order = [{"w": "asc"}]
    made = find("Unit", {"id": True, "code": True}, orderBy=order, skip=1000, take=3)
    assert "@page" not in rewritten(engine, db, made)
    total_order = find("Unit", {"id": True, "code": True}, orderBy=[*order, {"id": "asc"}], skip=1000, take=3)
    assert "@page" in rewritten(engine, db, total_order)


def both(engine: QueryEngine, db: apsw.Connection, made: Json) -> tuple[str, str] | None:
    """The SQL of the plan that begins with the children, and its probe."""
    plan, _ = engine.prepare(made)
    other = alternative(rewrite(polish(plan.tree, hide_equalities=True), TableLookup(db)), TableLookup(db))
    if other is None:
        return None
    first = next(queries(other.tree))
    one, probe = (
        "".join(each.get("chunk", "?") for each in query["fragments"]) for query in (first, other.probe)
    )
    return one, probe


def test_children_that_match_are_looked_up_at_once(engine: QueryEngine, db: apsw.Connection) -> None:
    found = both(
        engine, db, find("Unit", {"id": True}, where={"children": {"some": {"v": {"gt": 3}}}}, take=2)
    )
    assert found is not None
    assert found[0] == (
        "SELECT `main`.`Unit`.`id` FROM `main`.`Unit` WHERE `main`.`Unit`.`id` IN (SELECT `t0`.`parentId`"
        " FROM `main`.`Unit` AS `t0` WHERE likelihood(`t0`.`v` > +?, 0.001) AND `t0`.`parentId` IS NOT NULL)"
        " ORDER BY `main`.`Unit`.`id` ASC LIMIT 2"
    )
    assert found[1] == (
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM `main`.`Unit` AS `t0` WHERE"
        " likelihood(`t0`.`v` > +?, 0.001) LIMIT 100)) < 100"
    )
    every = both(engine, db, total("Unit", where={"children": {"every": {"v": {"lte": 3}}}}))
    assert every is not None
    assert "`main`.`Unit`.`id` NOT IN (SELECT" in every[0]
    assert "(`t0`.`v` > +?)" in every[0]
    assert "MAX(_rowid_)" in every[1]


def test_children_of_keys_that_may_be_null(engine: QueryEngine, db: apsw.Connection) -> None:
    """A comparison with NULL is neither true nor false, EXISTS always one of both."""
    found = both(engine, db, find("Unit", {"id": True}, where={"namers": {"none": {"v": 3}}}, take=2))
    assert found is not None
    assert "WHERE NOT (`main`.`Unit`.`code` IS NOT NULL AND `main`.`Unit`.`code` IN (SELECT" in found[0]


@pytest.mark.parametrize(
    "where",
    [
        {"children": {"some": {}}},
        {"children": {"some": {"w": {"gt": 1}}}},
        {"id": 3},
        {"parent": {"is": {"v": 3}}},
    ],
    ids=["all children", "no index", "no relation", "to one"],
)
def test_relations_stay_where_nothing_is_gained(
    engine: QueryEngine, db: apsw.Connection, where: Json
) -> None:
    assert both(engine, db, find("Unit", {"id": True}, where=where, take=2)) is None


def test_the_probe_decides(engine: QueryEngine, db: apsw.Connection) -> None:
    db.execute(
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO Unit (id, code, v, parentId) SELECT i, 'c' || i, i, (i + 1) / 2 FROM n"
    )
    made = find("Unit", {"id": True}, where={"children": {"some": {"v": {"gt": 1998}}}}, take=2)
    plan, values = engine.prepare(made)
    ran: list[str] = []
    db.exec_trace = lambda cursor, sql, bindings: ran.append(sql) or True  # type: ignore[func-returns-value]
    assert plan.run(db, values) == [{"id": 1000}]
    assert " IN (SELECT" in ran[-1]
    few, values = engine.prepare(
        find("Unit", {"id": True}, where={"children": {"some": {"v": {"gt": 1}}}}, take=2)
    )
    assert few.run(db, values) == [{"id": 1}, {"id": 2}]
    assert "EXISTS(" in ran[-1]
    db.exec_trace = None


# --- the same rows ---------------------------------------------------------------------------------

COUNTS = {"children": True, "friends": True, "friendOf": True, "notes": True, "namers": True}
FILTERED = {
    "children": sub({}, where={"OR": [{"v": {"gt": 1}}, {"children": {"some": {"v": 2}}}]}),
    "friends": sub({}, where={"v": {"lt": 2}}),
    "friendOf": sub({}, where={"NOT": {"v": 1}}),
    "notes": sub({}, where={"text": {"contains": "a"}}),
    "namers": sub({}, where={"parent": {"is": {"v": 1}}}),
}
ORDERS: list[Any] = [
    [{"id": "asc"}],
    [{"id": "desc"}],
    [{"v": "asc"}],
    [{"v": "desc"}],
    [{"w": "desc"}],
    [{"w": "asc"}, {"code": "desc"}],
    [{"code": "desc"}],
    [{"v": {"sort": "asc", "nulls": "last"}}, {"id": "asc"}],
    None,
]
WHERES: list[Json] = [
    {"children": {"some": {"v": {"gt": 1}}}},
    {"children": {"none": {"v": 2}}},
    {"children": {"every": {"v": {"gte": 1}}}},
    {"NOT": {"children": {"some": {"v": {"in": [1, 2]}}}}},
    {"friends": {"some": {"v": 1}}},
    {"friendOf": {"none": {"v": {"lte": 1}}}},
    {"namers": {"every": {"v": {"lt": 2}}}},
    {"NOT": {"namers": {"some": {"v": 1}}}},
    {"OR": [{"v": 1}, {"children": {"some": {"v": 2, "children": {"some": {"v": 1}}}}}]},
    {"AND": [{"children": {"some": {"v": 1}}}, {"friends": {"none": {"v": 1}}}]},
]


def page(order: Any, **arguments: Any) -> Json:
    return arguments if order is None else {"orderBy": order, **arguments}


SELECTED = {"id": True, "code": True, "v": True}
REQUESTS: list[Json] = [
    *(find("Unit", {**SELECTED, "_count": sub(COUNTS)}, **page(order, take=4)) for order in ORDERS),
    *(find("Unit", {**SELECTED, "_count": sub(FILTERED)}, **page(order)) for order in ORDERS),
    find("Unit", {"id": True, "parent": sub({"id": True, "_count": sub(FILTERED)})}, take=5),
    find("Unit", {"id": True, "children": sub({"id": True, "_count": sub(COUNTS)}, take=2)}),
    find("Org", {"a": True, "b": True, "_count": sub({"units": True})}, orderBy=[{"name": "desc"}], take=3),
    request("Unit", "findUnique", {"id": True, "_count": sub(FILTERED)}, where={"id": 3}),
    *(find("Unit", SELECTED, distinct=["v"], **page(order, take=3, skip=1)) for order in ORDERS),
    *(find("Unit", SELECTED, distinct=["v", "w"], **page(order, take=-3)) for order in ORDERS[:7]),
    *(
        find("Unit", SELECTED, distinct=["parentId"], where={"v": {"gt": 0}}, **page(order))
        for order in ORDERS
    ),
    *(find("Unit", SELECTED, cursor={"id": 3}, **page(order, take=3, skip=1)) for order in ORDERS),
    *(find("Unit", SELECTED, cursor={"id": 3}, distinct=["w"], **page(order, take=-2)) for order in ORDERS),
    find("Org", {"a": True, "b": True}, distinct=["name"], orderBy=[{"b": "desc"}, {"a": "asc"}], take=3),
    *(find("Unit", SELECTED, **page(order, skip=100, take=9)) for order in ORDERS),
    *(find("Unit", SELECTED, where=where, **page(order, take=3)) for where in WHERES for order in ORDERS[:5]),
    *(find("Unit", SELECTED, where=where) for where in WHERES),
    *(total("Unit", where=where) for where in WHERES),
    total("Unit", where={"v": {"gt": 0}}, take=3, orderBy=[{"id": "asc"}]),
    request(
        "Unit",
        "aggregate",
        {"_min": sub({"v": True, "code": True}), "_max": sub({"v": True}), "_count": sub({"_all": True})},
    ),
]  # fmt: skip


def fill(db: apsw.Connection, random: Random, rows: int) -> None:
    """Few values, so that there are ties and duplicates, and many NULLs."""

    def some(*values: Any) -> Any:
        return random.choice(values) if values else None

    db.execute("PRAGMA foreign_keys = OFF; DELETE FROM Unit; DELETE FROM Org; DELETE FROM _friends")
    db.execute('DELETE FROM "Note (x)"')
    orgs = [(a, b) for a in (1, 2) for b in ("x", "X", "y")]
    db.executemany("INSERT INTO Org VALUES (?, ?, ?)", [(*org, some(None, "n", "m", "N")) for org in orgs])
    numbers = random.sample(range(1, rows * 2), rows)
    codes = {number: some(None, f"c{number}", f"C{number}") for number in numbers}
    for number in numbers:
        row = (number, codes[number], some(None, 0, 1, 2, 3), some(None, 0.5, 1.0, 2), some(None, 1, 2, 3),
               some(None, "x", "X"), some(None, *numbers), some(None, None, *codes.values()))  # fmt: skip
        db.execute(
            "INSERT INTO Unit (id, code, v, w, oa, ob, parentId, codeOf) VALUES (?,?,?,?,?,?,?,?)", row
        )
    # Links and notes of rows that are not there, too.
    pairs = {(some(*numbers, 999), some(*numbers, 998)) for _ in range(rows)}
    db.executemany('INSERT INTO _friends ("A", "B") VALUES (?, ?)', pairs)
    notes = [(some("a", "b", "Ab"), number, some(*numbers, 997)) for number in range(rows)]
    db.executemany('INSERT INTO "Note (x)" (text, "no (1)", unitId) VALUES (?, ?, ?)', notes)


@pytest.mark.parametrize("seed", range(2))
def test_answers_are_those_of_the_plan_as_it_was(engine: QueryEngine, db: apsw.Connection, seed: int) -> None:
    random = Random(seed)
    changed = chosen = 0
    for rows in (0, 3, 12, 130):
        fill(db, random, rows)
        if rows == 3:
            db.execute("UPDATE Unit SET id = -id")
        if seed % 2:
            db.execute("ANALYZE")
        for made in REQUESTS:
            plan, values = engine.prepare(made)
            plain = polish(plan.tree, hide_equalities=True)
            wanted = run_closures(plain, db, values)
            tree = rewrite(plain, TableLookup(db))
            changed += tree != plain
            other = alternative(tree, TableLookup(db))
            trees = [tree] if other is None else [tree, other.tree]
            chosen += other is not None
            for each in trees:
                assert run_closures(each, db, values) == wanted, made
            fresh = Plan(plan.tree, model=plan.model)
            assert fresh.run(db, values) == wanted, made
            assert orjson.loads(orjson.dumps(fresh.run_json(db, values))) == orjson.loads(
                orjson.dumps(wanted)
            )
    assert changed > len(REQUESTS)
    assert chosen > len(WHERES)


# --- texts -----------------------------------------------------------------------------------------


def test_names_and_texts_do_not_mislead() -> None:
    sql = "SELECT `a FROM b`, ' WHERE (' FROM `t (x` WHERE (`y` = ' LIMIT ' OR 1) ORDER BY `y` ASC LIMIT 1"
    select = Select.parse(sql)
    assert select is not None
    assert (select.columns, select.source) == ("`a FROM b`, ' WHERE ('", "`t (x`")
    assert (select.order, select.limit) == ("`y` ASC", "1")
    assert str(select) == sql
    assert len(blank(sql)) == len(sql)
    assert pieces("`a, b`, (c, d), 'e, f'", ", ") == ["`a, b`", "(c, d)", "'e, f'"]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t WHERE 1=1",
        "SELECT 1",
        "SELECT a FROM t UNION SELECT b FROM u",
        "SELECT DISTINCT a FROM t",
        "WITH x AS (SELECT 1) SELECT a FROM t",
    ],
)
def test_other_statements_are_not_understood(sql: str) -> None:
    assert Select.parse(sql) is None


def test_arguments_move_with_their_placeholders() -> None:
    query = template("SELECT ", (1, INT), " FROM t WHERE a = ", (param("x"), INT), " AND b IN ", ([2], [INT]))
    text = read(query)
    assert text is not None
    assert write(query, text) == query
    swapped = write(query, "b IN \x012\x02 AND a = \x011\x02 OR a > \x011\x02")
    assert swapped["args"] == [[2], param("x"), param("x")]
    assert [fragment["type"] for fragment in swapped["fragments"]] == [
        "stringChunk", "parameterTuple", "stringChunk", "parameter", "stringChunk", "parameter",
    ]  # fmt: skip
    assert read(template("SELECT '\x01'")) is None
