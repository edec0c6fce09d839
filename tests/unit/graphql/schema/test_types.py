"""The API's types: Prisma's names, every member of every union, and their compact form."""

import pytest
from tests.support.graphql_schemas import SCHEMAS, api_types, parse_schema, prisma_schema

from lamdb.errors import EngineError, SchemaError
from lamdb.graphql.schema.names import CUSTOM_SCALARS
from lamdb.graphql.schema.types import ApiTypes, Member
from lamdb.prisma.typestore import TypeStore


@pytest.fixture(scope="module")
def press():
    return api_types("press")


def scalar(name):
    return Member("scalar", name)


def an_input(name, *, is_list=False):
    return Member("input", name, is_list)


# Names

READS = (
    "findUnique",
    "findUniqueOrThrow",
    "findFirst",
    "findFirstOrThrow",
    "findMany",
    "aggregate",
    "groupBy",
)
WRITES = (
    "createOne",
    "createMany",
    "createManyAndReturn",
    "updateOne",
    "updateMany",
    "updateManyAndReturn",
    "upsertOne",
    "deleteOne",
    "deleteMany",
)


def words(text):
    return text.split()


def field_name(action, model):
    """Prisma's name of a root field: suffixes follow the model's name."""
    for suffix in ("OrThrow", "AndReturn"):
        if action.endswith(suffix):
            return action.removesuffix(suffix) + model + suffix
    return action + model


@pytest.mark.parametrize(("operation", "actions"), [("query", READS), ("mutation", WRITES)])
def test_root_fields_are_those_of_the_classic_api(press, operation, actions):
    models = ("Author", "Article", "Tag", "Comment")
    wanted = {field_name(action, model): (model, action) for model in models for action in actions}
    found = {name: (root.model, root.action) for name, root in press.roots(operation).items()}
    assert found == wanted


TYPE_NAMES = words("""
Query Mutation Author Article Tag Comment State AffectedRowsOutput SortOrder NullsOrder
AuthorWhereInput AuthorWhereUniqueInput AuthorOrderByWithRelationInput AuthorOrderByWithAggregationInput
AuthorScalarWhereWithAggregatesInput AuthorScalarFieldEnum AuthorCreateInput AuthorUncheckedCreateInput
AuthorUpdateInput AuthorUncheckedUpdateInput AuthorCreateManyInput AuthorUpdateManyMutationInput
AuthorUncheckedUpdateManyInput AggregateAuthor AuthorGroupByOutputType AuthorCountOutputType
AuthorCountAggregateOutputType AuthorMinAggregateOutputType AuthorMaxAggregateOutputType
AuthorAvgAggregateOutputType AuthorSumAggregateOutputType CreateManyAuthorAndReturnOutputType
UpdateManyAuthorAndReturnOutputType ArticleAuthorIdSlugCompoundUniqueInput ArticleScalarWhereInput
ArticleCreateNestedManyWithoutAuthorInput ArticleUncheckedCreateNestedManyWithoutAuthorInput
ArticleCreateWithoutAuthorInput ArticleUncheckedCreateWithoutAuthorInput
ArticleCreateOrConnectWithoutAuthorInput ArticleCreateManyAuthorInputEnvelope ArticleCreateManyAuthorInput
ArticleUpdateManyWithoutAuthorNestedInput ArticleUpsertWithWhereUniqueWithoutAuthorInput
ArticleUpdateWithWhereUniqueWithoutAuthorInput ArticleUpdateManyWithWhereWithoutAuthorInput
AuthorCreateNestedOneWithoutArticlesInput AuthorUpdateOneRequiredWithoutArticlesNestedInput
AuthorUpsertWithoutArticlesInput AuthorUpdateToOneWithWhereWithoutArticlesInput
AuthorUpdateWithoutArticlesInput AuthorUpdateOneWithoutReviewsNestedInput
ArticleListRelationFilter AuthorScalarRelationFilter AuthorNullableScalarRelationFilter
ArticleOrderByRelationAggregateInput SortOrderInput StringFilter NestedStringFilter StringNullableFilter
IntFilter IntNullableFilter DateTimeFilter EnumStateFilter StringWithAggregatesFilter
StringFieldUpdateOperationsInput NullableStringFieldUpdateOperationsInput
EnumStateFieldUpdateOperationsInput StringFieldRefInput IntFieldRefInput
BigInt Bytes DateTime Decimal Json
""")


@pytest.mark.parametrize("name", TYPE_NAMES)
def test_types_have_prismas_names(press, name):
    assert press.kind(name) is not None


def test_every_type_of_the_dmmf_is_a_type_of_the_api():
    for name in SCHEMAS:
        schema = prisma_schema(name).dmmf["schema"]
        places = ("inputObjectTypes", "outputObjectTypes", "fieldRefTypes", "enumTypes")
        listed = [made for place in places for group in schema[place].values() for made in group]
        known = set(api_types(name).names())
        missing = {made["name"] for made in listed} - known
        assert missing == {"TransactionIsolationLevel"}, "Prisma Client's own enum, which no field takes"


def test_raw_fields_are_there_only_when_asked_for():
    dmmf = prisma_schema("press").dmmf
    assert ApiTypes.from_dmmf(dmmf).root("mutation", "queryRaw") is None
    raw = ApiTypes.from_dmmf(dmmf, raw=True).root("mutation", "queryRaw")
    assert raw is not None
    assert (raw.model, raw.action, raw.field.type) == (None, "queryRaw", "Json!")


# What is shown of a union, and what it takes


def where(press, name):
    return press.input("ArticleWhereInput").fields[name]


def test_a_filter_is_shown_and_a_plain_value_fits_too(press):
    title = where(press, "title")
    assert title.type == "StringFilter"
    assert title.members == (an_input("StringFilter"), scalar("String"))
    assert title.is_union
    assert not title.required
    assert not title.nullable


def test_null_is_a_member_but_no_type(press):
    name = press.input("AuthorWhereInput").fields["name"]
    assert name.type == "StringNullableFilter"
    assert name.nullable
    assert name.members[-1] == Member("null", "Null")


def test_checked_input_is_shown_and_unchecked_fits_too(press):
    data = press.root("mutation", "createOneArticle").field.args["data"]
    assert data.type == "ArticleCreateInput!"
    assert data.members == (an_input("ArticleCreateInput"), an_input("ArticleUncheckedCreateInput"))


@pytest.mark.parametrize(
    ("type_name", "field", "shown"),
    [
        ("ArticleWhereInput", "AND", "[ArticleWhereInput]"),
        ("ArticleWhereInput", "OR", "[ArticleWhereInput]"),
        ("ArticleWhereInput", "author", "AuthorScalarRelationFilter"),
        ("ArticleUpdateInput", "title", "StringFieldUpdateOperationsInput"),
        ("ArticleUpdateInput", "state", "State"),
        ("ArticleCreateInput", "title", "String!"),
        ("AuthorOrderByWithRelationInput", "name", "SortOrder"),
        ("StringFilter", "equals", "String"),
        ("StringFilter", "in", "[String]"),
        ("EnumStateFilter", "equals", "State"),
        ("ArticleCreateNestedManyWithoutAuthorInput", "create", "[ArticleCreateWithoutAuthorInput]"),
        ("ArticleCreateNestedManyWithoutAuthorInput", "connect", "[ArticleWhereUniqueInput]"),
        ("AuthorUpdateOneWithoutReviewsNestedInput", "disconnect", "AuthorWhereInput"),
    ],
)
def test_one_member_of_each_union_is_shown(press, type_name, field, shown):
    assert press.input(type_name).fields[field].type == shown


@pytest.mark.parametrize(
    ("root", "argument", "shown"),
    [
        ("findManyArticle", "orderBy", "[ArticleOrderByWithRelationInput]"),
        ("findManyArticle", "distinct", "[ArticleScalarFieldEnum]"),
        ("findManyArticle", "cursor", "ArticleWhereUniqueInput"),
        ("findManyArticle", "take", "Int"),
        ("groupByArticle", "by", "[ArticleScalarFieldEnum]!"),
        ("groupByArticle", "having", "ArticleScalarWhereWithAggregatesInput"),
    ],
)
def test_arguments_of_reads(press, root, argument, shown):
    assert press.root("query", root).field.args[argument].type == shown


def test_json_is_shown_instead_of_the_names_of_its_nulls():
    kinds = api_types("kinds")
    assert kinds.input("ThingCreateInput").fields["doc"].type == "Json!"
    assert kinds.input("JsonFilter").fields["equals"].type == "Json"


def test_references_and_limits_are_known(press):
    assert press.input("IntFieldRefInput").is_reference
    assert not press.input("IntFilter").is_reference
    unique = press.input("ArticleWhereUniqueInput")
    assert (unique.min_fields, unique.any_of) == (1, ("id", "authorId_slug"))
    assert press.input("ArticleOrderByWithRelationInput").max_fields == 1


# Output


def test_output_fields(press):
    article = press.output("Article")
    assert article.model == "Article"
    assert {name: field.type for name, field in article.fields.items()} == {
        "id": "String!",
        "title": "String!",
        "slug": "String!",
        "state": "State!",
        "createdAt": "DateTime!",
        "authorId": "Int!",
        "author": "Author!",
        "tags": "[Tag!]!",
        "comments": "[Comment!]!",
        "_count": "ArticleCountOutputType!",
    }
    assert [field.kind for field in article.fields.values()] == [
        *("scalar", "scalar", "scalar", "enum", "scalar", "scalar"),
        *("object", "object", "object", "object"),
    ]
    assert list(article.fields["tags"].args) == ["where", "orderBy", "cursor", "take", "skip", "distinct"]
    assert press.output("Comment").fields["reviewer"].type == "Author"
    assert press.output("AggregateAuthor").model is None


def test_documentation_is_kept(press):
    assert press.output("Author").description == "Somebody who writes.\nMost write a lot."
    assert press.output("Author").fields["email"].description == 'Where to "reach" them.'
    state = press.enum("State")
    assert state.description == "How far an article has come."
    assert state.values == {"DRAFT": None, "LIVE": "Everybody can see it."}
    assert "Author" in press.root("query", "findManyAuthor").field.description


# Names that collide, and what GraphQL cannot say


def test_a_model_with_the_name_of_another_type_is_renamed():
    names = api_types("names")
    assert names.output("Query_").model == "Query"
    assert names.root("query", "findManyQuery").model == "Query"
    assert names.root("query", "findManyQuery").field.type == "[Query_!]!"
    assert names.output("Subscription").fields["query"].type == "Query_!"
    assert names.enum("SortOrder_").values.keys() == {"up", "down"}
    assert names.enum("SortOrder").values.keys() == {"asc", "desc"}
    assert names.output("Subscription").fields["order"].type == "SortOrder_!"


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("model A {\n id Int @id\n}\nmodel AOrThrow {\n id Int @id\n}", "Query.findFirstAOrThrow"),
        ("model A {\n id Int @id\n}\nmodel AUnchecked {\n id Int @id\n}", "AUncheckedCreateInput"),
    ],
)
def test_what_graphql_cannot_express_is_refused_with_a_way_out(models, message):
    with pytest.raises(SchemaError, match=message) as caught:
        ApiTypes.from_dmmf(parse_schema(models).dmmf)
    assert "@" in caught.value.hint


def test_a_schema_of_views_has_no_mutations():
    types = ApiTypes.from_dmmf(
        parse_schema("view V {\n  id Int @unique\n}").dmmf  # nothing can be written
    )
    assert types.kind("Mutation") is None
    assert types.roots("mutation") == {}
    assert types.root("query", "findManyV").model == "V"


# The compact form


@pytest.mark.parametrize("name", SCHEMAS)
def test_stored_types_are_the_same_types(name):
    types = api_types(name)
    loaded = ApiTypes.loads(types.dumps())
    assert loaded.names() == types.names()
    for type_name in types.names():
        kind = types.kind(type_name)
        assert loaded.kind(type_name) == kind
        if kind == "object":
            assert dict(loaded.output(type_name).fields) == dict(types.output(type_name).fields)
        elif kind == "input":
            assert dict(loaded.input(type_name).fields) == dict(types.input(type_name).fields)
        elif kind == "enum":
            assert loaded.enum(type_name) == types.enum(type_name)
        else:
            assert type_name in {*CUSTOM_SCALARS, "Float"}
    for operation in ("query", "mutation"):
        assert list(loaded.roots(operation)) == list(types.roots(operation))


def test_stored_types_do_not_depend_on_the_run():
    dmmf = prisma_schema("press").dmmf
    assert ApiTypes.from_dmmf(dmmf).dumps() == ApiTypes.from_dmmf(dmmf).dumps()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda blob: b"",
        lambda blob: b"x" + blob,
        lambda blob: blob[:-20],
        # One that says that it takes four gigabytes.
        lambda blob: blob[:14] + b"\xff\xff\xff\xff" + blob[18:],
    ],
)
def test_damaged_types_are_refused(press, spoil):
    with pytest.raises(EngineError, match="The stored types are "):
        ApiTypes.loads(spoil(press.dumps()))


def test_an_unknown_type_is_a_key_error(press):
    assert press.kind("Zork") is None
    for look_up in (press.output, press.input, press.enum):
        with pytest.raises(KeyError, match="Zork"):
            look_up("Zork")
    with pytest.raises(KeyError, match="Author"):
        press.input("Author")


def test_a_store_finds_its_entries_before_and_after_they_are_listed():
    entries = [("b", "x", 1), ("a", "y", {"k": None}), ("aa", "x", []), ("", "z", "empty name")]
    store = TypeStore.pack(entries)
    loaded = TypeStore.loads(store.dumps())
    for _ in range(2):
        for name, kind, found in entries:
            assert loaded.find(name) == (kind, found)
            assert loaded.kind(name) == kind
        for absent in ("c", "a\t", "a\n", "\n"):
            assert loaded.find(absent) is None
            assert loaded.kind(absent) is None
        assert list(loaded) == ["b", "a", "aa", ""]


@pytest.mark.parametrize("entry", [b"{", b"\xe9\x00", b"[" * 300, b"nul"])
def test_a_damaged_entry_is_refused(entry):
    index = f"\nA\tobject\t0\t{len(entry)}\n".encode()
    store = TypeStore(len(index).to_bytes(4, "big") + index + entry)
    with pytest.raises(EngineError, match="damaged"):
        store.find("A")
