"""Building the operator API, and going without it where it cannot be compiled: that is said, in one line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LAYER = ROOT / "layers/sqlite-engine"


def tools(directory: Path, *names: str) -> str:
    """A PATH with these and nothing else."""
    directory.mkdir()
    for name in ("sh", "dirname", "uname", "rm", "mkdir", *names):
        found = shutil.which(name)
        assert found is not None
        (directory / name).symlink_to(found)
    return str(directory)


@pytest.mark.parametrize(("present", "missing"), [((), "c++"), (("c++",), "make")])
def test_without_a_compiler_it_says_so(tmp_path: Path, present: tuple[str, ...], missing: str) -> None:
    if any(shutil.which(name) is None for name in present):
        pytest.skip("no compiler here")
    done = subprocess.run(
        [LAYER / "build-operator.sh", sys.executable, tmp_path / "out"],
        env={"PATH": tools(tmp_path / "bin", *present)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert f"there is no {missing} " in line
    assert "/admin/graphql" in line
    assert "apt-get install g++ make" in line
    assert not (tmp_path / "out").exists()


def plan(*arguments: str, cwd: Path) -> str:
    """The commands that make would run."""
    done = subprocess.run(["make", "-n", *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_layer_is_built_with_or_without(tmp_path: Path) -> None:
    target = ("build-SqliteEngineLayer", f"ARTIFACTS_DIR={tmp_path}")
    with_it = plan(*target, "LAMDB_OPERATOR=yes", cwd=LAYER)
    assert "./build-operator.sh" in with_it
    assert "goes without" not in with_it
    without = plan(*target, "LAMDB_OPERATOR=no", cwd=LAYER)
    assert "./build-operator.sh" not in without
    assert "The layer goes without the operator API" in without


def test_what_is_installed_is_pinned_by_hashes() -> None:
    for name, wanted in (
        ("requirements-operator.txt", {"tartiflette==1.4.1", "cffi", "lark-parser", "pycparser"}),
        ("requirements-operator-build.txt", {"cmake==3.", "setuptools"}),
    ):
        text = (LAYER / name).read_text()
        pinned = [line for line in text.splitlines() if line and line[0].isalnum()]
        for requirement in wanted:
            assert any(line.startswith(requirement) for line in pinned), requirement
        blocks = text.split("\n    --hash=sha256:")
        assert len(blocks) > len(pinned)
        assert all(line.endswith("\\") for line in pinned), "each has its hashes"
        assert "index-url" not in text


def test_both_environments_have_the_same_versions() -> None:
    """The tests run the same versions as the layer ships."""

    def pinned(path: Path) -> dict[str, str]:
        lines = (line.removesuffix(" \\") for line in path.read_text().splitlines() if line[:1].isalnum())
        return dict(line.split("==") for line in lines if "==" in line)

    operator, dev = pinned(LAYER / "requirements-operator.txt"), pinned(ROOT / "requirements-dev.txt")
    assert {name: dev[name] for name in ("cffi", "pycparser")} == {
        name: operator[name] for name in ("cffi", "pycparser")
    }
