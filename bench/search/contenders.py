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

import apsw

from bench.search.packages import DEFINITION, Package
from lamdb.search.definition import SearchDefinition
from lamdb.search.engine import SearchEngine
from lamdb.search.request import SearchRequest

type Search = Callable[[Sequence[str]], list[list[str]]]
"""Finds the names for each of a list of texts, best first."""

_WEIGHTS: Final = {field.column: field.weight for field in DEFINITION.fields}
_HITS: Final = 10
_SCRIPT: Final = Path(__file__).with_name("minisearch.mjs")


def lamdb(connection: apsw.Connection, definition: SearchDefinition = DEFINITION) -> Search:
    """The engine that is measured here."""
    engine = SearchEngine(definition)
    names = _names(connection)

    def search(texts: Sequence[str]) -> list[list[str]]:
        found = (engine.search(connection, SearchRequest(text, take=_HITS)) for text in texts)
        return [[names[hit.rowid] for hit in result.hits] for result in found]

    return search


def lamdb_without_signal(connection: apsw.Connection) -> Search:
    """The same without the rank signal."""
    return lamdb(connection, dataclasses.replace(DEFINITION, rank=()))


def fts5(connection: apsw.Connection) -> Search:
    """FTS5's bm25: all words and, if that finds little, any; the last word as a prefix too."""
    names = _names(connection)
    weights = ", ".join(map(str, _WEIGHTS.values()))

    def hits(match: str) -> list[str]:
        rows = connection.execute(
            "SELECT rowid FROM Package_search WHERE Package_search MATCH ?"
            f" AND rank MATCH 'bm25({weights})' ORDER BY rank LIMIT {_HITS}",
            (match,),
        )
        return [names[rowid] for (rowid,) in rows]

    def search(texts: Sequence[str]) -> list[list[str]]:
        answers = []
        for text in texts:
            words = [f'"{word}"' for word in _words(text)]
            words[-1] = f"({words[-1]} OR {words[-1]}*)"
            answers.append(_together(hits(" AND ".join(words)), lambda w=words: hits(" OR ".join(w))))
        return answers

    return search


def tantivy(packages: Sequence[Package]) -> Search:
    """Tantivy: all words, then with a mistake in each, then any."""
    import tantivy as library

    schema = library.SchemaBuilder()
    for name in _WEIGHTS:
        schema.add_text_field(name, stored=name == "name", tokenizer_name="en_stem")
    index = library.Index(schema.build())
    writer = index.writer(256_000_000, 1)
    for package in packages:
        writer.add_document(
            library.Document(name=package.name, summary=package.summary, description=package.description)
        )
    writer.commit()
    index.reload()
    searcher = index.searcher()
    fields = list(_WEIGHTS)
    fuzzy = dict.fromkeys(fields, (True, 1, True))

    def hits(text: str, **options: Any) -> list[str]:
        query = index.parse_query(text, fields, field_boosts=_WEIGHTS, **options)
        return [searcher.doc(address)["name"][0] for _, address in searcher.search(query, _HITS).hits]

    def search(texts: Sequence[str]) -> list[list[str]]:
        answers = []
        for text in texts:
            plain = " ".join(_words(text))
            found = hits(plain, conjunction_by_default=True)
            found = _together(found, lambda t=plain: hits(t, conjunction_by_default=True, fuzzy_fields=fuzzy))
            answers.append(_together(found, lambda t=plain: hits(t, fuzzy_fields=fuzzy)))
        return answers

    return search


def minisearch(packages: Sequence[Package], folder: Path) -> Search:
    """MiniSearch in Node: all words and, if that finds little, any; with prefixes and mistakes."""
    if not (folder / "node_modules" / "minisearch").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, "minisearch@7"], check=True)
    documents = folder / "documents.json"
    documents.write_text(
        json.dumps(
            [
                {
                    "id": number,
                    "name": package.name,
                    "summary": package.summary,
                    "description": package.description,
                }
                for number, package in enumerate(packages)
            ]
        )
    )

    def search(texts: Sequence[str]) -> list[list[str]]:
        run = subprocess.run(
            ["node", "--max-old-space-size=4096", _SCRIPT, folder, json.dumps(_WEIGHTS)],
            input=json.dumps(list(texts)),
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[list[int]] = json.loads(run.stdout)
        return [[packages[number].name for number in numbers] for numbers in found]

    return search


def _names(connection: apsw.Connection) -> dict[int, str]:
    return dict(connection.execute("SELECT id, name FROM Package"))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _together(found: list[str], more: Callable[[], list[str]]) -> list[str]:
    """The hits, and if they are few, others after them."""
    if len(found) >= _HITS:
        return found
    return [*found, *(name for name in more() if name not in found)]
