"""Odd requests and events, made at random from a seed: nothing that comes in may end in `INTERNAL`.

    python -m tests.input_fuzz --count 20000 --seed 1

prints every input that did. `tests/integration/graphql/test_input_fuzz.py` runs a few of each kind.
"""

import argparse
import base64
import json
import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
from tests.support.graphql_blog import blog_api, empty_blog

from lamdb.cluster.invocation import events
from lamdb.cluster.invocation.events import Events, Received
from lamdb.cluster.sources import records
from lamdb.errors import LamdbError
from lamdb.graphql.api import GraphQLRequest
from lamdb.graphql.transport.http import HttpRequest, handle
from lamdb.storage import Database

SAMPLES: Final = sorted((Path(__file__).parents[1] / "events").glob("*.json"))

TEXTS: Final = [
    "",
    "a",
    "\ud800",
    "a\udfffb",
    "\x00",
    "\u2028",
    "é" * 70,
    "null",
    "NaN",
    "1e400",
    "-0",
    "9" * 30,
    "2024-01-01",
    "20240101",
    "+999999-01-01T00:00:00Z",
    "0000-00-00",
    "2016-12-31T23:59:60Z",
    "{}",
    "[1",
    "%",
    "__proto__",
    "$type",
    "AAA=",
    "=",
    "\U0010ffff",
    "ADMIN",
    "constructor",
    "' OR 1=1 --",
    '"',
    "\\",
    "\ufeff",
]
NUMBERS: Final = [
    0,
    -0.0,
    -1,
    1,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**30,
    10**400,
    10**5000,
    1e308,
    -1e308,
    5e-324,
    0.1,
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    False,
]
NAMES: Final = [
    "id",
    "email",
    "name",
    "role",
    "big",
    "price",
    "score",
    "photo",
    "meta",
    "active",
    "created",
    "posts",
    "seats",
    "AND",
    "OR",
    "NOT",
    "equals",
    "in",
    "notIn",
    "not",
    "lt",
    "gte",
    "contains",
    "some",
    "every",
    "none",
    "is",
    "set",
    "connect",
    "create",
    "increment",
    "push",
    "where",
    "data",
    "$type",
    "value",
    "__proto__",
    "\ud800",
    "",
]
TYPES: Final = [
    "Int",
    "Float",
    "String",
    "Boolean",
    "ID",
    "BigInt",
    "Decimal",
    "DateTime",
    "Json",
    "Bytes",
    "Role",
    "UserWhereInput",
    "UserWhereUniqueInput",
    "UserCreateInput",
    "UserUpdateInput",
    "[UserOrderByWithRelationInput!]",
    "[String!]",
    "[Int]",
    "[Role!]",
    "PostCreateInput",
    "Nothing",
]
FIELDS: Final = [
    "query($a: {t}) {{ findManyUser(where: $a) {{ id posts {{ id }} }} }}",
    "query($a: {t}) {{ findManyUser(skip: $a) {{ id }} }}",
    "query($a: {t}) {{ findManyUser(take: $a, orderBy: $a) {{ id }} }}",
    "query($a: {t}) {{ findUniqueUser(where: $a) {{ id }} }}",
    "query($a: {t}) {{ findManyUser(where: {{ {n}: {{ equals: $a }} }}) {{ id }} }}",
    "query($a: {t}) {{ findManyUser(where: {{ {n}: {{ in: $a }} }}) {{ id }} }}",
    "query($a: {t}) {{ findManyUser(where: {{ {n}: {{ in: [$a] }} }}) {{ id }} }}",
    "query($a: {t}) {{ groupByUser(by: [role], having: {{ {n}: {{ equals: $a }} }}) {{ role }} }}",
    "query($a: {t}) {{ aggregateUser(cursor: $a, skip: $a) {{ _count {{ _all }} }} }}",
    "query($a: {t}) {{ findManyUser @skip(if: $a) {{ id }} }}",
    "mutation($a: {t}) {{ createOneUser(data: $a) {{ id }} }}",
    'mutation($a: {t}) {{ createOneUser(data: {{ email: "x", {n}: $a }}) {{ id {n} }} }}',
    "mutation($a: {t}) {{ updateManyUser(data: {{ {n}: $a }}) {{ count }} }}",
    "mutation($a: {t}) {{ upsertOneUser(where: {{ id: 1 }}, create: $a, update: $a) {{ id }} }}",
    'mutation($a: {t}) {{ createOnePost(data: {{ id: 1, title: "t", author: $a }}) {{ id }} }}',
    "query($a: {t}) {{ __type(name: $a) {{ name }} }}",
]


class Fuzz:
    """Makes inputs and says of each whether it ended in `INTERNAL`, or in an exception that it should not."""

    def __init__(self, seed: int, database: Database | None = None) -> None:
        self.random = random.Random(seed)
        self._database = database or empty_blog()
        self._api = blog_api()

    # Values

    def value(self, depth: int = 0) -> Any:
        pick = self.random.random()
        if pick < 0.35:
            return self.random.choice(TEXTS)
        if pick < 0.6:
            return self.random.choice(NUMBERS)
        if pick < 0.65 or depth > 4:
            return None
        if pick < 0.75:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        if pick < 0.76:
            return self.nested(self.random.choice([90, 101, 130, 2000]))
        names = self.random.sample(NAMES, self.random.randrange(1, 4))
        return {name: self.value(depth + 1) for name in names}

    def nested(self, levels: int) -> Any:
        made: Any = 1
        for _ in range(levels):
            made = {"AND": made} if self.random.random() < 0.5 else [made]
        return made

    def document(self) -> str:
        name = self.random.choice(NAMES[:20])
        text = self.random.choice(FIELDS).format(t=self.random.choice(TYPES), n=name or "id")
        return self.mangled(text) if self.random.random() < 0.3 else text

    def mangled(self, text: str) -> str:
        """`text` with a piece cut out, doubled or replaced."""
        at = self.random.randrange(len(text) + 1)
        end = min(len(text), at + self.random.randrange(6))
        put = self.random.choice(
            ["", text[at:end] * 2, *TEXTS, "{", "}", "(", "...", '"""', "$", "@", "#", "&"]
        )
        return text[:at] + put + text[end:]

    # What is asked

    def api(self) -> tuple[Any, str | None]:
        name = self.random.choice([None, None, "", "X", "\ud800"])
        request = GraphQLRequest(self.document(), {"a": self.value()}, name)
        return request, self._fault(lambda: self._api.execute(self._database, request).body)

    def http(self) -> tuple[Any, str | None]:
        headers = {
            "content-type": self.random.choice(
                ["application/json", "application/json; charset=x", "text/plain"]
            )
        }
        for header in ("accept", "x-lamdb-txid", "x-lamdb-consistency", "x-lamdb-as-of", "idempotency-key"):
            if self.random.random() < 0.1:
                headers[header] = self.random.choice(
                    [*TEXTS, "1", "strong", "99999999999999999999", "*/*;q=x"]
                )
        content: Any = {"query": self.document(), "variables": {"a": self.value()}}
        if self.random.random() < 0.4:
            content[self.random.choice(["query", "variables", "operationName", "extensions"])] = self.value()
        try:
            text = json.dumps(content)
        except (ValueError, RecursionError):  # what Python itself does not write
            text = '{"query": ' + "[" * 3000 + "9" * 5000
        if self.random.random() < 0.3:
            text = self.mangled(text)
        body = text.encode("utf-8", "surrogatepass")
        query = ""
        method = self.random.choice(["POST", "POST", "POST", "GET", "PUT"])
        if method == "GET":
            query = self.mangled("query=%7B__typename%7D&variables=" + text.replace(" ", "+"))
        request = HttpRequest(method, "/graphql", query, headers, body)
        return request, self._fault(lambda: handle(self._api, self._database, request).body)

    def event(self) -> tuple[Any, str | None]:
        event = json.loads(self.random.choice(SAMPLES).read_text())
        for _ in range(self.random.randrange(1, 4)):
            event = self._changed(event)
        try:
            json.dumps(event)
        except (ValueError, RecursionError):
            return event, None  # Python would not have read it

        def read() -> bytes:
            received = events.read(event)
            if isinstance(received, Received):
                if received.refused is not None:
                    raise received.refused
                return handle(self._api, self._database, received.request).body
            if isinstance(received, Events):
                for record in records.read(received.event).records:
                    record.contents()
                    record.body()
            return b"{}"

        return event, self._fault(read)

    def _changed(self, of: Any) -> Any:
        """`of`, in which something, somewhere, is another value or gone."""
        place = made = of
        while isinstance(place, dict | list) and place:
            key: Any = self.random.choice(list(place) if isinstance(place, dict) else list(range(len(place))))
            inner: Any = place[key]
            if not isinstance(inner, dict | list) or not inner or self.random.random() < 0.3:
                change = self.random.random()
                if change < 0.2:
                    del place[key]
                elif change < 0.4 and isinstance(inner, str):
                    place[key] = base64.b64encode(inner.encode("utf-8", "replace")).decode()
                elif change < 0.6 and isinstance(inner, str):
                    place[key] = self.mangled(inner)
                else:
                    place[key] = self.value()
                break
            place = inner
        return made

    def _fault(self, ask: Callable[[], bytes]) -> str | None:
        """Returns the fault in the answer to an input; None if there is none."""
        try:
            answer = orjson.loads(ask())
        except LamdbError as error:
            return "raised INTERNAL" if error.code == LamdbError.code else None
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            return f"raised {type(error).__name__}: {error}"
        codes = [each.get("extensions", {}).get("code") for each in answer.get("errors", ())]
        return f"answered {codes}" if None in codes or {LamdbError.code, "ENGINE"} & set(codes) else None


KINDS: Final = ("api", "http", "event")


def faults(kind: str, count: int, seed: int) -> list[str]:
    """The inputs of one kind that were not answered as they should be, each with what was wrong."""
    fuzz = Fuzz(seed)
    found = []
    for _ in range(count):
        made, fault = getattr(fuzz, kind)()
        if fault is not None:
            found.append(f"{fault}: {_shown(made)}")
    return found


def _shown(made: Any) -> str:
    try:
        return ascii(made)[:1000]
    except (ValueError, RecursionError) as error:
        return f"{type(made).__name__}, which cannot be shown: {error}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=10_000, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found = [each for kind in KINDS for each in faults(kind, given.count, given.seed)]
    print("\n".join(found) or f"{given.count} inputs of each kind: no fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
