"""The benchmark of query shapes answers every shape as hand-written SQL does."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_shape_is_answered_as_hand_written_sql_answers_it(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [
        sys.executable,
        "-m",
        "bench",
        "shapes",
        "--posts",
        "2000",
        "--seconds",
        "0.001",
        "--no-prisma",
    ]
    done = subprocess.run(
        [*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(figures.read_text())
    assert len(report) >= 25
    assert all(one["lamdb_ms"] > 0 and one["sql_ms"] > 0 for one in report)
