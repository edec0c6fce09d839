"""The log of a transaction, run again."""

from lamdb.hrana.failures import error_object, is_failure
from lamdb.hrana.places import Place
from lamdb.hrana.sessions import Log, follow
from lamdb.hrana.writing import TransactionLost


def is_same(place: Place, log: Log) -> bool:
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
