"""What docs/deploy.md tells people to type."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from .stack import ROOT, of_type, source, stack

GUIDE = (ROOT / "docs/deploy.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


class Recorder(BaseHTTPRequestHandler):
    """Answers every POST, and remembers it on the server."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.headers, body))
        answer = b'{"data": {"findManyTag": []}}'
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def test_the_python_example_sends_a_signed_request(tmp_path: Path) -> None:
    (example,) = blocks("python")
    server = HTTPServer(("127.0.0.1", 0), Recorder)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LAMDB_URL": f"http://127.0.0.1:{server.server_port}/v1/graphql",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "token",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }
        done = subprocess.run(
            [sys.executable, "-c", example], env=environment, capture_output=True, text=True, check=False
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{'findManyTag': []}"
    ((headers, body),) = server.seen
    assert json.loads(body)["query"]
    assert re.match(
        r"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/\d{8}/eu-central-1/execute-api/aws4_request, "
        r"SignedHeaders=\S*host\S*, Signature=[0-9a-f]{64}$",
        headers["authorization"],
    )
    assert headers["x-amz-security-token"] == "token"
    assert headers["content-type"] == "application/json"


def test_outputs_and_functions_that_the_guide_uses_exist() -> None:
    asked = set(re.findall(r"\$\(output (\w+)\)", GUIDE))
    assert asked
    assert asked <= source()["Outputs"].keys()


def test_the_guide_counts_the_alarms() -> None:
    assert f"| {len(of_type(stack('IAM'), 'AWS::CloudWatch::Alarm'))} alarms |" in GUIDE


def test_targets_that_the_guide_uses_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", "\n".join(blocks("sh")))) <= targets
