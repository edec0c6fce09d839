"""The lines of lamDB's own bill for a month.

Every line is a quantity times a price. Its formula names the inputs; `queued` is writes × queued-share.
A GB is 10^9 bytes, but Lambda's memory is counted in GB of 1024 MB.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lamdb.cost.prices import Prices
from lamdb.cost.workload import Workload

DAYS: Final = 30.4
"""Days in a month, on average."""

MERGES: Final = 1 / 15
"""Files that compaction puts for one commit: 1/16 on the first level, 1/256 on the next, and so on."""


PUBLISHER_MB: Final = 512
"""Memory of the publisher, as the template sets it."""

_IDLE_MS: Final = 50
"""Duration of a run of the publisher that finds nothing: two GETs of some 20 ms."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a monthly bill. `quantity` is in units of the price with the key `price`."""

    group: str
    name: str
    price: str
    quantity: float
    amount: float
    formula: str


@dataclass(frozen=True, slots=True)
class Bill:
    name: str
    lines: tuple[Line, ...]
    note: str = ""

    @property
    def total(self) -> float:
        return sum(line.amount for line in self.lines)

    def of_group(self, group: str) -> float:
        return sum(line.amount for line in self.lines if line.group == group)


class Ledger:
    """Collects lines."""

    def __init__(self, work: Workload, prices: Prices) -> None:
        self._work = work
        self._prices = prices
        self.lines: list[Line] = []

    def add(self, group: str, name: str, price: str, quantity: float, formula: str) -> None:
        amount = self._prices[price].of(quantity)
        self.lines.append(Line(group, name, price, quantity, amount, formula))

    def bill(self, name: str, note: str = "") -> Bill:
        """Returns the lines. With `free_tier`, each price's allowance is taken off in proportion."""
        lines = _without_free(self.lines, self._prices) if self._work.free_tier else self.lines
        return Bill(name, tuple(lines), note)


def bill(work: Workload, prices: Prices) -> Bill:
    """Returns what the workload costs with lamDB."""
    ledger = Ledger(work, prices)
    _requests(ledger, work)
    _compute(ledger, work)
    _store(ledger, work)
    _publisher(ledger, work)
    _operation(ledger, work)
    return ledger.bill("lamDB")


def invocations(work: Workload) -> dict[str, float]:
    """Returns the invocations of each function in a month, of schedules included."""
    queried = work.reads + work.searches
    batches = work.queued / work.queued_per_invocation
    again = work.writes * work.fenced_share
    return {
        "proxy": queried * work.proxied_reads + work.writes * work.proxied_writes,
        "reader": queried + work.polled + work.verify_runs,
        "writer": work.writes - work.queued + batches + again + work.maintenance_runs,
    }


def _requests(ledger: Ledger, work: Workload) -> None:
    if work.endpoint == "rest":
        ledger.add("requests", "REST API", "api.rest", work.requests, "reads + searches + writes")
    calls = invocations(work)
    for function, formula in (
        ("proxy", "reads + searches (unless they go round it) + writes"),
        ("reader", "reads + searches + queued × polls + verify-runs"),
        (
            "writer",
            "writes − queued + queued / queued-per-invocation + fenced-share × writes + maintenance-runs",
        ),
    ):
        ledger.add("requests", f"invocations of the {function}", "lambda.request", calls[function], formula)


def _compute(ledger: Ledger, work: Workload) -> None:
    price = f"lambda.{work.architecture}"

    def add(name: str, group: str, milliseconds: float, megabytes: float, formula: str) -> None:
        ledger.add(group, name, price, milliseconds / 1000 * megabytes / 1024, f"{formula} × memory")

    reading = work.reads * work.read_ms + work.searches * work.search_ms
    writing = work.writes * work.write_ms
    direct = (work.writes - work.queued) * work.write_ms
    queried = (work.reads + work.searches) * work.proxied_reads
    hops = (queried + work.writes * work.proxied_writes) * work.hop_ms
    waited = reading * work.proxied_reads + direct * work.proxied_writes
    add(
        "proxy", "compute", hops + waited, work.proxy_mb, "(hop-ms + duration of the function behind) × calls"
    )
    contended = work.writes * work.proxied_writes * (work.wait_ms + work.fenced_share * work.write_ms)
    add(
        "proxy, waiting for a busy writer",
        "retries",
        contended,
        work.proxy_mb,
        "writes × (wait-ms + fenced-share × write-ms)",
    )
    add(
        "proxy, waiting for queued writes",
        "queue",
        work.queued * work.proxied_writes * work.queued_wait_ms,
        work.proxy_mb,
        "queued × queued-wait-ms",
    )
    add("reader", "compute", reading, work.reader_mb, "reads × read-ms + searches × search-ms")
    add(
        "reader, responses of queued writes",
        "queue",
        work.polled * work.read_ms,
        work.reader_mb,
        "queued × polls × read-ms",
    )
    add("writer", "compute", direct, work.writer_mb, "(writes − queued) × write-ms")
    drained = work.queued / work.queued_per_invocation * work.drain_ms
    add(
        "writer, queued writes",
        "queue",
        drained,
        work.writer_mb,
        "queued / queued-per-invocation × drain-ms",
    )
    again = writing * work.fenced_share
    add("writer, commits made again", "retries", again, work.writer_mb, "writes × fenced-share × write-ms")
    verifying = work.verify_runs * work.verify_s_per_gb * work.database_gb * 1000
    add("verification", "schedules", verifying, work.reader_mb, "verify-runs × verify-s-per-gb × database-gb")
    maintaining = work.maintenance_runs * work.maintenance_ms
    add("maintenance", "schedules", maintaining, work.writer_mb, "maintenance-runs × maintenance-ms")
    for function, megabytes, init in (
        ("proxy", work.proxy_mb, work.proxy_init_ms),
        ("reader", work.reader_mb, work.reader_init_ms),
        ("writer", work.writer_mb, work.reader_init_ms),
    ):
        starts = _called(work)[function] * work.cold_share
        add(f"INIT of the {function}", "INIT", starts * init, megabytes, "invocations × cold-share × init-ms")


def _called(work: Workload) -> dict[str, float]:
    """Invocations without those of schedules, whose start is in their duration."""
    calls = invocations(work)
    return {
        "proxy": calls["proxy"],
        "reader": calls["reader"] - work.verify_runs,
        "writer": calls["writer"] - work.maintenance_runs,
    }


def _store(ledger: Ledger, work: Workload) -> None:
    commits = work.writes / work.writes_per_commit
    queried = work.reads + work.searches
    opened = (_called(work)["reader"] + _called(work)["writer"]) * work.cold_share
    ledger.add("S3", "PUT of commits", "s3.put", commits, "writes / writes-per-commit")
    ledger.add(
        "retries", "PUT of fenced commits", "s3.put", commits * work.fenced_share, "commits × fenced-share"
    )
    ledger.add("S3", "PUT and LIST of compaction", "s3.put", commits * 2 * MERGES, "commits × 2/15")
    ledger.add("S3", "LIST of opening", "s3.put", opened * min(2, work.open_requests), "cold starts × 2")
    looks = queried * work.look_share
    ledger.add(
        "S3",
        "GET: is there anything new?",
        "s3.get",
        looks + commits,
        "(reads + searches) × look-share + commits",
    )
    ledger.add(
        "queue",
        "GET of new transactions",
        "s3.get",
        work.polled * work.poll_gets,
        "queued × polls × poll-gets",
    )
    missed = queried * work.miss_share * work.miss_gets
    ledger.add("S3", "GET of pages", "s3.get", missed, "(reads + searches) × miss-share × miss-gets")
    opening = opened * max(0.0, work.open_requests - 2)
    ledger.add("S3", "GET of opening", "s3.get", opening, "cold starts × (open-requests − 2)")
    ledger.add("S3", "GET of compaction", "s3.get", commits * (1 + MERGES), "commits × 16/15")
    ledger.add("schedules", "LIST of maintenance", "s3.put", work.maintenance_runs, "maintenance-runs")
    ledger.add(
        "schedules",
        "GET of verification",
        "s3.get",
        work.verify_runs * work.database_gb * 1000,
        "verify-runs × 1 per MB",
    )
    held = work.database_gb * work.packed * work.snapshots
    ledger.add("storage", "database", "s3.storage", held, "database-gb × packed × snapshots")
    days = work.keep_days + work.noncurrent_days
    kept = commits * work.commit_kb / 1e6 * days / DAYS
    ledger.add(
        "storage", "history", "s3.storage", kept, "commits × commit-kb × (keep-days + noncurrent-days) / 30.4"
    )


def _publisher(ledger: Ledger, work: Workload) -> None:
    """The publisher runs for each commit, at most: one that is at work takes others along."""
    publishes = work.changes_per_write > 0
    commits = work.writes / work.writes_per_commit if publishes else 0.0
    runs = work.publish_runs if publishes else 0.0
    price = f"lambda.{work.architecture}"

    def add(name: str, key: str, quantity: float, formula: str) -> None:
        ledger.add("publisher", name, key, quantity, formula)

    add("published changes", "eventbridge.event", work.published, "writes × changes-per-write")
    # Objects of commits and compaction are created, deleted and forgotten; those of progress replaced.
    events = commits * (3 * (1 + MERGES) + 4)
    add("events of the bucket", "eventbridge.event", events, "commits × (3 × 16/15 + 4)")
    add("invocations of the publisher", "lambda.request", commits, "commits")
    seconds = commits * work.publish_ms / 1000
    add("publisher", price, seconds * PUBLISHER_MB / 1024, "commits × publish-ms × 512 MB")
    puts = commits + max(commits, work.published / 10)
    add("PUT of progress", "s3.put", puts, "commits + one for each 10 changes")
    add("GET of new transactions and progress", "s3.get", commits * 5, "commits × 5")
    add("logs of the publisher", "logs.ingested", commits * work.log_kb / 1e6, "commits × log-kb")
    ledger.add("schedules", "runs of the publisher", "lambda.request", runs, "publish-runs")
    idle = runs * _IDLE_MS / 1000 * PUBLISHER_MB / 1024
    ledger.add("schedules", "publisher without changes", price, idle, "publish-runs × 50 ms × 512 MB")
    ledger.add("schedules", "GET of the publisher", "s3.get", runs * 2, "publish-runs × 2")


def _operation(ledger: Ledger, work: Workload) -> None:
    out = (work.reads * work.read_kb + work.searches * work.search_kb + work.writes * work.write_kb) / 1e6
    ledger.add("data out", "responses to the internet", "data.out", out, "requests × size of their responses")
    # A proxy logs nothing of a request that went well.
    logged = (_called(work)["reader"] + _called(work)["writer"]) * work.log_kb / 1e6
    ledger.add("logs", "logs", "logs.ingested", logged, "invocations of reader and writer × log-kb")
    ledger.add(
        "queue",
        "FIFO queue",
        "sqs.fifo",
        work.queued * (1 + _queue_requests(work) / work.queued_per_invocation),
        "queued × (1 + requests of an invocation / queued-per-invocation)",
    )
    share = work.active_hours / 730 if work.requests else 0.0
    ledger.add(
        "metrics", "lamDB's metrics", "metric", work.metrics * min(1.0, share), "metrics × active-hours / 730"
    )
    ledger.add("alarms", "alarms", "alarm", work.alarms, "alarms")


def _queue_requests(work: Workload) -> float:
    """Requests by which an invocation of the writer receives and deletes what it executes.

    Lambda receives and deletes the message that it invokes the writer with, or up to ten events. The writer
    itself receives the other queued writes, at most ten in a request, and deletes them in the same way.
    """
    if not work.proxied_writes:
        return 2.0
    others = work.queued_per_invocation - 1
    return 2.0 + 2 * max(min(1.0, others), others / 10)


def _without_free(lines: Iterable[Line], prices: Prices) -> Iterator[Line]:
    lines = list(lines)
    for line in lines:
        price = prices[line.price]
        together = sum(each.quantity for each in lines if each.price == line.price)
        before = price.of(together)
        share = price.of(together, free_tier=True) / before if before else 1.0
        yield Line(line.group, line.name, line.price, line.quantity, line.amount * share, line.formula)
