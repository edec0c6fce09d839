"""SnapStart: credentials from an endpoint, asked again after the restore; random numbers seeded anew."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from .cluster import CREATE, NAMES, Cluster
from .environment import Handler, serve

TOKEN = "the endpoint's token"


class _Credentials(Handler):
    keys: list[str]
    asked: list[str]

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        if self.headers.get("authorization") != TOKEN:
            self.reply(403)
            return
        self.asked.append(self.keys[-1])
        expires = datetime.now(UTC) + timedelta(hours=6)
        answer = {
            "AccessKeyId": self.keys[-1],
            "SecretAccessKey": "secret",
            "Token": "session",
            "Expiration": expires.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        self.reply(200, json.dumps(answer).encode())


def test_a_restored_reader_has_new_credentials(cluster: Cluster) -> None:
    keys, asked = ["before"], list[str]()
    server = serve(_Credentials, keys=keys, asked=asked)

    def restored() -> None:
        # The snapshot was taken long ago: its credentials are of no use any more.
        keys.append("after")
        cluster.s3.restrict(before="nothing")

    reader = cluster.reader
    keyless = {name: text for name, text in reader.variables.items() if "KEY" not in name}
    # The writer has none of this.
    reader.variables = keyless | {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
    }
    reader.on_restore = restored
    try:
        assert cluster.post(NAMES).items == []
        assert (keys, asked) == (["before", "after"], ["before"]), "initialised before the snapshot"
        for name in "ab":
            written = cluster.post(CREATE, {"name": name})
            found = cluster.post(NAMES, x_lamdb_txid=str(written.txid)).items
            assert found[-1] == {"name": name}
            assert asked == ["before", "after"], "credentials are kept as long as they are valid"
    finally:
        server.close()


SEEDED = """
import os, random, sys
if sys.argv[1] == "sqlite":
    import apsw
from lamdb.cluster.runtime.snapstart import after_restore, seed
after_restore(lambda: print("renewed"))
draw = (lambda: apsw.randomness(16).hex()) if sys.argv[1] == "sqlite" else random.random
draw()
state = random.getstate()
for _ in range(2):
    # Two environments that are restored from this state.
    read, write = os.pipe()
    if os.fork() == 0:
        import snapshot_restore_py
        random.setstate(state)  # Python seeds anew when a process forks, and Lambda does not fork.
        if sys.argv[2] == "restored":
            for call, arguments, named in snapshot_restore_py.get_after_restore():
                call(*arguments, **named)
        print("drawn", draw(), flush=True)
        os._exit(0)
    os.wait()
"""


def draws(source: str, how: str, kind: str = "snap-start") -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", SEEDED, source, how],
        env={"PATH": os.environ["PATH"], "AWS_LAMBDA_INITIALIZATION_TYPE": kind},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in run.stdout.splitlines() if line.startswith("drawn")]


def test_environments_of_one_snapshot_draw_different_random_numbers() -> None:
    for source in ("python", "sqlite"):
        restored = draws(source, "restored")
        assert len(restored) == len(set(restored)) == 2, source


def test_without_the_hooks_they_would_draw_the_same() -> None:
    for source in ("python", "sqlite"):
        assert len(set(draws(source, "not restored"))) == 1, source
    # Nothing is registered where no snapshot is taken.
    assert len(set(draws("python", "restored", kind="on-demand"))) == 1
