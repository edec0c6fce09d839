"""The writer function: see `lamdb.cluster.writer`, and `lamdb.samlocal` for `sam local`."""

import os

from lamdb.cluster.runtime.starting import quickly

with quickly():
    from lamdb.samlocal.detection import is_sam_local

    if is_sam_local(os.environ):
        from lamdb.samlocal.functions import writer as function
    else:
        from lamdb.cluster.writer import service as function

    handler = function().handle
