"""The command line as a person meets it: real processes, real text."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from io import StringIO
from pathlib import Path

import pytest

from meshai.reference import reference
from meshai.run import is_heard

pytestmark = pytest.mark.realtime

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def meshai(tmp_path):
    """Runs `meshai` on a device that has nothing yet."""

    def run(*arguments, stdin="", timeout=60, text=True):
        environment = {**os.environ, "MESHAI_HOME": str(tmp_path), "COLUMNS": "100"}
        command = [sys.executable, "-m", "meshai", *arguments]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=text, timeout=timeout, env=environment, check=False
        )

    return run


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from meshai.cli import main;"
        "print(CliRunner().invoke(main, ['--help']).output);"
        "heavy = {'trio', 'meshtastic', 'numpy', 'gguf', 'xllamacpp', 'httpx', 'rich', 'google'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_the_reference_in_the_docs_is_what_the_commands_say():
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), "run `make docs`"


def test_bare_meshai_says_what_it_found_and_the_next_command(meshai):
    done = meshai()
    assert done.returncode == 0, done.stderr
    assert "none on this device" in done.stdout
    assert "Next: meshai models get smollm2-135m" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ask", "Why?"], "no model and no radio"),
        (["ask"], "There is no question"),
        (["ask", "x" * 100_000], "100000 bytes"),
        (["ask", "Why?", "--radio", "pigeon"], "names no radio"),
        (["ask", "Why?", "--radio", "tcp:host:99999"], "names no radio"),
        (["up", "--allow", "bob"], "is no radio's number"),
        (["up", "--name", "x" * 30], "can't be a node's name"),
        (["ask", "Why \udcff?"], "no model and no radio"),
        (["ask", "Why?", "--model", "\udcff"], "no model and no radio"),
        (["up", "--name", "\udcff"], "can't be a node's name"),
        (["up", "--model", "nobody-knows"], "nobody-knows"),
        (["peers"], "meshai up"),
        (["demo", "--model", "nobody-knows"], "nobody-knows"),
        (["demo", "--preset", "WARP"], "unknown preset"),
        (["sim", "radios", "--off", "Q"], "no radio 'Q'"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_and_exits_with_1(meshai, arguments, words):
    done = meshai(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert words.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_with_json_an_error_is_an_object_on_stdout(meshai):
    done = meshai("ask", "Why?", "--json")
    error = json.loads(done.stdout)
    assert done.returncode == 1
    assert error["error"] == "nobody can answer"
    assert error["fix"]


def test_a_question_of_100000_characters_from_standard_input_is_refused(meshai):
    done = meshai("ask", "-", stdin="x" * 100_000)
    assert done.returncode == 1
    assert "100000 bytes" in done.stderr


def test_standard_input_that_is_no_text_is_a_question_all_the_same(meshai):
    done = meshai("ask", "-", stdin=b"Why \xff?", text=False)
    assert done.returncode == 1
    assert b"no model and no radio" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("ask -", 1),
        ("chat --radio none", 0),
        ("up --model none --leave-with-stdin", 0),
        ("sim radios --leave-with-stdin", 0),
    ],
)
def test_closed_standard_input_is_the_end_of_input(tmp_path, arguments, status):
    command = f"exec {sys.executable} -m meshai {arguments} <&-"
    environment = {**os.environ, "MESHAI_HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def node(tmp_path):
    """Starts `meshai up` in `tmp_path / "n"`; whatever the test did, it is killed in the end."""
    with ExitStack() as started:

        def up(*prefix):
            environment = {**os.environ, "MESHAI_HOME": str(tmp_path)}
            state = ["--state", str(tmp_path / "n")]
            command = [*prefix, sys.executable, "-m", "meshai", "up", "--model", "none", "--json", *state]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            started.enter_context(process)
            started.callback(process.kill)
            assert process.stdout is not None
            while '"ready"' not in process.stdout.readline():
                assert process.poll() is None
            return process

        yield up


def test_a_port_in_use_is_named(meshai):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = meshai("sim", "radios", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "in use" in done.stderr or "taken" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_node_and_nothing_is_left(tmp_path, node, number):
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
    try:
        process = node()
    finally:
        signal.signal(signal.SIGHUP, inherited)
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    assert not (tmp_path / "n" / "control.sock").exists()


def test_ctrl_c_again_and_again_ends_a_node_as_well_as_once(tmp_path, node):
    process = node()
    for _ in range(5):
        process.send_signal(signal.SIGINT)
    assert process.wait(10) == 128 + signal.SIGINT
    assert "Traceback" not in process.stderr.read()
    assert not (tmp_path / "n" / "control.sock").exists()


def test_what_nobody_reads_does_not_hold_a_node_up(monkeypatch):
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert is_heard()
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(4096))
        assert not is_heard()
        reader.read(8192)
        assert is_heard()
        monkeypatch.setattr(sys, "stdout", None)
        assert not is_heard()
        monkeypatch.setattr(sys, "stdout", StringIO())
        assert is_heard()
        monkeypatch.undo()


def test_started_with_nohup_a_node_outlives_its_terminal(node):
    process = node("nohup")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM


def test_a_strangers_package_of_the_same_name_is_named(tmp_path):
    (tmp_path / "protocol.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from meshai.cli import main; main(prog_name='meshai')"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "stranger" in done.stderr


def test_a_line_without_end_is_refused(meshai):
    done = meshai("chat", "--model", "none", stdin="x" * (2 << 20))
    assert done.returncode == 1
    assert "too long" in done.stderr
