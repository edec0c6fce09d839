"""glibc's allocator, set up for a server of many threads.

glibc gives threads heaps of their own (arenas, up to eight per processor) and does not move free memory from
one to another. After a load over 40 threads that took 20 to 25 MB more than a single arena. Most threads hold
the interpreter's lock while they allocate, so that several arenas save no waiting.
"""

import ctypes
import sys
from typing import Final

_M_ARENA_MAX: Final = -8
"""From `malloc.h` of glibc; see mallopt(3)."""


def use_one_arena() -> bool:
    """Call it before threads are started. False where the allocator is another than glibc's."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, 1) == 1
