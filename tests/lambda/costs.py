"""The requests and durations of writes on AWS, and their price with the prices of `lamdb cost`."""

from collections.abc import Mapping

from lamdb.cost.prices import Prices, load
from lamdb.cost.workload import Workload

from .cluster import Cluster

type Usage = dict[str, float]
"""Quantities by the key of their price."""

MEMORY = {"proxy": Workload().proxy_mb, "reader": Workload().reader_mb, "writer": Workload().writer_mb}
"""MB, the template's defaults."""

READS = frozenset({"GET", "HEAD"})
FREE = frozenset({"DELETE"})


def usage(cluster: Cluster) -> Usage:
    """The use so far, without requests of pollers that found nothing: those come without writes, too."""
    requests = {kind: number for kind, number in cluster.writes.requests.items() if kind != "idle"}
    store = cluster.s3.requests().requests
    durations = {each.name: sum(each.service_seconds) for each in cluster.functions}
    return {
        "api.rest": float(cluster.proxy.invocations),
        "lambda.request": float(sum(each.invocations for each in cluster.functions)),
        "lambda.x86_64": sum(seconds * MEMORY[name] / 1024 for name, seconds in durations.items()),
        "s3.put": float(sum(n for kind, n in store.items() if kind not in READS | FREE)),
        "s3.get": float(sum(n for kind, n in store.items() if kind in READS)),
        "sqs.fifo": float(sum(requests.values())),
        "logs.ingested": sum(len(each.log().encode()) for each in cluster.functions) / 1e9,
    }


def per_write(before: Mapping[str, float], after: Mapping[str, float], writes: int) -> Usage:
    """The quantities of one of so many writes; none if there was none."""
    return {key: (after[key] - before.get(key, 0.0)) / writes for key in after} if writes else {}


def dollars(of: Mapping[str, float], prices: Prices | None = None) -> Usage:
    """The price of a million of the same, by key and in all, without AWS's free allowances."""
    prices = prices or load()
    amounts = {key: 1e6 * quantity * prices[key].first for key, quantity in of.items()}
    return {**amounts, "total": sum(amounts.values())}
