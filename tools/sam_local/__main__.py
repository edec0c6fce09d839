"""The command: `python -m tools.sam_local`, after `sam build`."""

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import yaml

from lamdb.errors import LamdbError
from lamdb.server.instance import Instance
from lamdb.settings import Settings

from .containers import Bridge, NoEngine, free_port, remove_containers_of
from .processes import Sam, SamFailed, Server, stop
from .s3 import BUCKET, CREDENTIALS, LocalS3
from .template import function_arn, local_template

ROOT = Path(__file__).parents[2]
MEMORY = "memory"
TEMPLATE = "local.yaml"
PREFIX = "lamdb"
SAVE_SECONDS = 1.0

PARAMETERS = {
    "Architecture": "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64",
    "AuthMode": "NONE",
    "DirectRoutes": "true",
    "ExistingBucket": BUCKET,
    "GraphiQL": "true",
    # A container starts more slowly than Lambda's environments do, most of all the first time.
    "ProxyTimeout": "300",
    "StorePrefix": PREFIX,
}


class Stopped(Exception):
    """Someone pressed Ctrl-C, or asked the process to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        run(options)
    except Stopped:
        print("stopped", flush=True)
        return 0
    except (LamdbError, NoEngine, SamFailed, OSError) as error:
        print(f"sam-local: {error}", file=sys.stderr)
        return 1
    return 0


def run(options: argparse.Namespace) -> None:
    """Raises `Stopped` in the end, or what went wrong: `NoEngine`, `SamFailed`, `LamdbError`, `OSError`."""
    built = options.build / "template.yaml"
    if not built.is_file():
        raise SamFailed(f"there is no {built}: run `sam build` before (`make sam-build`)")
    directory = None if options.data == MEMORY else Path(options.data).absolute()
    bridge = Bridge.find()
    with ExitStack() as stack:
        s3 = stack.enter_context(LocalS3(bridge.address, directory))
        os.environ |= CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://{bridge.address}:{s3.port}"}
        _fill(options.database)
        port = bridge.free_port()
        variables = {
            "AWS_ENDPOINT_URL_S3": f"http://{bridge.name}:{s3.port}",
            "AWS_ENDPOINT_URL_LAMBDA": f"http://{bridge.name}:{port}",
        }
        template = local_template(yaml.safe_load(built.read_text()), PARAMETERS, variables)
        path = options.build.absolute() / TEMPLATE
        path.write_text(yaml.safe_dump(template, sort_keys=False))
        # Asking who calls would otherwise go to AWS itself; SAM asks its endpoint, which is the local one.
        sam = Sam(options.sam.absolute(), path, options.sam_options, {"SAM_CLI_TELEMETRY": "0"})
        stack.callback(remove_containers_of, options.build.absolute())
        servers: list[Server] = []
        stack.callback(stop, servers)
        servers.append(functions := sam.start_lambda(bridge.address, port))
        servers.append(api := sam.start_api(options.host, options.port or free_port(options.host)))
        _warm_up(functions, api)
        _announce(f"http://{options.host}:{api.port}", s3.port, bridge, path, directory)
        _keep(s3, functions, api)


def _fill(database: Path) -> None:
    """Migrations, and the seed if there are no rows yet: what `lamdb serve` does when it starts."""
    settings = {"LAMDB_STORE": f"s3://{BUCKET}/{PREFIX}", "LAMDB_DATABASE": str(database)}
    with Instance.open(Settings.load(settings)):
        pass


def _warm_up(functions: Server, api: Server) -> None:
    """Calls each function once, so that its container runs and what is wrong with it shows now."""
    for server in (functions, api):
        server.wait_until_it_listens()
    query = b'{"query": "{ __typename }"}'
    calls: list[Callable[[], bytes]] = [lambda: api.request("GET", "/health")]
    for name in ("ReaderFunction", "WriterFunction"):
        path = f"/2015-03-31/functions/{function_arn(name)}/invocations"
        calls.append(lambda path=path: functions.request("POST", path, query))  # type: ignore[misc]
    threads = ThreadPoolExecutor(len(calls))
    try:
        for answer in [threads.submit(call) for call in calls]:
            if b"errorMessage" in (body := answer.result()):
                raise SamFailed(f"a function does not start: {body.decode(errors='replace')}")
    finally:
        # Who stops now does not wait for an image to be fetched.
        threads.shutdown(wait=False, cancel_futures=True)


def _announce(url: str, port: int, bridge: Bridge, template: Path, directory: Path | None) -> None:
    shown = os.path.relpath(template)
    print(f"\nlamDB in Lambda's containers · {directory or 'in memory'}\n")
    print(f"  GraphiQL  {url}/")
    print(f"  GraphQL   {url}/graphql   (without the proxy: {url}/reader, {url}/writer)")
    print(f"  S3        http://{bridge.address}:{port}, s3://{BUCKET}/{PREFIX}")
    print(f"  Events    sam local invoke --template {shown} --event events/invoke.json ReaderFunction\n")
    print(f"Try it:\n  curl {url}/graphql -H 'content-type: application/json' \\")
    print("""    -d '{"query": "{ __schema { queryType { fields { name } } } }"}'\n""")
    print("Ctrl-C ends it.\n", flush=True)


def _keep(s3: LocalS3, *servers: Server) -> None:
    while True:
        time.sleep(SAVE_SECONDS)
        s3.save()
        for server in servers:
            server.check()


def _stop(number: int, frame: FrameType | None) -> None:
    # Only once: what comes while everything ends must not break that off.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Stopped


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sam-local",
        description="The AWS stack on this machine, in containers. Options after -- are SAM's.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address of the API (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=3000, help="its port; 0 takes a free one (default: 3000)")
    parser.add_argument(
        "--data", default=".lamdb/sam-local", metavar="DIR", help=f"where the bucket is kept, or {MEMORY!r}"
    )
    parser.add_argument("--database", type=Path, default=ROOT / "database", metavar="DIR", help="the project")
    parser.add_argument("--build", type=Path, default=ROOT / ".aws-sam/build", metavar="DIR")
    parser.add_argument("--sam", type=Path, default=ROOT / ".venv-sam/bin/sam", metavar="COMMAND")
    parser.add_argument("sam_options", nargs="*", metavar="-- OPTION")
    return parser


if __name__ == "__main__":
    sys.exit(main())
