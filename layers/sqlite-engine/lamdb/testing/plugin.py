"""The pytest plugin: fixtures `lamdb`, `lamdb_project` and `lamdb_settings`. docs/testing.md describes it.

pytest loads it wherever lamDB is installed, so that it imports the rest only for tests that use it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from lamdb.settings import Settings
    from lamdb.testing.client import Client
    from lamdb.testing.template import StoreTemplate

_MARKER = "lamdb"
_OPTIONS = {"project", "seed", "push"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("lamdb_project", "The project that `lamdb` fixtures have: a directory below the root.")
    parser.addini("lamdb_seed", "Execute seed.graphql in the template of each database.", "bool", False)
    parser.addini("lamdb_push", "Make tables from the schema alone, without migrations.", "bool", False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(project=DIRECTORY, seed=BOOL, push=BOOL): the database of the `lamdb` fixture.",
    )


@pytest.fixture
def lamdb_project(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Path:
    """The directory of the project: `lamdb_project` of the configuration, else that of the nearest folder.

    From the folder of the test's file upwards, it is where commands would find it that run in the folder.
    """
    from lamdb.errors import LamdbError
    from lamdb.testing.discovery import project_above

    configured = str(pytestconfig.getini("lamdb_project") or "")
    if configured:
        return pytestconfig.rootpath / configured
    try:
        found = project_above(request.path.parent)
    except LamdbError as error:
        pytest.fail(f"{error}\n  code: {error.code}\n  hint: {error.hint}", pytrace=False)
    return found or _none_found(request.path)


@pytest.fixture(scope="session")
def lamdb_settings() -> "Settings":
    """The settings of the API and of the server behind `lamdb.url`. Override it to change them."""
    from lamdb.settings import Settings

    return Settings()


@pytest.fixture(scope="session")
def _lamdb_templates() -> Iterator[dict[tuple[Path, bool, bool], "StoreTemplate"]]:
    templates: dict[tuple[Path, bool, bool], StoreTemplate] = {}
    yield templates
    for template in templates.values():
        template.close()


@pytest.fixture
def lamdb(
    request: pytest.FixtureRequest,
    pytestconfig: pytest.Config,
    lamdb_settings: "Settings",
    _lamdb_templates: dict[tuple[Path, bool, bool], "StoreTemplate"],
) -> "Iterator[Client]":
    """A client of a fresh database in memory, with the project's schema."""
    from lamdb.errors import LamdbError
    from lamdb.testing.template import StoreTemplate

    options = _marked(request)
    if "project" in options:
        directory = pytestconfig.rootpath / options["project"]
    else:
        directory = Path(request.getfixturevalue("lamdb_project"))
    seed = bool(options.get("seed", pytestconfig.getini("lamdb_seed")))
    push = bool(options.get("push", pytestconfig.getini("lamdb_push")))
    template = _lamdb_templates.get((directory, seed, push))
    if template is None:
        fault = ""
        try:
            template = StoreTemplate.of(directory, seed=seed, push_schema=push, settings=lamdb_settings)
        except LamdbError as error:
            fault = f"{directory} cannot be deployed: {error}\n  code: {error.code}\n  hint: {error.hint}"
        if template is None:
            # The fault is in the project: lines of lamDB's own code would hide it.
            pytest.fail(fault, pytrace=False)
        _lamdb_templates[directory, seed, push] = template
    with template.database() as client:
        yield client


def _none_found(path: Path) -> NoReturn:
    pytest.fail(
        f"no project is found for {path}: neither its folder nor one above it has a lamdb.toml, database, "
        "prisma or schema.prisma\n"
        "  hint: Set lamdb_project in pytest's configuration to the directory of schema.prisma.",
        pytrace=False,
    )


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The keywords of the nearest marker. Raises `pytest.UsageError` for others than it has."""
    marker = request.node.get_closest_marker(_MARKER)
    if marker is None:
        return {}
    unknown = sorted(marker.kwargs.keys() - _OPTIONS)
    if unknown or marker.args:
        raise pytest.UsageError(
            f"@pytest.mark.{_MARKER} takes the keywords {', '.join(sorted(_OPTIONS))}"
            + (f", not {', '.join(unknown)}" if unknown else " alone")
        )
    return dict(marker.kwargs)
