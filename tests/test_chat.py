"""`meshai chat` in a process of its own, speaking to a node with a scripted engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.lowlevel

from meshai.control import serve_control
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.node import Node, NodeSettings
from nodes.trace import Trace
from protocol.errors import LocalError

pytestmark = pytest.mark.realtime


def answer(question):
    if question == "Evil?":
        raise LocalError("\x1b]0;evil\x07no\x1b[2J", "\u202edrow")
    return " ".join(["word"] * 500) if question == "Slow?" else f"You said {question}"


@asynccontextmanager
async def chat(folder, *options):
    """A node in this process and a chat with it in another; yields the chat and what reads its next JSON line."""
    trace = Trace()
    engine = ScriptedEngine(answer, name="tiny", tokens_per_s=20)
    node = Node(
        NodeSettings("here"), engine=engine, bearers=[], cache=AnswerCache(None, trace), rng=Random(1), trace=trace
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, node, folder)
        await nursery.start(node.run)
        command = [sys.executable, "-m", "meshai", "chat", "--state", str(folder), *options]
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        received = b""

        async def line():
            nonlocal received
            while b"\n" not in received:
                data = await process.stdout.receive_some()
                if not data:
                    return None
                received += data
            first, received = received.split(b"\n", 1)
            return first.decode()

        with trio.fail_after(30):
            yield node, process, line
        process.kill()
        await process.wait()
        await process.stdin.aclose()
        await process.stdout.aclose()
        nursery.cancel_scope.cancel()


async def test_each_line_is_a_question_and_more_goes_on(tmp_path):
    async with chat(tmp_path, "--json") as (_, process, line):
        await process.stdin.send_all(b"Hello?\n")
        assert json.loads(await line())["text"] == "You said Hello?"
        await process.stdin.send_all(b"/more\n")
        assert json.loads(await line())["text"] == "You said Go on."
        await process.stdin.send_all(b"/who\n")
        assert json.loads(await line()) == {"peers": []}
        await process.stdin.aclose()
        assert await line() is None
        assert await process.wait() == 0


async def test_a_question_asked_again_in_another_conversation_is_not_mistaken_for_the_first(tmp_path):
    async with chat(tmp_path, "--json") as (_, process, line):
        await process.stdin.send_all(b"One\nTwo\n/new\nTwo\nTwo\n/new\nTwo\n/quit\n")
        sources = [json.loads(await line())["source"] for _ in range(5)]
        assert sources == ["model", "model", "model", "model", "cache"]
        assert await process.wait() == 0


async def test_ctrl_c_stops_the_answer_and_not_the_program(tmp_path):
    async with chat(tmp_path) as (node, process, line):
        await process.stdin.send_all(b"Slow?\n")
        await trio.lowlevel.checkpoint()
        started = b""
        while b"word word" not in started:
            started += await process.stdout.receive_some()
        os.kill(process.pid, signal.SIGINT)
        await process.stdin.send_all(b"Hello?\n")
        text = ""
        while "You said Hello?" not in text:
            text += await line() or pytest.fail("the chat ended")
        assert node.status().backlog_s == 0
        await process.stdin.send_all(b"/quit\n")
        assert await process.wait() == 0


async def test_an_impatient_second_ctrl_c_does_not_end_the_program_either(tmp_path):
    async with chat(tmp_path) as (_, process, line):
        for _ in range(3):
            await process.stdin.send_all(b"Slow?\n")
            assert b"word" in await process.stdout.receive_some()
            for _ in range(5):
                os.kill(process.pid, signal.SIGINT)
            await process.stdin.send_all(b"/who\n")
            while "this node: tiny" not in (await line() or pytest.fail("the chat ended")):
                pass
        await process.stdin.send_all(b"/quit\n")
        assert await process.wait() == 0


async def test_an_error_is_told_and_the_conversation_goes_on(tmp_path):
    async with chat(tmp_path, "--json", "--model", "nobody-has-it") as (_, process, line):
        await process.stdin.send_all(b"Hello?\n")
        assert "nobody-has-it" in json.loads(await line())["error"]
        await process.stdin.send_all(b"/quit\n")
        assert await process.wait() == 0


async def test_an_error_can_not_rewrite_the_terminal(tmp_path):
    async with chat(tmp_path) as (_, process, line):
        await process.stdin.send_all(b"Evil?\n")
        assert await line() == "meshai: ]0;evilno[2J: drow."


async def test_sigterm_ends_it(tmp_path):
    async with chat(tmp_path, "--json") as (_, process, line):
        await process.stdin.send_all(b"Hello?\n")
        await line()
        process.terminate()
        assert await process.wait() == 128 + signal.SIGTERM
