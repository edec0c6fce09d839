"""The reader function: see `lamdb.cluster.reader`."""

from lamdb.cluster.reader import service

handler = service().handle
