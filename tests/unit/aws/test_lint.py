"""cfn-lint on the template, with its rules for SAM, and on what variants of it deploy."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from tests.support.sam_build import NEEDS_SAM, SAM

from .stack import LINTED, NESTED, REGION, TEMPLATE, monitoring, stack

# Once its conditions are decided, a template has parameters that nothing uses any more.
UNUSED_PARAMETER = "W2001"

pytestmark = pytest.mark.slow


def complaints(text: str, ignored: list[str]) -> list[str]:
    found = lint(text, config=ManualArgs(regions=[REGION], ignore_checks=ignored))
    return [f"{match.rule.id} {match.message} ({'/'.join(map(str, match.path or []))})" for match in found]


@pytest.mark.parametrize("variant", LINTED)
def test_what_is_deployed_is_free_of_complaints(variant: str) -> None:
    assert complaints(json.dumps(stack(variant)), [UNUSED_PARAMETER]) == []
    assert complaints(json.dumps(monitoring(variant)), [UNUSED_PARAMETER]) == []


def test_a_circle_would_be_complained_of() -> None:
    """The one fault that `sam validate` lets pass: bucket, function and policy that wait for each other."""
    template = json.loads(json.dumps(stack("IAM")))
    template["Resources"]["DataBucket"]["DependsOn"] = ["WriterFunction"]
    template["Resources"]["WriterFunction"]["DependsOn"] = ["WriterRole"]
    assert any("Circular" in complaint for complaint in complaints(json.dumps(template), [UNUSED_PARAMETER]))


def validate(template: Path, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": REGION,
        "HOME": str(home),
    }
    return subprocess.run(
        [SAM, "validate", "--lint", "--template", template],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@NEEDS_SAM
@pytest.mark.parametrize("template", [TEMPLATE, NESTED], ids=["main", "nested"])
def test_sam_validates_the_template(template: Path, tmp_path: Path) -> None:
    done = validate(template, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout
