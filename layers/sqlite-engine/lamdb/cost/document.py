"""`docs/cost.md`, computed: `python -m lamdb.cost`."""

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from lamdb.cost.bill import Bill, bill
from lamdb.cost.breakeven import compare
from lamdb.cost.prices import SEEN, Prices, load
from lamdb.cost.report import KINDS, amount, more, per_million, sentence
from lamdb.cost.rivals import ALL, algolia
from lamdb.cost.workload import OTHERS, Workload, option

EXAMPLES: Final = (
    (
        "small",
        "a small application",
        Workload(reads=100_000, writes=10_000, database_gb=0.1, active_hours=200),
    ),
    ("default", "a million reads and 100,000 writes", Workload()),
    (
        "busy",
        "30 million reads and 3 million writes",
        Workload(reads=30e6, writes=3e6, database_gb=10, cold_share=0.002),
    ),
)

SEARCH: Final = Workload(reads=0, searches=1e6, writes=20_000, records=1e6, database_gb=2, rows_searched=200)
"""A million records, searched a million times."""

QUEUED: Final = (
    (
        "5 writes a second",
        Workload(
            queued_share=1,
            queued_per_invocation=1,
            drain_ms=50,
            queued_wait_ms=200,
            polls=1.03,
            poll_gets=2.9,
        ),
    ),
    (
        "20 writes a second",
        Workload(
            queued_share=1, queued_per_invocation=5.1, writes_per_commit=1.75, polls=1.06, poll_gets=1.8
        ),
    ),
    (
        "60 writes a second",
        Workload(
            queued_share=1,
            queued_per_invocation=53.4,
            queued_wait_ms=400,
            writes_per_commit=6.1,
            polls=1.02,
            poll_gets=0.755,
        ),
    ),
)
"""Measured runs in `docs/aws.md`. The wait at 5 writes a second, where nothing contends, is an assumption."""

EVENTS: Final = Workload(
    queued_share=1, queued_per_invocation=10, writes_per_commit=10, drain_ms=50, endpoint="invoke"
)
"""Events of other services. No client waits for a response."""

PUBLISHED: Final = (
    ("one change in a write", Workload(changes_per_write=1)),
    ("ten changes in a write", Workload(changes_per_write=10)),
    ("ten writes in a commit", Workload(changes_per_write=1, writes_per_commit=10)),
)
"""Writes whose changes are published."""

WAYS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("REST API", {"endpoint": "rest"}),
    ("REST API, `DirectRoutes`", {"endpoint": "rest", "direct_reads": True}),
    ("function URL", {"endpoint": "url"}),
    ("function URL, `DirectRoutes`", {"endpoint": "url", "direct_reads": True}),
    ("direct invocation", {"endpoint": "invoke"}),
)


def document() -> str:
    prices = load()
    return (
        "\n".join(
            [
                *_head(prices),
                *_ways(prices),
                *_example(prices),
                *_others(prices),
                *_inputs(),
                *_prices(prices),
            ]
        )
        + "\n"
    )


def _head(prices: Prices) -> Iterator[str]:
    yield "# What it costs"
    yield ""
    yield from _prose(
        "This page is computed from a model and a file of prices: `python -m lamdb.cost > "
        "docs/cost.md`. For your own numbers:"
    )
    yield ""
    yield "```sh"
    yield "lamdb cost --reads 5M --writes 200k --database-gb 3 --endpoint url"
    yield "lamdb cost --from-stack shop --days 7"
    yield "lamdb cost --searches 1M --records 1M --chart cost.svg --json"
    yield "```"
    yield ""
    yield from _prose(
        f"All amounts are {prices.currency} a month at list prices of {prices.region}, without "
        "taxes and without AWS's free allowances (`--free-tier` takes those off). No bill of AWS "
        "was available to compare the model with."
    )
    yield ""


def _ways(prices: Prices) -> Iterator[str]:
    yield "## A million of each"
    yield ""
    yield "The cost of a million more of each, with the [inputs](#inputs) at their defaults:"
    yield ""
    rows = []
    for name, changed in WAYS:
        work = Workload(**changed)
        rows.append([name, *(_money(per_million(work, prices, kind)) for kind in KINDS)])
    yield from _table(["way", *KINDS], rows)
    yield ""
    for kind in ("reads", "writes"):
        yield f"The lines of a million {kind}:"
        yield ""
        columns = []
        for endpoint in ("rest", "url"):
            found = more(Workload(endpoint=endpoint), prices, kind)
            columns.append({line.name: (line, extra) for line, extra in found})
        names = list(dict.fromkeys(name for column in columns for name in column))
        rows = []
        for name in names:
            line = next(column[name][0] for column in columns if name in column)
            rows.append(
                [
                    name,
                    line.formula,
                    *(_money(column[name][1]) if name in column else "–" for column in columns),
                ]
            )
        totals = [_money(sum(extra for _, extra in column.values())) for column in columns]
        yield from _table(
            ["line", "formula", "REST API", "function URL"], [*rows, ["**total**", "", *totals]]
        )
        yield ""
    yield from _prose(
        "Comparisons often count only invocations and compute; logs, requests to S3 and data out "
        "also have to be paid. The logs are the metrics of each invocation, which `LogLevel` does "
        "not reduce."
    )
    yield ""
    yield from _prose(
        "**Contended writes.** One writer takes ten requests a second. While it is busy, the proxy "
        "of a write waits, and its time is billed:"
    )
    yield ""
    rows = []
    for wait in (0, 200, 1000, 5000, 20000):
        work = Workload(wait_ms=wait)
        rows.append([f"{wait:,} ms", _money(per_million(work, prices, "writes"))])
    yield from _table(["average wait", "a million writes"], rows)
    yield ""
    yield from _prose(
        "**Queued writes.** With `WriteMode` `AUTO`, writes that find the writer busy go through a "
        "FIFO queue ([aws.md](aws.md#writes-through-a-queue)); with `QUEUED`, all do. One invocation "
        "of the writer executes several of them. Meanwhile the proxy waits, and asks a reader for "
        "the response. The table shows a million writes by the REST API, all of them queued, with "
        "the invocations, commits and requests that were measured at three rates on a local Lambda:"
    )
    yield ""
    rows = []
    for rate, work in QUEUED:
        by = {line.name: extra for line, extra in more(work, prices, "writes")}
        rows.append(
            [
                rate,
                f"{work.queued_per_invocation:g}",
                f"{work.writes_per_commit:g}",
                _money(by["proxy, waiting for queued writes"]),
                _money(by["reader, responses of queued writes"] + by["GET of new transactions"]),
                _money(by["FIFO queue"]),
                _money(per_million(work, prices, "writes")),
            ]
        )
    yield from _table(
        ["", "writes per invocation", "per commit", "proxies wait", "readers look", "SQS", "total"], rows
    )
    yield ""
    yield from _prose(
        "Writes of `DIRECT` that find the writer free cost "
        f"{_money(per_million(Workload(), prices, 'writes'))}. The requests with which Lambda polls an empty "
        "queue are not in the model."
    )
    yield ""
    yield from _prose(
        "**Events.** Events of other services come by a queue of their own, ten to an invocation. If the ten "
        f"share a commit, a million cost {_money(per_million(EVENTS, prices, 'writes'))}."
    )
    yield ""
    yield from _published(prices)


def _published(prices: Prices) -> Iterator[str]:
    without = per_million(Workload(), prices, "writes")
    rows = []
    for name, work in PUBLISHED:
        by = {line.name: extra for line, extra in more(work, prices, "writes")}
        changes = by["published changes"]
        objects = by["PUT of progress"] + by["GET of new transactions and progress"]
        computed = by["publisher"] + by["invocations of the publisher"]
        alone = per_million(dataclasses.replace(work, changes_per_write=0), prices, "writes")
        total = per_million(work, prices, "writes") - alone
        rows.append([name, *map(_money, (changes, by["events of the bucket"], computed, objects, total))])
    yield from _prose(
        "**Published changes.** With `PublishChanges` ([changes.md](changes.md#eventbridge)) a million "
        f"writes cost more than the {_money(without)} above:"
    )
    yield ""
    yield from _table(
        ["", "changes", "events of the bucket", "publisher", "S3", "total, more"],
        rows,
    )
    yield ""
    idle = bill(Workload(reads=0, writes=0, changes_per_write=1), prices).total
    idle -= bill(Workload(reads=0, writes=0), prices).total
    runs = Workload().publish_runs
    each_run = bill(Workload(reads=0, writes=runs, changes_per_write=1), prices)
    scheduled = sum(
        line.amount
        for line in each_run.lines
        if line.group == "publisher" and line.price != "eventbridge.event"
    )
    change = sum(prices[key].of(1e6) for key in ("eventbridge.event", "s3.get")) + prices["s3.put"].of(1e5)
    yield from _prose(
        f"Without any change its schedule costs {_money(idle)} a month. Under load one run of the publisher "
        "takes several commits, which this model leaves out. With `PublishOnCommit=false` the schedule alone "
        f"publishes: then a month costs {_money(scheduled + idle)} with changes in every run, and about "
        f"{_money(change)} for a million changes in as many commits. Rules that send events to "
        "targets in the same account cost nothing, but the targets do."
    )
    yield ""


def _example(prices: Prices) -> Iterator[str]:
    yield "## A month"
    yield ""
    groups = list(dict.fromkeys(line.group for _, _, work in EXAMPLES for line in bill(work, prices).lines))
    bills = [bill(work, prices) for _, _, work in EXAMPLES]
    idle = bill(Workload(reads=0, writes=0), prices)
    columns: Sequence[Bill] = [idle, *bills]
    rows: list[list[str]] = [[group, *(_money(each.of_group(group)) for each in columns)] for group in groups]
    rows.append(["**total**", *(_money(each.total) for each in columns)])
    yield from _table(["", "idle, 1 GB", *(title for _, title, _ in EXAMPLES)], rows)
    yield ""
    yield from _prose(
        "An idle database costs storage, alarms and schedules: hourly maintenance, and daily "
        "verification of the whole database. The first 10 alarms and 10 metrics of an account are "
        "free; that is not subtracted here. Metrics are billed by the hours in which they are "
        "published."
    )
    yield ""
    yield from _prose(
        "Not in the model: `ReaderProvisionedConcurrency` and `ProxyProvisionedConcurrency` (by the "
        "hour), `SnapStart` (by the snapshot and restore), `KmsKeyArn` (by key and request), "
        "`WebAclArn`, `Tracing=Active`, `AccessLogs`, `Dashboard`, storage of logs after they were "
        "ingested, `EphemeralStorage` beyond 512 MB. All of these but the storage of logs are off by "
        "default."
    )
    yield ""


def _others(prices: Prices) -> Iterator[str]:
    yield "## Beside others"
    yield ""
    yield from _prose(
        "The same work with other services. The bills of Aurora, DSQL, DynamoDB and Turso include "
        "the same endpoint and a function in front of them, because clients of lamDB call an API. "
        "lamDB's bill includes its metrics and alarms; the others' include none. The services differ "
        "in what they do: read the notes."
    )
    yield ""
    cases = [("default", Workload()), ("busy", EXAMPLES[2][2]), ("search", SEARCH)]
    rows = []
    ours = [bill(work, prices) for _, work in cases]
    url = [bill(dataclasses.replace(work, endpoint="url"), prices) for _, work in cases]
    rows.append(["lamDB, REST API", *(_money(each.total) for each in ours), ""])
    rows.append(["lamDB, function URL", *(_money(each.total) for each in url), ""])
    for rival in ALL:
        theirs = [rival(work, prices) for _, work in cases]
        rows.append([theirs[0].name, *(_money(each.total) for each in theirs), theirs[0].note])
    yield from _table(
        ["", "1M reads, 100k writes", "30M reads, 3M writes", "1M searches of 1M records", "note"], rows
    )
    yield ""
    yield ("Traffic at which the bills are equal, as a multiple of the first column, with the REST API:")
    yield ""
    for rival in ALL:
        yield f"- {sentence(compare(Workload(), prices, rival, 'traffic'))}"
    yield ""
    yield "### Algolia: records and searches"
    yield ""
    yield from _prose(
        "Algolia's plan Grow contains 10,000 searches and 100,000 records; more cost by the "
        f"thousand. For lamDB the model assumes {SEARCH.search_ms:g} ms in the reader for a search "
        "([search.md](search.md)); that figure is an assumption, and was not measured on AWS."
    )
    yield ""
    searches = (10_000, 100_000, 1_000_000, 10_000_000)
    rows = []
    for records in (10_000, 100_000, 1_000_000, 10_000_000):
        cells = []
        for asked in searches:
            # Some 2 kB for each record.
            work = dataclasses.replace(SEARCH, records=records, searches=asked, database_gb=records * 2e-6)
            cells.append(f"{_money(bill(work, prices).total)} / {_money(algolia(work, prices).total)}")
        rows.append([f"{records:,} records", *cells])
    yield from _table(["lamDB / Algolia", *(f"{each:,} searches" for each in searches)], rows)
    yield ""
    yield "Where the two bills are equal, with 20,000 writes a month:"
    yield ""
    small = dataclasses.replace(SEARCH, records=100_000, database_gb=0.2)
    yield f"- 100,000 records, {_break_even(small, prices, 'searches')}"
    few = dataclasses.replace(SEARCH, searches=10_000)
    yield f"- 10,000 searches, {_break_even(few, prices, 'records')}"
    yield ""


def _break_even(work: Workload, prices: Prices, varied: str) -> str:
    found = compare(work, prices, algolia, varied)
    text = sentence(found)
    return text[0].lower() + text[1:] if not text.startswith("Algolia") else text


def _inputs() -> Iterator[str]:
    yield "## Inputs"
    yield ""
    yield from _prose(
        "The durations are assumptions, based on lamDB's own benchmarks "
        "([performance.md](performance.md)): a request to S3 takes 20 ms, as in those benchmarks, "
        "because S3 itself was not available; a query takes less than 1 ms, and a commit waits for "
        "one PUT. `--from-stack` replaces them by measurements of CloudWatch. GB are 10^9 bytes; "
        "Lambda's memory counts 1024 MB as a GB."
    )
    yield ""
    rows = []
    for each in dataclasses.fields(Workload):
        default: Any = each.default
        shown = (
            str(default).lower()
            if isinstance(default, bool)
            else default
            if isinstance(default, str)
            else f"{default:,}"
        )
        rows.append([f"`{option(each.name)}`", f"`{shown}`", str(each.metadata["doc"])])
    yield from _table(["option", "default", "meaning"], rows)
    yield ""
    yield f"The group “{OTHERS}” is the last seven of them."
    yield ""


def _prices(prices: Prices) -> Iterator[str]:
    yield "## Prices"
    yield ""
    yield (
        "The date is the date of the figure, or, if the page has no date, the day on which it was "
        "read. How it was verified:"
    )
    yield ""
    for seen, text in SEEN.items():
        yield f"- *{seen}*: {text}."
    yield ""
    rows = []
    for price in prices.by_key.values():
        tiers = [
            f"{each:.6g}" if bound == float("inf") else f"{each:.6g} up to {amount(bound)}"
            for bound, each in price.tiers
        ]
        free = (
            f"{amount(price.free)} free"
            if price.free
            else f"{amount(price.included)} included"
            if price.included
            else ""
        )
        rows.append(
            [f"`{price.key}`", ", ".join(tiers), price.unit, free, price.date, price.seen, price.source]
        )
    yield from _table(["key", prices.currency, "per", "allowance", "date", "seen", "source"], rows)
    yield ""
    yield from _prose(
        "For another region, write a file with an entry for each key of AWS above, and give it as "
        "`--prices FILE --region eu-central-1`. Its member `everywhere` may contain the prices of "
        "other services."
    )
    yield ""
    yield "```json"
    yield '{"currency": "USD", "regions": {"eu-central-1": ['
    yield '  {"key": "s3.put", "unit": "PUT or LIST", "price": 5e-6,'
    yield '   "source": "https://…", "date": "2026-11-28", "seen": "vendor"}'
    yield "]}}"
    yield "```"


def _prose(text: str) -> Iterator[str]:
    """The lines of a paragraph."""
    yield from textwrap.wrap(text, 130, break_long_words=False, break_on_hyphens=False)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _money(value: float) -> str:
    return f"{value:,.2f}"
