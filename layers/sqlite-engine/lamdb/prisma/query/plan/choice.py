"""The choice between two plans with the same answer, before each run."""

from collections.abc import Mapping
from typing import Any

import apsw

from lamdb.prisma.query.plan.rewriting.relations import Alternative
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.query.plan.statements import compile_statement
from lamdb.prisma.query.sql_errors import database_error


class Choice:
    """Runs the probe of an alternative."""

    def __init__(self, alternative: Alternative) -> None:
        self.tree = alternative.tree
        self._render = compile_statement(alternative.probe, {})

    def pays(self, connection: apsw.Connection, values: Mapping[str, Any]) -> bool:
        """True if the alternative is to be run. Raises `QueryError`."""
        run = Run(connection, values, 0)
        try:
            statements = self._render(run)
            return len(statements) == 1 and connection.execute(*statements[0]).get == 1
        except apsw.Error as error:
            raise database_error(error) from error
