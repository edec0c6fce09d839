"""Databases that really exist, brought in and asked: the answers are SQLite's own."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support.imported_databases import Imported, differences, imported, in_sync

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


# PROJ's registry of coordinate systems: 30-odd tables of the EPSG's, with keys of mixed types, WITHOUT ROWID,
# triggers that check, and views over all of them.


@pytest.fixture(scope="module")
def proj_file() -> Path:
    spec = find_spec("pyproj")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "proj_dir" / "share" / "proj" / "proj.db"


@pytest.fixture(scope="module")
def proj(proj_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    with imported(proj_file, tmp_path_factory.mktemp("proj")) as found:
        yield found


def test_the_registry_of_proj(proj: Imported) -> None:
    tables = proj.sql("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    views = proj.sql("SELECT count(*) FROM sqlite_schema WHERE type = 'view'")
    assert (proj.report["tables"], proj.report["models"]) == (tables[0][0], tables[0][0])
    assert proj.report["views"] == views[0][0]
    assert not proj.findings("difference")
    assert "declared as INTEGER_OR_TEXT, read as String" in proj.findings("type")["projected_crs.code"]
    assert in_sync(proj)

    query = """{ findManyProjectedCrs(
        where: { code: { in: ["3857", "25832", "LAMB93"] } }, orderBy: [{ code: asc }, { authName: asc }]
    ) { authName code name deprecated geodeticCrs { code datum {
            name ellipsoid { semiMajorAxis uom { name } } } } } }"""
    answered = [
        (
            row["authName"], row["code"], row["name"], row["deprecated"], row["geodeticCrs"]["code"],
            row["geodeticCrs"]["datum"]["name"], row["geodeticCrs"]["datum"]["ellipsoid"]["semiMajorAxis"],
            row["geodeticCrs"]["datum"]["ellipsoid"]["uom"]["name"],
        )
        for row in proj.ask(query)["findManyProjectedCrs"]
    ]  # fmt: skip
    wanted = proj.sql(
        """SELECT p.auth_name, CAST(p.code AS TEXT), p.name, p.deprecated = 1, CAST(g.code AS TEXT), d.name,
           e.semi_major_axis, u.name FROM projected_crs AS p
           JOIN geodetic_crs AS g ON g.auth_name = p.geodetic_crs_auth_name AND g.code = p.geodetic_crs_code
           JOIN geodetic_datum AS d ON d.auth_name = g.datum_auth_name AND d.code = g.datum_code
           JOIN ellipsoid AS e ON e.auth_name = d.ellipsoid_auth_name AND e.code = d.ellipsoid_code
           JOIN unit_of_measure AS u ON u.auth_name = e.uom_auth_name AND u.code = e.uom_code
           WHERE p.code IN (3857, 25832, 'LAMB93') ORDER BY p.code, p.auth_name"""
    )
    assert len(wanted) >= 3
    assert answered == [(*row[:3], bool(row[3]), *row[4:]) for row in wanted]


def test_views_and_relations_of_the_registry_are_counted_as_sqlite_counts_them(proj: Imported) -> None:
    answered = proj.ask(
        """{ aggregateObjectView(where: { type: { startsWith: "geographic" } }) { _count { _all } }
             findManyEllipsoid(orderBy: { geodeticDatums: { _count: desc } }, take: 3) {
                 authName code _count { geodeticDatums } }
             groupByGeodeticCrs(by: [authName], orderBy: { authName: asc }) { authName _count { _all } } }"""
    )
    [(count,)] = proj.sql("SELECT count(*) FROM object_view WHERE type LIKE 'geographic%'")
    assert answered["aggregateObjectView"] == {"_count": {"_all": count}}
    counts = proj.sql(
        "SELECT count(*) FROM geodetic_datum GROUP BY ellipsoid_auth_name, ellipsoid_code"
        " ORDER BY 1 DESC LIMIT 3"
    )
    assert [row["_count"]["geodeticDatums"] for row in answered["findManyEllipsoid"]] == [
        n for (n,) in counts
    ]
    groups = proj.sql("SELECT auth_name, count(*) FROM geodetic_crs GROUP BY 1 ORDER BY 1")
    assert [(row["authName"], row["_count"]["_all"]) for row in answered["groupByGeodeticCrs"]] == groups


@pytest.mark.slow
def test_every_row_of_the_registry(proj: Imported) -> None:
    assert list(differences(proj)) == []


# What Chromium writes about a visit.


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CHROMIUM is None:
        pytest.skip("no Chromium: install the Debian package `chromium`")
    place = tmp_path_factory.mktemp("chromium")
    for name in ("one", "two"):
        (place / f"{name}.html").write_text(f"<title>Page {name}</title><p>{name}</p>")
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-background-networking", f"--user-data-dir={place / 'profile'}"]
        command += ["--screenshot=" + str(place / "shot.png"), (place / f"{name}.html").as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    deadline = time.monotonic() + 20
    history = place / "profile" / "Default" / "History"
    while not history.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return history.parent


def test_a_browsers_history(profile: Path, tmp_path: Path) -> None:
    with imported(profile / "History", tmp_path) as found:
        assert found.report["tables"] == found.report["models"]
        assert not found.findings("difference")
        assert "Chromium" in found.findings("type")["visits.visit_time"]
        assert "keyword_search_terms" in found.findings("rowid")
        assert list(differences(found)) == []
        assert in_sync(found)
        # 2020-01-01 as Chromium counts: microseconds since 1601.
        start = (1577836800 + 11644473600) * 1_000_000
        query = """query ($start: BigInt!) {
            recent: findManyUrl(where: { lastVisitTime: { gte: $start } }, orderBy: { id: asc }) {
                id title lastVisitTime }
            none: aggregateUrl(where: { lastVisitTime: { lt: $start, gt: "0" } }) { _count { _all } } }"""
        answered = found.ask(query, start=str(start))
        rows = found.sql(
            "SELECT id, title, last_visit_time FROM urls WHERE last_visit_time >= ? ORDER BY id", start
        )
        assert [(row["id"], row["title"], int(row["lastVisitTime"])) for row in answered["recent"]] == rows
        assert {title for _, title, _ in rows} >= {"Page one", "Page two"}
        assert answered["none"]["_count"]["_all"] == 0


@pytest.mark.parametrize("name", ["Cookies", "Web Data"])
def test_a_browsers_other_databases(profile: Path, name: str, tmp_path: Path) -> None:
    source = profile / name
    if not source.exists():
        source = profile / "Network" / name
    with imported(source, tmp_path) as found:
        assert found.report["tables"] == found.report["models"]
        assert not found.findings("difference")
        assert list(differences(found)) == []
        assert in_sync(found)
