"""Every node type of the plan language."""

import re
from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from tests.unit.prisma.query.plan.plan_nodes import (
    INT,
    STRING,
    Node,
    child,
    data_map,
    execute,
    generator,
    get,
    join,
    let,
    map_field,
    node,
    operations_of,
    param,
    process,
    query,
    raw,
    record,
    run_closures,
    run_read,
    run_tables,
    scalar,
    validate,
    value,
)

from lamdb.errors import EngineError, QueryError


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(
        """
        CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, key INTEGER);
        CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT, a_id INTEGER, a_text TEXT);
        CREATE INDEX b_a_id ON b (a_id);
        INSERT INTO a VALUES (1, 'one', 10), (2, 'two', NULL), (3, 'three', 30);
        INSERT INTO b VALUES (1, 'x', 1, '1'), (2, 'y', 1, '1'), (3, 'z', 3, '3'), (4, 'w', NULL, NULL);
        """
    )
    yield connection
    connection.close()


ALL_A = query("SELECT `id`, `name`, `key` FROM `a` ORDER BY `id`")
ALL_B = query("SELECT `id`, `name`, `a_id` FROM `b` ORDER BY `id`")
NO_A = query("SELECT `id`, `name`, `key` FROM `a` WHERE 0")


def run(plan: Node, db: apsw.Connection, **values: Any) -> Any:
    return run_closures(plan, db, values)


# --- values and scope -----------------------------------------------------------------------------


def test_value_resolves_placeholders_and_generators_inside_arrays_only(db: apsw.Connection) -> None:
    assert run(value(5), db) == 5
    assert run(value([1, [param("p")]]), db, p="x") == [1, ["x"]]
    untouched = {"key": param("p")}
    assert run(value(untouched), db, p="x") == untouched
    assert run(value(generator("product", [1, 2], 3)), db) == [[1, 3], [2, 3]]


def test_a_missing_placeholder_is_an_error(db: apsw.Connection) -> None:
    with pytest.raises(EngineError, match="Missing value for query variable p"):
        run(value(param("p")), db)


def test_an_unknown_generator_or_node_is_an_error(db: apsw.Connection) -> None:
    with pytest.raises(EngineError, match="unknown generator 'sha256'"):
        run(value(generator("sha256")), db)
    with pytest.raises(EngineError, match="Unexpected node type in a query plan: nonsense"):
        run(node("nonsense", 1), db)


def test_now_is_read_once_per_run(db: apsw.Connection) -> None:
    times = run(value([generator("now")] * 3), db)
    assert len(set(times)) == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", times[0])


def test_get_reads_the_innermost_binding_then_the_request(db: apsw.Connection) -> None:
    plan = let({"x": value(1)}, let({"x": value(2), "y": value(param("x"))}, value([param("x"), param("y")])))
    assert run(plan, db) == [2, 2]
    assert run(get("x"), db, x=7) == 7
    assert run(get("nothing"), db) is None


def test_a_binding_is_gone_outside_its_let(db: apsw.Connection) -> None:
    inner = let({"x": value(2)}, get("x"))
    assert run(let({"x": value(1)}, node("concat", [inner, get("x")])), db) == [2, 1]


def test_get_first_non_empty(db: apsw.Connection) -> None:
    plan = let(
        {"null": value(None), "empty": value([]), "full": value([1])},
        node("getFirstNonEmpty", {"names": ["missing", "null", "empty", "full"]}),
    )
    assert run(plan, db) == [1]
    assert run(node("getFirstNonEmpty", {"names": ["missing"]}), db) == []
    assert run(let({"zero": value(0)}, node("getFirstNonEmpty", {"names": ["zero"]})), db) == 0


# --- order and choice -----------------------------------------------------------------------------


def test_seq_gives_its_last_value(db: apsw.Connection) -> None:
    plan = node("seq", [execute("UPDATE `a` SET `key` = 1"), query("SELECT DISTINCT `key` FROM `a`")])
    assert run(plan, db) == [{"key": 1}]
    assert run(node("seq", []), db) is None
    assert run(node("unit"), db) is None


@pytest.mark.parametrize(
    ("data", "rule", "holds"),
    [
        ([1, 2], ("rowCountEq", 2), True),
        ([1, 2], ("rowCountEq", 1), False),
        (None, ("rowCountEq", 0), True),
        ({"id": 1}, ("rowCountEq", 1), True),
        (0, ("rowCountEq", 1), True),
        ([], ("rowCountNeq", 0), False),
        ([1], ("rowCountNeq", 0), True),
        (None, ("rowCountNeq", 0), False),
        (3, ("affectedRowCountEq", 3), True),
        (3, ("affectedRowCountEq", 2), False),
        ([1], ("never", None), False),
    ],
)
def test_rules(db: apsw.Connection, data: Any, rule: tuple[str, Any], holds: bool) -> None:
    kind, wanted = rule
    test = {"type": kind} if wanted is None else {"type": kind, "args": wanted}
    plan = node("if", {"value": value(data), "rule": test, "then": value("yes"), "else": value("no")})
    assert run(plan, db) == ("yes" if holds else "no")
    checked = validate(value(data), rule, operation="a test")
    if holds:
        assert run(checked, db) == data
    else:
        with pytest.raises(QueryError, match="No record was found for a test") as caught:
            run(checked, db)
        assert caught.value.code == "P2025"


def test_if_evaluates_only_the_branch_it_chooses(db: apsw.Connection) -> None:
    rule = {"type": "rowCountEq", "args": 0}
    broken = query("SELECT * FROM `nowhere`")
    assert run(node("if", {"value": value([]), "rule": rule, "then": value(1), "else": broken}), db) == 1


def test_a_transaction_is_kept_or_undone_as_a_whole(db: apsw.Connection) -> None:
    insert = execute("INSERT INTO `a` VALUES (9, 'nine', 9)")
    run(node("transaction", insert), db)
    assert not db.in_transaction
    failing = node("transaction", node("seq", [execute("DELETE FROM `a`"), insert, insert]))
    with pytest.raises(QueryError) as caught:
        run(failing, db)
    assert caught.value.code == "P2002"
    assert not db.in_transaction
    assert db.execute("SELECT count(*) FROM a").get == 4


def test_inside_a_transaction_the_caller_decides(db: apsw.Connection) -> None:
    db.execute("BEGIN")
    run(node("transaction", execute("DELETE FROM `a`")), db)
    assert db.in_transaction
    db.execute("ROLLBACK")
    assert db.execute("SELECT count(*) FROM a").get == 3


def test_a_transaction_that_cannot_begin_has_timed_out(tmp_path: Any) -> None:
    one, other = (apsw.Connection(str(tmp_path / "db")) for _ in range(2))
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(QueryError) as caught:
        run(node("transaction", value(1)), other)
    assert caught.value.code == "P1008"


def test_a_failing_commit_is_rolled_back(db: apsw.Connection) -> None:
    db.execute(
        "PRAGMA foreign_keys = ON; CREATE TABLE c (a_id REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)"
    )
    with pytest.raises(apsw.ConstraintError):
        run(node("transaction", execute("INSERT INTO `c` VALUES (99)")), db)
    assert not db.in_transaction


# --- lists and records ----------------------------------------------------------------------------


def test_query_answers_records_and_execute_counts(db: apsw.Connection) -> None:
    assert run(ALL_A, db)[0] == {"id": 1, "name": "one", "key": 10}
    assert run(NO_A, db) == []
    assert run(execute("UPDATE `a` SET `name` = 'x' WHERE `id` < ", (3, INT)), db) == 2
    assert run(execute("UPDATE `a` SET `name` = 'x' WHERE 0"), db) == 0


def test_execute_counts_nothing_for_statements_that_change_nothing(db: apsw.Connection) -> None:
    run(execute("UPDATE `a` SET `name` = 'x'"), db)
    assert run(execute("CREATE TABLE `c` (`id`)"), db) == 0


def test_execute_does_not_count_what_foreign_keys_delete(db: apsw.Connection) -> None:
    db.execute(
        "PRAGMA foreign_keys = ON; CREATE TABLE c (a_id REFERENCES a (id) ON DELETE CASCADE);"
        "INSERT INTO c VALUES (1), (1)"
    )
    assert run(execute("DELETE FROM `a` WHERE `id` = 1"), db) == 1
    assert db.execute("SELECT count(*) FROM c").get == 0


def test_reverse(db: apsw.Connection) -> None:
    assert run(node("reverse", value([1, 2, 3])), db) == [3, 2, 1]
    assert run(node("reverse", value("abc")), db) == "abc"
    assert run(node("reverse", value(None)), db) is None


def test_sum(db: apsw.Connection) -> None:
    assert run(node("sum", []), db) == 0
    assert run(node("sum", [value(1), value("2"), value("0.5")]), db) == 3.5
    with pytest.raises(EngineError, match="Expected a number"):
        run(node("sum", [value(1), value(None)]), db)


def test_concat_splices_lists_and_keeps_the_rest(db: apsw.Connection) -> None:
    assert run(node("concat", []), db) == []
    parts = [value([1, 2]), value(3), value(None), value([[4]])]
    assert run(node("concat", parts), db) == [1, 2, 3, None, [4]]


def test_unique(db: apsw.Connection) -> None:
    assert run(node("unique", NO_A), db) is None
    assert run(node("unique", query("SELECT 1 AS `one`")), db) == {"one": 1}
    assert run(node("unique", value("scalar")), db) == "scalar"
    with pytest.raises(EngineError, match="Expected zero or one element, got 3"):
        run(node("unique", ALL_A), db)
    with pytest.raises(EngineError, match="Expected zero or one element, got 3"):
        run_tables(data_map(node("unique", ALL_A), record({"id": scalar("id")})), db)


def test_required(db: apsw.Connection) -> None:
    assert run(node("required", value(0)), db) == 0
    for empty in (None, []):
        with pytest.raises(EngineError, match="Required value is empty"):
            run(node("required", value(empty)), db)


def test_map_field(db: apsw.Connection) -> None:
    assert run(map_field("id", ALL_A), db) == [1, 2, 3]
    assert run(map_field("id", node("unique", NO_A)), db) is None
    assert run(map_field("absent", node("unique", query("SELECT 1 AS `one`"))), db) is None
    assert run(map_field("id", value(5)), db) == 5


def test_diff_compares_by_fields_and_knows_null(db: apsw.Connection) -> None:
    some = query("SELECT `id`, `name` FROM `a` WHERE `id` <> 2")
    plan = node("diff", {"from": ALL_A, "to": some, "fields": ["id", "name"]})
    assert [found["id"] for found in run(plan, db)] == [2]
    one_record = node("diff", {"from": node("unique", NO_A), "to": value([]), "fields": ["id"]})
    assert run(one_record, db) == [None]
    same = node("diff", {"from": node("unique", NO_A), "to": node("unique", NO_A), "fields": ["id"]})
    assert run(same, db) == []


def test_initialize_record(db: apsw.Connection) -> None:
    fields = {"id": {"type": "lastInsertId"}, "name": {"type": "value", "value": param("name", "String")}}
    insert = execute("INSERT INTO `a` (`name`) VALUES (", (param("name", "String"), STRING), ")")
    plan = node("initializeRecord", {"expr": insert, "fields": fields})
    assert run(plan, db, name="four") == {"id": 4, "name": "four"}


def test_map_record(db: apsw.Connection) -> None:
    def change(operation: str, operand: Any, before: Any = 6) -> Any:
        fields = {"key": {"type": operation, "value": operand}}
        source = value(None) if before is None else query("SELECT ", (before, INT), " AS `key`")
        expr = source if before is None else node("unique", source)
        return run(node("mapRecord", {"expr": expr, "fields": fields}), db)["key"]

    assert change("set", "x") == "x"
    assert change("set", 1, before=None) == 1
    assert change("add", 2) == 8
    assert change("subtract", "2") == 4
    assert change("multiply", 1.5) == 9
    assert change("divide", 4) == 1.5
    assert change("divide", 0) is None
    with pytest.raises(EngineError, match="Unexpected field operation"):
        change("modulo", 2)


# --- join -----------------------------------------------------------------------------------------

B_OF_A = query(
    "SELECT `id`, `name`, `a_id` FROM `b` WHERE `b`.`a_id` IN ", (param("ids"), [INT]), " ORDER BY `id`"
)
A_OF_B = query("SELECT `id`, `name` FROM `a` WHERE `a`.`id` IN ", (param("ids"), [INT]))
B_FIELDS = {"id": scalar("id"), "name": scalar("name", "string")}


def with_children(parent: Node, key: str, *children: dict[str, Any], strict: bool = True) -> Node:
    keys = let({"ids": map_field(key, get("@p"))}, join(get("@p"), *children, strict=strict))
    return let({"@p": parent}, keys)


def test_join_hangs_children_into_their_parents(db: apsw.Connection) -> None:
    to_many = with_children(ALL_A, "id", child(B_OF_A, [("id", "a_id")], "@bs"))
    plan = data_map(to_many, record({"id": scalar("id"), "bs": record(B_FIELDS, under="@bs")}))
    answer = run_read(plan, db, lowered=True)
    assert [[b["name"] for b in a["bs"]] for a in answer] == [["x", "y"], [], ["z"]]


def test_a_unique_relation_is_a_record_or_null(db: apsw.Connection) -> None:
    to_one = with_children(ALL_B, "a_id", child(A_OF_B, [("a_id", "id")], "@a", unique=True))
    fields = {"id": scalar("id"), "a": record({"name": scalar("name", "string")}, under="@a")}
    answer = run_read(data_map(to_one, record(fields)), db, lowered=True)
    assert [b["a"] and b["a"]["name"] for b in answer] == ["one", "one", "three", None]


def test_join_of_one_record_and_of_none(db: apsw.Connection) -> None:
    fields = record({"id": scalar("id"), "bs": record(B_FIELDS, under="@bs")})
    for sql, wanted in (("= 1", 2), ("= 3", 1), ("= 99", None)):
        one = node("unique", query(f"SELECT `id` FROM `a` WHERE `id` {sql}"))
        plan = data_map(with_children(one, "id", child(B_OF_A, [("id", "a_id")], "@bs")), fields)
        answer = run_read(plan, db, lowered=True)
        assert answer is None if wanted is None else len(answer["bs"]) == wanted


def test_join_by_several_fields(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE c (x INTEGER, y TEXT, n INTEGER, PRIMARY KEY (x, y, n));"
               "INSERT INTO c VALUES (1, 'one', 1), (1, 'one', 2), (1, 'two', 3), (2, 'two', 4)")  # fmt: skip
    cs = query("SELECT `x`, `y`, `n` FROM `c` WHERE `c`.`x` IN ", (param("ids"), [INT]),
               " AND `c`.`y` IN ", (param("names"), [STRING]), " ORDER BY `n`")  # fmt: skip
    keys = {"ids": map_field("id", get("@p")), "names": map_field("name", get("@p"))}
    joined = join(get("@p"), child(cs, [("id", "x"), ("name", "y")], "@cs"))
    fields = record({"id": scalar("id"), "cs": record({"n": scalar("n")}, under="@cs")})
    answer = run_read(data_map(let({"@p": ALL_A}, let(keys, joined)), fields), db, lowered=True)
    assert [[c["n"] for c in a["cs"]] for a in answer] == [[1, 2], [4], []]


def test_keys_of_different_types_are_cast_when_they_must_be(db: apsw.Connection) -> None:
    texts = query("SELECT `id`, `a_text` FROM `b` ORDER BY `id`")
    fields = record({"id": scalar("id"), "bs": record({"id": scalar("id")}, under="@bs")})

    def answer(*, strict: bool) -> list[int]:
        joined = with_children(ALL_A, "id", child(texts, [("id", "a_text")], "@bs"), strict=strict)
        plan = data_map(joined, fields)
        return [len(a["bs"]) for a in run_read(plan, db, positional=strict, lowered=False)]

    assert answer(strict=True) == [0, 0, 0]  # 1 is not "1"
    assert answer(strict=False) == [2, 0, 1]


def test_numbers_are_cast_to_text_where_the_parents_have_text(db: apsw.Connection) -> None:
    parents = query("SELECT '1' AS `id` UNION ALL SELECT '3'")
    joined = join(parents, child(ALL_B, [("id", "a_id")], "@bs"), strict=False)
    fields = record({"id": scalar("id", "string"), "bs": record({"id": scalar("id")}, under="@bs")})
    assert [len(a["bs"]) for a in run(data_map(joined, fields), db)] == [2, 1]


def test_a_child_may_attach_to_several_parents(db: apsw.Connection) -> None:
    parents = query("SELECT 1 AS `id` UNION ALL SELECT 1")
    joined = let({"@p": parents}, let({"ids": map_field("id", get("@p"))}, join(
        get("@p"), child(B_OF_A, [("id", "a_id")], "@bs"))))  # fmt: skip
    fields = record({"bs": record({"id": scalar("id")}, under="@bs")})
    assert run_read(data_map(joined, fields), db) == [{"bs": [{"id": 1}, {"id": 2}]}] * 2


def test_relations_below_relations(db: apsw.Connection) -> None:
    inner = let(
        {"@p": B_OF_A},
        let({"ids": map_field("a_id", get("@p"))},
            join(get("@p"), child(A_OF_B, [("a_id", "id")], "@a", unique=True))),
    )  # fmt: skip
    plan = data_map(
        with_children(ALL_A, "id", child(inner, [("id", "a_id")], "@bs")),
        record({"bs": record({"a": record({"name": scalar("name", "string")}, under="@a")}, under="@bs")}),
    )
    answer = run_read(plan, db, lowered=True)
    assert answer == [{"bs": [{"a": {"name": "one"}}] * 2}, {"bs": []}, {"bs": [{"a": {"name": "three"}}]}]


def test_what_is_read_before_a_write_is_kept(db: apsw.Connection) -> None:
    """A deleted record is answered with the relations it had."""
    one = node("unique", query("SELECT `id` FROM `a` WHERE `id` = 1"))
    before = with_children(one, "id", child(B_OF_A, [("id", "a_id")], "@bs"))
    delete = execute("DELETE FROM `b`")
    fields = record({"id": scalar("id"), "bs": record({"id": scalar("id")}, under="@bs")})
    plan = data_map(let({"0": before}, node("seq", [delete, get("0")])), fields)
    db.execute("BEGIN")
    assert run(plan, db) == {"id": 1, "bs": [{"id": 1}, {"id": 2}]}
    db.execute("ROLLBACK")
    assert db.execute("SELECT count(*) FROM b").get == 4


# --- process --------------------------------------------------------------------------------------


def ids(plan: Node, db: apsw.Connection, **values: Any) -> list[int]:
    output = data_map(plan, record({"id": scalar("id")}))
    return [found["id"] for found in run_read(output, db, values)]


def test_process_slices(db: apsw.Connection) -> None:
    assert ids(process(ALL_B, skip=1, take=2), db) == [2, 3]
    assert ids(process(ALL_B, take=0), db) == []
    assert ids(process(ALL_B, skip=10), db) == []
    assert ids(process(ALL_B, take=3, reverse=True), db) == [3, 2, 1]


def test_process_keeps_the_first_of_each_distinct_key(db: apsw.Connection) -> None:
    assert ids(process(ALL_B, distinct=["a_id"]), db) == [1, 3, 4]
    assert ids(process(ALL_B, distinct=["a_id"], skip=1, take=1), db) == [3]
    assert ids(process(ALL_B, distinct=["a_id"], linking=["id"]), db) == [1, 2, 3, 4]


def test_process_starts_at_a_cursor(db: apsw.Connection) -> None:
    assert ids(process(ALL_B, cursor={"id": param("c")}, take=2), db, c=2) == [2, 3]
    assert ids(process(ALL_B, cursor={"id": param("c")}, skip=1), db, c="2") == [3, 4]
    assert ids(process(ALL_B, cursor={"id": param("c")}), db, c=77) == []
    assert ids(process(ALL_B, cursor={"name": "z", "id": 3}), db) == [3, 4]


@pytest.mark.parametrize(
    ("stored", "kind", "wanted", "found"),
    [
        ("2024-01-01T00:00:00.000+00:00", "DateTime", "2024-01-01T01:00:00+01:00", True),
        ("2024-01-01T00:00:00.000+00:00", "DateTime", "2024-01-01T00:00:00.001Z", False),
        (9007199254740993, "BigInt", "9007199254740993", True),
        (9007199254740993, "BigInt", "9007199254740992", False),
        (12.5, "Float", "12.50", True),
        (12.5, "Float", "twelve", False),
        (b"hello", "Bytes", "aGVsbG8=", True),
        (b"hello", "Bytes", "aGVsbG9v", False),
        (None, "Int", 1, False),
    ],
)
def test_a_cursor_forgives_representation(
    db: apsw.Connection, stored: Any, kind: str, wanted: Any, found: bool
) -> None:
    db.execute("CREATE TABLE c (k)")
    db.execute("INSERT INTO c VALUES (?)", (stored,))
    plan = process(query("SELECT `k` FROM `c`"), cursor={"k": param("c", kind)})
    assert bool(run(plan, db, c=wanted)) is found
    output = data_map(plan, record({"k": scalar("k", "unsupported")}))
    assert bool(run_tables(output, db, {"c": wanted})) is found


def test_process_pages_each_group_of_linked_records(db: apsw.Connection) -> None:
    assert ids(process(ALL_B, take=1, linking=["a_id"]), db) == [1, 3, 4]
    assert ids(process(ALL_B, skip=1, linking=["a_id"]), db) == [2]
    limited = process(B_OF_A, take=1, linking=["a_id"])
    joined = with_children(ALL_A, "id", child(limited, [("id", "a_id")], "@bs"))
    fields = record({"id": scalar("id"), "bs": record({"id": scalar("id")}, under="@bs")})
    answer = run_read(data_map(joined, fields), db, lowered=True)
    assert [[b["id"] for b in a["bs"]] for a in answer] == [[1], [], [3]]


def test_process_of_one_record(db: apsw.Connection) -> None:
    one = node("unique", query("SELECT 1 AS `id`"))
    assert run(process(one, skip=1), db) is None
    assert run(process(one, take=0), db) is None
    assert run(process(one, take=1), db) == {"id": 1}
    assert run(process(one, cursor={"id": 2}), db) is None
    assert run(process(one, cursor={"id": "1"}), db) == {"id": 1}
    assert run(process(node("unique", NO_A), take=1), db) is None


def test_process_below(db: apsw.Connection) -> None:
    joined = with_children(ALL_A, "id", child(B_OF_A, [("id", "a_id")], "@bs"))
    plan = process(joined, take=1, nested={"@bs": operations_of(skip=1)})
    assert [[b["id"] for b in a["@bs"]] for a in run(plan, db)] == [[2]]


def test_process_reads_records_from_json(db: apsw.Connection) -> None:
    assert run(process(value('[{"id": 1}, {"id": 2}]'), skip=1), db) == [{"id": 2}]


# --- dataMap --------------------------------------------------------------------------------------


def test_affected_rows(db: apsw.Connection) -> None:
    assert run(data_map(execute("DELETE FROM `b`"), {"type": "affectedRows"}), db) == {"count": 4}
    with pytest.raises(QueryError) as caught:
        run(data_map(value("four"), {"type": "affectedRows"}), db)
    assert caught.value.code == "P2023"


def test_objects_inside_the_same_record(db: apsw.Connection) -> None:
    fields = {"id": scalar("id"), "_count": record({"key": scalar("key")})}
    assert run_read(data_map(ALL_A, record(fields)), db, lowered=True)[0] == {"id": 1, "_count": {"key": 10}}


def test_skip_nulls(db: apsw.Connection) -> None:
    rows = value([{"id": 1}, None])
    assert run(data_map(rows, record({"id": scalar("id")}, skip_nulls=True)), db) == [{"id": 1}]
    with pytest.raises(QueryError, match="Expected an object"):
        run(data_map(rows, record({"id": scalar("id")})), db)


def test_output_that_makes_no_sense_is_refused(db: apsw.Connection) -> None:
    with pytest.raises(EngineError, match="Invalid data mapping type"):
        run(data_map(ALL_A, {"type": "nonsense"}), db)
    with pytest.raises(QueryError, match="Unexpected 'AffectedRows' node"):
        run(data_map(ALL_A, record({"n": {"type": "affectedRows"}})), db)


def test_a_list_of_scalars(db: apsw.Connection) -> None:
    fields = {"tags": scalar("tags", arity="list")}
    assert run(data_map(value([{"tags": ["1", 2]}, {"tags": None}]), record(fields)), db) == [
        {"tags": [1, 2]},
        {"tags": []},
    ]
    empty = data_map(query("SELECT NULL AS `tags`"), record(fields))
    assert run_read(empty, db, lowered=False) == [{"tags": []}]


def test_a_scalar_and_json_records(db: apsw.Connection) -> None:
    assert run(data_map(value("7"), scalar("x")), db) == 7
    assert run(data_map(value('{"id": "3"}'), record({"id": scalar("id")})), db) == {"id": 3}
    assert run(data_map(value(None), record({"id": scalar("id")})), db) is None
    for bad in ("not json", 5):
        with pytest.raises(QueryError) as caught:
            run(data_map(value(bad), record({"id": scalar("id")})), db)
        assert caught.value.code == "P2023"


def test_a_missing_column_is_inconsistent_data(db: apsw.Connection) -> None:
    for plan in (
        data_map(ALL_A, record({"x": scalar("absent")})),
        data_map(ALL_A, record({"x": record({"id": scalar("id")}, under="@absent")})),
    ):
        with pytest.raises(QueryError, match=r"Missing data field: '@?absent'") as caught:
            run_read(plan, db, positional=False)
        assert caught.value.code == "P2023"


# --- raw queries ----------------------------------------------------------------------------------


def test_a_raw_query_answers_columns_types_and_rows(db: apsw.Connection) -> None:
    db.execute(
        "CREATE TABLE t (i INTEGER, g BIGINT, f REAL, d DECIMAL, s VARCHAR, b BLOB, o BOOLEAN, t DATETIME,"
        "                j JSONB);"
        "INSERT INTO t VALUES (1, 9007199254740993, 1.5, 2.50, 'x', x'00ff', 1, 1700000000000, '{\"a\":1}')"
    )
    found = run(raw("SELECT *, 1 + 1, NULL FROM t"), db)
    assert found["columns"][:3] == ["i", "g", "f"]
    types = [
        "int",
        "bigint",
        "double",
        "decimal",
        "string",
        "bytes",
        "bool",
        "datetime",
        "json",
        "bigint",
        "int",
    ]
    assert found["types"] == types
    moment = "2023-11-14T22:13:20.000Z"
    row = [1, "9007199254740993", 1.5, "2.5", "x", "AP8=", True, moment, '{"a":1}', "2", None]
    assert found["rows"] == [row]


def test_a_raw_query_without_rows_still_has_columns(db: apsw.Connection) -> None:
    assert run(raw("SELECT `id` FROM `a` WHERE `id` > ?", (50, INT)), db) == {
        "columns": ["id"],
        "types": ["int"],
        "rows": [],
    }
    assert run(raw("CREATE TABLE c (id)"), db) == {"columns": [], "types": [], "rows": []}


@pytest.mark.parametrize(
    ("sql", "kind", "cell"),
    [
        ("SELECT 1.5", "double", 1.5),
        ("SELECT 'x'", "string", "x"),
        ("SELECT x'00'", "bytes", "AA=="),
        ("SELECT NULL UNION ALL SELECT 7 ORDER BY 1 DESC", "bigint", "7"),
    ],
)
def test_undeclared_columns_have_the_type_of_their_first_value(
    db: apsw.Connection, sql: str, kind: str, cell: Any
) -> None:
    found = run(raw(sql), db)
    assert found["types"] == [kind]
    assert found["rows"][0] == [cell]


def test_raw_execute_counts(db: apsw.Connection) -> None:
    assert run(raw("DELETE FROM `b` WHERE `id` > ?", (2, INT), kind="execute"), db) == 2


@pytest.mark.parametrize("kind", ["query", "execute"])
def test_errors_of_raw_sql_are_p2010(db: apsw.Connection, kind: str) -> None:
    with pytest.raises(
        QueryError, match=r"Raw query failed. Code: `\w+`. Message: `no such table: nowhere`"
    ) as caught:
        run(raw("SELECT * FROM nowhere", kind=kind), db)
    assert caught.value.code == "P2010"
