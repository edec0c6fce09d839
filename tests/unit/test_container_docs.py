"""docs/docker.md and docs/local.md name what the Dockerfile, compose.yaml and the Makefile have."""

import re
from pathlib import Path

from lamdb.settings import Settings, variable_name

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
IMAGE = (ROOT / "docs/docker.md").read_text()
LOCAL = (ROOT / "docs/local.md").read_text()

# Of compose.yaml itself, not of lamDB: what to run, where its project is, on which ports.
OF_COMPOSE = {"LAMDB_IMAGE", "LAMDB_PROJECT", "LAMDB_S3_PORT"}


def variables(text: str) -> set[str]:
    return set(re.findall(r"\bLAMDB_[A-Z0-9_]+", text))


def test_build_arguments_are_described_with_their_defaults() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))
    assert len(arguments) == 4
    assert (
        dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", IMAGE, re.MULTILINE)).items() >= arguments.items()
    )


def test_what_compose_takes_is_described() -> None:
    taken = set(re.findall(r"\$\{(LAMDB_\w+):-", COMPOSE))
    assert {"LAMDB_PROJECT", "LAMDB_STORE"} <= taken
    assert taken <= variables(IMAGE)


def test_variables_of_image_and_compose_are_settings() -> None:
    known = {variable_name(name) for name in Settings.__dataclass_fields__} | OF_COMPOSE
    for text in (DOCKERFILE, COMPOSE, IMAGE):
        assert variables(text)
        assert variables(text) <= known


def test_the_versions_of_python_agree() -> None:
    assert set(re.findall(r"python:(3\.\d+)", DOCKERFILE)) == {"3.13"}
    assert set(re.findall(r"lib/python(3\.\d+)", DOCKERFILE)) == {"3.13"}


def test_what_the_image_is_built_from_reaches_the_builder() -> None:
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)((?:\\\n|.)+)$", DOCKERFILE, re.MULTILINE)
    sources = {name for line in copied for name in line.replace("\\\n", " ").split()[:-1]}
    assert sources == kept
    assert all((ROOT / name).exists() for name in kept)
