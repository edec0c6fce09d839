"""The processes of a server with several workers: one supervisor, which starts, watches and stops the others.

Workers are forked, so that they share the memory of what was imported. The supervisor opens no store and
starts no thread. It keeps the listening sockets open: a client that connects while a worker is replaced waits
in the backlog for the next.

| signal to the supervisor | effect |
|---|---|
| SIGTERM, SIGINT | workers finish their requests and end, the writer last; a second signal kills them |
| SIGHUP | workers are replaced one after the other |
"""

import logging
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

log = logging.getLogger("lamdb.server")

_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
_TICK: Final = 0.2
_READY: Final = b"\0ready"
_GRACE: Final = 10.0
"""Seconds beyond its own limit that a worker has to end, until it is killed."""
_LONG_LIVED: Final = 10.0
"""Seconds after which the end of a worker counts as its first."""
_LONGEST_PAUSE: Final = 5.0

type Ready = Callable[[str], None]
"""Called by a worker when it serves, with a message to the supervisor."""


class WorkerJob(NamedTuple):
    """A worker's name and work. `run` returns after SIGTERM, or when the descriptor `life` is at its end:
    then the supervisor is gone."""

    name: str
    run: Callable[[Ready, int], None]


@dataclass
class _Worker:
    """A running process of a role."""

    pid: int
    ready: int
    """The end of a pipe that its message comes from."""
    started: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        if self.ready >= 0:
            os.close(self.ready)
            self.ready = -1


@dataclass
class _Slot:
    role: WorkerJob
    worker: _Worker | None = None
    failures: int = 0
    retry_at: float = 0.0


class StartFailed(Exception):
    """A worker ended before it served; `status` is its exit status."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(f"{name} ended with status {status} before it served")
        self.status = status


class Supervisor:
    """Runs a writer and the workers that need it."""

    def __init__(
        self,
        writer: WorkerJob,
        readers: Sequence[WorkerJob],
        *,
        stop_seconds: float,
        on_writer_down: Callable[[], None],
    ) -> None:
        """`stop_seconds`: how long a worker may take to finish its requests. `on_writer_down` is called when
        the writer has ended, or is about to end while the others go on."""
        self._on_writer_down = on_writer_down
        self._writer = _Slot(writer)
        self._readers = [_Slot(role) for role in readers]
        self._stop_seconds = stop_seconds + _GRACE
        self._ended: dict[int, int] = {}
        """Exit statuses by pid."""
        self._stops = 0
        self._reloads = False
        self._life = os.pipe()

    def run(self, on_ready: Callable[[str], None]) -> int:
        """Returns the exit status after a stop. `on_ready` gets the writer's message once all serve.

        Returns in the supervisor only; a worker leaves by `SystemExit` or what its role raises.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            message = self._start(self._writer)
            for slot in self._readers:
                self._start(slot)
            if not self._stops:
                on_ready(message)
            while not self._stops:
                self._wait(_TICK)
                self._restart_ended()
                if self._reloads:
                    self._reload()
            return self._stop()
        except StartFailed as failed:
            log.error("the server does not start", extra={"reason": str(failed)})
            self._stop()
            return failed.status or 1
        finally:
            if os.getpid() == self._pid:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    _pid: int = 0

    @property
    def _slots(self) -> list[_Slot]:
        return [self._writer, *self._readers]

    # Starting

    def _fork(self, slot: _Slot) -> _Worker:
        self._pid = os.getpid()
        receive, send = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(receive)
            os.close(self._life[1])
            signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # A terminal sends it to all; the supervisor decides.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

            def ready(message: str) -> None:
                os.write(send, message.encode() + _READY)
                os.close(send)

            slot.role.run(ready, self._life[0])
            raise SystemExit(0)
        os.close(send)
        return _Worker(pid, receive)

    def _start(self, slot: _Slot) -> str:
        """Starts a worker and returns its message. Raises `StartFailed`."""
        if self._stops:
            return ""
        slot.worker = self._fork(slot)
        try:
            return self._await(slot.role.name, slot.worker)
        except StartFailed:
            slot.worker = None
            raise

    def _await(self, name: str, worker: _Worker) -> str:
        """The message of a worker, once it serves; empty after a signal to stop. Raises `StartFailed`."""
        received = b""
        while not self._stops:
            if not select.select([worker.ready], [], [], 0)[0]:
                self._wait(0.02)
                continue
            piece = os.read(worker.ready, 65536)
            received += piece
            if piece:
                continue
            worker.close()
            if received.endswith(_READY):
                return received.removesuffix(_READY).decode()
            raise StartFailed(name, self._await_end(worker))
        return ""

    # Watching

    def _wait(self, seconds: float) -> None:
        """Returns after a signal, or after so long."""
        found = signal.sigtimedwait(_SIGNALS, seconds)
        if found is not None and found.si_signo in (signal.SIGTERM, signal.SIGINT):
            self._stops += 1
        elif found is not None and found.si_signo == signal.SIGHUP:
            self._reloads = True
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._ended[pid] = os.waitstatus_to_exitcode(status)

    def _restart_ended(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            worker = slot.worker
            if worker is not None and worker.pid in self._ended:
                status = self._ended.pop(worker.pid)
                slot.failures = 1 if now - worker.started > _LONG_LIVED else slot.failures + 1
                slot.retry_at = now + min(_LONGEST_PAUSE, 0.1 * 2 ** min(slot.failures - 1, 10) - 0.1)
                slot.worker = None
                worker.close()
                if slot is self._writer:
                    self._on_writer_down()
                log.error(
                    "a worker ended, and is started again", extra={"role": slot.role.name, "status": status}
                )
            if slot.worker is None and now >= slot.retry_at:
                slot.worker = self._fork(slot)

    def _reload(self) -> None:
        """Replaces workers one after the other. One that cannot be replaced is kept."""
        self._reloads = False
        log.info("replacing the workers")
        for slot in self._readers:
            old, new = slot.worker, self._fork(slot)
            try:
                self._await(slot.role.name, new)
            except StartFailed as failed:
                log.error("a worker cannot be replaced", extra={"reason": str(failed)})
                continue
            slot.worker = new
            if old is not None:
                self._end(old)
        if self._stops:
            return
        # One writer at a time: two would fence each other. Mutations wait meanwhile.
        if self._writer.worker is not None:
            self._on_writer_down()
            self._end(self._writer.worker)
        try:
            self._start(self._writer)
        except StartFailed as failed:
            log.error("the writer does not start", extra={"reason": str(failed)})
            self._writer.worker = None

    # Stopping

    def _end(self, worker: _Worker) -> int:
        """Lets a worker finish its requests; its exit status."""
        self._kill(worker, signal.SIGTERM)
        return self._await_end(worker)

    def _await_end(self, worker: _Worker) -> int:
        deadline = time.monotonic() + self._stop_seconds
        stops = self._stops
        while worker.pid not in self._ended:
            self._wait(0.05)
            if time.monotonic() > deadline or self._stops > max(stops, 1):
                self._kill(worker, signal.SIGKILL)
        return self._ended.pop(worker.pid)

    def _stop(self) -> int:
        """Ends all workers, the writer last, as the others may wait for it."""
        readers = [slot.worker for slot in self._readers if slot.worker is not None]
        for worker in readers:
            self._kill(worker, signal.SIGTERM)
        statuses = [self._await_end(worker) for worker in readers]
        if self._writer.worker is not None and self._writer.worker.pid not in self._ended:
            statuses.append(self._end(self._writer.worker))
        return 1 if any(statuses) else 0

    def _kill(self, worker: _Worker, number: int) -> None:
        if worker.pid not in self._ended:
            os.kill(worker.pid, number)
