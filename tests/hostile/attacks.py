"""Requests of a hostile client. Each attack returns the codes of its answers."""

import json
import socket
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx

from .target import Target

type Attack = Callable[[Target], list[str]]

# For each user, the posts of each of its posts' authors whose bodies match: rows times rows times text.
SLOW = """query ($text: String!) { findManyPost(where: {
  body: { not: { contains: $text } }, author: { posts: { some: { body: { contains: $text },
  author: { posts: { some: { title: { contains: $text } } } } } } } }) { id } }"""
_NEVER = "ab" * 200 + "c"


def code_of(response: httpx.Response) -> str:
    """The code of the first error, or OK."""
    errors = response.json().get("errors")
    return str(errors[0]["extensions"]["code"]) if errors else "OK"


def _ask(target: Target, query: str, variables: Any = None, **headers: str) -> str:
    try:
        return code_of(target.post(query, variables, **headers))
    except httpx.HTTPError as error:
        return type(error).__name__


def _at_once(count: int, call: Callable[[int], str]) -> list[str]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


def proven_then_costly(target: Target) -> list[str]:
    """Documents that were quick many times, with variables that cost much."""
    attempts: Sequence[tuple[str, Any, Any]] = [
        (SLOW, {"text": ""}, {"text": _NEVER}),
        (
            "query ($n: Int!) { findManyPost(take: $n) { id body author { bio } } }",
            {"n": 1},
            {"n": 100_000},
        ),
        (
            "query ($w: PostWhereInput!) { findManyPost(take: 1, where: $w) { id } }",
            {"w": {"id": {"equals": 1}}},
            {"w": {"OR": [{"title": {"contains": f"%{n}%_%"}} for n in range(200)]}},
        ),
        (
            "query ($t: String!) { findManyUser(where: { bio: { contains: $t } }) { id } }",
            {"t": "b"},
            {"t": "a" * 2000 + "b"},
        ),
        ("query ($n: Int!) { findManyUser(take: $n) { a: bio b: bio c: bio } }", {"n": 0}, {"n": 20}),
    ]
    codes = []
    for query, small, costly in attempts:
        for _ in range(8):
            _ask(target, query, small)
        codes.append(_ask(target, query, costly))
    return codes


def nested_cycles(target: Target) -> list[str]:
    """Relations that lead back and forth: each level multiplies the answer."""

    def call(depth: int) -> str:
        inner = "id"
        for level in range(depth + 3):
            inner = f"posts {{ {inner} }}" if level % 2 == 0 else f"author {{ {inner} }}"
        return _ask(
            target,
            f"{{ findManyUser(take: 1) {{ {inner} }} }}"
            if depth % 2 == 0
            else f"{{ findManyPost(take: 1) {{ {inner} }} }}",
        )

    return _at_once(8, call)


def many_aliases(target: Target) -> list[str]:
    """One row whose large text is asked for again and again."""

    def call(number: int) -> str:
        aliases = " ".join(f"a{n}: bio" for n in range(400 + number))
        fragments = f"{{ findUniqueUser(where: {{ id: 1 }}) {{ ...F }} }} fragment F on User {{ {aliases} }}"
        roots = (
            "{" + " ".join(f"r{n}: findUniqueUser(where: {{ id: 1 }}) {{ bio }}" for n in range(150)) + "}"
        )
        lists = f"{{ findManyUser {{ {aliases} }} }}"
        return _ask(target, (fragments, roots, lists)[number % 3])

    return _at_once(6, call)


def slow_reads(target: Target) -> list[str]:
    """More slow reads than there are threads, of one document and of different ones."""
    return _at_once(
        40,
        lambda n: _ask(target, SLOW.replace("id }", f"id x{n}: id }}") if n % 2 else SLOW, {"text": _NEVER}),
    )


def slow_mutations(target: Target) -> list[str]:
    """Mutations that would hold the writer for minutes."""
    query = SLOW[SLOW.index("where:") : SLOW.rindex("{ id } }")].rstrip()
    mutation = (
        f"mutation ($text: String!) {{ updateManyPost(data: {{ likes: {{ set: 1 }} }}, {query} {{ count }} }}"
    )
    return _at_once(3, lambda _: _ask(target, mutation, {"text": _NEVER}))


def disconnecting(target: Target) -> list[str]:
    """Slow reads whose clients do not wait."""

    def call(_: int) -> str:
        try:
            return code_of(target.post(SLOW, {"text": _NEVER}, seconds=0.3))
        except httpx.TimeoutException:
            return "LEFT"

    return _at_once(60, call)


def tokens_of_the_future(target: Target) -> list[str]:
    """Reads that ask for transactions which are not there."""

    def call(number: int) -> str:
        token = 10**15 if number % 2 else 10_000 + number
        return _ask(target, "{ findManyTag { name } }", x_lamdb_txid=str(token))

    return _at_once(64, call)


def kept_answers(target: Target) -> list[str]:
    """Mutations under keys, each with an answer of a megabyte."""
    query = 'mutation { updateOneUser(where: { id: 1 }, data: { name: { set: "u1" } }) { bio } }'
    return _at_once(8, lambda _: _ask(target, query, idempotency_key=str(uuid.uuid4())))


def huge_variables(target: Target) -> list[str]:
    """Megabytes of lists, filters and nested writes."""
    ids = "query ($ids: [Int!]) { findManyPost(where: { id: { in: $ids } }) { id } }"
    some = "query ($w: PostWhereInput!) { findManyPost(take: 1, where: $w) { id } }"
    nested = "mutation ($p: UserCreateInput!) { createOneUser(data: $p) { id } }"
    deep: dict[str, Any] = {"id": {"equals": 1}}
    for _ in range(200):
        deep = {"AND": [deep]}
    user = {"name": str(uuid.uuid4()), "bio": ""}
    requests: list[tuple[str, Any]] = [
        (ids, {"ids": list(range(900_000))}),
        (some, {"w": {"OR": [{"likes": {"equals": n}} for n in range(200_000)]}}),
        (some, {"w": deep}),
        (nested, {"p": {**user, "posts": {"create": [{"title": "", "body": ""}] * 200_000}}}),
        (nested, {"p": {**user, "bio": "a" * 9_000_000}}),
    ]
    return _at_once(len(requests), lambda n: _ask(target, *requests[n]))


def huge_documents(target: Target) -> list[str]:
    """Documents at the limits of their size, each different, so that none is in memory."""

    def call(number: int) -> str:
        fields = " ".join(f"a{number}_{n}: id" for n in range(4_000))
        fragments = " ".join(f"fragment F{n} on User {{ ...F{n + 1} ...F{n + 1} id }}" for n in range(40))
        documents = (
            f"{{ findManyUser {{ {fields} }} }}",
            f"{{ findManyUser {{ ...F0 }} }} {fragments} fragment F40 on User {{ id x{number}: id }}",
            "{ __schema { types { fields { type { fields { type { fields { type { fields "
            f"{{ type {{ fields {{ a{number}: name }} }} }} }} }} }} }} }} }} }} }}",
        )
        return _ask(target, documents[number % 3])

    return _at_once(12, call)


def half_requests(target: Target) -> list[str]:
    """Connections that send the start of a request, and then nothing."""
    place = urlsplit(target.url)
    sockets = []
    for number in range(200):
        opened = socket.create_connection((place.hostname, place.port), timeout=10)
        start = b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        opened.sendall(start + (b"Content-Length: 1000000\r\n\r\n{" if number % 2 else b""))
        sockets.append(opened)
    code = _ask(target, "{ findManyTag { name } }")
    for opened in sockets:
        opened.close()
    return [code]


def foreign_pages(target: Target) -> list[str]:
    """Sends what a page of another site can send to a loopback server, by a name that points to it."""
    codes = []
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000"):
        for path in ("/graphql", "/admin/graphql", "/schema.graphql"):
            response = httpx.post(
                target.url + path, content=json.dumps({"query": "{ __typename }"}), headers={"host": host}
            )
            codes.append(str(response.status_code))
    return codes


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        proven_then_costly,
        nested_cycles,
        many_aliases,
        slow_reads,
        slow_mutations,
        disconnecting,
        tokens_of_the_future,
        kept_answers,
        huge_variables,
        huge_documents,
        half_requests,
        foreign_pages,
    )
}
