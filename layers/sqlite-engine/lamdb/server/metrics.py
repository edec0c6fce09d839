"""The metrics of a server, in Prometheus' text format and in that of OpenMetrics.

Nothing is computed until a client asks: the server counts in plain integers, and a collector of
prometheus_client reads them, the pools, the storage and the connections for each scrape.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import lamdb
from lamdb.graphql.transport.wire import HttpResponse
from lamdb.server.hosts import is_loopback
from lamdb.server.pool import ThreadPool
from lamdb.server.request_counts import BOUNDS, Durations, RequestCounts
from lamdb.server.store_counts import StoreCounts
from lamdb.settings import Settings
from lamdb.storage import Database

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import CollectorRegistry

QUICK_KIND: Final = "query"
"""Kind of the requests that are answered inside `data_received`."""


def serves_metrics(settings: Settings, host: str) -> bool:
    """True if a server that listens on `host` has `/metrics`."""
    if settings.metrics == "auto":
        return is_loopback(host) or bool(settings.auth)
    return settings.metrics == "on"


@dataclass
class Sources:
    """The parts of a server that are read for a scrape.

    - `streams`: of SQL over HTTP: how many are kept, and how many of them are in a transaction.
    - `mutations`: that wait for their commit without a thread.
    - `live`: live queries that are open.
    - `connections`: open connections.
    """

    database: Database
    requests: RequestCounts
    store: StoreCounts | None
    pools: Mapping[str, ThreadPool]
    streams: Callable[[], tuple[int, int]]
    mutations: Callable[[], int]
    live: Callable[[], int]
    connections: Callable[[], int] = field(default=lambda: 0)


class Metrics:
    """Answers requests for `/metrics`, one at a time. It waits for locks, and belongs into a thread."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._registry: CollectorRegistry | None = None

    def answer(self, accept: str) -> HttpResponse:
        """The values of all metrics now; `accept` is the header that names the client's formats."""
        from prometheus_client.exposition import choose_encoder  # for those who scrape

        if self._registry is None:
            self._registry = self._new_registry()
        encode, content_type = choose_encoder(accept)
        headers = {"content-type": content_type, "cache-control": "no-store"}
        return HttpResponse(200, headers, encode(self._registry))

    def _new_registry(self) -> "CollectorRegistry":
        from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
        from prometheus_client.registry import Collector, CollectorRegistry

        sources = self._sources

        class ServerCollector(Collector):
            def collect(self) -> Iterator["Metric"]:
                yield from _requests(sources.requests)
                yield from _storage(sources)
                yield from _server(sources)

        registry = CollectorRegistry(auto_describe=False)
        registry.register(ServerCollector())
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return registry


def _requests(counts: RequestCounts) -> Iterator["Metric"]:
    statuses, durations = dict(counts.statuses), dict(counts.durations)
    quick = sum(counts.quick.buckets)
    statuses[QUICK_KIND, 200] = statuses.get((QUICK_KIND, 200), 0) + quick
    durations[QUICK_KIND] = _sum_of(durations.get(QUICK_KIND), counts.quick)
    yield _counter(
        "lamdb_requests",
        "Requests that were answered, by kind and HTTP status; 499: the client went away.",
        ["kind", "status"],
        [((kind, str(status)), number) for (kind, status), number in sorted(statuses.items())],
    )
    yield _counter(
        "lamdb_quick_requests", "Queries among them that were answered on the event loop.", [], [((), quick)]
    )
    yield _counter(
        "lamdb_refused_requests",
        "Requests that were refused, by kind and error code.",
        ["kind", "code"],
        sorted(dict(counts.codes).items()),
    )
    yield _histogram(durations)


def _histogram(durations: Mapping[str, Durations]) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(
        "lamdb_request_duration_seconds",
        "Time from the end of a request's head to its response, by kind.",
        labels=["kind"],
    )
    for kind, found in sorted(durations.items()):
        total, buckets = 0, []
        for bound, number in zip((*BOUNDS, float("inf")), found.buckets, strict=True):
            total += number
            buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
        family.add_metric([kind], buckets, found.seconds)
    return family


def _sum_of(first: Durations | None, second: Durations) -> Durations:
    found = Durations()
    for each in (first, second):
        if each is not None:
            found.buckets = [a + b for a, b in zip(found.buckets, each.buckets, strict=True)]
            found.seconds += each.seconds
    return found


def _storage(sources: Sources) -> Iterator["Metric"]:
    pages = sources.database.pages
    cache, disk, head = pages.fetcher.cache, pages.replica.disk, pages.head
    yield _gauge("lamdb_txid", "The newest transaction that the server knows of.", head.txid)
    yield _gauge(
        "lamdb_staleness_seconds", "Time since that was last known to be the store's newest.", pages.age()
    )
    yield _gauge("lamdb_database_size_bytes", "Size of the database file.", head.commit * head.page_size)
    yield _count("lamdb_commits", "Transactions that the server committed.", pages.commits)
    yield _count("lamdb_commit_seconds", "Time that those commits took at the store.", pages.commit_seconds)
    yield _count(
        "lamdb_fenced_commits", "Commits that failed because another writer was first.", pages.fenced
    )
    yield _count("lamdb_page_fetches", "Requests for pages to the store.", pages.fetcher.requests)
    yield _count("lamdb_page_cache_hits", "Pages that SQLite found in the page cache.", cache.hits)
    yield _gauge("lamdb_page_cache_bytes", "Pages in memory.", cache.size)
    yield _gauge("lamdb_page_cache_limit_bytes", "Most bytes of pages in memory.", cache.budget)
    yield _count("lamdb_disk_cache_hits", "Reads of the store that the cache on disk saved.", disk.hits)
    yield _gauge("lamdb_disk_cache_bytes", "Bytes in the cache on disk.", disk.size)
    if sources.store is not None:
        yield from _store(sources.store)


def _store(counts: StoreCounts) -> Iterator["Metric"]:
    labels = ["operation"]

    def by_operation(numbers: Mapping[str, float]) -> list[tuple[tuple[str, ...], float]]:
        return [((operation,), number) for operation, number in numbers.items()]

    yield _counter(
        "lamdb_store_requests", "Requests to the store, by operation.", labels, by_operation(counts.requests)
    )
    yield _counter(
        "lamdb_store_failures", "Requests to the store that failed.", labels, by_operation(counts.failures)
    )
    yield _counter(
        "lamdb_store_request_seconds",
        "Time that requests to the store took.",
        labels,
        by_operation(counts.seconds),
    )


def _server(sources: Sources) -> Iterator["Metric"]:
    streams, transactions = sources.streams()
    yield _gauge("lamdb_open_connections", "Open connections of clients.", sources.connections())
    yield _gauge("lamdb_sql_streams", "Streams of SQL over HTTP that are kept.", streams)
    yield _gauge("lamdb_sql_transactions", "Interactive transactions that are open.", transactions)
    yield _gauge(
        "lamdb_pending_mutations",
        "Mutations that wait for their commit without a thread.",
        sources.mutations(),
    )
    running, waiting, threads = ("lamdb_pool_running", "lamdb_pool_waiting", "lamdb_pool_threads")
    yield _gauge("lamdb_live_queries", "Live queries that are open.", sources.live())
    pools = sources.pools.items()
    yield _gauges(running, "Requests that threads execute, by pool.", {k: p.running for k, p in pools})
    yield _gauges(waiting, "Requests that wait for a thread, by pool.", {k: p.waiting for k, p in pools})
    yield _gauges(
        threads, "Requests that may be executed at a time, by pool.", {k: p.limit for k, p in pools}
    )
    yield _gauges("lamdb_info", "1, with the version of lamDB.", {lamdb.__version__: 1}, label="version")


def _counter(
    name: str, about: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], float]]
) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, about, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family


def _count(name: str, about: str, value: float) -> "Metric":
    return _counter(name, about, [], [((), value)])


def _gauge(name: str, about: str, value: float) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, about, value=value)


def _gauges(name: str, about: str, values: Mapping[str, float], *, label: str = "pool") -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, about, labels=[label])
    for given, value in values.items():
        family.add_metric([given], value)
    return family
