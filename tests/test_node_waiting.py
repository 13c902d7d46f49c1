"""Real nodes over virtual radios, in virtual time: deadlines, waiting for air, and what a question costs."""

from __future__ import annotations

import pytest
import trio
from mesh_world import RestartingEngine, cabin_and_house, sent, until_heard, wish, world

from nodes.engines.scripted import ScriptedEngine
from nodes.wishes import Promised
from protocol.codec import decode
from protocol.errors import LocalError, RemoteError
from protocol.fragments import read_frame
from protocol.messages import Ask
from simulator.topology import line

WORDS = {"Why?": " ".join(["word"] * 60)}


def messages(flights, kind):
    """The messages of one packet among `flights`, as they were first sent."""
    found = [decode(read_frame(flight.payload).payload) for flight in flights if flight.ended and not flight.relayed]
    return [message for message in found if isinstance(message, kind)]


def use_up(node, but_s):
    """Spend what the node may send now, but for so many seconds of air."""
    budget, now = node._pumps[0].budget, trio.current_time()
    budget.spend(budget.left_s(now) - but_s, now)


# Deadlines and waiting


async def test_a_peer_that_says_nothing_is_not_believed_in_any_longer(autojump_clock):
    async with cabin_and_house() as (cabin, _, here):
        await until_heard(cabin)
        here.air.radio("C").switch_off()
        started = trio.current_time()
        with pytest.raises(RemoteError, match="nothing was heard from it"):
            await cabin.ask(wish("Why is the sky blue?", deadline_s=60))
        assert trio.current_time() - started <= 61
        assert cabin.known_peers() == ()


async def test_a_peer_that_is_only_too_slow_stays_known(autojump_clock):
    async with cabin_and_house(engine=ScriptedEngine(WORDS, tokens_per_s=1)) as (cabin, _, _):
        await until_heard(cabin)
        started = trio.current_time()
        with pytest.raises(RemoteError, match="No answer from house: it needs about 60 s"):
            await cabin.ask(wish("Why?", max_tokens=60, deadline_s=30))
        assert trio.current_time() - started < 5
        assert len(cabin.known_peers()) == 1


async def test_a_question_put_again_says_how_much_time_is_left(autojump_clock):
    engine = ScriptedEngine(lambda question: " ".join(["word"] * 20), tokens_per_s=1)
    async with cabin_and_house(engine=engine) as (cabin, house, here):
        await until_heard(cabin)
        flights = []
        here.air.medium.observe(flights.append)
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(house.ask, wish(f"Mine {number}?", max_tokens=20))
            await trio.sleep(1)
            nursery.start_soon(cabin.ask, wish("Why?", max_tokens=20, deadline_s=250))
        first, *_, last = messages(flights, Ask)
        assert first.ask_id != last.ask_id
        assert first.deadline_s == 250
        assert last.deadline_s < 245


async def test_looking_around_on_the_slowest_preset_sends_at_least_one_who(autojump_clock):
    async with world(preset="TINY_SLOW") as (here, nursery):
        cabin = here.node("A", "cabin")
        await nursery.start(cabin.run)
        with pytest.raises(RemoteError, match="Nobody in reach"):
            await cabin.ask(wish("Why?"))
        assert len(sent(cabin, "Who")) == 1


async def test_a_deadline_shorter_than_looking_around_ends_the_look_and_says_why(autojump_clock):
    async with world() as (here, nursery):
        cabin = here.node("A", "cabin")
        await nursery.start(cabin.run)
        started = trio.current_time()
        with pytest.raises(RemoteError, match="Nobody in reach"):
            await cabin.ask(wish("Why?", deadline_s=3))
        assert trio.current_time() - started <= 4


# The air


async def test_a_node_that_has_used_up_its_airtime_says_so_before_the_wait(autojump_clock):
    async with world(line(2)) as (here, nursery):
        cabin = here.node("A", "cabin", share=0.004)
        house = here.node("B", "house", ScriptedEngine({"Why?": "Because."}), serves="A")
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        use_up(cabin, but_s=-0.5)
        started = trio.current_time()
        with pytest.raises(LocalError, match="used up its airtime: the question could leave in"):
            await cabin.ask(wish("Why?", deadline_s=100))
        assert trio.current_time() == started
        told = []
        answer = await cabin.ask(wish("Why?", deadline_s=3600), told.append)
    assert answer.text == "Because."
    assert told[0].expected_s == pytest.approx(answer.seconds, rel=0.3)


async def test_a_node_that_may_send_nothing_says_so(autojump_clock):
    async with world(line(2)) as (here, nursery):
        cabin = here.node("A", "cabin", share=0)
        house = here.node("B", "house", ScriptedEngine({"Why?": "Because."}), serves="A")
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        with pytest.raises(LocalError, match="may never send"):
            await cabin.ask(wish("Why?", deadline_s=3600))


async def test_a_question_given_up_while_it_waits_for_airtime_is_never_sent(autojump_clock):
    async with world(line(2)) as (here, nursery):
        cabin = here.node("A", "cabin", share=0.004)
        house = here.node("B", "house", ScriptedEngine({"Why?": "Because."}), serves="A")
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        use_up(cabin, but_s=-0.5)
        with trio.move_on_after(20):
            await cabin.ask(wish("Why?", deadline_s=3600))
        await trio.sleep(3600)
    assert sent(cabin, "Ask") == []


async def test_a_question_given_up_while_the_radio_is_away_is_never_sent(autojump_clock):
    async with cabin_and_house() as (cabin, _, here):
        await until_heard(cabin)
        here.air.radio("A").switch_off()
        await trio.sleep(1)
        with trio.move_on_after(20):
            session, now = cabin._pumps[0].session, trio.current_time()
            session.ask(here.address("C"), wish("Why?").turns, deadline_s=5, expect_s=1, now=now)
            cabin._pumps[0].wake()
            await trio.sleep_forever()
        here.air.radio("A").switch_on()
        await trio.sleep(30)
    assert sent(cabin, "Ask") == []


async def test_an_answerer_short_of_airtime_promises_its_answer_for_when_it_may_send_it(autojump_clock):
    async with world(line(2)) as (here, nursery):
        cabin = here.node("A", "cabin")
        house = here.node("B", "house", ScriptedEngine(WORDS), serves="A", share=0.004)
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        use_up(house, but_s=0.6)
        told = []
        answer = await cabin.ask(wish("Why?", max_tokens=60), told.append)
        promised = [progress.wait_s for progress in told if isinstance(progress, Promised)]
        assert answer.seconds > 60
        assert promised[0] == pytest.approx(answer.seconds, rel=0.25)
        assert (len(sent(cabin, "Ask")), len(sent(cabin, "Gap"))) == (1, 0)
        await trio.sleep(5)
        assert len(sent(house, "AnswerDone")) == 1
        assert answer.truncated


async def test_an_answerer_that_may_not_send_in_time_does_not_begin(autojump_clock):
    engine = RestartingEngine(WORDS)
    async with world(line(2)) as (here, nursery):
        cabin = here.node("A", "cabin")
        house = here.node("B", "house", engine, serves="A", share=0.004)
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        use_up(house, but_s=-0.5)
        with pytest.raises(RemoteError, match="No answer from house"):
            await cabin.ask(wish("Why?", deadline_s=20))
    assert engine.prompts == []


async def test_two_questions_to_one_peer_at_once_share_the_cost_and_count_it_once(autojump_clock):
    async with cabin_and_house(engine=ScriptedEngine(lambda question: question * 30, slots=2)) as (cabin, _, here):
        await until_heard(cabin)
        flights, costs = [], []
        here.air.medium.observe(lambda flight: flights.append(flight) if flight.ended else None)

        async def ask(question):
            costs.append((await cabin.ask(wish(question))).cost)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "One, two, three?")
            nursery.start_soon(ask, "Four, five, six?")
        ends = {here.air.radio(name).node_number for name in "AC"}
        flown = [flight for flight in flights if {flight.sender, flight.to} == ends]
    assert sum(cost.packets for cost in costs) == len(flown)
    assert sum(cost.airtime_s for cost in costs) == pytest.approx(sum(flight.airtime_s for flight in flown))
    assert all(cost.packets >= 4 for cost in costs)
    assert cabin._pumps[0]._accounts == {}
