"""Real nodes over virtual radios, in virtual time: what goes wrong, and what the asker and the node make of it."""

from __future__ import annotations

from random import Random

import pytest
import trio
from mesh_world import SKY, RestartingEngine, cabin_and_house, sent, until_heard, wish, world

from nodes.bearers.radio import RadioBearer
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import Received
from nodes.node import Node, NodeSettings
from nodes.trace import Trace
from nodes.wishes import Chosen, Restarted, Text, Wish
from protocol.errors import LocalError, RefuseCode, RemoteError
from protocol.events import AskReceived, AskStopped
from protocol.messages import Ask, Role, Turn
from simulator.radio import VirtualRadioPort
from simulator.topology import Topology, line

WORDS = {"Why?": " ".join(["word"] * 60)}


def alone(engine):
    """A node with an engine and no radio."""
    trace = Trace()
    settings = NodeSettings("here")
    return Node(settings, engine=engine, bearers=[], cache=AnswerCache(None, trace), rng=Random(1), trace=trace)


# What is asked


async def test_half_a_character_in_a_question_becomes_a_question_mark(autojump_clock):
    async with cabin_and_house(engine=ScriptedEngine(lambda question: f"You said {question}")) as (cabin, _, _):
        assert (await cabin.ask(wish("Why \udcff?"))).text == "You said Why ??"
        assert (await cabin.ask(wish("Why \udcff?"))).source == "cache"


async def test_a_conversation_of_too_many_turns_for_the_radio_is_told_so_at_once(autojump_clock):
    turns = tuple(Turn(Role(n % 2), "Hm?") for n in range(33))
    async with cabin_and_house() as (cabin, _, _):
        started = trio.current_time()
        with pytest.raises(LocalError, match="33 turns"):
            await cabin.ask(Wish(turns))
        assert trio.current_time() == started


async def test_what_is_too_long_for_the_radio_is_answered_here_though_a_peer_is_faster(autojump_clock):
    async with world(line(2)) as (here, nursery):
        slow = here.node("A", "slow", ScriptedEngine(lambda question: "Slowly.", tokens_per_s=5))
        fast = here.node("B", "fast", ScriptedEngine(lambda question: "Fast.", tokens_per_s=500), serves="A")
        await nursery.start(slow.run)
        await nursery.start(fast.run)
        await until_heard(slow)
        assert (await slow.ask(wish("Why?"))).text == "Fast."
        assert (await slow.ask(wish("Why?" * 400))).text == "Slowly."


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (wish("Why?", model="big"), "this node has scripted"),
        (wish("Why?" * 2500), "too long for this node's model"),
        (wish("Why?", max_tokens=4000), "holds 2048"),
    ],
)
async def test_a_node_without_radio_says_what_its_own_model_lacks(autojump_clock, asked, words):
    async with trio.open_nursery() as nursery:
        node = alone(ScriptedEngine(lambda question: "Yes."))
        await nursery.start(node.run)
        with pytest.raises(LocalError) as caught:
            await node.ask(asked)
        assert words in str(caught.value)
        nursery.cancel_scope.cancel()


# The engine


async def test_an_engine_that_starts_anew_keeps_its_askers_waiting_and_does_not_send_them_away(autojump_clock):
    engine = RestartingEngine({"Why?": "Because."})
    async with cabin_and_house(engine=engine) as (cabin, house, _):
        await until_heard(cabin)
        answers = []

        async def ask(node):
            answers.append(await node.ask(wish("Why?")))

        engine.go()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, cabin)
            nursery.start_soon(ask, house)
            await trio.sleep(30)
            assert house.status().models == ("scripted",)
            engine.come_back()
        assert [answer.text for answer in answers] == ["Because."] * 2
        assert sent(house, "Refuse") == []


async def test_an_engine_that_stays_away_makes_the_node_busy_and_then_without_a_model(autojump_clock):
    engine = RestartingEngine({"Why?": "Because."})
    async with cabin_and_house(engine=engine) as (cabin, house, _):
        await until_heard(cabin)
        engine.go()
        house.status()
        await trio.sleep(61)
        started = trio.current_time()
        with pytest.raises(RemoteError, match="busy and asks to wait 60 s"):
            await cabin.ask(wish("Why?", deadline_s=60))
        assert trio.current_time() - started < 10
        assert house.status().models == ()
        alone_and_away = alone(engine)
        with pytest.raises(LocalError, match="not ready"):
            await alone_and_away.ask(wish("Why?"))
        await trio.sleep(600)
        assert cabin.known_peers()[0].beacon.models == ()
        engine.come_back()
        await trio.sleep(600)
        assert (await cabin.ask(wish("Why?"))).text == "Because."


async def test_an_engine_that_goes_away_between_question_and_work_does_no_harm(autojump_clock):
    engine = RestartingEngine({"Why?": "Because."})
    async with cabin_and_house(engine=engine) as (_, house, here):
        ask = Ask(1, "", 60, 0, (Turn(Role.USER, "Why?"),))
        house._serving.take(house._pumps[0], AskReceived(here.address("A"), ask))
        engine.go()
        await trio.sleep(1)
        assert len(engine.prompts) == 1


async def test_a_model_that_fails_here_leaves_the_question_to_a_peer(autojump_clock):
    engine = ScriptedEngine({"Why is the sky blue?": "It is not."}, tokens_per_s=500)
    engine.fail_next(LocalError("the model crashed"), after_tokens=2)
    async with world(line(2)) as (here, nursery):
        frail = here.node("A", "frail", engine)
        other = here.node("B", "other", ScriptedEngine({"Why is the sky blue?": SKY}), serves="A")
        await nursery.start(frail.run)
        await nursery.start(other.run)
        await until_heard(frail)
        told = []
        answer = await frail.ask(wish("Why is the sky blue?"), told.append)
    kinds = [type(progress) for progress in told]
    assert (answer.text, answer.answered_by) == (SKY, "other")
    assert kinds[:5] == [Chosen, Text, Text, Restarted, Chosen]
    assert "".join(progress.text for progress in told[5:] if isinstance(progress, Text)) == SKY


async def test_a_model_that_fails_here_with_nobody_else_in_reach_is_the_error(autojump_clock):
    engine = ScriptedEngine({"Why?": "Because."})
    engine.fail_next(LocalError("the model crashed"))
    async with world(line(2)) as (here, nursery):
        node = here.node("A", "node", engine)
        await nursery.start(node.run)
        with pytest.raises(LocalError, match="model crashed"):
            await node.ask(wish("Why?"))


@pytest.mark.parametrize("nothing", ["", " \n "])
async def test_an_answer_of_nothing_is_no_answer_and_is_not_kept(autojump_clock, nothing):
    async with cabin_and_house(engine=ScriptedEngine({"Why?": nothing})) as (cabin, house, _):
        with pytest.raises(RemoteError, match="the model said nothing") as caught:
            await cabin.ask(wish("Why?"))
        assert caught.value.code is RefuseCode.ENGINE_FAILED
        with pytest.raises(RemoteError, match="it is empty"):
            await house.ask(wish("Why?"))
        assert (cabin.status().cached, house.status().cached) == (0, 0)


# Peers' questions


async def test_a_question_cancelled_before_its_work_began_costs_no_work(autojump_clock):
    async with cabin_and_house(engine=ScriptedEngine(WORDS)) as (_, house, here):
        ask = Ask(1, "", 60, 0, (Turn(Role.USER, "Why?"),))
        house._serving.take(house._pumps[0], AskReceived(here.address("A"), ask))
        house._serving.stop(house._pumps[0], AskStopped(here.address("A"), 1, expired=False))
        await trio.sleep(0.01)
        assert house.status().backlog_s == 0
        assert house._serving._taken == {}


async def test_a_peer_may_ask_the_same_anew_while_its_first_question_is_being_stopped(autojump_clock):
    class SlowToStop(ScriptedEngine):
        async def answer(self, prompt, emit):
            try:
                return await super().answer(prompt, emit)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.5)

    engine = SlowToStop({"Why?": "Because."}, tokens_per_s=1, slots=2)
    async with cabin_and_house(engine=engine) as (cabin, house, here):
        ask = Ask(7, "", 1, 0, (Turn(Role.USER, "Why?"),))
        pump, peer = house._pumps[0], here.address("A")
        for _ in range(3):
            house._serving.take(pump, AskReceived(peer, ask))
            await trio.sleep(0.1)
            house._serving.stop(pump, AskStopped(peer, 7, expired=True))
        await trio.sleep(10)
        assert house._serving._taken == {}
        assert (await cabin.ask(wish("Why?"))).text == "Because."


@pytest.mark.parametrize(
    ("max_tokens", "words"), [(0, "it needs about 140 s"), (40, "it is busy and asks to wait 114 s")]
)
async def test_a_question_that_would_only_wait_until_its_deadline_is_declined_at_once(
    autojump_clock, max_tokens, words
):
    engine = ScriptedEngine(lambda question: " ".join(["word"] * 100), tokens_per_s=1)
    async with cabin_and_house(engine=engine) as (cabin, house, _):
        await until_heard(cabin)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.ask, wish("Mine?", max_tokens=100))
            await trio.sleep(1)
            started = trio.current_time()
            with pytest.raises(RemoteError, match=words):
                await cabin.ask(wish("Why?", max_tokens=max_tokens, deadline_s=50))
            assert trio.current_time() - started < 10
            nursery.cancel_scope.cancel()


async def test_packets_of_any_length_that_radios_carry_are_dropped_and_the_node_lives(autojump_clock):
    async with cabin_and_house() as (cabin, house, here):
        for size in (0, 1, 200, 231, 232, 233, 237, 255, 1000):
            house._pumps[0]._receive(Received(bytes(size), here.address("A"), broadcast=False, hops=1))
        assert house._pumps[0].bearer.cost(237).bytes_on_air == 255
        assert (await cabin.ask(wish("Why is the sky blue?"))).text == SKY


async def test_a_question_that_comes_while_the_node_stops_is_ignored(autojump_clock):
    async with cabin_and_house() as (_, house, here):
        async with trio.open_nursery() as nursery:
            await nursery.start(house._serving.run)
            nursery.cancel_scope.cancel()
        ask = Ask(1, "", 60, 0, (Turn(Role.USER, "Why?"),))
        house._serving.take(house._pumps[0], AskReceived(here.address("A"), ask))
        assert house._serving._taken == {}


# Two radios


async def test_a_node_with_two_radios_asks_each_peer_where_it_was_heard(autojump_clock):
    streets = Topology.both_ways(("A", "B", "C", "D"), (("A", "B"), ("C", "D")))
    async with world(streets) as (here, nursery):
        trace = Trace()
        between = Node(
            NodeSettings("between", airtime_share=0.5),
            engine=None,
            bearers=[RadioBearer(VirtualRadioPort(here.air.radio(name)), trace) for name in "AC"],
            cache=AnswerCache(None, trace),
            rng=Random(1),
            trace=trace,
        )
        left = here.node("B", "left", ScriptedEngine({"Why?": "Left."}, name="lm", tokens_per_s=9), serves="A")
        right = here.node("D", "right", ScriptedEngine({"Why?": "Right."}, name="rm", tokens_per_s=20), serves="C")
        for node in (between, left, right):
            await nursery.start(node.run)
        answers = [await between.ask(wish("Why?", model=model)) for model in ("rm", "lm", "")]
        assert [answer.text for answer in answers] == ["Right.", "Left.", "Right."]
        assert {peer.beacon.name for peer in between.known_peers()} == {"left", "right"}
        here.air.radio("D").switch_off()
        with pytest.raises(RemoteError, match="No answer from right"):
            await between.ask(wish("Why?", fresh=True, deadline_s=60))
        assert (await between.ask(wish("Why?", fresh=True))).text == "Left."
