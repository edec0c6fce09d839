"""The documents that may be answered on the event loop."""

from lamdb.server.fast_path import HEAVY_SECONDS, QUICK_SECONDS, FastLane

QUICK, SLOW = QUICK_SECONDS / 2, QUICK_SECONDS * 2


def test_a_document_has_to_prove_itself() -> None:
    lane = FastLane()
    assert not lane.allows("{ a }")
    lane.executed("{ a }", SLOW)  # the first execution compiles the document
    lane.executed("{ a }", QUICK)
    assert not lane.allows("{ a }")
    lane.executed("{ a }", QUICK)
    assert lane.allows("{ a }")
    assert not lane.allows("{ b }")


def proven(document: str) -> FastLane:
    lane = FastLane()
    for _ in range(3):
        lane.executed(document, QUICK)
    assert lane.allows(document)
    return lane


def runs_until_allowed(lane: FastLane, document: str) -> int:
    runs = 0
    while not lane.allows(document):
        lane.executed(document, QUICK)
        runs += 1
    return runs


def test_a_slow_execution_is_remembered_for_long() -> None:
    lane = proven("{ a }")
    lane.executed("{ a }", SLOW)
    assert not lane.allows("{ a }")
    assert runs_until_allowed(lane, "{ a }") > 50


def test_waiting_is_remembered_for_a_while() -> None:
    lane = proven("{ a }")
    lane.waited("{ a }")
    assert not lane.allows("{ a }")
    assert 5 < runs_until_allowed(lane, "{ a }") < 50


def test_records_are_bounded() -> None:
    lane = FastLane()
    for number in range(25_000):
        lane.executed(str(number), QUICK)
    assert len(lane._records) <= 10_000


def test_a_heavy_document_is_known_until_it_is_light() -> None:
    lane = FastLane()
    lane.executed("{ a }", 2 * HEAVY_SECONDS)
    assert (lane.is_heavy("{ a }"), lane.is_heavy("{ b }")) == (True, False)
    lane.executed("{ a }", QUICK)
    assert not lane.is_heavy("{ a }")


def test_a_light_document_is_one_that_was_executed() -> None:
    lane = FastLane()
    assert not lane.is_light("{ a }")
    lane.executed("{ a }", QUICK)
    assert lane.is_light("{ a }")
    lane.executed("{ a }", 2 * HEAVY_SECONDS)
    assert not lane.is_light("{ a }")


def test_kept_results_are_tried_whatever_the_record() -> None:
    lane = FastLane()
    assert not lane.may_be_kept("{ a }")
    lane.executed("{ a }", SLOW)
    lane.executed("{ a }", SLOW)
    assert all(lane.may_be_kept("{ a }") for _ in range(100))
    assert not lane.allows("{ a }")


def test_an_attempt_at_kept_results_that_failed_is_remembered_for_a_while() -> None:
    lane = FastLane()
    for document in ("{ a }", "{ b }"):
        lane.executed(document, SLOW)
    lane.was_not_kept("{ a }")
    tries = [lane.may_be_kept("{ a }") for _ in range(50)]
    assert 5 < tries.index(True) < 50
    assert all(tries[tries.index(True) :])
    assert lane.may_be_kept("{ b }")
    for number in range(25_000):
        lane.was_not_kept(str(number))
    assert len(lane._kept) <= 10_000
