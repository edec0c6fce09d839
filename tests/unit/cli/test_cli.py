"""The command line, run in this process: its documentation, and how errors leave it."""

import sys
from pathlib import Path

import pytest

import lamdb
from lamdb.cli import main
from lamdb.cli.reference import reference
from lamdb.errors import Fenced, SettingsError

ROOT = Path(__file__).parents[3]
SCHEMA = (
    'datasource db {\n  provider = "sqlite"\n}\n\nmodel Tag {\n  id   Int    @id\n  name String @unique\n}\n'
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "schema.prisma").write_text(SCHEMA)
    return directory


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`run("schema", "show")` gives exit code, output and error output."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lamdb", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_the_documentation_is_generated() -> None:
    document = (ROOT / "docs/cli.md").read_text()
    assert reference() in document, "run `python -m lamdb.cli.reference` and paste it into docs/cli.md"


def test_version(run) -> None:
    assert run("--version") == (0, f"lamdb {lamdb.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [(), ("--nope",), ("nope",), ("serve", "--nope"), ("migrate", "create")]
)
def test_wrong_calls_exit_with_2(run, arguments: tuple[str, ...]) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in err


def test_importing_the_commands_imports_nothing_heavy() -> None:
    import subprocess

    heavy = "apsw obstore wasmtime graphql httptools uvloop orjson"
    script = f"import sys, lamdb.cli.main; print([m for m in {heavy.split()!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (Fenced("lost the race"), 1, ["lamdb: lost the race", "code: FENCED", "hint: Another writer"]),
        (SettingsError("--port is 'x'"), 2, ["lamdb: --port is 'x'", "code: SETTINGS"]),
        (
            ZeroDivisionError("oh"),
            1,
            ["lamdb: ZeroDivisionError: oh", "code: INTERNAL", "LAMDB_LOG_LEVEL=debug"],
        ),
        (KeyboardInterrupt(), 130, []),
    ],
)
def test_errors_leave_as_message_code_and_hint(
    run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, printed: list[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("lamdb.cli.serve.serve", fail)
    ended, out, err = run("serve", "--store", "memory:")
    assert (ended, out) == (code, "")
    assert [part for part in printed if part not in err] == []
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("variables", "budget"), [({}, 256 * 1024 * 1024), ({"LAMDB_MEMORY": "32MiB"}, 32 * 1024 * 1024)]
)
def test_a_server_takes_a_share_of_the_memory_unless_it_is_set(
    run, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], budget: int
) -> None:
    served = []
    monkeypatch.setattr("lamdb.cli.serve.serve", lambda settings, **_: served.append(settings.memory))
    monkeypatch.setattr("lamdb.server.usable_memory.usable_memory", lambda: 2048 * 1024 * 1024)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert run("serve", "--store", "memory:")[0] == 0
    assert served == [budget]


def test_schema_commands(run, project: Path) -> None:
    database = ("--database", str(project))
    assert run("schema", "validate", *database) == (0, "The schema is valid: 1 model.\n", "")
    assert run("schema", "show", *database)[1] == "Tag\n  id    Int  id\n  name  String  unique\n"
    assert "type Query {\n" in run("schema", "sdl", *database)[1]
    assert run("schema", "format", "--check", *database) == (0, "", "")

    (project / "schema.prisma").write_text(SCHEMA.replace("id   Int    @id", "id Int @id"))
    code, out, _ = run("schema", "format", "--check", *database)
    assert (code, out) == (1, f"not formatted: {project / 'schema.prisma'}\n")
    assert run("schema", "format", *database)[0] == 0
    assert (project / "schema.prisma").read_text() == SCHEMA


def test_no_file_is_formatted_if_one_cannot_be(run, project: Path) -> None:
    loose = SCHEMA.replace("id   Int    @id", "id Int @id")
    (project / "schema.prisma").write_text(loose)
    (project / "z.prisma").write_text("enum Z { A B }\nenum Y {\n  A\n}\n")
    for more in ((), ("--check",)):
        code, _, err = run("schema", "format", "--database", str(project), *more)
        assert code == 1
        assert "z.prisma:1" in err
    assert (project / "schema.prisma").read_text() == loose
    assert (project / "z.prisma").read_text() == "enum Z { A B }\nenum Y {\n  A\n}\n"


def test_an_invalid_schema_is_shown_with_its_place(run, project: Path) -> None:
    (project / "schema.prisma").write_text(SCHEMA.replace("String", "Strng"))
    code, _, err = run("schema", "validate", "--database", str(project))
    assert code == 1
    assert "schema.prisma:7" in err
    assert "code: P1012" in err


def test_from_schema_to_data(run, project: Path, tmp_path: Path) -> None:
    database, store = ("--database", str(project)), ("--store", f"file://{tmp_path}/store")
    code, _, err = run("migrate", "deploy", *database, *store)
    assert code == 1
    assert "lamdb migrate create init" in err

    code, out, _ = run("migrate", "create", "init", *database)
    assert code == 0
    assert Path(out.removeprefix("Created ").strip()).read_text().startswith("-- CreateTable")
    assert "nothing to create" in run("migrate", "create", "again", *database)[1]

    assert run("migrate", "deploy", *database, *store)[1].endswith("up to date, at transaction 1.\n")
    assert run("migrate", "deploy", *database, *store)[1] == "The store is up to date, at transaction 1.\n"
    assert run("migrate", "status", *database, *store)[0] == 0

    (project / "schema.prisma").write_text(SCHEMA.replace("}\n\nmodel", "}\n\nmodel").replace("@unique", ""))
    code, out, _ = run("migrate", "status", *database, *store)
    assert code == 1
    assert "changes that no migration has" in out

    run("migrate", "create", "not unique", *database)
    code, out, _ = run("migrate", "status", *database, *store)
    assert code == 1
    assert "pending: " in out


def test_query(run, monkeypatch: pytest.MonkeyPatch, project: Path, tmp_path: Path) -> None:
    database, store = ("--database", str(project)), ("--store", f"file://{tmp_path}/store")
    run("migrate", "create", "init", *database)
    run("migrate", "deploy", *database, *store)
    create = 'mutation ($id: Int!) { createOneTag(data: { id: $id, name: "x" }) { id } }'
    code, out, _ = run("query", create, "--variables", '{"id": 1}', *store)
    assert (code, out) == (0, '{\n  "data": {\n    "createOneTag": {\n      "id": 1\n    }\n  }\n}\n')
    code, out, _ = run("query", create, "--variables", '{"id": 1}', *store)
    assert code == 1
    assert "P2002" in out
    two = "query A { findManyTag { id } } query B { findManyTag { name } }"
    assert '"name": "x"' in run("query", two, "--operation", "B", *store)[1]
    assert run("query", create, "--variables", "[1]", *store)[0] == 2
    assert run("query", create, "--variables", "{", *store)[0] == 2
