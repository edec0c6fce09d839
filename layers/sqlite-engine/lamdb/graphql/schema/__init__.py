"""The types of the GraphQL API, made from Prisma's DMMF."""
