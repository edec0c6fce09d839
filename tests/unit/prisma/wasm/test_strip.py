"""Stripped engines: smaller, vouched for, and with the same answers and traps."""

import shutil
from pathlib import Path

import pytest
import wasmtime

from lamdb.prisma.wasm import artifacts, build, strip
from lamdb.prisma.wasm.artifacts import ENGINES_DIR
from lamdb.prisma.wasm.instance import load_module, shared_engine

TINY = """
(module
  (func $fails (export "fails") unreachable)
  (func (export "answer") (result i32) (i32.const 42)))
"""

needs_objcopy = pytest.mark.skipif(shutil.which("objcopy") is None, reason="needs objcopy (binutils)")


@needs_objcopy
def test_the_engines_are_smaller_and_are_loaded(tmp_path: Path) -> None:
    directory = tmp_path / "engines"
    shutil.copytree(ENGINES_DIR, directory)
    before = artifacts.read_manifest(directory)
    strip.strip(directory)
    after = artifacts.read_manifest(directory)
    assert {path.name for path in directory.glob("*.cwasm")} == {
        each.file for each in after.artifacts.values()
    }
    for name, engine in before.artifacts.items():
        assert after.artifacts[name].imports == engine.imports
        module, artifact = load_module(name, directory)
        original, _ = load_module(name)
        assert [each.name for each in module.exports] == [each.name for each in original.exports]
        assert artifact.size == (directory / artifact.file).stat().st_size
    whole, small = (sum(each.size for each in of.artifacts.values()) for of in (before, after))
    assert small < 0.9 * whole
    assert not list(directory.glob("*.stripped"))


@needs_objcopy
def test_answers_and_traps_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, directory = tmp_path / "tiny.wat", tmp_path / "engines"
    source.write_text(TINY)
    monkeypatch.setattr(build, "sources", lambda _: {"tiny": (source,)})
    monkeypatch.setattr(build, "check_versions", lambda _: None)
    build.build(tmp_path, directory=directory)
    strip.strip(directory)
    module, _ = load_module("tiny", directory)
    store = wasmtime.Store(shared_engine())
    exports = wasmtime.Instance(store, module, []).exports(store)
    assert exports["answer"](store) == 42
    with pytest.raises(wasmtime.Trap, match="unreachable") as trap:
        exports["fails"](store)
    assert "fails" in str(trap.value), "frames keep the names of their functions"


def test_without_objcopy_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "engines"
    shutil.copytree(ENGINES_DIR, directory)
    names = sorted(path.name for path in directory.iterdir())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert strip.main([str(directory)]) == 1
    assert "objcopy is not installed" in capsys.readouterr().err
    assert sorted(path.name for path in directory.iterdir()) == names
