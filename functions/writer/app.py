"""The writer function: see `lamdb.cluster.writer`."""

from lamdb.cluster.writer import service

handler = service().handle
