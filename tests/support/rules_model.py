"""A model of rules: random rules, data and callers, and an evaluator that tries every record by itself.

python -m tests.support.rules_model --cases 100000
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import orjson

from lamdb.graphql.api import Api
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.rules.caller import ANONYMOUS, Caller
from lamdb.rules.declaration import rules_of
from lamdb.rules.definition import Rules
from lamdb.rules.expressions import (
    Both,
    Comparison,
    Either,
    Expression,
    FunctionCall,
    Items,
    MemberAccess,
    Name,
    Not,
    Predicate,
    Value,
    parse_arguments,
)
from lamdb.storage import Database

HEAD: Final = 'datasource db {\n  provider = "sqlite"\n}\nenum Role {\n  USER\n  ADMIN @map("adm")\n}\n'
MODELS: Final = {
    "User": """
  id    Int    @id
  name  String
  role  Role
  boss  User?  @relation("boss", fields: [bossId], references: [id], onDelete: SetNull)
  bossId Int?
  team  User[] @relation("boss")
  posts Post[]
  memberships Membership[]
""",
    "Post": """
  id     Int     @id
  title  String
  public Boolean
  views  Int?
  author User?   @relation(fields: [authorId], references: [id], onDelete: Cascade)
  authorId Int?
  tags   Tag[]
  @@index([authorId])
  @@index([title])
""",
    "Tag": """
  id    Int    @id
  name  String
  posts Post[]
  @@index([name])
""",
    "Group": """
  id    Int    @id
  open  Boolean
  memberships Membership[]
""",
    "Membership": """
  user    User   @relation(fields: [userId], references: [id], onDelete: Cascade)
  userId  Int
  group   Group  @relation(fields: [groupId], references: [id], onDelete: Cascade)
  groupId Int
  owner   Boolean

  @@id([userId, groupId])
""",
}
KEYS: Final = {"Membership": ("userId", "groupId")}
TO_ONE: Final = {
    ("User", "boss"): ("User", {"id": "bossId"}),
    ("Post", "author"): ("User", {"id": "authorId"}),
    ("Membership", "user"): ("User", {"id": "userId"}),
    ("Membership", "group"): ("Group", {"id": "groupId"}),
}
TO_MANY: Final = {
    ("User", "team"): ("User", {"bossId": "id"}),
    ("User", "posts"): ("Post", {"authorId": "id"}),
    ("User", "memberships"): ("Membership", {"userId": "id"}),
    ("Group", "memberships"): ("Membership", {"groupId": "id"}),
}
SCALARS: Final = {
    "User": {"id": "Int", "name": "String", "role": "Role", "bossId": "Int"},
    "Post": {"id": "Int", "title": "String", "public": "Boolean", "views": "Int", "authorId": "Int"},
    "Tag": {"id": "Int", "name": "String"},
    "Group": {"id": "Int", "open": "Boolean"},
    "Membership": {"userId": "Int", "groupId": "Int", "owner": "Boolean"},
}
NAMES: Final = ("a", "b", "ab")

type Record = dict[str, Any]


@dataclass
class Data:
    """Records by model, and the pairs (post, tag) of the many-to-many relation."""

    records: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in MODELS})
    tagged: set[tuple[int, int]] = field(default_factory=set)

    def related(self, model: str, record: Record, name: str) -> tuple[str, list[Record]]:
        """The model and the records at the end of a relation."""
        if (model, name) == ("Post", "tags"):
            ids = {tag for post, tag in self.tagged if post == record["id"]}
            return "Tag", [each for each in self.records["Tag"] if each["id"] in ids]
        if (model, name) == ("Tag", "posts"):
            ids = {post for post, tag in self.tagged if tag == record["id"]}
            return "Post", [each for each in self.records["Post"] if each["id"] in ids]
        target, pairs = TO_ONE.get((model, name)) or TO_MANY[model, name]
        return target, [
            each
            for each in self.records[target]
            if all(record[own] is not None and each[its] == record[own] for its, own in pairs.items())
        ]

    def only(self, visible: Mapping[str, list[Record]]) -> "Data":
        """The data without what is not visible."""
        ids = {name: {each["id"] for each in visible[name]} for name in ("Post", "Tag")}
        tagged = {(post, tag) for post, tag in self.tagged if post in ids["Post"] and tag in ids["Tag"]}
        return Data({name: list(visible[name]) for name in MODELS}, tagged)


# --- the evaluator --------------------------------------------------------------------------------


class Evaluator:
    """Evaluates conditions for single records. Null and missing claims compare as in JavaScript's `==`."""

    def __init__(self, data: Data, claims: Mapping[str, Any] | None) -> None:
        self._data = data
        self._claims = claims

    def holds(self, expression: Expression, model: str, record: Record, root: tuple[str, Record]) -> bool:
        match expression:
            case Either(left, right):
                return self.holds(left, model, record, root) or self.holds(right, model, record, root)
            case Both(left, right):
                return self.holds(left, model, record, root) and self.holds(right, model, record, root)
            case Not(operand):
                return not self.holds(operand, model, record, root)
            case Comparison(operator, left, right):
                return self._compare(operator, left, right, model, record, root)
            case Predicate(quantifier, of, condition):
                target, found = self._records(of, model, record, root)
                holding = [self.holds(condition, target, each, root) for each in found]
                return (
                    {"some": any, "every": all}[quantifier](holding)
                    if quantifier != "none"
                    else not any(holding)
                )
            case FunctionCall("contains", (one, other)):
                left, right = (self._value(each, model, record, root) for each in (one, other))
                return left is not None and right is not None and right in left
            case FunctionCall("startsWith", (one, other)):
                left, right = (self._value(each, model, record, root) for each in (one, other))
                return left is not None and right is not None and left.startswith(right)
            case FunctionCall("auth"):
                return self._claims is not None
            case _:
                return self._value(expression, model, record, root) is True

    def _compare(
        self,
        operator: str,
        left: Expression,
        right: Expression,
        model: str,
        record: Record,
        root: tuple[str, Record],
    ) -> bool:
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Value) and one.value is None:
                missing = self._is_null(other, model, record, root)
                return missing if operator == "==" else not missing
        for one, other in ((left, right), (right, left)):
            if isinstance(one, FunctionCall) and one.name == "auth":
                subject = (self._claims or {}).get("sub")
                _, found = self._records(other, model, record, root)
                same = bool(found) and subject is not None and found[0]["id"] == int(subject)
                return same if operator == "==" else not same
        if operator == "in" and isinstance(right, Items):
            return any(self._compare("==", left, item, model, record, root) for item in right.items)
        one, other = (self._value(each, model, record, root) for each in (left, right))
        if operator == "in":
            return one is not None and isinstance(other, list) and one in other
        if one is None or other is None:
            return operator == "!="
        if isinstance(one, str) != isinstance(other, str):
            one, other = str(one), str(other)
        result: bool = {
            "==": one == other,
            "!=": one != other,
            "<": one < other,
            "<=": one <= other,
            ">": one > other,
            ">=": one >= other,
        }[operator]
        return result

    def _is_null(self, expression: Expression, model: str, record: Record, root: tuple[str, Record]) -> bool:
        if isinstance(expression, FunctionCall):
            return self._claims is None
        if isinstance(expression, Name) and (model, expression.name) in TO_ONE:
            return not self._data.related(model, record, expression.name)[1]
        return self._value(expression, model, record, root) is None

    def _value(self, expression: Expression, model: str, record: Record, root: tuple[str, Record]) -> Any:
        match expression:
            case Value(value):
                return value
            case Name(name):
                return _named(record[name]) if name in record else name
            case MemberAccess(FunctionCall("auth"), name):
                claims = self._claims or {}
                return claims.get("sub") if name == "id" and "id" not in claims else claims.get(name)
            case MemberAccess(Name("this"), name):
                return _named(root[1][name])
            case MemberAccess(of, name):
                _, found = self._records(of, model, record, root)
                return _named(found[0][name]) if found else None
        raise AssertionError(expression)

    def _records(
        self, expression: Expression, model: str, record: Record, root: tuple[str, Record]
    ) -> tuple[str, list[Record]]:
        match expression:
            case MemberAccess(Name("this"), name):
                return self._data.related(*root, name)
            case MemberAccess(of, name):
                target, found = self._records(of, model, record, root)
                if not found:
                    return self._data.related(target, {"id": None, **dict.fromkeys(SCALARS[target])}, name)
                return self._data.related(target, found[0], name)
            case Name(name):
                return self._data.related(model, record, name)
        raise AssertionError(expression)


def _named(value: Any) -> Any:
    """An enum's value by its name in the schema."""
    return "ADMIN" if value == "adm" else value


# --- random rules, data and callers ---------------------------------------------------------------


class Chance:
    """Makes what is random from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def data(self) -> Data:
        choose = self._random
        data = Data()
        users = range(1, choose.randint(1, 4))
        for number in users:
            boss = choose.choice([None, *users])
            role = choose.choice(["USER", "adm"])
            data.records["User"].append(
                {"id": number, "name": choose.choice(NAMES), "role": role, "bossId": boss}
            )
        for number in range(1, choose.randint(1, 6)):
            data.records["Post"].append(
                {
                    "id": number,
                    "title": choose.choice(NAMES),
                    "public": choose.random() < 0.5,
                    "views": choose.choice([None, 1, 2, 3]),
                    "authorId": choose.choice([None, *users]),
                }
            )
        for number in range(1, choose.randint(1, 4)):
            data.records["Tag"].append({"id": number, "name": choose.choice(NAMES)})
            data.records["Group"].append({"id": number, "open": choose.random() < 0.5})
        for user in users:
            for group in data.records["Group"]:
                if choose.random() < 0.5:
                    data.records["Membership"].append(
                        {"userId": user, "groupId": group["id"], "owner": choose.random() < 0.5}
                    )
        for post in data.records["Post"]:
            for tag in data.records["Tag"]:
                if choose.random() < 0.4:
                    data.tagged.add((post["id"], tag["id"]))
        return data

    def claims(self) -> Mapping[str, Any] | None:
        choose = self._random
        if choose.random() < 0.15:
            return None
        claims: dict[str, Any] = {"sub": str(choose.randint(1, 4))}
        if choose.random() < 0.6:
            claims["role"] = choose.choice(["USER", "ADMIN"])
        if choose.random() < 0.5:
            claims["level"] = choose.randint(1, 3)
        if choose.random() < 0.4:
            claims["banned"] = choose.random() < 0.5
        if choose.random() < 0.5:
            claims["names"] = choose.sample(NAMES, choose.randint(0, 2))
        return claims

    def schema(self) -> str:
        """The models with random rules above them."""
        parts = [HEAD]
        for name, body in MODELS.items():
            for _ in range(self._random.choice([0, 1, 1, 2, 3])):
                effect = "deny" if self._random.random() < 0.25 else "allow"
                operations = self._random.choice(
                    ["read", "read", "all", "create,read", "update,delete", "read,update", "delete", "create"]
                )
                parts.append(f"/// @@{effect}('{operations}', {self.condition(name)})\n")
            parts.append(f"model {name} {{{body}}}\n")
        return "".join(parts)

    def condition(self, model: str, depth: int = 3) -> str:
        choose = self._random
        if depth and choose.random() < 0.45:
            form = choose.choice(["{} && {}", "{} || {}", "!({})", "({} || {}) && {}"])
            return form.format(*(self.condition(model, depth - 1) for _ in range(3)))
        if depth and choose.random() < 0.3:
            lists = [name for of, name in [*TO_MANY, ("Post", "tags"), ("Tag", "posts")] if of == model]
            if lists:
                name = choose.choice(lists)
                target = {"tags": "Tag"}.get(name) or TO_MANY.get((model, name), ("Post", {}))[0]
                sign = choose.choice("?!^")
                return f"{name}{sign}[{self.condition(target, depth - 1)}]"
        return choose.choice(list(self._atoms(model)))

    def _atoms(self, model: str) -> Iterator[str]:
        choose = self._random
        yield from ("true", "auth() == null", "auth() != null", "auth().banned == true", "auth().banned")
        yield choose.choice(["auth().role == ADMIN", "auth().level >= 2", "!auth().banned"])
        prefixes = [("", model)]
        for (of, name), (target, _) in TO_ONE.items():
            if of == model:
                yield f"auth() == {name}"
                yield choose.choice([f"{name} == null", f"{name} != null", f"{name} != auth()"])
                prefixes.append((f"{name}.", target))
        for prefix, of in prefixes:
            for name, kind in SCALARS[of].items():
                path = f"{prefix}{name}"
                match kind:
                    case "Int":
                        yield choose.choice(
                            [
                                f"{path} {choose.choice(['==', '!=', '<', '>='])} {choose.randint(1, 3)}",
                                f"{path} == auth().sub",
                                f"auth().id != {path}",
                                f"{path} in [1, 3]",
                                f"{path} == null",
                                f"auth().level > {path}",
                            ]
                        )
                    case "String":
                        yield choose.choice(
                            [
                                f"{path} == '{choose.choice(NAMES)}'",
                                f"{path} != '{choose.choice(NAMES)}'",
                                f"contains({path}, 'b')",
                                f"!startsWith({path}, 'a')",
                                f"{path} in auth().names",
                                f"{path} in ['a', 'b']",
                            ]
                        )
                    case "Boolean":
                        yield choose.choice([path, f"!{path}", f"{path} == true", f"{path} != true"])
                    case "Role":
                        yield choose.choice([f"{path} == ADMIN", f"{path} != 'USER'", f"{path} in [USER]"])


# --- what is compared -----------------------------------------------------------------------------

READS: Final = (
    "{ findManyUser(orderBy: {id: asc}) { id name role boss { id name } team(orderBy: {id: asc}) { id }"
    " posts(orderBy: {id: asc}) { id title tags(orderBy: {id: asc}) { name } } _count { posts team } } }",
    "{ findManyPost(orderBy: {id: asc}) { id public views author { name boss { role } }"
    " tags(orderBy: {id: asc}) { id posts(orderBy: {id: asc}) { id } } _count { tags } } }",
    "{ findManyTag(orderBy: {id: asc}) { name _count { posts }"
    " posts(orderBy: {id: asc}) { id author { id } } } }",
    "{ findManyGroup(orderBy: {id: asc}) { id open _count { memberships } } }",
    "{ findManyMembership(orderBy: [{userId: asc}, {groupId: asc}]) { userId groupId owner } }",
    "{ aggregatePost { _count { _all views } _sum { views } _max { title } _min { id } } }",
    "{ groupByPost(by: [title], orderBy: {title: asc}) { title _count { _all } } }",
    '{ findManyUser(where: {posts: {some: {title: {contains: "b"}}}}, orderBy: {id: asc}) { id } }',
    "{ findManyUser(where: {posts: {none: {public: {equals: true}}}}, orderBy: {id: asc}) { id } }",
    "{ findManyUser(where: {posts: {every: {views: {gt: 1}}}}, orderBy: {id: asc}) { id } }",
    "{ findManyPost(where: {author: {is: {boss: {isNot: null}}}}, orderBy: {id: asc}) { id } }",
    "{ findManyPost(where: {tags: {some: {posts: {some: {public: {equals: true}}}}}}, orderBy: {id: asc})"
    " { id } }",
    "{ findManyPost(orderBy: [{author: {name: asc}}, {tags: {_count: desc}}, {id: asc}], take: 3) { id } }",
    "{ findManyUser(distinct: [name], orderBy: {id: asc}) { id name } }",
    # Those of which other statements are made, as an index serves them.
    '{ findManyUser(where: {posts: {some: {title: {equals: "b"}}}}, orderBy: {id: asc}) { id } }',
    '{ findManyUser(where: {posts: {none: {title: {equals: "b"}}}}, orderBy: {id: asc}) { id } }',
    '{ findManyPost(where: {tags: {some: {name: {equals: "a"}}}}, orderBy: {id: asc}) { id } }',
    '{ findManyPost(where: {tags: {none: {name: {equals: "a"}}}}, orderBy: {id: asc}) { id } }',
    "{ findManyPost(distinct: [title], orderBy: [{views: desc}, {id: asc}], take: 2) { id title } }",
    "{ findManyPost(orderBy: [{public: desc}, {id: asc}], skip: 1, take: 2) { id title _count { tags } } }",
    "{ findUniquePost(where: {id: 2}) { id title author { id } } }",
    "{ findFirstUser(where: {team: {some: {}}}, orderBy: {id: desc})"
    " { id team(orderBy: {id: asc}) { id } } }",
)


@cache
def _shared() -> tuple[QueryEngine, bytes, Mapping[str, Any]]:
    schema = PrismaSchema.parse(HEAD + "".join(f"model {name} {{{body}}}\n" for name, body in MODELS.items()))
    return QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf).dumps(), schema.datamodel


class World:
    """A database with the models' tables, filled anew for each case. Foreign keys are off: what a parent's
    absence means is compared, too."""

    def __init__(self) -> None:
        self.database = Database.open("memory://")
        engine, _, _ = _shared()
        with self.database.writer(foreign_keys=False) as connection:
            push(connection, engine.schema)

    def fill(self, data: Data) -> None:
        with self.database.writer(foreign_keys=False) as connection:
            for name in MODELS:
                connection.execute(f'DELETE FROM "{name}"')
                for record in data.records[name]:
                    columns = ", ".join(f'"{column}"' for column in record)
                    marks = ", ".join("?" * len(record))
                    connection.execute(
                        f'INSERT INTO "{name}" ({columns}) VALUES ({marks})', tuple(record.values())
                    )
            connection.execute('DELETE FROM "_PostToTag"')
            connection.executemany('INSERT INTO "_PostToTag" ("A", "B") VALUES (?, ?)', sorted(data.tagged))

    def content(self) -> Data:
        data = Data()
        with self.database.reader() as connection:
            for name, columns in SCALARS.items():
                listed = ", ".join(f'"{column}"' for column in columns)
                for row in connection.execute(f'SELECT {listed} FROM "{name}" ORDER BY 1, 2'):
                    record = dict(zip(columns, row, strict=True))
                    for column, kind in columns.items():
                        if kind == "Boolean":
                            record[column] = bool(record[column])
                    data.records[name].append(record)
            data.tagged = set(connection.execute('SELECT "A", "B" FROM "_PostToTag"'))  # type: ignore[arg-type]
        return data


def declared(text: str) -> dict[str, list[tuple[str, Sequence[str], Expression]]]:
    """The rules in a schema that `Chance` made, by model."""
    found: dict[str, list[tuple[str, Sequence[str], Expression]]] = {name: [] for name in MODELS}
    waiting: list[tuple[str, Sequence[str], Expression]] = []
    for line in text.splitlines():
        if line.startswith("/// @@"):
            effect = "allow" if line.startswith("/// @@allow") else "deny"
            (operations, condition), _ = parse_arguments(line, line.index("("))
            assert isinstance(operations, Value)
            waiting.append((effect, str(operations.value).split(","), condition))
        elif line.startswith("model "):
            found[line.split()[1]] = waiting
            waiting = []
    return found


def allowed(
    rules: Mapping[str, Sequence[tuple[str, Sequence[str], Expression]]],
    evaluator: Evaluator,
    model: str,
    record: Record,
    operation: str,
) -> bool:
    """Whether an operation on a record is allowed."""
    fitting = [
        (effect, condition)
        for effect, operations, condition in rules[model]
        if operation in operations or "all" in operations
    ]
    holding = {
        effect for effect, condition in fitting if evaluator.holds(condition, model, record, (model, record))
    }
    return "allow" in holding and "deny" not in holding


def no_rules(text: str) -> bool:
    return "@@" not in text


class Matrix:
    """Compares rules with the model; `cases` counts the comparisons."""

    def __init__(self) -> None:
        self.cases = 0
        self._ruled, self._plain = World(), World()
        engine, types, self._datamodel = _shared()
        self._engine, self._types = engine, types
        self._reference = Api(engine, ApiTypes.loads(types))

    def run(self, seed: int) -> None:
        """One schema, one state, several callers. Raises AssertionError with what differs."""
        chance = Chance(seed)
        text = chance.schema()
        rules = rules_of([("schema.prisma", text)], self._datamodel)
        if rules is None:
            return
        data = chance.data()
        self._ruled.fill(data)
        api = Api(self._engine, ApiTypes.loads(self._types), rules=rules)
        known = declared(text)
        for _ in range(3):
            claims = chance.claims()
            caller = ANONYMOUS if claims is None else Caller(claims)
            evaluator = Evaluator(data, claims)
            visible = {
                model: [each for each in records if allowed(known, evaluator, model, each, "read")]
                for model, records in data.records.items()
            }
            self._plain.fill(data.only(visible))
            for document in READS:
                expected = _answer(self._reference, self._plain.database, document, None)
                found = _answer(api, self._ruled.database, document, caller)
                assert found == expected, (seed, claims, document, found, expected, text)
                self.cases += 1
            self._write(chance, rules, api, known, data, claims, visible, seed, text)

    def _write(
        self,
        chance: Chance,
        rules: Rules,
        api: Api,
        known: Mapping[str, Sequence[tuple[str, Sequence[str], Expression]]],
        data: Data,
        claims: Mapping[str, Any] | None,
        visible: Mapping[str, list[Record]],
        seed: int,
        text: str,
    ) -> None:
        caller = ANONYMOUS if claims is None else Caller(claims)
        evaluator = Evaluator(data, claims)
        changes = {"Post": ("title", "z"), "User": ("name", "z"), "Tag": ("name", "z")}
        for model, (column, value) in changes.items():
            document = f'mutation {{ updateMany{model}(data: {{{column}: "{value}"}}) {{ count }} }}'
            found = _answer(api, self._ruled.database, document, caller)
            expected = [
                each["id"] for each in visible[model] if allowed(known, evaluator, model, each, "update")
            ]
            after = self._ruled.content()
            changed = [each["id"] for each in after.records[model] if each[column] == value]
            # A rule may look at other records of the same model, which the same statement has changed.
            if not _looks_at(text, model, column):
                assert changed == expected, (seed, claims, document, changed, expected, text)
                assert found["data"][f"updateMany{model}"]["count"] == len(expected)
            else:
                assert set(changed) <= {each["id"] for each in data.records[model]}
            self._ruled.fill(data)
            self.cases += 1
        for post in data.records["Post"]:
            document = f"mutation {{ deleteOnePost(where: {{id: {post['id']}}}) {{ id }} }}"
            found = _answer(api, self._ruled.database, document, caller)
            may = post in visible["Post"] and allowed(known, evaluator, "Post", post, "delete")
            gone = post["id"] not in [each["id"] for each in self._ruled.content().records["Post"]]
            assert gone == may, (seed, claims, document, found, may, text)
            if gone:
                self._ruled.fill(data)
            self.cases += 1
        record = {"id": 99, "title": "ab", "public": bool(seed % 2), "views": None, "authorId": None}
        public = str(record["public"]).lower()
        document = f'mutation {{ createOnePost(data: {{id: 99, title: "ab", public: {public}}}) {{ id }} }}'
        found = _answer(api, self._ruled.database, document, caller)
        data.records["Post"].append(record)
        may = allowed(known, evaluator, "Post", record, "create")
        data.records["Post"].pop()
        made = any(each["id"] == 99 for each in self._ruled.content().records["Post"])
        # A record that is created and may not be read is kept, and not answered.
        assert made == may or (may and "errors" in found), (seed, claims, found, may, text)
        self._ruled.fill(data)
        self.cases += 1

    def close(self) -> None:
        self._ruled.database.close()
        self._plain.database.close()


def _looks_at(text: str, model: str, column: str) -> bool:
    """Whether a rule may read other records' values of a column."""
    return column in "".join(line for line in text.splitlines() if line.startswith("/// @@"))


def _answer(api: Api, database: Database, document: str, caller: Caller | None) -> Any:
    return orjson.loads(api.execute(database, GraphQLRequest(document, caller=caller)).body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares until there were so many cases."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.rules_model", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    matrix, seed, begun = Matrix(), options.seed, time.perf_counter()
    while matrix.cases < options.cases:
        matrix.run(seed)
        seed += 1
    print(f"{matrix.cases} cases, {seed - options.seed} schemas, {time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
