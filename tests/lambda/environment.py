"""One execution environment of a local Lambda: a real runtime process, frozen whenever it waits for work.

The process is AWS's own runtime client (`awslambdaric`); what it talks to is the Runtime API
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), served here for this one process.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LAYER = Path(__file__).parents[2] / "layers" / "sqlite-engine"
RESPONSE_LIMIT = 6_291_556
START_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """The result of an invocation; `error` is the value of Lambda's header `X-Amz-Function-Error`."""

    payload: bytes
    error: str | None = None


@dataclass(frozen=True)
class Job:
    id: str
    payload: bytes
    deadline_ms: int


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with what both APIs here need."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def reply(self, status: int, content: bytes = b"", **headers: str) -> None:
        """Header names are written with underscores."""
        self.send_response(status)
        for name, text in {"content_type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """A thread waits for connections, without waking up now and then: there may be hundreds of servers."""

    daemon_threads = True
    request_queue_size = 512

    def work(self) -> None:
        while True:
            try:
                connection, address = self.socket.accept()
            except OSError:
                return
            self.process_request(connection, address)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.server_close()


def serve(handler: type[Handler], **attributes: Any) -> Server:
    """Listens on a free port of the loopback; handlers have `attributes`."""
    server = Server(("127.0.0.1", 0), type("Bound", (handler,), attributes))
    threading.Thread(target=server.work, daemon=True).start()
    return server


class Environment:
    """Starts the process at once. Invoke it from one thread at a time."""

    def __init__(
        self,
        code: Path,
        variables: dict[str, str],
        log: Path,
        timeout: float,
        on_restore: Callable[[], None] = lambda: None,
    ) -> None:
        """`code`: the function's directory. `timeout`: seconds that an invocation may take.

        `on_restore` is called when a process that is initialised for a snapshot (SnapStart) has reached it.
        """
        self.log = log
        self._timeout = timeout
        self._nice = 0
        self._changed = threading.Condition()
        self._waits = False
        self._job: Job | None = None
        self._answer: Answer | None = None
        self._dead = False
        self._lost = False
        self.working = False
        """Whether the process is at an invocation: not starting, not waiting."""
        self.on_restore: Callable[[], None] = on_restore
        self._server = serve(_RuntimeApi, environment=self)
        command = [sys.executable, "-m", "awslambdaric", "app.handler"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=code,
                env=self._variables(code, variables),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        threading.Thread(target=self._reap, daemon=True).start()

    def _variables(self, code: Path, variables: dict[str, str]) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(self.log.parent),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": code.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{code.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log.stem,
            "LAMBDA_TASK_ROOT": str(code),
            "_HANDLER": "app.handler",
            "PYTHONPATH": f"{code}{os.pathsep}{LAYER}",
            **variables,
        }

    @property
    def dead(self) -> bool:
        return self._dead

    @property
    def usable(self) -> bool:
        return not self._dead and not self._lost

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> bool:
        """Waits until it is initialised and frozen; False if that does not happen."""
        with self._changed:
            self._changed.wait_for(lambda: self._waits or self._dead, START_SECONDS)
            return self._waits and not self._dead

    def invoke(self, payload: bytes) -> Answer:
        """Waits for the process to be ready, thaws it, and waits for its answer."""
        job = Job(str(uuid.uuid4()), payload, int((time.time() + self._timeout) * 1000))
        with self._changed:
            self._answer = None
            self._changed.wait_for(lambda: self._waits or self._dead, START_SECONDS)
            if self._waits and not self._dead:
                self._waits, self._job = False, job
                self._signal(signal.SIGCONT)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._answer or self._dead or self._lost, self._timeout)
            if self._lost:
                return _broken("Sandbox.Failure", job)
            if self._answer is not None:
                return self._answer
        kind = "Runtime.ExitError" if self._dead else "Sandbox.Timedout"
        self.kill()
        return _broken(kind, job)

    def step_back(self, nice: int) -> None:
        """Behind processes that are less nice.

        Linux shares the processors among sessions first, by the niceness of each, then within them.
        """
        if nice != self._nice:
            self._nice = nice
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self.pid, nice)
                Path(f"/proc/{self.pid}/autogroup").write_text(str(nice))

    def freeze(self) -> None:
        """Stops the process wherever it is, even in the middle of an invocation."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on. One that waits for work only waits awake then."""
        self._signal(signal.SIGCONT)

    def lose(self) -> None:
        """It stops in the middle of an invocation and is given up, as if its machine were gone.

        Once thawed, it goes on with what nobody waits for any more.
        """
        self.freeze()
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    def kill(self) -> None:
        """Ends the process without a chance to finish anything."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._server.close()

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _reap(self) -> None:
        self._process.wait()
        with self._changed:
            self._dead = True
            self._changed.notify_all()

    # What the runtime process asks and tells

    def next_job(self) -> Job | None:
        """Freezes the process until there is work; None if it was killed meanwhile."""
        with self._changed:
            self._waits = True
            self._signal(signal.SIGSTOP)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._job or self._dead)
            job, self._job = self._job, None
            self.working = job is not None
            return job

    def finish(self, answer: Answer) -> None:
        with self._changed:
            self._answer = answer
            self.working = False
            self._changed.notify_all()


def _broken(kind: str, job: Job) -> Answer:
    said = {"errorType": kind, "errorMessage": f"RequestId: {job.id}"}
    return Answer(json.dumps(said).encode(), "Unhandled")


class _RuntimeApi(Handler):
    environment: Environment

    def do_GET(self) -> None:
        if self.path.endswith("/restore/next"):
            self.environment.on_restore()
            self.reply(200)
            return
        job = self.environment.next_job()
        if job is not None:
            self.reply(
                200,
                job.payload,
                lambda_runtime_aws_request_id=job.id,
                lambda_runtime_deadline_ms=str(job.deadline_ms),
                lambda_runtime_invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:local",
            )

    def do_POST(self) -> None:
        body = self.body()
        self.reply(202, b'{"status":"OK"}')
        if self.path.endswith("/error"):
            self.environment.finish(Answer(body, "Unhandled"))
        elif len(body) > RESPONSE_LIMIT:
            kind = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": f"{len(body)} bytes"}
            self.environment.finish(Answer(json.dumps(kind).encode(), "Unhandled"))
        else:
            self.environment.finish(Answer(body))
