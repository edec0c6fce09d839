"""`lamdb load` and `lamdb dump` on a store."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.command_line import Run, run

__all__ = ["run"]

SCHEMA = """
datasource db {
  provider = "sqlite"
}

model Tag {
  id   Int    @id @default(autoincrement())
  name String @unique
}
"""


@pytest.fixture
def store(run: Run, tmp_path: Path) -> str:
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    done = run("migrate", "push", "--store", tmp_path / "store", "--database", tmp_path)
    assert done.code == 0, done.err
    return str(tmp_path / "store")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "ndjson"])
def test_a_dump_is_loaded_again(run: Run, store: str, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "tags.csv"
    source.write_text("name\na\nb\n")
    done = run("load", "Tag", source, "--store", store)
    assert done.code == 0, done.err
    assert "Loaded 2 records of Tag" in done.out
    target = tmp_path / f"copy.{suffix}"
    assert run("dump", "Tag", target, "--store", store).code == 0
    assert run("dump", "Tag", target, "--store", store).code == 1, "it exists"
    assert run("dump", "Tag", target, "--store", store, "--overwrite", "--json").json["records"] == 2
    refused = run("load", "Tag", target, "--store", store, "--json")
    assert refused.code == 1
    assert refused.json["error"]["code"] == "SOURCE"
    assert [path for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_standard_input_and_output(run: Run, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    give('{"name": "x"}\n{"nam": 1}\n{"name": "y"}\n')
    done = run("load", "Tag", "-", "--format", "jsonl", "--skip-errors", "1", "--store", store, "--json")
    assert done.code == 0, done.err
    assert done.json["loaded"] == 2
    (skipped,) = done.json["skipped"]
    assert skipped["line"] == 2
    assert "line 2" in done.err
    assert run("dump", "Tag", "--store", store).out == "id,name\r\n1,x\r\n2,y\r\n"
    assert run("dump", "Tag", "--format", "jsonl", "--store", store).out.startswith('{"id":1,"name":"x"}\n')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("load", "Tag", "tags.txt"), "does not say the format"),
        (("load", "Tag", "-"), "does not say the format"),
        (("load", "Tag", "tags.csv"), "cannot read tags.csv"),
        (("load", "Tag", "tags.csv", "--skip-errors", "-1"), "whole number"),
        (("load", "Tag", "tags.csv", "--format", "xml"), "csv, jsonl"),
        (("dump", "Nobody"), "no model Nobody"),
        (("dump", "Tag", "nowhere/tags.csv"), "cannot write nowhere/tags.csv"),
    ],
)
def test_wrong_use_is_explained(run: Run, store: str, arguments: tuple[Any, ...], message: str) -> None:
    done = run(*arguments, "--store", store)
    assert done.code in (1, 2)
    assert message in done.err


def test_the_rest_of_a_file_is_loaded(run: Run, store: str, tmp_path: Path) -> None:
    source = tmp_path / "tags.csv"
    source.write_text('name\na\n"b\nb"\nc\nd\n')
    assert run("load", "Tag", source, "--from-line", "5", "--store", store).code == 0
    assert run("dump", "Tag", "--store", store).out == "id,name\r\n1,c\r\n2,d\r\n"
    assert "whole number" in run("load", "Tag", source, "--from-line", "x", "--store", store).err


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "tags.csv",
            "id;name\n1;a\n",
            "line 1: the fields are separated by semicolons, and must be by commas.",
        ),
        ("tags.csv", "id\tname\n1\ta\n", "separated by tabs"),
        ("tags.csv", "nam\na\n", "no field 'nam'; it has id, name. No record was loaded."),
        ("tags.csv", "id,name\n1\n", "it has 1 field, and the header 2."),
        ("tags.json", '{"name": "a"}', "line 1: it is not a list of JSON objects"),
        ("tags.tsv", "id\tname\n1\ta\n", "csv (separated by commas), jsonl"),
    ],
)
def test_files_of_other_kinds(
    run: Run, store: str, tmp_path: Path, file: str, content: str, message: str
) -> None:
    (tmp_path / file).write_text(content)
    done = run("load", "Tag", tmp_path / file, "--store", store)
    assert done.code in (1, 2)
    assert message in done.err
