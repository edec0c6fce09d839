"""`lamdb schema`: checks, layout and views of a Prisma schema."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamdb.cli.options import Database, Json, Store, load

if TYPE_CHECKING:
    from lamdb.prisma.schema import PrismaSchema

app = typer.Typer(help="Check, format and show the schema.", no_args_is_help=True, rich_markup_mode=None)


Source = Annotated[
    Path | None,
    typer.Argument(metavar="PATH", help="A schema file, or a directory of them. [default: --database]"),
]


@app.command()
def validate(path: Source = None, database: Database = None, json: Json = False) -> None:
    """Check the schema with Prisma's own validator."""
    from lamdb.cli.output import print_json
    from lamdb.prisma.schema import PrismaSchema
    from lamdb.server.project import Project

    schema = PrismaSchema.load(path) if path else Project.at(load(database=database).database).schema
    if json:
        print_json({"valid": True, "models": list(schema.models)})
    else:
        print(f"The schema is valid: {len(schema.models)} models.")


@app.command("format")
def format_(
    database: Database = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail if a file is not formatted.")
    ] = False,
) -> None:
    """Lay out the schema's files as `prisma format` does."""
    from lamdb.prisma.schema import format_schema

    directory = Path(load(database=database).database)
    stale = []
    for path in sorted(directory.rglob("*.prisma")):
        text = path.read_text(encoding="utf-8")
        formatted = format_schema(text)
        if formatted != text:
            stale.append(path)
            if not check:
                path.write_text(formatted, encoding="utf-8")
    for path in stale:
        print(f"{'not formatted' if check else 'formatted'}: {path}")
    if check and stale:
        raise typer.Exit(1)


@app.command()
def sdl(store: Store = None, database: Database = None) -> None:
    """Print the GraphQL API's schema: of a store, if one is named with --store, else of the directory."""
    from lamdb.graphql import sdl as rendering
    from lamdb.graphql.types import ApiTypes

    sys.stdout.write(rendering.render(ApiTypes.from_dmmf(_schema(store, database).dmmf)))


@app.command()
def show(
    store: Store = None,
    database: Database = None,
    text: Annotated[bool, typer.Option("--text", help="Print the Prisma schema itself.")] = False,
    json: Json = False,
) -> None:
    """Print the models with their fields: of a store, if one is named with --store, else of the directory."""
    from lamdb.cli.output import print_json

    schema = _schema(store, database)
    if json:
        print_json({"files": dict(schema.files), "datamodel": schema.datamodel})
    elif text:
        sys.stdout.write(schema.text)
    else:
        _print_models(schema.datamodel)


@app.command()
def introspect(store: Store = None, json: Json = False) -> None:
    """Print the Prisma schema of a store's tables, whatever schema it carries.

    Names and comments of the schema that it carries are kept. What Prisma cannot express is named on standard
    error.
    """
    from lamdb.cli.output import print_json
    from lamdb.graphql import deployed
    from lamdb.prisma.schema import PrismaSchema
    from lamdb.prisma.snapshot import introspect as read
    from lamdb.server.instance import open_database

    with open_database(load(store=store), create=False) as opened, opened.reader() as connection:
        files = deployed.read_files(connection)
        found = read(connection, PrismaSchema.trusted(PrismaSchema.parse(files).text) if files else None)
    if json:
        print_json({"schema": found.text, "warnings": found.warnings})
        return
    sys.stdout.write(found.text)
    if found.warnings:
        print(found.warnings, file=sys.stderr)


def _schema(store: str | None, database: str | None) -> "PrismaSchema":
    """The schema that a store carries, if one is named on the command line, else that of the directory."""
    from lamdb.errors import NoSchema
    from lamdb.graphql import deployed
    from lamdb.prisma.schema import PrismaSchema
    from lamdb.server.instance import open_database
    from lamdb.server.project import Project

    if store is None:
        return Project.at(load(database=database).database).schema
    with open_database(load(store=store), create=False) as opened, opened.reader() as connection:
        files = deployed.read_files(connection)
    if files is None:
        raise NoSchema("The store carries no schema.")
    return PrismaSchema.parse(files)


def _print_models(datamodel: Mapping[str, Any]) -> None:
    for model in datamodel["models"]:
        print(model["name"] + (f"  (table {model['dbName']})" if model["dbName"] else ""))
        width = max(len(field["name"]) for field in model["fields"])
        for field in model["fields"]:
            mark = "[]" if field["isList"] else "" if field["isRequired"] else "?"
            notes = [word for word, key in (("id", "isId"), ("unique", "isUnique")) if field[key]]
            print(f"  {field['name']:{width}}  {field['type']}{mark}  {' '.join(notes)}".rstrip())
    for enum in datamodel["enums"]:
        print(f"{enum['name']}: {', '.join(value['name'] for value in enum['values'])}")
