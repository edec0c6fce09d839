"""Skeletons: which texts share one, and which of their literals may vary."""

import pytest
from tests.support.graphql_blog import blog_types

from lamdb.graphql.document.document import load
from lamdb.graphql.document.values import Variable
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.execution.parameterization import Liftable, skeleton_of


def key(text):
    skeleton = skeleton_of(text)
    return skeleton.key if skeleton else None


@pytest.fixture(scope="module")
def compiler():
    return OperationCompiler(blog_types())


def lifted(compiler, text):
    """The literals of a document that may vary, as they stand in it."""
    skeleton = skeleton_of(text)
    liftable = Liftable(compiler, load(text), skeleton)
    return [
        text[place:].split('"')[1] if text[place] == '"' else _number(text[place:])
        for place in liftable.names(skeleton)
    ]


def _number(text):
    return text[: next(n for n, letter in enumerate(text) if letter not in "-+.eE0123456789")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{ a(b: 1) }", "{ a(b: -27) }"),
        ("{ a(b: 1.5) }", "{ a(b: 2e7) }"),
        ('{ a(b: "x") }', '{ a(b: "") }'),
        ('{ a(b: "x") }', '{ a(b: "# { é") }'),
        ("{ a(b: 1) # one\n}", "{ a(b: 1) # other\n}"),
    ],
)
def test_texts_that_share_a_skeleton(one, other):
    assert key(one) == key(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{ a(b: 1) }", "{ a(b: 1.0) }"),
        ("{ a(b: 1) }", '{ a(b: "1") }'),
        ("{ a(b: 1) }", "{ a(b: true) }"),
        ("{ a(b: 1) }", "{ c(b: 1) }"),
        ("{ a(b: [1]) }", "{ a(b: [1, 2]) }"),
        ("{ a(b: [1 2]) }", "{ a(b: [12]) }"),
        ("{ a(b: 1) }", "{ a(b: 01) }"),
        ("{ a(b: 1) }", "{ a(b: 1x) }"),
        ("{ a(b: 1) }", "{ a(b: 1.) }"),
        ("{ a(b: 1, c: 2) }", "{ a(b: 1-2) }"),
        ('{ a(b: "x") }', '{ a(b: "\\n") }'),
        ('{ a(b: "\\n", c: 1) }', '{ a(b: "\\q", c: 1) }'),
        ('{ a(b: "x") }', '{ a(b: """x""") }'),
        ('{ a(b: """x""", c: 1) }', '{ a(b: """y""", c: 1) }'),
        ('{ a(b: "x") }', '{ a(b: "x) }'),
        ('{ a(b: "x", c: "y") }', '{ a(b: "x, c: "y") }'),
        ("{ a(b: 1) }", "{ a1(b: 1) }"),
        ("{ a1(b: 1) }", "{ a2(b: 1) }"),
    ],
)
def test_texts_that_do_not(one, other):
    assert key(one) != key(other)


@pytest.mark.parametrize(
    "text", ["{ a }", "query ($v: Int) { a1(b: $v) }", "{ a(b: \0i) }", '{ a(b: "\0s") }']
)
def test_texts_without_a_skeleton(text):
    assert skeleton_of(text) is None


def test_documents_that_carry_data_have_none():
    assert skeleton_of("{ a(b: [" + "1 " * 65 + "]) }") is None


def test_offsets_are_places_in_the_text():
    text = '# c 9\n{ a(b: "x", c: """q 1""", d: -3, e: "\\t", f: 1.5e3) { g2 } }'
    skeleton = skeleton_of(text)
    assert skeleton.literals == ('"x"', "-3", "1.5e3")
    assert [text[place:][:3] for place in skeleton.offsets()] == ['"x"', "-3,", "1.5"]


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("{ findManyPost(where: { id: { in: [1, 2] }, likes: 3 }, take: 4) { id } }", ["1", "2", "3", "4"]),
        ('{ findManyUser(where: { email: "e", created: { gt: "2024" } }) { id } }', ["e", "2024"]),
        (
            '{ findManyUser(where: { meta: { path: "$.a", equals: [1, {b: "c"}] } }) { id } }',
            ["$.a", "1", "c"],
        ),
        ('{ findManyUser(where: { role: "ADMIN", name: "n" }) { id } }', ["n"]),
        ('{ findManyUser(distinct: ["name"], take: 1) { id } }', ["1"]),
        ("query ($n: Int = 5) { findManyPost(take: $n, skip: 2) { id } }", ["2"]),
        ('{ __type(name: "Post") { name } findManyPost(take: 3) { id } }', ["3"]),
        ("{ a: findManyPost(take: 1) { id } b: findManyPost(take: 2) { id } }", ["1", "2"]),
        ("{ findManyPost(take: 1) { id } findManyPost(take: 1) { title } }", []),
        ("{ findFirstUser { a: posts(take: 1) { id } b: posts(take: 2) { id } } }", []),
        (
            "{ findFirstUser { ...F } } fragment F on User { posts(take: 1) { tags(skip: 2) { name } } }",
            ["1", "2"],
        ),
        ("{ findFirstUser { ... { posts(take: 1) { id } } ... on User { posts(take: 1) { title } } } }", []),
    ],
)
def test_which_literals_may_vary(compiler, text, literals):
    assert lifted(compiler, text) == literals


def test_the_values_are_those_of_the_text(compiler):
    text = '{ findManyUser(where: { id: 1, email: "e", score: 1.5, role: "ADMIN", big: 7 }) { id } }'
    skeleton = skeleton_of(text)
    liftable = Liftable(compiler, load(text), skeleton)
    other = skeleton_of(
        '{ findManyUser(where: { id: 22, email: "ü", score: 2.5, role: "READER",'
        " big: 9223372036854775807 }) { id } }"
    )
    assert other.key == skeleton.key
    assert liftable.fixed(other) == ('"READER"',)
    assert liftable.values(other) == {"#0": 22, "#1": "ü", "#2": 2.5, "#4": 2**63 - 1}


@pytest.mark.parametrize(
    "text",
    [
        "{ findManyUser(where: { id: 2147483648, big: 1, score: 1.0 }) { id } }",
        "{ findManyUser(where: { id: 1, big: 9223372036854775808, score: 1.0 }) { id } }",
        "{ findManyUser(where: { id: 1, big: 1, score: 1.0e999 }) { id } }",
        "{ findManyUser(where: { id: " + "1" * 300 + ", big: 1, score: 1.0 }) { id } }",
    ],
)
def test_values_beyond_what_validation_lets_through(compiler, text):
    valid = "{ findManyUser(where: { id: 1, big: 1, score: 1.0 }) { id } }"
    liftable = Liftable(compiler, load(valid), skeleton_of(valid))
    assert skeleton_of(text).key == skeleton_of(valid).key
    assert liftable.values(skeleton_of(text)) is None


def test_an_operation_compiled_with_lifted_literals_has_variables(compiler):
    text = '{ findManyPost(where: { title: "t", likes: { gt: 5 } }) { id } }'
    document, skeleton = load(text), skeleton_of(text)
    names = Liftable(compiler, document, skeleton).names(skeleton)
    (root,) = compiler.operation(document.operation(None), document.fragments, {}, names)
    assert [binding.source.name for binding in root.bindings] == ["#0", "#1"]
    assert root.bindings[0].source.bind({"#0": "u"}) == "u"
    assert Variable("#0") not in root.request["query"]["arguments"].values()
