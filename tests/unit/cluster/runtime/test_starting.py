"""How functions load their modules: no collector, compiled dataclasses, the right processor."""

import dataclasses
import gc
import importlib.util
import marshal
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamdb.cluster.runtime import precompile
from lamdb.cluster.runtime.starting import quickly

LOADED = """
import builtins, dataclasses, sys
from pathlib import Path
compiled = []
real = builtins.exec
def watched(code, *namespaces):
    compiled.append(isinstance(code, str))
    real(code, *namespaces)
builtins.exec = watched
from lamdb.cluster.runtime.starting import quickly
with quickly(Path(sys.argv[1])):
    import lamdb.cluster.writer
from lamdb.graphql.transport.wire import HttpRequest
request = HttpRequest("GET", "/", "", {})
assert request == HttpRequest("GET", "/", "", {}) and "method='GET'" in repr(request)
assert dataclasses.replace(request, path="/a").path == "/a"
try:
    request.path = "/b"
except dataclasses.FrozenInstanceError:
    pass
else:
    raise AssertionError
print(compiled.count(True), compiled.count(False))
"""


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("compiled") / "dataclasses.bin"
    command = [sys.executable, "-m", "lamdb.cluster.runtime.precompile", target]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    return target


def loaded(codes: Path) -> tuple[int, int]:
    """How many sources a writer compiles to load its modules, and how many it finds compiled."""
    done = subprocess.run([sys.executable, "-c", LOADED, codes], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    compiled, found = map(int, done.stdout.split())
    return compiled, found


def test_no_dataclass_of_a_function_is_compiled_at_its_start(codes: Path, tmp_path: Path) -> None:
    compiled, found = loaded(codes)
    without, _ = loaded(tmp_path / "missing.bin")
    assert without > 80
    assert without - compiled > 80, "what is left are named tuples of Python's library"
    assert found > 80


def test_no_dataclass_of_a_command_is_compiled_at_its_start(tmp_path: Path) -> None:
    target = tmp_path / "commands.bin"
    precompiled = [sys.executable, "-m", "lamdb.cluster.runtime.precompile", target, "--commands"]
    assert subprocess.run(precompiled, capture_output=True, check=True).stderr == b""
    code = """
import builtins, dataclasses, gc, sys
from pathlib import Path
compiled = []
real = builtins.exec
def watched(code, *namespaces):
    compiled.append(isinstance(code, str))
    real(code, *namespaces)
builtins.exec = watched
usual = gc.get_threshold()
from lamdb.cluster.runtime.starting import begin_command, end_start
begin_command(Path(sys.argv[1]))
import lamdb.cli.main, lamdb.cli.serve, lamdb.cli.query, lamdb.cli.status
rare = gc.get_threshold()
end_start()
assert rare[0] > usual[0] and gc.get_threshold() == usual and gc.isenabled() and gc.get_freeze_count() > 0
assert "exec" not in vars(dataclasses)
print(compiled.count(True), compiled.count(False))
"""

    def counts(file: Path) -> tuple[int, int]:
        done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        strings, found = map(int, done.stdout.split())
        return strings, found

    strings, found = counts(target)
    without, _ = counts(tmp_path / "missing.bin")
    assert found > 150
    assert without - strings > 150


def test_code_of_another_python_is_not_used(codes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"\0" * 4 + codes.read_bytes()[4:])
    assert loaded(other) == loaded(tmp_path / "missing.bin")


def test_a_class_that_has_changed_is_compiled(tmp_path: Path) -> None:
    target = tmp_path / "dataclasses.bin"
    precompile.main([str(target)])
    with quickly(target):

        @dataclasses.dataclass(frozen=True)
        class Changed:
            of_its_own: int = 3

    assert Changed() == Changed(3)
    assert "exec" not in vars(dataclasses)


def test_other_code_under_the_same_source_would_be_used(tmp_path: Path) -> None:
    """The executed code is the content of the file."""
    sources: list[str] = []
    dataclasses.exec = lambda source, *spaces: (sources.append(source), exec(source, *spaces))  # type: ignore[attr-defined]
    try:
        dataclasses.make_dataclass("Pair", ["left"])
    finally:
        del dataclasses.exec  # type: ignore[attr-defined]
    (source,) = sources
    target = tmp_path / "dataclasses.bin"
    code = marshal.dumps(compile("raise ZeroDivisionError", "<other>", "exec"))
    target.write_bytes(importlib.util.MAGIC_NUMBER + marshal.dumps({source: code}))
    with pytest.raises(ZeroDivisionError), quickly(target):
        dataclasses.make_dataclass("Pair", ["left"])
    assert "exec" not in vars(dataclasses)
    assert gc.isenabled()


def test_the_collector_rests_meanwhile() -> None:
    with quickly():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize(("machine", "built"), [("x86_64", "arm64"), ("aarch64", "x86_64")])
def test_a_layer_for_another_processor_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, built: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    marked = tmp_path / "architecture"
    marked.write_text(f"{built}\n")
    with (
        pytest.raises(ImportError, match=f"built for {built}.*Architecture={built}"),
        quickly(architecture=marked),
    ):
        raise ImportError("invalid ELF header")


@pytest.mark.parametrize("content", ["arm64\n", None])
def test_other_failures_are_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    marked = tmp_path / "architecture"
    if content is not None:
        marked.write_text(content)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"), quickly(architecture=marked):
        import a_module_that_is_not_there  # type: ignore[import-not-found]  # noqa: F401
