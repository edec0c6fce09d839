"""How much a rank signal counts: as much as records with similar texts have similar values."""

import dataclasses
import random
from collections.abc import Callable

import apsw
import pytest
from tests.unit.search.test_engine import DEFINITION, make

from lamdb.search import agreement, vocabulary
from lamdb.search.agreement import Agreement
from lamdb.search.definition import SearchDefinition
from lamdb.search.engine import SearchEngine
from lamdb.search.fusion import fuse
from lamdb.search.request import SearchRequest
from lamdb.search.statistics import SearchIndex, read_totals

INDEX = SearchIndex.of(DEFINITION)
ROWS = 1_200
TOPICS = ["radio", "terminal", "picture", "garden", "bicycle", "kitchen", "library", "weather"]

type Signal = Callable[[random.Random, int], int]


def demand(chance: random.Random, topic: int) -> int:
    """Some topics are in demand."""
    return int(chance.paretovariate(1) * (10 if topic < 2 else 1))


def filled(signal: Signal, definition: SearchDefinition = DEFINITION, rows: int = ROWS) -> apsw.Connection:
    chance = random.Random(3)
    words = ["".join(chance.choices("abcdefghij", k=6)) for _ in range(50)]
    products = []
    for number in range(rows):
        topic = number % len(TOPICS)
        text = f"{' '.join(chance.sample(words, 4))} for {TOPICS[topic]}s"
        products.append((f"{TOPICS[topic]} {number}", text, f"c{topic}", 1.0, signal(chance, topic)))
    connection = make(definition, products)
    vocabulary.rebuild(connection, INDEX)
    return connection


def signals(connection: apsw.Connection) -> dict[str, Agreement]:
    totals = read_totals(connection, INDEX)
    return vocabulary.VocabularyCache(INDEX).signals(connection, totals)


@pytest.mark.parametrize(
    "signal",
    [demand, lambda _, topic: topic, lambda chance, topic: (topic < 4) * 5 + chance.randrange(6)],
    ids=["demand", "topic", "coarse"],
)
def test_a_signal_that_depends_on_the_subject_counts(signal: Signal) -> None:
    assert signals(filled(signal))["views"].texts == 1.0


@pytest.mark.parametrize(
    "signal",
    [
        lambda chance, _: chance.randrange(10**6),
        lambda chance, _: int(chance.paretovariate(1)),
        lambda chance, _: chance.randrange(2),
        lambda *_: 7,
    ],
    ids=["uniform", "skewed", "binary", "constant"],
)
def test_noise_does_not_count(signal: Signal) -> None:
    connection = filled(signal)
    assert signals(connection)["views"].texts < 0.2
    assert signals(connection)["category"].texts == 1.0


def test_the_order_of_noise_is_that_of_the_texts() -> None:
    connection = filled(lambda chance, _: chance.randrange(10**6))
    without = SearchEngine(dataclasses.replace(DEFINITION, rank=()))
    for query in ("radio", "terminal abcdef", "garden bicycle"):
        scores = [
            [round(hit.score, 4) for hit in engine.search(connection, SearchRequest(query)).hits]
            for engine in (SearchEngine(DEFINITION), without)
        ]
        assert scores[0] == scores[1]


def test_of_equal_texts_even_noise_decides() -> None:
    assert fuse([1.0, 1.0, 2.0], [(1,), (2,), (0,)], [True], 0.0)[1] > 1.0
    ordered = fuse([1.0, 1.0, 1.001], [(1,), (2,), (0,)], [True], 0.0)
    assert ordered[0] < ordered[1] < ordered[2]


@pytest.mark.parametrize("rows", [0, 3, 400])
def test_small_tables_are_not_measured(rows: int) -> None:
    assert signals(filled(lambda chance, _: chance.randrange(9), rows=rows)) == {}


@pytest.mark.parametrize(
    ("columns", "known", "expected"),
    [
        ([], {}, 0.0),
        (["a"], {}, 1.0),
        (["a"], {"a": (0.5, 1.0)}, 0.5),
        (["a"], {"a": (0.0, 0.0)}, 0.0),
        (["a", "b"], {"a": (0.0, 1.0), "b": (1.0, 1.0)}, 0.0),  # The first decides all.
        (["a", "b"], {"a": (0.0, 0.0), "b": (1.0, 1.0)}, 1.0),  # The second does.
        (["a", "b"], {"a": (1.0, 0.5), "b": (0.0, 1.0)}, 0.5),
        (["a", "b"], {"a": (0.0, 1.0)}, 1.0),
    ],
)
def test_orders_by_several_columns(
    columns: list[str], known: dict[str, tuple[float, float]], expected: float
) -> None:
    assert agreement.weight(columns, {name: Agreement(*each) for name, each in known.items()}) == expected


@pytest.mark.parametrize(
    "text", [None, 5, "", "nonsense", "[1]", '{"a": 1}', '{"a": [1]}', '{"a": ["x", 1]}']
)
def test_foreign_texts_say_nothing(text: object) -> None:
    assert agreement.load(text) == {}


def test_texts_are_read_again() -> None:
    known = {"views": Agreement(0.25, 1.0)}
    assert agreement.load(agreement.dump(known)) == known
    assert agreement.load('{"a": [7, -3]}') == {"a": Agreement(1.0, 0.0)}


def test_a_table_of_an_earlier_version_is_made_anew() -> None:
    connection = filled(demand)
    connection.execute("ALTER TABLE _lamdb_search_words DROP COLUMN signals")
    assert signals(connection) == {}
    assert SearchEngine(DEFINITION).search(connection, SearchRequest("raido")).hits
    assert vocabulary.is_outdated(connection, INDEX)
    vocabulary.rebuild(connection, INDEX)
    assert not vocabulary.is_outdated(connection, INDEX)
    assert signals(connection)["views"].texts == 1.0
