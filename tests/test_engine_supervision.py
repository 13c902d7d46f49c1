"""A worker process that crashes, hangs, babbles or can't start costs one answer one clear error, never the node."""

import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from nodes.engines.llama import LlamaEngine
from nodes.engines.worker_process import Limits
from nodes.interfaces import Prompt
from protocol.errors import LocalError
from protocol.messages import ModelOffer, Role, Turn

pytestmark = pytest.mark.realtime

_SCRIPT = Path(__file__).with_name("misbehaving_worker.py")
_QUESTION = Prompt((Turn(Role.USER, "Tell me a story"),), 20)


@pytest.fixture
def engine_with(tiny_gguf, tmp_path):
    def make(*manners, slots=2, **limits):
        command = (sys.executable, str(_SCRIPT), str(tmp_path / "lives"), *manners)
        return LlamaEngine(
            tiny_gguf, "tiny", slots=slots, command=command, limits=Limits(**{"silence_s": 1.0, **limits})
        )

    return make


@asynccontextmanager
async def _running(engine):
    async with trio.open_nursery() as nursery:
        with trio.fail_after(15):
            await nursery.start(engine.run)
            yield
        nursery.cancel_scope.cancel()


async def _answer(engine, prompt=_QUESTION):
    pieces = []
    await engine.answer(prompt, pieces.append)
    return "".join(pieces)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        ("crashes", r"crashed: signal SIGSEGV: GGML_ASSERT\(n > 0\) failed"),
        ("exits", "crashed: exit status 3"),
        ("babbles", "hung.*can't be understood"),
        ("turns mute", "hung.*stopped talking"),
        ("silent", "hung.*nothing was heard of it for 1 s"),
        ("stalls", "hung.*no progress for 0.5 s"),
    ],
)
async def test_the_answer_fails_once_with_the_reason_and_the_next_one_succeeds(engine_with, manner, says):
    engine = engine_with(manner, "well", stall_s=0.5)
    async with _running(engine):
        pieces = []
        with pytest.raises(LocalError, match=says):
            await engine.answer(_QUESTION, pieces.append)
        assert pieces == ["Once upon "]
        assert engine.models == ()
        assert await _answer(engine) == "Once upon a time"
        assert engine.models == (ModelOffer("tiny", 44, 512),)


async def test_every_answer_under_way_gets_its_own_error(engine_with):
    engine = engine_with("silent", "well")
    errors = []

    async def ask():
        try:
            await _answer(engine)
        except LocalError as error:
            errors.append(error)

    async with _running(engine):
        async with trio.open_nursery() as askers:
            askers.start_soon(ask)
            askers.start_soon(ask)
        assert len(errors) == 2
        assert errors[0] is not errors[1]
        assert await _answer(engine) == "Once upon a time"


async def test_an_error_of_one_answer_leaves_the_worker_alone(engine_with):
    engine = engine_with("fails one")
    async with _running(engine):
        pid = engine.worker_pid
        for _ in range(4):
            with pytest.raises(LocalError, match="could not work on the question: it is a riddle"):
                await _answer(engine)
        assert engine.worker_pid == pid


async def test_an_answer_without_a_word_is_an_error(engine_with):
    engine = engine_with("says nothing")
    async with _running(engine):
        with pytest.raises(LocalError, match="said nothing: it spent its 20 tokens on thinking"):
            await engine.answer(_QUESTION, lambda _: None)


async def test_three_crashes_in_a_row_set_the_model_aside_and_say_so(engine_with):
    engine = engine_with("crashes")
    async with _running(engine):
        for _ in range(3):
            with pytest.raises(LocalError, match="crashed"):
                await _answer(engine)
        for _ in range(2):
            with pytest.raises(LocalError, match=r"set aside: its process ended 3 times in a row.*SIGSEGV.*10 minutes"):
                await _answer(engine)
        assert engine.models == ()
        assert engine.worker_pid is None


async def test_an_answer_between_crashes_starts_the_count_anew(engine_with):
    engine = engine_with("crashes", "crashes", "well", "crashes", "well")
    async with _running(engine):
        for _ in range(2):
            with pytest.raises(LocalError, match="crashed"):
                await _answer(engine)
        assert await _answer(engine) == "Once upon a time"
        os.kill(engine.worker_pid, signal.SIGKILL)
        await trio.sleep(0.1)
        with pytest.raises(LocalError, match="crashed"):
            await _answer(engine)
        assert await _answer(engine) == "Once upon a time"


async def test_a_worker_that_dies_idle_is_replaced(engine_with):
    engine = engine_with("dies idle", "well")
    async with _running(engine):
        first = engine.worker_pid
        await trio.sleep(0.5)
        assert await _answer(engine) == "Once upon a time"
        assert engine.worker_pid != first


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        ("illegal", r"can't run on this processor.*AVX2.*--no-binary xllamacpp xllamacpp.*compiler, CMake and Rust"),
        ("killed", "was killed: most likely because the device ran out of memory"),
        ("refuses", "can't be loaded: llama.cpp says: unknown model architecture: 'riddle'. Choose another model"),
        ("never ready", "hung.*nothing was heard of it for 0.5 s"),
    ],
)
async def test_an_engine_that_can_not_start_says_why_at_once(engine_with, manner, says):
    engine = engine_with(manner, load_s=0.5)
    with pytest.raises(LocalError, match=says), trio.fail_after(10):
        await engine.run()
    with pytest.raises(LocalError, match="not running"):
        await _answer(engine)


async def test_a_command_that_is_not_there_is_a_clear_error(tiny_gguf):
    engine = LlamaEngine(tiny_gguf, "tiny", command=("/nonexistent/python",))
    with pytest.raises(LocalError, match="can't be started: No such file"):
        await engine.run()


async def test_a_cancelled_answer_frees_its_slot(engine_with):
    engine = engine_with("slow", slots=1)
    async with _running(engine):
        for _ in range(3):
            with trio.CancelScope() as scope, trio.fail_after(1):
                await engine.answer(_QUESTION, lambda _: scope.cancel())
            assert scope.cancelled_caught


async def test_an_error_in_the_callers_emit_reaches_the_caller_and_frees_the_slot(engine_with):
    engine = engine_with("slow", "well", slots=1)

    def emit(piece):
        raise ZeroDivisionError

    async with _running(engine):
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await engine.answer(_QUESTION, emit)


async def test_stopping_the_engine_ends_the_worker_and_the_answers_under_way(engine_with):
    engine = engine_with("slow")
    failures = []

    async def ask():
        try:
            await _answer(engine)
        except LocalError as error:
            failures.append(str(error))

    async with trio.open_nursery() as askers:
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            pid = engine.worker_pid
            askers.start_soon(ask)
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        assert not _alive(pid)
    assert failures == ["The answer was lost: its engine is being stopped."]
    assert engine.models == ()


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (Prompt((), 5), "There is no question"),
        (Prompt((Turn(Role.USER, " \n"),), 5), "There is no question"),
        (Prompt((Turn(Role.USER, "Hello"), Turn(Role.ASSISTANT, "Hi")), 5), "There is no question"),
        (Prompt((Turn(Role.USER, "Hello"),), 0), "no room"),
        (Prompt((Turn(Role.USER, "Hello"),), 5, "other"), "no model 'other' here"),
        (Prompt((Turn(Role.USER, "x" * 500_000),), 5), "too long"),
    ],
)
async def test_a_question_that_is_none_never_reaches_the_worker(tiny_gguf, prompt, says):
    with pytest.raises(LocalError, match=says):
        await LlamaEngine(tiny_gguf, "tiny").answer(prompt, lambda _: None)


async def test_a_node_that_was_stopped_itself_does_not_blame_the_worker(engine_with):
    engine = engine_with("well")
    async with _running(engine):
        pid = engine.worker_pid
        time.sleep(1.5)  # noqa: ASYNC251 - as a stopped process would, longer than the worker may be silent
        assert await _answer(engine) == "Once upon a time"
        assert engine.worker_pid == pid


async def test_a_lone_surrogate_is_replaced_before_it_travels(engine_with):
    engine = engine_with("well")
    async with _running(engine):
        assert await _answer(engine, Prompt((Turn(Role.USER, "Why \ud800?"),), 5)) == "Once upon a time"
