"""GraphQL documents: parsing, validation, selections, variables and values."""

from lamdb.graphql import lean_core

lean_core.install()
