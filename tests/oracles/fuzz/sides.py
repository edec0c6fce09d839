"""The two databases of a round, and how their answers and tables compare."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import orjson
from tests.oracles.fuzz.documents import Document
from tests.oracles.prisma_node.compare import differences

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

type Answer = dict[str, Any]
"""`{"data": …}`, or `{"error": {"code", "message"}}`."""
FAULTS = frozenset({"ENGINE", "INTERNAL"})
"""Codes that say that lamDB is at fault, whatever Node answers."""
type Tables = dict[str, list[tuple[Any, ...]]]


class Ours:
    """lamDB with one schema, on a database in memory."""

    def __init__(self, schema: PrismaSchema) -> None:
        self._schema = schema
        self._types = ApiTypes.from_dmmf(schema.dmmf)
        self._api = Api(QueryEngine(schema), self._types)
        self.database = Database.open("memory:")
        with self.database.writer() as connection:
            push(connection, schema)

    def forget_plans(self) -> None:
        self._api = Api(QueryEngine(self._schema), self._types)

    def close(self) -> None:
        self.database.close()

    def run(self, document: Document) -> Answer:
        # As it comes over HTTP: variables are JSON.
        variables = orjson.loads(orjson.dumps(document.variables))
        result = self._api.execute(self.database, GraphQLRequest(document.query, variables))
        answer = json.loads(result.body)
        if errors := answer.get("errors"):
            codes = [error["extensions"].get("code") for error in errors if "extensions" in error]
            return {"error": {"code": codes[-1] if codes else None, "message": errors[-1]["message"]}}
        return {"data": next(iter(answer["data"].values()))}

    def tables(self) -> Tables:
        with self.database.reader() as connection:
            return tables_of(connection)

    def save(self, file: Path) -> None:
        """Writes the database to an ordinary file."""
        file.unlink(missing_ok=True)
        with (
            self.database.reader() as connection,
            contextlib.closing(apsw.Connection(str(file))) as target,
            target.backup("main", connection, "main") as backup,
        ):
            backup.step()

    def load(self, tables: Tables) -> None:
        """Puts rows in the place of those that are there."""
        with self.database.writer() as connection:
            connection.execute("PRAGMA defer_foreign_keys = ON")
            for table, rows in tables.items():
                connection.execute(f"DELETE FROM {quoted(table)}")
                if rows:
                    marks = ", ".join("?" * (len(rows[0]) - 1))
                    names = ", ".join(quoted(name) for name in _columns(connection, table))
                    connection.executemany(
                        f"INSERT INTO {quoted(table)} (_rowid_, {names}) VALUES (?, {marks})",
                        rows,
                    )


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    return [str(name) for _, name, *_ in connection.execute(f"PRAGMA table_info({quoted(table)})")]


def tables_of(connection: apsw.Connection) -> Tables:
    """Every table's rows in order of their insertion, the row's number first."""
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    return {
        str(table): connection.execute(
            f"SELECT _rowid_, * FROM {quoted(str(table))} ORDER BY _rowid_"
        ).fetchall()
        for (table,) in found
    }


def tables_in(file: Path) -> Tables:
    with contextlib.closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return tables_of(connection)


def table_differences(node: Tables, ours: Tables) -> Iterator[str]:
    """Cells and rows that differ; 1 and 1.0 do. Rows are told by their number."""
    for table in sorted(node.keys() | ours.keys()):
        theirs, here = ({row[0]: row for row in side.get(table, [])} for side in (node, ours))
        for number in sorted(theirs.keys() | here.keys()):
            if number not in theirs or number not in here:
                side = "here" if number in here else "on Node"
                yield f"{table}[{number}]: only {side}: {(here.get(number) or theirs[number])!r}"
            else:
                for index, (one, other) in enumerate(zip(theirs[number], here[number], strict=True)):
                    if (type(one), one) != (type(other), other):
                        yield f"{table}[{number}][{index}]: {one!r} on Node, {other!r} here"


def answer_differences(node: Answer, ours: Answer) -> list[str]:
    """Lists the differences of two answers. Errors are equal if their codes are; no code equals any."""
    if "error" in ours and ours["error"]["code"] in FAULTS:
        return [f"{ours['error']['code']} here"]
    if "error" in node and "error" in ours:
        mine, theirs = ours["error"]["code"], node["error"]["code"]
        return [] if theirs in {None, mine} else [f"code {theirs} on Node, {mine} here"]
    if "error" in node or "error" in ours:
        return [f"{'an error' if 'error' in node else 'data'} on Node only"]
    return list(differences(node["data"], ours["data"]))[:5]
