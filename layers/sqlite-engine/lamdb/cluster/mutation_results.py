"""The results of asynchronous and queued mutations, as functions report them.

The proxy asks for one as anybody may, at `/writes/<key>`, and adds to the query which `attempt` it made and
the digest of the `request` that it sent.
"""

from lamdb.errors import MethodNotAllowed
from lamdb.graphql.transport import deferred, outcomes
from lamdb.graphql.transport.wire import TXID_HEADER, HttpRequest, HttpResponse
from lamdb.storage import Database


def answer(database: Database, request: HttpRequest) -> HttpResponse:
    """The state that the store has; it is asked only where this environment does not know the write yet.

    A write that waits in the queue is reported as pending, and so is one that was never sent or that another
    caller sent. Raises `MalformedRequest`, `MethodNotAllowed`, `NotFound`, `StorageError`.
    """
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed("The state of a write can only be read, by GET.", allow=["GET", "HEAD"])
    key = deferred.key_of(request.path)
    attempt, digest = deferred.asked(request.query)
    for is_second in (False, True):
        if is_second:
            before = database.txid
            if database.refresh() == before:
                break
        lease = database.reader()
        with lease as connection:
            found = outcomes.find(connection, key, request.caller, attempt=attempt, request=digest)
        if found is not None:
            response = deferred.done(found.status, found.body, refused=found.refused, replayed=found.replayed)
            response.headers[TXID_HEADER] = str(lease.txid)
            return response
    return deferred.pending()
