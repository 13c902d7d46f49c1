"""Nothing is transmitted by a radio that may not send, whoever asks for it; it is listened to all the same."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from nodes.bearers.gate import GatedPort
from nodes.bearers.radio import RadioBearer
from nodes.interfaces import RadioPacket, RadioUp
from nodes.radio_check import Finding, Judgement, Severity
from nodes.trace import Trace
from protocol.airtime import PRESETS
from protocol.errors import LocalError
from simulator.channels import Channel
from simulator.firmware.settings import RadioSettings
from simulator.neighbourhood import Neighbourhood
from simulator.radio import VirtualRadioPort
from simulator.topology import line

ROLE = Finding(Severity.WARNING, "the radio's role is ROUTER", "why", "fix")
SILENT = Judgement("it was not set up", 0, (ROLE,))
FREE = Judgement("", 0, (ROLE,))


class World:
    """Two radios: A behind a gate whose verdict can change, B without."""

    def __init__(self, verdict):
        settings = RadioSettings(channels=(Channel(), Channel("serial", bytes(32))))
        self.neighbourhood = Neighbourhood(line(2), PRESETS["SHORT_FAST"], seed=1, settings=settings)
        self.verdict, self.judged = verdict, []
        self.trace, self.events, self.heard_by_b, self.flown = Trace(), [], [], []
        self.a, self.b = (self.neighbourhood.radios[name] for name in "AB")
        self.gate = GatedPort(VirtualRadioPort(self.a), self.judge, self.trace)
        self.port_b = VirtualRadioPort(self.b)
        self.neighbourhood.medium.observe(self.flown.append)

    def judge(self, info):
        self.judged.append(info)
        return self.verdict

    def facts(self, name):
        return [fact.fields for fact in self.trace.facts if fact.name == name]

    async def restart(self):
        self.a.switch_off()
        await trio.sleep(5)
        self.a.switch_on()
        await trio.sleep(5)


@asynccontextmanager
async def world(verdict, *, bearer=False):
    """A running world, with a radio bearer on A where wanted, else its bare events."""
    here = World(verdict)
    async with trio.open_nursery() as nursery:
        await nursery.start(here.neighbourhood.run)
        if bearer:
            here.bearer = RadioBearer(here.gate, here.trace)
            nursery.start_soon(here.bearer.run, here.events.append, lambda: None)
        else:
            nursery.start_soon(here.gate.run, here.events.append)
        nursery.start_soon(here.port_b.run, here.heard_by_b.append)
        await trio.sleep(1)
        yield here
        nursery.cancel_scope.cancel()


def ways_to_send(here):
    yield partial(here.gate.transmit, b"?", to=here.b.node_number, port=256)
    yield partial(here.gate.transmit, b"text", to=0xFFFFFFFF, port=1)
    yield partial(here.gate.request_node_info, here.b.node_number)
    yield partial(here.gate.trace_route, here.b.node_number)


async def test_by_a_silent_radio_nothing_is_sent_in_any_way(autojump_clock):
    async with world(SILENT) as here:
        for way in ways_to_send(here):
            with pytest.raises(LocalError, match="it was not set up"):
                await way()
        await trio.sleep(60)
        assert here.flown == []
        assert RadioUp(here.judged[0], silence="it was not set up") in here.events


async def test_a_silent_radio_is_listened_to(autojump_clock):
    async with world(SILENT) as here:
        await here.port_b.transmit(b"hello", to=0xFFFFFFFF, port=256)
        await trio.sleep(10)
        assert [event.payload for event in here.events if isinstance(event, RadioPacket)] == [b"hello"]


async def test_before_the_radio_answered_nothing_is_sent():
    for way in ways_to_send(World(FREE)):
        with pytest.raises(LocalError, match="not answered yet"):
            await way()


async def test_a_free_radio_sends_in_every_way(autojump_clock):
    async with world(FREE) as here:
        for way in ways_to_send(here):
            await way()
            await trio.sleep(40)
        assert {256, 1, 4, 70} <= {sent.port for sent in here.flown if sent.sender == here.a.node_number}


async def test_the_verdict_is_asked_for_anew_whenever_the_radio_comes_up(autojump_clock):
    async with world(FREE) as here:
        here.verdict = SILENT
        await here.restart()
        with pytest.raises(LocalError, match="it was not set up"):
            await here.gate.transmit(b"?", to=7, port=256)
        here.verdict = FREE
        await here.restart()
        await here.gate.transmit(b"?", to=7, port=256)
        assert len(here.judged) == 3


async def test_while_the_radio_is_away_the_reason_is_told(autojump_clock):
    async with world(FREE) as here:
        here.a.switch_off()
        await trio.sleep(5)
        with pytest.raises(LocalError, match="switched off"):
            await here.gate.transmit(b"?", to=7, port=256)


async def test_findings_are_traced_once_and_the_silence_each_time(autojump_clock):
    async with world(SILENT) as here:
        await here.restart()
        assert here.facts("radio.finding") == [
            {"severity": "warning", "what": ROLE.what, "why": ROLE.why, "fix": ROLE.fix}
        ]
        assert here.facts("radio.silent") == [{"why": "it was not set up"}] * 2


async def test_the_bearer_tells_why_it_is_silent_and_goes_on_hearing(autojump_clock):
    async with world(SILENT, bearer=True) as here:
        assert here.bearer.problem == "it was not set up"
        await here.port_b.transmit(b"frame", to=here.a.node_number, port=256)
        await trio.sleep(10)
        assert [received.frame for received in here.events] == [b"frame"]
        here.verdict = FREE
        await here.restart()
        assert here.bearer.problem == ""
        await here.bearer.send(b"out", None)
        await trio.sleep(10)
        assert b"out" in [event.payload for event in here.heard_by_b if isinstance(event, RadioPacket)]


async def test_frames_go_out_on_the_channel_that_was_chosen(autojump_clock):
    async with world(Judgement("", 1, ()), bearer=True) as here:
        await here.bearer.send(b"out", None)
        await trio.sleep(10)
        packets = [event for event in here.heard_by_b if isinstance(event, RadioPacket)]
        assert [(packet.payload, packet.channel) for packet in packets] == [(b"out", 1)]
