"""The memory budget: its shares, and the caches that keep to them."""

import pytest

from lamdb.cluster.function_settings import function_settings
from lamdb.errors import SettingsError
from lamdb.graphql.from_settings import build_api, open_database
from lamdb.memory import DEFAULT, SMALLEST, Shares, budget_of_function
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.server.allocator import use_one_arena
from lamdb.setting import MIB
from lamdb.settings import Settings

SCHEMA = PrismaSchema.parse("""
datasource db {
  provider = "sqlite"
}

model Note {
  id Int @id
}
""")


@pytest.mark.parametrize("budget", [SMALLEST, DEFAULT, 100_000_000, 3 * 1024 * MIB])
def test_the_shares_fit_the_budget(budget: int) -> None:
    shares = Shares.of(budget)
    parts = (shares.pages, shares.sqlite, shares.plans, shares.documents, shares.vocabularies)
    assert budget - 32 < sum(parts) + shares.search_results <= budget
    assert min(parts) >= budget // 8 - 32


def test_a_page_cache_of_a_given_size_leaves_the_other_shares() -> None:
    shares = Shares.of(DEFAULT, pages=300 * MIB)
    assert (shares.pages, shares.sqlite) == (300 * MIB, Shares.of(DEFAULT).sqlite)


@pytest.mark.parametrize(
    ("variables", "pages"),
    [
        ({}, DEFAULT * 3 // 8),
        ({"LAMDB_MEMORY": "32MiB"}, 12 * MIB),
        ({"LAMDB_MEMORY": "32MiB", "LAMDB_CACHE_BYTES": "100MiB"}, 100 * MIB),
        ({"LAMDB_CACHE_BYTES": "1MiB"}, MIB),
    ],
)
def test_settings_decide_the_page_cache(variables: dict[str, str], pages: int) -> None:
    with open_database(Settings.load(variables, store="memory:")) as database:
        assert database.pages.fetcher.cache.budget == pages


def test_the_caches_of_an_api_follow_the_budget() -> None:
    kept = []
    for budget in ("8MiB", "80MiB"):
        api = build_api(SCHEMA, Settings.load({"LAMDB_MEMORY": budget}))
        texts, plans = api._preparation._texts._most, api.engine._plans._most
        searches = api._executor._vocabulary_bytes, api._executor._search_result_bytes
        kept.append((texts, plans, api.engine._variants._most, *searches))
    assert all(9.9 < large / small < 10.1 for small, large in zip(*kept, strict=True))


def test_a_budget_must_suffice() -> None:
    with pytest.raises(SettingsError, match="from 8MiB to 64GiB"):
        Settings.load({"LAMDB_MEMORY": "7MiB"})


@pytest.mark.parametrize(
    ("environ", "budget"),
    [
        ({}, DEFAULT),
        ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256"}, DEFAULT),
        ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}, 1369 * MIB),
        ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240"}, 9840 * MIB),
        ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "LAMDB_MEMORY": "64MiB"}, 64 * MIB),
    ],
)
def test_a_function_divides_the_memory_that_it_has(environ: dict[str, str], budget: int) -> None:
    assert function_settings(environ).memory == budget
    assert budget_of_function(0) == DEFAULT


def test_the_allocator_accepts_the_limit() -> None:
    pytest.importorskip("resource")
    from platform import libc_ver

    assert use_one_arena() == (libc_ver()[0] == "glibc")
