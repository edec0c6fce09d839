"""The bill: what every line must obey, whatever the workload."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.cost import prices as pricing
from lamdb.cost.bill import Bill, bill
from lamdb.cost.breakeven import compare
from lamdb.cost.document import EVENTS, QUEUED
from lamdb.cost.measured import FUNCTIONS
from lamdb.cost.prices import Price, load
from lamdb.cost.report import as_json, more, per_million, report
from lamdb.cost.rivals import ALL, algolia, aurora, dynamodb
from lamdb.cost.workload import ARCHITECTURES, ENDPOINTS, Workload, number
from lamdb.errors import SettingsError, UsageError

PRICES = load()

counts = st.floats(0, 1e8)
shares = st.floats(0, 1)
workloads = st.builds(
    Workload,
    reads=counts,
    writes=counts,
    searches=counts,
    endpoint=st.sampled_from(ENDPOINTS),
    direct_reads=st.booleans(),
    architecture=st.sampled_from(ARCHITECTURES),
    database_gb=st.floats(0, 1000),
    commit_kb=st.floats(0, 1000),
    cold_share=shares,
    miss_share=shares,
    look_share=shares,
    fenced_share=shares,
    queued_share=shares,
    queued_per_invocation=st.floats(1, 100),
    wait_ms=st.floats(0, 20_000),
    free_tier=st.booleans(),
)

# A larger one of these never makes a bill smaller.
GROWING = [
    each.name
    for each in dataclasses.fields(Workload)
    if isinstance(each.default, float | int)
    and not isinstance(each.default, bool)
    and each.name
    not in {"writes_per_commit", "queued_per_invocation", "queued_share", "active_hours", "packed"}
]


def every_bill(work: Workload) -> list[Bill]:
    return [bill(work, PRICES), *(rival(work, PRICES) for rival in ALL)]


@given(workloads)
@settings(max_examples=60)
def test_a_total_is_the_sum_of_its_lines_and_none_is_negative(work: Workload) -> None:
    for each in every_bill(work):
        assert each.total == sum(line.amount for line in each.lines)
        assert all(line.amount >= 0 and line.quantity >= 0 for line in each.lines)
        assert each.total == pytest.approx(sum(map(each.of_group, {line.group for line in each.lines})))
        assert all(line.formula and line.price in PRICES.by_key for line in each.lines)


@given(workloads, st.sampled_from(GROWING), st.floats(1, 10))
@settings(max_examples=150)
def test_more_of_anything_never_costs_less(work: Workload, name: str, factor: float) -> None:
    most = next(each.metadata["most"] for each in dataclasses.fields(Workload) if each.name == name)
    larger = work.with_input(name, min(most, max(getattr(work, name) * factor, getattr(work, name) + 0.01)))
    for before, after in zip(every_bill(work), every_bill(larger), strict=True):
        assert after.total >= before.total * (1 - 1e-9), (before.name, name)


@given(workloads, st.floats(0, 3))
@settings(max_examples=80)
def test_what_traffic_costs_is_in_proportion_to_it(work: Workload, factor: float) -> None:
    """Below the first tier's end, and without allowances: the cost above idle is linear."""
    work = dataclasses.replace(work, free_tier=False, metrics=0)
    idle = bill(work.scaled(0), PRICES).total
    once, scaled = bill(work, PRICES).total - idle, bill(work.scaled(factor), PRICES).total - idle
    if work.scaled(max(1.0, factor)).requests <= 333e6:
        assert scaled == pytest.approx(once * factor, rel=1e-6, abs=1e-6)


@given(workloads)
@settings(max_examples=60)
def test_without_traffic_storage_alarms_and_schedules_are_left(work: Workload) -> None:
    idle = bill(work.scaled(0), PRICES)
    assert {line.group for line in idle.lines if line.amount} <= {
        "storage",
        "alarms",
        "schedules",
        "requests",
    }
    still = bill(dataclasses.replace(work.scaled(0), maintenance_runs=0, verify_runs=0), PRICES)
    assert {line.group for line in still.lines if line.amount} <= {"storage", "alarms"}


@given(workloads)
@settings(max_examples=40)
def test_allowances_never_make_it_dearer(work: Workload) -> None:
    with_, without = (bill(dataclasses.replace(work, free_tier=free), PRICES) for free in (True, False))
    assert with_.total <= without.total * (1 + 1e-9)
    saved = sum(price.free * price.first for price in PRICES.by_key.values())
    assert without.total - with_.total <= saved + 1e-6


def test_a_line_can_be_computed_by_hand() -> None:
    work = Workload(reads=1e6, writes=0, endpoint="rest", read_ms=20, hop_ms=5, proxy_mb=512, reader_mb=2048)
    amounts = {line.name: line.amount for line in bill(work, PRICES).lines}
    assert amounts["REST API"] == pytest.approx(3.5)
    assert amounts["invocations of the proxy"] == pytest.approx(0.2)
    assert amounts["reader"] == pytest.approx(1e6 * 0.020 * 2 * 1.66667e-5)
    assert amounts["proxy"] == pytest.approx(1e6 * 0.025 * 0.5 * 1.66667e-5)
    assert amounts["GET: is there anything new?"] == pytest.approx(0.4)


def test_ways_differ_by_what_they_do_without() -> None:
    rest, url, invoke = (per_million(Workload(endpoint=each), PRICES, "reads") for each in ENDPOINTS)
    assert rest - url == pytest.approx(3.5)
    assert invoke < url
    around = per_million(Workload(endpoint="url", direct_reads=True), PRICES, "reads")
    assert around == pytest.approx(invoke)
    assert {line.group for line, _ in more(Workload(), PRICES, "writes")} >= {"S3", "storage", "logs"}


@pytest.mark.parametrize(
    ("changed", "group"),
    [({"fenced_share": 0.5}, "retries"), ({"wait_ms": 1000}, "retries"), ({"cold_share": 0.5}, "INIT")],
)
def test_what_goes_wrong_has_lines_of_its_own(changed: dict[str, Any], group: str) -> None:
    usual, worse = bill(Workload(), PRICES), bill(Workload(**changed), PRICES)
    assert worse.of_group(group) > usual.of_group(group)


def test_writes_that_share_commits_and_batches_are_cheaper() -> None:
    alone = per_million(Workload(), PRICES, "writes")
    shared = Workload(queued_share=1, writes_per_commit=10, queued_per_invocation=10, queued_wait_ms=200)
    assert per_million(shared, PRICES, "writes") < alone - 2
    assert (
        per_million(EVENTS, PRICES, "writes") < per_million(Workload(endpoint="invoke"), PRICES, "writes") / 4
    )


MEASURED = {
    "`QUEUED`": QUEUED[0][1],
    "`AUTO`, 20 writes a second": QUEUED[1][1],
    "`AUTO`, 60 writes a second": QUEUED[2][1],
}
"""Rows of the table of requests per write in `docs/aws.md`, and the workloads of `docs/cost.md` for them."""


@pytest.mark.parametrize("row", MEASURED)
def test_queued_writes_need_the_requests_that_were_measured(row: str) -> None:
    table = (Path(__file__).parents[3] / "docs/aws.md").read_text()
    (cells,) = re.findall(rf"^\| {re.escape(row)} \| ([\d.]+ \| .*) \|$", table, re.MULTILINE)
    invoked, put, got, sqs = map(float, cells.split(" | "))
    # The run had every environment started before, and no maintenance.
    work = dataclasses.replace(MEASURED[row], cold_share=0)
    lines = {line.name: line.quantity / 1e6 for line in bill(work.scaled(10), PRICES).lines}
    idle = {
        line.name: line.quantity / 1e6 for line in bill(work.with_input("writes", 0).scaled(10), PRICES).lines
    }
    used = {name: quantity - idle[name] for name, quantity in lines.items()}
    assert sum(used[f"invocations of the {name}"] for name in FUNCTIONS) == pytest.approx(invoked, rel=0.02)
    assert used["PUT of commits"] == pytest.approx(put, rel=0.25)
    assert used["GET of new transactions"] == pytest.approx(got, rel=0.05)
    # The model receives ten messages at once. In the run at 60 a second it was six.
    assert used["FIFO queue"] == pytest.approx(sqs, rel=0.1)


@pytest.mark.parametrize(
    ("per_invocation", "requests"),
    [
        (1, 1 + 2),  # Send; receive and delete.
        (2, 1 + (2 + 2) / 2),
        (5, 1 + (2 + 2) / 5),
        (11, 1 + (2 + 2) / 11),
        (101, 1 + (2 + 20) / 101),
    ],
)
def test_requests_of_the_queue_by_what_an_invocation_receives(per_invocation: float, requests: float) -> None:
    work = Workload(writes=1, queued_share=1, queued_per_invocation=per_invocation)
    lines = {line.name: line.quantity for line in bill(work, PRICES).lines}
    assert lines["FIFO queue"] == pytest.approx(requests)


def test_only_proxies_wait_for_queued_writes_and_ask_readers() -> None:
    proxied, events = (
        {line.name: line.quantity for line in bill(Workload(queued_share=0.5, endpoint=each), PRICES).lines}
        for each in ("url", "invoke")
    )
    assert proxied["invocations of the reader"] - events["invocations of the reader"] == pytest.approx(55_000)
    for name in ("proxy, waiting for queued writes", "reader, responses of queued writes"):
        assert proxied[name] > 0 == events[name]


def test_graviton_costs_a_fifth_less_of_computing() -> None:
    x86, arm = (bill(Workload(architecture=each), PRICES).of_group("compute") for each in ARCHITECTURES)
    assert arm == pytest.approx(x86 * 0.8, rel=1e-4)


# Others


def test_algolia_contains_records_and_searches() -> None:
    assert algolia(Workload(reads=0, searches=10_000, records=100_000), PRICES).total == 0
    assert algolia(Workload(reads=0, searches=11_000, records=102_000), PRICES).total == pytest.approx(1.3)


def test_dynamodb_rounds_items_up() -> None:
    lines = {line.name: line.quantity for line in dynamodb(Workload(reads=10, read_kb=4.1), PRICES).lines}
    assert lines["read units"] == 10


def test_aurora_costs_by_the_hour() -> None:
    assert aurora(Workload(reads=0, writes=0), PRICES).total == pytest.approx(0.5 * 730 * 0.12 + 0.1)


@pytest.mark.parametrize("rival", ALL)
@pytest.mark.parametrize("varied", ["traffic", "searches", "records"])
def test_bills_are_equal_where_they_break_even(rival: Any, varied: str) -> None:
    work = Workload(searches=1000)
    found = compare(work, PRICES, rival, varied)
    cheaper = found.at_first
    for crossing in found.crossings:
        at = work.scaled(crossing.value) if varied == "traffic" else work.with_input(varied, crossing.value)
        assert bill(at, PRICES).total == pytest.approx(rival(at, PRICES).total, rel=1e-3)
        assert crossing.cheaper != cheaper
        cheaper = crossing.cheaper


def test_algolia_breaks_even_once_its_allowance_is_used() -> None:
    found = compare(Workload(reads=0, writes=0, records=1000), PRICES, algolia, "searches")
    (crossing,) = found.crossings
    assert (found.at_first, crossing.cheaper) == ("Algolia (Grow)", "lamDB")
    assert 10_000 < crossing.value < 30_000


def test_the_report_is_json() -> None:
    found = json.loads(json.dumps(as_json(report(Workload(), PRICES)), allow_nan=False))
    assert found["total"] == pytest.approx(sum(line["amount"] for line in found["lines"]))
    assert len(found["rivals"]) == len(ALL)
    assert all(price["source"].startswith("https://") for price in found["prices"])


# Inputs and prices


@pytest.mark.parametrize(
    "wrong",
    [
        {"reads": -1},
        {"cold_share": 1.5},
        {"proxy_mb": 20_000},
        {"endpoint": "http"},
        {"architecture": "riscv"},
        {"writes_per_commit": 0.5},
        {"queued_per_invocation": 0},
        {"reads": float("nan")},
        {"database_gb": float("inf")},
    ],
)
def test_inputs_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--"):
        Workload(**wrong)


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("2.5M", 2.5e6), ("3k", 3000), ("1G", 1e9), ("1e3", 1000)]
)
def test_numbers_may_have_suffixes(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "M", "1,000", "five", "1MM"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no number"):
        number(text)


def test_tiers_are_charged_one_after_the_other() -> None:
    price = Price(
        "k", "unit", ((10, 2.0), (20, 1.0), (float("inf"), 0.5)), "s", "d", "vendor", free=5, included=1
    )
    assert [price.of(n) for n in (0, 1, 11, 21, 31)] == [0, 0, 20, 30, 35]
    assert price.of(11, free_tier=True) == 10


def test_every_price_has_a_date_a_source_and_how_it_was_seen() -> None:
    for price in PRICES.by_key.values():
        assert price.source.startswith("https://")
        assert price.date.count("-") == 2
        assert price.seen in pricing.SEEN


def own() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(Path(pricing.__file__).with_name("prices.json").read_text())
    return parsed


def written(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_prices_of_another_region_come_from_a_file(tmp_path: Path) -> None:
    entries = [{**each, "price": each.get("price", 1e-6) * 2} for each in own()["regions"]["us-east-1"]]
    path = written(tmp_path / "prices.json", {"regions": {"mars-1": entries}})
    there = load("mars-1", path)
    assert there["s3.put"].first == PRICES["s3.put"].first * 2
    assert there["algolia.search"] == PRICES["algolia.search"]
    with pytest.raises(SettingsError, match="no prices of the region eu-central-1"):
        load("eu-central-1", path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ({"regions": {"us-east-1": []}}, "lack"),
        ({"regions": {"us-east-1": [{"key": "s3.put"}]}}, "incomplete"),
        (
            {
                "regions": {
                    "us-east-1": [
                        {"key": "a", "unit": "b", "price": -1, "source": "", "date": "", "seen": "vendor"}
                    ]
                }
            },
            "negative",
        ),
        (
            {
                "regions": {
                    "us-east-1": [
                        {"key": "a", "unit": "b", "price": 1, "source": "", "date": "", "seen": "heard"}
                    ]
                }
            },
            "heard",
        ),
    ],
)
def test_a_file_of_prices_that_is_of_no_use_says_why(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load("us-east-1", written(tmp_path / "prices.json", content))


def test_published_changes_cost_nothing_unless_there_are_some() -> None:
    without, with_ = (bill(Workload(changes_per_write=each), PRICES) for each in (0, 2))
    assert without.of_group("publisher") == 0
    assert without.total == bill(Workload(publish_runs=0), PRICES).total
    amounts = {line.name: line.amount for line in with_.lines if line.group == "publisher"}
    assert amounts["published changes"] == pytest.approx(2 * 100_000 * 1e-6)
    assert amounts["PUT of progress"] == pytest.approx(2 * 100_000 * 5e-6)
    assert amounts["publisher"] == pytest.approx(100_000 * 0.260 * 0.5 * 1.66667e-5)
    many = bill(Workload(changes_per_write=50), PRICES)
    puts = next(line.quantity for line in many.lines if line.name == "PUT of progress")
    assert puts == pytest.approx(100_000 * (1 + 5)), "one for each ten changes"


def test_a_schedule_that_publishes_costs_without_changes_too() -> None:
    idle = bill(Workload(reads=0, writes=0, changes_per_write=1), PRICES)
    assert idle.of_group("publisher") == 0
    assert idle.of_group("schedules") > bill(Workload(reads=0, writes=0), PRICES).of_group("schedules")
