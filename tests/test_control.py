"""The running node's door for local programs, and the Python API through it."""

from __future__ import annotations

import json
import os
import stat
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest
import trio

from meshai.api import Mesh, SyncMesh
from meshai.control import RunningNode, serve_control
from meshai.forms import wish_form
from meshai.setup import NodeOptions
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.node import Node, NodeSettings
from nodes.trace import Trace
from nodes.wishes import Chosen, Wish
from protocol.errors import LocalError
from protocol.messages import Role, Turn

pytestmark = pytest.mark.realtime

SCRIPT = {"Why?": "Because it is so.", "Slow?": " ".join(["word"] * 500)}


@asynccontextmanager
async def running(folder, script=SCRIPT, tokens_per_s=500.0):
    trace = Trace()
    engine = ScriptedEngine(script, tokens_per_s=tokens_per_s)
    node = Node(
        NodeSettings("here"), engine=engine, bearers=[], cache=AnswerCache(None, trace), rng=Random(1), trace=trace
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, node, folder)
        await nursery.start(node.run)
        yield node
        nursery.cancel_scope.cancel()


async def test_a_question_is_streamed_through_the_door_and_its_answer_is_whole(tmp_path):
    async with running(tmp_path), Mesh.connect(tmp_path) as mesh:
        progress = []
        async with mesh.ask("Why?", on_progress=progress.append) as answer:
            pieces = [piece async for piece in answer]
        assert "".join(pieces) == answer.result.text == "Because it is so."
        assert len(pieces) > 1
        assert isinstance(progress[0], Chosen)
        assert (answer.result.answered_by, answer.result.source, answer.result.here) == ("here", "model", True)
        again = await mesh.answer("Why?")
        assert again.source == "cache"
        assert (await mesh.status())["cached"] == 1
        assert await mesh.peers() == []


async def test_an_error_arrives_as_itself(tmp_path):
    async with running(tmp_path), Mesh.connect(tmp_path) as mesh:
        with pytest.raises(LocalError, match="no answer to this question") as caught:
            await mesh.answer("What?")
        assert "What?" in caught.value.why
        with pytest.raises(LocalError, match="There is no question"):
            await mesh.answer("")


async def test_earlier_turns_are_part_of_the_question(tmp_path):
    async with running(tmp_path, lambda question: f"You said {question}"), Mesh.connect(tmp_path) as mesh:
        first = await mesh.answer("this")
        second = await mesh.answer("this", earlier=(Turn(Role.USER, "this"), Turn(Role.ASSISTANT, first.text)))
        assert (first.source, second.source) == ("model", "model")


async def test_leaving_early_stops_the_work(tmp_path):
    async with running(tmp_path, tokens_per_s=20.0) as node, Mesh.connect(tmp_path) as mesh:
        async with mesh.ask("Slow?") as answer:
            await answer.__anext__()
            assert node._admission._running
        with trio.fail_after(5):
            while node._admission._running:
                await trio.lowlevel.checkpoint()


async def test_a_program_killed_in_the_middle_of_an_answer_does_not_take_the_node_along(tmp_path):
    async with running(tmp_path, tokens_per_s=100.0) as node:
        for _ in range(3):
            stream = await trio.open_unix_socket(str(tmp_path / "control.sock"))
            request = {"do": "ask", **wish_form(Wish((Turn(Role.USER, "Slow?"),)))}
            await stream.send_all(json.dumps(request).encode() + b"\n")
            await stream.receive_some(1)
            await stream.aclose()  # with most of what came unread, as the kernel does it for a killed process
            with trio.fail_after(5):
                while node._admission._running:
                    await trio.lowlevel.checkpoint()
        assert await RunningNode(tmp_path).is_there()


async def test_a_question_too_long_for_the_door_says_so(tmp_path):
    async with running(tmp_path), Mesh.connect(tmp_path) as mesh:
        with pytest.raises(LocalError, match="too long"):
            await mesh.answer("x" * 3_000_000)


async def test_a_folder_that_cannot_be_used_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExceptionGroup) as caught:
        async with running(tmp_path / "file" / "node"):
            pass
    assert caught.group_contains(LocalError, match="can't reach this node")


async def test_reading_the_result_too_early_says_so(tmp_path):
    async with running(tmp_path), Mesh.connect(tmp_path) as mesh, mesh.ask("Why?") as answer:
        with pytest.raises(LocalError, match="not complete"):
            assert answer.result


async def test_without_a_node_the_error_names_the_next_command(tmp_path):
    with pytest.raises(LocalError, match="meshai up"):
        async with Mesh.connect(tmp_path):
            pass
    with pytest.raises(LocalError, match="meshai up"):
        await RunningNode(tmp_path).status()


async def test_a_second_node_in_the_same_folder_is_refused_and_the_first_goes_on(tmp_path):
    async with running(tmp_path):
        with pytest.raises(ExceptionGroup) as caught:
            async with running(tmp_path):
                pass
        assert caught.group_contains(LocalError, match="already running")
        assert await RunningNode(tmp_path).is_there()


async def test_a_socket_left_by_a_killed_node_is_no_obstacle(tmp_path):
    left = trio.socket.socket(trio.socket.AF_UNIX)
    await left.bind(str(tmp_path / "control.sock"))
    left.close()
    async with running(tmp_path):
        assert await RunningNode(tmp_path).is_there()
    assert list(tmp_path.iterdir()) == []


async def test_only_the_owner_may_open_the_door(tmp_path):
    folder = tmp_path / "node"
    async with running(folder):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(folder / "control.sock").st_mode) == 0o600


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"no json\n",
        b"[]\n",
        b'{"do": "dance"}\n',
        b'{"do": "ask"}\n',
        b'{"do": "ask", "turns": 3}\n',
        b'{"do": "ask", "turns": [[0, "Why?"]], "model": "", "max_tokens": 1e999, "deadline_s": 9, "fresh": false}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (2 << 20),
    ],
)
async def test_nonsense_at_the_door_gets_an_error_and_the_node_lives(tmp_path, line):
    async with running(tmp_path):
        stream = await trio.open_unix_socket(str(tmp_path / "control.sock"))
        async with stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(line)
            reply = b""
            while not reply.endswith(b"\n"):
                reply += await stream.receive_some()
        assert "error" in json.loads(reply)
        assert await RunningNode(tmp_path).is_there()


async def test_a_path_too_long_for_a_socket_says_so(tmp_path):
    with pytest.raises(LocalError, match="shorter --state"):
        RunningNode(tmp_path / ("x" * 120))


async def test_what_happens_can_be_watched(tmp_path):
    async with running(tmp_path):
        stream = await trio.open_unix_socket(str(tmp_path / "control.sock"))
        async with stream:
            await stream.send_all(b'{"do": "watch"}\n')
            seen = b""
            await RunningNode(tmp_path).ask(Wish((Turn(Role.USER, "Why?"),)), lambda progress: None)
            while b"ask.sent" not in seen:
                seen += await stream.receive_some()
        assert b"Why?" not in seen


async def test_a_node_can_run_in_this_process(tmp_path):
    async with Mesh.start(NodeOptions(model="none", state=tmp_path)) as mesh:
        with pytest.raises(LocalError, match="no model and no radio"):
            await mesh.answer("Why?")


async def test_what_goes_wrong_in_the_callers_block_comes_out_as_it_is(tmp_path):
    options = NodeOptions(model="none", state=tmp_path)
    with pytest.raises(ZeroDivisionError):
        async with Mesh.start(options):
            raise ZeroDivisionError
    with pytest.raises(ExceptionGroup, match="the caller's own") as caught:
        async with Mesh.start(options):
            raise ExceptionGroup("the caller's own", [ZeroDivisionError(), KeyError()])
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError, KeyError]
    with pytest.raises(LocalError, match="No radio"):
        async with Mesh.start(options):
            raise ExceptionGroup("both", [LocalError("no radio"), LocalError("no model")])
    with trio.move_on_after(0.1) as scope:
        async with Mesh.start(options):
            await trio.sleep_forever()
    assert scope.cancelled_caught


def test_programs_without_trio_can_ask_too(tmp_path):
    with SyncMesh.start(NodeOptions(model="none", state=tmp_path, name="here")) as mesh:
        assert mesh.status()["name"] == "here"
        assert mesh.peers() == []
        with pytest.raises(LocalError, match="no model and no radio"):
            mesh.answer("Why?")
