"""The implementation of `lamdb schema convert`."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from lamdb.cli.confirm import confirm
from lamdb.cli.output import CommandOutput
from lamdb.counting import counted
from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.conversion import Converted, convert
from lamdb.prisma.datamodel.layout import SchemaLayout, read_schema
from lamdb.prisma.datamodel.schema import PrismaSchema, validate

_NEXT = "Migrations for another database do not apply to SQLite. Begin new ones: lamdb migrate create init"


def convert_schema(path: Path, target: Path | None, *, overwrite: bool, output: CommandOutput) -> None:
    """Print or write the schema at `path`, converted; the changes are told on standard error.

    Raises `SchemaError` if there is no schema, or if the result is not valid. It is printed then, too, to be
    corrected by hand; and it is written, if the fault is not one of the schema that was given.
    """
    layout = SchemaLayout.of(path)
    if not layout.sources:
        raise SchemaError(f"There is no Prisma schema at {path}.", hint="Correct the path.")
    files = {str(each.relative_to(layout.root)): read_schema(each) for each in layout.sources}
    made = convert(files)
    error = _fault(made)
    if target is not None:
        if error is not None:
            _require_valid(files)
        _write(made, target, overwrite=overwrite)
    changes = [asdict(each) for each in made.changes]
    message = None if error is None else error.message
    files_made, changed = counted(len(made.files), "file"), counted(len(changes), "change")
    written = f"Wrote {target}: {files_made}, {changed}." + (" It is not valid yet." if error else "")
    text = "\n".join(made.files.values()).removesuffix("\n")
    output.result(
        {"files": made.files, "changes": changes, "valid": error is None, "error": message},
        text if target is None else written,
    )
    if made.changes and not output.is_json:
        for each in made.changes:
            print(each, file=sys.stderr)
        print(_NEXT, file=sys.stderr)
    if error is not None:
        raise SchemaError(
            f"The converted schema is not valid yet:\n{error.message}",
            code=error.code,
            hint="Correct these places by hand, then run: lamdb schema validate",
        )


def _fault(made: Converted) -> SchemaError | None:
    try:
        PrismaSchema.parse(made.files)
    except SchemaError as error:
        return error
    return None


def _require_valid(files: Mapping[str, str]) -> None:
    """Raises `SchemaError`, with the lines of the files, if Prisma refuses the schema that was given."""
    try:
        validate(files)
    except SchemaError as error:
        raise SchemaError(
            f"The schema is not valid, and nothing was written:\n{error.message}",
            code=error.code,
            hint="Correct these places, then convert the schema again.",
        ) from None


def _write(made: Converted, output: Path, *, overwrite: bool) -> None:
    present = [output / name for name in made.files if (output / name).exists()]
    if present and not overwrite:
        confirm(f"Replace {', '.join(map(str, present))}?", "--overwrite")
    for name, content in made.files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")
