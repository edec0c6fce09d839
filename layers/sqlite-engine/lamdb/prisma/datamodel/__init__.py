"""The data model: parsing, checks, annotations and defaults of a Prisma schema."""
