"""The tables of figures in the documents are those of recorded runs of benchmarks, which can be loaded."""

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import bench
import orjson
import pytest
from bench.shapes.shapes import shapes
from bench.tables import DOCUMENTS, RECORDED, with_tables
from bench.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]


def test_all_benchmarks_can_be_loaded() -> None:
    modules = [module.name for module in pkgutil.walk_packages(bench.__path__, "bench.")]
    assert len(modules) > 30
    names = ", ".join(name for name in modules if not name.endswith("__main__"))
    environment = {**os.environ, "BENCH_FLOOR": ":memory:"}
    done = subprocess.run(
        [sys.executable, "-c", f"import {names}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_are_those_of_the_recorded_run(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "<!-- bench: " in text
    assert with_tables(text) == text, "run `python -m bench.tables`"


def test_the_recorded_run_has_every_request_and_every_shape() -> None:
    requests = orjson.loads((RECORDED / "requests.json").read_bytes())
    assert [one["request"] for one in requests["microseconds"]] == [work.name for work in WORKLOADS]
    figures = orjson.loads((RECORDED / "shapes.json").read_bytes())
    for posts in (10_000, 1_000_000):
        recorded = [one["shape"] for one in figures if one["posts"] == posts]
        assert recorded == [shape.name for shape in shapes(posts)]


def test_shapes_beyond_three_times_are_explained() -> None:
    figures = orjson.loads((RECORDED / "shapes.json").read_bytes())
    text = (ROOT / "docs/performance.md").read_text()
    explained = text[text.index("What still takes more than three times") :].partition("\n## ")[0]
    beyond = {one["shape"] for one in figures if one["ratio"] > 3}
    words = {
        "_count of many to many": "`_count` of a relation of many to many",
        "some of many to many, counted": "`some` of one, counted",
        "page after a cursor, in an order with ties": "A cursor in an order with ties",
        "deep skip by id": "A deep `skip` by id",
    }
    assert beyond <= words.keys(), "explain these, too"
    assert all(words[name] in explained for name in beyond)
    assert all(ratio > 0 for ratio in (one["ratio"] for one in figures))


def test_a_table_that_was_changed_by_hand_is_noticed() -> None:
    text = (ROOT / "README.md").read_text()
    changed = re.sub(r"(<!-- bench: readme -->\n.*?\d)", r"\g<1>0", text, count=1, flags=re.DOTALL)
    assert changed != text
    assert with_tables(changed) == with_tables(text)
