"""The guides of docs/orms.md, executed as they stand there: files, commands, and what they print."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.signatures import endpoint

from .conftest import Server, run
from .sql_clients import PACKAGES, PYTHON, ROOT, needs_node, needs_python, output_of, workplace

pytestmark = pytest.mark.node

GUIDE = (ROOT / "docs/orms.md").read_text()
NOT_EXECUTED = ("npm install", "pip install", "lamdb ", "export ")
"""Commands of which the packages are there, and the server runs."""


@dataclass
class Section:
    """`files` by path; `steps`: commands, and what they must print."""

    files: dict[str, str] = field(default_factory=dict)
    steps: list[tuple[list[str], str | None]] = field(default_factory=list)


def sections() -> dict[str, Section]:
    found = {}
    for text in re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]:
        title, _, body = text.partition("\n")
        section = found[title] = Section()
        for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL):
            named = re.match(r"(?://|#) (\S+\.\w+)\n", block)
            if named:
                section.files[named[1]] = block
            elif language == "sh":
                section.steps.append((block.splitlines(), None))
            elif language == "text":
                section.steps[-1] = (section.steps[-1][0], block)
    return found


SECTIONS = sections()
BASE = SECTIONS["A database to connect to"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the guide's database, the packages, and a Prisma Client."""
    directory = tmp_path_factory.mktemp("guides")
    if PACKAGES.is_dir():
        workplace(directory)
    write(directory, BASE)
    (directory / "package.json").write_text('{"type": "module"}')
    assert run("migrate", "create", "init", "--database", str(directory / "database")).returncode == 0
    return directory


@pytest.fixture(scope="module")
def url(place: Path) -> Iterator[str]:
    server = Server("--store", "memory:", database=place / "database")
    yield f"{server.url}/"
    server.close()


def write(directory: Path, section: Section) -> None:
    for name, text in section.files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)


def follow(directory: Path, section: Section, **environment: str) -> int:
    """Execute a section's commands, and compare what they print; the number of comparisons."""
    write(directory, section)
    compared = 0
    for commands, expected in section.steps:
        printed = ""
        for line in commands:
            if not line.startswith(NOT_EXECUTED):
                words = line.split()
                program = str(PYTHON) if words[0] == "python" else words[0]
                printed = output_of([program, *words[1:]], directory, **environment)
        if expected is not None:
            assert printed.strip() == expected.strip(), commands
            compared += 1
    return compared


JAVASCRIPT = [
    "Prisma Client",
    "Drizzle",
    "Kysely",
    "Knex",
    "libSQL's client",
    "Turso's serverless driver",
]


@needs_node
@pytest.mark.parametrize("title", JAVASCRIPT)
def test_a_guide_for_javascript(title: str, place: Path, url: str) -> None:
    assert follow(place, SECTIONS[title], DATABASE_URL=url) >= 1


@needs_python
@pytest.mark.parametrize("title", ["Python", "SQLAlchemy"])
def test_a_guide_for_python(title: str, place: Path, url: str) -> None:
    assert follow(place, SECTIONS[title], DATABASE_URL=url) >= 1


@needs_node
def test_drizzle_may_manage_all_tables(place: Path, tmp_path: Path) -> None:
    """The API of a database without Prisma's migrations follows."""
    write(place, SECTIONS["Drizzle"])
    (found,) = re.findall(r"`(tablesFilter: \['!.*?\])`", GUIDE)
    config = (place / "drizzle.config.ts").read_text()
    assert "tablesFilter: ['todo']" in config
    (place / "all.config.ts").write_text(config.replace("tablesFilter: ['todo']", found))
    author = "\nexport const Author = sqliteTable('Author', { id: integer().primaryKey() })\n"
    (place / "all.ts").write_text((place / "schema.ts").read_text() + author)
    (place / "all.config.ts").write_text((place / "all.config.ts").read_text().replace("schema.ts", "all.ts"))
    (tmp_path / "schema.prisma").write_text(
        'datasource db {\n  provider = "sqlite"\n}\n\nmodel Author {\n  id Int @id\n}\n'
    )
    server = Server("--push", "--store", "memory:", database=tmp_path)
    try:
        push = ["npx", "drizzle-kit", "push", "--config", "all.config.ts"]
        assert "Changes applied" in output_of(push, place, DATABASE_URL=f"{server.url}/")
        assert "No changes detected" in output_of(push, place, DATABASE_URL=f"{server.url}/")
        asked = "{ findManytodo { what done } findManyAuthor { id } }"
        assert server.data(asked) == {"findManytodo": [], "findManyAuthor": []}
    finally:
        server.close()


def test_every_guide_is_followed() -> None:
    with_code = {title for title, section in SECTIONS.items() if section.files}
    assert with_code - {"A database to connect to"} == {*JAVASCRIPT, "Python", "SQLAlchemy"}


ROWS = b'{"type": "integer", "value": "7"}'
ANSWER = (
    b'{"baton": null, "base_url": null, "results": [{"type": "ok", "response": {"type": "execute", "result": '
    b'{"cols": [{"name": "_count$_all", "decltype": null}], "rows": [[' + ROWS + b"]], "
    b'"affected_row_count": 0, "last_insert_rowid": null}}}, {"type": "ok", "response": {"type": "close"}}]}'
)


@needs_node
def test_the_signed_requests_of_the_guide(place: Path) -> None:
    guide = SECTIONS["Prisma Client"]
    write(place, guide)
    if not (place / "generated").is_dir():
        output_of(guide.steps[0][0][1].split(), place)
    with endpoint(ANSWER) as signed:
        printed = output_of(["npx", "tsx", "signed.ts"], place, **signed.environment)
    assert (printed.strip(), len(signed.accepted), signed.refused) == ("7", 1, [])


@needs_node
def test_the_types_of_the_guide(place: Path) -> None:
    """The types in the guide are those that TypeScript finds."""
    names = [name for title in JAVASCRIPT for name in SECTIONS[title].files if name.endswith(".ts")]
    for title in JAVASCRIPT:
        write(place, SECTIONS[title])
    if not (place / "generated").is_dir():
        output_of(SECTIONS["Prisma Client"].steps[0][0][1].split(), place)
    options = [
        "--noEmit",
        "--strict",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
        "--target",
        "es2023",
    ]
    shutil.copy(ROOT / "docs/orms.md", place)
    output_of(["npx", "tsc", *options, "--skipLibCheck", "--types", "node", *sorted(names)], place)


DUMP = """PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE,
  joined_at DATETIME DEFAULT CURRENT_TIMESTAMP);
INSERT INTO customer VALUES(1,'ada@example.com','2026-01-31 12:00:00');
CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP);
COMMIT;
"""
MOVING = (ROOT / "docs/turso.md").read_text()


@pytest.mark.parametrize("title", ["Turso", "D1"])
def test_a_move(title: str, tmp_path: Path) -> None:
    (text,) = re.findall(rf"^## {title}\n(.*?)^## ", MOVING, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0].splitlines()
    exported, imported, served = commands
    assert exported.endswith("shop.sql")
    (tmp_path / "shop.sql").write_text(DUMP)
    words = (
        imported.replace("file:///srv", f"file://{tmp_path}").replace(" shop", f" {tmp_path}/shop").split()
    )
    assert words[:2] == ["lamdb", "import"]
    done = run(*words[1:])
    assert done.returncode == 0, done.stderr
    assert served.split()[1] == "serve"
    server = Server("--store", f"file://{tmp_path}/shop", database=tmp_path / "shop")
    try:
        assert server.data("{ findManyCustomer { email } }") == {
            "findManyCustomer": [{"email": "ada@example.com"}]
        }
        printed = run("sql", "SELECT email FROM customer", "--csv", "--url", server.url).stdout
        assert printed == "email\nada@example.com\n"
    finally:
        server.close()
