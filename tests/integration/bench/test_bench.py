"""The benchmark runs, and what it measures answers what the floor answers."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_workload_is_answered_as_the_floor_answers_it(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "--store", "memory:", "--posts", "1500", "--seconds", "0.02"]
    done = subprocess.run(
        [*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(figures.read_text())
    assert report["rows"]["posts"] == 1500
    assert len(report["microseconds"]) == 7
    assert all(one["api"] > 0 and one["floor"] > 0 for one in report["microseconds"])
