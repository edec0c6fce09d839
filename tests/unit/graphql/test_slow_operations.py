"""Slow operations: what is one operation, and which are kept."""

import threading

from lamdb.graphql.slow_operations import SlowOperations, document_hash


def test_literals_make_no_difference() -> None:
    one, two = '{ a(where: { name: "x", n: 1 }) }', '{ a(where: { name: "y", n: 222 }) }'
    assert document_hash(one) == document_hash(two)
    assert document_hash(one) != document_hash('{ b(where: { name: "x", n: 1 }) }')
    assert document_hash("{ a }") != document_hash("{ b }")


def test_executions_of_one_operation_are_added_up() -> None:
    slow = SlowOperations(0.1)
    for name, seconds in (("A", 0.2), ("A", 0.5), ("A", 0.3), ("B", 0.1), (None, 1.0)):
        slow.note("query A { a(n: 1) } query B { a(n: 2) }", name, "query", seconds)
    found = slow.slowest(10)
    assert [(each.name, each.count, each.slowest_ms, each.total_ms) for each in found] == [
        (None, 1, 1000.0, 1000.0),
        ("A", 3, 500.0, 1000.0),
        ("B", 1, 100.0, 100.0),
    ]
    assert len(slow.slowest(2)) == 2


def test_what_took_the_least_time_goes_first() -> None:
    slow = SlowOperations(0.0, kept=3)
    for number in (5, 3, 4, 1, 2, 6):
        slow.note(f"{{ a{number} }}", None, "query", number)
    assert [each.total_ms for each in slow.slowest(10)] == [6000, 5000, 4000]


def test_threads_lose_nothing() -> None:
    slow = SlowOperations(0.0)

    def note() -> None:
        for _ in range(500):
            slow.note("{ a }", None, "query", 0.001)

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = slow.slowest(1)
    assert found.count == 2000
