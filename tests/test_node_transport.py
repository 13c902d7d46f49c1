"""What nodes make of the radio's own words: refusals, missing keys, relays that drop; and answers that get through."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
import trio
from mesh_world import SKY, cabin_and_house, until_heard, wish, world

from nodes.bearers.radio import RadioBearer, address_of
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import BROADCAST
from nodes.node import Node, NodeSettings
from nodes.trace import Trace
from protocol.errors import LocalError, RemoteError
from simulator.channels import Channel
from simulator.firmware.settings import RadioSettings
from simulator.medium import Transmission
from simulator.radio import VirtualRadioPort
from simulator.topology import line

OWN = (Channel("meshai", bytes(range(32))),)
"""A channel on which firmware seals direct messages with the receiver's key."""


async def test_a_router_that_drops_our_traffic_is_named_with_what_its_owner_can_change(autojump_clock):
    async with cabin_and_house(topology=line(3)) as (cabin, _house, here):
        await until_heard(cabin)
        relay = here.air.radio("B")
        relay.configure(replace(relay.settings, role="ROUTER", rebroadcast_mode="CORE_PORTNUMS_ONLY"))
        relay.restart()
        known = here.air.radio("A").known_nodes[relay.node_number]
        known.role = "ROUTER"
        here.air.radio("A").learnt(known)
        await trio.sleep(30)
        with pytest.raises(RemoteError) as caught:
            await cabin.ask(wish("Why is the sky blue?", deadline_s=240))
        assert address_of(relay.node_number) in str(caught.value)
        assert "CORE_PORTNUMS_ONLY" in str(caught.value)
        assert "rebroadcast mode to ALL" in str(caught.value)


async def test_a_silent_peer_without_a_dropping_router_is_just_silent(autojump_clock):
    async with cabin_and_house(topology=line(3)) as (cabin, _, here):
        await until_heard(cabin)
        here.air.radio("C").switch_off()
        with pytest.raises(RemoteError, match="nothing was heard from it"):
            await cabin.ask(wish("Why is the sky blue?", deadline_s=120))


async def test_the_receivers_key_is_fetched_when_the_radio_lacks_it(autojump_clock):
    settings = RadioSettings(channels=OWN)
    async with cabin_and_house(topology=line(2), settings=settings, other="B") as (cabin, _house, here):
        await until_heard(cabin)
        a, b = here.air.radio("A"), here.air.radio("B")
        a.known_nodes[b.node_number].public_key = b""
        answer = await cabin.ask(wish("Why is the sky blue?"))
        assert answer.text == SKY
        assert [fact.name for fact in cabin.trace.facts if fact.name == "radio.key_asked"] == ["radio.key_asked"]


async def test_a_question_is_answered_though_the_relays_cannot_read_it(autojump_clock):
    settings = RadioSettings(channels=OWN)
    async with cabin_and_house(topology=line(3), settings=settings) as (cabin, _house, here):
        sealed: list[Transmission] = []
        here.air.medium.observe(lambda one: sealed.append(one) if one.pkc and not one.ended else None)
        await until_heard(cabin)
        assert (await cabin.ask(wish("Why is the sky blue?"))).text == SKY
        assert sealed


async def test_the_law_ends_sending_for_a_while_and_is_said(autojump_clock):
    async with world(line(2), preset="LONG_SLOW", settings=RadioSettings(region="EU_868")) as (here, nursery):
        bearer = RadioBearer(VirtualRadioPort(here.air.radio("A")), Trace())
        await nursery.start(bearer.run, lambda received: None, lambda: None)
        await trio.sleep(1)
        to = here.address("B")

        async def send_much() -> None:
            for _ in range(60):
                await bearer.send(bytes(190), to, hops=1)

        with pytest.raises(LocalError, match="duty cycle"):
            await send_much()
        assert "duty cycle" in bearer.problem
        await trio.sleep(70)
        assert bearer.problem == ""


async def test_a_question_that_came_over_the_internet_is_ignored(autojump_clock):
    async with cabin_and_house(topology=line(2), other="B") as (cabin, house, here):
        await until_heard(cabin)
        heard = here.air.radio("B")
        original = heard.to_client
        heard.to_client = lambda packet, snr_db=None: original(replace(packet, via_mqtt=True), snr_db)
        with pytest.raises(RemoteError):
            await cabin.ask(wish("Why is the sky blue?", deadline_s=60))
        assert any(fact.name == "packet.ignored" for fact in house.trace.facts)


@pytest.mark.parametrize("seed", range(6))
async def test_every_question_ends_in_an_answer_or_an_error_on_a_very_lossy_path(autojump_clock, seed):
    engine = ScriptedEngine({"Why is the sky blue?": SKY}, name="tiny", tokens_per_s=20)
    async with cabin_and_house(topology=line(4), other="D", loss=0.3, seed=seed, engine=engine) as (cabin, _, _here):
        await until_heard(cabin)
        with trio.fail_after(301):
            with suppress(RemoteError):
                assert (await cabin.ask(wish("Why is the sky blue?"))).text == SKY


class NewsLost(VirtualRadioPort):
    """A radio whose broadcasts get lost from some moment on."""

    lost = False

    async def transmit(self, payload: bytes, *, to: int, **how: object) -> int:
        if self.lost and to == BROADCAST:
            return 1
        return await super().transmit(payload, to=to, **how)


async def test_a_peer_whose_beacons_get_lost_is_asked_as_the_last_resort(autojump_clock):
    async with world(line(2)) as (here, nursery):
        cabin = here.node("A", "cabin")
        port = NewsLost(here.air.radio("B"))
        trace = Trace()
        house = Node(
            NodeSettings("house", frozenset({here.address("A")})),
            engine=ScriptedEngine({"Why is the sky blue?": SKY}),
            bearers=[RadioBearer(port, trace)],
            cache=AnswerCache(None, trace),
            rng=Random(1),
            trace=trace,
        )
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        port.lost = True
        await trio.sleep(3600)
        assert not any(peer.fresh(trio.current_time()) for peer in cabin.known_peers())
        assert (await cabin.ask(wish("Why is the sky blue?"))).text == SKY
