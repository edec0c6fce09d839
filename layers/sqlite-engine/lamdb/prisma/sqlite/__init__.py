"""SQLite databases as Prisma sees them: catalog, SQL text, and the types of columns."""
