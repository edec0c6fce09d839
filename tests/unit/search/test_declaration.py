"""Searches as schemas declare them, and the errors in declarations with their places."""

import pytest

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.search import stored
from lamdb.search.definition import ColumnSource, FacetKind, Hop, Language, Rank, SearchDefinition

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
MODELS = """
model Post {
  id         Int      @id @default(autoincrement())
  title      String   @map("ttl")
  body       String?
  kind       Kind     @default(NEWS)
  slug       String   @unique
  price      Decimal?
  live       Boolean  @default(true)
  at         DateTime @default(now())
  data       Json?
  raw        Bytes?
  views      Int      @default(0)
  authorId   String?
  author     Author?  @relation(fields: [authorId], references: [id])
  parentId   Int?
  parent     Post?    @relation("thread", fields: [parentId], references: [id])
  replies    Post[]   @relation("thread")
  tags       Tag[]
  related    Post[]   @relation("see")
  relatedBy  Post[]   @relation("see")
  @@unique([title, slug])
  @@map("posts")
}
enum Kind {
  NEWS
  NOTE
}
model Author {
  id    String @id
  name  String
  posts Post[]
}
model Tag {
  id    Int    @id
  name  String
  posts Post[]
}
"""


def search(*lines: str) -> SearchDefinition:
    (found,) = PrismaSchema.parse(HEAD + "\n".join(f"/// {line}" for line in lines) + MODELS).searches
    return found


def fault(*lines: str) -> str:
    with pytest.raises(SchemaError) as raised:
        PrismaSchema.parse(HEAD + "\n".join(lines) + MODELS)
    return str(raised.value)


def test_a_schema_without_searches_has_none() -> None:
    assert PrismaSchema.parse(HEAD + MODELS).searches == ()


def test_all_options() -> None:
    found = search(
        "A post.",
        "@lamdb.search title^4 body, kind^0.5 views",
        "@lamdb.search.facets kind price live at",
        "@lamdb.search.rank views desc, at asc",
        "@lamdb.search.language en",
        "@lamdb.search.synonyms TV,  television set",
        "@lamdb.search.synonyms sofa, couch, settee",
        "@lamdb.search.stopwords the a, an",
    )
    assert (found.model, found.table, found.index, found.rowid) == ("Post", "posts", "posts_search", "id")
    weights = [(field.name, field.column, field.weight, field.source.column) for field in found.fields]
    assert weights == [
        ("title", "title", 4, "ttl"),
        ("body", "body", 1, "body"),
        ("kind", "kind", 0.5, "kind"),
        ("views", "views", 1, "views"),
    ]
    assert [facet.kind for facet in found.facets] == [
        FacetKind.TEXT, FacetKind.NUMBER, FacetKind.BOOLEAN, FacetKind.DATETIME,
    ]  # fmt: skip
    assert found.rank == (
        Rank("views", "views", True, ColumnSource("views")),
        Rank("at", "at", False, ColumnSource("at")),
    )
    assert found.language is Language.EN
    assert found.synonyms == (("tv", "television set"), ("sofa", "couch", "settee"))
    assert found.stop_words == {"the", "a", "an"}
    assert found.uniques == (("id",), ("slug",), ("ttl", "slug"))
    assert found.side_columns == ("kind", "price", "live", "at", "views")


def test_fields_of_relations() -> None:
    found = search("@lamdb.search author.name tags.name parent.title replies.body related.title")
    hops = {field.name: field.source.hops for field in found.fields}
    author, tag = (("id",),), (("id",),)
    post = (("id",), ("slug",), ("ttl", "slug"))
    pair = (("A", "B"),)
    assert hops == {
        "author.name": (Hop("Author", (("authorId", "id"),), author),),
        "tags.name": (
            Hop("_PostToTag", (("id", "A"),), pair, many=True),
            Hop("Tag", (("B", "id"),), tag),
        ),
        "parent.title": (Hop("posts", (("parentId", "id"),), post),),
        "replies.body": (Hop("posts", (("id", "parentId"),), post, many=True),),
        "related.title": (
            Hop("_see", (("id", "A"),), pair, many=True),
            Hop("posts", (("B", "id"),), post),
        ),
    }
    assert found.cascades


def test_facets_of_several_values_have_a_column_of_their_own() -> None:
    found = search("@lamdb.search title tags.name", "@lamdb.search.facets tags.name author.name")
    assert [(facet.field, facet.column, facet.many) for facet in found.facets] == [
        ("tags.name", "tags_name_values", True),
        ("author.name", "author_name", False),
    ]


@pytest.mark.parametrize(
    ("id_", "rowid"),
    [
        ("id Int @id", "id"),
        ('key BigInt @id @map("k")', "k"),
        ("id String @id", "rowid"),
        ("id String @id\n  rowid Int", "_rowid_"),
        ("a Int\n  b Int\n  @@id([a, b])", "rowid"),
    ],
)
def test_the_number_of_a_record(id_: str, rowid: str) -> None:
    schema = f"{HEAD}/// @lamdb.search text\nmodel M {{\n  text String\n  {id_}\n}}\n"
    assert PrismaSchema.parse(schema).searches[0].rowid == rowid


@pytest.mark.parametrize("name", ["rank", "rowid", "docid"])
def test_columns_that_fts5_cannot_have_are_renamed(name: str) -> None:
    schema = f"{HEAD}/// @lamdb.search {name}\nmodel M {{\n  id Int @id\n  {name} String\n}}\n"
    (field,) = PrismaSchema.parse(schema).searches[0].fields
    assert (field.name, field.column, field.source.column) == (name, f"{name}_", name)


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("/// @lamdb.search titel", "4:19", "Post has no field titel"),
        ("///   @lamdb.search title  boby^2", "4:28", "Post has no field boby"),
        ("/// @lamdb.search title^0", "4:19", "weight '0'"),
        ("/// @lamdb.search title^x", "4:19", "weight 'x'"),
        ("/// @lamdb.search title^", "4:19", "weight ''"),
        ("/// @lamdb.search title^nan", "4:19", "weight 'nan'"),
        ("/// @lamdb.search title^1e9", "4:19", "weight '1e9'"),
        ("/// @lamdb.search title title^2", "4:25", "twice"),
        ("/// @lamdb.search *", "4:19", "not a field with a weight"),
        ("/// @lamdb.search tags", "4:19", "is a relation"),
        ("/// @lamdb.search tags.nam", "4:19", "Tag has no field nam"),
        ("/// @lamdb.search title.name", "4:19", "is neither a relation nor Json"),
        ("/// @lamdb.search parent.parent.parent.parent.title", "4:19", "more than 3"),
        ("/// @lamdb.search raw", "4:19", "is a Bytes"),
        ("/// @lamdb.search author.name.first", "4:19", "Author.name is neither a relation nor Json"),
        ("/// @lamdb.search author", "4:19", "author is a relation: name one of its fields, author.name"),
        ("/// @lamdb.search price", "4:19", "is a Decimal"),
        ("/// @lamdb.search", "4:5", "names nothing"),
        ("/// @lamdb.search.fields title", "4:5", "There is no @lamdb.search.fields"),
        ("/// @lamdb.search. title", "4:5", "There is no @lamdb.search."),
        ("/// @lamdb.search.language en", "4:5", "is not searched"),
    ],
)
def test_errors_have_their_place(line: str, place: str, message: str) -> None:
    said = fault(line)
    assert f"schema.prisma:{place}\n" in said
    assert message in said
    assert line in said


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("@lamdb.search.facets raw", "5:26", "cannot be counted"),
        ("@lamdb.search.facets replies.data", "5:26", "Json of several records"),
        ("@lamdb.search.rank data", "5:24", "data cannot rank records"),
        ("@lamdb.search.facets kind kind", "5:31", "twice"),
        ("@lamdb.search.facets nothing", "5:26", "no field nothing"),
        ("@lamdb.search.rank views down", "5:24", "desc or asc"),
        ("@lamdb.search.rank title", "5:24", "cannot rank records"),
        ("@lamdb.search.rank replies.views", "5:24", "cannot rank records"),
        ("@lamdb.search.language de", "5:28", "not one of the languages en, none, cjk"),
        ("@lamdb.search.synonyms tv", "5:28", "no synonym"),
        ("@lamdb.search.stopwords", "5:5", "names nothing"),
    ],
)
def test_errors_of_options_have_their_place(line: str, place: str, message: str) -> None:
    said = fault("/// @lamdb.search title", f"/// {line}")
    assert f"schema.prisma:{place}\n" in said
    assert message in said


@pytest.mark.parametrize(
    "text",
    [
        "enum E {\n  /// @lamdb.search x\n  A\n}",
        "/// @lamdb.search a\nenum E {\n  A\n}",
        "model M {\n  id Int @id\n  /// @lamdb.search a\n  a String\n}",
        "model M {\n  id Int @id\n  a String /// @lamdb.search a\n}",
    ],
)
def test_a_search_stands_above_a_model(text: str) -> None:
    with pytest.raises(SchemaError, match="stands above a model"):
        PrismaSchema.parse(f"{HEAD}model N {{\n  id Int @id\n}}\n{text}\n")


def test_all_errors_are_told_at_once() -> None:
    said = fault("/// @lamdb.search titel", "/// @lamdb.search.facets kin", "/// @lamdb.search.rank vews")
    assert "Validation Error Count: 3" in said


def test_a_table_that_a_search_needs_may_be_taken() -> None:
    with pytest.raises(SchemaError, match="M_search_data, which the model D has"):
        PrismaSchema.parse(
            f"{HEAD}/// @lamdb.search a\nmodel M {{\n  id Int @id\n  a String\n}}\n"
            'model D {\n  id Int @id\n  @@map("m_search_data")\n}\n'
        )


def test_json_is_searched_and_counted() -> None:
    found = search("@lamdb.search title data", "@lamdb.search.facets data data.size author.name")
    data, size, author = found.facets
    assert found.fields[1].source == ColumnSource("data", json=True)
    assert (data.column, data.kind, data.many) == ("data_values", FacetKind.TEXT, True)
    assert (size.field, size.column) == ("data.size", "data_size_values")
    assert size.source == ColumnSource("data", json=True, keys=("size",))
    assert not author.many


def test_definitions_that_earlier_versions_stored_are_read() -> None:
    definition = search("@lamdb.search title data.size author.name", "@lamdb.search.facets author.name")
    made = stored.to_json([definition])
    assert stored.from_json(made) == (definition,)
    plain = search("@lamdb.search title author.name", "@lamdb.search.facets author.name")
    (earlier,) = stored.to_json([plain])
    for part in (*earlier["fields"], *earlier["facets"]):
        del part["source"]["json"], part["source"]["keys"]
    assert stored.from_json([earlier]) == (plain,)
