"""The checker of histories finds what it is there to find."""

from pathlib import Path

import pytest

from ...soak.checker import violations
from ...soak.history import History, Log, Past, Read, Row, Write


def history() -> tuple[History, list[Row]]:
    """Two processes, three kept writes, one fenced, one of unknown outcome that was kept; three reads,
    two looks at past states."""
    writes = [
        Write("a.1.w0", 1, 1.0, 2.0, "ok", 1, 5),
        Write("b.1.w0", 1, 1.5, 2.5, "failed"),
        Write("a.1.w1", 1, 1.1, 2.0, "ok", 2, 5),
        Write("b.1.w0", 2, 3.0, 4.0, "ok", 3, 6),
        Write("b.1.w0", 3, 5.0),
    ]
    reads = [
        Read("a.1.r0", 2.1, 2.2, 2, 5, strong=True),
        Read("a.1.r0", 3.1, 3.9, 3, 6, token=2),
        Read("b.1.r0", 2.9, 3.5, 2, 5),
    ]
    rows = [Row(1, "a.1.w0", 1, 5), Row(2, "a.1.w1", 1, 5), Row(3, "b.1.w0", 2, 6), Row(4, "b.1.w0", 3, 7)]
    pasts = [Past("p.1.p0", 9.0, 9.1, "time", 2, 5, 2.8), Past("p.1.p0", 9.2, 9.3, "file", 3, 6)]
    return History(writes, reads, pasts), rows


def test_a_history_that_is_right() -> None:
    assert violations(*history()) == []


def changed(what: str) -> tuple[History, list[Row]]:
    found, rows = history()
    writes, reads = found.writes, found.reads
    match what:
        case "lost":
            rows.pop()
            rows.pop()
        case "missing":
            del rows[1]
        case "refused, but kept":
            rows[3].number = 1
        case "there twice":
            rows[3].number = 2
        case "written by nobody":
            rows[3].number = 9
        case "acknowledged as another":
            writes[0].id, writes[2].id = 2, 1
        case "was given to":
            rows[2].txid = 5
        case "an earlier one":
            rows[2].txid = 4
        case "token is too low":
            writes[3].txid = 5
        case "comes before":
            rows[1], rows[2] = Row(2, "b.1.w0", 2, 6), Row(3, "a.1.w1", 1, 6)
        case "torn":
            reads[0].wrong = "the accounts add up to 7"
        case "seen before it was written":
            reads[2].seen = 4
        case "what its token stands for":
            reads[1].token = 4
        case "acknowledged before":
            reads[0].seen = 1
        case "back from":
            reads[1].seen = 1
        case "was seen with":
            found.pasts.append(Past("p.1.p1", 9.0, 9.1, "as_of", 4, 6))
        case "entry 3 is of transaction 6":
            found.pasts[1].seen = 2
        case "entry 4 is of transaction 7":
            found.pasts[1].seen = 4
        case "a past state":
            found.pasts[1].wrong = "it must still be kept"
        case "had been acknowledged then":
            found.pasts[0].moment = 4.2
        case "had not been begun then":
            found.pasts[0].moment = 0.9
    return found, rows


@pytest.mark.parametrize(
    "what",
    [
        "lost",
        "missing",
        "refused, but kept",
        "there twice",
        "written by nobody",
        "acknowledged as another",
        "was given to",
        "an earlier one",
        "token is too low",
        "comes before",
        "torn",
        "seen before it was written",
        "what its token stands for",
        "acknowledged before",
        "back from",
        "was seen with",
        "entry 3 is of transaction 6",
        "entry 4 is of transaction 7",
        "a past state",
        "had been acknowledged then",
        "had not been begun then",
    ],
)
def test_a_history_that_is_wrong(what: str) -> None:
    found = violations(*changed(what))
    assert any(what in message for message in found), found


def test_what_was_logged_is_read_back(tmp_path: Path) -> None:
    log = Log(tmp_path / "one.log")
    log.invoke("a.1.w0", 1)
    log.complete("a.1.w0", 1, "ok", 7, 3)
    log.invoke("a.1.w0", 2)
    log.read("a.1.r0", 1.5, 7, 3, strong=True, wrong="x")
    log.past("p.1.p0", 1.5, "time", 7, 3, moment=1.25)
    with (tmp_path / "one.log").open("a") as file:
        file.write('["invoke", "a.1.w0", 3')  # Killed in the middle of a line.
    found = History.load(tmp_path)
    assert [(write.number, write.outcome, write.id) for write in found.writes] == [
        (1, "ok", 7),
        (2, "unknown", None),
    ]
    assert [(read.seen, read.txid, read.strong, read.wrong) for read in found.reads] == [(7, 3, True, "x")]
    assert [(past.how, past.seen, past.txid, past.moment, past.wrong) for past in found.pasts] == [
        ("time", 7, 3, 1.25, "")
    ]
