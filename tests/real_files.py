"""Import every SQLite file of a directory, compare every row, and migrate every table once.

    python -m tests.real_files DIR [--json FILE]

Each file is imported into a store of its own. Every row of every model and view is asked for through the API
and compared with what SQLite has. Then one migration makes a field of each table optional, or adds a column
where none can be, so that tables are rebuilt, and adds an index to each. Afterwards the exported file must
have every trigger, view, index, default, CHECK, collation and generated column that it had, and every row.

It prints one line for each file, and ends with 1 if any of them has a fault.
"""

import argparse
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.support.imported_databases import SCALARS, Imported, differences, imported, in_sync

from lamdb.prisma.datamodel.schema_text import Block, Field, parse_blocks, render
from lamdb.storage.backup.sniffing import SQLITE_MAGIC

_KINDS = ("trigger", "view", "index")
_FIXED = re.compile(r"@(id|unique|ignore|default\(dbgenerated)")


@dataclass
class Outcome:
    """The report on one file; `faults` is empty if all of it was as expected."""

    file: str
    size: int
    tables: int = 0
    models: int = 0
    views: int = 0
    rows: int = 0
    rebuilt: int = 0
    indexed: int = 0
    faults: list[str] = field(default_factory=list)


def files_in(directory: Path) -> Iterator[Path]:
    """The SQLite files of a directory and below, but empty ones."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC:
                    yield path


def check(source: Path, place: Path) -> Outcome:
    """Import, compare, migrate and compare one file, below the directory `place`."""
    outcome = Outcome(source.name, source.stat().st_size)
    try:
        with imported(source, place) as found:
            outcome.tables, outcome.models = found.report["tables"], found.report["models"]
            outcome.views = found.report["views"]
            outcome.faults += [f"import: {message}" for message in found.findings("difference").values()]
            outcome.faults += [f"rows: {each}" for each in differences(found)]
            if found.report["migration"] is not None and not in_sync(found):
                outcome.faults.append("import: the store and its schema do not agree")
        exported = place / "before.db"
        _lamdb("export", str(exported), "--store", found.settings.store or "")
        before = definitions(exported)
        outcome.rows = _rows(exported)
        if found.report["migration"] is None:
            # Its own migrations have to be put beside the schema before others can be made.
            return outcome
        _migrate(found, outcome)
        if outcome.rebuilt or outcome.indexed:
            exported = place / "after.db"
            _lamdb("export", str(exported), "--store", found.settings.store or "")
            outcome.faults += [f"lost: {each}" for each in sorted(before - definitions(exported))]
            if _rows(exported) != outcome.rows:
                outcome.faults.append(f"rows: {outcome.rows} before the migration, {_rows(exported)} after")
            if _integrity(exported) != "ok":
                outcome.faults.append(f"integrity: {_integrity(exported)}")
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what this looks for
        outcome.faults.append(f"{type(error).__name__}: {str(error)[:500]}")
    return outcome


def _migrate(found: Imported, outcome: Outcome) -> None:
    path = found.directory / "schema.prisma"
    blocks = parse_blocks(path.read_text(encoding="utf-8"))
    for block in blocks:
        if block.kind != "model" or block.is_ignored:
            continue
        made = _optional(block)
        outcome.rebuilt += made
        if (indexed := _indexable(block)) is not None:
            block.rest.append(f'@@index([{indexed.name}], map: "lamdb_test_{block.name}")')
            outcome.indexed += 1
    path.write_text(render(blocks), encoding="utf-8")
    _lamdb(
        "migrate", "dev", "--name", "real", "--accept-data-loss",
        "--store", found.settings.store or "", "--database", str(found.directory),
    )  # fmt: skip


def _optional(block: Block) -> bool:
    """Makes the first field optional that may be, which rebuilds the table."""
    keyed = set(
        re.findall(r"\w+", " ".join(line for line in block.rest if line.startswith(("@@id", "@@unique"))))
    )
    linked = {name for each in block.fields for name in each.linked}
    for each in block.fields:
        is_free = each.type in SCALARS and not each.is_rowid and each.name not in keyed | linked
        if is_free and not each.arity and not _FIXED.search(each.attributes):
            each.arity = "?"
            return True
    return False


def _indexable(block: Block) -> Field | None:
    usable = (each for each in block.fields if each.type in ("Int", "BigInt", "String") and not each.is_rowid)
    return next((each for each in usable if not re.search(r"@(id|ignore)", each.attributes)), None)


def _lamdb(*arguments: str) -> None:
    command = [sys.executable, "-c", "from lamdb.cli import main; main()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"lamdb {arguments[0]}: {done.stderr.strip()}")


def definitions(path: Path) -> set[str]:
    """Lists the objects of a file beside tables, and the parts of its columns beside names and types."""
    connection = sqlite3.connect(path)
    found = set()
    for kind, name, table, sql in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"):
        if name.startswith(("sqlite_", "_lamdb_", "_prisma")) or table.startswith(("_lamdb_", "_prisma")):
            continue
        if kind in _KINDS:
            # Migrations write the SQL of indexes anew.
            found.add(f"{kind} {name} on {table}" + ("" if kind == "index" else f": {_bare(sql)}"))
        elif kind == "table" and sql and not sql.upper().startswith("CREATE VIRTUAL"):
            sql = re.sub(r"--[^\n]*", "", sql)
            checks = len(re.findall(r"\bCHECK\s*\(", sql, re.IGNORECASE))
            found.add(f"{checks} CHECK of {name}")
            for column, default, hidden in connection.execute(
                "SELECT name, dflt_value, hidden FROM pragma_table_xinfo(?)", (name,)
            ):
                found.add(f"default of {name}.{column}: {_default(default)}")
                found.add(f"generated {name}.{column}: {hidden}")
            options = connection.execute(
                "SELECT wr, strict FROM pragma_table_list WHERE name = ?", (name,)
            ).fetchone()
            found.add(f"options of {name}: {options}")
            found |= {f"collation {each} of {name}" for each in re.findall(r"COLLATE\s+(\w+)", sql.upper())}
    connection.close()
    return found


def _bare(sql: str) -> str:
    return re.sub(r"\s+", " ", sql)


def _default(text: str | None) -> str | None:
    """Without what does not matter: blanks, parentheses, quotes, `.0` of a number, an explicit null.

    `true` and `false` are 1 and 0 to SQLite. The present time has the form in which the API stores it.
    """
    if text is None or text.strip("() ").upper() == "NULL":
        return None
    bare = re.sub(r"^[('\"]+|[)'\"]+$", "", re.sub(r"\s+", "", text)).upper()
    if re.fullmatch(r"-?\d+\.0", bare):
        return bare.removesuffix(".0")
    if bare.startswith("STRFTIME('%Y-%M-%DT") and bare.endswith("NOW"):
        return "CURRENT_TIMESTAMP"
    return {"TRUE": "1", "FALSE": "0"}.get(bare, bare)


def _rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    names = connection.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
        " AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_lamdb_*' AND name <> '_prisma_migrations'"
    ).fetchall()
    quoted = ('"' + name.replace('"', '""') + '"' for (name,) in names)
    total = sum(connection.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in quoted)
    connection.close()
    return int(total)


def _integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    return str(found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.real_files", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--json", type=Path, help="write the outcomes to this file, too")
    arguments = parser.parse_args()
    outcomes = []
    for source in files_in(arguments.directory):
        with tempfile.TemporaryDirectory() as place:
            outcome = check(source, Path(place))
        outcomes.append(outcome)
        counts = (
            f"{outcome.tables} tables, {outcome.models} models, {outcome.views} views, {outcome.rows} rows"
        )
        changed = f"{outcome.rebuilt} rebuilt, {outcome.indexed} indexed"
        print(f"{'FAULT' if outcome.faults else 'ok   '} {outcome.file}: {counts}; {changed}", flush=True)
        for fault in outcome.faults:
            print(f"      {fault}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in outcomes], indent=1), encoding="utf-8")
    sys.exit(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    main()
