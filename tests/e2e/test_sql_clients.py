"""Existing SQL clients work with `lamdb serve`: ORMs, query builders and drivers, each with the same checks.

The checks are in `clients/`: create, read, update, delete, transaction, rollback, errors of constraints,
values at the edges of their types, and 10,000 rows.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.signatures import endpoint

from .conftest import Server
from .sql_clients import (
    ADAPTER,
    CLIENTS,
    DATABASE,
    PYTHON,
    failures,
    needs_node,
    needs_python,
    output_of,
    workplace,
)

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a database that all clients share; each has tables of its own."""
    server = Server("--store", "memory:", database=DATABASE)
    yield f"{server.url}/"
    server.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the scripts, and with a Prisma Client of the database."""
    directory = workplace(tmp_path_factory.mktemp("clients"))
    for script in CLIENTS.glob("*.mjs"):
        shutil.copy(script, directory)
    shutil.copy(DATABASE / "schema.prisma", directory)
    output_of(["npx", "prisma", "generate", "--schema", "schema.prisma"], directory)
    return directory


@needs_node
@pytest.mark.parametrize("adapter", ["lamdb", "libsql"])
def test_prisma_client(url: str, place: Path, adapter: str) -> None:
    assert failures(output_of(["node", "prisma.mjs", url, "./client/index.js", adapter], place)) == {}


@needs_node
def test_drizzle_with_its_kit(url: str, place: Path) -> None:
    push = ["npx", "drizzle-kit", "push", "--config", "drizzle.config.mjs"]
    assert "Changes applied" in output_of(push, place, DATABASE_URL=url)
    assert "No changes detected" in output_of(push, place, DATABASE_URL=url)
    assert failures(output_of(["node", "drizzle.mjs", url], place)) == {}


@needs_node
def test_drizzles_migrations(url: str, place: Path) -> None:
    kit = ["npx", "drizzle-kit"]
    environment = {"DATABASE_URL": url, "DRIZZLE_PREFIX": "migrated"}
    output_of([*kit, "generate", "--config", "drizzle.config.mjs", "--name", "init"], place, **environment)
    for _ in range(2):
        printed = output_of([*kit, "migrate", "--config", "drizzle.config.mjs"], place, **environment)
        assert "migrations applied successfully" in printed
    printed = output_of(["node", "drizzle.mjs", url], place, **environment)
    assert failures(printed) == {}


@needs_node
@pytest.mark.parametrize("dialect", ["kysely-libsql", "@libsql/kysely-libsql"])
def test_kysely(url: str, place: Path, dialect: str) -> None:
    assert failures(output_of(["node", "kysely.mjs", url, dialect], place)) == {}


@needs_node
@pytest.mark.parametrize("script", ["libsql.mjs", "knex.mjs", "serverless.mjs"])
def test_javascript(url: str, place: Path, script: str) -> None:
    assert failures(output_of(["node", script, url], place)) == {}


@needs_python
@pytest.mark.parametrize("script", ["python_libsql.py", "sqlalchemy_orm.py"])
def test_python(url: str, script: str) -> None:
    assert failures(output_of([str(PYTHON), str(CLIENTS / script), url], CLIENTS)) == {}


@needs_node
def test_the_prisma_adapter_alone(place: Path) -> None:
    installed = place / "node_modules/@lamdb/prisma-adapter"
    shutil.copytree(ADAPTER / "test", installed / "test", dirs_exist_ok=True)
    output_of(["node", "--test", "test/"], installed)


@needs_node
def test_the_types_of_the_prisma_adapter(place: Path) -> None:
    (place / "use.ts").write_text(
        "import { PrismaLamdb, type LamdbConfig } from '@lamdb/prisma-adapter'\n"
        "import { PrismaClient } from './client/index.js'\n"
        "const token = async () => 'x'\n"
        "const config: LamdbConfig = { url: 'https://db.example.com', authToken: token, timeout: 1000 }\n"
        "const adapter = new PrismaLamdb(config)\n"
        "export const prisma = new PrismaClient({ adapter })\n"
        "export const txid: string | undefined = adapter.txid\n"
        "// @ts-expect-error the address is needed\n"
        "new PrismaLamdb({})\n"
    )
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023", "--types", ""]
    output_of(["npx", "tsc", *options, "--skipLibCheck", "use.ts"], place)


TOKEN = "a token of this test".replace(" ", "-")


@pytest.fixture
def guarded() -> Iterator[str]:
    """The address of a database that wants a token, which may only read."""
    server = Server("--store", "memory:", database=DATABASE, LAMDB_SQL_TOKENS=f"read:{TOKEN}")
    yield f"{server.url}/"
    server.close()


@needs_node
@needs_python
def test_tokens(guarded: str, place: Path) -> None:
    assert failures(output_of(["node", "tokens.mjs", guarded, TOKEN], place)) == {}
    assert failures(output_of([str(PYTHON), str(CLIENTS / "tokens.py"), guarded, TOKEN], CLIENTS)) == {}


ANSWER = (
    b'{"baton": null, "base_url": null, "results": [{"type": "ok", "response": {"type": "execute", "result": '
    b'{"cols": [], "rows": [], "affected_row_count": 1, "last_insert_rowid": null}}}, '
    b'{"type": "ok", "response": {"type": "close"}}]}'
)


@needs_node
def test_requests_that_fetch_signs(place: Path) -> None:
    (place / "signed.mjs").write_text(
        "import { PrismaLamdb } from '@lamdb/prisma-adapter'\n"
        "import { AwsClient } from 'aws4fetch'\n"
        "const { env } = process\n"
        "const aws = new AwsClient({\n"
        "  accessKeyId: env.AWS_ACCESS_KEY_ID, secretAccessKey: env.AWS_SECRET_ACCESS_KEY,\n"
        "  sessionToken: env.AWS_SESSION_TOKEN, region: env.AWS_REGION, service: 'execute-api',\n"
        "})\n"
        "const fetch = (url, init) => aws.fetch(url, init)\n"
        "const adapter = await new PrismaLamdb({ url: env.LAMDB_URL, fetch }).connect()\n"
        "console.log(await adapter.executeRaw({ sql: 'DELETE FROM Book', args: [], argTypes: [] }))\n"
    )
    with endpoint(ANSWER) as signed:
        printed = output_of(["node", "signed.mjs"], place, **signed.environment)
    assert printed.strip() == "1"
    assert len(signed.accepted) == 1
    assert signed.refused == []


@needs_node
def test_transactions_that_orms_leave_open(place: Path) -> None:
    server = Server(
        "--store",
        "memory:",
        database=DATABASE,
        LAMDB_SQL_IDLE_SECONDS="0.5",
        LAMDB_SQL_TRANSACTION_SECONDS="2",
    )
    try:
        command = ["node", "expiry.mjs", f"{server.url}/", "./client/index.js"]
        assert failures(output_of(command, place)) == {}
    finally:
        server.close()
