"""Requests to the Lambda API: where they go, how they are signed, and what their answers mean."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

import botocore.session
import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError
from tests.support import sigv4

from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.routing.invoke import LambdaInvoker
from lamdb.errors import FunctionError, FunctionUnavailable, LamdbError, ResponseTooLarge, Throttled

REGION = "eu-central-1"
ARN = f"arn:aws:lambda:{REGION}:123456789012:function:lamdb-reader:live"


@dataclass
class FakeLambda:
    """Answers each request whose signature is right with `status`, `headers` and `body`."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    invoked: list[tuple[str, bytes]] = field(default_factory=list)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLambda]:
    fake = FakeLambda()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            # All services but S3 sign the path encoded once more.
            signature = sigv4.verify("POST", quote(self.path, safe="/"), headers, body)
            assert signature is not None
            assert signature.scope == f"{REGION}/lambda/aws4_request"
            assert self.path.startswith("/2015-03-31/functions/")
            fake.invoked.append((unquote(self.path.split("/")[3]), body))
            self.send_response(fake.status)
            for name, value in {**fake.headers, "content-length": str(len(fake.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(fake.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    for name, value in function_variables(AWS_ENDPOINT_URL_LAMBDA=fake.url).items():
        monkeypatch.setenv(name, value)
    yield fake
    server.shutdown()
    server.server_close()


def function_variables(**others: str) -> dict[str, str]:
    return {
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": sigv4.KEY,
        "AWS_SECRET_ACCESS_KEY": sigv4.SECRET,
        **others,
    }


@pytest.mark.parametrize("function", ["lamdb-reader", "lamdb-reader:live", ARN])
def test_functions_are_invoked_by_name_and_by_arn(api: FakeLambda, function: str) -> None:
    api.body = b'{"data": "\xc3\xa9"}'
    invoke = LambdaInvoker()
    for number in range(3):
        assert invoke(function, b"%d" % number, 10) == api.body
    assert api.invoked == [(function, b"%d" % number) for number in range(3)]


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (429, {"x-amzn-errortype": "TooManyRequestsException:http://example.com/"}, b"{}", Throttled),
        (429, {}, b'{"__type": "com.amazonaws.lambda#TooManyRequestsException"}', Throttled),
        (429, {}, b"not JSON", Throttled),
        (400, {"x-amzn-errortype": "ThrottlingException"}, b"{}", Throttled),
        (500, {"x-amzn-errortype": "ServiceException"}, b"{}", FunctionUnavailable),
        (503, {}, b"", FunctionUnavailable),
        (502, {"x-amzn-errortype": "ENILimitReachedException"}, b"{}", FunctionUnavailable),
        (409, {"x-amzn-errortype": "ResourceConflictException"}, b"{}", FunctionUnavailable),
        (404, {"x-amzn-errortype": "ResourceNotFoundException"}, b"{}", FunctionError),
        (403, {}, b'{"code": "AccessDeniedException"}', FunctionError),
        (413, {"x-amzn-errortype": "RequestTooLargeException"}, b"[]", FunctionError),
        (
            200,
            {"x-amz-function-error": "Unhandled"},
            b'{"errorType": "Runtime.ExitError"}',
            FunctionUnavailable,
        ),
        (
            200,
            {"x-amz-function-error": "Unhandled"},
            b'{"errorType": "Function.ResponseSizeTooLarge"}',
            ResponseTooLarge,
        ),
    ],
)
def test_refusals_and_failures_are_told_apart(
    api: FakeLambda, status: int, headers: dict[str, str], body: bytes, kind: type[LamdbError]
) -> None:
    api.status, api.headers, api.body = status, headers, body
    with pytest.raises(LamdbError) as raised:
        LambdaInvoker()("lamdb-writer", b"{}", 10)
    assert type(raised.value) is kind


def test_a_refused_connection_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    for name, value in function_variables(AWS_ENDPOINT_URL=address).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FunctionUnavailable, match="could not be reached") as raised:
        LambdaInvoker()("lamdb-writer", b"{}", 10)
    assert raised.value.retryable


def test_the_address_is_the_one_that_botocore_knows() -> None:
    session = botocore.session.Session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("lambda", partition):
            access = Access._of_function(function_variables(AWS_REGION=region))
            if access is not None:
                known = session.create_client(
                    "lambda", region, aws_access_key_id="a", aws_secret_access_key="b"
                )
                assert access.endpoint == known.meta.endpoint_url, region
            else:
                assert partition not in ("aws", "aws-cn", "aws-us-gov"), region


@pytest.mark.parametrize(
    ("variable", "value", "endpoint"),
    [
        ("AWS_USE_FIPS_ENDPOINT", "true", "https://lambda-fips.us-east-1.amazonaws.com"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true", "https://lambda.us-east-1.api.aws"),
    ],
)
def test_special_addresses_are_left_to_the_sdk(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, endpoint: str
) -> None:
    variables = function_variables(AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1")
    for name, given in {**variables, variable: value}.items():
        monkeypatch.setenv(name, given)
    access = Access.find()
    assert access.endpoint == endpoint
    assert (access.region, access.credentials.access_key) == ("us-east-1", sigv4.KEY)


def test_without_region_or_credentials_the_sdk_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NoRegionError):
        Access.find()
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with pytest.raises(NoCredentialsError):
        LambdaInvoker()("lamdb-reader", b"{}", 10)


def test_credentials_of_a_session_are_sent_with_their_token() -> None:
    access = Access._of_function(function_variables(AWS_SESSION_TOKEN="a token"))
    assert access is not None
    assert access.credentials.token == "a token"
