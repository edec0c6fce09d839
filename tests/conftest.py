"""The order of the tests, and the worker that each runs in."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.scheduler.protocol import Scheduling
from xdist.workermanage import WorkerController

GROUPS = {
    # `sam build` takes a minute, and two Docker engines cannot start at a time.
    "tests/docker/": "containers",
    "tests/integration/aws/test_build.py": "containers",
}


class FileScheduling(LoadScopeScheduling):
    """Files go to the next free worker, in the order of their names; those of a group go together.

    A file's fixtures are thus made once. The last folder, `tests/unit`, has short files only, so that workers
    finish at about the same time.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((group for path, group in GROUPS.items() if file.startswith(path)), file)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Forgets finished files also: xdist counts all tests of a worker again after each test."""
        super().mark_test_complete(node, item_index, duration)
        files = self.assigned_work[node]
        file = self._split_scope(self.registered_collections[node][item_index])
        if all(files[file].values()):
            del files[file]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    # Otherwise the files with the fewest tests would be the last, whatever time they take.
    config.option.loadscopereorder = False
    return FileScheduling(config, log)
