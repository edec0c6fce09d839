"""The judged queries of the benchmark, and how answers are judged."""

from bench.search.judged import Half, Kind, judged, quality


def test_halves_are_disjoint_and_complete() -> None:
    halves = [{query.query for query in judged(half)} for half in Half]
    assert not halves[0] & halves[1]
    assert len(halves[0]) + len(halves[1]) == len(judged()) >= 200
    assert all(query.misspelt != query.query for query in judged())


def test_places_are_judged() -> None:
    queries = judged()[:4]
    right = [next(n for n in query.accepted.pattern.replace("$", "").split("|")) for query in queries]
    answers = [[right[0]], ["no", right[1]], ["no"] * 10 + [right[2]], []]
    result = quality(queries, Kind.CLEAN, lambda texts: answers)
    assert (result.first, result.ten, result.reciprocal) == (0.25, 0.5, 0.375)
