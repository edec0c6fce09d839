"""The objects that one operator's request works on: the process that received it, and one state of the
database."""

from contextlib import ExitStack
from functools import cached_property
from typing import Self

import apsw

from lamdb.graphql.apis import Apis
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.budget import NEVER, Deadline
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.maintenance.retention import RetentionPolicy
from lamdb.storage.pages import View


class OperatorContext:
    """The process: made once. `read_only`: mutations are refused, as those who cannot write must."""

    def __init__(
        self, database: Database, apis: Apis, settings: Settings, *, read_only: bool = False
    ) -> None:
        self.database = database
        self.apis = apis
        self.settings = settings
        self.read_only = read_only

    @cached_property
    def maintenance(self) -> Maintenance:
        """One for all requests: each goes on with the merge at which the last one ran out of time."""
        policy = RetentionPolicy.from_settings(self.settings)
        return Maintenance(self.database.pages, policy)


class OperatorSession:
    """One request. What it reads is one state, the newest in the store when it is first asked for.

    Use it as a context manager, which releases the state.
    """

    def __init__(self, context: OperatorContext, deadline: Deadline = NEVER) -> None:
        self.context = context
        self.deadline = deadline
        self._open = ExitStack()

    @property
    def database(self) -> Database:
        return self.context.database

    @cached_property
    def lag(self) -> int:
        """How many transactions the process did not know. Raises `StoreUnavailable`, `CorruptFile`."""
        known = self.database.txid
        return self.database.refresh() - known

    @cached_property
    def _state(self) -> tuple[View, apsw.Connection]:
        _ = self.lag
        lease = self.database.reader()
        connection = self._open.enter_context(lease)
        return lease.view, connection

    @property
    def view(self) -> View:
        """The state as pages."""
        return self._state[0]

    @property
    def connection(self) -> apsw.Connection:
        """The state as a read-only connection."""
        return self._state[1]

    @cached_property
    def files(self) -> list[FileInfo]:
        """Every LTX file in the store: a request for each 1000."""
        return self.database.pages.replica.every_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
