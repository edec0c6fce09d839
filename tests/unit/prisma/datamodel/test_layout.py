"""Where schemas and migrations are looked for."""

from pathlib import Path

import pytest

from lamdb.prisma.datamodel.layout import SchemaLayout, default_directory

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
MODEL = "model {} {{\n  id Int @id\n}}\n"


def place(root: Path, *names: str) -> None:
    """Files with a datasource where a name ends in `*`; folders where it ends in `/`."""
    for name in names:
        path = root / name.rstrip("*/")
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((HEAD if name.endswith("*") else "") + MODEL.format(path.stem.capitalize()))


def found(root: Path, directory: str = ".") -> tuple[list[str], str]:
    layout = SchemaLayout.of(root / directory)
    names = [str(path.relative_to(root)) for path in layout.sources]
    return names, str(layout.migrations.relative_to(root))


@pytest.mark.parametrize(
    ("files", "directory", "sources", "migrations"),
    [
        (["prisma/schema.prisma*", "prisma/migrations/"], ".", ["prisma/schema.prisma"], "prisma/migrations"),
        (["prisma/schema.prisma*"], "prisma", ["prisma/schema.prisma"], "prisma/migrations"),
        (["prisma/schema.prisma*"], "prisma/schema.prisma", ["prisma/schema.prisma"], "prisma/migrations"),
        (
            ["prisma/schema/main.prisma*", "prisma/schema/user.prisma", "prisma/migrations/"],
            ".",
            ["prisma/schema/main.prisma", "prisma/schema/user.prisma"],
            "prisma/migrations",
        ),
        (
            ["prisma/schema/main.prisma*", "prisma/schema/user.prisma", "prisma/schema/migrations/"],
            "prisma",
            ["prisma/schema/main.prisma", "prisma/schema/user.prisma"],
            "prisma/schema/migrations",
        ),
        (
            ["prisma/schema/main.prisma*", "prisma/migrations/"],
            "prisma/schema",
            ["prisma/schema/main.prisma"],
            "prisma/migrations",
        ),
        (
            ["prisma/schema.prisma*", "prisma/models/a.prisma", "prisma/models/deep/b.prisma"],
            "prisma",
            ["prisma/models/a.prisma", "prisma/models/deep/b.prisma", "prisma/schema.prisma"],
            "prisma/migrations",
        ),
        (["schema.prisma*", "migrations/"], ".", ["schema.prisma"], "migrations"),
        # Copies are no part of the schema.
        (
            [
                "prisma/schema.prisma*",
                "prisma/migrations/20200101000000_a/schema.prisma*",
                "prisma/generated/client/schema.prisma*",
                "prisma/node_modules/.prisma/schema.prisma*",
                "prisma/.cache/schema.prisma*",
            ],
            "prisma",
            ["prisma/schema.prisma"],
            "prisma/migrations",
        ),
        # Alternatives for other databases neither.
        (
            ["prisma/schema.prisma*", "prisma/postgres/schema.prisma*", "prisma/postgres/user.prisma"],
            "prisma",
            ["prisma/schema.prisma"],
            "prisma/migrations",
        ),
        (
            ["prisma/schema.prisma*", "prisma/schema.mysql.prisma*", "prisma/user.prisma"],
            "prisma",
            ["prisma/schema.prisma", "prisma/user.prisma"],
            "prisma/migrations",
        ),
        ([], ".", [], "migrations"),
    ],
)
def test_the_schema_of_a_folder(
    tmp_path: Path, files: list[str], directory: str, sources: list[str], migrations: str
) -> None:
    place(tmp_path, *files)
    assert found(tmp_path, directory) == (sources, migrations)


@pytest.mark.parametrize(
    "config",
    [
        "export default defineConfig({ schema: 'db/schema', migrations: { path: 'db/history' } })",
        'export default {\n  // schema: "gone"\n  "schema": "db/schema",\n  migrations: {\n    seed: "x",\n'
        '    path: "db/history",\n  },\n}',
        "export default { schema: path.join('db', 'schema'), migrations: { path: join(\"db\", 'history') } }",
        "const u = 'http://x//y'; export default { schema: `db/schema`, migrations: { path: `db/history` } }",
    ],
)
def test_prisma_config_is_read_as_a_hint(tmp_path: Path, config: str) -> None:
    place(tmp_path, "db/schema/main.prisma*", "db/schema/user.prisma", "prisma/schema.prisma*")
    (tmp_path / "prisma.config.ts").write_text(config)
    assert found(tmp_path) == (["db/schema/main.prisma", "db/schema/user.prisma"], "db/history")


@pytest.mark.parametrize(
    "config",
    ["export default { schema: process.env.SCHEMA }", "{ schema: '.' }", "{ schema: 'gone' }", "\x00"],
)
def test_a_config_without_a_usable_path_is_passed_over(tmp_path: Path, config: str) -> None:
    place(tmp_path, "prisma/schema.prisma*")
    (tmp_path / "prisma.config.ts").write_text(config)
    assert found(tmp_path) == (["prisma/schema.prisma"], "prisma/migrations")


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ('{"prisma": {"schema": "src/db/schema.prisma"}}', "src/db/schema.prisma"),
        ('{"prisma": {"schema": "./src/db"}}', "src/db/schema.prisma"),
        ('{"prisma": {"schema": "gone.prisma"}}', "prisma/schema.prisma"),
        ('{"prisma": {"seed": "tsx seed.ts"}}', "prisma/schema.prisma"),
        ('{"prisma": 1}', "prisma/schema.prisma"),
        ("not JSON", "prisma/schema.prisma"),
    ],
)
def test_package_json_names_the_schema(tmp_path: Path, package: str, expected: str) -> None:
    place(tmp_path, "prisma/schema.prisma*", "src/db/schema.prisma*")
    (tmp_path / "package.json").write_text(package)
    assert found(tmp_path)[0] == [expected]


def test_packages_of_a_larger_project_are_not_mixed(tmp_path: Path) -> None:
    place(tmp_path, "packages/a/prisma/schema.prisma*", "packages/b/prisma/schema.prisma*")
    (tmp_path / "package.json").write_text("{}")
    assert found(tmp_path)[0] == []
    assert found(tmp_path, "packages/a")[0] == ["packages/a/prisma/schema.prisma"]


@pytest.mark.parametrize(
    ("files", "package", "expected"),
    [
        (["database/schema.prisma*", "prisma/schema.prisma*"], "{}", "database"),
        (["prisma/schema.prisma*"], "{}", "prisma"),
        (["prisma/schema/main.prisma*"], "{}", "prisma"),
        (["prisma/schema.prisma*", "database/notes/"], "{}", "prisma"),
        (["schema.prisma*"], "{}", "."),
        (["src/schema.prisma*"], '{"prisma": {"schema": "src/schema.prisma"}}', "."),
        (["src/schema.prisma*"], "{}", "database"),
        ([], "{}", "database"),
    ],
)
def test_the_default_directory(tmp_path: Path, files: list[str], package: str, expected: str) -> None:
    place(tmp_path, *files)
    (tmp_path / "package.json").write_text(package)
    assert default_directory(tmp_path) == tmp_path / expected
