"""The Debian example's reader: package lists into rows."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "debian-archive"
LISTS = (Path(__file__).parent / "packages.txt").read_text()


@pytest.fixture
def archive() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("debian_archive_reader", EXAMPLE / "archive.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_stanzas_have_fields_and_continuations(archive: ModuleType) -> None:
    found = list(archive.stanzas(LISTS))
    assert [stanza["Package"] for stanza in found] == ["tea", "coffee", "water"]
    assert found[0]["Tag"] == "implemented-in::c, role::program,\nuse::drinking"
    assert found[0]["Description"].startswith("Brews tea\nThe long")


def test_rows_of_every_model(archive: ModuleType) -> None:
    tables = archive.rows(archive.stanzas(LISTS))
    assert {model: len(table) for model, table in tables.items()} == {
        "Section": 2,
        "Maintainer": 2,
        "Tag": 3,
        "Target": 13,
        "Package": 3,
        "PackageTag": 5,
        "Dependency": 17,
        "Provision": 3,
    }
    tea = tables["Package"][1]
    assert tea == {
        "name": "tea",
        "version": "1:1.0-2+b1",
        "architecture": "amd64",
        "source": "teapot",
        "summary": "Brews tea",
        "homepage": "https://tea.example.org/",
        "priority": "OPTIONAL",
        "essential": False,
        "downloadSize": 512000,
        "installedSize": 1204,
        "sectionName": "drinks",
        "maintainerEmail": "jo@example.org",
    }
    assert tables["Maintainer"] == [
        {"email": "The Waterworks", "name": "The Waterworks"},
        {"email": "jo@example.org", "name": "Jo Brew"},
    ]
    assert {"name": "role::program", "facet": "role"} in tables["Tag"]


def test_targets_are_packages_virtual_or_missing(archive: ModuleType) -> None:
    kinds = {row["name"]: row["kind"] for row in archive.rows(archive.stanzas(LISTS))["Target"]}
    assert kinds["tea"] == "PACKAGE"
    assert kinds["hot-drink"] == "VIRTUAL"
    assert kinds["libc6"] == kinds["biscuit"] == "MISSING"


def test_relations_keep_their_place_alternatives_and_constraints(archive: ModuleType) -> None:
    found = list(archive.relations("milk | oat-milk (<< 3), honey (= 2:1.0-1), python3:any (>=3.11~)"))
    assert [(r.clause, r.alternative, r.name, r.architecture, r.comparison, r.version) for r in found] == [
        (0, 0, "milk", None, None, None),
        (0, 1, "oat-milk", None, "EARLIER", "3"),
        (1, 0, "honey", None, "EXACTLY", "2:1.0-1"),
        (2, 0, "python3", "any", "AT_LEAST", "3.11~"),
    ]


def test_tables_are_in_the_order_of_their_keys(archive: ModuleType) -> None:
    tables = archive.rows(archive.stanzas(LISTS))
    keys = [
        (row["packageName"], row["kind"], row["clause"], row["alternative"]) for row in tables["Dependency"]
    ]
    assert keys == sorted(set(keys))
    for model in ("Section", "Tag", "Target", "Package"):
        names = [row["name"] for row in tables[model]]
        assert names == sorted(set(names))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Package: tea\nnonsense\n", "line 2"),
        ("Package: tea\nVersion: 1\n", "package tea: no field 'Maintainer'"),
        (LISTS + "\n" + LISTS, "package tea: listed twice"),
        (LISTS.replace("water:any", "wa ter"), "package tea: not a relationship to a package: 'wa ter'"),
        (LISTS.replace("1204", "many"), "package tea: invalid literal"),
    ],
)
def test_malformed_lists_say_where(archive: ModuleType, text: str, message: str) -> None:
    with pytest.raises(archive.MalformedList, match=message):
        archive.rows(archive.stanzas(text))
