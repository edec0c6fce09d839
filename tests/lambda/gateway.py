"""A local API Gateway, and local function URLs.

The gateway is a REST API with one stage, whose every route is a function (Lambda proxy integration).
`FunctionUrl` is a function's own address: payload format 2.0, no stage, no limit of 29 s
(https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html).

What the gateway does is what AWS documents of REST APIs; every media type is binary, as in `template.yaml`:

- requests become events of payload format 1.0, with bodies in base64
  (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html);
- the integration has 29 s, then the client gets a 504;
- a function that is throttled is a 503, as the template has it, one that fails or answers in no known form a
  502: the function's own 429 never reaches a client.
"""

import base64
import json
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .environment import Answer, Handler, serve
from .local import Busy, Function

INTEGRATION_SECONDS = 29.0
REQUEST_LIMIT = 10 * 1024 * 1024
INVOKE_LIMIT = 6 * 1024 * 1024


class Gateway:
    """Serves a function at `url`. `refused` counts the answers that are the gateway's own, by status."""

    def __init__(
        self,
        function: Function,
        *,
        stage: str = "v1",
        seconds: float = INTEGRATION_SECONDS,
        threads: int = 400,
    ) -> None:
        self.refused: Counter[int] = Counter()
        self.stage = stage
        self._function = function
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="gateway")
        self._server = serve(_Api, gateway=self)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{stage}"

    def close(self) -> None:
        self._server.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def integrate(self, event: dict[str, Any]) -> "Response":
        """The response of the function, or one that says why there is none."""
        payload = json.dumps(event).encode()
        if len(payload) > INVOKE_LIMIT:
            return self._own(413, "Request Too Long")
        try:
            answer = self._threads.submit(self._function.invoke, payload).result(self._seconds)
        except Busy:
            return self._own(503, "Internal server error")
        except TimeoutError:
            return self._own(504, "Endpoint request timed out")
        return self.mapped(answer) or self._own(502, "Internal server error")

    def event(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes, client: str
    ) -> dict[str, Any]:
        return event_of(method, target, headers, body, stage=self.stage, client=client)

    def mapped(self, answer: Answer) -> "Response | None":
        return _mapped(answer)

    def _own(self, status: int, message: str) -> "Response":
        self.refused[status] += 1
        body = json.dumps({"message": message}).encode()
        return Response(status, [("content-type", "application/json")], body)


class Response:
    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def event_of(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes, *, stage: str, client: str
) -> dict[str, Any]:
    """The event of a request to `/stage/…`."""
    parts = urlsplit(target)
    path = parts.path.removeprefix(f"/{stage}") or "/"
    several: dict[str, list[str]] = {}
    for name, text in headers:
        several.setdefault(name, []).append(text)
    query: dict[str, list[str]] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        query.setdefault(name, []).append(text)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": _last(several) or None,
        "multiValueHeaders": several or None,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "httpMethod": method,
            "identity": {"sourceIp": client, "userAgent": (several.get("User-Agent") or [None])[-1]},
            "path": parts.path,
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "requestTimeEpoch": int(time.time() * 1000),
            "resourcePath": "/{proxy+}",
            "stage": stage,
        },
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def _last(several: dict[str, list[str]]) -> dict[str, str]:
    return {name: texts[-1] for name, texts in several.items()}


def _mapped(answer: Answer) -> Response | None:
    """The content of a function's response; None if it is no response in the format of a proxy
    integration."""
    if answer.error is not None:
        return None
    try:
        said = json.loads(answer.payload)
        headers = [(name, str(text)) for name, text in (said.get("headers") or {}).items()]
        for name, texts in (said.get("multiValueHeaders") or {}).items():
            headers = [pair for pair in headers if pair[0].lower() != name.lower()]
            headers += [(name, str(text)) for text in texts]
        body = said.get("body") or ""
        content = base64.b64decode(body, validate=True) if said.get("isBase64Encoded") else body.encode()
        return Response(int(said["statusCode"]), headers, content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class FunctionUrl(Gateway):
    """Serves a function at `url`, in payload format 2.0."""

    def __init__(self, function: Function) -> None:
        super().__init__(function, seconds=900.0)
        self.url = self.url.removesuffix(f"/{self.stage}")
        self.stage = ""

    def event(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes, client: str
    ) -> dict[str, Any]:
        return url_event_of(method, target, headers, body, client=client)

    def mapped(self, answer: Answer) -> "Response | None":
        response = _mapped(answer)
        if response is not None:
            cookies = json.loads(answer.payload).get("cookies") or []
            response.headers += [("set-cookie", cookie) for cookie in cookies]
        return response


def url_event_of(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes, *, client: str
) -> dict[str, Any]:
    """The event of a request to a function URL; text in `body` is not encoded, other bytes are base64."""
    parts = urlsplit(target)
    joined: dict[str, str] = {}
    for name, text in headers:
        joined[name.lower()] = f"{joined[name.lower()]},{text}" if name.lower() in joined else text
    cookies = [each.strip() for each in joined.pop("cookie", "").split(";") if each.strip()]
    kind = joined.get("content-type", "")
    is_text = kind.startswith("text/") or kind.split(";")[0] in ("application/json", "application/xml")
    is_text = is_text and "content-encoding" not in joined
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path or "/",
        "rawQueryString": parts.query,
        "headers": joined,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": "local.lambda-url.us-east-1.on.aws",
            "domainPrefix": "local",
            "http": {"method": method, "path": parts.path, "protocol": "HTTP/1.1", "sourceIp": client},
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": bool(body) and not is_text,
    }
    if cookies:
        event["cookies"] = cookies
    if body:
        event["body"] = body.decode() if is_text else base64.b64encode(body).decode()
    return event


class _Api(Handler):
    gateway: Gateway

    def answer(self) -> None:
        body = self.body()
        stage = self.gateway.stage
        if stage and not (self.path + "/").startswith(f"/{stage}/"):
            response = self.gateway._own(403, "Missing Authentication Token")
        elif len(body) > REQUEST_LIMIT:
            response = self.gateway._own(413, "Request Too Long")
        else:
            event = self.gateway.event(
                self.command, self.path, list(self.headers.items()), body, str(self.client_address[0])
            )
            response = self.gateway.integrate(event)
        self.send_response(response.status)
        for name, text in response.headers:
            if name.lower() != "content-length":
                self.send_header(name, text)
        self.send_header("x-amzn-requestid", str(uuid.uuid4()))
        self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = answer  # noqa: N815
