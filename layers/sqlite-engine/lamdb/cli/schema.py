"""`lamdb schema`: checks, layout and views of a Prisma schema."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lamdb.cli.options import Database, load

app = typer.Typer(help="Check, format and show the schema.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def validate(database: Database = None) -> None:
    """Check the schema with Prisma's own validator."""
    from lamdb.server.project import Project

    schema = Project.at(load(database=database).database).schema
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
def sdl(database: Database = None) -> None:
    """Print the GraphQL API's schema."""
    from lamdb.graphql import sdl as rendering
    from lamdb.graphql.types import ApiTypes
    from lamdb.server.project import Project

    schema = Project.at(load(database=database).database).schema
    sys.stdout.write(rendering.render(ApiTypes.from_dmmf(schema.dmmf)))


@app.command()
def show(database: Database = None) -> None:
    """Print the models with their fields."""
    from lamdb.server.project import Project

    datamodel = Project.at(load(database=database).database).schema.dmmf["datamodel"]
    for model in datamodel["models"]:
        print(model["name"] + (f"  (table {model['dbName']})" if model["dbName"] else ""))
        width = max(len(field["name"]) for field in model["fields"])
        for field in model["fields"]:
            mark = "[]" if field["isList"] else "" if field["isRequired"] else "?"
            notes = [word for word, key in (("id", "isId"), ("unique", "isUnique")) if field[key]]
            print(f"  {field['name']:{width}}  {field['type']}{mark}  {' '.join(notes)}".rstrip())
    for enum in datamodel["enums"]:
        print(f"{enum['name']}: {', '.join(value['name'] for value in enum['values'])}")
