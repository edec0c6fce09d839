"""Opening after many commits, with maintenance and without."""

from collections.abc import Iterator

from bench.storage.datasets import link_copy
from bench.storage.figures import LAMDB, Figure, on_s3
from bench.storage.laboratory import Laboratory, of_samples
from bench.storage.opening import first_answer
from bench.storage.s3 import DATA, SCRATCH
from lamdb.storage import Database
from lamdb.storage.maintenance.background import Maintenance

SCENARIO = "open after many commits"

_ROWS_IN_USE = 1000
_RUN_EVERY = 500


def run(laboratory: Laboratory) -> Iterator[Figure]:
    commits = laboratory.scale.history
    maintained, plain = f"history-{commits}", f"history-{commits}-level-0"
    laboratory.in_bucket(maintained, lambda _: _build(laboratory, maintained, commits))
    folder = laboratory.server.folder(maintained, DATA)
    laboratory.in_bucket(plain, lambda bucket: link_copy(folder, bucket / plain, "0000"))
    sql = "SELECT body FROM item WHERE id = 7"
    for name, case in ((maintained, "maintained"), (plain, "never maintained")):
        for latency in laboratory.latencies():
            figure = Figure(SCENARIO, f"{commits:,} commits, {case}", on_s3(latency), LAMDB)
            url = laboratory.server.url(name, DATA)
            runs = laboratory.scale.runs if name == maintained else 1
            samples = [laboratory.sample(lambda: first_answer(url, sql)) for _ in range(runs)]  # noqa: B023
            laboratory.agree(maintained, sql, samples[0].value)
            yield of_samples(figure, samples)
            yield laboratory.by_restoring(figure, name, sql)
            yield laboratory.by_vfs(figure, name, sql)


def _build(laboratory: Laboratory, name: str, commits: int) -> None:
    """Commits that change rows among a thousand, maintained as by a server: a little after each commit, and
    a full run now and then. Nothing is old enough to be deleted.
    """
    building = laboratory.scratch()
    url = laboratory.server.url(building)
    with Database.open(url) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, body TEXT)")
        maintenance = Maintenance(database.pages)
        for number in range(1, commits):
            with database.writer() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO item VALUES(?, ?)",
                    (number * 7919 % _ROWS_IN_USE, f"row as of commit {number} " * 8),
                )
            maintenance.merge_own_commits()
            if number % _RUN_EVERY == 0:
                maintenance.run()
    laboratory.server.folder(building, SCRATCH).rename(laboratory.server.folder(name, DATA))
