"""The implementation of `lamdb init`: writes a project to begin with."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from lamdb.cli.output import CommandOutput
from lamdb.deployment.project import SEED_FILE
from lamdb.errors import TargetError
from lamdb.prisma.datamodel.layout import DEFAULT_DIRECTORY, DEFAULT_FILE
from lamdb.prisma.migrate import migrate
from lamdb.settings import TOML_FILE

_SCHEMA: Final = """\
datasource db {
  provider = "sqlite"
}

model Author {
  id    Int    @id @default(autoincrement())
  email String @unique
  name  String
  posts Post[]
}

model Post {
  id        Int      @id @default(autoincrement())
  title     String
  body      String   @default("")
  published Boolean  @default(false)
  author    Author   @relation(fields: [authorId], references: [id], onDelete: Cascade)
  authorId  Int
  createdAt DateTime @default(now())
  updatedAt DateTime @updatedAt

  @@index([authorId])
}
"""
_SEED: Final = """\
# Executed once, while all tables are empty.
mutation {
  createOneAuthor(
    data: {
      email: "ada@example.com"
      name: "Ada"
      posts: { create: [{ title: "First post", published: true }, { title: "A draft" }] }
    }
  ) {
    id
  }
}
"""
_SETTINGS: Final = """\
# Settings of lamdb commands in this directory. The environment and options win over them.
store = ".lamdb/store"
database = "database"
"""
_COMPOSE: Final = """\
# `docker compose up`: the API at http://127.0.0.1:8000/graphql.
services:
  lamdb:
    image: ${LAMDB_IMAGE:-lamdb}
    volumes:
      - ./database:/database:ro
      - data:/data
    ports:
      - 127.0.0.1:${LAMDB_PORT:-8000}:8000

volumes:
  data:
"""
_IGNORED: Final = ".lamdb/\n.env\n"
_IGNORE_FILE: Final = ".gitignore"


def init(directory: Path, *, output: CommandOutput) -> None:
    """Write schema, first migration, seed, settings, compose file and `.gitignore` into `directory`.

    Raises `TargetError`, with nothing written, if one of them exists. A `.gitignore` that exists is kept.
    """
    keeps_ignore = (directory / _IGNORE_FILE).exists()
    names = [DEFAULT_DIRECTORY, TOML_FILE, "compose.yaml", *([] if keeps_ignore else [_IGNORE_FILE])]
    present = [name for name in names if (directory / name).exists()]
    if present:
        raise TargetError(
            f"{directory} has {', '.join(present)}: nothing was written",
            hint="Name another directory: lamdb init DIR",
        )
    is_new = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".lamdb-", suffix=".tmp", dir=directory))
    try:
        _fill(staging)
        for name in names:
            (staging / name).replace(directory / name)
    except BaseException:
        shutil.rmtree(staging)
        if is_new:
            shutil.rmtree(directory)
        raise
    shutil.rmtree(staging)
    files = sorted(
        str(path.relative_to(directory))
        for name in names
        for path in ((directory / name).rglob("*") if (directory / name).is_dir() else [directory / name])
        if path.is_file()
    )
    output.result({"directory": str(directory), "files": files}, _text(directory, files, keeps_ignore))


def _fill(staging: Path) -> None:
    project = staging / DEFAULT_DIRECTORY
    project.mkdir()
    contents = {
        project / DEFAULT_FILE: _SCHEMA,
        project / SEED_FILE: _SEED,
        staging / TOML_FILE: _SETTINGS,
        staging / "compose.yaml": _COMPOSE,
        staging / _IGNORE_FILE: _IGNORED,
    }
    for path, content in contents.items():
        path.write_text(content, encoding="utf-8", newline="\n")
    migrate.create(project, "init")


def _text(directory: Path, files: list[str], keeps_ignore: bool) -> list[str]:
    lines = [f"Wrote {directory / name}" for name in files]
    if keeps_ignore:
        lines.append(f"Add these lines to {directory / _IGNORE_FILE}: {', '.join(_IGNORED.split())}")
    change = [] if directory.resolve() == Path.cwd() else [f"  cd {directory}"]
    return [
        *lines,
        "",
        "Serve it:",
        *change,
        "  lamdb serve",
        "Ask it:",
        "  lamdb query '{ findManyPost { title author { name } } }'",
        "Change database/schema.prisma, then make and apply a migration:",
        "  lamdb migrate dev --name NAME",
    ]
