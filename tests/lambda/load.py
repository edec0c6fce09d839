"""Clients at work on a cluster, calm or in chaos; figures, and everything that should not have been."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from . import clients
from .chaos import Chaos
from .checker import violations
from .clients import Record, Request
from .cluster import NAMES, Cluster

ROOT = Path(__file__).parents[2]
LATENCY = 0.02
"""Seconds that each request to the store takes."""

CALM = frozenset({200, 503})
ROUGH = CALM | {502, 504}
"""The API's responses about proxies that are too many, die or stop."""

type Figures = dict[str, float]


@dataclass
class Report:
    figures: Figures
    problems: list[str]


def load(
    cluster: Cluster, folder: Path, *, number: int, seconds: float, think: float, chaos: Chaos | None = None
) -> Report:
    """`number` clients for so many seconds; each thinks for `think` seconds between requests, on average."""
    cluster.s3.set(latency=LATENCY)
    before = _counts(cluster)
    with chaos or nullcontext():
        record = _clients(cluster, number, seconds, think)
    after = _counts(cluster)
    problems = violations(cluster, record, folder)
    problems += _surprises(record, CALM if chaos is None else ROUGH)
    figures = _figures(record, seconds)
    figures |= {name: after[name] - before.get(name, 0) for name in after}
    figures |= _of_functions(cluster)
    if chaos is not None:
        figures |= {name: float(times) for name, times in sorted(chaos.done.items())}
    return Report(figures, problems)


def _clients(cluster: Cluster, number: int, seconds: float, think: float) -> Record:
    command = clients.command(cluster.gateway.url, number, seconds, think)
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert done.returncode == 0, done.stderr
    return clients.read(done.stdout)


def _surprises(record: Record, expected: frozenset[int]) -> Iterator[str]:
    """Answers that no client should have got."""
    for request in record.requests:
        hung_up = request.status == 0 and request.code == "hung up"
        if request.status not in expected and not hung_up:
            yield f"{request.status} {request.code} after {request.seconds:.1f} s"


def _figures(record: Record, seconds: float) -> Figures:
    answered = [each for each in record.requests if each.status == 200]
    outcomes = Counter(write.outcome for write in record.writes)
    refused = [each for each in record.requests if each.status == 503]
    figures: Figures = {
        "requests answered": len(answered),
        "of them per second": len(answered) / seconds,
        "writes acknowledged": outcomes["ok"],
        "of them a second": outcomes["ok"] / seconds,
        "own writes read": record.own_writes_read,
        "strong reads": record.strong_reads,
        "refused with 503": len(refused),
        "writes of unknown outcome": outcomes["unknown"],
        "clients that hung up": sum(each.code == "hung up" for each in record.requests),
        "answered from the first time": record.replayed,
        "slowest answer, s": max((each.seconds for each in record.requests), default=0.0),
    }
    figures |= {f"503 {code}": n for code, n in sorted(Counter(each.code for each in refused).items())}
    others = [each for each in record.requests if each.status not in (0, 200, 503)]
    figures |= {f"{each} answers": n for each, n in sorted(Counter(one.status for one in others).items())}
    for kind in ("write", "read"):
        figures |= _times(kind, [each for each in answered if each.kind == kind])
    return figures


def _times(kind: str, requests: list[Request]) -> Figures:
    taken = sorted(1000 * each.seconds for each in requests)
    if len(taken) < 2:
        return {}
    percentiles = quantiles(taken, n=100)
    return {
        f"{kind} p50, ms": median(taken),
        f"{kind} p90, ms": percentiles[89],
        f"{kind} p99, ms": percentiles[98],
        f"{kind} max, ms": taken[-1],
    }


def _counts(cluster: Cluster) -> Figures:
    counts: Figures = {
        "retries": sum(cluster.proxy.metrics("ThrottledRetries")),
        "fenced commits": sum(cluster.writer.metrics("FencedCommits")),
    }
    for function in cluster.functions:
        counts[f"{function.name}: invocations"] = function.invocations
        counts[f"{function.name}: starts"] = function.starts
        counts |= {f"{function.name}: {reason}": n for reason, n in function.refused.items()}
    return counts


def _of_functions(cluster: Cluster) -> Figures:
    figures: Figures = {}
    for function in cluster.functions:
        taken = sorted(1000 * seconds for seconds in function.service_seconds)
        if taken:
            figures[f"{function.name}: invocation p50, ms"] = median(taken)
            figures[f"{function.name}: invocation p90, ms"] = taken[len(taken) * 9 // 10]
            figures[f"{function.name}: busy, s"] = sum(taken) / 1000
    return figures


def provision(cluster: Cluster, *, proxies: int, readers: int) -> float:
    """Starts environments beforehand, and has them load what they load later; the seconds that it took."""
    begun = time.monotonic()
    cluster.writer.provision(1)
    cluster.reader.provision(readers)
    # One is answered by a reader. Of the other it cannot be said what to execute, so it stays at the proxy.
    asked = [{"query": NAMES}, {"query": "query a { b } mutation c { d }"}]
    cluster.proxy.provision(proxies, *(json.dumps(each).encode() for each in asked))
    return time.monotonic() - begun
