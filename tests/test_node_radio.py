"""Real nodes over virtual radios, in virtual time: what an asker sees."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from mesh_world import SKY, cabin_and_house, until_heard, wish, world

from nodes.engines.scripted import ScriptedEngine
from nodes.wishes import Text
from protocol.errors import LocalError, RefuseCode, RemoteError
from simulator.topology import line


def beacon_times(node):
    return [f.time_s for f in node.trace.facts if f.name == "packet.sent" and f.fields["kind"] == "Beacon"]


async def test_a_question_crosses_two_hops_and_its_answer_comes_back(autojump_clock):
    async with cabin_and_house() as (cabin, _, _):
        pieces: list[str] = []
        answer = await cabin.ask(
            wish("Why is the sky blue?"), lambda p: pieces.append(p.text) if isinstance(p, Text) else None
        )
    assert answer.text == SKY
    assert "".join(pieces) == SKY
    assert (answer.answered_by, answer.model, answer.source, answer.hops) == ("house", "tiny", "model", 2)
    assert answer.cost.packets == 4
    assert not answer.here


async def test_the_same_question_again_is_answered_from_the_cache_without_a_packet(autojump_clock):
    async with cabin_and_house() as (cabin, _, here):
        await cabin.ask(wish("Why is the sky blue?"))
        flights = []
        here.air.medium.observe(flights.append)
        again = await cabin.ask(wish("  Why is the  sky blue?\n"))
        assert (again.text, again.source, again.cost.packets) == (SKY, "cache", 0)
        assert flights == []
        fresh = await cabin.ask(wish("Why is the sky blue?", fresh=True))
        assert fresh.source == "model"
        assert flights


async def test_a_long_answer_arrives_in_pieces_as_its_packets_do(autojump_clock):
    async with cabin_and_house() as (cabin, _, _):
        arrived: list[float] = []
        answer = await cabin.ask(
            wish("Tell me a long story", max_tokens=120),
            lambda p: arrived.append(trio.current_time()) if isinstance(p, Text) else None,
        )
    assert answer.text == " ".join(f"word{n}" for n in range(120))
    assert not answer.truncated
    assert len(arrived) > 2
    assert arrived[-1] - arrived[0] > 1


async def test_an_answer_cut_by_the_token_limit_says_so(autojump_clock):
    async with cabin_and_house() as (cabin, _, _):
        answer = await cabin.ask(wish("Tell me a long story", max_tokens=5))
    assert answer.text == "word0 word1 word2 word3 word4"
    assert answer.truncated


@pytest.mark.parametrize("loss", [0.1, 0.3])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_lost_packets_are_asked_for_again(autojump_clock, seed, loss):
    async with cabin_and_house(seed=seed, loss=loss) as (cabin, _, _):
        await until_heard(cabin)
        answer = await cabin.ask(wish("Tell me a long story", max_tokens=120))
    assert answer.text == " ".join(f"word{n}" for n in range(120)), f"seed {seed}, loss {loss}"


async def test_without_the_relay_nobody_is_in_reach_and_the_asker_is_told_within_a_minute(autojump_clock):
    async with cabin_and_house() as (cabin, _, here):
        here.air.radio("B").switch_off()
        started = trio.current_time()
        with pytest.raises(RemoteError, match="Nobody in reach"):
            await cabin.ask(wish("Why is the sky blue?"))
        assert trio.current_time() - started < 60


async def test_a_radio_that_is_not_listed_is_told_so_and_gets_no_answer(autojump_clock):
    async with world() as (here, nursery):
        cabin = here.node("A", "cabin")
        house = here.node("C", "house", ScriptedEngine({"Hello?": "Hi."}), serves="B")
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        with pytest.raises(RemoteError, match="does not answer this radio") as caught:
            await cabin.ask(wish("Hello?"))
    assert caught.value.code is RefuseCode.NOT_ALLOWED


async def test_a_stranger_who_insists_is_not_answered_every_time(autojump_clock):
    async with world() as (here, nursery):
        cabin = here.node("A", "cabin")
        house = here.node("C", "house", ScriptedEngine({"Hello?": "Hi."}), serves="B")
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        for _ in range(2):
            with pytest.raises(RemoteError):
                await cabin.ask(wish("Hello?", deadline_s=20))
        refused = [fact for fact in house.trace.facts if fact.name == "packet.sent" and fact.fields["kind"] == "Refuse"]
    assert len(refused) == 1


async def test_a_model_that_fails_gives_one_error_with_its_reason(autojump_clock):
    engine = ScriptedEngine({"Why?": "Because."})
    engine.fail_next(LocalError("the model crashed"))
    async with cabin_and_house(engine=engine) as (cabin, _, _):
        with pytest.raises(RemoteError, match="the model crashed") as caught:
            await cabin.ask(wish("Why?"))
        assert caught.value.code is RefuseCode.ENGINE_FAILED
        assert (await cabin.ask(wish("Why?"))).text == "Because."


async def test_a_busy_node_says_when_and_the_asker_comes_back(autojump_clock):
    engine = ScriptedEngine(lambda question: " ".join(["word"] * 60), tokens_per_s=3)
    async with world(line(2)) as (here, nursery):
        cabin = here.node("A", "cabin")
        house = here.node("B", "house", engine, serves="A")
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        answers = []

        async def ask(number):
            answers.append(await cabin.ask(wish(f"Question {number}?", max_tokens=60, deadline_s=600)))

        async with trio.open_nursery() as askers:
            for number in range(7):
                askers.start_soon(ask, number)
        kinds = [fact.fields["kind"] for fact in house.trace.facts if fact.name == "packet.sent"]
    assert len(answers) == 7
    assert "Busy" in kinds
    assert "Accept" in kinds


async def test_cancelling_a_question_stops_the_peers_work(autojump_clock):
    engine = ScriptedEngine(lambda question: " ".join(["word"] * 100), tokens_per_s=1)
    async with cabin_and_house(engine=engine) as (cabin, house, _):
        with trio.move_on_after(20) as scope:
            await cabin.ask(wish("Why?", max_tokens=100))
        assert scope.cancelled_caught
        await trio.sleep(10)
        assert [fact.name for fact in house.trace.facts if fact.name == "ask.stopped"] == ["ask.stopped"]
        assert house.status().backlog_s == 0


async def test_a_peer_that_vanishes_mid_answer_ends_in_an_error_by_the_deadline(autojump_clock):
    engine = ScriptedEngine(lambda question: " ".join(["word"] * 100), tokens_per_s=5)
    async with cabin_and_house(engine=engine) as (cabin, _, here):

        async def cut():
            await trio.sleep(15)
            here.air.radio("C").switch_off()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut)
            started = trio.current_time()
            with pytest.raises(RemoteError, match="No answer"):
                await cabin.ask(wish("Why?", max_tokens=100, deadline_s=90))
            assert trio.current_time() - started <= 91


async def test_the_askers_own_radio_vanishing_mid_answer_only_delays_the_answer(autojump_clock):
    async with cabin_and_house() as (cabin, _, here):

        async def cut():
            await trio.sleep(8)
            here.air.radio("A").switch_off()
            await trio.sleep(10)
            here.air.radio("A").switch_on()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut)
            answer = await cabin.ask(wish("Tell me a long story", max_tokens=120))
    assert answer.text.endswith("word119")


async def test_a_question_that_is_empty_or_too_long_is_refused_before_a_packet_flies(autojump_clock):
    async with cabin_and_house() as (cabin, _, here):
        await trio.sleep(10)
        flights = []
        here.air.medium.observe(flights.append)
        with pytest.raises(LocalError, match="There is no question"):
            await cabin.ask(wish("  \n "))
        with pytest.raises(LocalError, match="100000 bytes"):
            await cabin.ask(wish("x" * 100_000))
        with pytest.raises(LocalError, match="too many for the radio"):
            await cabin.ask(wish("x" * 4_000))
        assert flights == []


async def test_a_node_with_a_model_answers_itself_when_that_is_faster(autojump_clock):
    async with world(line(2)) as (here, nursery):
        fast = here.node("A", "fast", ScriptedEngine({"Why?": "Because."}, name="tiny", tokens_per_s=50))
        other = here.node("B", "other", ScriptedEngine({"Why?": "No."}, name="big", tokens_per_s=50), serves="A")
        await nursery.start(fast.run)
        await nursery.start(other.run)
        await trio.sleep(10)
        mine = await fast.ask(wish("Why?"))
        theirs = await fast.ask(wish("Why?", model="big"))
    assert (mine.answered_by, mine.here, mine.cost.packets) == ("fast", True, 0)
    assert (theirs.answered_by, theirs.here) == ("other", False)


async def test_a_who_is_answered_at_once_but_not_more_often_than_the_air_allows(autojump_clock):
    async with cabin_and_house() as (cabin, house, _):
        await trio.sleep(1000)
        before = beacon_times(house)
        for _ in range(4):
            cabin._pumps[0].peers.lost(cabin.known_peers()[0].address)
            asked = trio.current_time()
            await cabin.ask(wish("Why is the sky blue?", fresh=True))
            assert trio.current_time() - asked < 15
        beacons = beacon_times(house)[len(before) :]
    gaps = [later - earlier for earlier, later in pairwise(beacons)]
    assert 1 <= len(beacons) <= 5
    assert all(gap > 2 for gap in gaps)


async def test_beacons_come_soon_at_first_and_seldom_later(autojump_clock):
    async with cabin_and_house() as (_, house, _):
        await trio.sleep(2000)
        beacons = beacon_times(house)
    gaps = [later - earlier for earlier, later in pairwise(beacons)]
    assert gaps[0] < 30
    assert all(later > 1.2 * earlier for earlier, later in pairwise(gaps[:5]))
    assert all(240 <= gap < 320 for gap in gaps[5:])


async def test_no_trace_holds_the_text_of_a_question_or_an_answer(autojump_clock):
    async with cabin_and_house() as (cabin, house, _):
        await cabin.ask(wish("Why is the sky blue?"))
        facts = f"{cabin.trace.facts} {house.trace.facts}"
    assert "sky" not in facts
    assert "scatters" not in facts


async def test_frames_of_strangers_and_damaged_frames_are_dropped_and_traced(autojump_clock):
    async with cabin_and_house() as (cabin, house, here):
        from simulator.radio import VirtualRadioPort

        stranger = VirtualRadioPort(here.air.radio("B"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stranger.run, lambda event: None)
            await trio.sleep(5)
            for payload in (b"", b"\x01", b"hello stranger", bytes(200), b"\x01" + bytes(190)):
                await stranger.transmit(payload, to=0xFFFFFFFF, port=256)
                await trio.sleep(2)
            nursery.cancel_scope.cancel()
        dropped = [fact for fact in house.trace.facts if fact.name == "frame.dropped"]
        assert len(dropped) == 5
        assert (
            await cabin.ask(wish("Why is the sky blue?"))
        ).text == "Because air scatters blue light more than red light."
