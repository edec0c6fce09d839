"""A judged collection of anybody's, in the form of BEIR (https://github.com/beir-cellar/beir).

A folder has `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and `qrels.tsv`: a line
of headings, then the id of a query, that of a document, and how relevant it is. Zero or less is irrelevant.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from bench.search.contenders import contenders
from bench.search.corpus import Corpus
from lamdb.search import tables
from lamdb.search.definition import ColumnSource, Language, SearchDefinition, SearchField
from lamdb.search.upkeep import settle

_PLACES: Final = 10
_TITLE_WEIGHT: Final = 3.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the queries: nDCG of the first ten; shares with a relevant document first, and in ten."""

    gain: float
    first: float
    ten: float


@dataclass(frozen=True, slots=True)
class Topic:
    """A query, and the relevance of documents by their ids."""

    text: str
    relevance: dict[str, int]


def report(source: Path, folder: Path) -> Iterator[str]:
    """Yields a table with the scores of each engine. `folder` is for files of the engines."""
    topics = read_topics(source)
    corpus = read_corpus(source)
    yield f"{source.name}: {len(corpus.names)} documents, {len(topics)} queries\n"
    yield "| engine | nDCG@10 | % first | % in ten |\n|---|---|---|---|"
    for name, search in contenders(corpus, folder).items():
        found = scores(topics, search([topic.text for topic in topics]))
        yield f"| {name} | {found.gain:.3f} | {100 * found.first:.0f} | {100 * found.ten:.0f} |"


def read_corpus(source: Path) -> Corpus:
    """Indexes the documents of a collection in memory. A field that is empty in all of them is left out."""
    documents = list(_lines(source / "corpus.jsonl"))
    weights = {"title": _TITLE_WEIGHT, "text": 1.0}
    columns = [column for column in weights if any(document.get(column) for document in documents)]
    definition = SearchDefinition(
        model="Document",
        table="Document",
        rowid="number",
        index="Document_search",
        fields=tuple(
            SearchField((column,), column, weights[column], ColumnSource(column)) for column in columns
        ),
        uniques=(("number",),),
        facets=(),
        rank=(),
        language=Language.EN,
    )
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE Document (number INTEGER PRIMARY KEY, {', '.join(columns)})")
    with connection:
        connection.executemany(
            f"INSERT INTO Document ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            ([document.get(column, "") for column in columns] for document in documents),
        )
    for statement in tables.ddl(definition):
        connection.execute(statement)
    settle(connection)
    return Corpus(connection, definition, {n: str(each["_id"]) for n, each in enumerate(documents, 1)})


def read_topics(source: Path) -> list[Topic]:
    """The queries that have a relevant document."""
    relevance: dict[str, dict[str, int]] = {}
    for line in (source / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, degree = line.split("\t")
        if int(degree) > 0:
            relevance.setdefault(query, {})[document] = int(degree)
    queries = {str(each["_id"]): str(each["text"]) for each in _lines(source / "queries.jsonl")}
    return [Topic(text, relevance[query]) for query, text in queries.items() if query in relevance]


def scores(topics: Sequence[Topic], answers: Sequence[Sequence[str]]) -> Scores:
    """Judges the ids that were found for each topic, best first."""
    gain, first, ten = 0.0, 0, 0
    for topic, found in zip(topics, answers, strict=True):
        degrees = [topic.relevance.get(document, 0) for document in found[:_PLACES]]
        gain += _gain(degrees) / _gain(sorted(topic.relevance.values(), reverse=True)[:_PLACES])
        first += bool(degrees and degrees[0])
        ten += any(degrees)
    count = len(topics)
    return Scores(gain / count, first / count, ten / count)


def _gain(degrees: Sequence[int]) -> float:
    """The discounted cumulative gain (Järvelin, Kekäläinen: Cumulated gain-based evaluation, 2002)."""
    return sum(degree / math.log2(place + 1) for place, degree in enumerate(degrees, 1))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        yield from map(json.loads, lines)
