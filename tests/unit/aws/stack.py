"""template.yaml as CloudFormation gets it: translated by SAM's own code, decided for parameters.

`stack` is the main stack alone. `whole` has the resources of monitoring.yaml too, as if they were not nested.
"""

import copy
import json
import logging
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "template.yaml"
NESTED = ROOT / "monitoring.yaml"
REGION = "eu-central-1"

AUTH_MODES = ("IAM", "COGNITO", "API_KEY", "NONE")
POOL = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/{REGION}_abcdef123"

STREAM = f"arn:aws:dynamodb:{REGION}:123456789012:table/Orders/stream/2026-11-22T10:00:00.000"
BUS = f"arn:aws:events:{REGION}:123456789012:event-bus/shop"

# Every combination in which other resources or properties come out, beside the four ways of authentication.
VARIANTS: dict[str, dict[str, str]] = {
    **{mode: {"AuthMode": mode} for mode in AUTH_MODES},
    **{f"{mode}-direct": {"AuthMode": mode, "DirectRoutes": "true"} for mode in AUTH_MODES},
    "url": {"FunctionUrl": "true"},
    "url-direct": {"FunctionUrl": "true", "DirectRoutes": "true", "CorsOrigins": "https://app.example.com"},
    "url-public": {"FunctionUrl": "true", "AuthMode": "NONE"},
    "url-public-direct": {"FunctionUrl": "true", "AuthMode": "NONE", "DirectRoutes": "true"},
    "existing-bucket": {"ExistingBucket": "data-of-before"},
    "kms": {"KmsKeyArn": f"arn:aws:kms:{REGION}:123456789012:key/12345678-1234-1234-1234-123456789012"},
    "new-account": {"WriterReservedConcurrency": "0"},
    "warm": {
        "ProxyProvisionedConcurrency": "2",
        "ReaderProvisionedConcurrency": "3",
        "ReaderReservedConcurrency": "50",
    },
    "snapstart": {"SnapStart": "true", "Architecture": "arm64"},
    "browser": {"AuthMode": "COGNITO", "GraphiQL": "true", "CorsOrigins": "https://app.example.com"},
    "studio": {
        "AuthMode": "COGNITO",
        "Studio": "true",
        "SqlEndpoint": "true",
        "CognitoAdminGroups": "admins",
    },
    "studio-key": {"AuthMode": "API_KEY", "Studio": "true", "SqlEndpoint": "true", "SqlRole": "admin"},
    "search": {
        "SearchKey": "0123456789abcdef",
        "AuthMode": "API_KEY",
        "CorsOrigins": "https://app.example.com",
    },
    "canary": {"DeploymentType": "Canary10Percent5Minutes"},
    "observed": {
        "Tracing": "Active",
        "AccessLogs": "true",
        "Dashboard": "true",
        "AlarmEmail": "someone@example.com",
        "AlarmTopicArn": f"arn:aws:sns:{REGION}:123456789012:alarms",
        "WebAclArn": f"arn:aws:wafv2:{REGION}:123456789012:regional/webacl/a/12345678-1234-1234-1234",
    },
    "queue": {"MessageQueue": "true"},
    "writes-auto": {"WriteMode": "AUTO", "ProxyReservedConcurrency": "150"},
    "writes-queued": {"WriteMode": "QUEUED", "WriterReservedConcurrency": "0"},
    "bus": {"EventSources": "example.shop,example.stock", "EventBusName": "orders"},
    "buckets": {"MirroredBuckets": "photos,papers", "ExistingBucket": "data-of-before"},
    "table": {"TableStreamArn": STREAM},
    "events": {
        "EventSources": "example.shop",
        "EventDetailTypes": "Order Placed,Order Sent",
        "MirroredBuckets": "photos",
        "TableStreamArn": STREAM,
    },
    "publisher": {"PublishChanges": "shop", "PublishModels": "Order,Item", "PublishSource": "example.shop"},
    "publisher-arn": {"PublishChanges": BUS, "ExistingBucket": "data-of-before"},
    "publisher-scheduled": {"PublishChanges": "shop", "PublishOnCommit": "false"},
    "plain": {"VerifySchedule": "never", "MaintenanceSchedule": "never"},
}

# Together they have every resource and property that the template can make.
LINTED = (
    *(f"{mode}-direct" for mode in AUTH_MODES),
    "browser",
    "events",
    "kms",
    "observed",
    "publisher",
    "publisher-arn",
    "publisher-scheduled",
    "snapstart",
    "studio",
    "url-direct",
    "url-public-direct",
    "warm",
)

_GONE = object()

# SAM warns of switches that only its own service has.
logging.getLogger("samtranslator").setLevel(logging.ERROR)


def source(template: Path = TEMPLATE) -> dict[str, Any]:
    """A template as it is written; a short form such as `!Ref x` is `{"Ref": "x"}`."""
    parsed: dict[str, Any] = pickle.loads(_parsed(template))
    return parsed


@cache
def _parsed(template: Path) -> bytes:
    """The parsed template, to be copied: parsing takes 0.15 s."""
    return pickle.dumps(yaml_parse(template.read_text()))


def parameters(overrides: dict[str, str]) -> dict[str, str]:
    defaults = {name: str(spec["Default"]) for name, spec in source()["Parameters"].items()}
    unknown = overrides.keys() - defaults.keys()
    assert not unknown, f"template.yaml has no parameters {unknown}"
    given = {"CognitoUserPoolArn": POOL} if overrides.get("AuthMode") == "COGNITO" else {}
    return defaults | given | overrides


def translate(overrides: dict[str, str], template: dict[str, Any] | None = None) -> dict[str, Any]:
    """The template, or the given one, as CloudFormation has it before it looks at conditions."""
    template = copy.deepcopy(template) if template is not None else source()
    for resource in template["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if name in resource.get("Properties", {}):
                resource["Properties"][name] = "s3://artifacts/what-sam-uploaded"
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = "https://s3.amazonaws.com/artifacts/what-sam-uploaded"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    translated: dict[str, Any] = translator.translate(template, parameters(overrides))
    return translated


def decide(template: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    """The template with every condition decided, and the parameters' values in place of their defaults."""
    conditions = template["Conditions"]

    def holds(rule: Any) -> bool:
        match rule:
            case {"Fn::Equals": [left, right]}:
                return str(_value(left)) == str(_value(right))
            case {"Fn::Not": [inner]}:
                return not holds(inner)
            case {"Fn::And": rules}:
                return all(holds(inner) for inner in rules)
            case {"Fn::Or": rules}:
                return any(holds(inner) for inner in rules)
            case {"Condition": name}:
                return holds(conditions[name])
        raise AssertionError(f"a condition of an unknown kind: {rule}")

    def _value(operand: Any) -> Any:
        match operand:
            case {"Fn::Join": ["", {"Ref": name}]}:
                return values[name].replace(",", "")
            case {"Fn::Select": [number, {"Fn::Split": [separator, {"Ref": name}]}]}:
                return values[name].split(separator)[number]
            case {"Ref": name}:
                return values[name]
        return operand

    def decided(node: Any) -> Any:
        match node:
            case {"Fn::If": [name, yes, no]}:
                return decided(yes if holds(conditions[name]) else no)
            case {"Ref": "AWS::NoValue"}:
                return _GONE
            case dict():
                return {key: made for key, inner in node.items() if (made := decided(inner)) is not _GONE}
            case list():
                return [made for inner in node if (made := decided(inner)) is not _GONE]
        return node

    result = copy.deepcopy(template)
    for name, value in values.items():
        spec = result["Parameters"][name]
        spec["Default"] = int(value) if spec["Type"] == "Number" else value
    for section in ("Resources", "Outputs"):
        kept = {
            name: entry
            for name, entry in template.get(section, {}).items()
            if "Condition" not in entry or holds(conditions[entry["Condition"]])
        }
        result[section] = decided(kept)
        for entry in result[section].values():
            entry.pop("Condition", None)
    del result["Conditions"]
    return result


@cache
def stack(variant: str) -> dict[str, Any]:
    """The decided template of one of the VARIANTS. It is shared: do not change it."""
    return decide(translate(VARIANTS[variant]), parameters(VARIANTS[variant]))


def passed(variant: str) -> dict[str, Any]:
    """The nested stack's parameters: expressions of the main stack by name."""
    (nested,) = of_type(stack(variant), "AWS::CloudFormation::Stack").values()
    given: dict[str, Any] = nested["Parameters"]
    return given


@cache
def monitoring(variant: str) -> dict[str, Any]:
    """The decided template of the nested stack in one of the VARIANTS. It is shared: do not change it."""
    outer = parameters(VARIANTS[variant])

    def value(expression: Any) -> str:
        match expression:
            case {"Ref": name} if name in outer:
                return outer[name]
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(map(value, parts))
            case dict():
                return f"value-of-{'-'.join(map(str, expression.values()))}"
        return str(expression)

    return decide(source(NESTED), {name: value(given) for name, given in passed(variant).items()})


@cache
def whole(variant: str) -> dict[str, Any]:
    """The main stack with the nested one's resources, and with the main stack's expressions in these."""
    given = passed(variant)

    def inlined(node: Any) -> Any:
        match node:
            case {"Ref": name} if name in given:
                expression = given[name]
                return expression["Fn::Join"][1] if name == "Topics" else expression
            case {"Fn::Sub": str(text)}:
                return {"Fn::Sub": text.replace("${StackName}", "${AWS::StackName}")}
            case dict():
                return {key: inlined(inner) for key, inner in node.items()}
            case list():
                return [inlined(inner) for inner in node]
        return node

    nested = inlined(monitoring(variant)["Resources"])
    outer = stack(variant)
    assert not nested.keys() & outer["Resources"].keys()
    return {**outer, "Resources": {**outer["Resources"], **nested}}


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Properties of all resources of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def text_of(value: Any) -> str:
    """A value with its references, as one text to look into."""
    return json.dumps(value, sort_keys=True)
