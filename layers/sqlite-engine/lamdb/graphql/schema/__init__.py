"""The types of the GraphQL API, made from Prisma's DMMF."""

from lamdb.graphql import lean_core

lean_core.install()
