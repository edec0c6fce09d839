"""How containers and this machine reach each other."""

import ipaddress
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path


class NoEngine(Exception):
    """There is no Docker engine that answers."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """`address` is what to listen on, so that containers can reach it as `name`."""

    address: str
    name: str

    @classmethod
    def find(cls) -> "Bridge":
        """Raises `NoEngine`.

        An engine on this very machine has a bridge whose address belongs to the machine. Docker Desktop runs
        its engine elsewhere, and has a name for this machine's loopback.
        """
        gateway = _gateway()
        try:
            with socket.create_server((gateway, 0)):
                return cls(gateway, gateway)
        except OSError:
            return cls("127.0.0.1", "host.docker.internal")

    def free_port(self) -> int:
        return free_port(self.address)


def _gateway() -> str:
    """The bridge's own address. Some engines tell it, others the network, of which it has the first one."""
    configured = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}"
    *gateway, subnet = docker("network", "inspect", "bridge", "--format", configured).split()
    return gateway[0] if gateway else str(next(ipaddress.ip_network(subnet).hosts()))


def free_port(address: str) -> int:
    """A port that nobody listens on; it stays free only as long as nobody else takes it."""
    with socket.create_server((address, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def docker(*arguments: str) -> str:
    """What the docker command prints. Raises `NoEngine` if it is not there or fails."""
    command = shutil.which("docker")
    if command is None:
        raise NoEngine("there is no `docker` command: install Docker")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoEngine(done.stderr.strip() or f"`docker {arguments[0]}` failed")
    return done.stdout.strip()


def remove_containers_of(build: Path) -> None:
    """Removes containers that run functions of a build: those that a SAM which was killed has left behind."""
    for function in build.glob("*Function"):
        left = docker("ps", "--all", "--quiet", "--filter", f"volume={function}")
        if left:
            docker("rm", "--force", "--volumes", *left.split())
