"""The template as SAM's own code for local commands reads it, and the actions that the API may use on AWS."""

import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.support.sam_build import NEEDS_SAM, SAM

from lamdb.samlocal.store import names_bucket

from .stack import AUTH_MODES, TEMPLATE, decide, of_type, parameters, source, translate

ANY = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
ROUTES = {
    "/graphql": (ANY, "ProxyFunction"),
    "/admin/graphql": ({"POST"}, "ProxyFunction"),
    "/": ({"GET"}, "ProxyFunction"),
    "/{proxy+}": (ANY, "ProxyFunction"),
    "/reader": (ANY, "ReaderFunction"),
    "/writer": (ANY, "WriterFunction"),
}


def all_or_nothing(mode: str, value: bool) -> dict[str, str]:
    """Parameters with everything on, or off, that changes routes."""
    text = str(value).lower()
    origins = "https://app.example.com" if value else ""
    return {"AuthMode": mode, "DirectRoutes": text, "GraphiQL": text, "Studio": text, "CorsOrigins": origins}


CASES = [all_or_nothing(mode, value) for mode in AUTH_MODES for value in (True, False)]
BUCKET = {"ExistingBucket": "data-of-mine", "StorePrefix": "some/where"}


def name_of(case: Mapping[str, str]) -> str:
    return "-".join(value or "none" for value in case.values())


@cache
def found() -> list[dict[str, Any]]:
    """The result of SAM for each of CASES and, last, for BUCKET."""
    run = subprocess.run(
        [SAM.parent / "python", Path(__file__).with_name("sam_routes.py"), TEMPLATE],
        input=json.dumps([parameters(case) for case in [*CASES, BUCKET]]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    answers: list[dict[str, Any]] = json.loads(run.stdout)
    return answers


@NEEDS_SAM
@pytest.mark.parametrize("number", range(len(CASES)), ids=[name_of(case) for case in CASES])
def test_sam_finds_the_function_of_every_route(number: int) -> None:
    routes: dict[str, tuple[set[str], str]] = {}
    for path, method, function in found()[number]["routes"]:
        methods, known = routes.setdefault(path, (set(), function))
        assert known == function, f"{path} has two functions"
        methods.add(method)
    assert routes == ROUTES


@NEEDS_SAM
@pytest.mark.parametrize("function", ["ProxyFunction", "ReaderFunction", "WriterFunction"])
def test_sam_tells_functions_of_the_bucket_that_was_given_and_of_no_other(function: str) -> None:
    *others, given = found()
    assert given["variables"][function]["LAMDB_STORE"] == "s3://data-of-mine/some/where"
    assert names_bucket(given["variables"][function])
    assert not any(names_bucket(each["variables"][function]) for each in others)


def route_of(permission: Mapping[str, Any]) -> str:
    """The end of a permission's source, `method/path`. It must be a route of this API."""
    arn, values = permission["SourceArn"]["Fn::Sub"]
    assert values == {"__ApiId__": {"Ref": "Api"}, "__Stage__": "*"}
    before, _, route = arn.partition("/${__Stage__}/")
    assert before.endswith(":execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}")
    return str(route)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_events_give_permissions_and_leave_the_api_as_it_is(case: dict[str, str]) -> None:
    template = decide(translate(case), parameters(case))
    bare = source()
    for resource in bare["Resources"].values():
        events = resource.get("Properties", {}).get("Events", {})
        for name in [name for name, event in events.items() if event["Type"] == "Api"]:
            del events[name]
    without = decide(translate(case, bare), parameters(case))
    assert of_type(template, "AWS::ApiGateway::RestApi") == of_type(without, "AWS::ApiGateway::RestApi")
    added = template["Resources"].keys() - without["Resources"].keys()
    # `AlwaysDeploy` gives this one another name each time.
    added = {name for name in added if not name.startswith("ApiDeployment")}
    granted = sorted(
        (permission["FunctionName"]["Ref"], route_of(permission))
        for name, permission in of_type(template, "AWS::Lambda::Permission").items()
        if name in added
    )
    assert granted == [
        ("ProxyFunctionAliaslive", "*/*"),
        ("ProxyFunctionAliaslive", "*/graphql"),
        ("ProxyFunctionAliaslive", "GET/"),
        ("ProxyFunctionAliaslive", "POST/admin/graphql"),
        ("ReaderFunctionAliaslive", "*/reader"),
        ("WriterFunctionAliaslive", "*/writer"),
    ]
    assert len(added) == len(granted)
