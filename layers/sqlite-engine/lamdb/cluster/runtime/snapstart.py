"""Actions after a restore from a snapshot of the initialised process (Lambda SnapStart).

Every environment that is restored from one snapshot begins with the same random state, the same
credentials and connections that no longer exist.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

import os
import random
import sys
from collections.abc import Callable
from typing import Final

_TYPE: Final = "AWS_LAMBDA_INITIALIZATION_TYPE"
_SNAP_START: Final = "snap-start"


def after_restore(renew: Callable[[], None] | None = None) -> None:
    """Registers what a restored process does first: seed random numbers anew, and call `renew`.

    Nothing if the process is not initialised for a snapshot.
    """
    if os.environ.get(_TYPE) != _SNAP_START:
        return
    # A part of Lambda's runtime.
    from snapshot_restore_py import register_after_restore  # type: ignore[import-untyped]

    register_after_restore(seed)
    if renew is not None:
        register_after_restore(renew)


def seed() -> None:
    """Seeds the generators of Python and, if it is loaded, of SQLite. `secrets` and `uuid` ask the system."""
    random.seed()
    apsw = sys.modules.get("apsw")
    if apsw is not None:
        # Makes SQLite seed its generator from the system at the next use.
        apsw.randomness(0)
