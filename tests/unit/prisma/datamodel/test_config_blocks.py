"""Datasource and generator blocks of schemas that were written for other versions of Prisma."""

import pytest

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.config_blocks import accepted, config_blocks
from lamdb.prisma.datamodel.schema import PrismaSchema, format_file, lint_schema

DATASOURCE = 'datasource db {\n  provider = "sqlite"\n}\n'
MODEL = "model User {\n  id  Int    @id\n  url String\n}\n"


@pytest.mark.parametrize(
    "properties",
    [
        'url = "file:./dev.db"',
        'url      = env("DATABASE_URL") // the pool\n  directUrl = env("DIRECT_URL")',
        'shadowDatabaseUrl = env("SHADOW")\n  url=env("A")\n  directUrl ="file:b"',
        '// url = "kept as a comment }"\n  url = "file:a}b.db?x={1}"',
        'url = "a \\" quote" /* and a comment */',
    ],
)
def test_addresses_of_databases_are_accepted_and_not_kept(properties: str) -> None:
    text = DATASOURCE.replace("\n}", f"\n  {properties}\n}}") + MODEL
    schema = PrismaSchema.parse(text)
    assert schema.models == ("User",)
    assert "url String" in schema.text
    names = [each.name for block in config_blocks(schema.text) for each in block.properties]
    assert names == ["provider"]
    assert schema.text.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "head",
    [
        'datasource db { provider = "sqlite" }\n',
        'datasource db { provider = "sqlite" url = env("DATABASE_URL") }\n',
        'generator client { provider = "prisma-client-js" }\ndatasource db { provider="sqlite" }\n',
        'datasource db\n{\n  provider = "sqlite"\n}\n',
        'datasource db { provider = "sqlite"\n  url = "file:x" }\n',
        'datasource db {\n  provider = "sqlite" }\n',
        '\ufeffdatasource db {\n  provider = "sqlite"\n}\n',
        '\ufeffdatasource db {\r\n  provider = "sqlite"\r\n  url = "file:x"\r\n}\r\n',
    ],
)
def test_blocks_that_prismas_parser_refuses_are_laid_out(head: str) -> None:
    assert PrismaSchema.parse(head + MODEL).models == ("User",)
    # A message about another block still names its line.
    line = (head + MODEL).split("url String")[0].count("\n") + 1
    with pytest.raises(SchemaError, match=rf"schema\.prisma:{line}\n"):
        PrismaSchema.parse(head + MODEL.replace("url String", "url Strung"))


@pytest.mark.parametrize(
    "features",
    [
        '["metrics"]',
        '["fullTextSearchPostgres", "metrics"]',
        '["views", "metrics", "relationJoins"]',
        '["driverAdapters", "tracing", "fullTextSearch"]',
        '[\n    "metrics",\n    // a comment\n    "views"\n  ]',
        "[]",
    ],
)
def test_preview_features_of_the_client_do_no_harm(features: str) -> None:
    generator = f'generator client {{\n  provider = "prisma-client-js"\n  previewFeatures = {features}\n}}\n'
    schema = PrismaSchema.parse(generator + DATASOURCE + MODEL)
    kept = schema.config["generators"][0]["previewFeatures"]
    assert ("views" in kept) == ("views" in features)
    assert "metrics" not in schema.text


def test_a_preview_feature_that_never_was_is_still_an_error() -> None:
    generator = 'generator client {\n  provider = "p"\n  previewFeatures = ["veiws"]\n}\n'
    with pytest.raises(SchemaError, match="veiws"):
        PrismaSchema.parse(generator + DATASOURCE + MODEL)


def test_editors_are_told_no_error_of_them() -> None:
    text = DATASOURCE.replace("\n}", '\n  url = env("DATABASE_URL")\n}') + MODEL
    assert lint_schema(text) == []


@pytest.mark.parametrize(
    "text",
    [
        DATASOURCE + MODEL,
        "model A {\n  datasource Int\n  generator  String\n}\n",
        '// datasource db { url = "x" }\n/* generator c { previewFeatures = ["metrics"] } */\n',
        'model A {\n  a String @default("datasource db { url = }")\n}\n',
        "datasource db {\n",
        "",
    ],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert accepted(text) == text


ONE_LINE = 'datasource db { provider = "sqlite" }\n'
FAULTY = "model User {\n  id  Int @id\n  age Foo\n}\n"


@pytest.mark.parametrize(
    "head",
    [
        DATASOURCE,
        ONE_LINE,
        'datasource db {provider="sqlite" url=env("A")}\n',
        'datasource db\n\n{ provider = "sqlite" // the "database" }\n  url = "file:x" }\n',
        'generator c { provider = "p" previewFeatures = ["metrics",\n"views"] } ' + ONE_LINE,
        'generator c { /* a\n comment */ provider = "p" }\n/// d\n' + ONE_LINE[:-1] + " // e\n",
    ],
)
@pytest.mark.parametrize("is_before", [False, True])
def test_messages_name_the_lines_of_the_file(head: str, is_before: bool) -> None:
    text = head + FAULTY if is_before else FAULTY + head
    number = text.split("\n").index("  age Foo") + 1
    with pytest.raises(SchemaError, match="Foo") as caught:
        PrismaSchema.parse({"shop.prisma": text})
    assert [line for line in caught.value.message.split("\n") if "-->" in line] == [
        f"  -->  shop.prisma:{number}"
    ]
    assert f"{number:2} |   age Foo\n" in caught.value.message
    assert PrismaSchema.parse(text.replace("Foo", "Int")).models == ("User",)


@pytest.mark.parametrize("block", ["model B { id Int @id }", "enum Kind { X Y }", "type T {a Int}"])
@pytest.mark.parametrize("is_before", [False, True])
def test_a_block_on_one_line_is_refused_with_its_line(block: str, is_before: bool) -> None:
    text = MODEL + (f"{block}\n{ONE_LINE}" if is_before else f"{ONE_LINE}{block}\n")
    number = text.split("\n").index(block) + 1
    with pytest.raises(SchemaError) as caught:
        PrismaSchema.parse(text)
    places = [line for line in caught.value.message.split("\n") if "-->" in line]
    assert places == [f"  -->  schema.prisma:{number}"]
    assert f"`{block.split(' {')[0]}` must be written over several lines" in caught.value.message
    assert f"{number:2} | {block}\n" in caught.value.message
    assert "a line of its own" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('generator c { provider = "p" }\ndatasource db { provider = "mysql" }\n', 2),
        ('/// a\n\ndatasource db {\n  provider = "mysql"\n}\n', 4),
        ('// \u2028 and \x0c\ndatasource db { url = "x"\n provider = "mysql" }\n', 3),
        ('datasource db { provider = "sqlite"\n colour = "red" }\n', 2),
        ('generator c { provider = "p"\n previewFeatures = ["veiws"] }\n' + DATASOURCE, 2),
        (DATASOURCE + 'generator c {\n  provider = "p"\n}\ngenerator c { provider = "p" }\n', 7),
    ],
)
def test_faults_of_these_blocks_are_shown_where_they_are(text: str, line: int) -> None:
    with pytest.raises(SchemaError) as caught:
        PrismaSchema.parse(text + MODEL)
    assert f"schema.prisma:{line}\n" in caught.value.message
    assert f"{line:2} | {text.split('\n')[line - 1]}\n" in caught.value.message


@pytest.mark.parametrize(
    "head",
    [
        'datasource db { provider = "sqlite" }\n',
        'datasource db {provider="sqlite" url=env("A")}\n',
        'datasource db\n{ provider = "sqlite" // the "database" }\n  url = "file:x" }\n',
        'generator c { provider = "p" previewFeatures = ["metrics", "views"] } ' + ONE_LINE,
        "\ufeff" + ONE_LINE[:-1] + " // e\n",
    ],
)
def test_formatting_keeps_all_of_blocks_on_one_line(head: str) -> None:
    text = f"{head}model User {{\nid Int @id\n}}\n"
    formatted = format_file("schema.prisma", text)
    assert "model User {\n  id Int @id\n}\n" in formatted
    assert [
        (block.kind, block.name, [(each.name, each.value) for each in block.properties])
        for block in config_blocks(formatted)
    ] == [
        (block.kind, block.name, [(each.name, each.value) for each in block.properties])
        for block in config_blocks(text)
    ]
    assert format_file("schema.prisma", formatted) == formatted
    assert PrismaSchema.parse(formatted).models == ("User",)


@pytest.mark.parametrize("block", ["model B { id Int @id }", "enum Kind { X Y }", "type T {a Int}"])
def test_a_block_that_the_formatter_would_take_apart_is_refused(block: str) -> None:
    text = f"{block}\n{DATASOURCE}{MODEL}"
    with pytest.raises(SchemaError, match="must be written over several lines") as caught:
        format_file("shop.prisma", text)
    assert "shop.prisma:1\n" in caught.value.message


@pytest.mark.parametrize("text", [DATASOURCE + MODEL.replace("}\n", ""), MODEL.replace("model", "modle"), ""])
def test_what_the_formatter_leaves_alone_is_no_error(text: str) -> None:
    assert format_file("schema.prisma", text).split() == text.split()
