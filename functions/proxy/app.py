"""The proxy function: see `lamdb.cluster.proxy`, and `lamdb.samlocal` for `sam local`."""

import os

from lamdb.cluster.runtime.starting import quickly

with quickly():
    from lamdb.samlocal.detection import is_sam_local

    if is_sam_local(os.environ):
        from lamdb.samlocal.functions import proxy as function
    else:
        from lamdb.cluster.proxy import proxy as function

    handler = function().handle
