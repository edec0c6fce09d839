"""The promise, under everything at once: processes killed and frozen, a failing store, compaction, pruning.

`make soak` runs the same for longer.
"""

from pathlib import Path

import pytest

from ...soak.scenario import run


@pytest.mark.slow
@pytest.mark.parametrize("on_s3", [True, False], ids=["s3", "directory"])
def test_nothing_is_lost_torn_doubled_or_out_of_order(tmp_path: Path, on_s3: bool) -> None:
    report = run(tmp_path, on_s3=on_s3, seconds=18, keep=6)
    assert report.problems == []
    figures = report.figures
    assert figures["acknowledged writes"] > 100
    assert figures["writes per transaction"] > 1
    assert figures["of them strong"] > 10
    assert figures["of them of a token"] > 10
    assert figures["past states read"] > 5
    assert figures["past states restored"] > 0
    assert figures["caches on disk"] >= 3
    assert figures["kills"] > 0
    assert figures["freezes"] > 0
    assert figures["compaction: merges"] > 0
    assert figures["compaction: deleted"] > 0
    if on_s3:
        assert figures["S3: lose_answer"] > 0
        assert figures["S3: slow_down"] > 0
