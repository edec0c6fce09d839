"""From a SQLite database to a Prisma schema."""
