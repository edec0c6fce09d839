"""The commands and examples of docs/deploy.md."""

import re

from lamdb.cost.workload import Workload

from .stack import ROOT, of_type, source, whole

GUIDE = (ROOT / "docs/deploy.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_outputs_and_functions_that_the_guide_uses_exist() -> None:
    asked = set(re.findall(r"\$\(output (\w+)\)", GUIDE))
    assert asked
    assert asked <= source()["Outputs"].keys()


def test_the_guide_counts_the_alarms() -> None:
    alarms = len(of_type(whole("IAM"), "AWS::CloudWatch::Alarm"))
    assert f"the {alarms} alarms" in " ".join(GUIDE.split())
    assert Workload().alarms == alarms


def test_targets_that_the_guide_uses_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", "\n".join(blocks("sh")))) <= targets
