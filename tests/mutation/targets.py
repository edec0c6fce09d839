"""The modules whose mutants are tried, and the tests that try them.

The storage promise (what was acknowledged stays, what is kept can be restored) rests on these modules.
"""

from typing import Final

MODULES: Final = (
    "maintenance/retention",
    "maintenance/ages",
    "maintenance/compaction",
    "ltx/files",
    "ltx/ltx",
    "ltx/stream",
    "ltx/pageindex",
    "ltx/replica",
    "ltx/restorepoints",
    "backup/restore",
    "rollforward",
    "pagestore",
    "groupcommit",
)

LEFT_OUT: Final = (
    r"^\s*raise ",
    r"^\s*_?log",
    r"__slots__",
    r"hint=",
    r'^\s*f?"[^"]*"$',
)
"""Lines that are not mutated: errors that are raised, logging, hints, and lines that are only text."""

QUICK: Final = ("tests/unit/storage",)
"""Tests of milliseconds, without a store or with one in memory."""

THOROUGH: Final = (
    *(
        f"tests/integration/storage/test_{name}.py"
        for name in (
            "bit_rot",
            "damage",
            "database",
            "fencing",
            "group_commit",
            "import_export",
            "maintenance",
            "refresh",
            "requests",
            "restore",
            "threads",
            "unsuitable_stores",
        )
    ),
    "-m",
    "not slow",
    # The same tests run on three kinds of stores. The one in memory is the quickest.
    "-k",
    "not s3 and not directory and not disk",
    *(
        f"--deselect=tests/integration/storage/{test}"
        for test in (
            "test_bit_rot.py::test_a_running_reader_is_not_served_changed_pages_either",
            "test_import_export.py::test_a_damaged_file_is_refused",
            "test_maintenance.py::test_a_commit_is_never_held_up",
            "test_maintenance.py::test_a_slice_takes_no_longer_than_it_may_and_holds_up_no_commit",
            "test_maintenance.py::test_opening_after_ten_thousand_commits_needs_few_requests",
            "test_maintenance.py::test_the_thread_survives_a_store_that_fails",
            "test_refresh.py::test_a_commit_does_not_wait_for_a_refresh",
            "test_threads.py::test_readers_do_not_wait_for_a_commit",
        )
    ),
)
"""Tests of the whole storage, for the mutants that the quick ones leave. Those of seconds are left out."""
