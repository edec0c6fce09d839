"""The inputs of a bill: the work of a month, durations and sizes.

Each input has a default and a text that says what it means and where the default comes from.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Final

from lamdb.errors import UsageError

ENDPOINTS: Final = ("rest", "url", "invoke")
ARCHITECTURES: Final = ("x86_64", "arm64")

TRAFFIC: Final = "Traffic"
SIZES: Final = "Sizes"
TIMES: Final = "Times and memory"
STORE: Final = "Store"
OPERATION: Final = "Operation"
OTHERS: Final = "Other databases"


def _input(default: Any, group: str, doc: str, *, most: float = math.inf) -> Any:
    return field(default=default, metadata={"group": group, "doc": doc, "most": most})


@dataclass(frozen=True, slots=True)
class Workload:
    """A month. Raises `UsageError` for a value out of its range."""

    reads: float = _input(1_000_000, TRAFFIC, "Queries in a month.")
    writes: float = _input(100_000, TRAFFIC, "Mutations in a month.")
    searches: float = _input(0, TRAFFIC, "Searches in a month: queries that take longer.")
    endpoint: str = _input(
        "rest",
        TRAFFIC,
        "rest: the REST API. url: function URLs. invoke: reader and writer, invoked directly.",
    )
    direct_reads: bool = _input(
        False, TRAFFIC, "Reads and searches bypass the proxy (DirectRoutes); with invoke they always do."
    )
    active_hours: float = _input(
        730, TRAFFIC, "Hours of the month with traffic; metrics cost by it.", most=744
    )
    records: float = _input(100_000, SIZES, "Records that a search service would hold.")
    database_gb: float = _input(1, SIZES, "Size of the database in GB.")
    read_kb: float = _input(2, SIZES, "Bytes of a read's response, in KB.")
    search_kb: float = _input(6, SIZES, "Bytes of a search's response, in KB.")
    write_kb: float = _input(0.5, SIZES, "Bytes of a write's response, in KB.")
    commit_kb: float = _input(
        8, SIZES, "Size of the file that a commit puts, in KB: its changed pages, compressed."
    )
    log_kb: float = _input(
        0.5,
        SIZES,
        "What an invocation of reader or writer logs, in KB: its metrics, 0.41 to 0.56 as measured.",
    )
    read_ms: float = _input(
        20,
        TIMES,
        "Duration of a read in the reader. A look at S3 takes some 20 ms of it, the query below 1 ms.",
    )
    search_ms: float = _input(40, TIMES, "Duration of a search in the reader.")
    write_ms: float = _input(
        50, TIMES, "Duration of a write in the writer: one GET and one PUT of S3 of some 20 ms each."
    )
    hop_ms: float = _input(
        5, TIMES, "Milliseconds that the proxy takes beyond the duration of the function it invokes."
    )
    proxy_mb: float = _input(512, TIMES, "Memory of the proxy in MB (ProxyMemory).", most=10240)
    reader_mb: float = _input(1769, TIMES, "Memory of a reader in MB (ReaderMemory).", most=10240)
    writer_mb: float = _input(1769, TIMES, "Memory of the writer in MB (WriterMemory).", most=10240)
    architecture: str = _input("x86_64", TIMES, "x86_64 or arm64.")
    cold_share: float = _input(
        0.01, TIMES, "Share of invocations that start an environment; AWS names 1 % as usual at most.", most=1
    )
    proxy_init_ms: float = _input(230, TIMES, "Billed INIT of a proxy: its imports.")
    reader_init_ms: float = _input(270, TIMES, "Billed INIT of reader or writer: its imports.")
    look_share: float = _input(
        1,
        STORE,
        "Share of reads that look for newer transactions, by one GET: at most one a second and reader.",
        most=1,
    )
    miss_share: float = _input(0.05, STORE, "Share of reads and searches that need pages from S3.", most=1)
    miss_gets: float = _input(2, STORE, "GETs of a read that needs pages.")
    open_requests: float = _input(
        6, STORE, "Requests by which an environment opens the database: 2 LIST, else GET."
    )
    writes_per_commit: float = _input(
        1, STORE, "Writes that share one commit and one PUT; up to 100 from the queue."
    )
    keep_days: float = _input(7, STORE, "Days during which every transaction is kept (KeepTransactionsDays).")
    noncurrent_days: float = _input(
        30, STORE, "Days during which deleted objects are kept (NoncurrentVersionDays)."
    )
    snapshots: float = _input(2, STORE, "Whole copies of the database that the store holds: now and before.")
    packed: float = _input(
        0.6, STORE, "Size of the database's pages in the store: LTX files are compressed.", most=1
    )
    fenced_share: float = _input(
        0, OPERATION, "Share of commits that another writer fenced, so that they are made again.", most=1
    )
    wait_ms: float = _input(
        0,
        OPERATION,
        "How long the proxy of a write waits, on average, while the writer is busy and it tries again.",
    )
    queued_share: float = _input(
        0, OPERATION, "Share of writes that come by the FIFO queue (WriteMode QUEUED or AUTO).", most=1
    )
    queued_per_invocation: float = _input(
        5,
        OPERATION,
        "Queued writes that one invocation of the writer executes; measured: 5 at 20 a second, 1 at 5.",
    )
    drain_ms: float = _input(
        120,
        OPERATION,
        "Duration of an invocation of the writer for queued writes: commits, 0.1 s from one to the next.",
    )
    queued_wait_ms: float = _input(
        700,
        OPERATION,
        "How long a proxy waits for the response of a queued write: p50 at 20 a second as measured.",
    )
    polls: float = _input(
        1.1,
        OPERATION,
        "Invocations of a reader by which a proxy gets the response of a queued write; measured: 1.0 to 1.1.",
    )
    poll_gets: float = _input(
        2,
        OPERATION,
        "GETs of new transactions by such an invocation; measured: 1.8 at 20 writes a second, 2.9 at 5.",
    )
    changes_per_write: float = _input(
        0, OPERATION, "Changes that a write publishes to EventBridge (PublishChanges); 0 for none."
    )
    publish_ms: float = _input(
        260,
        OPERATION,
        "Duration of the publisher for one commit; measured: 264 at best, with 20 ms for each request of S3.",
    )
    publish_runs: float = _input(
        43_776, OPERATION, "Runs of the publisher's schedule in a month (PublishSchedule), one a minute."
    )
    metrics: float = _input(19, OPERATION, "Metrics of lamDB that are published, each name of each function.")
    alarms: float = _input(11, OPERATION, "Alarms of the stack.")
    maintenance_runs: float = _input(730, OPERATION, "Runs of the maintenance in a month.")
    maintenance_ms: float = _input(1000, OPERATION, "Duration of a run in the writer.")
    verify_runs: float = _input(30, OPERATION, "Verifications in a month.")
    verify_s_per_gb: float = _input(
        22, OPERATION, "Seconds that a verification takes in the reader for each GB."
    )
    free_tier: bool = _input(
        False,
        OPERATION,
        "Subtract AWS's permanent free tier, as if nothing else in the account used it.",
    )
    rows_read: float = _input(10, OTHERS, "Rows that a read scans, where rows are charged.")
    rows_searched: float = _input(100, OTHERS, "Rows that a search scans.")
    rows_written: float = _input(2, OTHERS, "Rows that a write changes, entries of indexes included.")
    aurora_acus: float = _input(
        0.5, OTHERS, "Average ACUs of Aurora Serverless v2; 0.5 is the least of one that does not pause."
    )
    dsql_read_dpu: float = _input(
        0.06, OTHERS, "DPUs of a read in Aurora DSQL: what AWS's example of EXPLAIN shows for 120 rows."
    )
    dsql_write_dpu: float = _input(
        0.14, OTHERS, "DPUs of a write: AWS says that 100,000 make some 700,000 transactions of TPC-C."
    )

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if isinstance(value, str | bool):
                continue
            if not (math.isfinite(value) and 0 <= value <= each.metadata["most"]):
                most = each.metadata["most"]
                allowed = "0 or more" if math.isinf(most) else f"from 0 to {most:g}"
                raise UsageError(f"{option(each.name)} is {value:g}; it can be {allowed}")
        for name, allowed_names in (("endpoint", ENDPOINTS), ("architecture", ARCHITECTURES)):
            if getattr(self, name) not in allowed_names:
                raise UsageError(
                    f"{option(name)} is {getattr(self, name)!r}",
                    hint=f"Use one of: {', '.join(allowed_names)}.",
                )
        for name in ("writes_per_commit", "queued_per_invocation"):
            if getattr(self, name) < 1:
                raise UsageError(f"{option(name)} is {getattr(self, name):g}; it can be 1 or more")

    @property
    def proxied_reads(self) -> bool:
        return self.endpoint != "invoke" and not self.direct_reads

    @property
    def proxied_writes(self) -> bool:
        return self.endpoint != "invoke"

    @property
    def queued(self) -> float:
        """Writes that come by the queue."""
        return self.writes * self.queued_share

    @property
    def polled(self) -> float:
        """Invocations of readers that look for the response of a queued write: only proxies wait for it."""
        return self.queued * self.polls if self.proxied_writes else 0.0

    @property
    def published(self) -> float:
        """Changes that are published."""
        return self.writes * self.changes_per_write

    @property
    def requests(self) -> float:
        return self.reads + self.searches + self.writes

    def with_input(self, name: str, value: Any) -> "Workload":
        """Returns the same workload with another value of one input."""
        changed: dict[str, Any] = {name: value}
        return dataclasses.replace(self, **changed)

    def scaled(self, factor: float) -> "Workload":
        """Returns the same workload with `factor` times the traffic."""
        return dataclasses.replace(
            self,
            reads=self.reads * factor,
            writes=self.writes * factor,
            searches=self.searches * factor,
        )


def option(name: str) -> str:
    """Returns the command's option for an input."""
    return "--" + name.replace("_", "-")


def number(text: str) -> float:
    """Returns a number that may end in k, M or G: `2.5M`. Raises `UsageError`."""
    factor = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1:], 1.0)
    try:
        return float(text.removesuffix(text[-1]) if factor != 1.0 else text) * factor
    except ValueError:
        raise UsageError(f"{text!r} is no number", hint="Write 2500000 or 2.5M.") from None
