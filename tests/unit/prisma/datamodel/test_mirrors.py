"""Annotations that make mirrors of models: what they mean, and how those without a meaning are refused."""

import re
from pathlib import Path

import pytest

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.mirrors import Mirror, MirrorSource, SourceKind
from lamdb.prisma.datamodel.schema import PrismaSchema

GUIDE = Path(__file__).parents[4] / "docs/events.md"
HEAD = """datasource db {
  provider = "sqlite"
}

enum State {
  OPEN
  DONE
}
"""
ORDERS = """
/// What the shop sold.
/// @lamdb.mirror dynamodb:Orders
model Order {
  id    String  @id
  /// Who pays.
  /// @lamdb.from customer.id
  buyer String
  total Decimal /// @lamdb.from $.dynamodb.NewImage.sum.N
  state State   @default(OPEN)
  /// @lamdb.local
  note  String?
  seen  DateTime @updatedAt
  items Item[]
}

model Item {
  id      Int    @id @default(autoincrement())
  order   Order  @relation(fields: [orderId], references: [id])
  orderId String
}
"""


def mirrors(text: str) -> tuple[Mirror, ...]:
    return PrismaSchema.parse(HEAD + text).mirrors


def mirror(text: str) -> Mirror:
    (found,) = mirrors(text)
    return found


def test_a_schema_without_annotations_has_no_mirrors() -> None:
    assert mirrors("model A {\n  id Int @id\n}\n") == ()


def test_a_mirror_of_a_table() -> None:
    orders = mirror(ORDERS)
    assert orders.model == "Order"
    assert orders.sources == (MirrorSource(SourceKind.DYNAMODB, "Orders"),)
    assert (orders.key, orders.unique) == (("id",), "id")
    assert [(column.name, column.type, column.path, column.from_event) for column in orders.columns] == [
        ("id", "String", ("id",), False),
        ("buyer", "String", ("customer", "id"), False),
        ("total", "Decimal", ("dynamodb", "NewImage", "sum", "N"), True),
        ("state", "Enum", ("state",), False),
    ]
    required = {column.name: (column.required, column.has_default) for column in orders.columns}
    assert required["state"] == (True, True)


def test_a_schema_that_is_carried_by_a_database_has_its_mirrors() -> None:
    assert PrismaSchema.trusted(HEAD + ORDERS).mirrors == (mirror(ORDERS),)


def test_a_schema_of_several_files_keeps_its_mirrors_when_they_are_merged() -> None:
    split = ORDERS.index("model Item")
    schema = PrismaSchema.parse({"a.prisma": HEAD + ORDERS[:split], "b.prisma": ORDERS[split:]})
    assert PrismaSchema.trusted(schema.text).mirrors == schema.mirrors == (mirror(ORDERS),)


ONE = "\nmodel A {{\n  id   Int    @id @default(autoincrement())\n  code String @unique\n  {}\n}}\n"


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("dynamodb:Orders.v2", MirrorSource(SourceKind.DYNAMODB, "Orders.v2")),
        ("sqs:orders.fifo", MirrorSource(SourceKind.SQS, "orders.fifo")),
        (
            "eventbridge:example.shop/Order Placed",
            MirrorSource(SourceKind.EVENTBRIDGE, "example.shop/Order Placed"),
        ),
        (
            "eventbridge:aws.partner/example.com/shop/Placed",
            MirrorSource(SourceKind.EVENTBRIDGE, "aws.partner/example.com/shop/Placed"),
        ),
    ],
)
def test_sources(written: str, source: MirrorSource) -> None:
    found = mirror(f"/// @lamdb.mirror {written}\n/// @lamdb.key code" + ONE.format(""))
    assert found.sources == (source,)
    assert (found.key, found.unique) == (("code",), "code")


def test_what_the_database_counts_is_its_own_unless_it_is_the_key() -> None:
    columns = {column.name for column in mirror(MIRROR + ONE.format("")).columns}
    assert columns == {"code"}
    keyed = mirror(QUEUE + "\n/// @lamdb.key id" + ONE.format(""))
    assert [column.name for column in keyed.columns] == ["id", "code"]


def test_a_mirror_of_objects() -> None:
    found = mirror(
        """
/// @lamdb.mirror s3:photos/raw/
model Photo {
  bucket String
  path   String /// @lamdb.from key
  size   BigInt?
  at     DateTime /// @lamdb.from time
  @@id([bucket, path])
}
"""
    )
    assert found.sources == (MirrorSource(SourceKind.S3, "photos", "raw/"),)
    assert (found.key, found.unique) == (("bucket", "path"), "bucket_path")


def test_several_events_feed_a_model_and_another_removes() -> None:
    found = mirror(
        "/// @lamdb.mirror eventbridge:shop/Placed\n/// @lamdb.mirror eventbridge:shop/Paid\n"
        "/// @lamdb.remove eventbridge:shop/Cancelled\n/// @lamdb.key code, region\n"
        "/// @lamdb.version $.detail.revision\n"
        "model A {\n  id Int @id @default(autoincrement())\n  region String\n  code String\n"
        '  @@unique([region, code], name: "place")\n}\n'
    )
    assert [source.removes for source in found.sources] == [False, False, True]
    assert (found.key, found.unique) == (("region", "code"), "place")
    assert (found.version, found.version_from_event) == (("detail", "revision"), True)


QUEUE = "/// @lamdb.mirror sqs:orders"
MIRROR = QUEUE + "\n/// @lamdb.key code"
RELATION = "b B? @relation(fields: [bId], references: [id]) /// @lamdb.from x\n  bId Int?"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("/// @lamdb.miror sqs:orders" + ONE.format(""), "`@lamdb.miror` is not known on a model", 9),
        ("/// @lamdb.mirror kafka:orders" + ONE.format(""), "'kafka:orders' is not a source", 9),
        ("/// @lamdb.mirror s3:Upper" + ONE.format(""), "is not a source", 9),
        ("/// @lamdb.mirror eventbridge:shop" + ONE.format(""), "is not a source", 9),
        ("/// @lamdb.mirror" + ONE.format(""), "'' is not a source", 9),
        (QUEUE + ONE.format(""), "The id of A is generated", 9),
        (QUEUE + "\n/// @lamdb.key name" + ONE.format(""), "neither the id nor unique", 10),
        (QUEUE + "\n/// @lamdb.mirror dynamodb:Orders" + ONE.format(""), "of one kind", 9),
        ("/// @lamdb.remove dynamodb:Orders" + ONE.format(""), "tell what was removed", 9),
        (MIRROR + "\n/// @lamdb.key id" + ONE.format(""), "is given twice", 11),
        (MIRROR + "\n/// @lamdb.version a..b" + ONE.format(""), "is not a path", 11),
        ("/// @lamdb.key code" + ONE.format(""), "A is not a mirror", 9),
        (ONE.format("name String? /// @lamdb.from x"), "A is not a mirror", 13),
        (MIRROR + ONE.format("name String? /// @lamdb.form x"), "`@lamdb.form` is not known on a field", 14),
        (MIRROR + ONE.format("name String? /// @lamdb.from a b"), "'a b' is not a path", 14),
        (MIRROR + ONE.format("name String /// @lamdb.local"), "name is required, and no event sets it", 14),
        (
            MIRROR + ONE.format("name String?\n  /// @lamdb.local\n  /// @lamdb.from x\n  b Int?"),
            "b cannot be local and come from an event",
            15,
        ),
        (
            "/// @lamdb.mirror dynamodb:Orders\n/// @lamdb.key code\n/// @lamdb.version x" + ONE.format(""),
            "have their own order",
            11,
        ),
        ("/// @lamdb.mirror s3:photos\n/// @lamdb.key code" + ONE.format(""), "have no 'code'", 9),
        (
            "/// @lamdb.mirror s3:photos\n/// @lamdb.key etag\nmodel A {\n  etag String @id\n}\n",
            "An object is found by its key",
            9,
        ),
        (
            MIRROR + ONE.format(RELATION)
            + "model B {\n  id Int @id\n  as A[]\n}\n",
            "A.b is a relation",
            14,
        ),
        (
            QUEUE + "\nmodel A {\n  id String @id @default(\"x\") /// @lamdb.local\n}\n",
            "No event sets id",
            9,
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_said_with_its_place(text: str, message: str, line: int) -> None:
    with pytest.raises(SchemaError) as caught:
        PrismaSchema.parse(HEAD + text)
    assert message in caught.value.message
    assert f"schema.prisma:{line}\n" in caught.value.message
    assert caught.value.hint == "docs/events.md describes the annotations."


def test_the_example_of_the_guide_is_valid() -> None:
    (example,) = re.findall(r"^```prisma\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert [found.model for found in mirrors(example)] == ["Order", "Photo", "Parcel"]


def test_the_file_of_a_fault_is_named() -> None:
    files = {"a.prisma": HEAD, "b.prisma": "/// @lamdb.mirror nothing" + ONE.format("")}
    with pytest.raises(SchemaError, match=r"b\.prisma:1\n"):
        PrismaSchema.parse(files)


@pytest.mark.parametrize(
    ("written", "path", "from_event"),
    [
        ("customer.name", ("customer", "name"), False),
        ('"customer.name"', ("customer.name",), False),
        ('"a.b".c', ("a.b", "c"), False),
        ('a."b.c".0', ("a", "b.c", "0"), False),
        ('$."detail.x".y', ("detail.x", "y"), True),
        ('"with space"', ("with space",), False),
        (r'"a\"b\\c"', ('a"b\\c',), False),
        ("$.time", ("time",), True),
    ],
)
def test_names_with_dots_stand_in_quotes(written: str, path: tuple[str, ...], from_event: bool) -> None:
    schema = PrismaSchema.parse(
        'datasource db {\n  provider = "sqlite"\n}\n'
        f"/// @lamdb.mirror sqs:*\nmodel A {{\n  id Int @id\n  /// @lamdb.from {written}\n  b String?\n}}\n"
    )
    (mirror,) = schema.mirrors
    column = next(each for each in mirror.columns if each.name == "b")
    assert (column.path, column.from_event) == (path, from_event)


@pytest.mark.parametrize("written", ['"a', 'a"b', '""', '"a"b', '"a".', "a..b", '"a\\x"'])
def test_quotes_that_are_not_closed(written: str) -> None:
    text = (
        'datasource db {\n  provider = "sqlite"\n}\n/// @lamdb.mirror sqs:*\n'
        f"model A {{\n  id Int @id\n  /// @lamdb.from {written}\n  b String?\n}}\n"
    )
    with pytest.raises(SchemaError, match="is not a path"):
        assert PrismaSchema.parse(text).mirrors
