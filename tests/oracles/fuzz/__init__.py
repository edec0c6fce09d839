"""A differential fuzzer: random schemas and operations, answered by lamDB and by Prisma's engine on Node.

`python -m tests.oracles.fuzz --operations 200000 --seed 1` is its long form, `test_fuzz.py` a short one.
"""
