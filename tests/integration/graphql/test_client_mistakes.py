"""One mistake in a request has one error, which says what is wrong and where."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema, get_variable_values, parse, validate
from graphql.language import OperationDefinitionNode
from graphql.validation import specified_rules
from tests.support.graphql_blog import blog_api, blog_types, empty_blog

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.sdl import render
from lamdb.storage import Database

GRAPHQL = "GRAPHQL_VALIDATION_FAILED"
VARIABLES = "BAD_VARIABLES"
SYNTAX = "GRAPHQL_PARSE_FAILED"
OPERATION = "OPERATION_RESOLUTION_FAILURE"

CREATE = "mutation ($d: UserCreateInput!) { createOneUser(data: $d) { id } }"
FIND = "query ($w: UserWhereInput) { findManyUser(where: $w) { id } }"
POSTS = "query ($w: PostWhereInput) { findManyPost(where: $w) { id } }"
TAKE = "query ($n: Int) { findManyUser(take: $n) { id } }"
CREATED = "query ($t: DateTime) { findManyUser(where: {created: {gt: $t}}) { id } }"


@dataclass(frozen=True)
class Mistake:
    """- `code`, `says`: the code of its error, and how the message begins.
    - `at`: what stands in the document where the error is; "" without a place.
    - `as_core`: whether graphql-core says the same, word for word.
    - `path`: the root field, of an error of execution.
    """

    document: str
    code: str
    says: str
    at: str = ""
    variables: Mapping[str, Any] | None = None
    operation: str | None = None
    as_core: bool = True
    path: str | None = None


MISTAKES = {
    # Fields
    "a field": Mistake(
        "{ findManyUser { emial } }", "P2009",
        "Cannot query field 'emial' on type 'User'. Did you mean 'email' or 'meta'?", "emial",
    ),
    "a field of a relation": Mistake(
        "{ findManyUser { posts { titel } } }", "P2009",
        "Cannot query field 'titel' on type 'Post'. Did you mean 'title' or 'likes'?", "titel",
    ),
    "a field in a fragment": Mistake(
        "{ findManyUser { ...F } } fragment F on User { emial }", "P2009",
        "Cannot query field 'emial' on type 'User'. Did you mean 'email' or 'meta'?", "emial",
    ),
    "a field in an inline fragment": Mistake(
        "{ findManyUser { ... on User { emial } } }", "P2009",
        "Cannot query field 'emial' on type 'User'. Did you mean 'email' or 'meta'?", "emial",
    ),
    "a field with arguments and fields of its own": Mistake(
        "query ($n: Int) { findManyUser { zork(a: $n) { b } } }", "P2009",
        "Cannot query field 'zork' on type 'User'.", "zork", {"n": 1},
    ),
    "a root field": Mistake(
        "{ findManyUsers { id } }", "P2009",
        "Cannot query field 'findManyUsers' on type 'Query'. Did you mean 'findManyUser'", "findManyUsers",
    ),
    "a root field of mutations": Mistake(
        'mutation { createUser(data: {email: "a"}) { id } }', "P2009",
        "Cannot query field 'createUser' on type 'Mutation'. Did you mean 'createOneUser'", "createUser",
    ),
    "a mutation in a query": Mistake(
        '{ createOneUser(data: {email: "a"}) { id } }', "P2009",
        "Cannot query field 'createOneUser' on type 'Query'.", "createOneUser",
    ),
    "a field of a scalar": Mistake(
        "{ findManyUser { email { length } } }", "P2009",
        "Field 'email' must not have a selection since type 'String!' has no subfields.", "{ length",
    ),
    "no fields": Mistake(
        "{ findManyUser }", "P2009",
        "Field 'findManyUser' of type '[User!]!' must have a selection of subfields. Did you mean",
        "findMany",
    ),
    "no fields of a relation": Mistake(
        "{ findManyUser { posts } }", "P2009",
        "Field 'posts' of type '[Post!]!' must have a selection of subfields. Did you mean", "posts",
    ),
    "two fields of one name": Mistake(
        "{ findManyUser { a: id a: email } }", GRAPHQL,
        "Fields 'a' conflict because 'id' and 'email' are different fields.", "a: id",
    ),
    # Arguments
    "an argument": Mistake(
        "{ findManyUser(takes: 1) { id } }", "P2009",
        "Unknown argument 'takes' on field 'Query.findManyUser'. Did you mean 'take'?", "takes",
    ),
    "an argument of a relation": Mistake(
        "{ findManyUser { posts(first: 1) { id } } }", "P2009",
        "Unknown argument 'first' on field 'User.posts'.", "first",
    ),
    "no argument where one is required": Mistake(
        "{ findUniqueUser { id } }", "P2012",
        "Field 'findUniqueUser' argument 'where' of type 'UserWhereUniqueInput!' is required", "findUnique",
    ),
    "a required argument, misspelt": Mistake(
        "{ findUniqueUser(wher: {id: 1}) { id } }", "P2009",
        "Unknown argument 'wher' on field 'Query.findUniqueUser'. Did you mean 'where'?", "wher:",
        as_core=False,
    ),
    "no data": Mistake(
        "mutation { createOneUser { id } }", "P2009",
        "Field 'createOneUser' argument 'data' of type 'UserCreateInput!' is required", "createOneUser",
    ),
    "an argument twice": Mistake(
        "{ findManyUser(take: 1, take: 2) { id } }", GRAPHQL,
        "There can be only one argument named 'take'.", "take: 1",
    ),
    # Values
    "a string for a number": Mistake(
        '{ findManyUser(take: "1") { id } }', "P2009", 'Int cannot represent non-integer value: "1"', '"1"',
    ),
    "a fraction for a number": Mistake(
        "{ findManyUser(take: 1.5) { id } }", GRAPHQL, "Int cannot represent non-integer value: 1.5", "1.5",
    ),
    "an object for a number": Mistake(
        "{ findManyUser(take: {a: 1}) { id } }", "P2009",
        "Int cannot represent non-integer value: {a: 1}", "{a: 1}",
    ),
    "a number for an object": Mistake(
        "{ findManyUser(where: 5) { id } }", "P2009",
        "Expected value of type 'UserWhereInput', found 5.", "5",
    ),
    "a number beyond 32 bits": Mistake(
        "{ findManyUser(take: 3000000000) { id } }", "P2033",
        "Int cannot represent non 32-bit signed integer value: 3000000000", "3000000000",
    ),
    "a string for a filter": Mistake(
        '{ findManyPost(where: {likes: "many"}) { id } }', "P2009",
        "Expected value of type 'IntFilter' or 'Int', found \"many\".", '"many"', as_core=False,
    ),
    "a string in a filter": Mistake(
        '{ findManyPost(where: {likes: {gt: "many"}}) { id } }', "P2009",
        'Int cannot represent non-integer value: "many"', '"many"',
    ),
    "a number for a string": Mistake(
        "mutation { createOneUser(data: {email: 5}) { id } }", "P2009",
        "String cannot represent a non string value: 5", "5",
    ),
    "a number for a string, nested": Mistake(
        'mutation { createOneUser(data: {email: "a", posts: {create: {id: 1, title: 5}}}) { id } }', "P2009",
        "String cannot represent a non string value: 5", "5",
    ),
    "a list for a value": Mistake(
        "{ findManyPost(where: {likes: [1]}) { id } }", "P2009",
        "Expected value of type 'IntFilter' or 'Int', found [1].", "[1]", as_core=False,
    ),
    "null for what is required": Mistake(
        "mutation { createOneUser(data: {email: null}) { id } }", "P2009",
        "Expected value of type 'String!', found null.", "null",
    ),
    "an enum's value": Mistake(
        "{ findManyUser(where: {role: ADMN}) { id } }", "P2009",
        "Value 'ADMN' does not exist in 'Role' enum. Did you mean the enum value 'ADMIN'?", "ADMN",
        as_core=False,
    ),
    "an enum's value as a string": Mistake(
        'mutation { createOneUser(data: {email: "a", role: "ADMN"}) { id } }', "P2009",
        "Enum 'Role' cannot represent non-enum value: \"ADMN\". Did you mean the enum value 'ADMIN'?",
        '"ADMN"',
    ),
    "an order": Mistake(
        "{ findManyUser(orderBy: {email: up}) { id } }", "P2009",
        "Value 'up' does not exist in 'SortOrder' enum.", "up}",
    ),
    "a field to be distinct": Mistake(
        "{ findManyUser(distinct: nam) { id } }", "P2009",
        "Value 'nam' does not exist in 'UserScalarFieldEnum' enum. Did you mean the enum value 'name'?",
        "nam)",
    ),
    "a time": Mistake(
        '{ findManyUser(where: {created: {gt: "yesterday"}}) { id } }', "P2009",
        'DateTime cannot represent value: "yesterday". It takes a time with a zone', '"yesterday"',
        as_core=False, path="findManyUser",
    ),
    "a time to be written": Mistake(
        'mutation { createOneUser(data: {email: "a", created: "2026-02-30T00:00:00Z"}) { id } }', "P2009",
        'DateTime cannot represent value: "2026-02-30T00:00:00Z".', '"2026', as_core=False,
        path="createOneUser",
    ),
    "JSON": Mistake(
        'mutation { createOneUser(data: {email: "a", meta: "{"}) { id } }', "P2009",
        'Json cannot represent value: "{". It takes JSON as text.', '"{"', as_core=False,
        path="createOneUser",
    ),
    "a large integer": Mistake(
        'mutation { createOneUser(data: {email: "a", big: "x"}) { id } }', "P2009",
        'BigInt cannot represent value: "x". It takes a whole number of 64 bits.', '"x"', as_core=False,
        path="createOneUser",
    ),
    "an integer beyond 64 bits": Mistake(
        'mutation { createOneUser(data: {email: "a", big: 9223372036854775808}) { id } }', "P2033",
        "BigInt cannot represent value: 9223372036854775808.", "9223372036854775808", as_core=False,
        path="createOneUser",
    ),
    "a decimal": Mistake(
        'mutation { createOneUser(data: {email: "a", price: "1,5"}) { id } }', "P2009",
        'Decimal cannot represent value: "1,5". It takes a decimal number.', '"1,5"', as_core=False,
        path="createOneUser",
    ),
    "bytes": Mistake(
        'mutation { createOneUser(data: {email: "a", photo: "?"}) { id } }', "P2009",
        'Bytes cannot represent value: "?". It takes base64.', '"?"', as_core=False, path="createOneUser",
    ),
    # Input objects
    "an input field": Mistake(
        '{ findManyUser(where: {emial: "a"}) { id } }', "P2009",
        "Field 'emial' is not defined by type 'UserWhereInput'. Did you mean 'email' or 'meta'?", "emial",
    ),
    "an input field, nested": Mistake(
        '{ findManyUser(where: {posts: {some: {titel: "a"}}}) { id } }', "P2009",
        "Field 'titel' is not defined by type 'PostWhereInput'. Did you mean 'title' or 'likes'?", "titel",
    ),
    "an operator": Mistake(
        '{ findManyUser(where: {email: {like: "a"}}) { id } }', "P2009",
        "Field 'like' is not defined by type 'StringFilter'. Did you mean 'lte'?", "like",
    ),
    "a field to be written": Mistake(
        'mutation { createOneUser(data: {email: "a", nmae: "x"}) { id } }', "P2009",
        "Field 'nmae' is not defined by type 'UserCreateInput'. Did you mean 'name'?", "nmae",
    ),
    "no required field": Mistake(
        'mutation { createOneUser(data: {name: "x"}) { id } }', "P2009",
        "Field 'UserCreateInput.email' of required type 'String!' was not provided.", "{name",
    ),
    "no required field, nested": Mistake(
        'mutation { createOneUser(data: {email: "a", posts: {create: {id: 1}}}) { id } }', "P2009",
        "Field 'PostCreateWithoutAuthorInput.title' of required type 'String!' was not provided.", "{id: 1",
    ),
    "fields of two types": Mistake(
        'mutation { createOnePost(data: {id: 1, title: "a", authorId: 1, author: {connect: {id: 1}}})'
        ' { id } }',
        "P2009", "The fields 'id', 'title', 'authorId', 'author' do not stand together in", "{id: 1",
        as_core=False,
    ),
    "an input field twice": Mistake(
        'mutation { createOneUser(data: {email: "a", email: "b"}) { id } }', GRAPHQL,
        "There can be only one input field named 'email'.", "email: \"a\"",
    ),
    "no field of a unique one": Mistake(
        "{ findUniqueUser(where: {}) { id } }", "P2009",
        "Some fields are missing: Expected a minimum of 1 fields of (id, email, name_email)",
        "findUniqueUser",
        as_core=False, path="findUniqueUser",
    ),
    # Variables, as the document has them
    "a variable that is not defined": Mistake(
        "{ findManyUser(take: $n) { id } }", GRAPHQL, "Variable '$n' is not defined.", "$n",
    ),
    "a variable for what is required, not defined": Mistake(
        "{ findUniqueUser(where: $w) { id } }", GRAPHQL, "Variable '$w' is not defined.", "$w",
    ),
    "a variable that is not used": Mistake(
        "query ($n: Int) { findManyUser { id } }", GRAPHQL, "Variable '$n' is never used.", "$n",
    ),
    "a variable of another type": Mistake(
        "query ($n: String) { findManyUser(take: $n) { id } }", GRAPHQL,
        "Variable '$n' of type 'String' used in position expecting type 'Int'.", "$n", {"n": "1"},
    ),
    "a nullable variable": Mistake(
        "query ($w: UserWhereUniqueInput) { findUniqueUser(where: $w) { id } }", GRAPHQL,
        "Variable '$w' of type 'UserWhereUniqueInput' used in position expecting type",
        "$w", {"w": {"id": 1}},
    ),
    "a variable of a type that is not there": Mistake(
        "query ($w: UserWhereInputs) { findManyUser(where: $w) { id } }", GRAPHQL,
        "Unknown type 'UserWhereInputs'. Did you mean 'UserWhereInput'", "UserWhereInputs", as_core=False,
    ),
    "a variable of an output type": Mistake(
        "query ($n: User) { findManyUser(take: $n) { id } }", GRAPHQL,
        "Variable '$n' cannot be non-input type 'User'.", "User)", as_core=False,
    ),
    "a variable twice": Mistake(
        "query ($n: Int, $n: Int) { findManyUser(take: $n) { id } }", GRAPHQL,
        "There can be only one variable named '$n'.", "n: Int, ",
    ),
    "a default": Mistake(
        'query ($n: Int = "x") { findManyUser(take: $n) { id } }', GRAPHQL,
        'Int cannot represent non-integer value: "x"', '"x"',
    ),
    # Values of variables
    "no variable": Mistake(
        "query ($n: Int!) { findManyUser(take: $n) { id } }", VARIABLES,
        'Variable "$n" of required type "Int!" was not provided.', "$n", {},
    ),
    "null for a variable": Mistake(
        "query ($n: Int!) { findManyUser(take: $n) { id } }", VARIABLES,
        'Variable "$n" got invalid value null; Expected non-nullable type "Int!" not to be null.', "$n",
        {"n": None},
    ),
    "a variable with a string": Mistake(
        TAKE, VARIABLES, 'Variable "$n" got invalid value "x"; Int cannot represent non-integer value: "x"',
        "$n", {"n": "x"},
    ),
    "a variable with a truth value": Mistake(
        TAKE, VARIABLES, 'Variable "$n" got invalid value true; Int cannot represent', "$n", {"n": True},
    ),
    "a variable beyond 32 bits": Mistake(
        TAKE, VARIABLES, 'Variable "$n" got invalid value 3000000000; Int cannot represent non 32-bit', "$n",
        {"n": 3000000000},
    ),
    "a variable with another enum value": Mistake(
        "query ($r: Role) { findManyUser(where: {role: {equals: $r}}) { id } }", VARIABLES,
        'Variable "$r" got invalid value "ADMN"; Value "ADMN" does not exist in "Role" enum.'
        " Did you mean the enum value 'ADMIN'?", "$r", {"r": "ADMN"},
    ),
    "a list with another item": Mistake(
        "query ($i: [Int!]) { findManyUser(where: {id: {in: $i}}) { id } }", VARIABLES,
        'Variable "$i" got invalid value "x" at "i[1]"; Int cannot represent', "$i", {"i": [1, "x"]},
    ),
    "a string for a variable's object": Mistake(
        FIND, VARIABLES,
        'Variable "$w" got invalid value "x"; Expected type "UserWhereInput" to be an object.',
        "$w", {"w": "x"},
    ),
    "a field of a variable": Mistake(
        FIND, VARIABLES,
        'Variable "$w" got invalid value {"emial": "x"}; Field \'emial\' is not defined by type'
        " 'UserWhereInput'. Did you mean 'email' or 'meta'?", "$w", {"w": {"emial": "x"}},
    ),
    "a filter in a variable": Mistake(
        POSTS, VARIABLES, 'Variable "$w" got invalid value "many" at "w.likes"; Int cannot represent', "$w",
        {"w": {"likes": "many"}},
    ),
    "an operator's value in a variable": Mistake(
        FIND, VARIABLES, 'Variable "$w" got invalid value "x" at "w.posts.some.likes.gt"; Int cannot', "$w",
        {"w": {"posts": {"some": {"likes": {"gt": "x"}}}}},
    ),
    "an enum value in a variable": Mistake(
        FIND, VARIABLES, 'Variable "$w" got invalid value "ADMN" at "w.role"; Value "ADMN" does not exist in'
        ' "Role" enum. Did you mean the enum value \'ADMIN\'?', "$w", {"w": {"role": "ADMN"}},
    ),
    "no required field in a variable": Mistake(
        CREATE, VARIABLES, 'Variable "$d" got invalid value {"name": "x"}; Field \'UserCreateInput.email\' of'
        " required type 'String!' was not provided.", "$d", {"d": {"name": "x"}},
    ),
    "a number for a string in a variable": Mistake(
        CREATE, VARIABLES, 'Variable "$d" got invalid value 5 at "d.email"; String cannot represent', "$d",
        {"d": {"email": 5}},
    ),
    "a nested record in a variable": Mistake(
        CREATE, VARIABLES, 'Variable "$d" got invalid value 5 at "d.posts.create[1].title"; String cannot',
        "$d",
        {"d": {"email": "a", "posts": {"create": [{"id": 1, "title": "a"}, {"id": 2, "title": 5}]}}},
    ),
    "null in a variable": Mistake(
        CREATE, VARIABLES, 'Variable "$d" got invalid value null at "d.email"; Expected non-nullable type',
        "$d",
        {"d": {"email": None}},
    ),
    "a time in a variable": Mistake(
        CREATE, VARIABLES, 'Variable "$d" got invalid value "yesterday" at "d.created"; DateTime cannot',
        "$d",
        {"d": {"email": "a", "created": "yesterday"}}, as_core=False,
    ),
    "JSON in a variable": Mistake(
        CREATE, VARIABLES, 'Variable "$d" got invalid value "{" at "d.meta"; Json cannot represent', "$d",
        {"d": {"email": "a", "meta": "{"}}, as_core=False,
    ),
    "a variable with another time": Mistake(
        CREATED, VARIABLES, 'Variable "$t" got invalid value "yesterday"; DateTime cannot represent value',
        "$t",
        {"t": "yesterday"}, as_core=False,
    ),
    "an object for a variable's large integer": Mistake(
        "query ($b: BigInt) { findManyUser(where: {big: {gt: $b}}) { id } }", VARIABLES,
        'Variable "$b" got invalid value {"a": 1}; BigInt cannot represent', "$b", {"b": {"a": 1}},
        as_core=False,
    ),
    # Operations, fragments and directives
    "the name of an operation": Mistake(
        "query A { findManyUser { id } }", OPERATION, 'Unknown operation named "B".', operation="B",
        as_core=False,
    ),
    "no name of an operation": Mistake(
        "query A { __typename } query B { __typename }", OPERATION, "Must provide operation name",
        as_core=False,
    ),
    "an operation twice": Mistake(
        "query A { __typename } query A { __typename }", GRAPHQL,
        "There can be only one operation named 'A'.", "A { __typename } q", operation="A",
    ),
    "an anonymous operation that is not alone": Mistake(
        "{ findManyUser { id } } query A { findManyUser { id } }", GRAPHQL,
        "This anonymous operation must be the only defined operation.", "{ findManyUser", operation="A",
    ),
    "a subscription": Mistake(
        "subscription { findManyUser { id } }", GRAPHQL, "The schema has no subscription operations.",
        "subscription", as_core=False,
    ),
    "a fragment": Mistake("{ findManyUser { ...F } }", GRAPHQL, "Unknown fragment 'F'.", "F }"),
    "a fragment that is not used": Mistake(
        "{ findManyUser { id } } fragment F on User { id }", GRAPHQL, "Fragment 'F' is never used.",
        "fragment",
    ),
    "a fragment on another type": Mistake(
        "{ findManyUser { ...F } } fragment F on Post { id }", GRAPHQL,
        "Fragment 'F' cannot be spread here as objects of type 'User' can never be of type 'Post'.", "...F",
    ),
    "a fragment on a type that is not there": Mistake(
        "{ findManyUser { ...F } } fragment F on Usr { id }", GRAPHQL,
        "Unknown type 'Usr'. Did you mean 'User'?", "Usr",
    ),
    "a fragment in itself": Mistake(
        "{ findManyUser { ...F } } fragment F on User { id ...F }", GRAPHQL,
        'Cannot spread fragment "F" within itself.', "...F }", as_core=False,
    ),
    "a directive": Mistake(
        "{ findManyUser { id @cached } }", GRAPHQL, "Unknown directive '@cached'.", "@cached",
    ),
    "the place of a directive": Mistake(
        "query @skip(if: true) { findManyUser { id } }", GRAPHQL,
        "Directive '@skip' may not be used on query.", "@skip",
    ),
    "an argument of a directive": Mistake(
        "{ findManyUser { id @skip(when: true) } }", GRAPHQL,
        "Unknown argument 'when' on directive '@skip'.", "when", as_core=False,
    ),
    "no argument of a directive": Mistake(
        "{ findManyUser { id @skip } }", GRAPHQL,
        "Directive '@skip' argument 'if' of type 'Boolean!' is required", "@skip",
    ),
    "the type of a directive's argument": Mistake(
        '{ findManyUser { id @skip(if: "yes") } }', GRAPHQL,
        'Boolean cannot represent a non boolean value: "yes"', '"yes"',
    ),
    "a brace": Mistake("{ findManyUser { id }", SYNTAX, "Syntax Error: Expected Name, found <EOF>."),
    "an empty selection": Mistake("{ findManyUser { } }", SYNTAX, "Syntax Error: Expected Name", "} }"),
}  # fmt: skip


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with empty_blog() as opened:
        yield opened


@cache
def core_schema() -> GraphQLSchema:
    """The schema as clients see it, for graphql-core."""
    return build_schema(render(blog_types()))


def errors_of(api: Api, database: Database, mistake: Mistake) -> list[dict[str, Any]]:
    request = GraphQLRequest(mistake.document, mistake.variables, mistake.operation)
    answer = json.loads(api.execute(database, request).body)
    assert (answer.get("data", "none") == "none") == (mistake.path is None), (
        "a request that is not valid has no data"
    )
    found: list[dict[str, Any]] = answer["errors"]
    return found


def said_by_graphql(error: dict[str, Any]) -> str:
    """The message without Prisma's words."""
    return str(error["message"]).partition(" (Prisma: ")[0]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_one_error(database: Database, name: str) -> None:
    mistake = MISTAKES[name]
    (error,) = errors_of(blog_api(), database, mistake)
    assert error["message"].startswith(mistake.says)
    assert error["extensions"]["code"] == mistake.code
    assert error.get("path") == ([mistake.path] if mistake.path else None)
    if mistake.code == OPERATION:
        return
    (place, *_) = error["locations"]
    assert place["line"] == 1
    assert mistake.document[place["column"] - 1 :].startswith(mistake.at)


@pytest.mark.parametrize("name", [name for name, each in MISTAKES.items() if each.code in {GRAPHQL, "P2009"}])
def test_graphql_core_says_the_same_of_documents(database: Database, name: str) -> None:
    mistake = MISTAKES[name]
    (error,) = errors_of(blog_api(), database, mistake)
    found = [each.message for each in validate(core_schema(), parse(mistake.document), specified_rules)]
    if mistake.as_core:
        assert found == [said_by_graphql(error)]
    else:
        assert found != [said_by_graphql(error)]


@pytest.mark.parametrize("name", [name for name, each in MISTAKES.items() if each.code == VARIABLES])
def test_graphql_core_finds_variables_at_fault_at_the_same_place(name: str) -> None:
    mistake = MISTAKES[name]
    (operation,) = parse(mistake.document).definitions
    assert isinstance(operation, OperationDefinitionNode)
    found = get_variable_values(core_schema(), operation.variable_definitions, dict(mistake.variables or {}))
    assert isinstance(found, list) == mistake.as_core, "it does not know the form of custom scalars"
    if isinstance(found, list):
        places = [re.findall(r""" at ['"](.*?)['"];""", text) for text in (mistake.says, found[0].message)]
        assert places[0] == places[1] or "likes" in mistake.says, "core knows one type of a union's"


def test_several_mistakes_have_one_error_each(database: Database) -> None:
    document = '{ findManyUser(takes: 1, where: {emial: "a"}) { zork posts { titel } } }'
    found = errors_of(blog_api(), database, Mistake(document, "", ""))
    said = [said_by_graphql(error).partition(".")[0] for error in found]
    assert sorted(said) == [
        "Cannot query field 'titel' on type 'Post'",
        "Cannot query field 'zork' on type 'User'",
        "Field 'emial' is not defined by type 'UserWhereInput'",
        "Unknown argument 'takes' on field 'Query",
    ]
    assert sum("Prisma" in error["message"] for error in found) == 1, "it stops at the first"


def test_what_only_prisma_finds_is_an_error_of_its_own(database: Database) -> None:
    document = "mutation { updateManyUser(data: {meta: AnyNull}) { id } }"
    first, second = errors_of(blog_api(), database, Mistake(document, "", ""))
    assert first["message"] == "Cannot query field 'id' on type 'AffectedRowsOutput'."
    assert "`AnyNull` is not a valid `NullableJsonNullValueInput`" in second["message"]


def test_the_place_of_a_variable_is_that_of_its_own_text(database: Database) -> None:
    """A compiled document is used for others, whose literals are longer."""
    api = blog_api()
    for text in ('"a"', '"ab"', '"abcdef"'):
        first = f"query A {{ findManyUser(where: {{name: {text}}}) {{ id }} }}"
        document = first + "query B($n: Int) { findManyUser(take: $n) { id } }"
        mistake = Mistake(document, "", "", variables={"n": "x"}, operation="B")
        (error,) = errors_of(api, database, mistake)
        assert document[error["locations"][0]["column"] - 1 :].startswith("$n: Int")


def test_a_valid_variable_is_not_blamed_for_what_the_data_refuses(database: Database) -> None:
    document = "mutation ($d: UserCreateInput!) { createOneUser(data: $d) { id } }"
    api = blog_api()
    request = GraphQLRequest(document, {"d": {"email": "twice"}})
    assert "errors" not in json.loads(api.execute(database, request).body)
    (error,) = json.loads(api.execute(database, request).body)["errors"]
    assert error["extensions"]["code"] == "P2002"


def test_a_variable_may_be_of_any_type_of_a_union(database: Database) -> None:
    """The wrong value is refused, not the field that only the SDL does not show."""
    document = "mutation ($d: PostCreateInput!) { createOnePost(data: $d) { id } }"
    variables = {"d": {"id": 1, "title": 5, "authorId": 1}}
    (error,) = errors_of(blog_api(), database, Mistake(document, "", "", variables=variables))
    assert 'got invalid value 5 at "d.title"' in error["message"]


def test_names_of_clients_are_cut_short(database: Database) -> None:
    variables = {"w": {"x" * 1_000_000: 1}}
    (error,) = errors_of(blog_api(), database, Mistake(FIND, "", "", variables=variables))
    assert len(error["message"]) < 400
