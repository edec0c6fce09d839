"""The parameters: described, grouped, documented, and what samconfig.toml and the functions make of them."""

import json
import re
import tomllib
from typing import Any

import pytest

from lamdb.errors import SettingsError
from lamdb.settings import Settings, specs, variable_name

from .stack import ROOT, VARIANTS, of_type, parameters, source, stack, text_of, whole

PARAMETERS: dict[str, dict[str, Any]] = source()["Parameters"]
GUIDE = ROOT / "docs/deploy.md"
CLUSTER = ROOT / "layers/sqlite-engine/lamdb/cluster"


def allowed(spec: dict[str, Any]) -> str:
    if "AllowedValues" in spec:
        return ", ".join(f"`{value}`" for value in spec["AllowedValues"])
    if "MaxValue" in spec:
        return f"{spec['MinValue']} to {spec['MaxValue']}"
    if "MinValue" in spec:
        return f"from {spec['MinValue']}"
    return "text"


def table() -> str:
    """The parameters as docs/deploy.md has them."""
    lines = []
    interface = source()["Metadata"]["AWS::CloudFormation::Interface"]
    for group in interface["ParameterGroups"]:
        lines += [
            f"**{group['Label']['default']}**",
            "",
            "| parameter | default | allowed | meaning |",
            "|---|---|---|---|",
        ]
        for name in group["Parameters"]:
            spec = PARAMETERS[name]
            default = f"`{spec['Default']}`" if spec["Default"] != "" else "none"
            lines.append(f"| `{name}` | {default} | {allowed(spec)} | {spec['Description']} |")
        lines.append("")
    return "\n".join(lines)


def test_every_parameter_is_described_has_a_default_and_stands_in_one_group() -> None:
    interface = source()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)
    for name, spec in PARAMETERS.items():
        assert spec["Description"].endswith("."), name
        assert "Default" in spec, "a stack shall deploy without a question"
        assert allowed(spec) != "text" or "AllowedPattern" in spec or spec["Default"] == "", name


def test_the_guide_lists_the_parameters_as_they_are() -> None:
    assert table() in GUIDE.read_text(), f"docs/deploy.md should have:\n\n{table()}"


def test_the_guide_names_every_output() -> None:
    text = GUIDE.read_text()
    assert [name for name in source()["Outputs"] if f"`{name}`" not in text] == []


def test_every_parameter_is_used() -> None:
    template = source()
    used = text_of([template[section] for section in ("Resources", "Conditions", "Globals", "Outputs")])
    unused = [name for name in PARAMETERS if f'"{name}"' not in used and f"${{{name}}}" not in used]
    assert unused == []


# samconfig.toml

CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())


@pytest.mark.parametrize("environment", ["default", "staging", "prod"])
def test_an_environment_sets_what_the_template_allows(environment: str) -> None:
    deploy = CONFIG[environment]["deploy"]["parameters"]
    assert deploy["capabilities"] == "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
    for override in deploy["parameter_overrides"]:
        name, _, value = override.partition("=")
        spec = PARAMETERS[name]
        assert value in map(str, spec.get("AllowedValues", [value])), override
        if spec["Type"] == "Number":
            assert spec.get("MinValue", 0) <= int(value) <= spec.get("MaxValue", float("inf")), override


def test_environments_do_not_share_a_stack() -> None:
    names = [CONFIG[each]["global"]["parameters"]["stack_name"] for each in ("default", "staging", "prod")]
    assert len(set(names)) == 3


# What the functions get


def environment_of(function: str) -> dict[str, Any]:
    properties = of_type(stack("publisher"), "AWS::Lambda::Function")[f"{function}Function"]
    variables: dict[str, Any] = properties["Environment"]["Variables"]
    return variables


def resolved(value: Any) -> str:
    match value:
        case {"Ref": name} if name in PARAMETERS:
            return parameters({})[name]
        case {"Fn::Sub": [str(text), _]}:
            return text.replace("${Bucket}", "bucket").replace("${StorePrefix}", "lamdb")
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(\w+)\}", lambda found: resolved({"Ref": found[1]}), text)
        case {"Ref": name}:
            return str(name)
    return str(value)


@pytest.mark.parametrize("function", ["Proxy", "Reader", "Writer", "Publisher"])
def test_functions_get_variables_that_something_reads_and_values_it_takes(function: str) -> None:
    settings = {variable_name(name) for name in specs()}
    sources = "".join(
        path.read_text() for path in [*CLUSTER.rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    )
    given = {name: resolved(value) for name, value in environment_of(function).items() if "LAMDB_" in name}
    unread = [name for name in given if name not in settings and name not in sources]
    assert unread == []
    Settings.load({name: value for name, value in given.items() if name in settings})


# Metrics


def custom_metrics() -> set[str]:
    """The metrics that alarms and dashboard use."""
    alarms = of_type(whole("IAM"), "AWS::CloudWatch::Alarm").values()
    names = {alarm["MetricName"] for alarm in alarms if alarm["Namespace"] == "lamDB"}
    return names | {metric[1] for widget in widgets() for metric in widget["metrics"] if metric[0] == "lamDB"}


def widgets() -> list[dict[str, Any]]:
    board = of_type(whole("observed"), "AWS::CloudWatch::Dashboard")["OverviewDashboard"]["DashboardBody"][
        "Fn::Sub"
    ]
    return [widget["properties"] for widget in json.loads(board)["widgets"]]


def test_alarms_and_dashboard_ask_for_metrics_that_the_functions_emit() -> None:
    declared = set(
        re.findall(r'^[A-Z_]+[^=\n]*= "(\w+)"', (CLUSTER / "runtime/metrics.py").read_text(), re.MULTILINE)
    )
    assert custom_metrics() - declared == set()


def test_the_functions_emit_under_the_name_that_alarms_and_dashboard_use() -> None:
    for function in ("Proxy", "Reader", "Writer"):
        assert environment_of(function)["POWERTOOLS_METRICS_NAMESPACE"] == "lamDB"
    services = {
        resolved(environment_of(name)["POWERTOOLS_SERVICE_NAME"]["Fn::Sub"])
        for name in ("Proxy", "Reader", "Writer")
    }
    alarms = of_type(whole("IAM"), "AWS::CloudWatch::Alarm").values()
    asked = {
        alarm["Dimensions"][0]["Value"]["Fn::Sub"] for alarm in alarms if alarm["Namespace"] == "lamDB"
    } | {metric[3] for widget in widgets() for metric in widget["metrics"] if metric[0] == "lamDB"}
    assert asked <= services


@pytest.mark.parametrize("variant", VARIANTS)
def test_alarms_watch_what_can_go_wrong_and_tell_who_wants_to_know(variant: str) -> None:
    alarms = of_type(whole(variant), "AWS::CloudWatch::Alarm")
    watched = sorted({alarm["MetricName"] for alarm in alarms.values()})
    queued = {"queue", "bus", "buckets", "events", "writes-auto", "writes-queued"}
    queue = {"ApproximateAgeOfOldestMessage"} if variant in queued else set()
    table = {"IteratorAge"} if variant in {"table", "events"} else set()
    assert set(watched) == queue | table | {
        "5XXError",
        "ApproximateNumberOfMessagesVisible",
        "Errors",
        "FencedCommits",
        "RefusedRequests",
        "Throttles",
        "UncompactedFiles",
        "VerifyFailures",
    }
    told = [{"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}] if variant == "observed" else []
    assert [alarm["AlarmActions"] for alarm in alarms.values()] == [told] * len(alarms)
    assert all(alarm["TreatMissingData"] == "notBreaching" for alarm in alarms.values())


@pytest.mark.parametrize("variant", ["writes-auto", "writes-queued"])
def test_the_age_of_queued_writes_is_watched(variant: str) -> None:
    alarm = of_type(whole(variant), "AWS::CloudWatch::Alarm")["WritesDelayAlarm"]
    assert alarm["Dimensions"] == [
        {"Name": "QueueName", "Value": {"Fn::GetAtt": ["WritesQueue", "QueueName"]}}
    ]
    # No setting makes the proxy wait so long. A write of a dead writer comes again after its timeout.
    with pytest.raises(SettingsError):
        Settings.load({"LAMDB_RETRY_SECONDS": str(alarm["Threshold"])})


def test_only_the_writer_limits_mutations() -> None:
    assert environment_of("Writer")["LAMDB_WRITE_RATE"] == {"Ref": "WriteThrottleRate"}
    assert "LAMDB_WRITE_RATE" not in environment_of("Reader") | environment_of("Proxy")


def test_settings_without_a_parameter_have_their_defaults() -> None:
    """Defaults are in one place. Stacks with other values add the variable to the template's Globals."""
    fixed = {
        "LAMDB_IDEMPOTENCY_SECONDS",
        "LAMDB_PERSISTED_QUERIES",
        "LAMDB_RETRY_SECONDS",
        "LAMDB_TOKEN_WAIT",
        "LAMDB_WRITE_BURST",
    }
    assert fixed <= {variable_name(name) for name in specs()}
    for function in ("Proxy", "Reader", "Writer", "Publisher"):
        assert not environment_of(function).keys() & fixed


if __name__ == "__main__":
    print(table())
