"""Guesses the format of a file that is not a SQLite database, and how to convert it.

From the magic numbers that each format documents, and for texts from how they begin.
"""

import re
from pathlib import Path
from typing import Final

SQLITE_MAGIC: Final = b"SQLite format 3\0"

_HEAD_BYTES: Final = 4096
_UNPACK: Final = "Unpack it first: "
_WAL: Final = "Import the database beside it: what is in the WAL is included."
_MAGIC: Final = (
    (b"\x1f\x8b", "compressed with gzip", _UNPACK + "gunzip -k {file}"),
    (b"\xfd7zXZ\0", "compressed with xz", _UNPACK + "xz -dk {file}"),
    (b"BZh", "compressed with bzip2", _UNPACK + "bunzip2 -k {file}"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", _UNPACK + "zstd -d {file}"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4", _UNPACK + "lz4 -d {file}"),
    (b"PK\x03\x04", "a ZIP archive", _UNPACK + "unzip {file}"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK + "7z x {file}"),
    (
        b"LTX1",
        "an LTX file of a store",
        "A store needs no import: name it with --store, see `lamdb restore`.",
    ),
    (b"\x37\x7f\x06\x82", "the WAL of a database", _WAL),
    (b"\x37\x7f\x06\x83", "the WAL of a database", _WAL),
    (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", "the journal of a database", "Import the database beside it."),
    (
        b"** This file contains an SQLite 2",
        "a database of SQLite 2",
        "Convert it: sqlite OLD .dump | sqlite3 NEW",
    ),
    (b"PGDMP", "a dump of PostgreSQL", "Convert the dump to SQLite first, with pgloader for example."),
    (b"PAR1", "a Parquet file", "Load it into a SQLite file first, and import that."),
    (b"\0\x01\0\0Standard ", "a database of Microsoft Access", "Convert it to SQLite first, as mdbtools do."),
)
_SQL: Final = re.compile(
    rb"(?:\xef\xbb\xbf|\s|--[^\n]*\n|/\*.*?\*/;?)*"
    rb"(?:PRAGMA|BEGIN|CREATE|INSERT|DROP|SET|USE|START|ALTER|DELETE|ATTACH)\b",
    re.IGNORECASE | re.DOTALL,
)
_SCRIPT: Final = "a script of SQL"
_OTHER_SQL: Final = ((b"MySQL", "MySQL"), (b"MariaDB", "MariaDB"), (b"PostgreSQL", "PostgreSQL"))
_SEPARATORS: Final = ((",", "CSV", "--csv"), ("\t", "tab-separated", "--tabs"), (";", "CSV", "--csv"))
_EVENLY_SPREAD: Final = 150
"""1024 random bytes hold some 251 of the 256 values; text and most formats hold fewer."""


def describe_other(source: Path) -> tuple[str, str] | None:
    """Returns the kind of a file and what to do about it; None if it begins as a SQLite database does."""
    with source.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(SQLITE_MAGIC):
        return None
    for magic, said, hint in _MAGIC:
        if head.startswith(magic):
            return said, hint.format(file=source)
    if head[257:262] == b"ustar":
        return "a tar archive", f"Unpack it first: tar -xf {source}"
    if head[8:12] == b"DUCK":
        return "a database of DuckDB", "Copy it into a SQLite file first: ATTACH 'new.db' (TYPE sqlite)."
    if b"\0" not in head and _is_text(head):
        return _describe_text(source, head)
    size = source.stat().st_size
    if size % 512 == 0 and len(set(head[:1024])) > _EVENLY_SPREAD:
        return (
            "an encrypted database, such as SQLCipher's, or no database",
            "Write it without encryption first: sqlcipher has ATTACH … KEY '' and sqlcipher_export.",
        )
    return "no SQLite database", "Name a SQLite database file."


def is_sql_script(source: Path) -> bool:
    """True if a file seems to be SQL in SQLite's dialect. False for a file that cannot be read."""
    try:
        with source.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return b"\0" not in head and _is_text(head) and _describe_text(source, head)[0] == _SCRIPT


def describe_directory(source: Path) -> tuple[str, str]:
    """Returns the kind of a directory and what to do about it."""
    if (source / "ltx").is_dir():
        return "a store", f"It needs no import: --store {source.absolute().as_uri()}"
    found = sorted(each.name for each in source.iterdir() if each.is_file() and _begins_as_sqlite(each))
    if not found:
        return "a directory", "Name a SQLite database file."
    shown = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
    return "a directory", f"Name one of the databases in it: {shown}"


def _begins_as_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError:
        return False


def _describe_text(source: Path, head: bytes) -> tuple[str, str]:
    made = source.with_suffix(".db").name
    if _SQL.match(head):
        for mark, product in _OTHER_SQL:
            if mark in head:
                return f"a dump of {product}", "Import takes SQLite files only: convert the dump first."
        return _SCRIPT, f"Make a database of it: sqlite3 {made} < {source}"
    if head.lstrip()[:1] in (b"{", b"["):
        return "JSON", f"Load the records of a model, one JSON object a line: lamdb load MODEL {source}"
    lines = head.decode("utf-8", "replace").splitlines()
    for separator, name, mode in (
        (",", "CSV", "--csv"),
        ("\t", "tab-separated", "--tabs"),
        (";", "CSV", "--csv"),
    ):
        if lines and separator in lines[0]:
            option = ' -separator ";"' if separator == ";" else ""
            command = f"""sqlite3 {made}{option} ".import {mode} '{source}' {source.stem}\""""
            loaded = (
                f"Load the records of a model: lamdb load MODEL {source}\nOr make"
                if separator == ","
                else "Make"
            )
            return f"a {name} text", f"{loaded} a database of it: {command}"
    return "a text", "Name a SQLite database file."


def _is_text(head: bytes) -> bool:
    # The end may be in the middle of a character.
    for end in range(len(head), max(len(head) - 4, 0), -1):
        try:
            text = head[:end].decode()
        except UnicodeDecodeError:
            continue
        return all(each.isprintable() or each.isspace() or each == "\ufeff" for each in text)
    return False
