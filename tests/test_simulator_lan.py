"""Real nodes on a virtual LAN, in virtual time: alone, and beside a radio."""

from __future__ import annotations

from random import Random

import pytest
import trio
from mesh_world import PLAIN, sent, until_heard, wish

from meshai.api import unwrapped
from nodes.bearers.radio import RadioBearer, address_of
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.node import Node, NodeSettings
from nodes.trace import Trace
from protocol.airtime import PRESETS
from protocol.errors import LocalError, RemoteError
from simulator import kernel
from simulator.lan import VirtualLan, VirtualLanBearer
from simulator.neighbourhood import Neighbourhood
from simulator.radio import VirtualRadioPort
from simulator.topology import line

WORDS = " ".join(f"word{number}" for number in range(60))


def lan_node(name, *bearers, engine=None, serves=(), trace=None):
    trace = trace or Trace()
    settings = NodeSettings(name, frozenset(serves))
    return Node(settings, engine=engine, bearers=bearers, cache=AnswerCache(None, trace), rng=Random(name), trace=trace)


def pair(lan, **engine):
    """A node that only asks, and one with a model, on one LAN."""
    asker = lan_node("laptop", VirtualLanBearer(lan, "lan-0"))
    engine = ScriptedEngine({"Why?": WORDS, "How?": WORDS * 40}, **{"tokens_per_s": 20, **engine})
    return asker, lan_node("server", VirtualLanBearer(lan, "lan-1"), engine=engine, serves=["lan-0"])


def lived(live, *args):
    async def world():
        with unwrapped():
            async with trio.open_nursery() as nursery:
                result = await live(nursery, *args)
                nursery.cancel_scope.cancel()
        return result

    return kernel.run(world, seed=1)


# Nodes


def test_a_node_without_a_model_is_answered_over_the_lan_in_little_more_than_the_models_time():
    async def live(nursery):
        asker, server = pair(VirtualLan())
        await nursery.start(asker.run)
        await nursery.start(server.run)
        await until_heard(asker)
        started = trio.current_time()
        answer = await asker.ask(wish("Why?", max_tokens=60))
        return started, answer, server.status()

    started, answer, status = lived(live)
    assert (answer.text, answer.answered_by, answer.hops) == (WORDS, "server", 1)
    assert 3.0 < answer.seconds < 3.5
    assert started < 1
    assert answer.cost.airtime_s == 0
    assert "left" in status.air
    assert status.air_left_s > 0


def test_the_airtime_budget_limits_no_lan():
    async def live(nursery):
        lan = VirtualLan()
        asker, server = pair(lan, tokens_per_s=2000, prefill_tokens_per_s=1e6)
        await nursery.start(asker.run)
        await nursery.start(server.run)
        await until_heard(asker)
        started = trio.current_time()
        for number in range(300):
            assert (await asker.ask(wish("Why?", max_tokens=60, fresh=True))).text == WORDS, number
        return trio.current_time() - started, server._pumps[0].budget.used_s(trio.current_time())

    took_s, used_s = lived(live)
    assert took_s < 300 * 0.2
    assert used_s == 0


def test_a_stranger_on_the_lan_is_refused():
    async def live(nursery):
        lan = VirtualLan()
        _, server = pair(lan)
        stranger = lan_node("stranger", VirtualLanBearer(lan, "lan-9"))
        await nursery.start(stranger.run)
        await nursery.start(server.run)
        await until_heard(stranger)
        with pytest.raises(RemoteError, match="does not answer"):
            await stranger.ask(wish("Why?"))

    lived(live)


def test_a_cut_cable_is_said_and_put_back_it_works_again():
    async def live(nursery):
        lan = VirtualLan()
        asker, server = pair(lan)
        await nursery.start(asker.run)
        await nursery.start(server.run)
        await until_heard(asker)
        lan.cut("lan-0", off=True)
        with pytest.raises(LocalError, match="cut off"):
            await asker.ask(wish("Why?", deadline_s=60))
        lan.cut("lan-0", off=False)
        assert (await asker.ask(wish("Why?"))).text
        lan.cut("lan-1", off=True)
        with pytest.raises(RemoteError, match="nothing was heard from it"):
            await asker.ask(wish("Why?", fresh=True, deadline_s=60))

    lived(live)


def test_a_house_with_radio_and_lan_asks_over_the_lan_first_and_else_by_radio():
    async def live(nursery):
        air = Neighbourhood(line(2), PRESETS["LONG_FAST"], seed=1, settings=PLAIN)
        here, there = (address_of(air.radio(radio).node_number) for radio in "AB")
        lan, trace = VirtualLan(), Trace()
        gateway = lan_node(
            "gateway",
            RadioBearer(VirtualRadioPort(air.radio("A")), trace),
            VirtualLanBearer(lan, "lan-0"),
            trace=trace,
        )
        server = lan_node(
            "server",
            VirtualLanBearer(lan, "lan-1"),
            engine=ScriptedEngine({"Why?": WORDS}, tokens_per_s=5),
            serves=["lan-0"],
        )
        trace = Trace()
        neighbour = lan_node(
            "neighbour",
            RadioBearer(VirtualRadioPort(air.radio("B")), trace),
            engine=ScriptedEngine({"Why?": WORDS}, tokens_per_s=10),
            serves=[here],
            trace=trace,
        )
        await nursery.start(air.run)
        for node in (gateway, server, neighbour):
            await nursery.start(node.run)
        await trio.sleep(60)
        assert len(gateway.known_peers()) == 2
        first = await gateway.ask(wish("Why?", max_tokens=60, fresh=True))
        radio_asks = [fact for fact in sent(gateway, "Ask") if fact.fields["to"] == there]
        lan.cut("lan-0", off=True)
        second = await gateway.ask(wish("Why?", max_tokens=60, fresh=True))
        return first, radio_asks, second

    first, radio_asks, second = lived(live)
    assert (first.answered_by, radio_asks) == ("server", [])
    assert first.seconds < 13
    assert second.answered_by == "neighbour"


def test_the_same_seed_runs_the_same():
    async def live(nursery):
        asker, server = pair(VirtualLan())
        await nursery.start(asker.run)
        await nursery.start(server.run)
        await until_heard(asker)
        await asker.ask(wish("Why?"))
        await trio.sleep(1000)
        return [(fact.time_s, fact.name) for node in (asker, server) for fact in node.trace.facts]

    assert lived(live) == lived(live)


# The segment


async def test_frames_arrive_after_the_latency_at_whom_they_are_for(autojump_clock):
    lan, heard = VirtualLan(latency_s=0.01), []
    bearers = [VirtualLanBearer(lan, f"lan-{number}") for number in range(3)]
    async with trio.open_nursery() as nursery:
        for bearer in bearers:
            to = bearer.address
            await nursery.start(
                bearer.run, lambda received, to=to: heard.append((to, received.peer, received.broadcast)), lambda: None
            )
        started = trio.current_time()
        await bearers[0].send(b"hello", "lan-2")
        assert trio.current_time() - started == pytest.approx(0.01)
        assert heard == [("lan-2", "lan-0", False)]
        await bearers[1].send(b"all", None)
        assert heard[1:] == [("lan-0", "lan-1", True), ("lan-2", "lan-1", True)]
        await bearers[0].send(b"nobody", "lan-7")
        assert len(heard) == 3
        nursery.cancel_scope.cancel()


async def test_what_is_under_way_when_a_cable_is_pulled_is_lost(autojump_clock):
    lan, heard = VirtualLan(latency_s=1), []
    sender, receiver = VirtualLanBearer(lan, "lan-0"), VirtualLanBearer(lan, "lan-1")
    async with trio.open_nursery() as nursery:
        await nursery.start(sender.run, heard.append, lambda: None)
        await nursery.start(receiver.run, heard.append, lambda: None)
        nursery.start_soon(sender.send, b"hello", "lan-1")
        await trio.sleep(0.5)
        lan.cut("lan-0", off=True)
        await trio.sleep(1)
        assert heard == []
        with pytest.raises(LocalError, match="cut off"):
            await sender.send(b"hello", "lan-1")
        nursery.cancel_scope.cancel()


async def test_an_address_is_given_once_and_free_again_when_its_node_ends(autojump_clock):
    lan = VirtualLan()
    async with trio.open_nursery() as nursery:
        await nursery.start(VirtualLanBearer(lan, "lan-0").run, lambda received: None, lambda: None)
        with pytest.raises(LocalError, match="Two devices"):
            await VirtualLanBearer(lan, "lan-0").run(lambda received: None, lambda: None)
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        await nursery.start(VirtualLanBearer(lan, "lan-0").run, lambda received: None, lambda: None)
        nursery.cancel_scope.cancel()


def test_impossible_segments_are_refused():
    with pytest.raises(LocalError, match="latency"):
        VirtualLan(latency_s=-1)
