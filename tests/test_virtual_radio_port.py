"""The virtual radio as a node's RadioPort, without threads and in virtual time."""

from contextlib import asynccontextmanager

import pytest
import trio

from nodes.interfaces import (
    ChannelKey,
    RadioAck,
    RadioChannel,
    RadioDown,
    RadioLoad,
    RadioNode,
    RadioPacket,
    RadioRoute,
    RadioUp,
)
from protocol.airtime import PRESETS, Preset
from protocol.errors import LocalError
from simulator.channels import Channel, channel_hash
from simulator.firmware.settings import RadioSettings
from simulator.neighbourhood import Neighbourhood
from simulator.packet import Cipher, Packet
from simulator.radio import VirtualRadioPort
from simulator.topology import line


@asynccontextmanager
async def ports(length, seed=1, settings=None, **special):
    """A line of radios with a port on each: (neighbourhood, ports by name, events by name, known nodes aside)."""
    neighbourhood = Neighbourhood(line(length), PRESETS["SHORT_FAST"], seed=seed, settings=settings, special=special)
    by_name = {name: VirtualRadioPort(radio) for name, radio in neighbourhood.radios.items()}
    events = {name: [] for name in by_name}
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        for name, port in by_name.items():
            nursery.start_soon(port.run, events[name].append)
        await trio.sleep(1)
        for told in events.values():
            told[:] = [event for event in told if not isinstance(event, RadioNode)]
        yield neighbourhood, by_name, events
        nursery.cancel_scope.cancel()


async def test_the_radio_introduces_itself_first(autojump_clock):
    async with ports(1) as (neighbourhood, _, events):
        (event,) = events["A"]
        assert isinstance(event, RadioUp)
        assert event.info.node_number == neighbourhood.radios["A"].node_number
        assert (event.info.preset, event.info.region, event.info.hop_limit) == ("SHORT_FAST", "US", 3)
        assert event.info.long_name == "Virtual A"


async def test_a_packet_arrives_with_its_path_and_is_acknowledged(autojump_clock):
    async with ports(3) as (neighbourhood, port, events):
        a, c = (neighbourhood.radios[name].node_number for name in "AC")
        packet_id = await port["A"].transmit(b"question", to=c, port=256, want_ack=True)
        await trio.sleep(30)
        assert events["C"][1:] == [RadioPacket(a, c, 256, b"question", packet_id, 3, 2, 6.0, pkc=True)]
        assert events["C"][1].hops == 2
        assert events["A"][1:] == [RadioAck(packet_id, c, 0)]


async def test_where_relays_can_read_a_packet_its_sender_hears_of_it_twice(autojump_clock):
    async with ports(3, settings=RadioSettings(has_pkc=False)) as (neighbourhood, port, events):
        a, c = (neighbourhood.radios[name].node_number for name in "AC")
        packet_id = await port["A"].transmit(b"question", to=c, port=256, want_ack=True)
        await trio.sleep(30)
        assert events["C"][1:] == [RadioPacket(a, c, 256, b"question", packet_id, 3, 2, 6.0)]
        assert events["A"][1:] == [RadioAck(packet_id, a, 0), RadioAck(packet_id, c, 0)]


async def test_events_of_a_packet_come_after_its_id_is_known(autojump_clock):
    async with ports(2) as (_, port, events):
        packet_id = await port["A"].transmit(bytes(240), to=7, port=256)
        assert len(events["A"]) == 1
        await trio.sleep(1)
        assert {event.error for event in events["A"][1:]} == {7}
        assert {event.packet_id for event in events["A"][1:]} == {packet_id}


async def test_a_full_queue_makes_transmit_wait_and_loses_nothing(autojump_clock):
    async with ports(2) as (_, port, events):
        sent = [await port["A"].transmit(bytes([n]), to=0xFFFFFFFF, port=256, hop_limit=1) for n in range(40)]
        assert trio.current_time() > 1.5
        await trio.sleep(120)
        arrived = [event.packet_id for event in events["B"] if isinstance(event, RadioPacket)]
        assert set(arrived) <= set(sent)
        assert len(arrived) >= 36
        assert not any(isinstance(event, RadioAck) and event.error for event in events["A"])


async def test_people_waiting_for_a_place_are_told_when_the_radio_goes(autojump_clock):
    async with ports(2) as (neighbourhood, port, _):

        async def switch_off_soon():
            await trio.sleep(0.1)
            neighbourhood.radios["A"].switch_off()

        async with trio.open_nursery() as nursery:
            for _ in range(16):
                await port["A"].transmit(bytes(200), to=0xFFFFFFFF, port=256)
            nursery.start_soon(switch_off_soon)
            await port["A"].transmit(bytes(200), to=0xFFFFFFFF, port=256)
            with pytest.raises(LocalError, match="radio is gone"):
                await port["A"].transmit(bytes(200), to=0xFFFFFFFF, port=256)


async def test_a_radio_that_is_switched_off_and_on_is_down_and_up(autojump_clock):
    async with ports(2) as (neighbourhood, port, events):
        neighbourhood.radios["A"].switch_off()
        await trio.sleep(5)
        assert events["A"][1:] == [RadioDown("the radio was switched off")]
        with pytest.raises(LocalError, match="radio is gone"):
            await port["A"].transmit(b"?", to=0xFFFFFFFF, port=256)
        neighbourhood.radios["A"].switch_on()
        await trio.sleep(5)
        assert isinstance(events["A"][2], RadioUp)
        await port["A"].transmit(b"back", to=0xFFFFFFFF, port=256)
        await trio.sleep(5)
        assert events["B"][-1].payload == b"back"


async def test_a_port_whose_radio_was_taken_takes_it_back(autojump_clock):
    async with ports(1) as (neighbourhood, _, events):
        other_events = []
        with trio.move_on_after(0.5):
            await VirtualRadioPort(neighbourhood.radios["A"]).run(other_events.append)
        await trio.sleep(5)
        assert events["A"][1] == RadioDown("another client took the radio")
        assert isinstance(events["A"][2], RadioUp)


async def test_the_radio_tells_its_role_mode_channels_and_firmware(autojump_clock):
    channels = (Channel(), Channel("village", bytes(16), uplink=True), Channel(enabled=False), Channel("open", b"\x00"))
    settings = RadioSettings(role="ROUTER", firmware="2.7.26", channels=channels, ok_to_mqtt=True)
    async with ports(1, settings=settings) as (_, port, events):
        info = events["A"][0].info
        assert (info.role, info.rebroadcast_mode, info.firmware) == ("ROUTER", "CORE_PORTNUMS_ONLY", "2.7.26.virtual")
        assert (info.licensed, info.ok_to_mqtt) == (False, True)
        assert info.channels == (
            RadioChannel(0, "", ChannelKey.DEFAULT),
            RadioChannel(1, "village", ChannelKey.OWN, uplink=True),
            RadioChannel(3, "open", ChannelKey.NONE),
        )
        assert port["A"].info == info


async def test_a_licensed_radio_tells_that_no_channel_has_a_key_and_a_custom_preset_has_no_name(autojump_clock):
    settings = RadioSettings(licensed=True, preset=Preset("CUSTOM", 10, 125_000, 5))
    async with ports(1, settings=settings) as (_, _port, events):
        info = events["A"][0].info
        assert [channel.key for channel in info.channels] == [ChannelKey.NONE]
        assert (info.licensed, info.preset) == (True, "")


async def test_known_radios_follow_the_introduction_and_come_again_with_what_is_learnt(autojump_clock):
    neighbourhood = Neighbourhood(line(3), seed=1, special={"C": RadioSettings(role="ROUTER", has_pkc=False)})
    a, b, c = (neighbourhood.radios[name] for name in "ABC")
    told = []
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        port = VirtualRadioPort(a)
        nursery.start_soon(port.run, told.append)
        await trio.sleep(1)
        nodes = [
            RadioNode(b.node_number, "Virtual B", "CLIENT", True),
            RadioNode(c.node_number, "Virtual C", "ROUTER", False),
        ]
        assert [type(event) for event in told[:1]] == [RadioUp]
        assert told[1:] == nodes
        del a.known_nodes[b.node_number]
        told.clear()
        await port.request_node_info(b.node_number)
        await trio.sleep(30)
        assert nodes[0] in told
        nursery.cancel_scope.cancel()


async def test_a_traceroute_tells_the_way(autojump_clock):
    async with ports(4) as (neighbourhood, port, events):
        numbers = [neighbourhood.radios[name].node_number for name in "BCD"]
        await port["A"].trace_route(numbers[2])
        await trio.sleep(30)
        assert RadioRoute(numbers[2], tuple(numbers[:2])) in events["A"]


async def test_the_load_is_told_every_minute(autojump_clock):
    async with ports(2, settings=RadioSettings(has_pkc=False)) as (neighbourhood, port, events):
        await trio.sleep(50)
        await port["A"].transmit(bytes(200), to=neighbourhood.radios["B"].node_number, port=256)
        await trio.sleep(140)
        loads = {name: [event for event in told if isinstance(event, RadioLoad)] for name, told in events.items()}
        assert [len(told) for told in loads.values()] == [3, 3]
        assert [load.channel_utilisation_percent > 0 for load in loads["B"]] == [True, False, False]
        assert [load.air_util_tx_percent > 0 for load in loads["A"]] == [True, True, True]
        assert not any(load.air_util_tx_percent for load in loads["B"])


async def test_a_packet_tells_its_channel_what_it_answers_and_whether_it_crossed_the_internet(autojump_clock):
    settings = RadioSettings(channels=(Channel(), Channel("village", bytes(16))))
    async with ports(2, settings=settings) as (neighbourhood, port, events):
        await port["A"].transmit(b"here", to=0xFFFFFFFF, port=256, channel=1, reply_id=9)
        cipher = Cipher(channel_hash("village", bytes(16)), bytes(16))
        packet = Packet(77, 0xFFFFFFFF, 5, 256, b"far", hop_limit=1, hop_start=1, cipher=cipher)
        neighbourhood.radios["A"].hear_from_internet(packet)
        await trio.sleep(20)
        heard = [event for event in events["B"] if isinstance(event, RadioPacket) and event.port == 256]
        told = {event.payload: (event.channel, event.reply_id, event.via_mqtt) for event in heard}
        assert told == {b"here": (1, 9, False), b"far": (1, 0, True)}


async def test_an_unknown_radio_is_named(autojump_clock):
    async with ports(2) as (neighbourhood, *_):
        assert neighbourhood.radio("B") is neighbourhood.radios["B"]
        with pytest.raises(LocalError, match="Use one of A, B"):
            neighbourhood.radio("Z")
