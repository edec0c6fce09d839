"""Signatures, compared with an independent computation by AWS's description of them."""

from urllib.parse import urlsplit

import pytest
from tests.support.command_line import Recorder, Run, recorder, run
from tests.support.sigv4 import KEY, SECRET, verify

from lamdb.cli.targets.http import HttpTarget
from lamdb.cli.targets.sigv4 import region_of, service_of, signed
from lamdb.cli.targets.target import GRAPHQL, OPERATOR, Question
from lamdb.errors import SettingsError

__all__ = ["recorder", "run"]

TOKEN = "session/token=="


@pytest.fixture
def credentials(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@pytest.mark.usefixtures("credentials")
def test_a_signed_request_passes_who_computes_it_again(recorder: Recorder) -> None:
    target = HttpTarget(recorder.url + "/v1", sign=True)
    target.ask(GRAPHQL, Question('{ a(b: "ü€") }', headers={"idempotency-key": "k 1"}))
    target.ask(OPERATOR, Question("{ database { txid } }"))
    for seen in recorder.seen:
        signature = verify(seen.method, seen.path, seen.headers, seen.body)
        assert signature is not None
        assert signature.scope == "eu-west-1/execute-api/aws4_request"
        assert signature.names >= {"host", "x-amz-date", "x-amz-security-token"}
        assert seen.headers["x-amz-security-token"] == TOKEN
        assert verify(seen.method, seen.path, seen.headers, seen.body + b" ") is None
        assert verify(seen.method, seen.path + "/", seen.headers, seen.body) is None


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("token", "sign", "graphql", "operator"),
    [
        ("", None, "AWS4", "AWS4"),
        ("t", None, "Bear", "AWS4"),
        ("t", False, "Bear", "Bear"),
        ("t", True, "AWS4", "AWS4"),
        ("", False, None, None),
    ],
)
def test_what_goes_to_api_gateway_is_signed_unless_something_else_is_given(
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    sign: bool | None,
    graphql: str,
    operator: str,
) -> None:
    monkeypatch.setattr("lamdb.cli.targets.http.is_aws", lambda _: True)
    target = HttpTarget(recorder.url, token=token, sign=sign)
    target.ask(GRAPHQL, Question("{ a }"))
    target.ask(OPERATOR, Question("{ a }"))
    given = [seen.headers.get("authorization") for seen in recorder.seen]
    assert [each and each[:4] for each in given] == [graphql, operator]


@pytest.mark.usefixtures("credentials")
def test_a_server_of_ones_own_is_not_sent_a_signature(recorder: Recorder) -> None:
    HttpTarget(recorder.url).ask(OPERATOR, Question("{ a }"))
    assert "authorization" not in recorder.seen[0].headers


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://abc.execute-api.ap-southeast-2.amazonaws.com/v1", "ap-southeast-2"),
        ("https://abc.execute-api.cn-north-1.amazonaws.com.cn/v1", "cn-north-1"),
        ("https://abc-vpce-1.execute-api.eu-west-1.vpce.amazonaws.com/v1", "eu-west-1"),
        ("https://abcdefgh.lambda-url.eu-south-2.on.aws/graphql", "eu-south-2"),
        ("https://abcdefgh.LAMBDA-URL.US-GOV-west-1.on.aws/", "us-gov-west-1"),
        ("https://db.example.com/v1", None),
        ("https://x.lambda-url.eu-west-1.on.aws.example.com/", None),
        ("https://x.execute-api.eu-west-1.amazonaws.com.example.com/v1", None),
    ],
)
def test_the_region_is_in_the_address(url: str, region: str | None) -> None:
    assert region_of(url) == region


@pytest.mark.usefixtures("credentials")
def test_the_addresss_region_is_signed_for() -> None:
    url = "https://abc.execute-api.us-west-2.amazonaws.com/v1/graphql"
    headers = signed("POST", url, {"content-type": "application/json"}, b"{}")
    assert "/us-west-2/execute-api/" in headers["Authorization"]
    assert urlsplit(url).hostname


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://abc.execute-api.us-west-2.amazonaws.com/v1/graphql", "execute-api"),
        ("https://db.example.com/v1", "execute-api"),
        ("https://abcdefgh.lambda-url.us-west-2.on.aws/graphql", "lambda"),
        ("https://abcdefgh.lambda-url.us-west-2.on.aws.example.com/graphql", "execute-api"),
    ],
)
@pytest.mark.usefixtures("credentials")
def test_function_urls_are_signed_for_the_service_lambda(url: str, service: str) -> None:
    assert service_of(url) == service
    assert f"/{service}/aws4_request" in signed("POST", url, {}, b"{}")["Authorization"]


def test_without_credentials_or_region_it_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="no AWS credentials"):
        signed("POST", "https://abc.execute-api.us-west-2.amazonaws.com/v1", {}, b"")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(SettingsError, match="no region"):
        signed("POST", "https://db.example.com", {}, b"")
