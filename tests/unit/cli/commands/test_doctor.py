"""`lamdb doctor --aws`: what it finds in samconfig.toml, in this machine and in an account."""

import platform
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from tests.support.command_line import Run, run

from lamdb.cli import checks
from lamdb.cli.checks import PlannedDeployment, local, read_plan, remote, unknown_parameters
from lamdb.errors import SettingsError

__all__ = ["run"]

ROOT = Path(__file__).parents[4]


class Account:
    """Answers of AWS by service; a session as boto3's."""

    region_name: str | None = "eu-central-1"

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[str, Any]]] = {
            "sts": [("get_caller_identity", {"Arn": "arn:aws:iam::123456789012:user/me"})],
            "cloudformation": [("describe_stacks", "Stack with id lamdb does not exist")],
            "lambda": [("get_account_settings", quota(1000, 1000))],
            "s3": [
                ("head_bucket", {"BucketRegion": "eu-central-1"}),
                ("get_bucket_versioning", {"Status": "Enabled"}),
            ],
            "apigateway": [("get_account", {})],
        }

    def client(self, service: str, region_name: str) -> Any:
        client = boto3.client(
            service, region_name=region_name, aws_access_key_id="a", aws_secret_access_key="b"
        )
        stub = Stubber(client)
        for method, answer in self.answers[service]:
            if isinstance(answer, dict):
                stub.add_response(method, answer)
            else:
                status = int(answer) if answer.isdigit() else 400
                stub.add_client_error(method, "ValidationError", answer, http_status_code=status)
        stub.activate()
        return client


def quota(total: int, free: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": free}}


def stack(status: str) -> list[tuple[str, Any]]:
    made = {"StackName": "lamdb", "CreationTime": "2026-01-01T00:00:00Z", "StackStatus": status}
    return [("describe_stacks", {"Stacks": [made]})]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account()
    monkeypatch.setattr(checks, "session", lambda: made)
    return made


def look(**parameters: str) -> dict[str, tuple[str, str]]:
    return {
        each.check: (each.verdict, each.advice)
        for each in remote(PlannedDeployment("lamdb", None, parameters))
    }


def test_an_account_that_is_ready(account: Account) -> None:
    assert {check: verdict for check, (verdict, _) in look().items()} == {
        "region": "ok", "identity": "ok", "stack": "ok", "quota": "ok"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("total", "free", "parameters", "verdict"),
    [
        (10, 10, {}, "failed"),
        (10, 10, {"WriterReservedConcurrency": "0"}, "advice"),
        (1000, 100, {}, "failed"),
        (1000, 101, {}, "ok"),
        (1000, 120, {"ReaderReservedConcurrency": "50"}, "failed"),
        (1000, 1000, {"ReaderReservedConcurrency": "50"}, "ok"),
    ],
)
def test_a_reservation_must_leave_what_aws_keeps_free(
    account: Account, total: int, free: int, parameters: dict[str, str], verdict: str
) -> None:
    account.answers["lambda"] = [("get_account_settings", quota(total, free))]
    found, advice = look(**parameters)["quota"]
    assert found == verdict
    assert ("WriterReservedConcurrency=0" in advice) == (verdict == "failed")


def test_what_a_stack_has_reserved_already_is_not_asked_for_again(account: Account) -> None:
    account.answers["cloudformation"] = stack("UPDATE_COMPLETE")
    account.answers["lambda"] = [("get_account_settings", quota(101, 100))]
    assert look()["quota"][0] == "ok"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("CREATE_COMPLETE", "ok"),
        ("UPDATE_ROLLBACK_COMPLETE", "ok"),
        ("ROLLBACK_COMPLETE", "failed"),
        ("UPDATE_ROLLBACK_FAILED", "failed"),
        ("UPDATE_IN_PROGRESS", "failed"),
        ("DELETE_FAILED", "failed"),
    ],
)
def test_a_stack_that_cannot_be_updated(account: Account, status: str, verdict: str) -> None:
    account.answers["cloudformation"] = stack(status)
    found, advice = look()["stack"]
    assert (found, bool(advice)) == (verdict, verdict == "failed")


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([("head_bucket", "404")], "failed"),
        ([("head_bucket", "403")], "failed"),
        ([("head_bucket", {"BucketRegion": "us-east-1"})], "failed"),
        ([("head_bucket", {}), ("get_bucket_versioning", {})], "advice"),
        ([("head_bucket", {}), ("get_bucket_versioning", {"Status": "Enabled"})], "ok"),
    ],
)
def test_a_bucket_of_ones_own(account: Account, answers: list[tuple[str, Any]], verdict: str) -> None:
    account.answers["s3"] = answers
    assert look(ExistingBucket="mine")["bucket"][0] == verdict


def test_access_logs_need_a_role(account: Account) -> None:
    assert look(AccessLogs="true")["logs"][0] == "failed"
    account.answers["apigateway"] = [
        ("get_account", {"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/logs"})
    ]
    assert look(AccessLogs="true")["logs"][0] == "ok"


def test_without_region_or_identity_nothing_else_is_asked(account: Account) -> None:
    account.answers["sts"] = [("get_caller_identity", "expired")]
    assert look() == {"region": ("ok", ""), "identity": ("failed", "Sign in, or set AWS_PROFILE.")}
    account.region_name = None
    assert look()["region"][0] == "failed"


def test_what_one_may_not_ask_is_no_failure(account: Account) -> None:
    account.answers["lambda"] = [("get_account_settings", "not allowed")]
    assert look()["quota"][0] == "advice"


@pytest.mark.parametrize(("machine", "wanted", "verdict"), [
    ("x86_64", "x86_64", "ok"), ("aarch64", "x86_64", "failed"), ("arm64", "x86_64", "failed"),
    ("aarch64", "arm64", "ok"), ("x86_64", "arm64", "failed"), ("AMD64", "x86_64", "ok"),
])  # fmt: skip
def test_the_layer_is_built_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, machine: str, wanted: str, verdict: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    first, *_ = local(PlannedDeployment("lamdb", None, {"Architecture": wanted}))
    assert (first.check, first.verdict) == ("architecture", verdict)


def test_a_machine_without_a_compiler_is_told_what_goes_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert "compiler" in {each.check for each in local(PlannedDeployment("lamdb", None, {}))}


@pytest.mark.parametrize("environment", ["default", "staging", "prod"])
def test_environments_of_the_project_are_read(environment: str) -> None:
    plan = read_plan(ROOT / "samconfig.toml", environment)
    assert plan.stack.startswith("lamdb")
    assert plan.parameters["Architecture"] == "x86_64"
    assert plan.reserved == 1


def test_an_environment_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nope"):
        read_plan(ROOT / "samconfig.toml", "nope")
    with pytest.raises(SettingsError, match="cannot read"):
        read_plan(tmp_path / "none.toml", "default")


def test_the_command_fails_where_a_deployment_would(run: Run, account: Account) -> None:
    account.answers["cloudformation"] = stack("ROLLBACK_COMPLETE")
    done = run("doctor", "--aws", "--config-file", str(ROOT / "samconfig.toml"))
    assert (done.code, "sam delete" in done.out) == (1, True)
    assert run("doctor").code == 2


@pytest.mark.parametrize("environment", ["default", "staging", "prod"])
def test_the_projects_own_parameters_are_known(environment: str) -> None:
    plan = read_plan(ROOT / "samconfig.toml", environment)
    assert plan.parameters
    assert list(unknown_parameters(plan, ROOT / "template.yaml")) == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("AuthMod", "Is AuthMode meant? CHANGELOG.md"),
        ("VerifyState", "CHANGELOG.md says what replaces"),
        ("Type", "CHANGELOG.md"),
        ("ProxyFunction", "CHANGELOG.md"),
    ],
)
def test_a_parameter_that_would_be_ignored(name: str, advice: str) -> None:
    plan = PlannedDeployment("lamdb", None, {"AuthMode": "NONE", name: "DISABLED"})
    (found,) = unknown_parameters(plan, ROOT / "template.yaml")
    assert (found.check, found.verdict) == ("parameters", "failed")
    assert f"template.yaml has no parameter {name}," in found.found
    assert advice in found.advice


def test_a_missing_template_is_said(tmp_path: Path) -> None:
    (found,) = unknown_parameters(PlannedDeployment("lamdb", None, {}), tmp_path / "template.yaml")
    assert found.verdict == "advice"
    assert "No such file" in found.found
