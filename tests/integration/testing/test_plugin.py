"""The pytest plugin, used by test files of an application in processes of their own kind (pytester)."""

import subprocess
import sys

import pytest

# Loaded here once: pytester forgets what its runs import.
import lamdb.testing.template  # noqa: F401

pytest_plugins = "pytester"

SCHEMA = """
datasource db {
  provider = "sqlite"
}

model Tag {
  id   Int    @id @default(autoincrement())
  name String @unique
}
"""
RULES = """
datasource db {
  provider = "sqlite"
}

/// @@allow('read', owner == auth().sub)
/// @@allow('create', auth() != null)
model Note {
  id    Int    @id @default(autoincrement())
  owner String
}
"""
SEED = 'mutation { createOneTag(data: {name: "seeded"}) { id } }'
TAGS = "{ findManyTag { name } }"
CREATE = "mutation ($name: String!) { createOneTag(data: {name: $name}) { name } }"


@pytest.fixture
def application(pytester: pytest.Pytester) -> pytest.Pytester:
    """A directory with a project in `database`."""
    project = pytester.mkdir("database")
    (project / "schema.prisma").write_text(SCHEMA)
    (project / "seed.graphql").write_text(SEED)
    return pytester


def run(application: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    """Whether or not the entry point is installed, the plugin is loaded once."""
    application.makepyfile(f"TAGS, CREATE = {TAGS!r}, {CREATE!r}\n" + source)
    return application.runpytest_inprocess(
        "-p", "no:faulthandler", "-p", "no:lamdb", "-p", "lamdb.testing.plugin", *arguments
    )


def test_each_test_has_an_empty_database(application: pytest.Pytester) -> None:
    done = run(
        application,
        """
import pytest

@pytest.mark.parametrize("name", ["a", "b", "a"])
def test_alone(lamdb, name):
    assert lamdb.query(TAGS) == {"findManyTag": []}
    assert lamdb.query(CREATE, {"name": name}) == {"createOneTag": {"name": name}}
    assert lamdb.query(TAGS) == {"findManyTag": [{"name": name}]}
""",
    )
    done.assert_outcomes(passed=3)


def test_changes_of_one_test_do_not_reach_another(application: pytest.Pytester) -> None:
    """Both by SQL and by a change of the schema, at the same number of transactions."""
    done = run(
        application,
        """
def test_first(lamdb):
    with lamdb.database.writer() as connection:
        connection.execute("INSERT INTO Tag (name) VALUES ('by SQL')")
    assert lamdb.query(TAGS) == {"findManyTag": [{"name": "by SQL"}]}

def test_second(lamdb):
    from lamdb.deployment.apply import push
    from lamdb.prisma.datamodel.schema import PrismaSchema
    push(lamdb.database, PrismaSchema.parse('''
        datasource db {
          provider = "sqlite"
        }
        model Tag {
          id   Int    @id @default(autoincrement())
          name String @unique
        }
        model Other {
          id Int @id
        }
    '''))
    assert lamdb.query("{ findManyOther { id } }") == {"findManyOther": []}

def test_third(lamdb):
    assert "findManyOther" in lamdb.execute("{ findManyOther { id } }")["errors"][0]["message"]
    lamdb.query(CREATE, {"name": "third"})
    assert lamdb.query(TAGS) == {"findManyTag": [{"name": "third"}]}
""",
    )
    done.assert_outcomes(passed=3)


def test_a_template_is_made_once(application: pytest.Pytester) -> None:
    done = run(
        application,
        """
from lamdb.testing.template import StoreTemplate
made = []
original = StoreTemplate.of.__func__
def of(cls, directory, **options):
    made.append(options["seed"])
    return original(cls, directory, **options)
StoreTemplate.of = classmethod(of)

import pytest

@pytest.mark.parametrize("number", range(4))
def test_one(lamdb, number):
    assert made == [False]

@pytest.mark.lamdb(seed=True)
@pytest.mark.parametrize("number", range(2))
def test_two(lamdb, number):
    assert made == [False, True]
""",
    )
    done.assert_outcomes(passed=6)


@pytest.mark.parametrize(
    ("configuration", "marker"),
    [("lamdb_seed = true", ""), ("", "@pytest.mark.lamdb(seed=True)")],
    ids=["configuration", "marker"],
)
def test_a_seed_is_executed_on_request(application: pytest.Pytester, configuration: str, marker: str) -> None:
    application.makeini(f"[pytest]\n{configuration}\n")
    done = run(
        application,
        f"""
import pytest

{marker}
def test_seeded(lamdb):
    assert lamdb.query(TAGS) == {{"findManyTag": [{{"name": "seeded"}}]}}
""",
    )
    done.assert_outcomes(passed=1)


@pytest.mark.parametrize("way", ["configuration", "marker", "fixture"])
def test_the_project_may_be_elsewhere(application: pytest.Pytester, way: str) -> None:
    (application.path / "database").rename(application.path / "shop")
    application.makeini("[pytest]\nlamdb_project = shop\n" if way == "configuration" else "[pytest]\n")
    marker = "@pytest.mark.lamdb(project='shop')" if way == "marker" else ""
    fixture = """
@pytest.fixture(scope="session")
def lamdb_project(pytestconfig):
    return pytestconfig.rootpath / "shop"
"""
    done = run(
        application,
        f"""
import pytest
{fixture if way == "fixture" else ""}
{marker}
def test_here(lamdb):
    assert lamdb.query(TAGS) == {{"findManyTag": []}}
""",
    )
    done.assert_outcomes(passed=1)


@pytest.mark.parametrize("folder", ["", "tests", "tests/unit"])
@pytest.mark.parametrize("settings", [False, True], ids=["", "lamdb.toml"])
def test_the_project_is_that_of_the_nearest_folder(
    pytester: pytest.Pytester, folder: str, settings: bool
) -> None:
    """Wherever pytest's root and the working directory are."""
    shop = pytester.path / "services/shop"
    project = shop / ("data" if settings else "prisma")
    project.mkdir(parents=True)
    (project / "schema.prisma").write_text(SCHEMA)
    if settings:
        (shop / "lamdb.toml").write_text('store = "s3://bucket"\ndatabase = "data"\n')
    # Another one, further away.
    (pytester.path / "database").mkdir()
    (pytester.path / "database/schema.prisma").write_text(RULES)
    test = shop / folder / "test_tags.py"
    test.parent.mkdir(parents=True, exist_ok=True)
    test.write_text(
        "def test_tags(lamdb):\n    assert lamdb.query('{ findManyTag { name } }') == {'findManyTag': []}\n"
    )
    done = run(
        pytester,
        "def test_notes(lamdb):\n    assert lamdb.query('{ findManyNote { id } }') == {'findManyNote': []}\n",
        ".",
    )
    done.assert_outcomes(passed=2)


def test_without_a_project_the_reason_is_short(pytester: pytest.Pytester) -> None:
    done = run(pytester, "def test_tags(lamdb):\n    pass\n")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["no project is found for *", "*lamdb_project*"])
    (pytester.path / "lamdb.toml").write_text("database = \n")
    done = run(pytester, "def test_tags(lamdb):\n    pass\n")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*lamdb.toml cannot be read*"])


def test_the_migrations_are_applied_unless_pushed(application: pytest.Pytester) -> None:
    folder = application.path / "database/migrations/20260101000000_init"
    folder.mkdir(parents=True)
    (folder / "migration.sql").write_text(
        'CREATE TABLE "Tag" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL);\n'
        'CREATE UNIQUE INDEX "Tag_name_key" ON "Tag"("name");\n'
        """INSERT INTO "Tag" ("name") VALUES ('by a migration');\n"""
    )
    done = run(
        application,
        """
import pytest

def test_migrated(lamdb):
    assert lamdb.query(TAGS) == {"findManyTag": [{"name": "by a migration"}]}

@pytest.mark.lamdb(push=True)
def test_pushed(lamdb):
    assert lamdb.query(TAGS) == {"findManyTag": []}
""",
    )
    done.assert_outcomes(passed=2)


def test_errors_have_codes(application: pytest.Pytester) -> None:
    done = run(
        application,
        """
import pytest
from lamdb.errors import QueryError

def test_code(lamdb):
    lamdb.query(CREATE, {"name": "x"})
    with pytest.raises(QueryError) as caught:
        lamdb.query(CREATE, {"name": "x"})
    assert caught.value.code == "P2002"
    with pytest.raises(QueryError, match="nosuch"):
        lamdb.query("{ nosuch }")
    assert lamdb.execute("{ nosuch }").keys() == {"errors"}
""",
    )
    done.assert_outcomes(passed=1)


def test_a_server_is_there_on_request(application: pytest.Pytester) -> None:
    done = run(
        application,
        """
import json, threading, urllib.request
import pytest
from lamdb.settings import Settings

@pytest.fixture(scope="session")
def lamdb_settings():
    return Settings(cors_origins=("https://shop.example",))

def ask(url, query):
    request = urllib.request.Request(f"{url}/graphql", json.dumps({"query": query}).encode(),
        {"content-type": "application/json", "origin": "https://shop.example"})
    with urllib.request.urlopen(request) as response:
        return response.headers["access-control-allow-origin"], json.loads(response.read())

@pytest.mark.parametrize("name", ["a", "b"])
def test_served(lamdb, name):
    lamdb.query(CREATE, {"name": name})
    origin, answer = ask(lamdb.url, TAGS)
    assert answer == {"data": {"findManyTag": [{"name": name}]}}
    assert origin == "https://shop.example"
    assert lamdb.url == lamdb.as_admin().url
    ask(lamdb.url, 'mutation { createOneTag(data: {name: "over HTTP"}) { id } }')
    assert {"name": "over HTTP"} in lamdb.query(TAGS)["findManyTag"]

def test_not_served(lamdb):
    assert not [thread for thread in threading.enumerate() if thread.name == "lamdb-testing"]
""",
    )
    done.assert_outcomes(passed=3)


def test_row_rules_bind_users_and_not_administrators(application: pytest.Pytester) -> None:
    (application.path / "database/schema.prisma").write_text(RULES)
    done = run(
        application,
        """
import pytest
from lamdb.errors import QueryError

NOTES = "{ findManyNote { owner } }"

def test_rules(lamdb):
    for owner in ("ada", "bob"):
        create = "mutation ($o: String!) { createOneNote(data: {owner: $o}) { id } }"
        lamdb.as_admin().query(create, {"o": owner})
    assert lamdb.query(NOTES) == {"findManyNote": []}
    assert lamdb.as_user({"sub": "ada"}).query(NOTES) == {"findManyNote": [{"owner": "ada"}]}
    assert len(lamdb.as_admin().query(NOTES)["findManyNote"]) == 2
    with pytest.raises(QueryError):
        lamdb.query('mutation { createOneNote(data: {owner: "eve"}) { id } }')
""",
    )
    done.assert_outcomes(passed=1)


def test_wrong_use_is_explained(application: pytest.Pytester) -> None:
    done = run(
        application,
        """
import pytest

@pytest.mark.lamdb(sed=True)
def test_misspelt(lamdb):
    pass

@pytest.mark.lamdb(project="nowhere")
def test_missing(lamdb):
    pass
""",
    )
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(
        ["*takes the keywords project, push, seed, not sed*", "*there is no directory*nowhere*"]
    )


@pytest.mark.parametrize(
    ("schema", "seed", "message"),
    [
        (SCHEMA.replace("@unique", "@uniqe"), SEED, "*cannot be deployed:*@uniqe*"),
        (
            SCHEMA.replace("name String", "label String"),
            SEED,
            "*cannot be deployed: The seed failed:*'name'*",
        ),
        (SCHEMA, "mutation { createOneTag(", "*cannot be deployed: The seed failed:*"),
    ],
    ids=["schema", "seed of an older schema", "seed"],
)
def test_a_faulty_project_is_explained_without_a_traceback(
    application: pytest.Pytester, schema: str, seed: str, message: str
) -> None:
    (application.path / "database/schema.prisma").write_text(schema)
    (application.path / "database/seed.graphql").write_text(seed)
    done = run(
        application,
        """
import pytest

@pytest.mark.lamdb(seed=True)
def test_seeded(lamdb):
    pass
""",
    )
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([message, "*hint:*"])
    done.stdout.no_fnmatch_line("*template.py:*")
    done.stdout.no_fnmatch_line("*During handling*")


def test_the_plugin_loads_nothing_for_tests_that_do_not_use_it() -> None:
    source = (
        "import sys, lamdb.testing.plugin; print([name for name in sys.modules if name.startswith('lamdb')])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lamdb', 'lamdb.testing', 'lamdb.testing.plugin']"
