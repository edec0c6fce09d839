"""`lamdb schema`: checks, layout and views of a Prisma schema."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamdb.cli.app import CommandApp, examples
from lamdb.cli.options import (
    Database,
    DatabaseIfNamed,
    Located,
    Names,
    Out,
    ScanRows,
    Store,
    load,
    load_with_store,
)
from lamdb.counting import counted

if TYPE_CHECKING:
    from lamdb.prisma.datamodel.schema import PrismaSchema

app = CommandApp("Check, format and show the schema.")

Source = Annotated[
    Path | None,
    typer.Argument(metavar="PATH", help="A schema file, or a directory of them. [default: --database]"),
]


@app.command(epilog=examples("lamdb schema validate", "lamdb schema validate shop/schema.prisma"))
def validate(*, path: Source = None, database: Database = None, output: Out) -> None:
    """Check the schema: as Prisma does, and whether a GraphQL API can be made of it."""
    from lamdb.deployment.project import Project
    from lamdb.graphql.schema.types import ApiTypes
    from lamdb.prisma.datamodel.schema import PrismaSchema
    from lamdb.search.indexing import missing_indexes

    schema = PrismaSchema.load(path) if path else Project.at(load(database=database).database).schema
    ApiTypes.from_dmmf(schema.dmmf)
    models = list(schema.models)
    warnings = missing_indexes(schema.searches, schema.dmmf["datamodel"])
    output.result(
        {"valid": True, "models": models, **({"warnings": warnings} if warnings else {})},
        [
            f"The schema is valid: {counted(len(models), 'model')}.",
            *(f"Warning: {text}" for text in warnings),
        ],
    )


@app.command("format", epilog=examples("lamdb schema format", "lamdb schema format --check"))
def format_(
    *,
    database: Database = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail if a file is not formatted.")
    ] = False,
    output: Out,
) -> None:
    """Lay out the schema's files as `prisma format` does."""
    from lamdb.deployment.project import Project
    from lamdb.prisma.datamodel.layout import read_schema
    from lamdb.prisma.datamodel.schema import format_file

    layout = Project.at(load(database=database).database).layout
    texts = {path: read_schema(path) for path in layout.sources}
    # All of them before one is written.
    formatted = {path: format_file(str(path.relative_to(layout.root)), text) for path, text in texts.items()}
    stale = [path for path, text in formatted.items() if text != texts[path]]
    if not check:
        for path in stale:
            path.write_text(formatted[path], encoding="utf-8")
    mark = "not formatted" if check else "formatted"
    files = [str(path) for path in stale]
    output.result({"check": check, "files": files}, (f"{mark}: {path}" for path in files))
    if check and stale:
        raise typer.Exit(1)


@app.command(epilog=examples("lamdb schema sdl", "lamdb schema sdl --stack shop"))
def sdl(
    *,
    database: Database = None,
    output: Out,
    located: DatabaseIfNamed,
) -> None:
    """Print the GraphQL API's schema: of a database, if an option names one, else of the directory."""
    from lamdb.graphql.schema import sdl as rendering
    from lamdb.graphql.schema.types import ApiTypes

    schema = _schema(located, database)
    rendered = rendering.render(ApiTypes.from_dmmf(schema.dmmf))
    output.result({"sdl": rendered}, rendered.removesuffix("\n"))


@app.command(epilog=examples("lamdb schema show", "lamdb schema show --text --stack shop"))
def show(
    *,
    database: Database = None,
    text: Annotated[bool, typer.Option("--text", help="Print the Prisma schema itself.")] = False,
    output: Out,
    located: DatabaseIfNamed,
) -> None:
    """Print the models with their fields: of a database, if an option names one, else of the directory."""
    schema = _schema(located, database)
    lines = schema.text.removesuffix("\n") if text else _models(schema.datamodel)
    output.result({"files": dict(schema.files), "datamodel": schema.datamodel}, lines)


@app.command(epilog=examples("lamdb schema introspect --store file:///srv/shop"))
def introspect(
    *,
    file: Annotated[
        Path | None, typer.Argument(help="A SQLite file. [default: the store's tables]", show_default=False)
    ] = None,
    store: Store = None,
    names: Names = "prisma",
    scan_rows: ScanRows = "1000000",
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Do not keep names and comments of the schema in the store."),
    ] = False,
    target: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the schema to a file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    output: Out,
) -> None:
    """Print the Prisma schema of a store's tables, or of a SQLite file's, whatever schema is stored there.

    Features that Prisma cannot express, and columns whose values do not fit their declaration, are named on
    standard error.
    """
    from lamdb.cli import importing as commands

    reading = commands.IntrospectionOptions.parse(names, scan_rows)
    if file is not None:
        commands.introspect_file(file, reading, target, overwrite=overwrite, output=output)
    else:
        settings = load_with_store(store=store)
        commands.introspect_store(settings, reading, target, fresh=fresh, overwrite=overwrite, output=output)


@app.command(
    epilog=examples("lamdb schema convert prisma --output database", "lamdb schema convert . > schema.prisma")
)
def convert(
    *,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A schema file, a directory of them, or a project.")
    ],
    target: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write the schema's files to a directory.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    output: Out,
) -> None:
    """Turn a schema for PostgreSQL, MySQL or SQL Server into one for SQLite, and say what was changed.

    Native types, scalar lists, index types and whatever else SQLite does not have are left out or replaced.

    A schema that Prisma refuses is not written to a directory. If places are left that have to be corrected
    by hand, the files are written, and the places are reported as an error.
    """
    from lamdb.cli.convert import convert_schema

    convert_schema(path, target, overwrite=overwrite, output=output)


def _schema(located: Located | None, database: str | None) -> "PrismaSchema":
    """The schema that a database carries, if one is named, else that of the directory."""
    from lamdb.deployment.project import Project
    from lamdb.errors import NoSchema
    from lamdb.prisma.datamodel.schema import PrismaSchema

    if located is None:
        return Project.at(load(database=database).database).schema
    files = _files_in(located) if located.is_store else _files_elsewhere(located)
    if not files:
        raise NoSchema("The database has no schema.")
    return PrismaSchema.parse(files)


def _files_in(located: Located) -> dict[str, str] | None:
    from lamdb.graphql import stored_schema
    from lamdb.server.instance import open_database

    with open_database(located.settings, create=False) as opened, opened.reader() as connection:
        return stored_schema.read_files(connection)


def _files_elsewhere(located: Located) -> dict[str, str]:
    from lamdb.cli.remote import Operator
    from lamdb.cli.targets import open_target

    with open_target(located) as target:
        return Operator(target).schema_files()


def _models(datamodel: Mapping[str, Any]) -> Iterator[str]:
    for model in datamodel["models"]:
        yield model["name"] + (f"  (table {model['dbName']})" if model["dbName"] else "")
        width = max(len(field["name"]) for field in model["fields"])
        for field in model["fields"]:
            mark = "[]" if field["isList"] else "" if field["isRequired"] else "?"
            notes = [word for word, key in (("id", "isId"), ("unique", "isUnique")) if field[key]]
            yield f"  {field['name']:{width}}  {field['type']}{mark}  {' '.join(notes)}".rstrip()
    for enum in datamodel["enums"]:
        yield f"{enum['name']}: {', '.join(value['name'] for value in enum['values'])}"
