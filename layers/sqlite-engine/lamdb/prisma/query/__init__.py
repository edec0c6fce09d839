"""Requests in Prisma's JSON protocol: compiled, kept as plans, and executed."""
