"""The scripted engine: what it says, how long it takes, and how it fails when told to."""

import pytest
import trio

from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import Prompt
from protocol.errors import LocalError
from protocol.messages import ModelOffer, Role, Turn


def _ask(text: str, *, max_tokens: int = 100, model: str = "") -> Prompt:
    return Prompt((Turn(Role.USER, text),), max_tokens, model)


async def test_it_says_what_the_script_says_at_the_speed_it_was_given(autojump_clock):
    engine = ScriptedEngine({"Why is the sky blue?": "Air scatters blue light most."}, tokens_per_s=5)
    pieces = []
    finished = await engine.answer(_ask("Why is the sky blue?"), pieces.append)
    assert "".join(pieces) == "Air scatters blue light most."
    assert len(pieces) == finished.answer_tokens == 5
    assert finished.prompt_tokens == 5
    assert not finished.truncated
    assert finished.first_token_s == pytest.approx(5 / 200 + 1 / 5)
    assert finished.seconds == pytest.approx(5 / 200 + 5 / 5)


async def test_a_function_may_answer_and_keeps_every_character(autojump_clock):
    engine = ScriptedEngine(lambda question: f"  You asked:\n\n{question}  \n", name="echo")
    pieces = []
    await engine.answer(_ask("Two  words"), pieces.append)
    assert "".join(pieces) == "  You asked:\n\nTwo  words  \n"
    assert engine.models == (ModelOffer("echo", 20, 2048),)


async def test_the_token_limit_truncates_the_answer(autojump_clock):
    engine = ScriptedEngine(lambda _: "one two three four")
    pieces = []
    finished = await engine.answer(_ask("count", max_tokens=2), pieces.append)
    assert ("".join(pieces), finished.truncated, finished.answer_tokens) == ("one two", True, 2)


async def test_more_askers_than_slots_wait_their_turn(autojump_clock):
    engine = ScriptedEngine(lambda _: "go on " * 5, tokens_per_s=10, prefill_tokens_per_s=1e9, slots=2)
    started = trio.current_time()
    ended = []

    async def ask():
        await engine.answer(_ask("go"), lambda _: None)
        ended.append(round(trio.current_time() - started, 3))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert ended == [1.0, 1.0, 2.0]


async def test_a_cancelled_answer_frees_its_slot_at_once(autojump_clock):
    engine = ScriptedEngine(lambda _: "word " * 1000, tokens_per_s=1)
    with trio.move_on_after(3):
        await engine.answer(_ask("go"), lambda _: None)
    with trio.fail_after(3):
        await engine.answer(_ask("go", max_tokens=1), lambda _: None)


async def test_it_fails_as_often_as_told_and_then_answers_again(autojump_clock):
    engine = ScriptedEngine(lambda _: "one two three")
    engine.fail_next(LocalError("first"), after_tokens=2)
    engine.fail_next(LocalError("second"), after_tokens=99)
    pieces = []
    with pytest.raises(LocalError, match="First"):
        await engine.answer(_ask("go"), pieces.append)
    assert "".join(pieces) == "one two"
    with pytest.raises(LocalError, match="Second"):
        await engine.answer(_ask("go"), pieces.append)
    assert (await engine.answer(_ask("go"), pieces.append)).answer_tokens == 3


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (Prompt((), 5), "no question"),
        (_ask(" \n"), "no question"),
        (_ask("unknown"), "no answer to this question"),
        (_ask("known", model="other"), "no model 'other'"),
        (_ask("word " * 3000), "too long"),
    ],
)
async def test_a_question_it_can_not_answer_is_a_clear_error(autojump_clock, prompt, says):
    engine = ScriptedEngine({"known": "answer"})
    with pytest.raises(LocalError, match=says):
        await engine.answer(prompt, lambda _: None)


def test_speeds_and_slots_of_nothing_are_refused():
    with pytest.raises(LocalError, match="above 0"):
        ScriptedEngine({}, tokens_per_s=0)


async def test_it_is_ready_at_once_and_runs_until_cancelled(autojump_clock):
    engine = ScriptedEngine({})
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        await trio.sleep(1000)
        nursery.cancel_scope.cancel()
