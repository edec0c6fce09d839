"""Prisma's `_relevance` in the orders of a request, which its compiler supports for other databases only.

    orderBy: [{ _relevance: { fields: [title], search: "cat", sort: desc } }, { author: { _relevance: … } }]

In the request, an order by relevance is replaced by an order by a key of the same records, and a condition
that is always true marks the selection: `key: { notIn: [placeholder] }`. In the plan, the placeholder tells
which statement reads that selection, the records of a root field or those of a relation. There the condition
is removed, and the terms of the ORDER BY get the relevance in place of the key.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lamdb.errors import EngineError, QueryError
from lamdb.prisma.datamodel.search_inputs import own_fields
from lamdb.prisma.query.inputs import Edges, InputGraph
from lamdb.prisma.query.plan.rewriting.text import NAME, blank, pieces, placeholder, read, unquoted, write
from lamdb.prisma.query.searched_text import Text, argument_type
from lamdb.prisma.scalars import SCALARS
from lamdb.search.definition import SearchDefinition
from lamdb.search.tables import quote

_RELEVANCE: Final = "_relevance"
_PLACEHOLDER: Final = "relevance:"
_MARK: Final = re.compile(rf"(?:{NAME}\.)*{NAME} NOT IN \(\x01(?P<number>\d+)\x02\)")
_TERM: Final = re.compile(rf"(?P<row>(?:{NAME}\.)*{NAME})\.(?P<column>{NAME})(?= (?:ASC|DESC)\b)")
_ORDER: Final = " ORDER BY "
_ENDS: Final = (" LIMIT ", " OFFSET ")


class Relevances:
    """The orders by relevance of one request."""

    def __init__(self, graph: InputGraph, definitions: Sequence[SearchDefinition]) -> None:
        self._graph = graph
        self._by_input = {f"{each.model}OrderByRelevanceInput": each for each in definitions}
        self._selections: list[Mapping[int, Text]] = []
        """The texts of each list of records, by the number of their term."""
        self._unplaced: set[int] = set()

    def arguments(self, arguments: Mapping[str, Any], edges: Edges, *, is_read: bool) -> Mapping[str, Any]:
        """Returns the arguments of a field without relevances.

        `is_read`: false if the plan may lack the field's statement because its page is empty.

        Raises `QueryError` (P2009) where they are incomplete or with `cursor`.
        """
        given = arguments.get("orderBy")
        if not _mentions(given):
            return arguments
        if arguments.get("cursor") is not None:
            raise QueryError(f"`cursor` cannot be used with an order by `{_RELEVANCE}`.", code="P2009")
        types = edges["orderBy"].objects
        objects = [each for each in (given if isinstance(given, list) else [given]) if each]
        terms = [term for each in objects for term in self._terms(each, types)]
        texts = {number: text for number, (_, text) in enumerate(terms) if text is not None}
        self._selections.append(texts)
        if is_read:
            self._unplaced.add(len(self._selections) - 1)
        return {
            **arguments,
            "orderBy": [order for order, _ in terms],
            "where": self._marked(arguments.get("where"), edges),
        }

    def _terms(
        self, order: Mapping[str, Any], types: tuple[str, ...]
    ) -> Iterator[tuple[dict[str, Any], Text | None]]:
        """Yields the fields of an order, one by one, each with the text if it is a relevance."""
        for name, below in order.items():
            edge = self._graph.node(types).get(name)
            if not _mentions({name: below}):
                yield {name: below}, None
            elif edge is None or not isinstance(below, Mapping):
                raise QueryError(f"`{_RELEVANCE}` needs a model that is searched.", code="P2009")
            elif name == _RELEVANCE:
                text = self._text(below, edge.objects)
                yield {text.definition.key[0]: below["sort"]}, text
            else:
                for made, found in self._terms(below, edge.objects):
                    yield {name: made}, found

    def _text(self, order: Mapping[str, Any], types: tuple[str, ...]) -> Text:
        definition = next(self._by_input[name] for name in types if name in self._by_input)
        wanted, text = order.get("fields"), order.get("search")
        names = set(wanted if isinstance(wanted, list) else [wanted])
        columns = tuple(each.column for each in own_fields(definition) if each.path[0] in names)
        if columns and "sort" in order and isinstance(text, Mapping) and text.get("$type") == "Param":
            return Text(definition, columns, text)
        raise QueryError(f"`{_RELEVANCE}` takes `fields`, `search` and `sort`.", code="P2009")

    def _marked(self, where: Mapping[str, Any] | None, edges: Edges) -> dict[str, Any]:
        """Returns a filter of the same records with the placeholder of the last selection."""
        name, kind = self._field(edges["where"].objects)
        placeholder = {"name": f"{_PLACEHOLDER}{len(self._selections) - 1}", "type": kind}
        mark = {name: {"notIn": [{"$type": "Param", "value": placeholder}]}}
        return {"AND": [where, mark]} if where else mark

    def _field(self, types: tuple[str, ...]) -> tuple[str, str]:
        """Returns a field that a filter compares with a list, and the type of a placeholder for it."""
        for name, edge in self._graph.node(types).items():
            if not edge.objects or not all(each.endswith("Filter") for each in edge.objects):
                continue
            items = self._graph.node(edge.objects).get("notIn")
            if items is None:
                continue
            kind = next((kind for kind, bit in SCALARS.items() if items.lists & bit), None)
            if kind or items.enum_list:
                return name, kind or "Enum"
        raise QueryError(
            f"`{_RELEVANCE}` cannot order records without texts, numbers or times.", code="P2009"
        )

    def statement(self, query: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns a statement of the plan with its orders by relevance.

        Raises `EngineError` if the statement is written in an unknown way.
        """
        numbers = [_number(argument) for argument in query["args"]]
        for place, number in enumerate(numbers):
            if number is not None:
                query = self._ordered(query, place, self._selections[number])
                self._unplaced.discard(number)
        return query

    def require_all(self) -> None:
        """Raises `EngineError` if an order has no place in the plan."""
        if self._unplaced:
            raise EngineError("The engine writes the order of records in an unknown way.")

    @staticmethod
    def _ordered(query: Mapping[str, Any], place: int, texts: Mapping[int, Text]) -> Mapping[str, Any]:
        text = read(query)
        mark = next((m for m in _MARK.finditer(text or "") if int(m["number"]) == place), None)
        if text is None or mark is None:
            raise EngineError("The engine writes lists in an unknown way.")
        made = _Computed(query)
        begin, end = _order_by(text, mark.end())
        terms = pieces(text[begin:end], ", ")
        for number, searched in texts.items():
            terms[number] = made.relevance(terms[number], searched)
        changed = f"{text[: mark.start()]}1=1{text[mark.end() : begin]}{', '.join(terms)}{text[end:]}"
        return write(made.query, changed)


class _Computed:
    """A statement with further arguments, which are computed from a text."""

    def __init__(self, query: Mapping[str, Any]) -> None:
        self.query = query

    def relevance(self, term: str, text: Text) -> str:
        """Returns a term with the relevance in place of the key: higher is better, NULL is no match."""
        definition = text.definition
        found = _TERM.match(term)
        if found is None or unquoted(found["column"]) != definition.column(definition.key[0]):
            raise EngineError(f"The engine writes orders in an unknown way: {term}")
        index = quote(definition.index)
        weights = "".join(f", {field.weight!r}" for field in definition.fields)
        rowid = "`" + definition.rowid.replace("`", "``") + "`"
        # Found once for the whole statement: for each bm25, FTS5 counts all matches of the words.
        return (
            f"(WITH r (id, relevance) AS MATERIALIZED (SELECT rowid, -bm25({index}{weights}) FROM {index}"
            f" WHERE {index} MATCH {self._argument(text)}) SELECT relevance FROM r"
            f" WHERE id = {found['row']}.{rowid}){term[found.end() :]}"
        )

    def _argument(self, text: Text) -> str:
        query = self.query
        self.query = {
            **query,
            "fragments": [*query["fragments"], {"type": "parameter"}],
            "args": [*query["args"], text.argument(text.matching)],
            "argTypes": [*query["argTypes"], argument_type("string")],
        }
        return placeholder(len(query["args"]))


def _order_by(text: str, start: int) -> tuple[int, int]:
    """Returns the begin and the end of the terms of the ORDER BY that follows a condition in a statement."""
    plain = blank(text)
    begin = plain.find(_ORDER, start)
    if begin < 0:
        raise EngineError("The engine writes the order of records in an unknown way.")
    begin += len(_ORDER)
    # The statement may be a subquery of another, which its parenthesis ends.
    depth = 0
    for end in range(begin, len(plain)):
        depth += (plain[end] == "(") - (plain[end] == ")")
        if depth < 0 or (not depth and plain.startswith(_ENDS, end)):
            return begin, end
    return begin, len(plain)


def _number(argument: Any) -> int | None:
    """Returns the number of the selection that a placeholder marks."""
    if not isinstance(argument, Mapping) or argument.get("prisma__type") != "param":
        return None
    name = str(argument["prisma__value"]["name"])
    return int(name.removeprefix(_PLACEHOLDER)) if name.startswith(_PLACEHOLDER) else None


def _mentions(order: Any) -> bool:
    """True if an order contains a relevance, at whatever depth."""
    if isinstance(order, list):
        return any(map(_mentions, order))
    if not isinstance(order, Mapping):
        return False
    return _RELEVANCE in order or any(map(_mentions, order.values()))
