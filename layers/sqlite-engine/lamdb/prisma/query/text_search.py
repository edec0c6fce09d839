"""Prisma's `search` and `_relevance`, which its compiler supports for other databases only.

    where: { title: { search: "cat & dog" } }
    orderBy: { _relevance: { fields: [title], search: "cat", sort: desc } }

A filter by text is replaced by a filter by the id, `id: { in: [placeholder] }`, which the compiler supports
at any depth. In the plan, `IN (?)` with this placeholder is replaced by `IN (SELECT … MATCH ?)`. For
`_relevance` see `relevance`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lamdb.errors import EngineError, QueryError
from lamdb.prisma.datamodel.search_inputs import SEARCHABLE_FILTERS, own_fields
from lamdb.prisma.query.inputs import Edge, Edges, InputGraph, OutputField
from lamdb.prisma.query.relevance import Relevances
from lamdb.prisma.query.searched_text import Text, argument_type
from lamdb.search.definition import DOCID, SearchDefinition
from lamdb.search.substrings import LOOKED_THROUGH
from lamdb.search.tables import quote

_SEARCH: Final = "search"
_PLACEHOLDER: Final = "search:"
_SUFFIXES: Final = ("WhereInput", "WhereUniqueInput", "ScalarWhereInput")
_COLUMN: Final = re.compile(r"`(?P<column>(?:[^`]|``)+)`(?P<rest> (?:NOT )?IN \()$")


class Rewriting:
    """The search arguments of one request: its shape without them, then its plan with them."""

    def __init__(self, graph: InputGraph, definitions: Sequence[SearchDefinition]) -> None:
        self._graph = graph
        self._by_input = {
            f"{definition.model}{suffix}": definition for definition in definitions for suffix in _SUFFIXES
        }
        self._texts: list[Text] = []
        self._relevances = Relevances(graph, definitions)

    # The request.

    def request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the request to compile. Raises `QueryError` (P2009) where a field is not searched."""
        root = self._graph.root(request.get("modelName"), request["action"])
        if root is None:
            return dict(request)
        return {**request, "query": self._selected(request["query"], root)}

    def _selected(
        self, query: Mapping[str, Any], output: OutputField, *, is_read: bool = True
    ) -> dict[str, Any]:
        made = dict(query)
        if made.get("arguments"):
            arguments = self._object(made["arguments"], output.arguments, None)
            # The compiler writes no statement for an empty page, nor for what is below it.
            is_read = is_read and arguments.get("take") != 0
            made["arguments"] = self._relevances.arguments(arguments, output.arguments, is_read=is_read)
        if made.get("selection"):
            fields = output.selection
            made["selection"] = {
                name: self._selected(below, fields[name], is_read=is_read)
                if isinstance(below, dict) and name in fields
                else below
                for name, below in made["selection"].items()
            }
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

    # The plan.

    def plan(self, tree: Any) -> Any:
        """Returns the plan with the searches. Raises `EngineError` if it has no place for one."""
        made = self._node(tree)
        self._relevances.require_all()
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
        query = self._relevances.statement(query)
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
        return made.query()

    def _text_of(self, argument: Any) -> Text | None:
        if not isinstance(argument, dict) or argument.get("prisma__type") != "param":
            return None
        name = str(argument["prisma__value"]["name"])
        return self._texts[int(name.removeprefix(_PLACEHOLDER))] if name.startswith(_PLACEHOLDER) else None


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
        self.parameter({"type": "parameter"}, text.argument(by), argument_type(scalar))

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


def _backquoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _searches(value: Any) -> bool:
    """True if a filter of texts contains `search`."""
    return isinstance(value, Mapping) and (_SEARCH in value or _searches(value.get("not")))
