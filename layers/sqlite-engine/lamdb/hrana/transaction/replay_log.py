"""The log of a transaction, run again."""

from lamdb.hrana.statements.errors import error_object, is_failure
from lamdb.hrana.transaction.connection import StreamConnection
from lamdb.hrana.transaction.session import Log, follow
from lamdb.hrana.transaction.writer_connection import TransactionLost


def is_same(place: StreamConnection, log: Log) -> bool:
    """Runs the statements of a log. Returns whether all answers are what they were."""
    chain = b""
    place.scope.end()
    for step in log.steps:
        try:
            answer = place.do(step, -1)
        except TransactionLost:
            return False
        except Exception as error:
            if not is_failure(error):
                raise
            answer = error_object(error)
        chain = follow(chain, answer)
    return chain == log.chain
