"""The memory that a server may use, by the limits of control groups."""

import os
from pathlib import Path

import pytest

from lamdb.memory import DEFAULT, budget_of_server
from lamdb.server.usable_memory import usable_memory
from lamdb.setting import MIB

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable(folder: Path, own_groups: str, limits: dict[str, str]) -> int:
    """`limits`: texts of files below the root of the control groups, by their paths."""
    (folder / "own").write_text(own_groups)
    for name, text in limits.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return usable_memory(folder / "groups", folder / "own")


@pytest.mark.parametrize(
    ("own_groups", "limits", "expected"),
    [
        pytest.param("", {}, MACHINE, id="no control groups"),
        pytest.param("0::/\n", {"memory.max": str(300 * MIB)}, 300 * MIB, id="container"),
        pytest.param("0::/\n", {"memory.max": "max"}, MACHINE, id="container without a limit"),
        pytest.param(
            "0::/system.slice/lamdb.service\n",
            {"system.slice/lamdb.service/memory.max": "max", "system.slice/memory.max": str(200 * MIB)},
            200 * MIB,
            id="service in a limited slice",
        ),
        pytest.param(
            "5:devices:/\n4:cpu,memory:/docker/ab\n0::/\n",
            {"memory/docker/ab/memory.limit_in_bytes": str(100 * MIB)},
            100 * MIB,
            id="version 1",
        ),
        pytest.param(
            "4:memory:/docker/ab\n",
            {"memory/memory.limit_in_bytes": str(100 * MIB)},
            100 * MIB,
            id="version 1, whose path is that of the host",
        ),
        pytest.param(
            "4:memory:/\n",
            {"memory/memory.limit_in_bytes": str(2**63 - 4096)},
            MACHINE,
            id="version 1, no limit",
        ),
        pytest.param("5:cpu:/\n", {"memory.max": "1000"}, MACHINE, id="no group for memory"),
    ],
)
def test_the_least_limit_counts(
    tmp_path: Path, own_groups: str, limits: dict[str, str], expected: int
) -> None:
    assert usable(tmp_path, own_groups, limits) == expected


def test_this_machine_is_known() -> None:
    assert 0 < usable_memory() <= MACHINE


@pytest.mark.parametrize(
    ("usable_bytes", "budget"),
    [
        (0, DEFAULT),
        (512 * MIB, DEFAULT),
        (2048 * MIB, 256 * MIB),
        (4096 * MIB, 512 * MIB),
        (64 * 1024 * MIB, 1024 * MIB),
    ],
)
def test_a_server_takes_an_eighth(usable_bytes: int, budget: int) -> None:
    assert budget_of_server(usable_bytes) == budget
