"""Highlights and snippets, safe for HTML."""

import html
from collections.abc import Sequence
from typing import Final

import apsw

from lamdb.search.definition import SearchDefinition
from lamdb.search.request import HighlightRequest
from lamdb.search.tables import quote

_OPEN: Final = "\ufdd0"
_CLOSE: Final = "\ufdd1"
"""Marks for FTS5 to set: code points that are no characters, and so in no text, or to be dropped there."""
_MAX_WORDS: Final = 64
_MAX_CHARACTERS: Final = 100_000


def mark(
    connection: apsw.Connection,
    definition: SearchDefinition,
    match: str | None,
    requests: Sequence[HighlightRequest],
    rowids: Sequence[int],
) -> dict[int, tuple[str | None, ...]]:
    """Returns for each rowid the texts that `requests` ask for; `match` is the expression that found it."""
    if not requests or not rowids:
        return {}
    index = quote(definition.index)
    numbers = {field.name: number for number, field in enumerate(definition.fields)}
    columns = []
    for request in requests:
        number = numbers[request.field]
        marks = f"{number}, '{_OPEN}', '{_CLOSE}'"
        if match is None:
            columns.append(quote(definition.fields[number].column))
        elif request.words is None:
            columns.append(f"highlight({index}, {marks})")
        else:
            columns.append(f"snippet({index}, {marks}, '…', {max(1, min(request.words, _MAX_WORDS))})")
    chosen = ", ".join(columns)
    listed = f"[{','.join(map(str, rowids))}]"
    if match is None:
        rows = connection.execute(
            f"SELECT docid, {chosen} FROM {quote(definition.rows)}"
            " WHERE docid IN (SELECT value FROM json_each(?))",
            (listed,),
        )
    else:
        # The plus keeps SQLite from running the search once for each rowid.
        rows = connection.execute(
            f"SELECT rowid, {chosen} FROM {index} WHERE {index} MATCH ?"
            " AND +rowid IN (SELECT value FROM json_each(?))",
            (match, listed),
        )
    return {
        rowid: tuple(_finished(text, request) for text, request in zip(texts, requests, strict=True))
        for rowid, *texts in rows
    }


def _finished(text: object, request: HighlightRequest) -> str | None:
    if text is None:
        return None
    whole = str(text)[:_MAX_CHARACTERS]
    if request.words is not None and _OPEN not in whole:
        whole = _first_words(whole, request.words)
    if request.escape:
        whole = html.escape(whole)
    return whole.replace(_OPEN, request.pre).replace(_CLOSE, request.post)


def _first_words(text: str, count: int) -> str:
    words = text.split(None, count)
    return text if len(words) <= count else " ".join(words[:count]) + "…"
