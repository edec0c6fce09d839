"""The memory of the machine or container that a process runs on."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN_GROUPS: Final = Path("/proc/self/cgroup")


def usable_memory(groups: Path = _GROUPS, own_groups: Path = _OWN_GROUPS) -> int:
    """Returns the bytes that the process may use: the machine's memory, or the limit of its container.

    The result is 0 where neither is known. Limits are those of control groups (cgroups(7)).
    """
    limits = [_machine_memory(), *_limits(groups, own_groups)]
    return min((limit for limit in limits if limit), default=0)


def _machine_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Not on every system.
        return 0


def _limits(groups: Path, own_groups: Path) -> Iterator[int]:
    """The limits of the process's control groups and of those above them.

    A container sees its own group as the root; a service of systemd sees the path to its group. Version 1
    gives an unlimited group the largest number there is.
    """
    for line in _read(own_groups).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                limit = _read(folder / name).strip()
                if limit.isdigit():
                    yield int(limit)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # No control groups, or none of this version.
        return ""
