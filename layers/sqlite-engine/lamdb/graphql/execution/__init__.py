"""Operations: compiling documents, caching and executing them."""

from lamdb.graphql import lean_core

lean_core.install()
