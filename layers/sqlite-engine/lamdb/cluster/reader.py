"""The reader: answers queries, and cannot write; verifies the store when a schedule asks for it."""

import logging
import os
from pathlib import Path
from typing import Any, Final

from lamdb.cluster.function_settings import function_settings
from lamdb.cluster.invocation.events import OperatorCommand
from lamdb.cluster.runtime import metrics
from lamdb.cluster.service import FunctionRole, Service
from lamdb.errors import CorruptFile
from lamdb.storage.budget import Deadline

log = logging.getLogger("lamdb.reader")


def verification(service: Service, command: OperatorCommand, deadline: Deadline) -> dict[str, Any]:
    """Restores the newest state, checks it and compares it with what readers see.

    With the argument `litestream`, Litestream's command restores it too, in the time that is left.
    Raises what `verify` raises, and `CorruptFile` if anything is wrong, so that the invocation fails.
    """
    # Of no concern to a reader that answers queries.
    import tempfile

    from lamdb.deployment.apply import deviations
    from lamdb.storage.backup.litestream import Litestream
    from lamdb.storage.backup.verification import verify

    service.database.refresh()
    litestream = Litestream.find() if command.arguments.get("litestream") else None
    with tempfile.TemporaryDirectory() as scratch:
        found = verify(
            service.database.pages,
            Path(scratch),
            inspect=deviations,
            litestream=litestream,
            deadline=deadline,
        )
    service.observer.count(metrics.VERIFY_FAILURES, 0 if found.ok else 1)
    if not found.ok:
        raise CorruptFile(f"The store failed its verification: {'; '.join(found.faults)}")
    for column in found.values:
        log.warning("values in another form: %s", column)
    return {
        "txid": found.txid,
        "bytes": found.size,
        "values": list(found.values),
        "litestream_txid": found.litestream_txid,
    }


ROLE: Final = FunctionRole("reader", "/reader", read_only=True, tasks={"verify": verification})


def service() -> Service:
    """The reader of this execution environment, warmed up."""
    made = Service(ROLE, function_settings(os.environ))
    made.warm_up()
    return made
