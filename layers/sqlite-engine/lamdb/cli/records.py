"""The implementation of `lamdb load` and `lamdb dump`."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from lamdb.cli.interrupts import Interrupts
from lamdb.cli.output import CommandOutput
from lamdb.counting import counted
from lamdb.errors import NoSchema, SourceError, TargetError
from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.records import dumping, loading
from lamdb.records.model import Model, model_of
from lamdb.records.reading import Format, RejectedRecord, format_of, read
from lamdb.server.instance import open_database
from lamdb.settings import Settings
from lamdb.storage import Database

_STANDARD: Final = "-"
"""Standard input or output, in place of a file."""


def load_records(
    settings: Settings,
    name: str,
    file: str,
    *,
    format_name: str | None,
    skip_errors: int,
    from_line: int,
    output: CommandOutput,
) -> None:
    format_ = format_of(format_name, file)
    with _open_source(file) as (source, size), open_database(settings, create=False) as database:
        model = _model(database, name)

        def on_fault(fault: RejectedRecord) -> None:
            print(f"lamdb: skipped {fault}", file=sys.stderr)

        with output.progress_bar(f"Loading {name}") as progress, Interrupts() as interrupts:
            records = read(source, file, model, format_, lambda done: progress(done, size))
            done = loading.load(
                database,
                model,
                (each for each in records if each.line >= from_line),
                name=file,
                skip_errors=skip_errors,
                on_fault=on_fault,
                committing=interrupts.held,
            )
        result = {
            "model": name,
            "loaded": done.records,
            "skipped": [{"line": fault.line, "message": fault.message} for fault in done.faults],
            "transactions": done.transactions,
            "txid": database.txid,
        }
        skipped = f", skipped {len(done.faults)}" if done.faults else ""
        output.result(
            result,
            f"Loaded {counted(done.records, 'record')} of {name}{skipped}: transaction {database.txid}.",
        )


def dump_records(
    settings: Settings,
    name: str,
    file: str,
    *,
    format_name: str | None,
    overwrite: bool,
    output: CommandOutput,
) -> None:
    format_ = format_of(format_name, file, Format.CSV if file == _STANDARD else None)
    target = None if file == _STANDARD else Path(file)
    if target is not None and target.exists() and not overwrite:
        raise TargetError(f"{target} exists", hint="Replace it with --overwrite, or name another file.")
    with open_database(settings, create=False) as database:
        model = _model(database, name)
        lease = database.reader()
        with lease as connection, output.progress_bar(f"Dumping {name}", of_bytes=False) as progress:
            total = dumping.count(connection, model)
            with _open_target(target) as out:
                number = dumping.dump(connection, model, format_, out, lambda done: progress(done, total))
        if target is not None:
            output.result(
                {"model": name, "records": number, "file": file, "txid": lease.txid},
                f"Dumped {counted(number, 'record')} of {name} at transaction {lease.txid} to {file}.",
            )


def _model(database: Database, name: str) -> Model:
    """Raises `NoSchema`, `UsageError`."""
    with database.reader() as connection:
        files = stored_schema.read_files(connection)
    if files is None:
        raise NoSchema("The database has no schema.")
    return model_of(PrismaSchema.parse(files), name)


@contextmanager
def _open_source(file: str) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its size in bytes, 0 if that is not known. Raises `SourceError`."""
    if file == _STANDARD:
        yield sys.stdin.buffer, 0
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
        source = os.fdopen(descriptor, "rb")
    except OSError as error:
        raise SourceError(
            f"cannot read {file}: {error.strerror}", hint="Check the path and the permissions."
        ) from None
    with source:
        yield source, os.fstat(descriptor).st_size


@contextmanager
def _open_target(target: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears when it is complete. Raises `TargetError`."""
    if target is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    except OSError as error:
        raise TargetError(f"cannot write {target}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
