"""Load this machine's Debian package lists into a running lamDB, through its GraphQL API.

    sudo apt-get update
    lamdb serve --store file://$PWD/.lamdb/debian --database examples/debian-archive
    python examples/debian-archive/load.py

Interrupt it whenever you like: every batch is one transaction, and the next run goes on where this one
stopped. A finished load is left alone; `--replace` loads newer lists.
"""

import hashlib
import subprocess
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from archive import MalformedList, Row, rows, stanzas
from client import Client, ServerError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console()
app = typer.Typer(add_completion=False)

SNAPSHOT = "query { findFirstSnapshot { digest finishedAt } }"
BEGIN = "mutation ($digest: String!) { createOneSnapshot(data: { digest: $digest }) { digest } }"
FINISH = """
mutation ($digest: String!, $now: DateTime!) {
  updateOneSnapshot(where: { digest: $digest }, data: { finishedAt: { set: $now } }) { digest }
}
"""
FORGET = "mutation { deleteManySnapshot { count } }"
DELETE_AT_ONCE = 20_000


class LoadError(Exception):
    """The load cannot go on; the message says why and what to do."""


def read_lists(file: Path | None) -> bytes:
    """The package lists: a file, or what apt has on this machine. Raises LoadError."""
    if file is not None:
        return file.read_bytes()
    try:
        done = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True)
    except FileNotFoundError:
        raise LoadError("there is no apt-cache here: run this on Debian, or give --file") from None
    except subprocess.CalledProcessError as error:
        raise LoadError(f"apt-cache failed: {error.stderr.decode().strip()}") from error
    if not done.stdout.strip():
        raise LoadError("apt knows no packages: run `apt-get update` first")
    return done.stdout


class Loader:
    """Brings the tables of one snapshot to the server, batch by batch."""

    RETRIES = 3

    def __init__(self, client: Client, batch: int, progress: Progress) -> None:
        self.client = client
        self.batch = batch
        self.progress = progress

    def begin(self, digest: str, tables: dict[str, list[Row]], *, replace: bool) -> bool:
        """Whether there is anything to do. Raises LoadError if the store holds something else."""
        present = self.client.execute(SNAPSHOT)["findFirstSnapshot"]
        if present is not None and present["digest"] != digest:
            if not replace:
                raise LoadError("the store holds other package lists: --replace deletes them and loads these")
            self._delete(tables)
            present = None
        if present is None:
            self.client.execute(BEGIN, digest=digest)
        return present is None or present["finishedAt"] is None

    def load(self, model: str, table: list[Row]) -> None:
        """Bring one table to its full length: what it has are the first rows of `table`."""
        task = self.progress.add_task(model, total=len(table))
        mutation = (
            f"mutation ($data: [{model}CreateManyInput!]!) {{ createMany{model}(data: $data) {{ count }} }}"
        )
        done = self._count(model)
        failures = 0
        while done < len(table):
            self.progress.update(task, completed=done)
            try:
                self.client.execute(mutation, data=table[done : done + self.batch])
                done += len(table[done : done + self.batch])
            except ServerError as error:
                failures += 1
                if not error.uncertain or failures > self.RETRIES:
                    raise
                done = self._count(model)
        self.progress.update(task, completed=done)
        if done > len(table):
            raise LoadError(f"{model} holds {done} rows where the lists have {len(table)}: use --replace")

    def finish(self, digest: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        self.client.execute(FINISH, digest=digest, now=now)

    def _count(self, model: str) -> int:
        answer = self.client.execute(f"query {{ aggregate{model} {{ _count {{ _all }} }} }}")
        return int(answer[f"aggregate{model}"]["_count"]["_all"])

    def _delete(self, tables: dict[str, list[Row]]) -> None:
        """Empty every table, those that refer to others first, a bounded number of rows at a time."""
        for model in reversed(tables):
            task = self.progress.add_task(f"delete {model}", total=self._count(model))
            mutation = f"mutation {{ deleteMany{model}(limit: {DELETE_AT_ONCE}) {{ count }} }}"
            while deleted := self.client.execute(mutation)[f"deleteMany{model}"]["count"]:
                self.progress.advance(task, deleted)
        self.client.execute(FORGET)


def run(client: Client, lists: bytes, *, batch: int, replace: bool) -> None:
    """Load everything that is not there yet. Raises LoadError, MalformedList, ServerError."""
    digest = hashlib.sha256(lists).hexdigest()
    with console.status("Reading the package lists"):
        tables = rows(stanzas(lists.decode()))
    started = time.monotonic()
    columns: list[Any] = [TextColumn("{task.description:<18}"), BarColumn(), TaskProgressColumn()]
    columns += [MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console) as progress:
        loader = Loader(client, batch, progress)
        if not loader.begin(digest, tables, replace=replace):
            progress.console.print("These package lists are loaded already.")
            return
        for model, table in tables.items():
            loader.load(model, table)
        loader.finish(digest)
    total = sum(map(len, tables.values()))
    console.print(
        f"{len(tables['Package']):,} packages, {len(tables['Dependency']):,} dependency links, "
        f"{total:,} rows in {time.monotonic() - started:.0f} s."
    )


@app.command()
def main(
    url: Annotated[
        str, typer.Option(help="The server's GraphQL endpoint.")
    ] = "http://127.0.0.1:8000/graphql",
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="What `apt-cache dumpavail` printed; by default, ask it."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Rows per request, each one transaction.")] = 5000,
    replace: Annotated[bool, typer.Option("--replace", help="Delete other lists that are there.")] = False,
) -> None:
    """Load Debian's package lists into a running lamDB through its GraphQL API."""
    client = Client(url)
    try:
        run(client, read_lists(file), batch=batch, replace=replace)
    except (LoadError, MalformedList, ServerError) as error:
        Console(stderr=True).print(f"[red]Not loaded:[/red] {error}", highlight=False)
        raise typer.Exit(1) from error
    finally:
        client.close()


if __name__ == "__main__":
    app()
