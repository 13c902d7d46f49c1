"""Real nodes over virtual radios, in virtual time: silence, fair shares of the air, beacons, answers sized to it."""

from __future__ import annotations

from itertools import combinations, count, pairwise
from statistics import median

import pytest
import trio
from mesh_world import RestartingEngine, cabin_and_house, sent, until_heard, wish, world

from nodes.announcing import plan
from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import RadioLoad
from nodes.trace import Trace
from nodes.turns import Claim, Shares, Turns
from protocol.budget import AirtimeBudget
from protocol.errors import LocalError, RemoteError
from protocol.messages import Role
from simulator.topology import full, line

LONG = {"Why?": " ".join(["word"] * 400)}


class Dice:
    """Draws the lower end of every range."""

    def uniform(self, low, high):
        return low


# Silence


async def test_a_silent_node_sends_nothing_at_all_and_still_answers_its_owner(autojump_clock):
    async with cabin_and_house(engine=ScriptedEngine({"Why?": "Because."})) as (cabin, house, here):
        await until_heard(cabin)
        await trio.sleep(10)
        house.hush(silent=True)
        await trio.sleep(5)
        flights = []
        here.air.medium.observe(
            lambda flight: flights.append(flight) if flight.port == 256 and not flight.relayed else None
        )
        with pytest.raises(RemoteError):
            await cabin.ask(wish("Why?", deadline_s=60))
        assert (await house.ask(wish("Why?"))).text == "Because."
        await trio.sleep(3600)
        assert {flight.radio for flight in flights} == {"A"}
        assert (house.status().silent, house.status().problems) == (True, ("this node is silent",))


async def test_a_silent_node_asks_nobody_and_says_how_to_end_that(autojump_clock):
    async with cabin_and_house() as (cabin, _, _):
        await until_heard(cabin)
        cabin.hush(silent=True)
        with pytest.raises(LocalError, match=r"this node is silent.*quiet --off"):
            await cabin.ask(wish("Why is the sky blue?"))
        with pytest.raises(LocalError, match="silent"):
            async with cabin._pumps[0].turn(0.1):
                pass
        cabin.hush(silent=False)
        assert (await cabin.ask(wish("Why is the sky blue?"))).text


async def test_silence_stops_the_work_for_others_and_its_end_is_announced(autojump_clock):
    engine = RestartingEngine({"Why?": "Because."})
    async with cabin_and_house(engine=engine) as (cabin, house, _):
        await until_heard(cabin)
        engine.go()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: _ask_in_vain(cabin))
            await trio.sleep(20)
            house.hush(silent=True)
            await trio.sleep(1)
            assert house._serving._taken == {}
        before = len(sent(house, "Beacon"))
        house.hush(silent=False)
        await trio.sleep(11)
        assert len(sent(house, "Beacon")) == before + 1


async def _ask_in_vain(node):
    with pytest.raises(RemoteError):
        await node.ask(wish("Why?", deadline_s=60))


# Turns


async def test_whoever_had_least_air_goes_first_but_what_has_begun_goes_on(autojump_clock):
    shares, order = Shares(), []
    budget = AirtimeBudget(trio.current_time())
    budget.spend(10, trio.current_time())
    turns = Turns(budget, shares, Dice(), Trace())
    shares.charge("greedy", 5, trio.current_time())

    async def send(asker, **how):
        claim = Claim(asker, 1.0, **how)
        async with turns.turn(lambda: claim):
            order.append((asker, *how))
            budget.spend(1.0, trio.current_time())

    async with trio.open_nursery() as nursery:
        for asker in ("greedy", "modest"):
            nursery.start_soon(send, asker)
            await trio.sleep(0.1)
        nursery.start_soon(lambda: send("greedy", bulk=False))
        nursery.start_soon(lambda: send("greedy", begun=True))
    assert order == [("greedy", "begun"), ("greedy", "bulk"), ("modest",), ("greedy",)]


async def test_what_may_never_leave_keeps_nobody_waiting(autojump_clock):
    turns, order = Turns(AirtimeBudget(trio.current_time()), Shares(), Dice(), Trace()), []
    async with trio.open_nursery() as nursery:

        async def send(airtime_s):
            claim = Claim("somebody", airtime_s)
            async with turns.turn(lambda: claim):
                order.append(airtime_s)

        nursery.start_soon(send, 100.0)
        await trio.sleep(1)
        nursery.start_soon(send, 1.0)
        await trio.sleep(10_000)
        assert order == [1.0]
        nursery.cancel_scope.cancel()


async def test_when_the_channel_is_free_again_replies_go_at_once_and_all_else_a_little_later(autojump_clock):
    budget = AirtimeBudget(trio.current_time())
    turns, times = Turns(budget, Shares(), Dice(), Trace()), {}
    started = trio.current_time()
    budget.told_load(40, 0, started)

    async def send(name, **how):
        claim = Claim("somebody", 0.5, **how)
        async with turns.turn(lambda: claim):
            times[name] = trio.current_time() - started

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: send("answer"))
        nursery.start_soon(lambda: send("reply", bulk=False, reply=True))
        await trio.sleep(60)
        assert times == {}
        budget.told_load(5, 0, trio.current_time())
        turns.look_again()
    assert times["reply"] == pytest.approx(60, abs=6)
    assert times["answer"] >= times["reply"] + 10


def test_what_somebody_had_is_forgotten_slowly_and_the_list_is_bounded():
    shares = Shares()
    shares.charge("!a", 8, 0)
    assert shares.had_s("!a", 1200) == pytest.approx(4)
    for number in range(300):
        shares.charge(f"!{number}", 1, 0)
    assert shares.had_s("!a", 0) == 0
    assert len(shares._had) == 256


async def test_a_greedy_asker_takes_nobodys_turn(autojump_clock):
    """One asks all the time, the other now and then; there is air for a fraction of it."""
    async with world(full(3), preset="LONG_FAST") as (here, nursery):
        house = here.node("A", "house", ScriptedEngine(lambda question: question * 20), serves="BC", share=0.02)
        greedy, modest = here.node("B", "greedy"), here.node("C", "modest")
        for node in (house, greedy, modest):
            await nursery.start(node.run)
        await until_heard(modest)
        waits = {"greedy": [], "modest": []}

        numbers = count()

        async def ask(node, pause_s):
            while True:
                try:
                    answer = await node.ask(wish(f"{next(numbers)} words?", max_tokens=40, deadline_s=600))
                    waits[node.settings.name].append(answer.seconds)
                except (LocalError, RemoteError):
                    await trio.sleep(30)
                await trio.sleep(pause_s)

        with trio.move_on_after(7200):
            async with trio.open_nursery() as askers:
                for _ in range(5):
                    askers.start_soon(ask, greedy, 1)
                askers.start_soon(ask, modest, 30)
        assert min(len(found) for found in waits.values()) > 10
        assert median(waits["modest"]) < median(waits["greedy"]) / 2, waits


# What a node is told


async def test_the_radios_figure_stops_a_node_and_the_next_one_lets_it_go_on(autojump_clock):
    async with cabin_and_house() as (cabin, _, _):
        await until_heard(cabin)
        pump = cabin._pumps[0]
        pump.bearer._load = RadioLoad(31.0, 1.0)
        pump._bearer_changed()
        assert "the channel is busy (31 %): waiting" in cabin.status().air
        pump.bearer._load = RadioLoad(3.0, 1.0)
        pump._bearer_changed()
        assert "s of air per hour" in cabin.status().air
        assert "busy" not in cabin.status().air


async def test_the_model_is_told_how_long_its_answer_may_be_and_what_is_longer_is_cut(autojump_clock):
    engine = RestartingEngine(LONG)
    async with world(line(2), preset="LONG_FAST") as (here, nursery):
        cabin = here.node("A", "cabin")
        house = here.node("B", "house", engine, serves="A", share=0.02)
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await trio.sleep(900)
        answer = await cabin.ask(wish("Why?"))
    (prompt,) = engine.prompts
    assert prompt.turns[0].role is Role.SYSTEM
    assert prompt.turns[0].text.startswith("Answer in about ")
    assert answer.truncated
    assert len(answer.text.encode()) <= 184 * 4
    assert LONG["Why?"].startswith(answer.text)


async def test_a_peer_that_asked_to_wait_is_not_asked_before(autojump_clock):
    engine = ScriptedEngine(lambda question: " ".join(["word"] * 100), tokens_per_s=1)
    async with cabin_and_house(engine=engine) as (cabin, house, _):
        await until_heard(cabin)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.ask, wish("Mine?", max_tokens=100))
            await trio.sleep(1)
            for _ in range(3):
                with pytest.raises(RemoteError, match="it is busy and asks to wait"):
                    await cabin.ask(wish("Why?", max_tokens=40, deadline_s=50))
            assert len(sent(cabin, "Ask")) == 1
            nursery.cancel_scope.cancel()


# Beacons


def test_the_more_nodes_announce_themselves_the_less_often_and_less_far():
    plans = [plan(nodes, 1.0) for nodes in (1, 8, 9, 24, 25, 200)]
    assert [one.reach for one in plans] == [4, 4, 3, 3, 2, 2]
    assert plans[0].interval_s == pytest.approx(460)
    assert plans[-1].interval_s == 3600
    assert all(one.valid_s > 2 * one.interval_s for one in plans)
    assert plan(1, 0.1).interval_s == 300


async def test_nodes_that_start_together_do_not_announce_themselves_together_for_ever(autojump_clock):
    async with world(full(4), preset="LONG_FAST") as (here, nursery):
        houses = [here.node(radio, radio, ScriptedEngine(LONG, name=radio)) for radio in "ABCD"]
        for house in houses:
            await nursery.start(house.run)
        await trio.sleep(4 * 3600)
        for one, other in combinations(houses, 2):
            late = [[fact.time_s for fact in sent(house, "Beacon") if fact.time_s > 3600] for house in (one, other)]
            together = sum(any(abs(time_s - theirs_s) < 1 for theirs_s in late[1]) for time_s in late[0])
            assert together <= 2


async def test_a_storm_of_whos_makes_few_beacons(autojump_clock):
    async with world(line(2), preset="LONG_FAST") as (here, nursery):
        house = here.node("B", "house", ScriptedEngine(LONG), share=0.02)
        await nursery.start(house.run)
        await trio.sleep(2000)
        before = len(sent(house, "Beacon"))
        for _ in range(1800):
            house._announcers[house._pumps[0]].beacon_wanted()
            await trio.sleep(1)
        assert len(sent(house, "Beacon")) - before <= 8


async def test_a_change_is_announced_soon_and_intervals_double_again(autojump_clock):
    engine = RestartingEngine(LONG)
    async with cabin_and_house(engine=engine) as (_, house, _):
        await trio.sleep(2000)
        engine.go()
        house.status()
        changed = trio.current_time()
        await trio.sleep(400)
        times = [fact.time_s for fact in sent(house, "Beacon") if fact.time_s > changed]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert 30 <= times[0] - changed < 100
        assert gaps[0] < 30
        assert gaps[-1] > 3 * gaps[0]
