"""Names that Prisma accepts and that cannot be served: refused with their place, and not made by imports."""

import apsw
import pytest

from lamdb.errors import SchemaError, SourceError
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.naming import Style
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.datamodel.schema_text import declarations
from lamdb.prisma.introspection.introspect import introspect

DATASOURCE = 'datasource db {\n  provider = "sqlite"\n}\n'


def refused(*lines: str) -> str:
    with pytest.raises(SchemaError) as caught:
        PrismaSchema.parse(DATASOURCE + "\n".join(lines) + "\n")
    assert caught.value.code == "P1012"
    return caught.value.message


def api_of(*lines: str) -> ApiTypes:
    return ApiTypes.from_dmmf(PrismaSchema.parse(DATASOURCE + "\n".join(lines) + "\n").dmmf)


@pytest.mark.parametrize("name", ["or", "and", "not", "OR", "Not", "aNd", "null", "true", "false"])
def test_a_field_that_filters_or_graphql_reserve_is_refused_with_line_and_column(name: str) -> None:
    message = refused("model A {", "  id Int @id", f"  {name} Int?", "}")
    assert f'The field "{name}" of model "A"' in message
    assert "-->  schema.prisma:6:3\n" in message
    assert f'{name}_ @map("{name}")' in message


@pytest.mark.parametrize("name", ["NULL", "True", "nor", "or_", "in", "is", "equals", "some", "path", "mode"])
def test_other_names_of_operators_are_fields_like_any(name: str) -> None:
    assert name in api_of("model A {", "  id Int @id", f"  {name} Int?", "}").output("A").fields


def test_relations_and_keys_cannot_be_called_like_operators_either() -> None:
    relation = refused(
        "model A {", "  id Int @id", "  not B[]", "}",
        "model B {", "  id Int @id", "  Or A? @relation(fields: [aId], references: [id])", "  aId Int?", "}",
    )  # fmt: skip
    assert "schema.prisma:6:3" in relation
    assert "schema.prisma:10:3" in relation
    assert "Validation Error Count: 2" in relation
    key = refused("model A {", "  id Int @id", "  b Int", "  c Int", '  @@unique([b, c], name: "or")', "}")
    assert 'The key "or" of model "A"' in key


@pytest.mark.parametrize("value", ["null", "true", "false"])
def test_values_of_enums_that_graphql_reserves_are_refused(value: str) -> None:
    message = refused("enum E {", "  A", f"  {value}", "}", "model M {", "  id Int @id", "  e E", "}")
    assert f'The value "{value}" of enum "E"' in message
    assert "schema.prisma:6:3" in message


@pytest.mark.parametrize(
    ("name", "said"), [("a`b", "a backtick"), ('a\\"b', "a double quote"), ("a\\u0000b", "NUL")]
)
def test_tables_and_columns_with_quotes_are_refused(name: str, said: str) -> None:
    column = refused("model A {", "  id Int @id", f'  v Int? @map("{name}")', "}")
    assert said in column
    assert "schema.prisma:6:3" in column
    table = refused("model A {", "  id Int @id", f'  @@map("{name}")', "}")
    assert said in table
    assert "schema.prisma:4:7" in table


@pytest.mark.parametrize("table", ["sqlite_x", "SQLITE_STAT1", "_lamdb_schema", "_prisma_migrations"])
def test_tables_of_sqlite_prisma_and_lamdb_are_refused(table: str) -> None:
    assert f'"{table}", which SQLite' in refused("model A {", "  id Int @id", f'  @@map("{table}")', "}")


def test_names_that_differ_in_case_alone_are_refused_with_both() -> None:
    tables = refused("model User {", "  id Int @id", "}", "model USER {", "  id Int @id", "}")
    assert 'The models "User" and "USER" have one table' in tables
    columns = refused("model A {", "  id Int @id", "  b Int", '  c Int @map("B")', "}")
    assert 'The fields "b" and "c" of model "A" have one column' in columns


def test_models_that_need_one_type_or_operation_are_named() -> None:
    for other, what in (
        ("UserOrThrow", "findFirstUserOrThrow"),
        ("UserUnchecked", "UserUncheckedCreateInput"),
    ):
        with pytest.raises(SchemaError, match=f'the models "User" and "{other}" both need .*{what}'):
            api_of("model User {", "  id Int @id", "}", f"model {other} {{", "  id Int @id", "}")


@pytest.mark.parametrize(
    "name", ["TransactionIsolationLevel", "SortOrder", "IntFilter", "AggregateA", "Query"]
)
def test_an_enum_may_have_the_name_of_a_type(name: str) -> None:
    types = api_of(f"enum {name} {{", "  X", "}", "model A {", "  id Int @id", f"  e {name}", "}")
    assert types.enum(f"{name}_").values == {"X": None}


def test_places_are_found_between_comments_and_blocks() -> None:
    text = "// model X {\nmodel A { // first\n  /// id\n  id Int @id // x\n}\n\nenum E {\n  ONE\n}\n"
    assert [(each.block, each.member, each.line, each.column) for each in declarations(text)] == [
        ("A", None, 2, 7), ("A", "id", 4, 3), ("E", None, 7, 6), ("E", "ONE", 8, 3),
    ]  # fmt: skip


# Imports.


def made(sql: str, style: Style = Style.PRISMA) -> PrismaSchema:
    connection = apsw.Connection(":memory:")
    connection.execute(sql)
    schema = introspect(connection, style=style).schema
    assert schema is not None
    ApiTypes.from_dmmf(schema.dmmf)
    return schema


@pytest.mark.parametrize("style", list(Style))
@pytest.mark.parametrize("name", ["or", "AND", "Not", "null", "true", "false"])
def test_columns_with_reserved_names_get_others(name: str, style: Style) -> None:
    schema = made(f'CREATE TABLE t (id INTEGER PRIMARY KEY, "{name}" TEXT)', style)
    [_, field] = schema.datamodel["models"][0]["fields"]
    assert field["name"].lower() == f"{name.lower()}_"
    assert field["dbName"] == name


@pytest.mark.parametrize("style", list(Style))
@pytest.mark.parametrize("name", ["or", "not", "And"])
def test_relations_are_not_called_like_operators(name: str, style: Style) -> None:
    schema = made(
        f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY);'
        f'CREATE TABLE b (id INTEGER PRIMARY KEY, {name}_id INTEGER REFERENCES "{name}")',
        style,
    )
    names = {field["name"].lower() for model in schema.datamodel["models"] for field in model["fields"]}
    assert f"{name.lower()}_" in names
    assert name.lower() not in names


@pytest.mark.parametrize(
    "tables",
    [
        ("user", "user_or_throw"),
        ("user", "user_unchecked"),
        ("user", "aggregate_user"),
        ("user", "user_scalar_field_enum", "user_where_input", "user_where_input_record"),
        ("a", "a_create_input", "int_filter", "sort_order", "nulls_order"),
        ("order", "order_or_throw", "order_or_throw_or_throw"),
    ],
)
def test_tables_whose_types_clash_get_other_models(tables: tuple[str, ...]) -> None:
    script = ";".join(f'CREATE TABLE "{table}" (id INTEGER PRIMARY KEY, n TEXT)' for table in tables)
    schema = made(script)
    types = ApiTypes.from_dmmf(schema.dmmf)
    # None of the types had to be renamed.
    assert {types.output(model).model for model in schema.models} == set(schema.models)
    assert {model["dbName"] or model["name"] for model in schema.datamodel["models"]} == set(tables)


def test_a_field_is_not_called_like_a_key_of_several() -> None:
    schema = made("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT, a_b INT, UNIQUE (a, b))", Style.KEEP)
    assert [field["name"] for field in schema.datamodel["models"][0]["fields"]] == ["id", "a", "b", "a_b_"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (
            'CREATE TABLE m (id INTEGER PRIMARY KEY, "5`th" TEXT)',
            "the column of m '5`th' contains a backtick",
        ),
        ('CREATE TABLE "tick`table" (id INTEGER PRIMARY KEY)', "the table 'tick`table' contains a backtick"),
        ('CREATE TABLE m (id INTEGER PRIMARY KEY, "a""b" TEXT)', "the column of m 'a\"b' contains a double"),
        ('CREATE TABLE m (a PRIMARY KEY); CREATE VIEW "v`" AS SELECT a FROM m', "the view 'v`' contains"),
    ],
)
def test_names_that_cannot_be_quoted_are_named(sql: str, said: str) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(sql)
    with pytest.raises(SourceError, match=said):
        introspect(connection)


def test_values_of_columns_called_true_and_false_are_looked_at() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(
        'CREATE TABLE p (id INTEGER PRIMARY KEY, "true" INT UNIQUE); CREATE TABLE c (id INTEGER PRIMARY KEY,'
        ' "FALSE" INT REFERENCES p("true")); INSERT INTO p VALUES (1, 5); INSERT INTO c VALUES (1, 5), (2, 6)'
    )
    found = introspect(connection)
    assert [(each.kind, each.message) for each in found.findings] == [
        ("orphans", "1 rows refer to rows of p that are not there")
    ]
