"""The proxy function: see `lamdb.cluster.proxy`."""

from lamdb.cluster.proxy import proxy

handler = proxy().handle
