"""`python -m tests.lambda.openloop`: writes that come at a rate, whatever becomes of those before them.

The clients are in a process of their own. Everything is compared with what AWS lets through: ten invocations
of the writer in a second, of one at a time, 20 ms for each request to S3. Requests and prices are those of
writes alone: without schedules, alarms, stored data and data out.
"""

import argparse
import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from statistics import mean, quantiles

import httpx

from . import clients, costs
from .chaos import Chaos
from .checker import violations
from .clients import Record, Request, Write
from .cluster import CREATE, Cluster, deploy, running
from .load import LATENCY, ROOT, Figures, Report, provision
from .soak import clean_environment

RATES = (8.0, 30.0, 60.0, 100.0)
WRITER_RATE = 10.0
PATIENCE = 35.0


def measure(
    cluster: Cluster, folder: Path, *, rate: float, seconds: float, chaos: Chaos | None = None
) -> Report:
    """`rate` writes a second, for so many seconds; figures, and everything that should not have been."""
    cluster.s3.set(latency=LATENCY)
    before, used = _counts(cluster), costs.usage(cluster)
    with chaos or nullcontext(), _Watch(cluster) as watch:
        command = [sys.executable, "-m", "tests.lambda.openloop", "--clients-of", cluster.gateway.url]
        command += ["--rates", str(rate), "--seconds", str(seconds)]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, start_new_session=True
        )
    assert done.returncode == 0, done.stderr
    record = clients.read(done.stdout)
    after = _counts(cluster)
    figures = _figures(record, seconds)
    figures |= {name: after[name] - before.get(name, 0.0) for name in after}
    figures["proxies at once"] = watch.most
    each = costs.per_write(used, costs.usage(cluster), int(figures["acknowledged"]))
    figures |= {f"{key} per write": quantity for key, quantity in each.items()}
    figures |= {f"{key}, $ per million writes": amount for key, amount in costs.dollars(each).items()}
    if cluster.mapping.sizes:
        figures["messages in a batch"] = mean(cluster.mapping.sizes)
    if chaos is not None:
        figures |= {name: float(times) for name, times in sorted(chaos.done.items())}
    # The store answers at once from here on: what follows is not measured, and reads all of it.
    cluster.s3.set()
    problems = [f"{each.status} {each.code}" for each in record.requests if each.status not in {200, 503}]
    if chaos is not None:
        problems = []  # Proxies die, and clients are told so by the API.
    return Report(figures, [*problems, *violations(cluster, record, folder)])


class _Watch:
    """The most proxies that were busy at once while the block lasted."""

    def __init__(self, cluster: Cluster) -> None:
        self.most = 0.0
        self._proxy = cluster.proxy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.05):
            self.most = max(self.most, float(self._proxy.running))


def _counts(cluster: Cluster) -> Figures:
    counts = {f"{each.name}: invocations": float(each.invocations) for each in cluster.functions}
    counts["writer: throttled"] = float(cluster.writer.throttles)
    counts |= {f"queue: {kind}": float(number) for kind, number in cluster.writes.requests.items()}
    return counts


def _figures(record: Record, seconds: float) -> Figures:
    outcomes = Counter(each.outcome for each in record.writes)
    figures: Figures = {
        "offered": len(record.writes),
        "acknowledged": outcomes["ok"],
        "of them a second": outcomes["ok"] / seconds,
        "refused with 503": outcomes["refused"],
        "of unknown outcome": outcomes["unknown"],
    }
    codes = Counter(f"{each.status} {each.code}" for each in record.requests if each.status != 200)
    figures |= {code: float(times) for code, times in sorted(codes.items())}
    taken = sorted(each.seconds for each in record.requests if each.status == 200)
    if len(taken) > 1:
        cuts = quantiles(taken, n=100)
        figures |= {"p50, s": cuts[49], "p90, s": cuts[89], "p99, s": cuts[98], "longest, s": taken[-1]}
    return figures


async def offer(url: str, rate: float, seconds: float) -> Record:
    """Sends writes at random moments, `rate` a second on average, each with a key of its own."""
    record, chance = Record(), random.Random(1)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
    context = ssl.create_default_context()
    async with (
        httpx.AsyncClient(verify=context, timeout=PATIENCE, trust_env=False, limits=limits) as client,
        asyncio.TaskGroup() as tasks,
    ):
        begun = time.monotonic()
        due = 0.0
        while due < seconds:
            await asyncio.sleep(max(0.0, begun + due - time.monotonic()))
            tasks.create_task(_write(client, url, record))
            due += chance.expovariate(rate)
    return record


async def _write(client: httpx.AsyncClient, url: str, record: Record) -> None:
    write = Write(f"open-{uuid.uuid4()}", str(uuid.uuid4()), "unknown")
    record.writes.append(write)
    body = {"query": CREATE, "variables": {"name": write.name}}
    begun = time.monotonic()
    status, code = 0, "hung up"
    try:
        answer = await client.post(f"{url}/graphql", json=body, headers={"idempotency-key": write.key or ""})
        status, said = answer.status_code, answer.json()
        made = (said.get("data") or {}).get("createOneItem")
        code = "" if made else str(said.get("errors", [{}])[0].get("extensions", {}).get("code"))
        if made:
            write.outcome, write.id = "ok", made["id"]
        elif status == 503:
            write.outcome = "refused"
    except (httpx.HTTPError, ValueError) as error:
        code = type(error).__name__
    record.requests.append(Request("write", time.monotonic() - begun, status, code))


def main(arguments: Sequence[str] | None = None) -> int:
    """Offers each rate in each mode, and prints figures; 1 if anything was lost or done twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.lambda.openloop", description=__doc__)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="writes a second")
    parser.add_argument("--seconds", type=float, default=90.0, help="for each run")
    parser.add_argument("--modes", nargs="+", default=["auto"], choices=["direct", "queued", "auto"])
    parser.add_argument("--proxies", type=int, default=60, help="started beforehand")
    parser.add_argument("--readers", type=int, default=4, help="their reserved concurrency")
    parser.add_argument("--concurrency", type=int, default=200, help="of proxies, the most")
    parser.add_argument("--writer-rate", type=float, default=WRITER_RATE, help="of its invocations, the most")
    parser.add_argument("--batch", type=int, default=1, help="messages that the event source mapping brings")
    parser.add_argument("--chaos", action="store_true")
    parser.add_argument("--clients-of", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.clients_of:
        record = asyncio.run(offer(options.clients_of, options.rates[0], options.seconds))
        json.dump(asdict(record), sys.stdout)
        return 0
    problems = 0
    for mode in options.modes:
        for rate in options.rates:
            report = _run(options, mode, rate)
            rounded = {name: float(f"{value:.4g}") for name, value in report.figures.items()}
            print(json.dumps({"mode": mode, "rate": rate, **rounded}), flush=True)
            for problem in report.problems[:20]:
                print(problem, file=sys.stderr)
            problems += len(report.problems)
    return 1 if problems else 0


def _run(options: argparse.Namespace, mode: str, rate: float) -> Report:
    with (
        tempfile.TemporaryDirectory(prefix="lamdb-open-") as name,
        clean_environment(),
        running(
            Path(name),
            readers=options.readers,
            writer_rate=options.writer_rate,
            concurrency=options.concurrency,
            batch=options.batch,
            mode=mode,
        ) as cluster,
    ):
        os.environ.update(cluster.s3.environment)
        deploy(cluster.s3.url)
        provision(cluster, proxies=options.proxies, readers=options.readers)
        chaos = Chaos(cluster, pause=2.0) if options.chaos else None
        return measure(cluster, Path(name), rate=rate, seconds=options.seconds, chaos=chaos)


if __name__ == "__main__":
    sys.exit(main())
