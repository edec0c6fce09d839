"""The publisher function: see `lamdb.cluster.publisher`. `sam local` has no event bus for it."""

from lamdb.cluster.runtime.starting import quickly

with quickly():
    from lamdb.cluster.publisher import service as function

    handler = function().handle
