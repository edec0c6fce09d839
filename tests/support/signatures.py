"""An endpoint that answers only requests with a valid signature (SigV4), as API Gateway does with IAM."""

import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET, TOKEN, REGION = (
    "AKIAEXAMPLE",
    "a secret of forty characters for examples",
    "a token",
    "eu-central-1",
)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})$"
)


@dataclass
class Endpoint:
    """`accepted` are the bodies of the requests that were signed rightly."""

    url: str
    accepted: list[bytes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The environment that the guide's examples read."""
        return {
            "LAMDB_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }


@contextmanager
def endpoint(answer: bytes) -> Iterator[Endpoint]:
    """Answers every POST to it that is signed for `execute-api` with `answer`, others with 403."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            fault = fault_of("POST", f"http://{self.headers['host']}{self.path}", self.headers, body)
            if fault is None:
                place.accepted.append(body)
            else:
                place.refused.append(fault)
            content = answer if fault is None else b'{"message": "Forbidden"}'
            self.send_response(200 if fault is None else 403)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    place = Endpoint(f"http://127.0.0.1:{server.server_port}/v1/graphql")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fault_of(method: str, url: str, headers: Any, body: bytes) -> str | None:
    """The fault of a request's signature, by botocore's own computation; None if nothing is."""
    said = _AUTHORIZATION.match(headers.get("authorization") or "")
    if said is None:
        return "no signature"
    if (said["key"], said["region"], said["service"]) != (KEY, REGION, "execute-api"):
        return "signed for another place"
    if headers.get("x-amz-security-token") != TOKEN:
        return "no session token"
    names = said["names"].split(";")
    if not {"host", "x-amz-date"} <= set(names):
        return "the signature covers too little"
    request = AWSRequest(method, url, {name: headers[name] for name in names}, body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(KEY, SECRET, TOKEN), said["service"], REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    expected = signer.signature(text, request)
    return None if hmac.compare_digest(expected, said["signature"]) else "another signature"
