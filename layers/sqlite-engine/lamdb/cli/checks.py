"""Checks before a deployment to AWS: samconfig.toml, this machine, and the account."""

import difflib
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from lamdb.cli.targets.aws import botocore_problems, session
from lamdb.errors import LamdbError, SettingsError

type Verdict = Literal["ok", "advice", "failed"]

_KEPT_FREE: Final = 100
"""Concurrent executions that AWS leaves to functions without a reservation; all, if there are fewer."""
_SECTION: Final = re.compile(r"^\S", re.MULTILINE)
_PARAMETER: Final = re.compile(r"^  (\w+):", re.MULTILINE)
"""The beginning of the template's next section, and the name of a parameter in its own."""
_STUCK: Final = {
    "ROLLBACK_COMPLETE": "Its first deployment failed: delete it with sam delete, then deploy again.",
    "ROLLBACK_FAILED": "Delete it, with the resources that are named in its events, then deploy again.",
    "DELETE_FAILED": "Delete it again, keeping the resources that are named in its events.",
    "UPDATE_ROLLBACK_FAILED": "Continue its rollback: aws cloudformation continue-update-rollback.",
    "REVIEW_IN_PROGRESS": "A change set was never executed: delete the stack, or execute the change set.",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: its subject, its finding, and the remedy."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class PlannedDeployment:
    """A deployment as samconfig.toml describes it; other parameters have the template's defaults."""

    stack: str
    region: str | None
    parameters: Mapping[str, str]

    @property
    def reserved(self) -> int:
        names = ("WriterReservedConcurrency", "ReaderReservedConcurrency")
        defaults = {"WriterReservedConcurrency": "1"}
        return sum(int(self.parameters.get(name, defaults.get(name, "0"))) for name in names)


def read_plan(file: Path, environment: str) -> PlannedDeployment:
    """Raises `SettingsError`."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        sections = content[environment]
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error}") from None
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise SettingsError(f"{file} has no environment {environment!r}: {error}") from None
    common = sections.get("global", {}).get("parameters", {})
    own = {**common, **sections.get("deploy", {}).get("parameters", {})}
    overrides = own.get("parameter_overrides", [])
    pairs = overrides.split() if isinstance(overrides, str) else overrides
    parameters = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    values = {name: value.strip("\"'") for name, value in parameters.items()}
    return PlannedDeployment(own.get("stack_name", "lamdb"), own.get("region"), values)


def unknown_parameters(plan: PlannedDeployment, template: Path) -> Iterator[CheckResult]:
    """Findings about parameters that the template lacks: `sam deploy` ignores them."""
    try:
        text = template.read_text(encoding="utf-8")
    except OSError as error:
        yield CheckResult("parameters", "advice", f"not compared with {template}: {error.strerror}")
        return
    _, _, rest = text.partition("\nParameters:\n")
    known = set(_PARAMETER.findall(_SECTION.split(rest)[0]))
    for name in plan.parameters:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f"Is {close[0]} meant? " if close else ""
            yield CheckResult(
                "parameters",
                "failed",
                f"{template.name} has no parameter {name}, so that its value would be ignored",
                f"{meant}CHANGELOG.md says what replaces parameters of earlier versions.",
            )


def local(plan: PlannedDeployment) -> Iterator[CheckResult]:
    """Findings about this machine."""
    host = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    wanted = plan.parameters.get("Architecture", "x86_64")
    if host == wanted:
        yield CheckResult("architecture", "ok", f"this machine and the functions are {host}")
    else:
        advice = f"Deploy with Architecture={host} in samconfig.toml, or build on {wanted}."
        yield CheckResult(
            "architecture", "failed", f"the layer is built for {host}, the functions are {wanted}", advice
        )
    if sys.platform != "linux" or not (shutil.which("c++") and shutil.which("make")):
        yield CheckResult(
            "compiler",
            "advice",
            "the layer goes without the operator API over HTTP: that needs Linux, a C++ compiler and make",
            "lamdb --stack works without it. On Debian: apt-get install g++ make.",
        )


def remote(plan: PlannedDeployment) -> Iterator[CheckResult]:
    """Findings about the account. What AWS refuses to tell is a finding, too. Raises `SettingsError`."""
    made = session()
    region = plan.region or made.region_name
    if not region:
        yield CheckResult("region", "failed", "none is set", "Set AWS_REGION, or region in samconfig.toml.")
        return
    yield CheckResult("region", "ok", region)
    try:
        with botocore_problems():
            identity = made.client("sts", region_name=region).get_caller_identity()
    except LamdbError as error:
        yield CheckResult("identity", "failed", error.message, "Sign in, or set AWS_PROFILE.")
        return
    yield CheckResult("identity", "ok", identity["Arn"])
    exists = False
    for finding in _asked(
        "stack", lambda: _stack(made.client("cloudformation", region_name=region), plan.stack)
    ):
        exists = finding.found.startswith("it exists")
        yield finding
    yield from _asked("quota", lambda: _quota(made.client("lambda", region_name=region), plan, exists))
    if bucket := plan.parameters.get("ExistingBucket"):
        yield from _asked("bucket", lambda: _bucket(made.client("s3", region_name=region), bucket, region))
    if plan.parameters.get("AccessLogs") == "true":
        yield from _asked("logs", lambda: _access_logs(made.client("apigateway", region_name=region)))


def _asked(check: str, ask: Any) -> Iterator[CheckResult]:
    try:
        with botocore_problems():
            found = ask()
    except LamdbError as error:
        found = CheckResult(check, "advice", f"could not be looked at: {error.message}", error.hint or "")
    yield found


def _stack(client: Any, name: str) -> CheckResult:
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]

    try:
        status = client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return CheckResult("stack", "ok", f"{name} is new")
        raise
    if status in _STUCK:
        return CheckResult("stack", "failed", f"{name} is in {status}", _STUCK[status])
    if status.endswith("_IN_PROGRESS"):
        return CheckResult("stack", "failed", f"{name} is in {status}", "Wait until that has ended.")
    return CheckResult("stack", "ok", f"it exists: {name} is in {status}")


def _quota(client: Any, plan: PlannedDeployment, exists: bool) -> CheckResult:
    limits = client.get_account_settings()["AccountLimit"]
    total, free = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    text = f"{total} concurrent executions, {free} of them not reserved"
    left = free if exists else free - plan.reserved
    if plan.reserved and left < min(_KEPT_FREE, total):
        advice = (
            "Set WriterReservedConcurrency=0 and ReaderReservedConcurrency=0: writers then compete, which is "
            "safe and slower. "
            "Or ask for a higher quota (Service Quotas, Lambda, Concurrent executions, L-B99A9384)."
        )
        return CheckResult(
            "quota", "advice" if exists else "failed", f"{text}; {plan.reserved} are to be reserved", advice
        )
    if total < _KEPT_FREE:
        return CheckResult(
            "quota", "advice", text, "Ask for a higher quota before production: it takes days."
        )
    return CheckResult("quota", "ok", text)


def _bucket(client: Any, name: str, region: str) -> CheckResult:
    from botocore.exceptions import ClientError

    try:
        where = client.head_bucket(Bucket=name).get("BucketRegion", region)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        found = {404: "does not exist", 403: "may not be used by you"}.get(status, f"answered {status}")
        return CheckResult("bucket", "failed", f"{name} {found}", "Correct ExistingBucket, or leave it out.")
    if where != region:
        return CheckResult(
            "bucket", "failed", f"{name} is in {where}", f"Deploy there, or use a bucket in {region}."
        )
    if client.get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
        advice = "Versions bring back what somebody deletes: aws s3api put-bucket-versioning."
        return CheckResult("bucket", "advice", f"{name} keeps no versions", advice)
    return CheckResult("bucket", "ok", f"{name} is there, and keeps versions")


def _access_logs(client: Any) -> CheckResult:
    if client.get_account().get("cloudwatchRoleArn"):
        return CheckResult("logs", "ok", "API Gateway may write logs")
    advice = "Set the role in API Gateway's settings, or deploy with AccessLogs=false."
    return CheckResult("logs", "failed", "API Gateway has no role that writes logs", advice)
