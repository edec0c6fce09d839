"""Prints the processor that the functions of this build will have; nothing where that is not known.

    python3 wanted-architecture.py ARTIFACTS_DIR ENVIRONMENT

`sam build` writes the processor of each layer into `.aws-sam/build.toml` before it builds. The value comes
from its own parameters, else from template.yaml's default. `sam deploy` takes the parameters that
samconfig.toml has for the environment. Options of `sam deploy` replace them and are not known here.

Used by the Makefile beside it, with the standard library alone.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

LAYER = "SqliteEngineLayer"
PROJECT = Path(__file__).resolve().parents[2]


def built(artifacts: Path) -> str | None:
    """The processor for which `sam build` builds; None if it is not `sam build` that builds."""
    for folder in artifacts.resolve().parents[:2]:
        for layer in _toml(folder / "build.toml").get("layer_build_definitions", {}).values():
            if layer.get("layer_name") == LAYER:
                return str(layer.get("architecture", "x86_64"))
    return None


def deployed(environment: str, config: Path = PROJECT / "samconfig.toml") -> str | None:
    """The processor in samconfig.toml's parameters for `sam deploy`; None if they do not name it."""
    sections = _toml(config).get(environment, {})
    found = {**_parameters(sections, "global"), **_parameters(sections, "deploy")}
    overrides = found.get("parameter_overrides", ())
    pairs = overrides.split() if isinstance(overrides, str) else overrides
    for pair in reversed(list(pairs)):
        if named := re.fullmatch(r"Architecture=[\"']?(\w+)[\"']?", str(pair)):
            return named[1]
    return None


def default(template: Path = PROJECT / "template.yaml") -> str | None:
    """The default of template.yaml's parameter. A copy of the layer's directory has no template beside it."""
    try:
        text = template.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found = re.search(r"^  Architecture:.*(?:\n    .*)*?\bDefault: (\w+)", text, re.MULTILINE)
    return found[1] if found else None


def wanted(build: str | None, deployment: str | None, usual: str | None) -> str | None:
    """Returns the parameter of `sam build`, else that of `sam deploy`, else the template's default."""
    if build is None:
        return None
    return build if build != usual else deployment or build


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _parameters(sections: dict[str, Any], command: str) -> dict[str, Any]:
    parameters: dict[str, Any] = sections.get(command, {}).get("parameters", {})
    return parameters


if __name__ == "__main__":
    artifacts, environment = sys.argv[1:]
    print(wanted(built(Path(artifacts)), deployed(environment), default()) or "")
