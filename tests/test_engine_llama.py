"""The engine with a real model in a real worker process: answers, batching, cancelling, and a clean end."""

import os
import signal
import struct
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from nodes.engines.frames import FrameReader, pack_frame
from nodes.engines.llama import LlamaEngine
from nodes.engines.worker_process import Limits
from nodes.interfaces import Prompt
from protocol.errors import LocalError
from protocol.messages import Role, Turn

pytestmark = [pytest.mark.model, pytest.mark.realtime]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LONG = "Repeat after me: " + "word " * 1700


def _ask(text, *, max_tokens=24, temperature=0.0, before=()):
    return Prompt((*before, Turn(Role.USER, text)), max_tokens, temperature=temperature)


@asynccontextmanager
async def _running(path, **options):
    engine = LlamaEngine(path, "smollm2-135m", **options)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(60):
            await nursery.start(engine.run)
            yield engine
        nursery.cancel_scope.cancel()


async def _answer(engine, prompt):
    pieces = []
    finished = await engine.answer(prompt, pieces.append)
    return "".join(pieces), finished


def _cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _gone(pid, within_s):
    with trio.move_on_after(within_s):
        while _alive(pid):  # noqa: ASYNC110 - nobody but the kernel knows when a stranger's child is gone
            await trio.sleep(0.02)
    return not _alive(pid)


async def test_it_streams_an_answer_and_says_what_it_cost(model_file):
    async with _running(model_file) as engine:
        (offer,) = engine.models
        assert offer.name == "smollm2-135m"
        assert offer.context_tokens == 2048
        assert offer.tokens_per_s > 1
        assert not engine.completes_text
        pieces = []
        finished = await engine.answer(_ask("Why is the sky blue?", max_tokens=60), pieces.append)
        assert len(pieces) > 3
        assert "light" in "".join(pieces)
        assert finished.truncated
        assert finished.answer_tokens == 60
        assert 20 < finished.prompt_tokens < 60
        assert 0 < finished.first_token_s < finished.seconds


async def test_a_short_answer_ends_by_itself_and_the_system_turn_is_heard(model_file):
    async with _running(model_file) as engine:
        plain, finished = await _answer(engine, _ask("What is your name?", max_tokens=200))
        assert not finished.truncated
        assert "pirate" not in plain.lower()
        system = Turn(Role.SYSTEM, "You are a pirate. Talk like one and tell everybody.")
        answer, _ = await _answer(engine, _ask("What is your name?", max_tokens=60, before=(system,)))
        assert "pirate" in answer.lower()


async def test_askers_beyond_the_slots_wait_and_all_get_the_answer_they_would_get_alone(model_file):
    questions = ["Name a colour.", "Name an animal.", "Name a country.", "Name a fruit."]
    async with _running(model_file, slots=2) as engine:
        together = {}

        async def ask(question):
            together[question] = await _answer(engine, _ask(question))

        async with trio.open_nursery() as askers:
            for question in questions:
                askers.start_soon(ask, question)
        assert set(together) == set(questions)
        assert all(text and finished.answer_tokens for text, finished in together.values())
        assert len({text for text, _ in together.values()}) == len(questions)


async def test_cancelling_during_the_prompt_stops_the_workers_work_within_a_second(model_file):
    async with _running(model_file, slots=1) as engine:
        pid = engine.worker_pid
        before = _cpu_s(pid)
        with trio.move_on_after(0.8):
            await engine.answer(_ask(_LONG), lambda _: pytest.fail("the prompt was read too soon to test anything"))
        assert _cpu_s(pid) - before > 0.2
        await trio.sleep(1.0)
        settled = _cpu_s(pid)
        await trio.sleep(0.5)
        assert _cpu_s(pid) - settled <= 0.05
        with trio.fail_after(5):
            text, _ = await _answer(engine, _ask("Name a colour."))
        assert text
        assert engine.worker_pid == pid


async def test_cancelling_one_answer_leaves_the_other_alone(model_file):
    async with _running(model_file) as engine:
        alone, _ = await _answer(engine, _ask("Tell me about the sea.", max_tokens=60))
        async with trio.open_nursery() as nursery:

            async def ask_and_leave():
                with trio.move_on_after(0.3):
                    await engine.answer(_ask("Tell me about the moon.", max_tokens=500), lambda _: None)

            nursery.start_soon(ask_and_leave)
            beside, finished = await _answer(engine, _ask("Tell me about the sea.", max_tokens=60))
        assert finished.answer_tokens == 60
        assert beside[:20] == alone[:20]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_worker_lost_in_mid_answer_costs_that_answer_one_error(model_file, number):
    async with _running(model_file, limits=Limits(silence_s=3.0)) as engine:
        pid = engine.worker_pid
        pieces = []

        def emit(piece):
            pieces.append(piece)
            if len(pieces) == 2:
                os.kill(pid, number)

        with pytest.raises(LocalError, match="memory" if number == signal.SIGKILL else "hung"):
            await engine.answer(_ask("Tell me about the sea.", max_tokens=1000), emit)
        assert not _alive(pid)
        text, _ = await _answer(engine, _ask("Name a colour."))
        assert text
        assert engine.worker_pid != pid


async def test_ctrl_c_does_not_reach_the_worker(model_file):
    async with _running(model_file) as engine:
        pid = engine.worker_pid
        assert os.getpgid(pid) != os.getpgid(0)
        os.kill(pid, signal.SIGINT)
        text, _ = await _answer(engine, _ask("Name a colour."))
        assert text
        assert engine.worker_pid == pid


async def test_nobody_can_connect_to_the_worker(model_file):
    async with _running(model_file) as engine:
        sockets = set()
        for entry in Path(f"/proc/{engine.worker_pid}/fd").iterdir():
            target = os.readlink(entry)
            if target.startswith("socket:["):
                sockets.add(target[8:-1])
        assert sockets, "llama.cpp's listener was expected among the worker's files"
        for table in ("tcp", "tcp6", "udp", "udp6"):
            rows = Path(f"/proc/{engine.worker_pid}/net/{table}").read_text().splitlines()[1:]
            assert not sockets & {row.split()[9] for row in rows}
        rows = Path(f"/proc/{engine.worker_pid}/net/unix").read_text().splitlines()[1:]
        names = [row.split()[7] for row in rows if row.split()[6] in sockets and len(row.split()) > 7]
        assert names == ["unused.sock"]
        folder = Path(os.readlink(f"/proc/{engine.worker_pid}/cwd"))
        assert folder.stat().st_mode & 0o777 == 0o700
        assert list(folder.iterdir()) == []
    assert not folder.exists()


async def test_a_question_longer_than_the_context_is_a_clear_error(model_file):
    async with _running(model_file) as engine:
        pid = engine.worker_pid
        with pytest.raises(LocalError, match=r"too long for this model: it takes \d+ tokens and the model holds 2048"):
            await _answer(engine, _ask("why " * 25_000))
        text, _ = await _answer(engine, _ask("Name a colour."))
        assert text
        assert engine.worker_pid == pid


async def test_an_answer_that_fills_the_context_is_truncated(model_file):
    async with _running(model_file, slots=1, context_tokens=256) as engine:
        _, finished = await _answer(engine, _ask("Count upwards from one, forever.", max_tokens=10_000))
        assert finished.truncated
        assert finished.prompt_tokens + finished.answer_tokens <= 257


async def test_a_model_without_chat_template_continues_questions_and_answers(model_file, tmp_path):
    path = tmp_path / "plain.gguf"
    data = model_file.read_bytes()
    assert data.count(b"tokenizer.chat_template") == 1
    path.write_bytes(data.replace(b"tokenizer.chat_template", b"tokenizer.chat_templatX"))
    async with _running(path) as engine:
        assert engine.completes_text
        text, _ = await _answer(engine, _ask("What is the capital of France?", max_tokens=60))
        assert "Paris" in text
        assert "Question:" not in text
        assert text == text.strip()


async def test_files_that_hold_no_usable_model_are_clear_errors(model_file, tmp_path):
    no_model = tmp_path / "page.gguf"
    no_model.write_bytes(b"<html>Not found</html>")
    cut = tmp_path / "cut.gguf"
    with model_file.open("rb") as file:
        cut.write_bytes(file.read(20_000_000))
    for path, says in ((no_model, "no GGUF"), (cut, "cut short"), (tmp_path / "none.gguf", "No such file")):
        with pytest.raises(LocalError, match=says):
            await LlamaEngine(path, "broken").run()


async def test_a_model_larger_than_memory_is_refused_before_a_worker_starts(tmp_path):
    path = tmp_path / "huge.gguf"

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    elements = 1 << 40
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("tensor") + struct.pack("<IQIQ", 1, elements, 0, 0)
    path.write_bytes(head)
    os.truncate(path, 4 * elements + 4096)
    with pytest.raises(LocalError, match="larger than the memory"):
        await LlamaEngine(path, "huge", command=("/nonexistent/worker",)).run()


async def test_a_model_that_outgrows_its_memory_limit_is_a_clear_error(model_file):
    with pytest.raises(
        LocalError, match=r"can't be loaded: llama\.cpp says: .*(memory|alloc).* Choose a smaller model"
    ):
        await LlamaEngine(model_file, "smollm2-135m", memory_limit_mb=140).run()


def _load_frame(path, **more):
    return pack_frame(
        "load",
        {
            "binding": "xllamacpp",
            "path": str(path),
            "context_tokens": 2048,
            "slots": 1,
            "threads": 2,
            "chats": True,
            **more,
        },
    )


@pytest.fixture
def worker(tmp_path):
    """A worker process without its supervisor."""
    command = [sys.executable, "-P", "-m", "nodes.engines.llama_worker"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=tmp_path) as process:
        yield process
        process.kill()


def _read_until(process, kind):
    reader = FrameReader()
    while True:
        for frame in reader.feed(os.read(process.stdout.fileno(), 65536)):
            if frame[0] == kind:
                return frame


def test_the_worker_leaves_when_its_stdin_closes_in_mid_prompt(model_file, worker):
    worker.stdin.write(_load_frame(model_file))
    worker.stdin.flush()
    _read_until(worker, "ready")
    worker.stdin.write(pack_frame("ask", 1, [["user", _LONG]], 24, 0.0, None))
    worker.stdin.flush()
    _read_until(worker, "beat")
    worker.stdin.close()
    assert worker.wait(1.5) == 0


def test_the_worker_leaves_when_its_stdin_closes_while_it_loads(model_file, worker):
    worker.stdin.write(_load_frame(model_file, step_s_max=1e-9))
    worker.stdin.flush()
    maps = Path(f"/proc/{worker.pid}/maps")
    while model_file.name not in maps.read_text():
        assert worker.poll() is None
    worker.stdin.close()
    assert worker.wait(1.5) in (0, -signal.SIGIO)
    assert worker.stdout.read() == b""


def test_a_worker_starts_where_another_was_killed_while_it_loaded(model_file, worker, tmp_path):
    (tmp_path / "unused.sock").touch()
    worker.stdin.write(_load_frame(model_file))
    worker.stdin.flush()
    assert _read_until(worker, "ready")[1]["tokens_per_s"] > 0


def test_a_slow_device_gets_smaller_steps_and_still_answers(model_file, worker):
    worker.stdin.write(_load_frame(model_file, step_s_max=1e-9))
    worker.stdin.flush()
    assert _read_until(worker, "ready")[1]["batch_tokens"] == 8
    worker.stdin.write(pack_frame("ask", 1, [["user", "Name a colour."]], 8, 0.0, None))
    worker.stdin.flush()
    assert _read_until(worker, "done")[1] == 1


async def test_the_worker_does_not_outlive_a_killed_node(model_file):
    node = f"""
import sys, trio
from pathlib import Path
from nodes.engines.llama import LlamaEngine
from nodes.interfaces import Prompt
from protocol.messages import Role, Turn

async def main():
    engine = LlamaEngine(Path({str(model_file)!r}), "smollm2-135m")
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        print(engine.worker_pid, flush=True)
        await engine.answer(Prompt((Turn(Role.USER, {_LONG!r}),), 9), print)

trio.run(main)
"""
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process([sys.executable, "-c", node], stdout=subprocess.PIPE)
        pid = int(await process.stdout.receive_some())
        await trio.sleep(0.3)
        assert _alive(pid)
        folder = Path(os.readlink(f"/proc/{pid}/cwd"))
        process.kill()
        await process.wait()
        assert await _gone(pid, within_s=1.5)
        assert not folder.exists()
        nursery.cancel_scope.cancel()


def test_what_native_code_prints_does_not_reach_the_protocol():
    script = """
import os
from nodes.engines.llama_worker import private_pipes
requests, replies = private_pipes()
os.system("echo noise; cat")
print("more noise", flush=True)
os.write(replies, os.read(requests, 100))
"""
    done = subprocess.run([sys.executable, "-c", script], input=b"frame", capture_output=True, check=True)
    assert done.stdout == b"frame"
    assert b"noise\nmore noise\n" in done.stderr
