"""Groups of tests that run in one process when several share the work: those that have something large in
common."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.scheduler.protocol import Scheduling

GROUPS = {
    # `sam build` takes a minute, and two Docker engines cannot start at a time.
    "tests/docker/": "containers",
    "tests/integration/aws/test_build.py": "containers",
    # A browser's profile, and PROJ's registry.
    "tests/integration/importing/test_real_databases.py": "real databases",
}


class GroupScheduling(LoadScopeScheduling):
    """Each test goes where there is time for it; those of a group go together."""

    def _split_scope(self, nodeid: str) -> str:
        found = (group for path, group in GROUPS.items() if nodeid.startswith(path))
        return next(found, nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return GroupScheduling(config, log)
