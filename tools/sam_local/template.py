"""The template that `sam local` runs: the built one, decided for this machine.

SAM's local commands cannot decide conditions that remove something, nor find the function behind an alias. So
the conditions are decided here, aliases become functions, and what containers cannot have (roles, alarms,
queues) is left out. What the functions are is not touched.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

_KEPT: Final = ("AWS::Serverless::Function", "AWS::Serverless::LayerVersion", "AWS::Serverless::Api")
_WITHOUT: Final = (
    "DeploymentPreference",
    "EventInvokeConfig",
    "Events",
    "LoggingConfig",
    "Role",
    "SnapStart",
)
_ALIAS: Final = ".Alias"
_GONE: Final = object()


def local_template(
    built: Mapping[str, Any], parameters: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """The template to run.

    `built` is what `sam build` wrote. `parameters` are decided, all others have their defaults. `variables`
    go into the environment of every function. Raises `KeyError` for a parameter that is not declared.
    """
    template: dict[str, Any] = copy.deepcopy(dict(built))
    values = _values(template["Parameters"], parameters)
    decide = Decision(template.get("Conditions", {}), values)
    kept = {name: each for name, each in template["Resources"].items() if each["Type"] in _KEPT}
    for each in kept.values():
        for name in _WITHOUT:
            each["Properties"].pop(name, None)
    # Every value is text here: SAM looks mappings up by it, and would not find the number 256 under "256".
    for name, text in values.items():
        template["Parameters"][name] = {"Type": "String", "Default": text}
    template["Globals"] = decide.decided(template["Globals"])
    template["Globals"]["Function"]["Environment"]["Variables"] |= variables
    template["Resources"] = decide.all_of(kept)
    for section in ("Conditions", "Metadata", "Outputs", "Rules"):
        template.pop(section, None)
    return template


def function_arn(logical_id: str) -> str:
    """A function as `sam local` knows it: by its name in the template, in an account that does not exist."""
    return f"arn:aws:lambda:us-east-1:123456789012:function:{logical_id}"


def _values(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    if unknown := given.keys() - declared.keys():
        raise KeyError(f"the template has no parameter {', '.join(sorted(unknown))}")
    return {name: str(spec.get("Default", "")) for name, spec in declared.items()} | dict(given)


class Decision:
    """Conditions of a template, for certain values of its parameters."""

    def __init__(self, conditions: Mapping[str, Any], values: Mapping[str, str]) -> None:
        self._conditions = conditions
        self._values = values

    def holds(self, rule: Any) -> bool:
        """Raises `ValueError` for a rule that is not one of CloudFormation's."""
        match rule:
            case {"Fn::Equals": [left, right]}:
                return self._operand(left) == self._operand(right)
            case {"Fn::Not": [inner]}:
                return not self.holds(inner)
            case {"Fn::And": rules}:
                return all(self.holds(inner) for inner in rules)
            case {"Fn::Or": rules}:
                return any(self.holds(inner) for inner in rules)
            case {"Condition": name}:
                return self.holds(self._conditions[name])
        raise ValueError(f"a condition of an unknown kind: {rule}")

    def all_of(self, resources: Mapping[str, Any]) -> dict[str, Any]:
        """The resources that there are, decided."""
        there: dict[str, Any] = {}
        for name, resource in resources.items():
            condition = resource.get("Condition")
            if condition is None or self.holds(self._conditions[condition]):
                there[name] = self.decided(resource)
                there[name].pop("Condition", None)
        return there

    def _operand(self, operand: Any) -> str:
        match operand:
            case {"Ref": name}:
                return self._values[name]
        return str(operand)

    def decided(self, node: Any) -> Any:
        """A part of the template, without any `Fn::If`, `AWS::NoValue` and `.Alias` in it."""
        match node:
            case {"Fn::If": [name, yes, no]}:
                return self.decided(yes if self.holds(self._conditions[name]) else no)
            case {"Ref": "AWS::NoValue"}:
                return _GONE
            case {"Ref": str(name)} if name.endswith(_ALIAS):
                return function_arn(name.removesuffix(_ALIAS))
            case dict():
                return {key: made for key, each in node.items() if (made := self.decided(each)) is not _GONE}
            case list():
                return [made for each in node if (made := self.decided(each)) is not _GONE]
        return node
