"""Judged collections of others: how they are read, and how answers are scored."""

import json
import math
from pathlib import Path

import pytest
from bench.search.collection import Topic, read_corpus, read_topics, scores
from bench.search.contenders import fts5, lamdb


@pytest.fixture
def source(tmp_path: Path) -> Path:
    documents = [
        ("a", "Cats", "They sleep."),
        ("b", "Dogs", "They bark at cats."),
        ("c", "Fish", "They swim."),
    ]
    queries = [("1", "cat"), ("2", "swimming"), ("3", "not judged")]
    (tmp_path / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"_id": i, "title": title, "text": text}) for i, title, text in documents)
    )
    (tmp_path / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": i, "text": text}) for i, text in queries)
    )
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t1\n2\tc\t1\n2\ta\t0\n")
    return tmp_path


def test_a_collection_is_searched(source: Path) -> None:
    corpus, topics = read_corpus(source), read_topics(source)
    assert topics == [Topic("cat", {"a": 2, "b": 1}), Topic("swimming", {"c": 1})]
    for engine in (lamdb(corpus), fts5(corpus)):
        found = engine([topic.text for topic in topics])
        assert found == [["a", "b"], ["c"]]
        assert scores(topics, found).gain == pytest.approx(1.0)


def test_empty_fields_are_left_out(source: Path) -> None:
    (source / "corpus.jsonl").write_text(
        '{"_id": "a", "title": "", "text": "cats"}\n{"_id": 7, "text": "dogs"}'
    )
    corpus = read_corpus(source)
    assert corpus.weights == {"text": 1.0}
    assert corpus.names == {1: "a", 2: "7"}


def test_scores() -> None:
    topics = [Topic("x", {"a": 2, "b": 1}), Topic("y", {"c": 1})]
    found = scores(topics, [["b", "z", "a"], ["z"] * 10 + ["c"]])
    gain = (1 + 2 / math.log2(4)) / (2 + 1 / math.log2(3))
    assert (found.gain, found.first, found.ten) == (pytest.approx(gain / 2), 0.5, 0.5)
