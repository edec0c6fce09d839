"""Files that are no SQLite databases: each is named for what it is, with what to do about it."""

import bz2
import gzip
import io
import lzma
import random
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import pytest

from lamdb.storage.backup.sniffing import describe_directory, describe_other

CSV = "id,name,city\n1,Ada,London\n2,Zoë,Paris\n"
DUMP = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nCOMMIT;\n"


def archive(kind: str) -> bytes:
    made = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(made, "w") as file:
            file.writestr("a.db", b"x")
    else:
        with tarfile.open(fileobj=made, mode="w") as file:
            file.addfile(tarfile.TarInfo("a.db"), io.BytesIO())
    return made.getvalue()


FILES = {
    "a.db.gz": (gzip.compress(b"SQLite format 3\0"), "gzip", "gunzip"),
    "a.db.xz": (lzma.compress(b"SQLite format 3\0"), "xz", "xz -dk"),
    "a.db.bz2": (bz2.compress(b"SQLite format 3\0"), "bzip2", "bunzip2"),
    "a.db.zst": (b"\x28\xb5\x2f\xfd" + bytes(20), "Zstandard", "zstd -d"),
    "a.zip": (archive("zip"), "a ZIP archive", "unzip"),
    "a.tar": (archive("tar"), "a tar archive", "tar -xf"),
    "dump.sql": (DUMP.encode(), "a script of SQL", "sqlite3 dump.db <"),
    "bom.sql": ("\ufeff-- x\n/* y */\ncreate table t (a);".encode(), "a script of SQL", "sqlite3 bom.db"),
    "my.sql": (b"-- MySQL dump 10.13\n\nDROP TABLE IF EXISTS `t`;", "a dump of MySQL", "convert"),
    "pg.sql": (b"--\n-- PostgreSQL database dump\n--\n\nSET x = 0;", "a dump of PostgreSQL", "convert"),
    "pg.dump": (b"PGDMP\x01\x0e", "a dump of PostgreSQL", "pgloader"),
    "x.csv": (CSV.encode(), "a CSV text", "sqlite3 x.db"),
    "x.tsv": (CSV.replace(",", "\t").encode(), "a tab-separated text", ".import --tabs"),
    "de.csv": (CSV.replace(",", ";").encode(), "a CSV text", 'separator ";"'),
    "x.json": (b' {"a": [1, 2]}', "JSON", "lamdb load MODEL"),
    "notes.txt": (b"hello there\n", "a text", "Name a SQLite"),
    "x.parquet": (b"PAR1" + bytes(20), "a Parquet file", "Load it"),
    "x.duckdb": (bytes(8) + b"DUCK" + bytes(20), "DuckDB", "ATTACH"),
    "x.mdb": (b"\0\x01\0\0Standard Jet DB\0", "Microsoft Access", "mdbtools"),
    "old.db": (b"** This file contains an SQLite 2.1 database **\0", "SQLite 2", "sqlite OLD"),
    "x.ltx": (b"LTX1" + bytes(96), "an LTX file", "--store"),
    "x.db-wal": (b"\x37\x7f\x06\x82" + bytes(28), "the WAL", "beside it"),
    "x.db-journal": (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504), "the journal", "beside it"),
    "secret.db": (random.Random(7).randbytes(8192), "an encrypted database", "sqlcipher"),
    "zeros.bin": (bytes(4096), "no SQLite database", "Name a SQLite"),
    "short": (b"SQLite", "a text", "Name a SQLite"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_is(tmp_path: Path, name: str) -> None:
    content, said, hint = FILES[name]
    file = tmp_path / name
    file.write_bytes(content)
    found = describe_other(file)
    assert found is not None
    assert said in found[0]
    assert hint in found[1]


def test_a_text_is_told_though_its_beginning_ends_within_a_character(tmp_path: Path) -> None:
    file = tmp_path / "long.csv"
    file.write_text("a,b\n" + "ü" * 4000, encoding="utf-8")
    assert describe_other(file) is not None
    assert (describe_other(file) or ("",))[0] == "a CSV text"


def test_a_database_is_none_of_these(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    assert describe_other(file) is None


def test_a_directory_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    assert describe_directory(tmp_path) == ("a directory", "Name a SQLite database file.")
    (tmp_path / "notes.txt").write_text("x")
    for name in ("places.sqlite", "cookies.sqlite"):
        (tmp_path / name).write_bytes(b"SQLite format 3\0" + bytes(84))
    assert describe_directory(tmp_path)[1] == "Name one of the databases in it: cookies.sqlite, places.sqlite"
    (tmp_path / "ltx").mkdir()
    assert describe_directory(tmp_path)[0] == "a store"
