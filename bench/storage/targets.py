"""The goals of storage, compared with the figures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.storage import commits, opening, sessions
from bench.storage.figures import BARE_PUT, DIRECTORY, LAMDB, Figure

_GIBIBYTE = "1024 MiB, by id"
_MEBIBYTE = "1 MiB, by id"


@dataclass(frozen=True)
class Target:
    """`found` should be at most `limit`."""

    name: str
    store: str
    found: float
    limit: float

    @property
    def met(self) -> bool:
        return self.found <= self.limit

    def line(self) -> str:
        verdict = "met" if self.met else "[yellow]missed[/]"
        return f"{verdict}: {self.name}, {self.store}: {self.found:.2f} (at most {self.limit:g})"


def judge(figures: list[Figure]) -> list[Target]:
    """The targets for which there are figures."""
    stores = {figure.store: None for figure in figures if figure.store not in {DIRECTORY, "any"}}
    return [target for store in stores for target in _of_store(_finder(figures, store), store)]


type _Find = Callable[..., Figure | None]


def _finder(figures: list[Figure], store: str) -> _Find:
    known = {(f.scenario, f.case, f.contender): f for f in figures if f.store == store}
    return lambda scenario, case, contender=LAMDB: known.get((scenario, case, contender))


def _of_store(find: _Find, store: str) -> Iterator[Target]:
    small, large = find(opening.SCENARIO, _MEBIBYTE), find(opening.SCENARIO, _GIBIBYTE)
    if small and large and small.ms and large.ms:
        yield Target("open and first lookup, 1 GiB in terms of 1 MiB", store, large.ms / small.ms, 1.5)
    commit, put = find(commits.SCENARIO, commits.COMMIT), find(commits.SCENARIO, commits.COMMIT, BARE_PUT)
    if commit and put and commit.ms and put.ms and commit.requests is not None:
        yield Target("requests per commit", store, commit.requests, 1)
        yield Target("commit beyond one round trip, ms", store, commit.ms - put.ms, 3)
    for case, limit in (("session, warm", 0), ("strong", 1)):
        read = find(sessions.SCENARIO, case)
        if read and read.requests is not None:
            yield Target(f"requests per read, {case}", store, read.requests, limit)
