"""The query compiler: plans, errors with Prisma's codes and words, recovery, threads."""

import itertools
import json
import threading
from typing import Any

import pytest

from lamdb.errors import EngineError, QueryError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.query import compiler as compiler_module
from lamdb.prisma.query.compiler import ACTIONS, MAX_BIND_VALUES, QueryCompiler
from lamdb.prisma.wasm import recorder as recorder_module
from lamdb.prisma.wasm.recorder import decode

SCHEMA = """
datasource db {
  provider = "sqlite"
}

enum Role {
  ADMIN
  READER @map("reader")
}

model User {
  id    Int     @id @default(autoincrement())
  email String  @unique
  name  String?
  role  Role    @default(READER)
  score Float   @default(0)
  big   BigInt?
  meta  Json?
  posts Post[]

  @@map("users")
}

model Post {
  id       Int      @id @default(autoincrement())
  title    String
  made     DateTime @default(now())
  authorId Int?
  author   User?    @relation(fields: [authorId], references: [id])
  tags     Tag[]
}

model Tag {
  name  String @id
  posts Post[]
}
"""
SCALARS = {"$scalars": True}


@pytest.fixture(scope="module")
def schema() -> PrismaSchema:
    return PrismaSchema.parse(SCHEMA)


@pytest.fixture(scope="module")
def compiler(schema: PrismaSchema) -> QueryCompiler:
    return QueryCompiler(schema)


def request(model: str, action: str, arguments: Any = None, selection: Any = None) -> dict[str, Any]:
    query = {"arguments": arguments or {}, "selection": SCALARS if selection is None else selection}
    return {"modelName": model, "action": action, "query": query}


def text(*parts: Any) -> str:
    return json.dumps(request(*parts))


def walk(node: Any) -> Any:
    """All dicts of a plan, in order."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def statements(plan: Any) -> list[str]:
    """The SQL of a plan, with ? for parameters and (?) for tuples."""
    found = []
    for node in walk(plan):
        if node.get("type") == "templateSql":
            marks = {"parameter": "?", "parameterTuple": "(?)", "parameterTupleList": "((?))"}
            found.append("".join(f.get("chunk") or marks[f["type"]] for f in node["fragments"]))
    return found


# Plans.


def test_a_lookup_becomes_one_statement_with_its_argument(compiler: QueryCompiler) -> None:
    plan = compiler.compile(
        text("User", "findUnique", {"where": {"email": "a@b.c"}}, {"id": True, "role": True})
    )
    (sql,) = statements(plan)
    assert sql.startswith("SELECT `main`.`users`.`id`, `main`.`users`.`role` FROM `main`.`users` WHERE")
    (query,) = [node for node in walk(plan) if node.get("type") == "templateSql"]
    assert query["args"][0] == "a@b.c"
    assert query["argTypes"][0]["scalarType"] == "string"
    assert plan["type"] == "dataMap"
    assert plan["args"]["enums"] == {"Role": {"ADMIN": "ADMIN", "reader": "READER"}}


def test_a_nested_read_costs_one_statement_for_each_level(compiler: QueryCompiler) -> None:
    selection = {"id": True, "posts": {"selection": {"title": True, "tags": {"selection": {"name": True}}}}}
    sql = statements(compiler.compile(text("User", "findMany", {}, selection)))
    assert len(sql) == 3
    assert "FROM `main`.`Post`" in sql[1]
    assert "`_PostToTag`" in sql[2]


def test_an_insert_returns_what_was_asked_for(compiler: QueryCompiler) -> None:
    (sql,) = statements(compiler.compile(text("User", "createOne", {"data": {"email": "x"}}, {"id": True})))
    assert sql.startswith("INSERT INTO `main`.`users` (`email`")
    assert "RETURNING `id`" in sql


def test_a_nested_write_is_a_transaction(compiler: QueryCompiler) -> None:
    data = {"email": "x", "posts": {"create": [{"title": "t"}]}}
    plan = compiler.compile(text("User", "createOne", {"data": data}, {"id": True}))
    assert any(node.get("type") == "transaction" for node in walk(plan))
    assert len([sql for sql in statements(plan) if sql.startswith("INSERT")]) == 2


def test_values_of_every_kind_come_through(compiler: QueryCompiler) -> None:
    data = {
        "email": 'quote " backslash \\ newline \n snowman ☃ emoji 🎉',
        "name": None,
        "score": 0.1,
        "big": {"$type": "BigInt", "value": "9007199254740993"},
        "meta": {"$type": "Json", "value": '{"a":[1,2]}'},
    }
    plan = compiler.compile(text("User", "createOne", {"data": data}, {"id": True}))
    (query,) = [node for node in walk(plan) if node.get("type") == "templateSql"]
    assert data["email"] in query["args"]
    assert "0.1" in query["args"]
    assert None in query["args"]
    assert "9007199254740993" in query["args"]
    assert '{"a":[1,2]}' in query["args"]


def test_whole_numbers_are_ints_and_flags_are_bools(compiler: QueryCompiler) -> None:
    for node in walk(compiler.compile(text("User", "findMany", {"take": 3}))):
        for value in node.values():
            assert not (isinstance(value, float) and value.is_integer())
    plan = compiler.compile(text("User", "findMany", {"take": 3}))
    (query,) = [node for node in walk(plan) if node.get("type") == "templateSql"]
    assert query["chunkable"] is False
    assert "3" in map(str, query["args"])


def test_placeholders_keep_their_names(compiler: QueryCompiler) -> None:
    param = {"$type": "Param", "value": {"name": "%1", "type": "String"}}
    plan = compiler.compile(text("User", "findMany", {"where": {"email": {"contains": param}}}))
    names = [n["prisma__value"]["name"] for n in walk(plan) if n.get("prisma__type") == "param"]
    assert names == ["%1"]


def test_the_bind_limit_is_that_of_sqlite(compiler: QueryCompiler) -> None:
    """With the 999 that the compiler would assume, 2000 literals would need three statements."""
    for count, expected in ((2000, 1), (MAX_BIND_VALUES, 2)):
        where = {"where": {"id": {"in": list(range(count))}}}
        plan = compiler.compile(text("User", "findMany", where, {"id": True}))
        assert len(statements(plan)) == expected


@pytest.mark.parametrize("action", sorted(ACTIONS - {"executeRaw", "queryRaw"}))
def test_every_action_compiles(compiler: QueryCompiler, action: str) -> None:
    by_key, data = {"where": {"id": 1}}, {"data": {"name": "n"}}
    create = {"email": "x"}
    arguments: dict[str, Any] = {
        "findUnique": by_key,
        "findUniqueOrThrow": by_key,
        "deleteOne": by_key,
        "updateOne": by_key | data,
        "updateMany": data,
        "updateManyAndReturn": data,
        "createOne": {"data": create},
        "createMany": {"data": [create]},
        "createManyAndReturn": {"data": [create]},
        "upsertOne": by_key | {"create": create, "update": {"name": "n"}},
        "groupBy": {"by": ["name"]},
    }.get(action, {})
    selection = {
        "aggregate": {"_sum": {"selection": {"score": True}}},
        "groupBy": {"name": True},
        "createMany": {"count": True},
        "updateMany": {"count": True},
        "deleteMany": {"count": True},
    }.get(action, {"id": True})
    assert statements(compiler.compile(text("User", action, arguments, selection)))


def test_raw_sql_compiles(schema: PrismaSchema, compiler: QueryCompiler) -> None:
    query = {"arguments": {"query": "SELECT ?", "parameters": "[1]"}, "selection": {}}
    plan = compiler.compile(json.dumps({"action": "queryRaw", "query": query}))
    assert any(node.get("type") == "rawSql" for node in walk(plan))


def test_hundreds_of_compilations_give_what_a_fresh_compiler_gives(schema: PrismaSchema) -> None:
    """Handles of one compilation must never be taken for those of another."""
    models = {"User": ["id", "email", "role"], "Post": ["id", "title", "made"], "Tag": ["name"]}
    requests = [
        text(model, "findMany", {"take": take, "skip": skip}, dict.fromkeys(fields[:width], True))
        for (model, fields), take, skip, width in itertools.product(
            models.items(), (1, 2, 7, -1), (0, 1, 5), (1, 2, 3)
        )
    ]
    veteran = QueryCompiler(schema)
    first = [veteran.compile(one) for one in requests]
    second = [veteran.compile(one) for one in reversed(requests)][::-1]
    assert first == second
    assert first[::9] == [QueryCompiler(schema).compile(one) for one in requests[::9]]


# Errors.


def refused(compiler: QueryCompiler, *parts: Any) -> QueryError:
    with pytest.raises(QueryError) as caught:
        compiler.compile(text(*parts))
    json.dumps(caught.value.meta)
    return caught.value


@pytest.mark.parametrize(
    ("parts", "code", "kind", "said"),
    [
        (
            ("User", "findMany", {"where": {"emai": 1}}),
            "P2009",
            "UnknownInputField",
            "`findManyUser.where.emai`: Field does not exist in enclosing type.",
        ),
        (
            ("User", "findMany", {"where": {"email": 1}}),
            "P2009",
            "Union",
            "Invalid argument type. `email` should be of any of the following types: `StringFilter`",
        ),
        (
            ("User", "findMany", {"where": {"meta": "{}"}}),
            "P2009",
            "InvalidArgumentType",
            "`meta` should be of any of the following types: `JsonNullableFilter`",
        ),
        (
            ("User", "findMany", {"nope": 1}),
            "P2009",
            "UnknownArgument",
            "Argument does not exist in enclosing type",
        ),
        (
            ("User", "findMany", {}, {"nope": True}),
            "P2009",
            "UnknownSelectionField",
            "Field 'nope' not found in enclosing type 'User'",
        ),
        (
            ("User", "findMany", {}, {}),
            "P2009",
            "EmptySelection",
            "Expected a minimum of 1 field to be present, got 0",
        ),
        (
            ("User", "findUnique", {"where": {"name": "x"}}),
            "P2009",
            "SomeFieldsMissing",
            "Expected a minimum of 1 fields of (id, email) to be present, got 0.",
        ),
        (
            ("User", "createOne", {"data": {}}),
            "P2009",
            "Union",
            "`data.email`: A value is required but not set",
        ),
        (
            ("User", "findMany", {"where": {"posts": {"some": None}}}),
            "P2012",
            "RequiredArgumentMissing",
            "`where.posts.some`: A value is required but not set",
        ),
        (
            ("User", "createOne", {"data": {"email": "x", "role": "KING"}}),
            "P2009",
            "Union",
            "`KING` is not a valid `Role`",
        ),
        (
            ("User", "createOne", {"data": {"email": "x", "id": 1e20}}),
            "P2009",
            "Union",
            "Unable to fit float value (or large JS integer serialized in exponent notation) "
            "'100000000000000000000' into a 64 Bit signed integer for field 'id'.",
        ),
        (
            ("User", "updateOne", {"where": {"id": 1}, "data": {"score": {"set": 1, "increment": 2}}}),
            "P2009",
            "Union",
            "Too many fields given: Expected exactly one field to be present, got 2.",
        ),
        (
            ("User", "groupBy", {"by": ["name"], "orderBy": [{"email": "asc"}]}, {"name": True}),
            "P2019",
            None,
            "Every field used for orderBy must be included in the by-arguments of the query. "
            "Missing fields: email",
        ),
        (("Nope", "findMany"), "P2009", None, "Operation 'findMany' for model 'Nope' does not match"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)  # fmt: skip
def test_bad_requests_are_refused_in_prismas_words(
    compiler: QueryCompiler, parts: Any, code: str, kind: str | None, said: str
) -> None:
    error = refused(compiler, *parts)
    assert error.code == code
    assert error.meta.get("kind") == kind
    assert said in error.message


def test_an_error_says_where_in_the_request(compiler: QueryCompiler) -> None:
    error = refused(
        compiler,
        "User",
        "findMany",
        {},
        {"posts": {"arguments": {"where": {"titel": "x"}}, "selection": SCALARS}},
    )
    assert error.meta["selectionPath"] == ["findManyUser", "posts"]
    assert error.meta["argumentPath"] == ["where", "titel"]
    assert {"name": "title", "typeNames": ["StringFilter", "String"], "required": False} in error.meta[
        "inputType"
    ]["fields"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("not json", "is not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "Unknown action: None"),
        ('{"action": "dropEverything", "query": {}}', "Unknown action: 'dropEverything'"),
        ('{"action": ["findMany"], "query": {}}', "Unknown action"),
        ('{"modelName": "User", "action": "findMany"}', "JSON Error"),
        ('{"modelName": "User", "action": "findMany", "query": 5}', "JSON Error"),
    ],
)
def test_malformed_requests_are_refused(compiler: QueryCompiler, body: str, said: str) -> None:
    with pytest.raises(QueryError, match=said) as caught:
        compiler.compile(body)
    assert caught.value.code == "P2009"


def test_nesting_beyond_the_limit_is_refused_not_a_crash(compiler: QueryCompiler) -> None:
    for depth in (100, 1000):
        nested = '{"AND":' * depth + "{}" + "}" * depth
        body = text("User", "findMany", {"where": "HERE"}, {"id": True}).replace('"HERE"', nested)
        if depth == 100:
            assert statements(compiler.compile(body))
        else:
            with pytest.raises(QueryError, match="recursion limit"):
                compiler.compile(body)


# The host.


def test_a_compiler_that_panicked_starts_afresh(
    schema: PrismaSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = QueryCompiler(schema)
    good = compiler.compile(text("User", "findMany"))
    monkeypatch.setattr(compiler_module, "ACTIONS", ACTIONS | {"nope"})
    with pytest.raises(
        EngineError, match=r"query compiler failed: panicked .*\sUnknown query tag: nope"
    ) as caught:
        compiler.compile(text("User", "nope"))
    assert "restarted" in caught.value.hint
    assert compiler.compile(text("User", "findMany")) == good


@pytest.mark.parametrize("limit", ["memory", "handles"])
def test_a_worn_out_compiler_is_replaced(
    schema: PrismaSchema, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    compiler = QueryCompiler(schema)
    compiler.compile(text("User", "findMany"))
    before = compiler._instance
    assert before is not None
    if limit == "memory":
        monkeypatch.setattr(compiler_module, "_MAX_MEMORY", 0)
    else:
        monkeypatch.setattr(recorder_module, "_MAX_ID", 0)
    good = compiler.compile(text("User", "findMany"))
    assert compiler._instance is None
    monkeypatch.undo()
    assert compiler.compile(text("User", "findMany")) == good
    assert compiler._instance is not before


def test_threads_share_a_compiler(schema: PrismaSchema) -> None:
    compiler = QueryCompiler(schema)
    requests = {n: text("Post", "findMany", {"take": n + 1}, {"id": True}) for n in range(8)}
    wanted = {n: QueryCompiler(schema).compile(one) for n, one in requests.items()}
    wrong: list[Any] = []

    def work(number: int) -> None:
        try:
            for _ in range(25):
                if compiler.compile(requests[number]) != wanted[number]:
                    wrong.append(number)
                with pytest.raises(QueryError):
                    compiler.compile(text("Post", "findMany", {"bad": number}))
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_compiling_does_not_grow(schema: PrismaSchema) -> None:
    compiler = QueryCompiler(schema)
    body = text(
        "User", "findMany", {"where": {"email": {"contains": "x" * 1000}}}, {"id": True, "posts": True}
    )
    for _ in range(50):
        compiler.compile(body)
    assert compiler._instance is not None
    before = compiler._instance._wasm.memory_size
    for _ in range(300):
        compiler.compile(body)
    assert compiler._instance._wasm.memory_size == before


def test_a_damaged_log_is_refused() -> None:
    with pytest.raises(EngineError, match="operation 99"):
        decode(bytearray((99).to_bytes(4, "little")), 4, {})


def insensitive(operator: str, **more: Any) -> dict[str, Any]:
    value = "a" if operator == "string_contains" else {"$type": "Json", "value": '"a"'}
    where = {"meta": {"mode": "insensitive", operator: value}}
    arguments = {"where": {**where, **more}}
    return {
        "modelName": "User",
        "action": "findMany",
        "query": {"arguments": arguments, "selection": {"id": True}},
    }


@pytest.mark.parametrize("operator", ["equals", "not"])
def test_what_the_compiler_has_not_implemented_is_refused(schema: PrismaSchema, operator: str) -> None:
    compiler = QueryCompiler(schema)
    for where in ({}, {}, {"name": None}):
        with pytest.raises(QueryError, match="doesn't support a feature that the query used: ") as caught:
            compiler.compile(json.dumps(insensitive(operator, **where)))
        assert caught.value.code == "P2026"
    assert compiler.compile(json.dumps(insensitive("string_contains")))


def test_a_request_makes_the_compiler_panic_once(
    schema: PrismaSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time it does, it is made anew."""
    made: list[str] = []
    real = compiler_module._Instance
    monkeypatch.setattr(compiler_module, "_Instance", lambda text: made.append(text) or real(text))
    monkeypatch.setattr(compiler_module, "_MAX_REFUSED", 2)
    compiler = QueryCompiler(schema)

    def refused(number: int) -> int:
        with pytest.raises(QueryError):
            compiler.compile(json.dumps(insensitive("equals", id=number)))
        return len(made)

    assert [refused(number) for number in (1, 1, 1, 2, 2, 1)] == [1, 1, 1, 2, 2, 2]
    # Few of them are kept.
    assert [refused(number) for number in (3, 3, 1)] == [3, 3, 4]
    assert len(compiler._refused) <= 2
    with pytest.raises(QueryError):
        compiler.compile(json.dumps(insensitive("equals", name="x" * 5000)))
    assert len(compiler._refused) <= 2
