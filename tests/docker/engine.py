"""A Docker engine for the tests: the one that answers, or a private one that ends with them."""

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

START_SECONDS = 60
STOP_SECONDS = 60


class NoEngine(Exception):
    """No engine answers, and none can be started."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Use `environment` for each process that talks to it."""

    environment: Mapping[str, str]
    private: bool

    def run(
        self, *arguments: str, cwd: Path | None = None, stdin: IO[bytes] | None = None, check: bool = True
    ) -> str:
        """The output of the docker command. Raises `AssertionError` with all it said if it fails."""
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **self.environment},
            cwd=cwd,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def remove_images(self, pattern: str) -> None:
        if found := self.run("images", "--quiet", pattern).split():
            self.run("rmi", "--force", *set(found), check=False)


@contextmanager
def engine() -> Iterator[Engine]:
    """Raises `NoEngine`, with the reason."""
    if shutil.which("docker") is None:
        raise NoEngine("there is no `docker` command (Debian: apt-get install docker.io iptables)")
    if _answers({}):
        yield Engine({}, private=False)
        return
    for needed in ("dockerd", "iptables", "ip"):
        if shutil.which(needed) is None:
            raise NoEngine(
                f"no Docker engine answers, and there is no `{needed}` to start one with "
                "(Debian: apt-get install docker.io iptables iproute2)"
            )
    if os.geteuid() != 0:
        raise NoEngine("no Docker engine answers, and only root can start one")
    with _private() as started:
        yield started


@contextmanager
def _private() -> Iterator[Engine]:
    # Not pytest's directory for a test: a socket's path may have 108 bytes at most.
    with tempfile.TemporaryDirectory(prefix="lamdb-docker-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        started = Engine({"DOCKER_HOST": f"unix://{home}/docker.sock"}, private=True)
        log = home / "log"
        with _bridge() as bridge:
            with log.open("wb") as output:
                daemon = subprocess.Popen(
                    _command(home, bridge), stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            try:
                _wait(daemon, started, log)
                yield started
            finally:
                daemon.terminate()
                try:
                    daemon.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
                _unmount(home)


@dataclass(frozen=True, slots=True)
class Bridge:
    """A network bridge and its addresses, `10.NUMBER.0.0/16`."""

    number: int

    @property
    def name(self) -> str:
        return f"lamdb{self.number}"

    @property
    def gateway(self) -> str:
        return f"10.{self.number}.0.1/24"

    @property
    def pool(self) -> str:
        """The addresses of the networks that compose makes, in the form of `--default-address-pool`."""
        return f"base=10.{self.number}.128.0/17,size=24"


@contextmanager
def _bridge() -> Iterator[Bridge]:
    """A bridge of this engine alone.

    Two engines on `docker0` give two containers the same address, and so does a killed engine that left its
    containers behind. Requests then reach the wrong container, or none. Raises `NoEngine`.
    """
    for bridge in map(Bridge, random.sample(range(160, 250), 10)):
        # Fails if the name is taken, so that it is a lock, too.
        if not (complaint := _ip("link", "add", "name", bridge.name, "type", "bridge")):
            break
    else:
        raise NoEngine(f"no network bridge can be made: {complaint}")
    try:
        _ip("address", "add", bridge.gateway, "dev", bridge.name)
        _ip("link", "set", bridge.name, "up")
        yield bridge
    finally:
        _ip("link", "delete", bridge.name)


def _ip(*arguments: str) -> str:
    """Returns the error message of the command, which is empty if it succeeds."""
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False).stderr.strip()


def _unmount(home: Path) -> None:
    """The mounts that an engine leaves behind, which would keep its directory from being removed."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed([each for each in mounted if each.startswith(f"{home}/")]):
        subprocess.run(["umount", place], check=False, capture_output=True)


def _command(home: Path, bridge: Bridge) -> list[str]:
    places = ["--data-root", f"{home}/root", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid"]
    network = ["--bridge", bridge.name, "--default-address-pool", bridge.pool]
    # The engine ends even if the tests are killed, and its containers end with it.
    command = ["setpriv", "--pdeathsig", "TERM", "dockerd", "--host", f"unix://{home}/docker.sock"]
    return [*command, *places, *network, "--live-restore=false"]


def _wait(daemon: subprocess.Popen[bytes], started: Engine, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _answers(started.environment):
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.1)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise NoEngine(f"dockerd does not start:\n{last}")


def _answers(environment: Mapping[str, str]) -> bool:
    """True if there is an engine behind the command."""
    done = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0
