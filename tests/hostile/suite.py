"""Attacks one after another, with everybody else watched; what must hold, and what did."""

import collections
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from .attacks import ATTACKS, SLOW, _ask
from .target import Target

HEALTH_SECONDS = 1.0
READ_SECONDS = 5.0
WRITE_SECONDS = 30.0
PEAK_BYTES = 1536 * 1024 * 1024
STOP_SECONDS = 15.0


@dataclass
class Report:
    """`answers`: how often each code came, by attack. `problems` is empty if all held."""

    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    peak_bytes: int = 0
    stop_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def run(names: Sequence[str] = tuple(ATTACKS), *, rounds: int = 1) -> Report:
    """Attacks a server of its own, in the order of `names`."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="lamdb-hostile-") as folder:
        target = Target.start(Path(folder))
        try:
            monitor = subprocess.Popen(
                [sys.executable, "-m", "tests.hostile.monitor", target.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert monitor.stdout is not None
            monitor.stdout.readline()
            for _ in range(rounds):
                for name in names:
                    _attack(report, target, name)
            report.peak_bytes = target.peak_bytes()
            printed, _ = monitor.communicate(timeout=120)
            report.others = json.loads(printed)
            _stop(report, target)
        finally:
            target.server.close()
    _judge(report)
    return report


def _attack(report: Report, target: Target, name: str) -> None:
    begun = time.monotonic()
    codes = collections.Counter(ATTACKS[name](target))
    report.answers[name] = dict(codes + collections.Counter(report.answers.get(name, {})))
    report.seconds[name] = round(time.monotonic() - begun, 1)


def _stop(report: Report, target: Target) -> None:
    """Ends the server while slow reads are running."""
    reads = [Thread(target=_ask, args=(target, SLOW, {"text": "abc" * 100})) for _ in range(20)]
    for read in reads:
        read.start()
    time.sleep(0.5)
    begun = time.monotonic()
    target.server.stop()
    report.stop_seconds = round(time.monotonic() - begun, 1)
    for read in reads:
        read.join(60)


def _judge(report: Report) -> None:
    bounds = {"health": HEALTH_SECONDS, "read": READ_SECONDS, "write": WRITE_SECONDS}
    for name, bound in bounds.items():
        found = report.others[name]
        if found["worst"] > bound:
            report.problems.append(f"{name} took {found['worst']} s; the bound is {bound} s")
        if found["failures"]:
            report.problems.append(f"{name} failed: {found['failures'][0]}")
        if not found["calls"]:
            report.problems.append(f"{name} was never seen without the machine stalling")
    if report.peak_bytes > PEAK_BYTES:
        report.problems.append(
            f"memory reached {report.peak_bytes >> 20} MiB; the bound is {PEAK_BYTES >> 20}"
        )
    if report.stop_seconds > STOP_SECONDS:
        report.problems.append(f"stopping took {report.stop_seconds} s")
    for name, codes in report.answers.items():
        if "INTERNAL" in codes:
            report.problems.append(f"{name} was answered with INTERNAL")
