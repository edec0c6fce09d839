"""A local Lambda: functions whose environments come, freeze and go, behind the Invoke API of boto3."""

import json
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from .environment import Answer, Environment, Handler, serve


class Busy(Exception):
    """The reserved concurrency is used up."""


class Function:
    """Starts environments as they are needed, and uses again those that are idle, the last used first."""

    def __init__(
        self,
        code: Path,
        variables: dict[str, str],
        logs: Path,
        *,
        reserved: int | None = None,
        timeout: float = 29.0,
    ) -> None:
        """`reserved`: how many invocations may run at the same time."""
        self.name = code.name
        self.variables = variables
        self.throttles = 0
        self.loses_answer: Callable[[], bool] = lambda: False
        """Asked after each invocation through the API: if so, the connection breaks in place of an answer."""
        self._code = code
        self._logs = logs
        self._reserved = reserved
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[Environment] = []
        self._busy: set[Environment] = set()
        self._running = 0
        self._retired: list[Environment] = []
        self._numbers = count(1)

    def invoke(self, payload: bytes) -> Answer:
        """Raises `Busy`."""
        environment = self._acquire()
        try:
            return environment.invoke(payload)
        finally:
            with self._lock:
                self._running -= 1
                if environment in self._busy:
                    self._busy.remove(environment)
                    (self._retired if environment.dead else self._idle).append(environment)

    def _acquire(self) -> Environment:
        with self._lock:
            if self._reserved is not None and self._running >= self._reserved:
                self.throttles += 1
                raise Busy
            self._running += 1
            alive = [each for each in self._idle if not each.dead]
            environment = alive.pop() if alive else None
            self._idle = alive
        if environment is None:
            log = self._logs / f"{self.name}-{next(self._numbers)}.log"
            environment = Environment(self._code, self.variables, log, self._timeout)
        with self._lock:
            self._busy.add(environment)
        return environment

    def retire(self) -> list[Environment]:
        """A deployment: the next invocation gets a new environment; those so far, which stay frozen."""
        with self._lock:
            old = [*self._idle, *self._busy]
            self._idle.clear()
            self._busy.clear()
            self._retired += old
        return old

    def kill_any(self) -> None:
        """Kills one environment, if there is any, busy ones first."""
        with self._lock:
            victims = [*self._busy, *self._idle]
        if victims:
            victims[0].kill()

    def log(self) -> str:
        """All that its environments have written."""
        return "".join(path.read_text() for path in sorted(self._logs.glob(f"{self.name}-*.log")))

    def metrics(self, name: str) -> list[float]:
        """The values of a metric that were written so far."""
        lines = [json.loads(line) for line in self.log().splitlines() if '"_aws"' in line]
        return [value for line in lines for value in line.get(name, [])]

    def close(self) -> None:
        with self._lock:
            every = [*self._idle, *self._busy, *self._retired]
        for environment in every:
            environment.kill()


class LocalLambda:
    """The Invoke API of some functions; `url` is for `AWS_ENDPOINT_URL_LAMBDA`."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self._server = serve(_InvokeApi, functions=self.functions)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, function: Function) -> Function:
        self.functions[function.name] = function
        return function

    def close(self) -> None:
        for function in self.functions.values():
            function.close()
        self._server.shutdown()
        self._server.server_close()


class _InvokeApi(Handler):
    functions: dict[str, Function]

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        payload = self.body()
        name = self.path.split("/functions/")[1].split("/")[0]
        function = self.functions.get(name)
        if function is None:
            self._refuse(404, "ResourceNotFoundException", f"Function not found: {name}")
            return
        try:
            answer = function.invoke(payload)
        except Busy:
            self._refuse(429, "TooManyRequestsException", "Rate Exceeded.")
            return
        if function.loses_answer():
            self.close_connection = True
            self.connection.close()
            return
        headers = {"x_amz_executed_version": "1"}
        if answer.error:
            headers["x_amz_function_error"] = answer.error
        self.reply(200, answer.payload, **headers)

    def _refuse(self, status: int, kind: str, message: str) -> None:
        body: dict[str, Any] = {"Type": "User", "Message": message}
        self.reply(status, json.dumps(body).encode(), x_amzn_errortype=kind)
