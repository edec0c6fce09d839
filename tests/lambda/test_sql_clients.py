"""ORMs and SQL clients on functions in a local Lambda, by API Gateway: with the checks of `e2e/clients/`."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamdb.deployment.apply import deploy
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrations import read_migrations
from lamdb.storage import Database

from ..e2e.sql_clients import (
    CLIENTS,
    DATABASE,
    PYTHON,
    failures,
    needs_node,
    needs_python,
    output_of,
    workplace,
)
from .cluster import running

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a stage, whose users have the role admin."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
            patch.delenv(name)
        with running(tmp_path_factory.mktemp("cluster"), sql=True) as cluster:
            for name, text in cluster.s3.environment.items():
                patch.setenv(name, text)
            with Database.open(cluster.s3.url) as database:
                schema = PrismaSchema.parse((DATABASE / "schema.prisma").read_text())
                deploy(database, read_migrations(DATABASE / "migrations"), schema)
            cluster.proxy.variables = {**cluster.proxy.variables, "LAMDB_SQL_ROLE": "admin"}
            yield f"{cluster.gateway.url}/"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    assert failures(output_of(["node", "drizzle.mjs", url], place)) == {}


@needs_node
def test_drizzles_migrations(url: str, place: Path) -> None:
    kit = ["npx", "drizzle-kit"]
    environment = {"DATABASE_URL": url, "DRIZZLE_PREFIX": "migrated"}
    output_of([*kit, "generate", "--config", "drizzle.config.mjs", "--name", "init"], place, **environment)
    for _ in range(2):
        printed = output_of([*kit, "migrate", "--config", "drizzle.config.mjs"], place, **environment)
        assert "migrations applied successfully" in printed
    assert failures(output_of(["node", "drizzle.mjs", url], place, **environment)) == {}


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
