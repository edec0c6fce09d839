"""Files that vanish under compaction are listed and read again."""

import pytest

from lamdb.errors import CorruptFile, StoreUnavailable
from lamdb.storage.ltx.replica import FileGone
from lamdb.storage.ltx.retrying import ATTEMPTS, retry_gone


class Read:
    """A read of files of which so many are gone, one after another."""

    def __init__(self, gone: int) -> None:
        self.gone = gone
        self.attempts = 0

    def __call__(self) -> str:
        self.attempts += 1
        if self.attempts <= self.gone:
            raise FileGone(f"file {self.attempts}")
        return f"state {self.attempts}"


def unavailable(gone: FileGone) -> StoreUnavailable:
    return StoreUnavailable(f"{gone} is not there")


@pytest.mark.parametrize("gone", range(ATTEMPTS))
def test_it_returns_the_first_result(gone: int) -> None:
    assert retry_gone(Read(gone), unavailable) == f"state {gone + 1}"


def test_in_the_end_the_last_file_is_named() -> None:
    read = Read(100)
    with pytest.raises(StoreUnavailable, match=f"file {ATTEMPTS} is not there") as caught:
        retry_gone(read, unavailable)
    assert read.attempts == ATTEMPTS
    assert isinstance(caught.value.__cause__, FileGone)


def test_other_errors_are_not_repeated() -> None:
    attempts = []

    def damaged() -> None:
        attempts.append(1)
        raise CorruptFile("x")

    with pytest.raises(CorruptFile):
        retry_gone(damaged, unavailable)
    assert len(attempts) == 1
