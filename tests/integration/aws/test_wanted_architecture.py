"""A layer is not built for another processor than that of the functions, where it can be known."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.sam_build import NEEDS_LINUX, NEEDS_SAM, ROOT, SAM

LAYER = "layers/sqlite-engine"
HOST, FOREIGN = ("arm64", "x86_64") if platform.machine() in ("aarch64", "arm64") else ("x86_64", "arm64")

pytestmark = NEEDS_LINUX


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with the files that `sam build` reads before it compiles anything."""
    (tmp_path / LAYER).mkdir(parents=True)
    for name in ("Makefile", "wanted-architecture.py", "requirements.txt"):
        shutil.copy(ROOT / LAYER / name, tmp_path / LAYER)
    shutil.copytree(ROOT / "functions", tmp_path / "functions", symlinks=True)
    for name in ("template.yaml", "monitoring.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "template.yaml").write_text(with_default((ROOT / "template.yaml").read_text(), HOST))
    return tmp_path


def with_default(template: str, architecture: str) -> str:
    before, parameter, after = template.partition("\n  Architecture: ")
    return before + parameter + after.replace("Default: x86_64", f"Default: {architecture}", 1)


def check(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The first step of the build, with the directory that `sam build` would give it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAMDB_")}
    python = Path(sys.executable).parent
    return subprocess.run(
        ["make", "check", f"ARTIFACTS_DIR={project}/.aws-sam/build/SqliteEngineLayer", *arguments],
        cwd=project / LAYER,
        env={**environment, **variables, "PATH": f"{python}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def sam_builds_for(project: Path, architecture: str) -> None:
    (project / ".aws-sam").mkdir()
    (project / ".aws-sam/build.toml").write_text(
        f"""
[function_build_definitions.8ceebc8c]
architecture = "{HOST}"
functions = ["ProxyFunction"]

[layer_build_definitions.0a]
layer_name = "AnotherLayer"
architecture = "{"arm64" if architecture == "x86_64" else "x86_64"}"

[layer_build_definitions.333bc82e]
layer_name = "SqliteEngineLayer"
architecture = "{architecture}"
"""
    )


def deploys(project: Path, *values: str, environment: str = "default", command: str = "deploy") -> None:
    with (project / "samconfig.toml").open("a") as file:
        file.write(f"[{environment}.{command}.parameters]\nparameter_overrides = ")
        file.write(values[0] if len(values) == 1 else f"[{', '.join(values)}]")
        file.write("\n")


def refused(done: subprocess.CompletedProcess[str]) -> bool:
    if done.returncode == 0:
        return False
    assert f"builds the layer for {HOST}, and the functions are to run on {FOREIGN}" in done.stderr
    assert f"sam deploy --parameter-overrides Architecture={HOST}" in done.stderr
    return True


@pytest.mark.parametrize("architecture", [HOST, FOREIGN])
def test_the_parameter_of_the_build_is_compared(project: Path, architecture: str) -> None:
    sam_builds_for(project, architecture)
    assert refused(check(project)) == (architecture == FOREIGN)


@pytest.mark.parametrize(
    ("values", "refuses"),
    [
        ((f'"Architecture={FOREIGN}"', '"AuthMode=IAM"'), True),
        ((f'"AuthMode=IAM Architecture={FOREIGN}"',), True),
        ((f"'Architecture=\"{FOREIGN}\"'",), True),
        ((f'"Architecture={HOST}"', '"AuthMode=IAM"'), False),
        (('"AuthMode=IAM"', '"StackArchitecture=other"'), False),
    ],
)
def test_parameters_of_the_deployment_take_the_place_of_the_default(
    project: Path, values: tuple[str, ...], refuses: bool
) -> None:
    sam_builds_for(project, HOST)
    deploys(project, *values)
    assert refused(check(project)) == refuses


def test_parameters_of_all_commands_count_unless_the_deployment_has_its_own(project: Path) -> None:
    sam_builds_for(project, HOST)
    deploys(project, f'"Architecture={FOREIGN}"', '"LogLevel=INFO"', command="global")
    assert refused(check(project))
    deploys(project, f'"Architecture={HOST}"', '"LogLevel=INFO"')
    assert not refused(check(project))


def test_the_environment_can_be_named(project: Path) -> None:
    sam_builds_for(project, HOST)
    deploys(project, f'"Architecture={FOREIGN}"', '"LogLevel=INFO"', environment="prod")
    assert not refused(check(project))
    done = check(project, LAMDB_CONFIG_ENV="prod")
    assert refused(done)
    assert "[prod.deploy.parameters]" in done.stderr


def test_a_default_for_another_processor_is_replaced_by_the_deployment(project: Path) -> None:
    template = project / "template.yaml"
    template.write_text(with_default((ROOT / "template.yaml").read_text(), FOREIGN))
    sam_builds_for(project, FOREIGN)
    assert refused(check(project))
    deploys(project, f'"Architecture={HOST}"', '"LogLevel=INFO"')
    assert not refused(check(project))


def test_a_parameter_of_the_build_is_taken_to_be_that_of_the_deployment(project: Path) -> None:
    template = project / "template.yaml"
    template.write_text(with_default((ROOT / "template.yaml").read_text(), FOREIGN))
    deploys(project, f'"Architecture={FOREIGN}"', '"LogLevel=INFO"')
    sam_builds_for(project, HOST)
    assert not refused(check(project))


@pytest.mark.parametrize("way", ["variable", "argument"])
def test_a_given_processor_ends_the_search(project: Path, way: str) -> None:
    sam_builds_for(project, FOREIGN)
    given = check(project, LAMDB_ARCH=HOST) if way == "variable" else check(project, f"LAMDB_ARCH={HOST}")
    assert given.returncode == 0, given.stderr


def test_builds_by_hand_are_not_compared(project: Path) -> None:
    deploys(project, f'"Architecture={FOREIGN}"', '"LogLevel=INFO"')
    assert not refused(check(project)), "there is no build.toml"


def test_a_copy_of_the_layer_alone_is_compared_with_the_parameter_of_the_build(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sam_builds_for(project, FOREIGN)
    copy = tmp_path_factory.mktemp("scratch")
    shutil.copytree(project / LAYER, copy, dirs_exist_ok=True)
    shutil.rmtree(project / LAYER)
    (project / LAYER).symlink_to(copy)
    assert refused(check(project))


@NEEDS_SAM
def test_sam_build_for_another_processor_fails_with_a_way_out(project: Path) -> None:
    python = Path(sys.executable).parent
    done = subprocess.run(
        [SAM, "build", "--build-in-source", "--parameter-overrides", f"Architecture={FOREIGN}"],
        cwd=project,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0", "PATH": f"{python}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused(done)
