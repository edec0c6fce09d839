"""Rules on every way to the data: GraphQL, searches, the past, idempotency keys, SQL, and schema changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from lamdb.access.identity import Role
from lamdb.deployment import apply
from lamdb.graphql import stored_schema
from lamdb.graphql.from_settings import serving
from lamdb.graphql.search_tokens import SearchToken
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, handle
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.streams.in_memory import Streams
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.rules.caller import ANONYMOUS, Caller
from lamdb.settings import Settings
from lamdb.storage import Database

BASE = """datasource db {
  provider = "sqlite"
}
/// @lamdb.search title
/// @lamdb.search.facets kind
RULES
model Post {
  id     Int    @id @default(autoincrement())
  title  String
  kind   String @default("a")
  owner  String
  notes  Note[]
}
/// @@allow('all', check(post, 'read'))
model Note {
  id     Int    @id @default(autoincrement())
  text   String @unique
  post   Post   @relation(fields: [postId], references: [id], onDelete: Cascade)
  postId Int
  @@index([postId])
}
"""
OWNERS = "/// @@allow('all', owner == auth().sub)\n/// @@deny('post-update', title == 'forbidden')"
ANN, BOB = Caller({"sub": "ann"}), Caller({"sub": "bob"})


class Served:
    """A database with rules, asked as a server would ask it."""

    def __init__(self, rules: str = OWNERS) -> None:
        self.database = Database.open("memory://")
        self.apis = serving(Settings())
        self.push(rules)

    def push(self, rules: str, base: str = BASE) -> None:
        apply.push(self.database, PrismaSchema.parse(base.replace("RULES", rules)))
        self.database.refresh()

    def ask(self, document: str, caller: Caller | None = ANONYMOUS, **headers: str) -> dict[str, Any]:
        named = {"content-type": "application/json"}
        named |= {name.replace("_", "-"): text for name, text in headers.items()}
        body = orjson.dumps({"query": document})
        request = HttpRequest("POST", "/graphql", "", named, body, caller)
        response = handle(self.apis, self.database, request, HttpOptions(max_staleness=3600))
        found: dict[str, Any] = orjson.loads(response.body)
        return found

    def data(self, document: str, caller: Caller | None = ANONYMOUS, **headers: str) -> Any:
        answer = self.ask(document, caller, **headers)
        assert "errors" not in answer, answer
        return answer["data"]

    def code(self, document: str, caller: Caller | None = ANONYMOUS, **headers: str) -> str:
        answer = self.ask(document, caller, **headers)
        assert "errors" in answer, answer
        return str(answer["errors"][0]["extensions"]["code"])


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    for title, owner in (("river stone", "ann"), ("river bank", "bob"), ("blue river", "ann")):
        note = f'notes: {{create: [{{text: "{title}"}}]}}'
        made.data(
            f'mutation {{ createOnePost(data: {{title: "{title}", owner: "{owner}", {note}}}) {{ id }} }}',
            None,
        )
    yield made
    made.database.close()


def test_a_caller_sees_and_changes_its_own(served: Served) -> None:
    everything = (
        "{ findManyPost { title notes { text } } findManyNote { text } aggregateNote { _count { _all } } }"
    )
    assert served.data(everything) == {
        "findManyPost": [],
        "findManyNote": [],
        "aggregateNote": {"_count": {"_all": 0}},
    }
    mine = served.data(everything, ANN)
    assert [each["text"] for each in mine["findManyNote"]] == ["river stone", "blue river"]
    assert mine["aggregateNote"] == {"_count": {"_all": 2}}
    assert len(served.data(everything, None)["findManyPost"]) == 3
    assert served.data('mutation { updateManyPost(data: {kind: "b"}) { count } }', BOB) == {
        "updateManyPost": {"count": 1}
    }
    assert served.code('mutation { updateOnePost(where: {id: 1}, data: {kind: "c"}) { id } }', BOB) == "P2025"
    assert served.code("mutation { deleteOnePost(where: {id: 1}) { id } }", BOB) == "P2025"


def test_what_may_not_be_created_or_left_is_refused_as_a_whole(served: Served) -> None:
    create = 'mutation { a: createOnePost(data: {title: "x", owner: "ann"}) { id } %s }'
    assert served.code(create % "", BOB) == "RULE_VIOLATION"
    mixed = create % 'b: createOnePost(data: {title: "y", owner: "bob"}) { id }'
    assert served.code(mixed, BOB) == "RULE_VIOLATION"
    update = 'mutation { updateOnePost(where: {id: 1}, data: {title: "%s"}) { id } }'
    assert served.code(update % "forbidden", ANN) == "RULE_VIOLATION"
    assert served.data(update % "fine", ANN) == {"updateOnePost": {"id": 1}}
    assert [each["title"] for each in served.data("{ findManyPost { title } }", None)["findManyPost"]] == [
        "fine",
        "river bank",
        "blue river",
    ]


def test_deleting_a_record_deletes_what_depends_on_it(served: Served) -> None:
    served.push(OWNERS, BASE.replace("/// @@allow('all', check(post, 'read'))", "/// @@allow('read', true)"))
    assert served.data("mutation { deleteOnePost(where: {id: 1}) { id } }", ANN) == {
        "deleteOnePost": {"id": 1}
    }
    assert [each["id"] for each in served.data("{ findManyNote { id } }", None)["findManyNote"]] == [2, 3]
    assert served.data("mutation { deleteManyNote { count } }", ANN) == {"deleteManyNote": {"count": 0}}


EMULATED = """
model Board {
  id    Int    @id
  cards Card[]
  /// @@allow('all', true)
}
/// @@allow('read', true)
/// @@allow('update,delete', owner == auth().sub)
model Card {
  id      Int     @id
  owner   String
  board   Board?  @relation(fields: [boardId], references: [id])
  boardId Int?
  @@index([boardId])
}
"""


def test_records_whose_parent_is_missing_keep_their_rules(served: Served) -> None:
    base = BASE.replace('provider = "sqlite"', 'provider = "sqlite"\n  relationMode = "prisma"')
    served.push(OWNERS, base + EMULATED)
    for number, owner, board in ((1, "ann", 9), (2, "bob", 9), (3, "bob", 8)):
        card = f'{{id: {number}, owner: "{owner}", boardId: {board}}}'
        served.data(f"mutation {{ createOneCard(data: {card}) {{ id }} }}", None)
    update = "mutation { updateManyCard(data: {boardId: 7}) { count } }"
    assert served.data(update, ANN) == {"updateManyCard": {"count": 1}}
    assert served.code("mutation { deleteOneCard(where: {id: 2}) { id } }", ANN) == "P2025"
    assert served.data("mutation { deleteManyCard { count } }") == {"deleteManyCard": {"count": 0}}
    left = served.data("{ findManyCard(orderBy: {id: asc}) { id boardId } }", None)["findManyCard"]
    assert [(each["id"], each["boardId"]) for each in left] == [(1, 7), (2, 9), (3, 8)]


def test_rules_hold_after_a_transaction_that_was_rolled_back(served: Served) -> None:
    broken = 'mutation { createOneNote(data: {text: "river stone", post: {connect: {id: 1}}}) { id } }'
    for _ in range(3):
        assert served.code(broken, ANN) == "P2002"
        assert served.data('mutation { updateManyPost(data: {kind: "z"}) { count } }', BOB) == {
            "updateManyPost": {"count": 1}
        }
        assert served.data('mutation { updateManyPost(data: {kind: "z"}) { count } }', None) == {
            "updateManyPost": {"count": 3}
        }


def test_searches_find_what_may_be_read(served: Served) -> None:
    search = (
        '{ searchPost(query: "%s", facets: [{field: kind}])'
        " { totalCount correctedQuery facets { values { value count } } hits { node { title } } } }"
    )
    found = served.data(search % "river", ANN)["searchPost"]
    assert found["totalCount"] == 2
    assert found["facets"] == [{"values": [{"value": "a", "count": 2}]}]
    assert {hit["node"]["title"] for hit in found["hits"]} == {"river stone", "blue river"}
    assert served.data(search % "bank", ANN)["searchPost"]["totalCount"] == 0
    assert served.data(search % "bamk", ANN)["searchPost"]["correctedQuery"] is None
    assert served.data(search % "river")["searchPost"] == {
        "totalCount": 0,
        "correctedQuery": None,
        "facets": [{"values": []}],
        "hits": [],
    }
    merged = '{ search(queries: [{model: Post, query: "river"}]) { totalCount hits { model } } }'
    assert served.data(merged, BOB)["search"]["totalCount"] == 1
    where = '{ searchPost(query: "", where: {notes: {some: {text: {contains: "bank"}}}}) { totalCount } }'
    assert [served.data(where, each)["searchPost"]["totalCount"] for each in (ANN, BOB, None)] == [0, 1, 1]
    prisma = '{ findManyPost(where: {title: {search: "river"}}) { id } }'
    assert [len(served.data(prisma, each)["findManyPost"]) for each in (ANN, BOB, ANONYMOUS)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "mine"),
    [
        ('where: {notes: {some: {text: {equals: "river stone"}}}}', [1]),
        ('where: {notes: {some: {text: {equals: "river bank"}}}}', []),
        ('where: {notes: {none: {text: {equals: "river bank"}}}}', [1, 3]),
        ('where: {labels: {some: {name: {equals: "odd"}}}}', [1, 3]),
        ('where: {labels: {some: {name: {equals: "even"}}}}', []),
        ('where: {labels: {none: {name: {equals: "odd"}}}}', []),
        ("distinct: [kind, owner], take: 5, orderBy: [{title: asc}, {id: asc}]", [3]),
        ("skip: 1, take: 1, orderBy: [{title: desc}, {id: asc}]", [3]),
    ],
)
def test_rewritten_plans_keep_to_the_rules(served: Served, arguments: str, mine: list[int]) -> None:
    labels = (
        "/// @@allow('all', true)\nmodel Label {\n  id Int @id\n  name String @unique\n  posts Post[]\n}\n"
    )
    served.push(OWNERS, BASE.replace("notes  Note[]", "notes  Note[]\n  labels Label[]") + labels)
    for number, name, posts in ((1, "odd", (1, 3)), (2, "even", (2,))):
        connect = ", ".join(f"{{id: {post}}}" for post in posts)
        data = f'{{id: {number}, name: "{name}", posts: {{connect: [{connect}]}}}}'
        served.data(f"mutation {{ createOneLabel(data: {data}) {{ id }} }}", None)
    found = served.data(f"{{ findManyPost({arguments}) {{ id }} }}", ANN)["findManyPost"]
    assert [each["id"] for each in found] == mine


SEARCHED = """
/// @lamdb.search text
/// @@allow('all', owner == auth().sub)
model Page {
  id    String @id
  text  String
  owner String
}
/// @lamdb.search text
/// @@allow('all', owner == auth().sub)
model Line {
  page   Int
  number Int
  text   String
  owner  String
  @@id([page, number])
}
"""


def test_searches_of_models_with_other_ids_keep_to_the_rules(served: Served) -> None:
    served.push(OWNERS, BASE + SEARCHED)
    for number, owner in ((1, "ann"), (2, "bob")):
        values = f'text: "pear", owner: "{owner}"'
        served.data(
            f'mutation {{ createOnePage(data: {{id: "p{number}", {values}}}) {{ id }}'
            f" createOneLine(data: {{page: 1, number: {number}, {values}}}) {{ page }} }}",
            None,
        )
    for where in ("", ', where: {owner: {contains: "n"}}', ', where: {text: {equals: "pear"}}'):
        found = served.data(
            f'{{ searchPage(query: "pear"{where}) {{ totalCount hits {{ node {{ id }} }} }}'
            f' searchLine(query: "pear"{where}) {{ totalCount hits {{ node {{ page number }} }} }} }}',
            ANN,
        )
        assert found == {
            "searchPage": {"totalCount": 1, "hits": [{"node": {"id": "p1"}}]},
            "searchLine": {"totalCount": 1, "hits": [{"node": {"page": 1, "number": 1}}]},
        }
    merged = (
        '{ search(queries: [{model: Page, query: "pear"}, {model: Line, query: "pear"}]) { totalCount } }'
    )
    assert [served.data(merged, each)["search"]["totalCount"] for each in (ANN, None)] == [2, 4]
    filtered = '{ searchLine(query: "pear", where: {number: {gt: 1}}) { totalCount } }'
    assert [served.data(filtered, each)["searchLine"]["totalCount"] for each in (ANN, None)] == [0, 1]


def test_the_past_is_read_by_the_same_rules(served: Served) -> None:
    txid = str(served.database.txid)
    titles = "{ findManyPost { title } }"
    assert len(served.data(titles, ANN, x_lamdb_as_of=txid)["findManyPost"]) == 2
    served.push("/// @@allow('read', owner == auth().sub && id < 2)")
    assert served.code(titles, ANN, x_lamdb_as_of=txid) == "FORBIDDEN"
    assert len(served.data(titles, None, x_lamdb_as_of=txid)["findManyPost"]) == 3
    assert len(served.data(titles, ANN, x_lamdb_as_of=str(served.database.txid))["findManyPost"]) == 1


def test_rules_may_be_added_and_removed_while_it_runs(served: Served) -> None:
    count = "{ aggregatePost { _count { _all } } }"
    assert served.data(count) == {"aggregatePost": {"_count": {"_all": 0}}}
    served.push("/// @@allow('read', true)")
    assert served.data(count) == {"aggregatePost": {"_count": {"_all": 3}}}
    assert served.data('mutation { updateManyPost(data: {kind: "q"}) { count } }', ANN) == {
        "updateManyPost": {"count": 0}
    }
    without = BASE.replace("/// @@allow('all', check(post, 'read'))", "")
    served.push("", without)
    assert served.data('mutation { updateManyPost(data: {kind: "q"}) { count } }') == {
        "updateManyPost": {"count": 3}
    }


def test_tables_can_be_altered_after_writes_under_rules(served: Served) -> None:
    assert served.data('mutation { updateManyPost(data: {kind: "q"}) { count } }', ANN)
    # A column that becomes optional makes the engine rebuild the table.
    served.push(OWNERS, BASE.replace("owner  String", "owner  String?\n  added Int?"))
    assert len(served.data("{ findManyPost { added owner } }", ANN)["findManyPost"]) == 2


def test_a_key_of_another_caller_gives_no_answer(served: Served) -> None:
    create = 'mutation { createOnePost(data: {title: "mine", owner: "ann"}) { id title } }'
    first = served.data(create, ANN, idempotency_key="k1")
    assert served.data(create, Caller({"sub": "ann", "exp": 5}), idempotency_key="k1") == first
    assert served.code(create, BOB, idempotency_key="k1") == "IDEMPOTENCY_MISMATCH"
    assert served.code(create, idempotency_key="k1") == "IDEMPOTENCY_MISMATCH"


def test_a_search_token_may_have_claims(served: Served) -> None:
    key = "k" * 32
    search = '{ searchPost(query: "river") { totalCount } }'
    for claims, total in (({"sub": "ann"}, 2), ({"sub": "bob"}, 1), (None, 0)):
        token = SearchToken(claims=claims).sign(key)
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        request = HttpRequest("POST", "/graphql", "", headers, orjson.dumps({"query": search}), None)
        response = handle(served.apis, served.database, request, HttpOptions(search_key=key))
        assert orjson.loads(response.body) == {"data": {"searchPost": {"totalCount": total}}}


VIEWS = """generator client {
  provider = "prisma-client"
  previewFeatures = ["views"]
}
datasource db {
  provider = "sqlite"
}
/// @@allow('all', owner == auth().sub)
model Post {
  id    Int    @id @default(autoincrement())
  title String @unique
  owner String
}
/// @@allow('read', owner == auth().sub)
view Titled {
  id    Int    @unique
  owner String
}
"""


def test_views_of_the_schema_have_rules_for_reading() -> None:
    served = Served()
    served.database.close()
    served.database = Database.open("memory://")
    schema = PrismaSchema.parse(VIEWS)
    with served.database.writer() as connection:
        connection.execute(
            "CREATE TABLE Post (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, owner TEXT)"
        )
        connection.execute("CREATE UNIQUE INDEX Post_title_key ON Post(title)")
        connection.execute("CREATE VIEW Titled AS SELECT id, owner FROM Post")
        connection.execute("INSERT INTO Post (title, owner) VALUES ('a', 'ann'), ('b', 'bob')")
        stored_schema.store(connection, stored_schema.compute(schema))
    assert served.data("{ findManyTitled { owner } }", ANN) == {"findManyTitled": [{"owner": "ann"}]}
    assert served.data("{ findManyPost { title } }", BOB) == {"findManyPost": [{"title": "b"}]}
    upsert = 'mutation { upsertOnePost(where: {title: "b"}, create: %s, update: {owner: "ann"}) { id } }'
    assert served.code(upsert % '{title: "b", owner: "ann"}', ANN) == "P2025"
    assert served.data("{ findManyPost { owner } }", None)["findManyPost"] == [
        {"owner": "ann"},
        {"owner": "bob"},
    ]
    served.database.close()


def sql(endpoint: SqlEndpoint, role: Role, statement: str) -> dict[str, Any]:
    body = orjson.dumps(
        {"baton": None, "requests": [{"type": "execute", "stmt": {"sql": statement}}, {"type": "close"}]}
    )
    headers = {"content-type": "application/json"}
    asked = endpoint.receive(HttpRequest("POST", "/v2/pipeline", "", headers, body), role)
    response = asked if hasattr(asked, "status") else endpoint.answer(asked)
    answer: dict[str, Any] = orjson.loads(response.body)
    found: dict[str, Any] = answer["results"][0] if "results" in answer else answer
    return found


def test_sql_is_left_to_administrators(served: Served) -> None:
    streams = Streams()
    endpoint = SqlEndpoint(
        SqlEngine(served.database, busy_seconds=1), streams, HttpOptions(max_staleness=3600)
    )
    for role in (Role.READ, Role.WRITE):
        for statement in ("SELECT * FROM Post", "DELETE FROM Post", "SELECT 1", "BEGIN IMMEDIATE"):
            found = sql(endpoint, role, statement)
            assert "row rules" in str(found), (role, statement, found)
    assert sql(endpoint, Role.ADMIN, "SELECT count(*) FROM Post")["type"] == "ok"
    assert sql(endpoint, Role.ADMIN, "UPDATE Post SET kind = 'w'")["type"] == "ok"
    streams.close()


def test_a_schema_with_rules_can_be_deployed_from_files(tmp_path: Path) -> None:
    folder = tmp_path / "schema"
    folder.mkdir()
    base, _, note = BASE.replace("RULES", OWNERS).partition("/// @@allow('all', check")
    (folder / "a.prisma").write_text(base)
    (folder / "b.prisma").write_text("/// @@allow('all', check" + note)
    schema = PrismaSchema.load(folder)
    assert schema.rules == PrismaSchema.parse(BASE.replace("RULES", OWNERS)).rules
    database = Database.open("memory://")
    apply.push(database, schema)
    with database.reader() as connection:
        served = serving(Settings()).of(connection)
    assert served.api.rules == schema.rules
    database.close()
