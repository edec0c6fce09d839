"""The engines that are compared: lamDB's, with the rank signal and without, and others in usual setups.

Fields have the same weights everywhere, and the last word of a text may be unfinished where an engine knows
that.
"""

import dataclasses
import json
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.search.corpus import Corpus
from lamdb.search.engine import SearchEngine
from lamdb.search.request import SearchRequest
from lamdb.search.tables import quote

type Search = Callable[[Sequence[str]], list[list[str]]]
"""Finds the names for each of a list of texts, best first."""

_HITS: Final = 10
_SCRIPT: Final = Path(__file__).with_name("minisearch.mjs")
_ID: Final = "document_number"


def contenders(corpus: Corpus, folder: Path) -> dict[str, Search]:
    """Returns all engines by name. `folder` is for the files of MiniSearch."""
    engines = {"lamDB": lamdb(corpus)}
    if corpus.definition.rank:
        engines["lamDB, no signal"] = lamdb_without_signal(corpus)
    return engines | {
        "FTS5": fts5(corpus),
        "Tantivy": tantivy(corpus),
        "MiniSearch": minisearch(corpus, folder),
    }


def lamdb(corpus: Corpus) -> Search:
    """The engine that is measured here."""
    engine = SearchEngine(corpus.definition)

    def search(texts: Sequence[str]) -> list[list[str]]:
        found = (engine.search(corpus.connection, SearchRequest(text, take=_HITS)) for text in texts)
        return [[corpus.names[hit.rowid] for hit in result.hits] for result in found]

    return search


def lamdb_without_signal(corpus: Corpus) -> Search:
    """The same without the rank signal."""
    return lamdb(dataclasses.replace(corpus, definition=dataclasses.replace(corpus.definition, rank=())))


def fts5(corpus: Corpus) -> Search:
    """FTS5's bm25: all words and, if that finds little, any; the last word as a prefix too."""
    weights = ", ".join(map(str, corpus.weights.values()))
    index = quote(corpus.definition.index)

    def hits(match: str) -> list[str]:
        rows = corpus.connection.execute(
            f"SELECT rowid FROM {index} WHERE {index} MATCH ?"
            f" AND rank MATCH 'bm25({weights})' ORDER BY rank LIMIT {_HITS}",
            (match,),
        )
        return [corpus.names[rowid] for (rowid,) in rows]

    def search(texts: Sequence[str]) -> list[list[str]]:
        answers = []
        for text in texts:
            words = [f'"{word}"' for word in _words(text)]
            words[-1] = f"({words[-1]} OR {words[-1]}*)"
            answers.append(_together(hits(" AND ".join(words)), lambda w=words: hits(" OR ".join(w))))
        return answers

    return search


def tantivy(corpus: Corpus) -> Search:
    """Tantivy: all words, then with a mistake in each, then any, then with a mistake in any."""
    import tantivy as library

    schema = library.SchemaBuilder()
    schema.add_integer_field(_ID, stored=True)
    for name in corpus.weights:
        schema.add_text_field(name, tokenizer_name="en_stem")
    index = library.Index(schema.build())
    writer = index.writer(256_000_000, 1)
    for number, texts in corpus.documents():
        writer.add_document(library.Document(**{_ID: number}, **texts))
    writer.commit()
    index.reload()
    searcher = index.searcher()
    fields = list(corpus.weights)
    fuzzy = dict.fromkeys(fields, (True, 1, True))

    def hits(text: str, **options: Any) -> list[str]:
        query = index.parse_query(text, fields, field_boosts=corpus.weights, **options)
        found = searcher.search(query, _HITS).hits
        return [corpus.names[searcher.doc(address)[_ID][0]] for _, address in found]

    def search(texts: Sequence[str]) -> list[list[str]]:
        answers = []
        for text in texts:
            plain = " ".join(_words(text))
            found = hits(plain, conjunction_by_default=True)
            found = _together(found, lambda t=plain: hits(t, conjunction_by_default=True, fuzzy_fields=fuzzy))
            found = _together(found, lambda t=plain: hits(t))
            answers.append(_together(found, lambda t=plain: hits(t, fuzzy_fields=fuzzy)))
        return answers

    return search


def minisearch(corpus: Corpus, folder: Path) -> Search:
    """MiniSearch in Node: all words and, if that finds little, any; with prefixes and mistakes."""
    if not (folder / "node_modules" / "minisearch").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, "minisearch@7"], check=True)
    documents = folder / "documents.json"
    documents.write_text(json.dumps([{"id": number, **texts} for number, texts in corpus.documents()]))

    def search(texts: Sequence[str]) -> list[list[str]]:
        run = subprocess.run(
            ["node", "--max-old-space-size=4096", _SCRIPT, folder, json.dumps(corpus.weights)],
            input=json.dumps(list(texts)),
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[list[int]] = json.loads(run.stdout)
        return [[corpus.names[number] for number in numbers] for numbers in found]

    return search


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _together(found: list[str], more: Callable[[], list[str]]) -> list[str]:
    """The hits, and if they are few, others after them."""
    if len(found) >= _HITS:
        return found
    return [*found, *(name for name in more() if name not in found)]
