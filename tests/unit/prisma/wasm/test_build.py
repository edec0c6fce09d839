"""Compiling the engines: pinned packages, up-to-date checks, stale files, how imports are recognised."""

import dataclasses
import json
import shutil
import tomllib
from pathlib import Path

import pytest
import wasmtime

from lamdb.errors import EngineError
from lamdb.prisma.wasm import artifacts, build, glue
from lamdb.prisma.wasm.artifacts import ENGINES_DIR, PRISMA_BUILD, Manifest
from lamdb.prisma.wasm.bindgen import HostFunctions
from lamdb.prisma.wasm.instance import WasmInstance, load_module

ROOT = Path(__file__).parents[4]
NODE_MODULES = ROOT / "layers/sqlite-engine/node_modules"
TINY = '(module (func (export "answer") (result i32) (i32.const 42)))'


def compiled(name: str, directory: Path = ENGINES_DIR) -> Path:
    return directory / artifacts.read_manifest(directory).artifacts[name].file


@pytest.fixture
def tiny_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A build of one tiny module: its source and the directory it is compiled into."""
    source, out = tmp_path / "tiny.wat", tmp_path / "engines"
    source.write_text(TINY)
    monkeypatch.setattr(build, "sources", lambda _: {"tiny": (source,)})
    build.build(NODE_MODULES, directory=out)
    return source, out


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """A private copy of the recorder's compiled half and of the manifest, to be damaged."""
    out = tmp_path / "copy"
    out.mkdir()
    for name in ("manifest.json", compiled("recorder_bridge").name):
        shutil.copy(ENGINES_DIR / name, out / name)
    return out


def rewrite(directory: Path, **changes: object) -> None:
    manifest = artifacts.read_manifest(directory)
    (directory / "manifest.json").write_text(dataclasses.replace(manifest, **changes).to_json())


# What the build makes.


def test_the_installed_engines_are_the_pinned_build_and_up_to_date() -> None:
    assert build.build(NODE_MODULES) is False
    manifest = artifacts.read_manifest(ENGINES_DIR)
    assert manifest.prisma == PRISMA_BUILD
    assert set(manifest.artifacts) == {
        "query_compiler",
        "schema_tools",
        "schema_engine",
        "recorder",
        "recorder_bridge",
    }


def test_the_code_and_package_json_pin_the_same_build() -> None:
    package = json.loads((ROOT / "layers/sqlite-engine/package.json").read_text())
    assert set(package["dependencies"].values()) == {PRISMA_BUILD}
    lock = json.loads((ROOT / "layers/sqlite-engine/package-lock.json").read_text())
    for engine in build.PACKAGES:
        entry = lock["packages"][f"node_modules/{engine.package}"]
        assert entry["version"] == PRISMA_BUILD
        assert entry["integrity"].startswith("sha512-")


def test_the_package_ships_the_recorder_sources() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "**/*.wat" in data["lamdb"]


def test_a_build_is_repeated_only_if_something_changed(tiny_build: tuple[Path, Path]) -> None:
    source, out = tiny_build
    assert build.build(NODE_MODULES, directory=out) is False
    source.write_text(TINY.replace("42", "43"))
    assert build.build(NODE_MODULES, directory=out) is True
    assert build.build(NODE_MODULES, directory=out) is False


@pytest.mark.parametrize("damage", ["delete", "truncate", "manifest", "other wasmtime"])
def test_a_damaged_build_is_repeated(tiny_build: tuple[Path, Path], damage: str) -> None:
    _, out = tiny_build
    match damage:
        case "delete":
            compiled("tiny", out).unlink()
        case "truncate":
            path = compiled("tiny", out)
            path.write_bytes(path.read_bytes()[:-1])
        case "manifest":
            (out / "manifest.json").write_text("{")
        case "other wasmtime":
            rewrite(out, wasmtime="1.0")
    assert build.build(NODE_MODULES, directory=out) is True
    assert build.build(NODE_MODULES, directory=out) is False


def test_nothing_but_finished_files_is_left(tiny_build: tuple[Path, Path]) -> None:
    source, out = tiny_build
    first = compiled("tiny", out)
    source.write_text(TINY.replace("42", "43"))
    build.build(NODE_MODULES, directory=out)
    second = compiled("tiny", out)
    assert first != second
    assert {path.name for path in out.iterdir()} == {"manifest.json", second.name}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(build.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        build.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# What the build refuses.


def test_another_architecture_is_refused_before_wasmtime_aborts() -> None:
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[artifacts.machine_arch()]
    with pytest.raises(EngineError, match=f"cannot compile for {other}"):
        build.build(NODE_MODULES, target=f"{other}-unknown-linux-gnu")


def test_a_package_of_another_build_is_refused(tmp_path: Path) -> None:
    for engine in build.PACKAGES:
        folder = tmp_path / engine.package
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"version": "7.9.0"}')
    with pytest.raises(EngineError, match=r"query-compiler-wasm is of build 7\.9\.0") as caught:
        build.build(tmp_path)
    assert "npm ci" in caught.value.hint


def test_missing_packages_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "@prisma/query-compiler-wasm is not in" in message
    assert "npm ci" in message
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_did(
    tiny_build: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tiny_build
    arguments = [str(NODE_MODULES), "--output", str(out)]
    assert build.main(arguments) == 0
    assert "up to date" in capsys.readouterr().out
    source.write_text(TINY.replace("42", "44"))
    assert build.main(arguments) == 0
    assert "Compiled" in capsys.readouterr().out


# What the loaders refuse.


def test_a_missing_build_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not built") as caught:
        load_module("query_compiler", tmp_path)
    assert "make build" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"wasmtime": "49.0.0"}, r"wasmtime 49\.0\.0 compiled them"),
        ({"prisma": "7.9.0"}, r"they are of Prisma 7\.9\.0"),
        ({"target": "riscv64gc-unknown-linux-gnu"}, "compiled for riscv64gc"),
        ({"format": 0}, "format 0"),
        ({"artifacts": {}}, "does not list recorder_bridge"),
    ],
    ids=["wasmtime", "prisma", "target", "format", "unlisted"],
)
def test_a_stale_build_is_refused(engines: Path, changes: dict[str, object], reason: str) -> None:
    rewrite(engines, **changes)
    with pytest.raises(EngineError, match=reason) as caught:
        load_module("recorder_bridge", engines)
    assert "make build" in caught.value.hint


def test_a_malformed_manifest_is_refused(engines: Path) -> None:
    (engines / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(EngineError, match="is not a manifest"):
        load_module("recorder_bridge", engines)


def test_a_changed_module_is_refused(engines: Path) -> None:
    path = compiled("recorder_bridge", engines)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(EngineError, match="is not what the build wrote"):
        load_module("recorder_bridge", engines)


def test_a_missing_module_is_refused(engines: Path) -> None:
    compiled("recorder_bridge", engines).unlink()
    with pytest.raises(EngineError, match="is missing"):
        load_module("recorder_bridge", engines)


def test_an_import_without_host_function_is_refused(engines: Path) -> None:
    shutil.copy(compiled("schema_tools"), engines)
    manifest = artifacts.read_manifest(engines)
    tools = manifest.artifacts["schema_tools"]
    imports = dict.fromkeys(tools.imports, "no_such_function")
    rewrite(engines, artifacts={"schema_tools": dataclasses.replace(tools, imports=imports)})
    with pytest.raises(EngineError, match="nothing serves schema_tools's import"):
        WasmInstance("schema_tools", directory=engines)


def test_the_manifest_survives_its_own_format() -> None:
    manifest = artifacts.read_manifest(ENGINES_DIR)
    assert Manifest.from_json(manifest.to_json()) == manifest


# How imports are recognised.


@pytest.mark.parametrize("package", build.PACKAGES, ids=lambda p: p.name)
def test_every_import_of_every_engine_has_a_host_function(package: build.Package) -> None:
    imports = artifacts.read_manifest(ENGINES_DIR).artifacts[package.name].imports
    javascript = (NODE_MODULES / package.package / package.javascript).read_text()
    functions = glue.glue_functions(javascript)
    assert set(imports) <= set(functions)
    for host in imports.values():
        assert callable(getattr(HostFunctions, host))


def test_every_rule_names_a_host_function() -> None:
    assert {rule.host for rule in glue.RULES} <= set(dir(HostFunctions))
    assert {rule.host for rule in glue.RULES}.issuperset(glue.GUARDED)


@pytest.mark.parametrize(
    ("name", "code", "signature", "host"),
    [
        ("__wbg_new_0123456789abcdef", "() { const ret = new Map(); return ret; }", ">r", "new_map"),
        ("__wbg_new_0123456789abcdef", "() { const ret = new Array(); return ret; }", ">r", "new_array"),
        ("__wbg___wbindgen_is_string_0123456789abcdef", "typeof(arg0) === 'string'", "r>i", "is_string"),
        (
            "__wbindgen_cast_0123456789abcdef",
            "// Cast intrinsic for `U64 -> Externref`.",
            "l>r",
            "bigint_u64",
        ),
    ],
)
def test_imports_are_told_apart_by_their_glue(name: str, code: str, signature: str, host: str) -> None:
    assert glue.host_for(name, code, signature) == host


@pytest.mark.parametrize(
    ("code", "signature"),
    [
        ("() { const ret = new WeakMap(); return ret; }", ">r"),
        ("() { const ret = new Map(); return ret; }", "i>r"),
        ("() { return handleError(function () { const ret = new Map(); return ret; }, arguments) }", ">r"),
    ],
    ids=["other code", "other signature", "guarded"],
)
def test_an_unknown_import_stops_the_build(code: str, signature: str) -> None:
    with pytest.raises(
        EngineError, match="No host function for the import __wbg_new_0123456789abcdef"
    ) as caught:
        glue.host_for("__wbg_new_0123456789abcdef", code, signature)
    assert "glue.py" in caught.value.hint


def test_an_ambiguous_import_stops_the_build() -> None:
    code = "() { const ret = new Map(); const ret = new Array(); }"
    with pytest.raises(EngineError, match=r"2 host functions \(new_array, new_map\)"):
        glue.host_for("__wbg_new_0123456789abcdef", code, ">r")


def test_an_import_without_glue_stops_the_build() -> None:
    wat = '(module (import "x" "__wbg_mystery_0123456789abcdef" (func)))'
    module = wasmtime.Module(wasmtime.Engine(), wat)
    with pytest.raises(EngineError, match="has no function in the JavaScript glue"):
        glue.bind_imports(module, "")
