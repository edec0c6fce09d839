"""Prisma's `search` and `_relevance`, which its compiler supports for other databases only.

    where: { title: { search: "cat & dog" } }
    orderBy: { _relevance: { fields: [title], search: "cat", sort: desc } }

A filter by text is replaced by a filter by the id, `id: { in: [placeholder] }`, which the compiler supports
at any depth. In the plan, `IN (?)` with this placeholder is replaced by `IN (SELECT … MATCH ?)`. An order by
relevance is replaced by an order by the id in the request, and that term of the plan's ORDER BY by the
relevance.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from lamdb.errors import EngineError, QueryError
from lamdb.prisma.datamodel.search_inputs import SEARCHABLE_FILTERS, own_fields
from lamdb.prisma.query.inputs import Edge, Edges, InputGraph, OutputField
from lamdb.prisma.query.plan.runtime import Run
from lamdb.search.definition import DOCID, Language, SearchDefinition
from lamdb.search.substrings import LOOKED_THROUGH, ShortWords, pattern, without_short_words
from lamdb.search.syntax import Query, Tokenizer, parse
from lamdb.search.tables import quote

_SEARCH: Final = "search"
_RELEVANCE: Final = "_relevance"
_PLACEHOLDER: Final = "search:"
_SUFFIXES: Final = ("WhereInput", "WhereUniqueInput", "ScalarWhereInput")
_NOTHING: Final = '""'
"""An expression that matches nothing."""
_COLUMN: Final = re.compile(r"`(?P<column>(?:[^`]|``)+)`(?P<rest> (?:NOT )?IN \()$")


@dataclass(frozen=True, slots=True)
class Text:
    """Some fields of a model, searched for the text of a placeholder (`parameter`, as in a shape)."""

    definition: SearchDefinition
    columns: tuple[str, ...]
    parameter: Mapping[str, Any]

    def expressions(self, run: Run, text: Any) -> tuple[str, str]:
        """The expressions to match and to exclude, in FTS5's language; `""` where there is nothing."""
        query = self._query(run, text)[0]
        excluded = " OR ".join(term.match() for term in query.excluded)
        found = query.match()
        inside = f"{{{' '.join(map(quote, self.columns))}}} : "
        return (
            f"{inside}({found})" if found else _NOTHING,
            f"{inside}({excluded})" if excluded else _NOTHING,
        )

    def _query(self, run: Run, text: Any) -> tuple[Query, ShortWords]:
        query = parse(str(text), Tokenizer(run.connection))
        return without_short_words(query) if self.has_short_words else (query, ShortWords())

    @property
    def has_short_words(self) -> bool:
        """True if the index may not know words because they are short."""
        return self.definition.language is Language.CJK

    def matching(self, run: Run, text: Any) -> str:
        """The whole expression; `""` if short words must be looked for, too."""
        return _NOTHING if self._query(run, text)[1] else self.long_words(run, text)

    def long_words(self, run: Run, text: Any) -> str:
        """The expression without short words."""
        found, excluded = self.expressions(run, text)
        return found if _NOTHING in (found, excluded) else f"({found}) NOT ({excluded})"

    def searches_short_words(self, run: Run, text: Any) -> int:
        """1 if there are short words."""
        return int(bool(self._query(run, text)[1]))

    def has_only_short_words(self, run: Run, text: Any) -> int:
        """1 if there is no other word to be found."""
        return int(self.expressions(run, text)[0] == _NOTHING)

    def wanted(self, run: Run, text: Any) -> str:
        """The patterns of short words to be found, as a JSON array."""
        return orjson.dumps(list(map(pattern, self._query(run, text)[1].wanted))).decode()

    def unwanted(self, run: Run, text: Any) -> str:
        """The patterns of excluded short words, as a JSON array."""
        return orjson.dumps(list(map(pattern, self._query(run, text)[1].unwanted))).decode()

    def only_excludes(self, run: Run, text: Any) -> int:
        """True if the text contains only excluded words."""
        found, excluded = self.expressions(run, text)
        short = self._query(run, text)[1]
        return int(not short and found == _NOTHING and excluded != _NOTHING)

    def excluding(self, run: Run, text: Any) -> str:
        """The expression of the excluded words."""
        return self.expressions(run, text)[1]

    def argument(self, by: Any) -> dict[str, Any]:
        """An argument of a plan: what a method makes of the placeholder's text."""
        placeholder = {"prisma__type": "param", "prisma__value": self.parameter["value"]}
        return {"prisma__type": "computed", "prisma__value": {"of": placeholder, "by": by}}


@dataclass(frozen=True, slots=True)
class _Order:
    """A term of the ORDER BY that is a relevance: the how-manieth of those that name the key."""

    text: Text
    number: int


class Rewriting:
    """The search arguments of one request: its shape without them, then its plan with them."""

    def __init__(self, graph: InputGraph, definitions: Sequence[SearchDefinition]) -> None:
        self._graph = graph
        self._models = {definition.model: definition for definition in definitions}
        self._by_input = {
            f"{definition.model}{suffix}": definition for definition in definitions for suffix in _SUFFIXES
        }
        self._texts: list[Text] = []
        self._orders: list[_Order] = []

    # The request.

    def request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the request to compile. Raises `QueryError` (P2009) where a field is not searched."""
        root = self._graph.root(request.get("modelName"), request["action"])
        if root is None:
            return dict(request)
        query = self._selected(request["query"], root)
        arguments = query.get("arguments") or {}
        if "orderBy" in arguments:
            arguments["orderBy"] = self._order_by(request.get("modelName"), arguments)
        return {**request, "query": query}

    def _selected(self, query: Mapping[str, Any], output: OutputField) -> dict[str, Any]:
        made = dict(query)
        if made.get("arguments"):
            made["arguments"] = self._object(made["arguments"], output.arguments, None)
        if made.get("selection"):
            fields = output.selection
            made["selection"] = {
                name: self._selected(below, fields[name])
                if isinstance(below, dict) and name in fields
                else below
                for name, below in made["selection"].items()
            }
            for name, below in made["selection"].items():
                if isinstance(below, dict) and _has_relevance(below.get("arguments")):
                    raise QueryError(
                        f"`{_RELEVANCE}` orders the records of a root field, not {name}.", code="P2009"
                    )
        return made

    def _value(self, value: Any, edge: Edge) -> Any:
        if isinstance(value, list):
            return [self._value(each, edge) for each in value]
        if not isinstance(value, dict) or "$type" in value or not edge.objects:
            return value
        owner = next((self._by_input[name] for name in edge.objects if name in self._by_input), None)
        return self._object(value, self._graph.node(edge.objects), owner, edge.objects)

    def _object(
        self,
        value: Mapping[str, Any],
        edges: Edges,
        owner: SearchDefinition | None,
        types: Sequence[str] = (),
    ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        conditions: list[Any] = []
        for name, item in value.items():
            edge = edges.get(name)
            if edge is None:
                made[name] = item
            elif any(each in SEARCHABLE_FILTERS for each in edge.objects) and _searches(item):
                conditions += self._conditions(owner, name, item, types)
            else:
                made[name] = self._value(item, edge)
        if conditions:
            known = made.get("AND", [])
            made["AND"] = [*(known if isinstance(known, list) else [known]), *conditions]
        return made

    def _conditions(
        self, owner: SearchDefinition | None, field: str, given: Mapping[str, Any], types: Sequence[str]
    ) -> Iterator[Any]:
        """The conditions that together mean the filter of a field."""
        rest: dict[str, Any] = {}
        for name, item in given.items():
            if name == _SEARCH:
                yield self._by_text(owner, field, item, types)
            elif name == "not" and _searches(item):
                yield {"NOT": [{"AND": list(self._conditions(owner, field, item, types))}]}
            else:
                rest[name] = item
        if rest:
            yield {field: rest}

    def _by_text(
        self, owner: SearchDefinition | None, field: str, item: Any, types: Sequence[str]
    ) -> dict[str, Any]:
        columns = (
            [] if owner is None else [each.column for each in own_fields(owner) if each.path == (field,)]
        )
        if owner is None or not columns:
            model = next((n.removesuffix(s) for n in types for s in _SUFFIXES if n.endswith(s)), "")
            raise QueryError(
                f"{model}.{field} is not searched.",
                code="P2009",
                hint=f"Write `/// @lamdb.search {field}` above the model, and migrate.",
            )
        if not isinstance(item, Mapping) or item.get("$type") != "Param":
            raise QueryError(f"`search` of {owner.model}.{field} takes a text.", code="P2009")
        self._texts.append(Text(owner, tuple(columns), item))
        key, type_ = owner.key
        name = f"{_PLACEHOLDER}{len(self._texts) - 1}"
        return {key: {"in": [{"$type": "Param", "value": {"name": name, "type": type_}}]}}

    def _order_by(self, model: str | None, arguments: Mapping[str, Any]) -> Any:
        given = arguments["orderBy"]
        if not _has_relevance({"orderBy": given}):
            return given
        definition = self._models.get(model or "")
        if definition is None:
            raise QueryError(f"`{_RELEVANCE}` needs a model that is searched.", code="P2009")
        if arguments.get("cursor") is not None:
            raise QueryError(f"`cursor` cannot be used with an order by `{_RELEVANCE}`.", code="P2009")
        made: list[Any] = []
        key, _ = definition.key
        keys = 0
        for each in given if isinstance(given, list) else [given]:
            for name, order in (each or {}).items():
                if name == _RELEVANCE:
                    self._orders.append(_Order(self._relevance(definition, order), keys))
                    made.append({key: order["sort"]})
                    keys += 1
                else:
                    made.append({name: order})
                    keys += name == key
        return made

    @staticmethod
    def _relevance(definition: SearchDefinition, order: Mapping[str, Any]) -> Text:
        wanted, text = order.get("fields"), order.get("search")
        names = set(wanted if isinstance(wanted, list) else [wanted])
        columns = [each.column for each in own_fields(definition) if each.path[0] in names]
        if (
            not columns
            or "sort" not in order
            or not isinstance(text, Mapping)
            or text.get("$type") != "Param"
        ):
            raise QueryError(f"`{_RELEVANCE}` takes `fields`, `search` and `sort`.", code="P2009")
        assert isinstance(text, Mapping)
        return Text(definition, tuple(columns), text)

    # The plan.

    def plan(self, tree: Any) -> Any:
        """Returns the plan with the searches. Raises `EngineError` if it has no place for one."""
        made = self._node(tree)
        if self._orders:
            raise EngineError("The engine writes the order of records in an unknown way.")
        return made

    def _node(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._node(each) for each in node]
        if not isinstance(node, dict):
            return node
        if node.get("type") == "templateSql":
            return self._statement(node)
        return {key: self._node(each) for key, each in node.items()}

    def _statement(self, query: Mapping[str, Any]) -> dict[str, Any]:
        made = _Statement(query)
        arguments = iter(zip(query["args"], query["argTypes"], strict=True))
        for fragment in query["fragments"]:
            if fragment["type"] == "stringChunk":
                made.chunk(fragment["chunk"])
                continue
            argument, kind = next(arguments)
            text = self._text_of(argument)
            if text is None:
                made.parameter(fragment, argument, kind)
            else:
                _match(made, text)
        found = made.query()
        return self._ordered(found) if self._orders else found

    def _text_of(self, argument: Any) -> Text | None:
        if not isinstance(argument, dict) or argument.get("prisma__type") != "param":
            return None
        name = str(argument["prisma__value"]["name"])
        return self._texts[int(name.removeprefix(_PLACEHOLDER))] if name.startswith(_PLACEHOLDER) else None

    def _ordered(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """The statement with relevances in its ORDER BY, if that is the one of the root."""
        definition = self._orders[0].text.definition
        table, column = _backquoted(definition.table), _backquoted(definition.column(definition.key[0]))
        term = re.compile(rf"(?P<table>`main`\.{re.escape(table)})\.{re.escape(column)}(?= (?:ASC|DESC)\b)")
        wanted = {order.number: order.text for order in self._orders}
        made = _Statement(query)
        arguments = iter(zip(query["args"], query["argTypes"], strict=True))
        begun, number = False, 0
        for fragment in query["fragments"]:
            if fragment["type"] != "stringChunk":
                made.parameter(fragment, *next(arguments))
                continue
            chunk, place = fragment["chunk"], 0
            if not begun and " ORDER BY " in chunk:
                begun, place = True, chunk.rindex(" ORDER BY ")
                made.chunk(chunk[:place])
            for found in term.finditer(chunk, place) if begun else ():
                text = wanted.pop(number, None)
                number += 1
                if text is not None:
                    made.chunk(chunk[place : found.start()])
                    _relevance_of(made, text, found["table"])
                    place = found.end()
            made.chunk(chunk[place:])
        if wanted:
            return dict(query)
        self._orders = []
        return made.query()


class _Statement:
    """An SQL template that is put together anew."""

    def __init__(self, query: Mapping[str, Any]) -> None:
        self._query = query
        self._fragments: list[dict[str, Any]] = []
        self._arguments: list[Any] = []
        self._types: list[Any] = []

    def chunk(self, text: str) -> None:
        if self._fragments and self._fragments[-1]["type"] == "stringChunk":
            self._fragments[-1]["chunk"] += text
        else:
            self._fragments.append({"type": "stringChunk", "chunk": text})

    def parameter(self, fragment: Mapping[str, Any], argument: Any, kind: Any) -> None:
        self._fragments.append(dict(fragment))
        self._arguments.append(argument)
        self._types.append(kind)

    def computed(self, text: Text, by: Any, scalar: str = "string") -> None:
        kind = {"arity": "scalar", "scalarType": scalar, "dbType": None}
        self.parameter({"type": "parameter"}, text.argument(by), kind)

    def by_rowid(self, column: str, rowid: str) -> None:
        """Has the last text compare the rowid in place of a column."""
        last = self._fragments[-1]
        found = _COLUMN.search(last.get("chunk", ""))
        if found is None or found["column"] != column.replace("`", "``"):
            raise EngineError(f"The engine writes lists in an unknown way: {last.get('chunk', '')[-80:]}")
        last["chunk"] = f"{last['chunk'][: found.start()]}{_backquoted(rowid)}{found['rest']}"

    def query(self) -> dict[str, Any]:
        return {
            **self._query,
            "fragments": self._fragments,
            "args": self._arguments,
            "argTypes": self._types,
        }


def _match(made: _Statement, text: Text) -> None:
    """Writes the rowids of what a text finds, where the list of a placeholder would stand."""
    definition = text.definition
    index, docs = quote(definition.index), quote(f"{definition.index}_docsize")
    made.by_rowid(definition.column(definition.key[0]), definition.rowid)
    made.chunk(f"SELECT rowid FROM {index} WHERE {index} MATCH ")
    made.computed(text, text.matching)
    # FTS5 has no expression for all but some.
    made.chunk(f" UNION ALL SELECT id FROM {docs} WHERE ")
    made.computed(text, text.only_excludes, "int")
    made.chunk(f" AND id NOT IN (SELECT rowid FROM {index} WHERE {index} MATCH ")
    made.computed(text, text.excluding)
    made.chunk(")")
    if text.has_short_words:
        _look_for_short_words(made, text)


def _look_for_short_words(made: _Statement, text: Text) -> None:
    """Adds the records with words too short for the index, of the newest that match the others."""
    definition = text.definition
    index, rows = quote(definition.index), quote(definition.rows)
    matched = f"SELECT rowid FROM {index} WHERE {index} MATCH "
    anywhere = " OR ".join(f"v.{quote(column)} LIKE w.value ESCAPE '\\'" for column in text.columns)
    made.chunk(
        f" UNION ALL SELECT v.{DOCID} FROM {rows} v WHERE v.{DOCID} IN (SELECT n.{DOCID} FROM {rows} n WHERE "
    )
    made.computed(text, text.searches_short_words, "int")
    made.chunk(" AND (")
    made.computed(text, text.has_only_short_words, "int")
    made.chunk(f" OR n.{DOCID} IN ({matched}")
    made.computed(text, text.long_words)
    made.chunk(f")) AND n.{DOCID} NOT IN ({matched}")
    made.computed(text, text.excluding)
    made.chunk(f") ORDER BY n.{DOCID} DESC LIMIT {LOOKED_THROUGH}) AND NOT EXISTS (SELECT 1 FROM json_each(")
    made.computed(text, text.wanted)
    made.chunk(f") w WHERE NOT coalesce({anywhere}, 0)) AND NOT EXISTS (SELECT 1 FROM json_each(")
    made.computed(text, text.unwanted)
    made.chunk(f") w WHERE {anywhere})")


def _relevance_of(made: _Statement, text: Text, table: str) -> None:
    """Writes a record's relevance: the higher, the better; NULL if it does not match."""
    definition = text.definition
    index = quote(definition.index)
    weights = "".join(f", {field.weight!r}" for field in definition.fields)
    # Found once for the whole statement: FTS5 counts all matches of a word for every single bm25 it is asked.
    made.chunk(
        f"(WITH r (id, relevance) AS MATERIALIZED (SELECT rowid, -bm25({index}{weights}) FROM {index}"
        f" WHERE {index} MATCH "
    )
    made.computed(text, text.matching)
    made.chunk(f") SELECT relevance FROM r WHERE id = {table}.{_backquoted(definition.rowid)})")


def _backquoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _searches(value: Any) -> bool:
    """True if a filter of texts contains `search`."""
    return isinstance(value, Mapping) and (_SEARCH in value or _searches(value.get("not")))


def _has_relevance(arguments: Any) -> bool:
    given = arguments.get("orderBy") if isinstance(arguments, Mapping) else None
    return any(
        isinstance(each, Mapping) and _RELEVANCE in each
        for each in (given if isinstance(given, list) else [given])
    )
