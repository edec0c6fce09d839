"""`lamdb cost`, what it takes from CloudWatch, its chart and its document."""

import builtins
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from tests.support.command_line import Run, run

from lamdb.cost import chart
from lamdb.cost.bill import bill
from lamdb.cost.document import document
from lamdb.cost.measured import FUNCTIONS, measure, merged, queries
from lamdb.cost.prices import load
from lamdb.cost.workload import Workload
from lamdb.errors import SettingsError, TargetError

__all__ = ["run"]

DOCUMENT = Path(__file__).parents[3] / "docs/cost.md"
NOW = datetime(2026, 11, 28, tzinfo=UTC)

VALUES = {
    "proxy_invocations": [600.0, 600.0],
    "proxy_duration": [30_000.0, 30_000.0],
    "reader_invocations": [1000.0],
    "reader_duration": [30_000.0],
    "writer_invocations": [200.0],
    "writer_duration": [16_000.0],
    "reads": [1000.0],
    "writes": [200.0],
    "read_bytes": [3_000_000.0],
    "write_bytes": [100_000.0],
    "fenced": [20.0],
    "queued": [0.0],
    "size": [1e9, 3e9, 2e9],
    "api": [0.0],
}


def test_the_document_is_generated() -> None:
    assert DOCUMENT.read_text() == document(), "run `python -m lamdb.cost > docs/cost.md`"


def test_the_command_prints_lines_and_json(run: Run) -> None:
    done = run("cost", "--reads", "2M", "--endpoint", "url", "--free-tier")
    assert done.code == 0, done
    assert "total" in done.out
    assert "a million more reads" in done.out
    found = json.loads(run("cost", "--reads", "2M", "--endpoint", "url", "--json").out)
    assert (found["workload"]["reads"], found["workload"]["endpoint"]) == (2e6, "url")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--reads", "many"),
        ("--endpoint", "ftp"),
        ("--region", "mars-1"),
        ("--cold-share", "2"),
        ("--prices", "/none"),
    ],
)
def test_the_command_refuses_what_it_cannot_use(run: Run, arguments: tuple[str, str]) -> None:
    done = run("cost", *arguments)
    assert done.code == 2
    assert "code:" in done.err


# CloudWatch


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """CloudWatch and Lambda that give VALUES, in two pages."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    cloudwatch, functions = (boto3.client(name, region_name="us-east-1") for name in ("cloudwatch", "lambda"))
    asked = {"MetricDataQueries": queries("shop"), "StartTime": ANY, "EndTime": ANY}
    first, *rest = ({"Id": name, "Values": values} for name, values in VALUES.items())
    with Stubber(cloudwatch) as metrics, Stubber(functions) as configurations:
        metrics.add_response("get_metric_data", {"MetricDataResults": [first], "NextToken": "t"}, asked)
        metrics.add_response("get_metric_data", {"MetricDataResults": rest}, {**asked, "NextToken": "t"})
        for function in FUNCTIONS:
            configurations.add_response(
                "get_function_configuration",
                {"MemorySize": 1024, "Architectures": ["arm64"]},
                {"FunctionName": f"shop-{function}"},
            )
        yield cloudwatch, functions


def test_inputs_come_from_cloudwatch(clients: tuple[Any, Any]) -> None:
    found = measure("shop", *clients, until=NOW, days=10)
    assert found["reads"] == pytest.approx(3040)
    assert found["writes"] == pytest.approx(608)
    assert (found["read_ms"], found["write_ms"]) == (30, 80)
    assert (found["read_kb"], found["write_kb"]) == (3, 0.5)
    # 50 ms in the proxy; behind it 1000 × 30 ms and 200 × 80 ms.
    assert found["hop_ms"] == pytest.approx(50 - 46_000 / 1200)
    assert (found["endpoint"], found["direct_reads"], found["fenced_share"]) == ("url", False, 0.1)
    assert (found["database_gb"], found["architecture"], found["reader_mb"]) == (3, "arm64", 1024)
    work = merged(Workload(reads=5), found, ["reads"])
    assert (work.reads, work.read_ms) == (5, 30), "what the user gave wins"


class Session:
    def __init__(self, clients: tuple[Any, Any]) -> None:
        self._clients = dict(zip(("cloudwatch", "lambda"), clients, strict=True))

    def client(self, name: str) -> Any:
        return self._clients[name]


def test_the_command_takes_a_stack_and_options_win(
    run: Run, clients: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamdb.cli.targets.aws.session", lambda: Session(clients))
    done = run("cost", "--from-stack", "shop", "--days", "10", "--write-ms", "60", "--json")
    assert done.code == 0, done.err
    work = done.json["workload"]
    assert (work["reads"], work["read_ms"], work["write_ms"]) == (pytest.approx(3040), 30, 60)


def test_a_stack_that_is_not_there_is_an_error_with_a_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    cloudwatch, functions = (boto3.client(name, region_name="us-east-1") for name in ("cloudwatch", "lambda"))
    monkeypatch.setattr("lamdb.cli.targets.aws.session", lambda: Session((cloudwatch, functions)))
    with Stubber(cloudwatch) as metrics, Stubber(functions) as configurations:
        metrics.add_response("get_metric_data", {"MetricDataResults": []})
        configurations.add_client_error(
            "get_function_configuration", "ResourceNotFoundException", "not found"
        )
        done = run("cost", "--from-stack", "nowhere", "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "ResourceNotFoundException")


@pytest.mark.parametrize("days", ["0", "456", "-1", "1.5", "week"])
def test_days_out_of_range_are_refused(run: Run, days: str) -> None:
    done = run("cost", "--from-stack", "shop", "--days", days)
    assert done.code == 2
    assert "--days" in done.err


class Pages:
    """CloudWatch with these values, and Lambda."""

    def __init__(self, values: dict[str, list[float]]) -> None:
        self._values = values

    def get_paginator(self, _: str) -> "Pages":
        return self

    def paginate(self, **_: Any) -> list[Any]:
        found = [{"Id": name, "Values": each} for name, each in self._values.items()]
        return [{"MetricDataResults": found}]

    def get_function_configuration(self, **_: Any) -> dict[str, Any]:
        return {"MemorySize": 512}


@pytest.mark.parametrize(
    ("values", "endpoint", "direct"),
    [
        ({**VALUES, "api": [1200.0]}, "rest", False),
        ({**VALUES, "api": [1200.0], "proxy_invocations": [200.0], "proxy_duration": [1.0]}, "rest", True),
        ({**VALUES, "proxy_invocations": [0.0]}, "invoke", False),
        ({}, "url", False),
    ],
)
def test_the_way_of_requests_is_told_from_who_counted_them(
    values: dict[str, list[float]], endpoint: str, direct: bool
) -> None:
    found = measure("shop", Pages(values), Pages({}), until=NOW, days=30)
    assert (found["endpoint"], found["direct_reads"]) == (endpoint, direct)
    assert merged(Workload(), found, []).architecture == "x86_64"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # 150 of 200 writes are queued. 110 invocations of the writer: 50 direct ones, 60 for the queue.
        (
            {"queued": [100.0, 50.0], "reader_invocations": [1160.0], "writer_invocations": [110.0]},
            {"queued_share": 0.75, "polls": 160 / 150, "queued_per_invocation": 2.5},
        ),
        # Keys that were sent again are counted twice by the proxy.
        (
            {"queued": [230.0], "reader_invocations": [900.0], "writer_invocations": [50.0]}
            | {"proxy_duration": [120_000.0]},
            {"queued_share": 1, "polls": 0, "queued_per_invocation": 4},
        ),
        ({"queued": [0.0]}, {}),
        ({"queued": [9.0], "writes": [0.0]}, {}),
    ],
)
def test_the_queue_of_writes_is_known_from_metrics(
    values: dict[str, list[float]], expected: dict[str, float]
) -> None:
    found = measure("shop", Pages({**VALUES, **values}), Pages({}), until=NOW, days=30)
    names = ("queued_share", "polls", "queued_per_invocation")
    assert {name: found[name] for name in names if name in found} == pytest.approx(expected)
    if expected:
        # All time of the writer is in the bill, and all of the proxy.
        work = merged(Workload(), found, [])
        lines = {line.name: line.quantity for line in bill(work, load()).lines}
        month = 30.4 / 30
        measured = 16.0 * month * 512 / 1024
        assert lines["writer"] + lines["writer, queued writes"] == pytest.approx(measured)
        waited = sum({**VALUES, **values}["proxy_duration"]) / 1000 * month * 512 / 1024
        assert lines["proxy"] + lines["proxy, waiting for queued writes"] == pytest.approx(waited, rel=0.01)


def test_each_query_has_an_id_of_its_own() -> None:
    ids = [query["Id"] for query in queries("shop")]
    assert sorted(ids) == sorted(set(ids))
    assert set(ids) == VALUES.keys()


# Chart


def test_a_chart_is_svg_with_a_line_for_each_database(tmp_path: Path) -> None:
    path = tmp_path / "out.svg"
    chart.write(str(path), Workload(), load())
    text = path.read_text()
    assert "<svg" in text
    assert not re.search(r"<script[^>]*(?:href|src)=", text), "it shall show without a network"
    for name in ("lamDB", "Algolia (Grow)", "Aurora DSQL", "Cloudflare D1"):
        assert name in text


def test_a_chart_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be written"):
        chart.write(str(tmp_path / "no" / "out.svg"), Workload(), load())


def test_without_the_library_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pygal":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError, match="pygal, which draws --chart, is not installed") as refused:
        chart.write(str(tmp_path / "out.svg"), Workload(), load())
    assert "lamdb[charts]" in refused.value.hint
