"""The implementation of `lamdb serve`: starts a server from settings and prints its addresses."""

import contextlib
import io
import json
import logging
import os
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import lamdb
from lamdb.cli.output import CommandOutput
from lamdb.cluster.runtime.starting import end_start
from lamdb.deployment.project import Project
from lamdb.search.upkeep import SearchUpkeep
from lamdb.server import logs
from lamdb.server.allocator import use_one_arena
from lamdb.server.announcements import Announcement
from lamdb.server.examples import curl
from lamdb.server.instance import Instance
from lamdb.server.operators import OPERATOR, announces_operators
from lamdb.server.processes import Ready, Supervisor, WorkerJob
from lamdb.server.run import Address, free_address
from lamdb.server.run import serve as listen
from lamdb.server.studio import serves_studio
from lamdb.server.worker_sockets import WorkerSockets, share_of_worker, workers_of
from lamdb.settings import Settings, unknown_variables
from lamdb.storage import Database
from lamdb.storage.maintenance.background import BackgroundMaintenance, Maintenance
from lamdb.storage.maintenance.retention import RetentionPolicy

log = logging.getLogger("lamdb.cli")


def serve(settings: Settings, *, push: bool, allow_unmigrated: bool, output: CommandOutput) -> None:
    logs.configure(settings.log_level, settings.log_format)
    for name in unknown_variables(os.environ):
        log.warning("no such setting; docs/settings.md lists them all", extra={"variable": name})
    use_one_arena()
    address = free_address(settings.host, settings.port)
    if workers_of(settings) > 1:
        raise SystemExit(_serve_by_workers(settings, address, push, allow_unmigrated, output))
    opened = Instance.open(settings, push=push, allow_unmigrated=allow_unmigrated)
    with opened as instance, _maintaining(instance.database, settings):

        def on_ready() -> None:
            announce = _announce_json if output.is_json else _announce
            announce(instance, settings, address)
            end_start()
            if instance.project is not None and not push:
                # Prisma's schema engine takes a moment to load, and nothing waits for its answer.
                threading.Thread(target=_warn_of_unmigrated, args=(instance.project,)).start()

        listen(instance, settings, address, on_ready)
    log.info("stopped")


def _serve_by_workers(
    settings: Settings, address: Address, push: bool, allow_unmigrated: bool, output: CommandOutput
) -> int:
    """Serves by a writer and several workers; the exit status."""
    end_start()  # Workers are forked, and share what is loaded.
    announcement = Announcement()
    count = workers_of(settings)
    shared = share_of_worker(settings, count)
    with WorkerSockets(address, count) as sockets:

        def write(ready: Ready, life: int) -> None:
            logs.name_worker("writer")
            opened = Instance.open(shared, push=push, allow_unmigrated=allow_unmigrated)
            with opened as instance, _maintaining(instance.database, shared):
                instance.database.announce_to(announcement.set)

                def on_ready() -> None:
                    text = io.StringIO()
                    with contextlib.redirect_stdout(text):
                        (_announce_json if output.is_json else _announce)(instance, settings, address)
                    announcement.serving(True)
                    ready(text.getvalue())

                listen(instance, shared, address, on_ready, sockets.of_writer(instance, shared, life))

        def read(number: int, ready: Ready, life: int) -> None:
            logs.name_worker(str(number))
            with Instance.attach(shared) as instance:
                instance.database.follow(announcement.get)
                given = sockets.of_reader(number, instance, shared, life, lambda: announcement.is_serving)
                listen(instance, shared, address, lambda: ready(""), given)

        readers = [WorkerJob(f"worker {each}", partial(read, each)) for each in range(1, count + 1)]
        supervisor = Supervisor(
            WorkerJob("writer", write),
            readers,
            stop_seconds=settings.shutdown_timeout,
            on_writer_down=lambda: announcement.serving(False),
        )
        status = supervisor.run(lambda text: print(text, end="", flush=True))
    log.info("stopped")
    return status


def _maintaining(database: Database, settings: Settings) -> AbstractContextManager[object]:
    if not settings.maintenance:
        return nullcontext()
    policy = RetentionPolicy.from_settings(settings)
    return BackgroundMaintenance(
        Maintenance(database.pages, policy),
        interval=settings.maintenance_interval,
        slice_seconds=settings.maintenance_slice,
        check_interval=settings.check_interval,
        check_rate=settings.check_bytes_per_second,
        chores=[SearchUpkeep(database)],
    )


def _warn_of_unmigrated(project: Project) -> None:
    if project.unmigrated() is not None:
        log.warning(
            "the schema has changes that no migration has; the API follows the schema, the tables do not",
            extra={"run": f"lamdb migrate create NAME --database {project.directory}"},
        )


def _announce(instance: Instance, settings: Settings, address: Address) -> None:
    url = address.url
    database = instance.database
    query = instance.renderings().example_line
    print(f"lamDB {lamdb.__version__} · {database.url} · transaction {database.txid}\n")
    if settings.graphiql:
        print(f"  GraphiQL  {url}/")
    if settings.search_page and instance.renderings().searches:
        print(f"  Search    {url}/search")
    if serves_studio(settings, address.host):
        print(f"  Studio    {url}/studio")
    print(f"  GraphQL   {url}/graphql")
    print(f"  Schema    {url}/schema.graphql")
    if announces_operators(settings, address.host):
        print(f"  Operators {url}{OPERATOR}")
    print()
    print(f"Try it:\n  {curl(f'{url}/graphql', query)}\n", flush=True)


def _announce_json(instance: Instance, settings: Settings, address: Address) -> None:
    """Prints one line for the process that started the server and waits for it."""
    database = instance.database
    about = {
        "url": address.url,
        "graphql": f"{address.url}/graphql",
        "schema": f"{address.url}/schema.graphql",
        "operator": f"{address.url}{OPERATOR}" if announces_operators(settings, address.host) else None,
        "graphiql": f"{address.url}/" if settings.graphiql else None,
        "search": f"{address.url}/search"
        if settings.search_page and instance.renderings().searches
        else None,
        "studio": f"{address.url}/studio" if serves_studio(settings, address.host) else None,
        "store": database.url,
        "txid": database.txid,
        "version": lamdb.__version__,
    }
    print(json.dumps(about), flush=True)
