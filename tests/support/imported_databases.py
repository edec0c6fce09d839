"""Databases that others made, brought in by `lamdb import` and compared with what SQLite says of them."""

import base64
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import orjson

from lamdb.cli.importing import IntrospectionOptions, import_database
from lamdb.cli.output import CommandOutput
from lamdb.deployment import develop
from lamdb.deployment.project import Project
from lamdb.graphql.api import GraphQLRequest
from lamdb.graphql.apis import Apis
from lamdb.graphql.from_settings import open_database, serving
from lamdb.prisma.datamodel.naming import Style
from lamdb.prisma.datamodel.schema_text import Block, Field, parse_blocks
from lamdb.prisma.values import number_text
from lamdb.settings import Settings
from lamdb.storage import Database

SCALARS = ("Int", "BigInt", "Float", "Decimal", "String", "Boolean", "DateTime", "Json", "Bytes")


@dataclass
class Imported:
    """One database in a store of its own, and the directory with its schema."""

    source: Path
    directory: Path
    settings: Settings
    database: Database
    apis: Apis
    report: dict[str, Any]

    @property
    def text(self) -> str:
        return (self.directory / "schema.prisma").read_text(encoding="utf-8")

    @property
    def served(self) -> list[Block]:
        """The models and views that the API has."""
        return [
            block
            for block in parse_blocks(self.text)
            if block.kind in ("model", "view") and not block.is_ignored
        ]

    def findings(self, kind: str) -> dict[str, str]:
        """The warnings of one kind: messages by place."""
        return {
            each["table"] + (f".{each['column']}" if each["column"] else ""): each["message"]
            for each in self.report["findings"]
            if each["kind"] == kind
        }

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a response, which must have no errors."""
        request = GraphQLRequest(query, variables=variables)
        answer = orjson.loads(self.apis.execute(self.database, request).body)
        assert "errors" not in answer, answer
        return answer["data"]

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that SQLite has for a statement on the file itself."""
        connection = sqlite3.connect(self.source)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


@contextmanager
def imported(
    source: Path, place: Path, *, style: Style = Style.PRISMA, options: IntrospectionOptions | None = None
) -> Iterator[Imported]:
    """The file in a store below `place`."""
    directory, store = place / "project", (place / "store").as_uri()
    settings = Settings(store=store, database=str(directory))
    output = io.StringIO()
    with redirect_stdout(output):
        import_database(
            settings,
            source,
            place,
            options or IntrospectionOptions(style, None),
            overwrite=False,
            output=CommandOutput(is_json=True),
        )
    report = json.loads(output.getvalue())
    with open_database(settings, create=False) as database:
        yield Imported(source, directory, settings, database, serving(settings), report)


def in_sync(found: Imported) -> bool:
    """True if `lamdb migrate status` would say that all agree."""
    return develop.standing(found.database, Project.at(found.directory)).up_to_date


def scalar_fields(block: Block) -> list[Field]:
    return [each for each in block.fields if each.type in SCALARS and "@ignore" not in each.attributes]


def differences(found: Imported) -> Iterator[str]:
    """Models whose rows the API does not answer as SQLite does: what they are."""
    # The same SQLite as lamDB's: sums of reals differ between its versions.
    connection = apsw.Connection(str(found.source), flags=apsw.SQLITE_OPEN_READONLY)
    for each in found.report["findings"]:
        if each["kind"] == "collation":
            name = each["message"].removeprefix("SQLite has no collation ").partition(":")[0]
            connection.create_collation(name, lambda one, other: (one > other) - (one < other))
    for block in found.served:
        fields = scalar_fields(block)
        names = " ".join(each.name for each in fields)
        answered = found.ask(f"{{ rows: findMany{block.name} {{ {names} }} }}")["rows"]
        columns = ", ".join(_quote(each.column) for each in fields)
        stored = connection.execute(f"SELECT {columns} FROM {_quote(block.table)}").fetchall()
        wanted = [
            {each.name: as_answered(value, each.type) for each, value in zip(fields, row, strict=True)}
            for row in stored
        ]
        if _sorted(answered) != _sorted(wanted):
            pairs = zip(_sorted(answered), _sorted(wanted), strict=False)
            first = next((pair for pair in pairs if pair[0] != pair[1]), "not as many")
            yield f"{block.name}: {len(answered)} answered, {len(wanted)} stored; {first}"
    connection.close()


def as_answered(value: Any, type_: str) -> Any:
    """A stored value as the API writes it."""
    if value is None:
        return None
    match type_:
        case "Boolean":
            return value == 1
        case "BigInt":
            return str(value)
        case "Decimal":
            return number_text(value)
        case "DateTime":
            if isinstance(value, int):  # milliseconds, as Prisma 6 stores them
                return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{value % 1000:03}Z"
            return value[:23] + "Z"
        case "String":
            return value if isinstance(value, str) else repr(value)
        case "Bytes":
            raw = value if isinstance(value, bytes) else str(value).encode()
            return base64.b64encode(raw).decode()
        case "Json":
            return (
                orjson.dumps(orjson.loads(value)).decode() if isinstance(value, str) else number_text(value)
            )
    return value


def _sorted(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
