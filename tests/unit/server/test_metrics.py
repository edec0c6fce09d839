"""Metrics of a server: values, formats, access, and the documents and the dashboard that name them."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly
from tests.unit.server.test_app import DEMO, QUERY, Scope, Wire, post, send
from tests.unit.server.test_quick_mutations import CREATE as LATER
from tests.unit.server.test_quick_mutations import Sent
from tests.unit.server.test_quick_queries import DATE, head

from lamdb.access import keys
from lamdb.errors import StoreUnavailable
from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.server.request_counts import BOUNDS, Durations
from lamdb.server.store_counts import CountedStore, StoreCounts
from lamdb.settings import Settings
from lamdb.storage.stores.url import open_store

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "examples/monitoring/grafana/dashboards/lamdb.json"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
CREATE = 'mutation { createOneTag(data: { name: "NAME" }) { id } }'

STATES = ("running", "waiting")

type Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(DEMO))) as opened:
        yield opened


def with_app(instance: Instance, test: Callable[[Application], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        app = Application(instance, Settings(**settings))
        try:
            return await test(app)
        finally:
            app.close()

    return asyncio.run(main())


async def get(app: Application, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    wire = Wire()
    await app.__rsgi__(Scope(method, path, {"host": "localhost", **headers}), wire)
    ((status, _, body),) = wire.answers
    return status, body.decode()


async def values(app: Application) -> Values:
    status, text = await get(app, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Values, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def test_requests_are_counted_by_kind_and_status(instance: Instance) -> None:
    async def test(app: Application) -> Values:
        for _ in range(3):
            await send(app, *post({"query": QUERY}))
        await send(app, *post({"query": CREATE.replace("NAME", "counted")}))
        await send(app, *post({"query": "{ nothing }"}))
        await send(app, *post(b"{"))
        statement = {"requests": [{"type": "execute", "stmt": {"sql": "SELECT 1"}}]}
        scope, wire = post(statement)
        scope.path = "/v2/pipeline"
        await send(app, scope, wire)
        for path in ("/healthz", "/health", "/schema.graphql", "/nothing", "/nothing-else"):
            await get(app, path)
        return await values(app)

    found = with_app(instance, test)
    counted = {labels: number for (name, labels), number in found.items() if name == "lamdb_requests_total"}
    by_kind = {(dict(labels)["kind"], dict(labels)["status"]): number for labels, number in counted.items()}
    assert by_kind == {
        ("query", "200"): 3,
        ("mutation", "200"): 1,
        ("graphql", "200"): 1,
        ("graphql", "400"): 1,
        ("sql", "200"): 1,
        ("health", "200"): 2,
        ("schema", "200"): 1,
        ("page", "404"): 2,
    }
    assert value(found, "lamdb_refused_requests_total", kind="page", code="NOT_FOUND") == 2
    assert value(found, "lamdb_refused_requests_total", kind="graphql", code="MALFORMED_REQUEST") == 1


def test_queries_that_are_answered_at_once_are_counted_like_others(instance: Instance) -> None:
    body = json.dumps({"query": QUERY}).encode()

    async def test(app: Application) -> tuple[int, Values]:
        quick = 0
        for _ in range(50):
            quick += app.at_once(head(body), body, DATE) is not None
            await send(app, *post({"query": QUERY}))
        return quick, await values(app)

    quick, found = with_app(instance, test)
    assert quick > 0
    assert value(found, "lamdb_quick_requests_total") == quick
    assert value(found, "lamdb_requests_total", kind="query", status="200") == 50 + quick
    assert value(found, "lamdb_request_duration_seconds_count", kind="query") == 50 + quick
    assert value(found, "lamdb_request_duration_seconds_bucket", kind="query", le="+Inf") == 50 + quick


@pytest.mark.parametrize("seconds", [0.0, *BOUNDS, 0.0007, 31.0, 1e9])
def test_a_duration_is_in_the_first_bucket_that_is_not_below_it(seconds: float) -> None:
    durations = Durations()
    durations.note(seconds)
    at = durations.buckets.index(1)
    assert sum(durations.buckets) == 1
    assert at == len(BOUNDS) or seconds <= BOUNDS[at]
    assert at == 0 or seconds > BOUNDS[at - 1]


def test_mutations_that_are_answered_without_a_thread_are_counted(instance: Instance) -> None:
    async def test(app: Application) -> Values:
        await Sent(app, LATER, {"name": "first"}).response()
        sent = [Sent(app, LATER, {"name": f"later {n}"}) for n in range(4)]
        assert all(each.begun for each in sent)
        waiting = await values(app)
        assert value(waiting, "lamdb_pending_mutations") <= 4
        for each in sent:
            await each.response()
        return await values(app)

    found = with_app(instance, test)
    assert value(found, "lamdb_requests_total", kind="mutation", status="200") == 5
    assert value(found, "lamdb_request_duration_seconds_count", kind="mutation") == 5
    assert value(found, "lamdb_pending_mutations") == 0


def test_a_client_that_went_away_is_counted(instance: Instance) -> None:
    async def test(app: Application) -> Values:
        scope, wire = post({"query": QUERY})
        wire.broken = True
        await app.__rsgi__(scope, wire)
        return await values(app)

    found = with_app(instance, test)
    assert value(found, "lamdb_requests_total", kind="graphql", status="499") == 1


def test_storage_is_measured(instance: Instance) -> None:
    async def test(app: Application) -> tuple[Values, Values]:
        before = await values(app)
        for name in ("a", "b", "c"):
            await send(app, *post({"query": CREATE.replace("NAME", name)}))
        await send(app, *post({"query": QUERY}))
        return before, await values(app)

    before, after = with_app(instance, test)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grown("lamdb_txid") == grown("lamdb_commits_total") == 3
    assert grown("lamdb_store_requests_total", operation="put_new") == 3
    assert grown("lamdb_store_failures_total", operation="put_new") == 0
    assert grown("lamdb_commit_seconds_total") > 0
    assert grown("lamdb_page_cache_hits_total") > 0
    assert value(after, "lamdb_txid") == instance.database.txid
    assert value(after, "lamdb_database_size_bytes") % 8192 == 0 < value(after, "lamdb_database_size_bytes")
    assert 0 < value(after, "lamdb_page_cache_bytes") <= value(after, "lamdb_page_cache_limit_bytes")


def test_streams_connections_and_pools_are_measured(instance: Instance) -> None:
    async def test(app: Application) -> Values:
        app.count_connections(lambda: 7)
        scope, wire = post({"requests": [{"type": "execute", "stmt": {"sql": "BEGIN IMMEDIATE"}}]})
        scope.path = "/v2/pipeline"
        _, _, answer = await send(app, scope, wire)
        assert answer["baton"]
        return await values(app)

    found = with_app(instance, test, threads=3, write_threads=5)
    assert value(found, "lamdb_open_connections") == 7
    assert (value(found, "lamdb_sql_streams"), value(found, "lamdb_sql_transactions")) == (1, 1)
    threads = {pool: value(found, "lamdb_pool_threads", pool=pool) for pool in ("read", "write", "operator")}
    assert threads == {"read": 3, "write": 5, "operator": 4}
    assert value(found, "lamdb_pool_running", pool="write") == 0


def test_work_that_waits_for_a_thread_shows(instance: Instance) -> None:
    async def test(app: Application) -> Values:
        with instance.database.writer():
            sent = [
                asyncio.create_task(send(app, *post({"query": CREATE.replace("NAME", f"waits {n}")})))
                for n in range(3)
            ]
            await asyncio.sleep(0)
            found = await values(app)
            while sum(value(found, f"lamdb_pool_{state}", pool="write") for state in STATES) < 3:
                found = await values(app)
        await asyncio.gather(*sent)
        return found

    found = with_app(instance, test, write_threads=1)
    assert value(found, "lamdb_pool_running", pool="write") == 1
    assert value(found, "lamdb_pool_waiting", pool="write") == 2


def test_both_formats_can_be_read(instance: Instance) -> None:
    async def test(app: Application) -> tuple[set[str], set[str]]:
        await send(app, *post({"query": QUERY}))
        _, plain = await get(app, "/metrics")
        _, strict = await get(app, "/metrics", accept=OPENMETRICS)
        assert strict.endswith("# EOF\n")
        first = {family.name for family in parser.text_string_to_metric_families(plain)}
        second = {family.name for family in strictly(strict)}
        return first, second

    plain, strict = with_app(instance, test)
    assert plain == strict


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({}, "127.0.0.1", 200),
        ({}, "::1", 200),
        ({}, "0.0.0.0", 404),
        ({"metrics": "on"}, "0.0.0.0", 200),
        ({"metrics": "off"}, "127.0.0.1", 404),
        ({"auth": ("keys",)}, "0.0.0.0", 401),
        ({"auth": ("keys",), "anonymous_role": "read"}, "0.0.0.0", 200),
        ({"auth": ("keys",), "metrics": "off"}, "0.0.0.0", 404),
    ],
)
def test_metrics_are_served_as_the_settings_say(
    instance: Instance, settings: dict[str, Any], host: str, status: int
) -> None:
    found, _ = with_app(instance, lambda app: get(app, "/metrics"), host=host, **settings)
    assert found == status


@pytest.mark.parametrize("role", ["read", "write", "admin"])
def test_every_role_may_read_metrics(instance: Instance, role: str) -> None:
    with instance.database.writer() as connection:
        _, key = keys.create(connection, name="prometheus", role=role)

    def asked(app: Application) -> Awaitable[tuple[int, str]]:
        return get(app, "/metrics", authorization=f"Bearer {key}")

    status, text = with_app(instance, asked, auth=("keys",))
    assert (status, "lamdb_txid" in text) == (200, True)


def test_pages_of_other_origins_and_other_methods_are_refused(instance: Instance) -> None:
    async def test(app: Application) -> list[int]:
        return [
            (await get(app, "/metrics", host="evil.example"))[0],
            (await get(app, "/metrics", origin="https://evil.example"))[0],
            (await get(app, "/metrics", "POST"))[0],
            (await get(app, "/metrics", "HEAD"))[0],
        ]

    assert with_app(instance, test) == [403, 403, 405, 200]


class _Broken:
    """Stands for a store that answers nothing."""

    url = "memory:"
    level_folder = own_clock = None

    def __getattr__(self, name: str) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("no answer")

        return fail


@pytest.mark.parametrize(
    ("operation", "arguments", "options"),
    [
        ("get", ("a",), {}),
        ("get_range", ("a", 0, 1), {}),
        ("get_suffix", ("a", 1), {}),
        ("put_new", ("a", b""), {"timestamp_ms": 0}),
        ("head", ("a",), {}),
        ("delete", ("a",), {}),
        ("list", (), {}),
    ],
)
def test_failed_requests_to_the_store_are_counted(
    operation: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    counts = StoreCounts()
    store = CountedStore(_Broken(), counts)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        list(getattr(store, operation)(*arguments, **options))
    assert counts.requests[operation] == counts.failures[operation] == 1
    assert sum(counts.requests.values()) == 1


def test_a_counted_store_lists_as_the_store_does() -> None:
    inner = open_store("memory:")
    for number in range(5):
        inner.put_new(f"a/{number}", b"x", timestamp_ms=0)
    counts = StoreCounts()
    store = CountedStore(inner, counts)
    assert [each.key for each in store.list("a/", after="a/1")] == ["a/2", "a/3", "a/4"]
    assert list(store.list("b/")) == []
    assert (counts.requests["list"], counts.failures["list"]) == (2, 0)


def test_documents_and_dashboard_name_the_metrics_that_there_are(instance: Instance) -> None:
    async def test(app: Application) -> tuple[str, Values]:
        for body in ({"query": QUERY}, {"query": "{ nothing }"}):
            await send(app, *post(body))
        _, text = await get(app, "/metrics")
        return text, await values(app)

    text, found = with_app(instance, test)
    names = {name for name, _ in found}
    declared = {name.removesuffix("_total"): kind for name, kind in re.findall(r"# TYPE (\w+) (\w+)", text)}
    ours = {name: kind for name, kind in declared.items() if name.startswith("lamdb_")}
    document = (ROOT / "docs/metrics.md").read_text()
    table = {
        name.removesuffix("_total"): kind
        for name, kind in re.findall(r"^\| `(lamdb_\w+)` \| (\w+) \|", document, re.MULTILINE)
    }
    assert table == ours
    labels = {
        name: set(re.findall(r"`(\w+)`", listed))
        for name, listed in re.findall(r"^\| `(lamdb_\w+)` \| \w+ \| (.*?) ?\|", document, re.MULTILINE)
    }
    for name, given in found:
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        if base in labels:
            assert {label for label, _ in given} - {"le"} == labels[base], name
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        metric
        for panel in panels
        for target in panel["targets"]
        for metric in re.findall(r"\b(?:lamdb|process|python)_\w+", target["expr"])
    }
    assert asked - names == set()
    unseen = {name for name in ours if not any(metric.startswith(name) for metric in asked)}
    assert unseen == set(), "the dashboard shows all metrics"


def test_panels_of_the_dashboard_do_not_overlap_and_group_by_labels_that_exist() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel["targets"]:
            grouped = set(re.findall(r"by \(([^)]*)\)", target["expr"]))
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) - {"instance", "version"}
            assert all(shown <= set(labels.split(", ")) for labels in grouped), panel["title"]
            assert target["expr"].count("(") == target["expr"].count(")")


def test_a_server_loads_neither_library_before_it_is_needed() -> None:
    code = (
        "import sys, lamdb.cli.serve, lamdb.server.run\n"
        "print([m for m in sys.modules if m.startswith(('opentelemetry', 'prometheus_client'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
