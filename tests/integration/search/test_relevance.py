"""Orders by `_relevance` in relations and through them, beside a ranking of all records by brute force."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.search_shop import Shop, filled_shop

from lamdb.deployment import apply
from lamdb.graphql.from_settings import serving
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, handle
from lamdb.prisma.datamodel.schema import PrismaSchema, schema_tools
from lamdb.rules.caller import Caller
from lamdb.settings import Settings
from lamdb.storage import Database

SCHEMA = """datasource db {
  provider = "sqlite"
}
/// @lamdb.search title^4 body tags.name^2
/// @@allow('all', owner == auth().sub)
model Doc {
  id      Int     @id @default(autoincrement())
  title   String  @map("headline")
  body    String?
  owner   String
  kind    Int
  shelfId String?
  shelf   Shelf?  @relation(fields: [shelfId], references: [id])
  tags    Tag[]
  notes   Note[]
  @@index([shelfId])
  @@map("documents")
}
/// @lamdb.search name^2 room
/// @@allow('all', open)
model Shelf {
  id   String  @id
  name String
  room String?
  open Boolean
  docs Doc[]
}
/// @@allow('all', true)
model Tag {
  id   Int    @id @default(autoincrement())
  name String @unique
  docs Doc[]
}
/// @@allow('all', true)
model Note {
  docId Int
  at    DateTime
  doc   Doc      @relation(fields: [docId], references: [id])
  @@id([docId, at])
}
"""
WORDS = ["red", "blue", "green", "box"]
TEXTS = {
    "red": [["red"]],
    "red box": [["red", "box"]],
    "red | blue": [["red"], ["blue"]],
    "blue | green | box": [["blue"], ["green"], ["box"]],
    "nothing": [["nothing"]],
    "": [],
}
"""Texts, and the alternatives that they mean, each a list of words."""
WEIGHTS = {"Doc": {"title": 4.0, "body": 1.0, "tags_name": 2.0}, "Shelf": {"name": 2.0, "room": 1.0}}
TABLES = {"Doc": "documents", "Shelf": "Shelf"}
ANN = Caller({"sub": "ann"})


class Library:
    """A database with rules, and all that is in it."""

    def __init__(self) -> None:
        self.database = Database.open("memory:")
        apply.push(self.database, PrismaSchema.parse(SCHEMA))
        self.database.refresh()
        self.apis = serving(Settings())
        draw = random.Random(11)

        def text(most: int) -> str:
            return " ".join(draw.choice(WORDS) for _ in range(draw.randint(0, most)))

        with self.database.writer() as connection:
            for number in range(4):
                row = (f"s{number}", text(3), None if number == 2 else text(4), number != 3)
                connection.execute("INSERT INTO Shelf (id, name, room, open) VALUES (?, ?, ?, ?)", row)
            connection.executemany("INSERT INTO Tag (name) VALUES (?)", [(word,) for word in WORDS])
            for number in range(1, 41):
                shelf = draw.choice([None, "s0", "s1", "s2", "s3"])
                owner = draw.choice(["ann", "ann", "bob"])
                connection.execute(
                    "INSERT INTO documents (headline, body, owner, kind, shelfId) VALUES (?, ?, ?, ?, ?)",
                    (text(3), text(8) or None, owner, draw.randrange(3), shelf),
                )
                for tag in draw.sample(range(1, 5), draw.randrange(3)):
                    connection.execute("INSERT INTO _DocToTag VALUES (?, ?)", (number, tag))
                connection.execute("INSERT INTO Note VALUES (?, ?)", (number, "2026-01-01T00:00:00+00:00"))
        with self.database.reader() as connection:
            read = connection.execute("SELECT id, owner, kind, shelfId FROM documents").fetchall()
            self.docs = {int(str(row[0])): row for row in read}
            self.tags = connection.execute("SELECT B, A FROM _DocToTag").fetchall()
            self.open = {row[0] for row in connection.execute("SELECT id FROM Shelf WHERE open")}
            numbers = dict(connection.execute("SELECT id, rowid FROM Shelf").fetchall())
            self.rows = {model: self._rows(connection, model) for model in WEIGHTS}
        self.rows["Shelf"] = {key: self.rows["Shelf"][number] for key, number in numbers.items()}

    @staticmethod
    def _rows(connection: Any, model: str) -> dict[Any, dict[str, list[str]]]:
        columns = ", ".join(WEIGHTS[model])
        found = connection.execute(f"SELECT docid, {columns} FROM _lamdb_search_{TABLES[model]}_rows")
        return {
            row[0]: {
                name: str(text or "").split() for name, text in zip(WEIGHTS[model], row[1:], strict=True)
            }
            for row in found
        }

    def ask(self, document: str, caller: Caller | None) -> Any:
        body = orjson.dumps({"query": document})
        request = HttpRequest("POST", "/graphql", "", {"content-type": "application/json"}, body, caller)
        answer = orjson.loads(handle(self.apis, self.database, request, HttpOptions()).body)
        assert "errors" not in answer, answer
        return answer["data"]

    def sees(self, doc: int, caller: Caller | None) -> bool:
        return caller is None or self.docs[doc][1] == "ann"

    def shelf(self, doc: int, caller: Caller | None) -> Any:
        """The shelf of a document, if the caller may see it."""
        found = self.docs[doc][3]
        return found if caller is None or found in self.open else None

    def relevance(self, model: str, key: Any, fields: Sequence[str], text: str) -> float:
        """The score of https://www.sqlite.org/fts5.html#the_bm25_function; 0 of what does not match."""
        rows = self.rows[model]
        if key not in rows or not any(
            all(any(word in rows[key][name] for name in fields) for word in words) for words in TEXTS[text]
        ):
            return 0.0
        lengths = {each: sum(map(len, row.values())) for each, row in rows.items()}
        average = sum(lengths.values()) / len(rows)
        score = 0.0
        for word in [word for words in TEXTS[text] for word in words]:
            having = sum(any(word in row[name] for name in fields) for row in rows.values())
            rarity = math.log((len(rows) - having + 0.5) / (having + 0.5))
            count = sum(WEIGHTS[model][name] * rows[key][name].count(word) for name in fields)
            score += (
                (rarity if rarity > 0 else 1e-6)
                * (count * 2.2)
                / (count + 1.2 * (0.25 + 0.75 * lengths[key] / average))
            )
        return float(f"{score:.9g}")


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    made = Library()
    with made.database:
        yield made


@dataclass(frozen=True)
class Term:
    """One order by relevance, of documents or of their shelves."""

    model: str
    fields: tuple[str, ...]
    text: str
    descending: bool

    def order(self, path: Sequence[str]) -> str:
        """The term as an order of the model at the begin of the path."""
        sort = "desc" if self.descending else "asc"
        fields = f"[{', '.join(self.fields)}]"
        made = f'{{ _relevance: {{ fields: {fields}, search: "{self.text}", sort: {sort} }} }}'
        for name in reversed(path):
            made = f"{{ {name}: {made} }}"
        return made


TERM = st.builds(
    lambda model, all_fields, text, descending: Term(
        model,
        (("title", "body") if model == "Doc" else ("name", "room"))[: 1 + all_fields],
        text,
        descending,
    ),
    st.sampled_from(["Doc", "Doc", "Shelf"]), st.booleans(), st.sampled_from(sorted(TEXTS)), st.booleans(),
)  # fmt: skip
TERMS = st.lists(TERM, min_size=1, max_size=3)
PAGE = st.tuples(st.none() | st.integers(-3, 4), st.integers(0, 2))
CALLER = st.sampled_from([None, ANN])


def page(found: list[Any], take: int | None, skip: int) -> list[Any]:
    if take is not None and take < 0:
        return found[::-1][skip : skip - take][::-1]
    return found[skip:] if take is None else found[skip : skip + take]


def sorted_docs(library: Library, docs: list[int], terms: Sequence[Term], caller: Caller | None) -> list[int]:
    found = sorted(filter(lambda doc: library.sees(doc, caller), docs))
    for term in reversed(terms):

        def score(doc: int, term: Term = term) -> float:
            key = doc if term.model == "Doc" else library.shelf(doc, caller)
            return library.relevance(term.model, key, term.fields, term.text)

        found.sort(key=score, reverse=term.descending)
    return found


def arguments(terms: Sequence[Term], last: str, take: int | None, skip: int, *path: str) -> str:
    """The order and page of documents, or of what `path` leads to documents from."""
    orders = [term.order([*path, "shelf"] if term.model == "Shelf" else path) for term in terms]
    taken = f", take: {take}" if take is not None else ""
    return f"orderBy: [{', '.join([*orders, last])}], skip: {skip}{taken}"


drawn: Callable[..., Any] = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@drawn
@given(terms=TERMS, of=PAGE, caller=CALLER, kind=st.none() | st.integers(0, 2))
def test_orders_of_relations(
    library: Library, terms: list[Term], of: tuple[int | None, int], caller: Caller | None, kind: int | None
) -> None:
    where = "" if kind is None else f", where: {{ kind: {{ not: {kind} }} }}"
    chosen = f"({arguments(terms, '{ id: asc }', *of)}{where}) {{ id }}"
    answer = library.ask(
        f"""{{ shelves: findManyShelf(orderBy: {{ id: asc }}) {{ id docs{chosen} }}
          tags: findManyTag(orderBy: {{ id: asc }}) {{ id docs{chosen} }}
          tag: findUniqueTag(where: {{ id: 1 }}) {{ id docs{chosen} }} }}""",
        caller,
    )

    def expected(docs: list[int]) -> list[dict[str, int]]:
        docs = [doc for doc in docs if library.docs[doc][2] != kind]
        return [{"id": doc} for doc in page(sorted_docs(library, docs, terms, caller), *of)]

    tagged = {
        tag: {"id": tag, "docs": expected([doc for its, doc in library.tags if its == tag])}
        for tag in range(1, 5)
    }
    assert answer["tags"] == list(tagged.values())
    assert answer["tag"] == tagged[1]
    assert answer["shelves"] == [
        {"id": shelf, "docs": expected([doc for doc, row in library.docs.items() if row[3] == shelf])}
        for shelf in ("s0", "s1", "s2", "s3")
        if caller is None or shelf in library.open
    ]


@drawn
@given(terms=TERMS, of=PAGE, caller=CALLER)
def test_orders_through_relations(
    library: Library, terms: list[Term], of: tuple[int | None, int], caller: Caller | None
) -> None:
    answer = library.ask(
        f"""{{ docs: findManyDoc({arguments(terms, "{ id: asc }", *of)}) {{ id }}
          notes: findManyNote({arguments(terms, "{ docId: asc }", *of, "doc")},
            where: {{ doc: {{ owner: {{ in: ["ann", "bob"] }} }} }}) {{ docId }} }}""",
        caller,
    )
    found = page(sorted_docs(library, list(library.docs), terms, caller), *of)
    assert answer == {"docs": [{"id": doc} for doc in found], "notes": [{"docId": doc} for doc in found]}


@drawn
@given(one=TERMS, other=TERMS, caller=CALLER)
def test_each_list_has_its_own_order(
    library: Library, one: list[Term], other: list[Term], caller: Caller | None
) -> None:
    orders = [arguments(terms, "{ id: asc }", None, 0) for terms in (one, other)]
    answer = library.ask(
        f"""{{ findManyDoc({orders[0]}, take: 5) {{ id tags(orderBy: {{ id: asc }}) {{ id
            docs({orders[1]}) {{ id }} again: docs({orders[0]}) {{ id }} }} }} }}""",
        caller,
    )["findManyDoc"]
    assert [doc["id"] for doc in answer] == sorted_docs(library, list(library.docs), one, caller)[:5]
    for tag in (tag for doc in answer for tag in doc["tags"]):
        docs = [doc for its, doc in library.tags if its == tag["id"]]
        for name, terms in (("docs", other), ("again", one)):
            assert [each["id"] for each in tag[name]] == sorted_docs(library, docs, terms, caller)


def test_relations_of_what_mutations_return(library: Library) -> None:
    term = Term("Doc", ("title", "body"), "red | blue", True)
    answer = library.ask(
        f"""mutation {{ updateOneTag(where: {{ id: 2 }}, data: {{ name: "blue" }}) {{
          docs({arguments([term], "{ id: desc }", None, 0)}, distinct: [kind]) {{ id kind }} }} }}""",
        None,
    )["updateOneTag"]["docs"]
    docs = sorted((doc for tag, doc in library.tags if tag == 2), reverse=True)
    docs.sort(key=lambda doc: -library.relevance("Doc", doc, term.fields, term.text))
    first: dict[Any, int] = {}
    for doc in docs:
        first.setdefault(library.docs[doc][2], doc)
    assert [each["id"] for each in answer] == list(first.values())


def test_aggregations_of_a_page(library: Library) -> None:
    term = Term("Shelf", ("name",), "blue | green | box", True)
    chosen = arguments([term], "{ id: asc }", 7, 1)
    answer = library.ask(
        f"{{ aggregateDoc({chosen}) {{ _min {{ id }} _max {{ id }} _sum {{ id }} }} }}", None
    )
    found = sorted_docs(library, list(library.docs), [term], None)[1:8]
    assert answer["aggregateDoc"] == {
        "_min": {"id": min(found)}, "_max": {"id": max(found)}, "_sum": {"id": sum(found)},
    }  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with filled_shop() as made:
        yield made


def test_variables_of_an_order(shop: Shop) -> None:
    document = """query ($text: String!) { findManyTag(orderBy: { name: asc }) { name
      products(orderBy: [{ _relevance: { fields: [title, body], search: $text, sort: desc } }, { sku: asc }])
      { sku } } }"""
    for text, found in (("cuts", ["c", "a"]), ("radio", ["a", "c"]), ("\"'*)", ["a", "c"])):
        answer = shop.data(document, text=text)["findManyTag"]
        assert [[each["sku"] for each in tag["products"]] for tag in answer] == [found, ["a"]]


@pytest.mark.parametrize("take", ["take: 0", "take: $none"])
def test_empty_pages(shop: Shop, take: str) -> None:
    order = 'orderBy: { _relevance: { fields: [title], search: "radio", sort: desc } }'
    answer = shop.data(
        f"""query ($none: Int = 0) {{ findFirstMaker(skip: $none) {{ id }}
          findManyProduct({order}, {take}) {{ sku }}
          findManyMaker(orderBy: {{ id: asc }}) {{ products({order}, {take}) {{ sku }} }}
          findManyTag({take}) {{ products({order}) {{ sku }} }} }}""",
    )
    empty: list[Any] = []
    assert answer == {
        "findFirstMaker": {"id": "acme"},
        "findManyProduct": empty, "findManyMaker": [{"products": empty}] * 2, "findManyTag": empty,
    }  # fmt: skip


def test_the_types_of_orders_are_those_of_prisma_for_mysql() -> None:
    """The types say where `_relevance` may stand: in lists of relations, and through to-one relations."""
    models = SCHEMA[SCHEMA.index("}\n") + 2 :]
    fields = [("Doc", "title body"), ("Shelf", "name room")]
    searched = "".join(line for line in models.splitlines(True) if not line.startswith("///"))
    for model, names in fields:
        searched = searched.replace(f"model {model} ", f"/// @lamdb.search {names}\nmodel {model} ")
    ours = PrismaSchema.parse(SCHEMA[: SCHEMA.index("}\n") + 2] + searched).dmmf
    theirs = schema_tools().call(
        "get_dmmf",
        orjson.dumps(
            {"prismaSchema": [["a.prisma", f'datasource db {{\n  provider = "mysql"\n}}\n{searched}']]}
        ).decode(),
    )

    def orders(dmmf: Any) -> dict[str, Any]:
        inputs = dmmf["schema"]["inputObjectTypes"]["prisma"]
        return {
            each["name"]: {field["name"]: field["inputTypes"] for field in each["fields"]}
            for each in inputs
            if each["name"].endswith(("OrderByWithRelationInput", "OrderByRelevanceInput"))
            and not each["name"].startswith("Tag")  # has no searched text here
        }

    made, wanted = orders(ours), orders(orjson.loads(theirs))
    for name, found in wanted.items():
        for field in ("_relevance", "shelf", "doc", "fields", "search", "sort"):
            assert made[name].get(field) == found.get(field)
