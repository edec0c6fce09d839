"""The inputs that CloudWatch knows of a running stack.

Counts of the last days become those of a month. What CloudWatch has no metric of, such as the share of
cold starts, keeps its default or what was given.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from lamdb.cost.bill import DAYS
from lamdb.cost.workload import Workload

_PERIOD: Final = 86_400
"""Seconds that a data point covers; metrics of an hour's period are kept for 455 days."""

FUNCTIONS: Final = ("proxy", "reader", "writer")

_OWN: Final = (
    ("reads", "reader", "ReadOperations", "Sum"),
    ("writes", "writer", "WriteOperations", "Sum"),
    ("read_bytes", "reader", "ReadThroughput", "Sum"),
    ("write_bytes", "writer", "WriteThroughput", "Sum"),
    ("fenced", "writer", "FencedCommits", "Sum"),
    ("queued", "proxy", "QueuedWrites", "Sum"),
    ("size", "writer", "DatabaseSize", "Maximum"),
)
"""Metrics of lamDB: name here, function, name in CloudWatch, statistic."""


def queries(stack: str) -> list[dict[str, Any]]:
    """Returns the queries for `GetMetricData`."""
    asked = [
        _query(
            f"{function}_{metric.lower()}",
            "AWS/Lambda",
            metric,
            "Sum",
            {"FunctionName": f"{stack}-{function}"},
        )
        for function in FUNCTIONS
        for metric in ("Invocations", "Duration")
    ]
    asked += [
        _query(id_, "lamDB", metric, statistic, {"service": f"{stack}-{function}"})
        for id_, function, metric, statistic in _OWN
    ]
    return [*asked, _query("api", "AWS/ApiGateway", "Count", "Sum", {"ApiName": stack})]


def measure(stack: str, cloudwatch: Any, functions: Any, *, until: datetime, days: int) -> dict[str, Any]:
    """Returns inputs of a `Workload` by name, from the metrics of the last days.

    `cloudwatch` and `functions` are boto3's clients of CloudWatch and Lambda, whose errors pass through.
    """
    found: dict[str, list[float]] = {}
    arguments: dict[str, Any] = {
        "MetricDataQueries": queries(stack),
        "StartTime": until - timedelta(days=days),
        "EndTime": until,
    }
    for page in cloudwatch.get_paginator("get_metric_data").paginate(**arguments):
        for result in page["MetricDataResults"]:
            found.setdefault(result["Id"], []).extend(result["Values"])
    inputs = _inputs(found, days)
    for function in FUNCTIONS:
        configuration = functions.get_function_configuration(FunctionName=f"{stack}-{function}")
        inputs[f"{function}_mb"] = float(configuration["MemorySize"])
        inputs["architecture"] = configuration.get("Architectures", ["x86_64"])[0]
    return inputs


def merged(base: Workload, measured: Mapping[str, Any], given: Sequence[str]) -> Workload:
    """Returns the workload with what was measured, but for inputs that the user gave."""
    return dataclasses.replace(base, **{name: value for name, value in measured.items() if name not in given})


def _query(
    id_: str, namespace: str, metric: str, statistic: str, dimensions: Mapping[str, str]
) -> dict[str, Any]:
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    return {
        "Id": id_,
        "ReturnData": True,
        "MetricStat": {
            "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": named},
            "Period": _PERIOD,
            "Stat": statistic,
        },
    }


def _inputs(found: Mapping[str, Sequence[float]], days: int) -> dict[str, Any]:
    month = DAYS / days
    sums = {id_: sum(values) for id_, values in found.items()}

    def total(id_: str) -> float:
        return sums.get(id_, 0.0)

    reads, writes = total("reads"), total("writes")
    inputs: dict[str, Any] = {"reads": reads * month, "writes": writes * month, "searches": 0.0}
    inputs["endpoint"], inputs["direct_reads"] = _way(
        total("api"), total("proxy_invocations"), reads + writes
    )
    for name, function in (("read_ms", "reader"), ("write_ms", "writer")):
        if calls := total(f"{function}_invocations"):
            inputs[name] = total(f"{function}_duration") / calls
    for name, bytes_, count in (("read_kb", "read_bytes", reads), ("write_kb", "write_bytes", writes)):
        if count:
            inputs[name] = total(bytes_) / count / 1000
    inputs |= _queue(total, reads, writes, inputs.get("write_ms"))
    if calls := total("proxy_invocations"):
        behind = (reads * inputs.get("read_ms", 0.0) + writes * inputs.get("write_ms", 0.0)) / max(
            1.0, reads + writes
        )
        inputs["hop_ms"] = max(0.0, total("proxy_duration") / calls - behind)
    if writes:
        inputs["fenced_share"] = min(1.0, total("fenced") / writes)
    if size := max(found.get("size", ()), default=0.0):
        inputs["database_gb"] = size / 1e9
    return inputs


def _queue(
    total: Callable[[str], float], reads: float, writes: float, write_ms: float | None
) -> dict[str, float]:
    """The inputs for the queue of writes; none if no write was queued.

    CloudWatch has one duration for all invocations of a function. So the writer's average also stands for
    invocations with queued writes, and `hop_ms` contains what proxies wait for their responses.
    """
    queued = min(total("queued"), writes)
    if not queued:
        return {}
    found = {
        "queued_share": queued / writes,
        "polls": max(0.0, total("reader_invocations") - reads) / queued,
    }
    if (invoked := total("writer_invocations") - (writes - queued)) > 0:
        found["queued_per_invocation"] = max(1.0, queued / invoked)
    if write_ms is not None:
        found |= {"drain_ms": write_ms, "queued_wait_ms": write_ms}
    return found


def _way(api: float, proxied: float, operations: float) -> tuple[str, bool]:
    """How most requests came."""
    direct = proxied < operations / 2
    if api >= max(proxied, operations) / 2 and api > 0:
        return "rest", direct
    return ("invoke", False) if direct else ("url", False)
