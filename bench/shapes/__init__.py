"""Query shapes beside hand-written SQL and Prisma Client on Node: `python -m bench shapes`."""
