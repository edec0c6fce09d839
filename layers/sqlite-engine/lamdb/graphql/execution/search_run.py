"""Executes the root fields of searches: converts arguments to a request for the engine, and hits to
records."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import apsw

from lamdb.graphql.document.values import bind, protocol
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.execution.operation import IDS, FollowUp, Output, Records, SearchRoot
from lamdb.graphql.execution.search_access import require_own_fields
from lamdb.graphql.execution.search_arguments import (
    FACET_TAKE,
    TAKE,
    Arguments,
    as_list,
    bounded,
    common,
    distinct,
    facet_value,
    highlight,
    orders,
    refinement,
    require_once,
)
from lamdb.graphql.schema.search_types import facet_name
from lamdb.graphql.search_tokens import SearchToken
from lamdb.prisma.query.engine import QueryEngine
from lamdb.prisma.query.parameters import ABSENT
from lamdb.prisma.query.plan import Shape
from lamdb.prisma.query.record_query import RecordQuery
from lamdb.prisma.query.sql_errors import database_error
from lamdb.rules.enforcement import is_ruled, readable_rows, rewritten, unruled
from lamdb.search.definition import SearchDefinition
from lamdb.search.engine import SearchEngine as SearchEngine
from lamdb.search.request import (
    MAX_FACET_VALUES,
    MAX_REACH,
    MAX_TAKE,
    FacetRequest,
    Filter,
    Hit,
    SearchRequest,
    SearchResult,
)
from lamdb.search.results import SearchResults
from lamdb.search.tables import quote
from lamdb.search.vocabulary import Vocabularies
from lamdb.storage.waiting import about_to_work

_QUICK_HITS: Final = 100
"""Hits whose records are read and answered quickly."""
_FUSION: Final = 60
"""The constant of reciprocal rank fusion: the place from which places count about the same."""


class Searches:
    """The searches of one schema. Safe to use from several threads.

    `follow` reads what a selection needs besides, `project` makes an answer of a record by its shape.
    """

    def __init__(
        self,
        engine: QueryEngine,
        compiler: OperationCompiler,
        *,
        follow: Callable[[apsw.Connection, Any, Sequence[FollowUp], Mapping[str, Any]], None],
        project: Callable[[Shape, Any], Any],
        vocabulary_bytes: int,
        result_bytes: int,
    ) -> None:
        self.vocabularies = Vocabularies(vocabulary_bytes)
        self._results = SearchResults(result_bytes)
        self._engine = engine
        self._compiler = compiler
        self._follow = follow
        self._project = project
        self._engines: dict[str, SearchEngine] = {}

    def answer(
        self,
        connection: apsw.Connection,
        root: SearchRoot,
        variables: Mapping[str, Any],
        token: SearchToken | None = None,
    ) -> Any:
        """Returns the value of a root field. Raises `QueryError`, `SearchInvalid`, `Forbidden`."""
        try:
            return self._answer(connection, root, variables, token)
        except apsw.Error as error:
            raise database_error(error) from error

    def _answer(
        self,
        connection: apsw.Connection,
        root: SearchRoot,
        variables: Mapping[str, Any],
        token: SearchToken | None,
    ) -> Any:
        arguments: Arguments = bind(root.arguments, variables)
        if root.definition is None:
            return self._all(connection, root, arguments, variables, token)
        request = self._request(connection, root, root.definition, arguments, variables, token)
        started = time.perf_counter()
        result = self._search(connection, root.definition, request)
        took = (time.perf_counter() - started) * 1000
        records = {
            model: self._read(connection, root.definition, each, result.hits, variables)
            for model, each in root.records.items()
        }
        values = {
            "totalCount": result.total,
            # Without a hit it would tell about words of records that the caller may not read.
            "correctedQuery": result.corrected_query if result.total or not is_ruled(connection) else None,
            "tookMs": round(took, 3),
            "facets": [facet_value(root.definition, each) for each in result.facets],
            "hits": [(root.definition.model, hit) for hit in result.hits],
        }
        return _Answer(records).of(root.outputs, values)

    def _search(
        self, connection: apsw.Connection, definition: SearchDefinition, request: SearchRequest
    ) -> SearchResult:
        # What rules allow depends on the caller, which is not part of the request.
        engine, shared = self._engine_of(definition), not is_ruled(connection)
        result = engine.search(unruled(connection), request, shared=shared)
        if len(result.hits) > _QUICK_HITS:
            about_to_work()
        return result

    def _engine_of(self, definition: SearchDefinition) -> SearchEngine:
        found = self._engines.get(definition.model)
        if found is None:
            found = self._engines[definition.model] = SearchEngine(
                definition, self.vocabularies, self._results
            )
        return found

    # One model

    def _request(
        self,
        connection: apsw.Connection,
        root: SearchRoot,
        definition: SearchDefinition,
        arguments: Arguments,
        variables: Mapping[str, Any],
        token: SearchToken | None,
    ) -> SearchRequest:
        facets = {facet_name(facet): facet for facet in definition.facets}
        asked = as_list(arguments.get("facets"))
        chosen = [(facets[each["field"]], each) for each in asked]
        require_once([facet.field for facet, _ in chosen], "facets")
        names = {field.column: field.name for field in definition.fields}
        refined = ((facet.field, refinement(definition, facet, each)) for facet, each in chosen)
        return SearchRequest(
            **common(arguments),
            columns=tuple(names[column] for column in as_list(arguments.get("fields"))),
            filter=self._filter(connection, definition, arguments.get("where"), token),
            refinements={field: made for field, made in refined if made is not None},
            order=tuple(orders(definition, as_list(arguments.get("orderBy")))),
            distinct=distinct(definition, as_list(arguments.get("distinct"))),
            facets=tuple(
                FacetRequest(
                    facet.field,
                    bounded(each.get("take"), FACET_TAKE, MAX_FACET_VALUES, "take"),
                    bool(each.get("disjunctive")),
                )
                for facet, each in chosen
            ),
            highlights=tuple(
                highlight(names, bind(each.arguments, variables), is_snippet=each.is_snippet)
                for each in root.marked
            ),
        )

    def _filter(
        self, connection: apsw.Connection, definition: SearchDefinition, where: Any, token: SearchToken | None
    ) -> Filter | None:
        """The statement that finds the records of `where` that the token allows. Raises `Forbidden`."""
        if token is not None:
            token.require_model(definition.model)
            require_own_fields(definition, where, token)
            forced = token.where.get(definition.model)
            if forced:
                demanded = protocol(dict(forced), self._compiler.where(definition.model))
                where = {"AND": [demanded, where]} if where else demanded
        rows = readable_rows(connection, definition.model, definition.rowid)
        if not where:
            return None if rows is None else Filter(rows, ())
        field = definition.columns[0][0]
        query = {"arguments": {"where": where}, "selection": {field: True}}
        plan, values = self._engine.prepare(
            {"modelName": definition.model, "action": "findMany", "query": query}
        )
        statement, bound = RecordQuery(plan, definition.rowid).statement(connection, values)
        if rows is not None:
            statement = f"{rows} AND t.{quote(definition.rowid)} IN ({rewritten(connection, statement)})"
        return Filter(statement, bound)

    # Several models

    def _all(
        self,
        connection: apsw.Connection,
        root: SearchRoot,
        arguments: Arguments,
        variables: Mapping[str, Any],
        token: SearchToken | None,
    ) -> Any:
        """The hits of several searches, merged: a hit counts the more, the further ahead it stands.

        A record that several of them find counts for each.
        """
        definitions = {definition.model: definition for definition in self._compiler.searches}
        take = bounded(arguments.get("take"), TAKE, MAX_TAKE, "take")
        skip = bounded(arguments.get("skip"), 0, MAX_REACH - take, "skip")
        started = time.perf_counter()
        merged: dict[tuple[str, int], Hit] = {}
        scores: dict[tuple[str, int], float] = {}
        total = 0
        for each in as_list(arguments.get("queries")):
            definition = definitions[each["model"]]
            shared = common({"take": MAX_TAKE if skip + take > TAKE else TAKE, **each})
            allowed = self._filter(connection, definition, None, token)
            request = SearchRequest(**shared, filter=allowed)
            result = self._search(connection, definition, request)
            total += result.total
            weight = float(each.get("weight") or 1)
            for place, hit in enumerate(result.hits):
                found = definition.model, hit.rowid
                merged.setdefault(found, hit)
                scores[found] = scores.get(found, 0.0) + weight / (_FUSION + place)
        # The sort is stable: of equal ones, the first query's stand first.
        ordered = sorted(scores.items(), key=lambda each: -each[1])
        hits = [
            (found[0], replace(merged[found], score=score)) for found, score in ordered[skip : skip + take]
        ]
        took = (time.perf_counter() - started) * 1000
        records = {
            model: self._read(
                connection, definitions[model], each, [hit for of, hit in hits if of == model], variables
            )
            for model, each in root.records.items()
        }
        values = {"totalCount": total, "tookMs": round(took, 3), "hits": hits}
        return _Answer(records).of(root.outputs, values)

    # Records

    def _read(
        self,
        connection: apsw.Connection,
        definition: SearchDefinition,
        records: Records,
        hits: Sequence[Hit],
        variables: Mapping[str, Any],
    ) -> dict[int, list[Any]]:
        """The answers that are made of each hit's record, by the hits' rowids."""
        rowids = [hit.rowid for hit in hits]
        if not rowids:
            return {}
        keys = self._keys(connection, definition, records, rowids)
        rows = self._rows(connection, records, list(keys.values()), variables)
        self._follow(connection, rows, records.follow_ups, variables)
        known = {tuple(str(row[name]) for name in records.identity): row for row in rows}
        found: dict[int, list[Any]] = {}
        for rowid, key in keys.items():
            row = known.get(tuple(map(str, key)))
            if row is not None:
                found[rowid] = [self._project(shape, row) for shape in records.shapes]
        return found

    @staticmethod
    def _keys(
        connection: apsw.Connection, definition: SearchDefinition, records: Records, rowids: Sequence[int]
    ) -> dict[int, tuple[Any, ...]]:
        """The identities of records by their rowids."""
        if records.columns == (definition.rowid,):
            return {rowid: (rowid,) for rowid in rowids}
        columns = ", ".join(map(quote, records.columns))
        rowid = quote(definition.rowid)
        # The hits are those that the caller may read, and their records are read by the rules after this.
        rows = unruled(connection).execute(
            f"SELECT {rowid}, {columns} FROM main.{quote(definition.table)} WHERE {rowid} IN"
            f" ({', '.join('?' * len(rowids))})",
            tuple(rowids),
        )
        return {int(str(number)): tuple(key) for number, *key in rows}

    def _rows(
        self,
        connection: apsw.Connection,
        records: Records,
        keys: Sequence[tuple[Any, ...]],
        variables: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        where = self._compiler.where(records.model)
        rows: list[dict[str, Any]]
        if len(records.identity) > 1:
            criteria = {"OR": [dict(zip(records.identity, key, strict=True)) for key in keys]}
            query = {
                "arguments": {"where": protocol(criteria, where)},
                "selection": bind(records.selection, variables),
            }
            rows = self._engine.run(
                connection, {"modelName": records.model, "action": "findMany", "query": query}
            )
            return rows
        if records.template is None:
            records.template = self._engine.prepare_template(records.request)
        name = records.identity[0]
        values = {IDS: protocol({name: {"in": [key for (key,) in keys]}}, where)[name]["in"]}
        for binding in records.bindings:
            value = binding.source.bind(variables)
            if value is not ABSENT:
                values[binding.key] = value
        plan, bound = records.template.bind(values)
        rows = plan.run(connection, bound)
        return rows


class _Answer:
    """Makes the response's objects. `records` has the answers of hits' records, by model and rowid."""

    def __init__(self, records: Mapping[str, Mapping[int, list[Any]]]) -> None:
        self._records = records

    def of(self, outputs: Sequence[Output], values: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for output in outputs:
            if output.name == "__typename":
                made[output.key] = output.type_name
            elif output.name == "hits":
                made[output.key] = [self._hit(output.below, model, hit) for model, hit in values["hits"]]
            elif output.below:
                value = values[output.name]
                several = isinstance(value, list)
                made[output.key] = (
                    [self.of(output.below, each) for each in value]
                    if several
                    else None
                    if value is None
                    else self.of(output.below, value)
                )
            else:
                made[output.key] = values[output.name]
        return made

    def _hit(self, outputs: Sequence[Output], model: str, hit: Hit) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for output in outputs:
            match output.name:
                case "__typename":
                    made[output.key] = output.type_name
                case "score":
                    made[output.key] = hit.score
                case "model":
                    made[output.key] = model
                case "matchedWords":
                    made[output.key] = list(hit.matched_words)
                case "node":
                    answers = self._records[output.model].get(hit.rowid) if output.model == model else None
                    made[output.key] = answers[output.number] if answers else None
                case _:
                    made[output.key] = hit.texts[output.number]
        return made
