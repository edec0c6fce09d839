"""Costs of other databases for the same work.

Aurora, DSQL, DynamoDB and Turso are asked by a function behind the same endpoint as lamDB's, with the
memory, INIT and logs of the proxy and the times of the reader: what clients call over HTTP is an API.
Algolia is asked by clients themselves, D1 by a Worker. Metrics and alarms are left out, which lamDB's bill
has.
"""

import math
from collections.abc import Callable
from typing import Final

from lamdb.cost.bill import Bill, Ledger
from lamdb.cost.prices import Prices
from lamdb.cost.workload import Workload

HOURS: Final = 730
"""Hours in a month, on average."""

DSQL_ROWS: Final = 120
"""Rows of the read whose DPUs AWS's documentation shows."""


def algolia(work: Workload, prices: Prices) -> Bill:
    ledger = Ledger(work, prices)
    asked = work.reads + work.searches
    ledger.add("requests", "search requests", "algolia.search", asked, "reads + searches − 10,000 included")
    ledger.add("storage", "records", "algolia.record", work.records, "records − 100,000 included")
    return ledger.bill("Algolia (Grow)", "A search service, not a database; writes are free up to a limit.")


def aurora(work: Workload, prices: Prices) -> Bill:
    ledger = _behind_a_function(work, prices)
    ledger.add("compute", "capacity", "aurora.acu", work.aurora_acus * HOURS, "aurora-acus × 730")
    ledger.add("storage", "database", "aurora.storage", work.database_gb, "database-gb")
    missed = (work.reads + work.searches) * work.miss_share * work.miss_gets
    ledger.add("requests", "I/O", "aurora.io", missed + work.writes, "pages read + writes")
    return ledger.bill(
        "Aurora Serverless v2",
        "aurora-acus stay as they are, whatever the traffic; no second instance for failover.",
    )


def dsql(work: Workload, prices: Prices) -> Bill:
    ledger = _behind_a_function(work, prices)
    reading = work.reads * max(1.0, work.rows_read / DSQL_ROWS)
    reading += work.searches * max(1.0, work.rows_searched / DSQL_ROWS)
    formula = "(reads × max(1, rows-read / 120) + the same of searches) × dsql-read-dpu"
    ledger.add("compute", "DPUs of reads", "dsql.dpu", reading * work.dsql_read_dpu, formula)
    ledger.add(
        "compute", "DPUs of writes", "dsql.dpu", work.writes * work.dsql_write_dpu, "writes × dsql-write-dpu"
    )
    ledger.add("storage", "database", "dsql.storage", work.database_gb, "database-gb")
    return ledger.bill("Aurora DSQL", "DPUs depend on the statement; foreign keys and more are missing.")


def dynamodb(work: Workload, prices: Prices) -> Bill:
    ledger = _behind_a_function(work, prices)
    reads = work.reads * _units(work.read_kb, 4) / 2 + work.searches * _units(work.search_kb, 4) / 2
    ledger.add(
        "requests", "read units", "dynamodb.read", reads, "requests × ⌈KB / 4⌉ / 2 (eventually consistent)"
    )
    writes = work.writes * work.rows_written * _units(work.write_kb, 1)
    ledger.add("requests", "write units", "dynamodb.write", writes, "writes × rows-written × ⌈KB⌉")
    ledger.add("storage", "table", "dynamodb.storage", work.database_gb, "database-gb")
    return ledger.bill("DynamoDB (on demand)", "Keys and indexes only: no joins, aggregates or searches.")


def turso(work: Workload, prices: Prices) -> Bill:
    ledger = _behind_a_function(work, prices)
    ledger.add("plan", "plan", "turso.developer.plan", 1, "1")
    _rows(ledger, work, "turso.developer")
    return ledger.bill("Turso (Developer)", "What exceeds the plan is priced as its Free plan says.")


def d1(work: Workload, prices: Prices) -> Bill:
    ledger = Ledger(work, prices)
    ledger.add("plan", "Workers Paid", "d1.plan", 1, "1")
    ledger.add("requests", "Worker", "d1.worker", work.requests, "reads + searches + writes")
    _rows(ledger, work, "d1")
    return ledger.bill("Cloudflare D1", "10 GB at most; a Worker's CPU time is left out.")


ALL: Final[tuple[Callable[[Workload, Prices], Bill], ...]] = (algolia, aurora, dsql, dynamodb, turso, d1)


def _rows(ledger: Ledger, work: Workload, vendor: str) -> None:
    read = work.reads * work.rows_read + work.searches * work.rows_searched
    ledger.add(
        "requests", "rows read", f"{vendor}.read", read, "reads × rows-read + searches × rows-searched"
    )
    ledger.add(
        "requests",
        "rows written",
        f"{vendor}.written",
        work.writes * work.rows_written,
        "writes × rows-written",
    )
    ledger.add("storage", "database", f"{vendor}.storage", work.database_gb, "database-gb")


def _behind_a_function(work: Workload, prices: Prices) -> Ledger:
    ledger = Ledger(work, prices)
    if work.endpoint == "rest":
        ledger.add("API", "REST API", "api.rest", work.requests, "reads + searches + writes")
    ledger.add(
        "API", "invocations of a function", "lambda.request", work.requests, "reads + searches + writes"
    )
    busy = work.reads * work.read_ms + work.searches * work.search_ms + work.writes * work.write_ms
    seconds = busy / 1000 * work.proxy_mb / 1024
    ledger.add("API", "the function", f"lambda.{work.architecture}", seconds, "durations × proxy-mb")
    starts = work.requests * work.cold_share * work.proxy_init_ms / 1000 * work.proxy_mb / 1024
    ledger.add("API", "its INIT", f"lambda.{work.architecture}", starts, "requests × cold-share × init-ms")
    logged = work.requests * work.log_kb / 1e6
    ledger.add("API", "its logs", "logs.ingested", logged, "requests × log-kb")
    out = (work.reads * work.read_kb + work.searches * work.search_kb + work.writes * work.write_kb) / 1e6
    ledger.add("API", "data out", "data.out", out, "requests × size of their responses")
    return ledger


def _units(kilobytes: float, size: float) -> float:
    return max(1.0, math.ceil(kilobytes / size))
