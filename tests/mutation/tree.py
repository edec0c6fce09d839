"""The tree in which mutmut works: `lamdb` and `tests` at its root, and a configuration of its own."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from .targets import LEFT_OUT

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "layers/sqlite-engine/lamdb"
INTERPRETER = REPOSITORY / ".venv-mutation/bin/python"

_STATUS = {0: "survived", 1: "killed", 3: "killed", 5: "no tests", 33: "no tests"}
"""Exit codes of pytest and mutmut. All others are timeouts (-24, 24, 36, 152, 255) or crashes."""

_GENERATE = """
import mutmut.__main__ as m
m.copy_src_dir(); m.copy_also_copy_files(); m.setup_source_paths(); m.create_mutants(1)
"""


class Tree:
    """A copy of the package and its tests, and the mutants of `modules` there.

    `tests` are arguments of pytest that select the tests.
    """

    def __init__(self, folder: Path, modules: Sequence[str], tests: Sequence[str]) -> None:
        self._folder = folder
        self._modules = modules
        shutil.rmtree(folder, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__", "node_modules", "static", "oracles", "e2e")
        shutil.copytree(PACKAGE, folder / "lamdb", ignore=ignored)
        shutil.copytree(REPOSITORY / "tests", folder / "tests", ignore=ignored)
        (folder / "pyproject.toml").write_text(_configuration(modules, tests))
        subprocess.run([INTERPRETER, "-c", _GENERATE], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    def names(self, module: str) -> list[str]:
        """The mutants of `module`."""
        return [*self._codes(module)]

    def run(self, names: Iterable[str], children: int) -> None:
        """Tries the mutants `names`, so many at a time. Raises `CalledProcessError` if mutmut fails."""
        command = [INTERPRETER.with_name("mutmut"), "run", "--max-children", str(children), *names]
        with (self._folder / "mutmut.log").open("w") as log:
            subprocess.run(command, cwd=self._folder, check=True, stdout=log, stderr=log)

    def results(self) -> dict[str, str]:
        """The status of each mutant that was tried."""
        return {
            name: _STATUS.get(code, "timeout" if code in (-24, 24, 36, 152, 255) else "crashed")
            for module in self._modules
            for name, code in self._codes(module).items()
            if code is not None
        }

    def difference(self, name: str) -> str:
        """Returns the change of the mutant `name`, as a diff."""
        command = [INTERPRETER.with_name("mutmut"), "show", name]
        shown = subprocess.run(command, cwd=self._folder, check=True, capture_output=True, text=True).stdout
        changed = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        return "\n".join(changed)

    def _codes(self, module: str) -> dict[str, int | None]:
        meta = self._folder / f"mutants/lamdb/storage/{module}.py.meta"
        codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        return codes


def _configuration(modules: Sequence[str], tests: Sequence[str]) -> str:
    settings = {
        "source_paths": ["lamdb"],
        "only_mutate": [f"lamdb/storage/{module}.py" for module in modules],
        "do_not_mutate_patterns": [*LEFT_OUT],
        "also_copy": ["lamdb"],
        "pytest_add_cli_args": ["-p", "tests.mutation.quiet"],
        "pytest_add_cli_args_test_selection": [*tests],
        # A mutant may loop without end. One that is merely slow must not seem to.
        "timeout_multiplier": 5.0,
        "timeout_constant": 4.0,
        "use_git_change_detection": False,
        "track_dependencies": False,
        # The threads of the object store's client do not survive a fork of a process that has run tests.
        "process_isolation": "forkserver",
    }
    lines = (f"{name} = {json.dumps(value)}" for name, value in settings.items())
    pytest = """
[tool.pytest.ini_options]
pythonpath = ["."]
addopts = "--strict-markers --import-mode=importlib -p no:cacheprovider"
markers = ["slow", "soak", "node"]

[tool.mutmut]
"""
    return pytest + "\n".join(lines) + "\n"
