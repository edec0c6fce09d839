"""Base images made of this machine's own files, in place of those that a registry would have.

Each has what the real one has where our files rely on it: a shell and the usual commands, the C library,
CPython with pip in the official image's place, Node with npm in its own, or Lambda's runtime where Lambda has
it. They show that what is built on them works; not that it would on the real ones.
"""

import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from .engine import Engine

LAMBDA = "lamdb-tests/lambda-python:3.13"
PYTHON = "lamdb-tests/python:3.13"
PYTHON_BUILD = "lamdb-tests/python-build:3.13"
NODE = "lamdb-tests/node:local"
S3 = "lamdb-tests/moto:local"

COMMANDS = (
    *("bash", "cat", "chmod", "chown", "cp", "dash", "env", "find", "head", "id", "ln", "ls", "mkdir", "mv"),
    *("rm", "sed", "sleep", "sort", "touch", "tr", "uname", "xargs"),
)
# Nothing that runs here needs these parts of CPython's library.
LEFT_OUT = {"ensurepip", "idlelib", "site-packages", "test", "tests", "tkinter", "turtledemo"}
# What the real images have beside what the commands are linked to: all of the C library, and C++ for wheels.
LIBRARIES = (
    *("libdl.so.2", "libm.so.6", "libnss_dns.so.2", "libnss_files.so.2", "libpthread.so.0", "libresolv.so.2"),
    *("librt.so.1", "libutil.so.1", "libgcc_s.so.1", "libstdc++.so.6"),
)
SYSTEM_LIBRARIES = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/")
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/bin"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class Files:
    """The content of an image: files of this machine by their places in the image."""

    def __init__(self) -> None:
        self._copied: dict[str, Path] = {}
        self._links: dict[str, str] = {}
        self._texts: dict[str, tuple[str, int]] = {}
        self._directories: dict[str, int] = {}

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._directories[path] = mode

    def text(self, path: str, content: str, mode: int = 0o644) -> None:
        self._texts[path] = (content, mode)

    def link(self, path: str, target: str) -> None:
        self._links[path] = target

    def file(self, path: str, source: Path) -> None:
        self._copied[path] = source.resolve()

    def tree(self, path: str, source: Path, left_out: Iterable[str] = ()) -> None:
        skipped = set(left_out)
        for folder, inner, names in os.walk(source):
            inner[:] = [name for name in inner if name not in skipped and not name.startswith("config-")]
            for name in names:
                found = Path(folder, name)
                if found.exists():
                    self._copied[str(PurePosixPath(path) / found.relative_to(source).as_posix())] = found

    def libraries(self) -> None:
        """Adds the shared libraries that the files so far are linked to, where the loader looks for them."""
        native = [str(path) for path in self._copied.values() if _is_native(path)]
        # Its exit code only says that some are linked to nothing.
        listed = subprocess.run(["ldd", *native], capture_output=True, text=True, check=False).stdout
        for found in set(re.findall(r"(?:=>\s+|^\s+)(/\S+) \(0x", listed, re.MULTILINE)):
            inside = found if found.startswith(SYSTEM_LIBRARIES) else f"/usr/lib/{Path(found).name}"
            self._copied.setdefault(inside, Path(found).resolve())

    def write(self, output: tarfile.TarFile) -> None:
        for path, mode in self._directories.items():
            output.addfile(_entry(path, tarfile.DIRTYPE, mode))
        for path, source in self._copied.items():
            entry = output.gettarinfo(source, arcname=path.lstrip("/"))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            # A file that has two names here would become a link to one that is not in the image.
            entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", source.stat().st_size
            with source.open("rb") as content:
                output.addfile(entry, content)
        for path, (text, mode) in self._texts.items():
            entry = _entry(path, tarfile.REGTYPE, mode)
            entry.size = len(text.encode())
            output.addfile(entry, io.BytesIO(text.encode()))
        for path, target in self._links.items():
            entry = _entry(path, tarfile.SYMTYPE, 0o777)
            entry.linkname = target
            output.addfile(entry)


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.type, entry.mode = kind, mode
    return entry


def _is_native(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _base() -> Files:
    """The files common to all of them."""
    files = Files()
    for path in ("/etc", "/proc", "/sys", "/dev", "/run", "/var", "/opt", "/root", "/home", "/usr/bin"):
        files.directory(path)
    files.directory("/tmp", 0o1777)
    for name in COMMANDS:
        found = shutil.which(name)
        assert found is not None, f"this machine has no {name}"
        files.file(f"/bin/{name}", Path(found))
    files.link("/bin/sh", "dash")
    files.link("/usr/bin/env", "/bin/env")
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    for name in LIBRARIES:
        for directory in (f"/lib/{multiarch}", "/lib64", f"/usr/lib/{multiarch}", "/usr/lib64"):
            if (path := Path(directory, name)).exists():
                files.file(str(path), path)
                break
    files.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    files.text("/etc/group", "root:x:0:\n")
    files.text("/etc/nsswitch.conf", "hosts: files dns\n")
    if CERTIFICATES.exists():
        files.file(str(CERTIFICATES), CERTIFICATES)
    return files


def _add_python(files: Files, prefix: str, *distributions: str) -> None:
    """This CPython below `prefix`, with those distributions of the environment that the tests run in."""
    library = f"{prefix}/lib/python3.13"
    files.file(f"{prefix}/bin/python3.13", Path(sys.executable))
    for name in ("python", "python3"):
        files.link(f"{prefix}/bin/{name}", "python3.13")
    files.tree(library, Path(sysconfig.get_path("stdlib")), LEFT_OUT)
    for distribution in _with_dependencies(distributions):
        for file in distribution.files or ():
            if ".." not in file.parts and (source := Path(str(distribution.locate_file(file)))).is_file():
                files.file(f"{library}/site-packages/{file.as_posix()}", source)


def _with_dependencies(names: Iterable[str]) -> Iterator[importlib.metadata.Distribution]:
    wanted = [Requirement(name) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        requirement = wanted.pop()
        key = (requirement.name.lower(), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        distribution = importlib.metadata.distribution(requirement.name)
        yield distribution
        for text in distribution.requires or ():
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(needed)


def _load(engine: Engine, tag: str, files: Files, changes: Mapping[str, Iterable[str]]) -> str:
    """Makes an image; `changes` are instructions as in a Dockerfile. Returns its tag."""
    files.libraries()
    options = [
        part for kind, texts in changes.items() for text in texts for part in ("--change", f"{kind} {text}")
    ]
    reading, writing = os.pipe()

    def send() -> None:
        with os.fdopen(writing, "wb") as pipe, tarfile.open(fileobj=pipe, mode="w|") as output:
            files.write(output)

    sender = threading.Thread(target=send)
    sender.start()
    with os.fdopen(reading, "rb") as pipe:
        engine.run("import", *options, "-", tag, stdin=pipe)
    sender.join()
    return tag


BOOTSTRAP = """#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_python3.13
export PYTHONPATH=/var/task:/opt/python/lib/python3.13/site-packages:/opt/python:/var/runtime
exec /var/lang/bin/python3.13 -m awslambdaric "${_HANDLER:-$AWS_LAMBDA_FUNCTION_HANDLER}"
"""


def lambda_image(engine: Engine) -> str:
    """Where Lambda's own image of Python 3.13 has it: CPython, the runtime client and the SDK."""
    files = _base()
    for path in ("/var/task", "/var/rapid", "/opt"):
        files.directory(path)
    _add_python(files, "/var/lang", "awslambdaric", "boto3")
    files.text("/var/runtime/bootstrap", BOOTSTRAP, 0o755)
    variables = [
        "PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
        "LAMBDA_TASK_ROOT=/var/task",
        "LAMBDA_RUNTIME_DIR=/var/runtime",
        "LANG=en_US.UTF-8",
        "TZ=:/etc/localtime",
    ]
    start = {"WORKDIR": ["/var/task"], "ENTRYPOINT": ['["/var/runtime/bootstrap"]']}
    return _load(engine, LAMBDA, files, {"ENV": variables, **start})


def python_image(engine: Engine) -> str:
    """In place of python:3.13-slim."""
    files = _base()
    _add_python(files, "/usr/local")
    return _load(engine, PYTHON, files, {"ENV": [f"PATH={_PATH}"], "CMD": ['["python3"]']})


def python_build_image(engine: Engine, wheels: Path) -> str:
    """In place of python:3.13, without its compilers. pip finds wheels in the image, and asks no index."""
    files = _base()
    _add_python(files, "/usr/local", "pip")
    for name in ("strip", "objcopy"):
        found = shutil.which(name)
        assert found is not None, f"this machine has no {name} (Debian: apt-get install binutils)"
        files.file(f"/usr/bin/{name}", Path(found))
    files.tree("/wheels", wheels)
    variables = [f"PATH={_PATH}", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels"]
    return _load(engine, PYTHON_BUILD, files, {"ENV": variables})


def node_image(engine: Engine) -> str:
    """In place of node:22-slim. npm has what this machine's fetched before, and asks for the rest."""
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node is not None
    assert npm is not None
    files = _base()
    files.file("/usr/local/bin/node", Path(node))
    # npm-cli.js is in npm's own bin/.
    files.tree("/usr/local/lib/node_modules/npm", Path(npm).resolve().parents[1])
    files.link("/usr/local/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js")
    files.tree("/npm/_cacache", Path(_npm("cache"), "_cacache"))
    variables = [
        f"PATH={_PATH}",
        "npm_config_cache=/npm",
        "npm_config_prefer_offline=true",
        f"npm_config_registry={_npm('registry')}",
        f"NODE_EXTRA_CA_CERTS={CERTIFICATES}",
    ]
    return _load(engine, NODE, files, {"ENV": variables})


def s3_image(engine: Engine) -> str:
    """In place of motoserver/moto."""
    files = _base()
    _add_python(files, "/usr/local", "moto[server]")
    command = ["python3", "-c", "from moto.server import main; main()", "--host", "0.0.0.0", "--port", "5000"]
    return _load(engine, S3, files, {"ENV": [f"PATH={_PATH}"], "ENTRYPOINT": [json.dumps(command)]})


def _npm(setting: str) -> str:
    return subprocess.run(
        ["npm", "config", "get", setting], capture_output=True, text=True, check=True
    ).stdout.strip()
