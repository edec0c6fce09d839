"""Prisma Client's own engine on Node, and the requests that lamDB must answer as it does."""
