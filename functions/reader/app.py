"""The reader function: see `lamdb.cluster.reader`, and `lamdb.samlocal` for `sam local`."""

import os

from lamdb.cluster.runtime.starting import quickly

with quickly():
    from lamdb.samlocal.detection import is_sam_local

    if is_sam_local(os.environ):
        from lamdb.samlocal.functions import reader as function
    else:
        from lamdb.cluster.reader import service as function

    handler = function().handle
