"""Documents by their hash: what is kept, for how long, and what a request may say."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamdb.errors import MalformedRequest, PersistedQueryNotFound
from lamdb.graphql.persisted_queries import PersistedQueries
from lamdb.graphql.request import GraphQLRequest
from lamdb.settings import Settings

MANY = 10**9


def named(document: str, **others: Any) -> dict[str, Any]:
    given = hashlib.sha256(document.encode()).hexdigest()
    return {"persistedQuery": {"version": 1, "sha256Hash": given, **others}}


def keep(kept: PersistedQueries, document: str) -> None:
    kept.check(named(document), document)
    kept.keep(GraphQLRequest(document, extensions=named(document)))


def test_a_document_is_found_once_it_is_kept() -> None:
    kept = PersistedQueries(10, MANY)
    with pytest.raises(PersistedQueryNotFound):
        kept.document(named("{ a }"))
    keep(kept, "{ a }")
    assert kept.document(named("{ a }")) == kept.find(named("{ a }")) == "{ a }"
    assert kept.find(named("{ b }")) is None
    keep(kept, "{ a }")
    assert len(kept) == 1


def test_a_document_with_characters_of_several_bytes() -> None:
    kept = PersistedQueries(10, MANY)
    keep(kept, '{ a(b: "\N{SNOWMAN}\N{GRINNING FACE}") }')
    assert len(kept) == 1


def test_members_besides_the_hash_do_not_matter() -> None:
    kept = PersistedQueries(10, MANY)
    kept.check(named("{ a }", miss=True), "{ a }")  # as urql sends it the second time
    kept.keep(GraphQLRequest("{ a }", extensions=named("{ a }", miss=True)))
    assert kept.document(named("{ a }")) == "{ a }"


def test_another_document_is_refused_with_both_hashes() -> None:
    kept = PersistedQueries(10, MANY)
    keep(kept, "{ a }")
    with pytest.raises(MalformedRequest) as refused:
        kept.check(named("{ a }"), "{ b }")
    for document in ("{ a }", "{ b }"):
        assert named(document)["persistedQuery"]["sha256Hash"] in refused.value.message


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ([], "must be an object"),
        ("abc", "must be an object"),
        ({}, "version None"),
        ({"version": 2, "sha256Hash": "0" * 64}, "version 2"),
        ({"version": "1", "sha256Hash": "0" * 64}, "version '1'"),
        ({"version": 1}, "is not a SHA-256"),
        ({"version": 1, "sha256Hash": None}, "is not a SHA-256"),
        ({"version": 1, "sha256Hash": ["0" * 64]}, "is not a SHA-256"),
        ({"version": 1, "sha256Hash": "0" * 63}, "is not a SHA-256"),
        ({"version": 1, "sha256Hash": "0" * 64 + "\n"}, "is not a SHA-256"),
        ({"version": 1, "sha256Hash": "A" * 64}, "lower-case"),
    ],
)
def test_what_is_no_hash_is_refused(wrong: Any, told: str) -> None:
    kept = PersistedQueries(10, MANY)
    assert kept.find({"persistedQuery": wrong}) is None
    with pytest.raises(MalformedRequest, match=told):
        kept.document({"persistedQuery": wrong})
    with pytest.raises(MalformedRequest, match=told):
        kept.check({"persistedQuery": wrong}, "{ a }")


def test_a_request_without_a_hash_keeps_nothing() -> None:
    kept = PersistedQueries(10, MANY)
    for extensions in (None, {}, {"other": 1}, {"persistedQuery": None}):
        kept.keep(GraphQLRequest("{ a }", extensions=extensions))
    assert len(kept) == 0


def test_half_of_a_surrogate_pair_is_left_to_the_parser() -> None:
    kept = PersistedQueries(10, MANY)
    with pytest.raises(MalformedRequest, match="but the SHA-256"):
        kept.check(named("{ a }"), '{ a(b: "\ud800") }')


def test_mutations_are_not_kept_where_another_process_executes_them() -> None:
    for queries_only in (False, True):
        kept = PersistedQueries(10, MANY, queries_only=queries_only)
        keep(kept, "mutation { a }")
        keep(kept, "{ a }")
        assert len(kept) == 2 - queries_only


def test_a_document_that_takes_all_memory_drives_no_others_out() -> None:
    kept = PersistedQueries(10, 2000)
    keep(kept, "{ a }")
    keep(kept, "{ b }" + " " * 2000)
    assert kept.find(named("{ a }")) == "{ a }"
    assert len(kept) == 1


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=80), st.integers(1, 6))
def test_the_least_recently_used_go_first(steps: list[tuple[int, bool]], most: int) -> None:
    kept, expected = PersistedQueries(most, MANY), list[str]()
    for number, is_sent in steps:
        document = f"{{ a{number} }}"
        if is_sent:
            keep(kept, document)
        assert (kept.find(named(document)) is not None) == (is_sent or document in expected)
        if is_sent or document in expected:
            expected = [each for each in expected if each != document] + [document]
            expected = expected[-most:]
    assert len(kept) == len(expected)


def test_bytes_are_bounded_too() -> None:
    kept = PersistedQueries(1000, 10_000)
    for number in range(100):
        keep(kept, f"{{ a{number} }}" + " " * 600)
    assert 8 <= len(kept) <= 10


def test_settings_turn_them_off() -> None:
    assert PersistedQueries.of(Settings(persisted_queries=0)) is None
    kept = PersistedQueries.of(Settings(persisted_queries=2))
    assert kept is not None
    for document in ("{ a }", "{ b }", "{ c }"):
        keep(kept, document)
    assert len(kept) == 2
