"""The output of commands: JSON for programs, colours and bars on terminals only, help, completion."""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.command_line import Run, run

from lamdb.cli.app import lines_of
from lamdb.cli.output import CommandOutput
from lamdb.cli.reference import commands

__all__ = ["run"]

LAMDB = str(Path(sys.executable).with_name("lamdb"))
COMMANDS = commands()
ESCAPE = "\x1b["
AWS = {
    **os.environ,
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_prints_json_if_asked(path: str) -> None:
    flags = [option for each in COMMANDS[path].params for option in each.opts]
    assert "--json" in flags


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_shows_how_it_is_used(path: str) -> None:
    lines = lines_of(COMMANDS[path].epilog)
    assert lines
    assert [line for line in lines if not line.startswith(path)] == []


@pytest.mark.parametrize("path", COMMANDS)
def test_examples_use_what_there_is(path: str) -> None:
    known = {option for each in COMMANDS[path].params for option in (*each.opts, *each.secondary_opts)}
    used = {
        word for line in lines_of(COMMANDS[path].epilog) for word in line.split() if word.startswith("--")
    }
    assert used <= known


@pytest.mark.parametrize("path", COMMANDS)
def test_errors_are_json_too(run: Run, path: str) -> None:
    done = run(*path.split()[1:], "--nope", "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == "USAGE"
    assert done.err.startswith("lamdb: No such option: --nope")
    assert f"hint: `{path} -h` shows its usage." in done.err


def test_an_error_says_the_same_to_programs_and_people(run: Run, tmp_path: Path) -> None:
    done = run("status", "--store", f"file://{tmp_path}/none", "--json")
    error = done.json["error"]
    assert (done.code, error["code"]) == (1, "NOT_A_STORE")
    assert f"lamdb: {error['message']}\n  code: NOT_A_STORE\n  hint: {error['hint']}\n" == done.err
    assert run("status", "--store", f"file://{tmp_path}/none").out == ""


@pytest.mark.parametrize("path", ["lamdb", "lamdb migrate", *COMMANDS])
def test_help_has_headings_and_no_markup(run: Run, path: str) -> None:
    done = run(*path.split()[1:], "-h")
    assert (done.code, done.err) == (0, "")
    assert "Usage: lamdb" in " ".join(done.out.split())
    assert ESCAPE not in done.out, "no colours where there is no terminal"
    assert "<bool>" not in done.out
    if "--store" in done.out and path in COMMANDS:
        assert "Which database" in done.out
        assert "LAMDB_STORE" in done.out, "square brackets are no markup"


# Terminals


def on_a_terminal(*arguments: str, **variables: str) -> str:
    """The output of a command on a terminal."""
    inside, outside = pty.openpty()
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("LAMDB_", "NO_COLOR"))}
    process = subprocess.Popen(
        [LAMDB, *arguments],
        stdin=outside,
        stdout=outside,
        stderr=outside,
        env={**environ, "TERM": "xterm-256color", **variables},
    )
    os.close(outside)
    written = b""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if select.select([inside], [], [], 0.1)[0]:
            try:
                part = os.read(inside, 65536)
            except OSError:  # The other end is closed.
                break
            written += part
    process.wait(60)
    os.close(inside)
    return written.decode()


def test_colours_on_a_terminal_unless_they_are_not_wanted() -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert colour.search(on_a_terminal("-h"))
    assert not colour.search(on_a_terminal("-h", NO_COLOR="1"))


@pytest.mark.parametrize(
    ("terminal", "is_json", "shown"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_progress_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
    is_json: bool,
    shown: bool,
) -> None:
    monkeypatch.setattr(
        "lamdb.cli.progress.Console", lambda **options: Console(**options, force_terminal=terminal, width=80)
    )
    output = CommandOutput(is_json=is_json)
    with output.progress_bar("restoring") as progress:
        progress(1, 2)
    with output.waiting("verifying"):
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert ("restoring" in err, "verifying" in err) == (shown, shown)


def test_a_result_is_lines_or_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    def lines() -> Iterator[str]:
        yield "first"
        yield "second"

    for is_json, expected in ((False, "first\nsecond\n"), (True, '{\n  "n": 2\n}\n')):
        CommandOutput(is_json=is_json).result({"n": 2}, lines())
        assert capsys.readouterr().out == expected
    CommandOutput(is_json=False).result({"n": 2}, "one text")
    assert capsys.readouterr().out == "one text\n"


def test_announcements_are_no_part_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    CommandOutput(is_json=True).announce(["warning: a"])
    assert capsys.readouterr().out == ""
    CommandOutput(is_json=False).announce(["warning: a", "warning: b"])
    assert capsys.readouterr().out == "warning: a\nwarning: b\n"


# Completion


def complete(shell: str, instruction: str, **variables: str) -> str:
    environ = {**os.environ, "_LAMDB_COMPLETE": f"{instruction}_{shell}", **variables}
    return subprocess.run([LAMDB], env=environ, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("shell", "part"),
    [
        ("bash", "complete -o default -F _lamdb_completion lamdb"),
        ("zsh", "compdef _lamdb_completion lamdb"),
        ("fish", "complete --command lamdb"),
    ],
)
def test_the_script_for_each_shell(shell: str, part: str) -> None:
    assert part in complete(shell, "source")


def test_bash_reads_the_script_and_completes(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    script = tmp_path / "complete.bash"
    script.write_text(complete("bash", "source"))
    typed = "COMP_WORDS=(lamdb migrate dep); COMP_CWORD=2"
    line = f'. {script}; {typed}; _lamdb_completion lamdb; echo "${{COMPREPLY[@]}}"'
    path = f"{Path(LAMDB).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [bash, "-c", line], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "deploy"


def test_commands_options_and_nothing_else_are_completed() -> None:
    words = {"COMP_WORDS": "lamdb ", "COMP_CWORD": "1"}
    assert {"serve", "query", "status"} <= set(complete("bash", "complete", **words).split())
    words = {"COMP_WORDS": "lamdb status --st", "COMP_CWORD": "2"}
    assert set(complete("bash", "complete", **words).split()) == {"--store", "--stack"}


def test_the_documentation_names_each_shell() -> None:
    document = (Path(__file__).parents[3] / "docs/cli.md").read_text()
    for shell in ("bash", "zsh", "fish"):
        assert f"_LAMDB_COMPLETE=source_{shell} lamdb" in document


def test_json_is_json_for_any_text(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text(
        'datasource db {\n  provider = "sqlite"\n}\n\n/// "Ünïcode" \\ \u2028\nmodel A {\n  id Int @id\n}\n'
    )
    shown = run("schema", "show", "--json", "--database", tmp_path)
    assert "Ünïcode" in json.dumps(shown.json, ensure_ascii=False)


@pytest.mark.parametrize("options", [("--url", "{}"), ("--function", "f")])
def test_ctrl_c_ends_a_command_that_waits(options: tuple[str, str]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [LAMDB, "query", "{ a }", *(option.format(url) for option in options)],
            env={**AWS, "AWS_ENDPOINT_URL_LAMBDA": url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Whoever runs tests in the background may have turned Ctrl-C off.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1), "it has asked, and waits for the answer"
            process.send_signal(signal.SIGINT)
            try:
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
    assert (process.returncode, out, err) == (130, b"", b"")
