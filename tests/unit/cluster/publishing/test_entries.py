"""Changes as events: their size, what is cut, and requests that EventBridge takes."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamdb.cluster.aws.events_api import BATCH
from lamdb.cluster.publishing.entries import MOST_BYTES, Entries, Event, batches, size_of

ENTRIES = Entries("s3://bucket/lamdb", "shop", "lamdb")


def change(**values: Any) -> dict[str, Any]:
    made = {"cursor": "7", "txid": "7", "model": "Author", "operation": "CREATE", "key": {"id": 1}}
    made |= {"before": None, "after": {"id": 1}} | values
    return {
        name: json.dumps(value) if name in {"key", "before", "after"} and value is not None else value
        for name, value in made.items()
    }


def detail(event: Event) -> Any:
    return json.loads(event.entry["Detail"])


def test_the_size_is_that_of_aws() -> None:
    """Source, type and detail in UTF-8; the bus does not count."""
    entry = {"EventBusName": "x" * 99, "Source": "lamdb", "DetailType": "Ä", "Detail": '"€"'}
    assert size_of(entry) == 5 + 2 + 5


@pytest.mark.parametrize("text", ["a", "€", "\u0001", "😀"])
def test_an_event_that_is_too_large_has_its_key_only(text: str) -> None:
    fits = MOST_BYTES - size_of(ENTRIES.of_change(change(after={"text": ""})).entry)
    width = len(json.dumps(text, ensure_ascii=False).encode()) - 2
    count = fits // width
    whole = ENTRIES.of_change(
        {**change(), "after": json.dumps({"text": text * count}, ensure_ascii=False, separators=(",", ":"))}
    )
    assert not whole.is_cut
    assert detail(whole)["cut"] is False
    assert MOST_BYTES - 100 < size_of(whole.entry) <= MOST_BYTES
    cut = ENTRIES.of_change(
        {**change(), "after": json.dumps({"text": text * (count + 9)}, ensure_ascii=False)}
    )
    assert cut.is_cut
    assert (detail(cut)["cut"], detail(cut)["key"]) == (True, {"id": 1})
    assert (detail(cut)["before"], detail(cut)["after"]) == (None, None)
    assert detail(cut)["id"] == detail(whole)["id"]


def test_a_key_that_is_too_large_is_left_out() -> None:
    event = ENTRIES.of_change(change(key={"id": "x" * MOST_BYTES}))
    assert event.is_cut
    assert detail(event)["key"] is None
    assert size_of(event.entry) < 1000


def test_ids_tell_changes_and_databases_apart() -> None:
    other = Entries("s3://bucket/other", "shop", "lamdb")
    made = [
        ENTRIES.of_change(change()),
        ENTRIES.of_change(change(cursor="7.0.1")),
        other.of_change(change()),
        ENTRIES.of_gap(None, "7", "START"),
        ENTRIES.of_gap("3", "7", "NOT_KEPT"),
    ]
    assert len({detail(event)["id"] for event in made}) == len(made)
    assert detail(ENTRIES.of_change(change())) == detail(made[0])


@pytest.mark.parametrize(
    ("operation", "name"),
    [("CREATE", "created"), ("UPDATE", "updated"), ("DELETE", "deleted"), ("RESET", "reset")],
)
def test_types_name_the_model_and_the_operation(operation: str, name: str) -> None:
    nothing: Any = {"key": None, "before": None, "after": None} if operation == "RESET" else {}
    event = ENTRIES.of_change(change(operation=operation, **nothing))
    assert event.entry["DetailType"] == f"Author {name}"
    assert detail(event)["operation"] == operation


def test_a_type_is_not_longer_than_eventbridge_takes() -> None:
    event = ENTRIES.of_change(change(model="A" * 200))
    assert len(event.entry["DetailType"]) == 128
    assert detail(event)["model"] == "A" * 200


@given(st.lists(st.integers(0, 200_000), max_size=60))
def test_batches_have_all_events_in_order_and_fit(sizes: list[int]) -> None:
    events = []
    for number, size in enumerate(sizes):
        entry = {"Source": "s", "DetailType": str(number), "Detail": "x" * size}
        events.append(Event(str(number), entry, entry))
    made = list(batches(events))
    assert [event for batch in made for event in batch] == events
    assert all(1 <= len(batch) <= BATCH for batch in made)
    assert all(sum(event.size for event in batch) <= MOST_BYTES for batch in made)
    for batch, following in itertools.pairwise(made):
        assert len(batch) == BATCH or sum(event.size for event in batch) + following[0].size > MOST_BYTES
