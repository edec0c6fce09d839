"""Documents for comparing lamDB's verdicts with graphql-core's and Prisma's.

- `standard`: valid documents in standard GraphQL, written from what graphql-core builds of the SDL;
- `breakage`: the same documents, each broken in one way, with the rule that refuses it;
- `dialect`: operations in Prisma's dialect, with a random member of every input union.
"""
