"""A local Lambda: functions whose environments come, freeze and go, behind the Invoke API of boto3.

An account has so many concurrent executions (`Account`), of which functions may reserve some. AWS also says
that a function may be invoked synchronously ten times a second for each that it has reserved (`Function`'s
`rate`; https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html#api-requests).
"""

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from .environment import Answer, Environment, Handler, serve

ACCOUNT_CONCURRENCY = 1000


class Busy(Exception):
    """No environment may take the invocation; the reason is one of Lambda's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Account:
    """The concurrent executions that functions without a reservation share."""

    def __init__(self, concurrency: int = ACCOUNT_CONCURRENCY) -> None:
        self._left = threading.Semaphore(concurrency)

    def enter(self) -> bool:
        return self._left.acquire(blocking=False)

    def leave(self) -> None:
        self._left.release()


class Function:
    """Starts environments as they are needed, and uses again those that are idle, the last used first."""

    def __init__(
        self,
        code: Path,
        variables: dict[str, str],
        logs: Path,
        *,
        reserved: int | None = None,
        rate: float | None = None,
        account: Account | None = None,
        timeout: float = 29.0,
        nice: int = 0,
    ) -> None:
        """`reserved`: how many invocations may run at once. `rate`: how many may begin in a second.

        `nice`: by how much environments step back behind others, once they have answered something.
        """
        self.name = code.name
        self.variables = variables
        self.refused: Counter[str] = Counter()
        """Throttled invocations by reason."""
        self.invocations = 0
        self.starts = 0
        self.service_seconds: list[float] = []
        self.loses_answer: Callable[[], bool] = lambda: False
        """Asked after each invocation through the API: if so, the connection breaks in place of an answer."""
        self.on_restore: Callable[[], None] = lambda: None
        """Called when an environment that is initialised for a snapshot (SnapStart) has reached it."""
        self.code = code
        self._logs = logs
        self._reserved = reserved
        self._rate = rate
        self._account = account or Account()
        self._timeout = timeout
        self._nice = nice
        self._lock = threading.Lock()
        self._idle: list[Environment] = []
        self._busy: set[Environment] = set()
        self._running = 0
        self._begun: deque[float] = deque()
        self._every: list[Environment] = []
        self._numbers = count(1)

    @property
    def throttles(self) -> int:
        return self.refused.total()

    @property
    def running(self) -> int:
        """Invocations that are being executed."""
        return self._running

    def invoke(self, payload: bytes) -> Answer:
        """Raises `Busy`."""
        environment = self._acquire()
        try:
            begun = time.monotonic()
            answer = environment.invoke(payload)
            self.service_seconds.append(time.monotonic() - begun)
            return answer
        finally:
            self._release(environment)

    def invoke_later(self, payload: bytes, attempts: int = 3) -> None:
        """As Lambda's queue of invocations: throttled ones until they are taken, failed ones twice more."""
        while attempts:
            try:
                if self.invoke(payload).error is None:
                    return
                attempts -= 1
            except Busy:
                pass
            time.sleep(0.2)

    def _acquire(self) -> Environment:
        with self._lock:
            self._admit()
            self._running += 1
            self.invocations += 1
            alive = [each for each in self._idle if not each.dead]
            environment = alive.pop() if alive else None
            self._idle = alive
        if environment is None:
            environment = self._start()
        with self._lock:
            self._busy.add(environment)
        return environment

    def _admit(self) -> None:
        """Raises `Busy`."""
        now = time.monotonic()
        if self._rate is not None:
            while self._begun and self._begun[0] <= now - 1:
                self._begun.popleft()
            if len(self._begun) >= self._rate:
                raise self._refusal("ReservedFunctionInvocationRateLimitExceeded")
        if self._reserved is None:
            if not self._account.enter():
                raise self._refusal("ConcurrentInvocationLimitExceeded")
        elif self._running >= self._reserved:
            raise self._refusal("ReservedFunctionConcurrentInvocationLimitExceeded")
        if self._rate is not None:
            self._begun.append(now)

    def _refusal(self, reason: str) -> Busy:
        self.refused[reason] += 1
        return Busy(reason)

    def _start(self) -> Environment:
        with self._lock:
            self.starts += 1
            log = self._logs / f"{self.name}-{next(self._numbers)}.log"
        environment = Environment(self.code, self.variables, log, self._timeout, lambda: self.on_restore())
        self._every.append(environment)
        return environment

    def _release(self, environment: Environment) -> None:
        environment.step_back(self._nice)
        with self._lock:
            self._running -= 1
            if self._reserved is None:
                self._account.leave()
            if environment in self._busy:
                self._busy.remove(environment)
                if environment.usable:
                    self._idle.append(environment)

    def provision(self, environments: int, *warm_up: bytes, at_once: int = 4) -> None:
        """Starts so many environments, and has each answer these invocations."""

        def start(_: int) -> Environment:
            environment = self._start()
            assert environment.ready(), environment.log.read_text()
            for payload in warm_up:
                answer = environment.invoke(payload)
                assert answer.error is None, answer.payload
            return environment

        with ThreadPoolExecutor(at_once) as threads:
            ready = list(threads.map(start, range(environments)))
        with self._lock:
            self._idle += ready

    def environments(self) -> list[Environment]:
        """Busy ones first."""
        with self._lock:
            return [*self._busy, *self._idle]

    def working(self) -> list[Environment]:
        """Those that are in the middle of an invocation."""
        with self._lock:
            return [each for each in self._busy if each.working]

    def retire(self) -> list[Environment]:
        """A deployment: the next invocation gets a new environment; those so far, which stay frozen."""
        with self._lock:
            old = [*self._idle, *self._busy]
            self._idle.clear()
            self._busy.clear()
        return old

    def kill_any(self) -> None:
        """Kills one environment, if there is any, busy ones first."""
        for victim in self.environments()[:1]:
            victim.kill()

    def log(self) -> str:
        """All that its environments have written."""
        return "".join(path.read_text() for path in sorted(self._logs.glob(f"{self.name}-*.log")))

    def metrics(self, name: str) -> list[float]:
        """The values of a metric that were written so far."""
        lines = [json.loads(line) for line in self.log().splitlines() if '"_aws"' in line]
        return [value for line in lines for value in line.get(name, [])]

    def close(self) -> None:
        for environment in list(self._every):
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
        self._server.close()


class _InvokeApi(Handler):
    functions: dict[str, Function]

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        payload = self.body()
        name = self.path.split("/functions/")[1].split("/")[0]
        function = self.functions.get(name)
        if function is None:
            self._refuse(404, "ResourceNotFoundException", f"Function not found: {name}")
            return
        if self.headers.get("x-amz-invocation-type") == "Event":
            threading.Thread(target=function.invoke_later, args=(payload,), daemon=True).start()
            self.reply(202)
            return
        try:
            answer = function.invoke(payload)
        except Busy as busy:
            self._refuse(429, "TooManyRequestsException", "Rate Exceeded.", Reason=busy.reason)
            return
        if function.loses_answer():
            self.close_connection = True
            self.connection.close()
            return
        headers = {"x_amz_executed_version": "1"}
        if answer.error:
            headers["x_amz_function_error"] = answer.error
        self.reply(200, answer.payload, **headers)

    def _refuse(self, status: int, kind: str, message: str, **more: str) -> None:
        body: dict[str, Any] = {"Type": "User", "Message": message, **more}
        self.reply(status, json.dumps(body).encode(), x_amzn_errortype=kind)
