"""Compiles requests in Prisma's JSON protocol to plans, caches the plans, and executes them."""
