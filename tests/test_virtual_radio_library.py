"""The unmodified `meshtastic` library and its command line against the virtual radios, in real time."""

import sys
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from pubsub import pub

from protocol.airtime import PRESETS
from simulator.firmware.settings import RadioSettings
from simulator.neighbourhood import Neighbourhood
from simulator.topology import line

pytestmark = pytest.mark.realtime


@asynccontextmanager
async def served(length, settings=None):
    """A line of radios on TCP: (neighbourhood, addresses by name)."""
    neighbourhood = Neighbourhood(line(length), PRESETS["SHORT_TURBO"], seed=1, settings=settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        yield neighbourhood, await nursery.start(neighbourhood.serve)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def library(address):
    """The library's TCPInterface, connected: (interface, what it received)."""
    from meshtastic.tcp_interface import TCPInterface

    interface = None
    received = []

    def on_receive(packet, interface):
        received.append((interface, packet))

    pub.subscribe(on_receive, "meshtastic.receive")
    try:
        with trio.fail_after(20):
            interface = await trio.to_thread.run_sync(
                partial(TCPInterface, address.host, portNumber=address.port, timeout=10)
            )
        await trio.sleep(0.3)  # its reader thread still sends a heartbeat; closing under it prints a trace
        yield interface, lambda: [packet for source, packet in received if source is interface]
    finally:
        pub.unsubscribe(on_receive, "meshtastic.receive")
        if interface is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(interface.close)


async def command_line(address, *arguments):
    """Run `meshtastic` and return what it printed."""
    command = [sys.executable, "-m", "meshtastic", "--host", f"{address.host}:{address.port}", *arguments]
    with trio.fail_after(40):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def until(condition):
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110  the library tells from threads of its own, through pubsub
            await trio.sleep(0.02)


def payloads(packets, portnum):
    return [packet["decoded"]["payload"] for packet in packets if packet["decoded"]["portnum"] == portnum]


async def test_the_library_connects_and_knows_the_radio_and_its_neighbours():
    async with served(3) as (neighbourhood, addresses), library(addresses["A"]) as (interface, _):
        assert interface.myInfo.my_node_num == neighbourhood.radios["A"].node_number == addresses["A"].node_number
        assert interface.getLongName() == "Virtual A"
        assert {node["user"]["longName"] for node in interface.nodes.values()} == {
            "Virtual A",
            "Virtual B",
            "Virtual C",
        }
        assert interface.metadata.firmware_version == "2.8.0.virtual"
        assert interface.localNode.localConfig.lora.hop_limit == 3
        assert len(interface.localNode.channels) == 8


async def test_text_and_private_data_cross_a_relay_with_acknowledgements():
    async with (
        served(3) as (_, addresses),
        library(addresses["A"]) as (a, _),
        library(addresses["C"]) as (c, heard_at_c),
    ):
        answers = []

        def onAckNak(packet):  # the library passes acknowledgements only to a handler of this name
            answers.append((packet["from"], packet["decoded"]["routing"]["errorReason"]))

        number_c = c.myInfo.my_node_num
        await trio.to_thread.run_sync(partial(a.sendText, "hello C", number_c, wantAck=True, onResponse=onAckNak))
        await until(lambda: answers)
        assert answers == [(number_c, "NONE")]
        await trio.to_thread.run_sync(partial(a.sendData, b"\x00\xff\x80", number_c, portNum=256, wantAck=True))
        await until(lambda: payloads(heard_at_c(), "PRIVATE_APP"))
        text = next(packet for packet in heard_at_c() if packet["decoded"]["portnum"] == "TEXT_MESSAGE_APP")
        assert (text["decoded"]["text"], text["hopStart"], text["hopLimit"]) == ("hello C", 3, 2)
        assert text["fromId"] == f"!{a.myInfo.my_node_num:08x}"
        assert text["pkiEncrypted"]
        assert payloads(heard_at_c(), "PRIVATE_APP") == [b"\x00\xff\x80"]


async def test_both_sides_hear_the_real_acknowledgement_on_the_receive_topic():
    async with (
        served(3) as (_, addresses),
        library(addresses["A"]) as (a, heard_at_a),
        library(addresses["C"]) as (c, _),
    ):
        number_c = c.myInfo.my_node_num
        sent = await trio.to_thread.run_sync(partial(a.sendData, b"?", number_c, portNum=256, wantAck=True))

        def acknowledged_by():
            return {
                packet["from"]
                for packet in heard_at_a()
                if packet["decoded"].get("requestId") == sent.id and packet["decoded"]["portnum"] == "ROUTING_APP"
            }

        await until(lambda: number_c in acknowledged_by())


async def test_a_second_library_evicts_the_first_which_is_told():
    async with served(1) as (_, addresses), library(addresses["A"]) as (first, _):
        lost = []

        def on_lost(interface):
            lost.append(interface)

        pub.subscribe(on_lost, "meshtastic.connection.lost")  # kept weakly: gone with this test
        first._wantExit = True  # else it fights for the radio for ever, as the library does
        async with library(addresses["A"]) as (second, _):
            await until(lambda: first in lost)
            assert second.isConnected.is_set()


async def test_the_command_line_shows_the_radio_and_its_neighbours():
    async with served(3) as (neighbourhood, addresses):
        info = await command_line(addresses["A"], "--info")
        assert "Owner: Virtual A (A)" in info
        assert '"modemPreset": "SHORT_TURBO"' in info
        nodes = await command_line(addresses["A"], "--nodes")
        assert all(f"!{radio.node_number:08x}" in nodes for radio in neighbourhood.radios.values())


async def test_the_command_line_sends_a_text_to_everybody():
    async with served(3) as (_, addresses), library(addresses["C"]) as (_, heard):
        assert "Sending text message hello" in await command_line(addresses["A"], "--sendtext", "hello")
        await until(lambda: payloads(heard(), "TEXT_MESSAGE_APP") == [b"hello"])


@pytest.mark.parametrize(("has_pkc", "verdict"), [(True, "Received an ACK"), (False, "Received an implicit ACK")])
async def test_the_command_line_waits_for_an_acknowledgement(has_pkc, verdict):
    async with served(3, RadioSettings(has_pkc=has_pkc)) as (neighbourhood, addresses):
        number = neighbourhood.radios["C"].node_number
        printed = await command_line(addresses["A"], "--sendtext", "hi", "--dest", f"!{number:08x}", "--ack")
        assert verdict in printed


async def test_the_command_line_sets_a_radio_up():
    async with served(2, RadioSettings(region="UNSET")) as (neighbourhood, addresses):
        radio = neighbourhood.radios["A"]

        await command_line(addresses["A"], "--ch-add", "village")
        village = radio.settings.channels[1]
        assert (village.name, len(village.key)) == ("village", 32)
        preferences = {"lora.region": "EU_868", "lora.hop_limit": "5", "device.role": "ROUTER"}
        sets = [part for name, value in preferences.items() for part in ("--set", name, value)]
        await command_line(addresses["A"], *sets, "--set-owner", "Cabin", "--set-owner-short", "CAB")
        await radio.until_switched(on=False)
        await radio.until_switched(on=True)
        await trio.sleep(0.1)
        assert (radio.region, radio.hop_limit, radio.long_name, radio.short_name) == ("EU_868", 5, "Cabin", "CAB")
        assert (radio.settings.role, radio.settings.mode) == ("ROUTER", "CORE_PORTNUMS_ONLY")
        info = await command_line(addresses["A"], "--info")
        assert '"region": "EU_868"' in info
        assert '"name": "village"' in info
        url = next(line.partition(": ")[2] for line in info.splitlines() if line.startswith("Complete URL"))
        other = neighbourhood.radios["B"]
        await command_line(addresses["B"], "--ch-set-url", url)
        await other.until_switched(on=False)
        await other.until_switched(on=True)
        assert other.region == "EU_868"
        assert other.settings.channels == radio.settings.channels


async def test_the_library_hears_how_busy_the_radio_finds_the_air():
    async with served(1) as (neighbourhood, addresses), library(addresses["A"]) as (interface, heard):
        neighbourhood.radios["A"]._firmware._tell_metrics()
        await until(lambda: [packet for packet in heard() if packet["decoded"]["portnum"] == "TELEMETRY_APP"])
        metrics = interface.nodesByNum[interface.myInfo.my_node_num]["deviceMetrics"]
        assert (metrics["channelUtilization"], metrics["airUtilTx"]) == (0, 0)
