"""The states that retention promises are there after any history of writing, compacting and pruning."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.errors import SettingsError
from lamdb.storage.ltx.files import FileInfo, KeyLayout, plan, restorable
from lamdb.storage.maintenance.compaction import plan_merges
from lamdb.storage.maintenance.retention import RetentionPolicy, expendable

LAYOUT = KeyLayout("{:04x}/")
HOUR = 3_600_000
DAY = 24 * HOUR
POLICY = RetentionPolicy()


def file(level: int, low: int, high: int, modified_ms: int, size: int = 1000) -> FileInfo:
    return FileInfo(level, low, high, size, LAYOUT.key(level, low, high), modified_ms)


class Model:
    """A store of names and times; `committed` is when each transaction really was."""

    def __init__(self) -> None:
        self.now = 100 * DAY
        self.files: dict[str, FileInfo] = {}
        self.committed: list[int] = []

    def commit(self, count: int, pause: int) -> None:
        for _ in range(count):
            self.now += pause
            self.committed.append(self.now)
            self.add(file(0, len(self.committed), len(self.committed), self.now))

    def add(self, new: FileInfo) -> None:
        self.files.setdefault(new.key, new)

    def compact(self, limit: int) -> None:
        while limit and (merges := plan_merges([*self.files.values()])):
            for merge in merges[:limit]:
                size = max(one.size for one in merge.inputs)
                self.add(file(merge.level, merge.min_txid, merge.max_txid, self.now, size))
            limit -= min(limit, len(merges))

    def prune(self, share: float) -> None:
        """Deletes part of what may go, as an interrupted process would."""
        doomed = expendable([*self.files.values()], POLICY, self.now)
        for one in doomed[: int(len(doomed) * share)]:
            del self.files[one.key]

    def check(self) -> None:
        found = {point.max_txid for point in restorable(self.files.values())}
        assert found == {txid for txid in range(1, len(self.committed) + 1) if self.reaches(txid)}
        for txid, time in enumerate(self.committed, 1):
            following = self.committed[txid] if txid < len(self.committed) else None
            last_of_day = following is None or following // DAY > time // DAY
            if time > self.now - 7 * DAY or (last_of_day and time > self.now - 30 * DAY):
                assert txid in found, f"transaction {txid} at {time}"

    def reaches(self, txid: int) -> bool:
        chain = plan(self.files.values(), txid)
        return bool(chain) and chain[-1].max_txid == txid


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("commit"), st.integers(1, 60), st.sampled_from((1000, HOUR // 4, 5 * HOUR, 3 * DAY))
        ),
        st.tuples(st.just("compact"), st.integers(1, 100)),
        st.tuples(st.just("prune"), st.sampled_from((0.3, 1.0))),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_the_promise_holds_after_any_history(steps: list[tuple]) -> None:
    model = Model()
    for name, *arguments in steps:
        getattr(model, name)(*arguments)
        if name == "prune":
            model.check()
    model.check()


def test_old_transactions_go() -> None:
    model = Model()
    for _ in range(8 * 40):
        model.commit(12, HOUR // 4)
        model.compact(10)
        model.prune(1.0)
    model.check()
    window = 7 * 24 * 4
    old = [one for one in model.files.values() if one.level == 0 and one.max_txid <= 12 * 8 * 40 - window]
    # Of each day at most the fifteen transactions that its last state has above a file of level 2.
    assert 0 < len(old) <= 24 * 15
    assert len(model.files) < window + 30 * 2 * 15


def test_without_compaction_nothing_goes() -> None:
    model = Model()
    model.commit(200, DAY)
    assert expendable([*model.files.values()], POLICY, model.now) == []


def test_a_file_that_was_replaced_just_now_stays() -> None:
    model = Model()
    model.commit(64, 60_000)
    model.compact(3)
    model.commit(240, 60_000)
    replaced = {key for key in model.files if key.startswith("0002/")}
    model.compact(1000)
    assert any(one.level == 3 for one in model.files.values())
    model.prune(1.0)
    assert replaced <= {*model.files}
    model.commit(1, 2 * HOUR)
    model.prune(1.0)
    model.check()
    assert not replaced & {*model.files}


@pytest.mark.parametrize(
    ("policy", "stale_after"),
    [
        (RetentionPolicy(transactions=timedelta(minutes=30)), 10.0),
        (RetentionPolicy(), 3600 * 24.0),
        (RetentionPolicy(days=timedelta(days=1)), 10.0),
        (RetentionPolicy(grace=timedelta(seconds=-1)), 10.0),
    ],
)
def test_an_unsafe_policy_is_refused(policy: RetentionPolicy, stale_after: float) -> None:
    with pytest.raises(SettingsError):
        policy.require_safe(stale_after)


def test_the_default_policy_is_safe() -> None:
    RetentionPolicy().require_safe(10.0)
    RetentionPolicy().require_safe(3600.0)
