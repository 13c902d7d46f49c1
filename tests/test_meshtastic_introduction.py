"""What a radio of any kind tells of itself when it is connected, in real time through the `meshtastic` library."""

from contextlib import asynccontextmanager

import pytest
import trio
from meshtastic.protobuf import channel_pb2, config_pb2, mesh_pb2
from radio_ports import running

from nodes.bearers.meshtastic_port import MeshtasticPort
from nodes.interfaces import ChannelKey, RadioChannel, RadioDown, RadioLoad, RadioUp
from nodes.trace import Trace
from simulator.clients.streamapi import FrameDecoder, frame

pytestmark = pytest.mark.realtime


@asynccontextmanager
async def radio_that_tells(*messages):
    """A TCP server that answers the request for the configuration with these messages alone."""

    async def serve(stream):
        while b"\x94\xc3" not in (heard := await stream.receive_some(4096)):
            pass
        asked = mesh_pb2.ToRadio.FromString(heard[heard.index(b"\x94\xc3") + 4 :]).want_config_id
        for message in (*messages, mesh_pb2.FromRadio(config_complete_id=asked)):
            await stream.send_all(frame(message.SerializeToString()))
        while await stream.receive_some(4096):
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield MeshtasticPort.tcp(*listener.socket.getsockname(), Trace())
        nursery.cancel_scope.cancel()


def introduction(number=0x1234, **user):
    """The least that the library takes for a radio: number, own node, one channel."""
    node = mesh_pb2.NodeInfo(num=number, user=mesh_pb2.User(id=f"!{number:08x}", **user))
    node.device_metrics.channel_utilization, node.device_metrics.air_util_tx = 7.5, 0.5
    return (
        mesh_pb2.FromRadio(my_info=mesh_pb2.MyNodeInfo(my_node_num=number)),
        mesh_pb2.FromRadio(node_info=node),
        mesh_pb2.FromRadio(channel=channel_pb2.Channel(role=channel_pb2.Channel.PRIMARY)),
    )


async def test_a_radio_that_tells_neither_firmware_nor_lora_settings_is_up_without_a_region():
    async with radio_that_tells(*introduction()) as port, running(port) as (_, heard):
        info = (await heard.until_kind(RadioUp)).info
        assert (info.firmware, info.region, info.preset, info.hop_limit) == ("", "", "", 0)
        assert info.channels == (RadioChannel(0, "", ChannelKey.NONE),)
        assert await heard.until_kind(RadioLoad) == RadioLoad(7.5, 0.5)


async def test_a_radio_of_a_newer_kind_is_understood_as_far_as_it_can_be():
    lora = config_pb2.Config.LoRaConfig(use_preset=True, config_ok_to_mqtt=True, hop_limit=5)
    lora.ParseFromString(lora.SerializeToString() + b"\x10\x63\x38\x63")  # preset 99, region 99
    device = config_pb2.Config.DeviceConfig(role=11, rebroadcast_mode=5)
    settings = channel_pb2.ChannelSettings(name="serial", psk=bytes(range(32)), uplink_enabled=True)
    messages = (
        mesh_pb2.FromRadio(channel=channel_pb2.Channel(index=1)),
        mesh_pb2.FromRadio(channel=channel_pb2.Channel(index=2, role=2, settings=settings)),
        mesh_pb2.FromRadio(config=config_pb2.Config(lora=lora)),
        mesh_pb2.FromRadio(config=config_pb2.Config(device=device)),
        mesh_pb2.FromRadio(metadata=mesh_pb2.DeviceMetadata(firmware_version="3.1.4.abcdef0")),
    )
    known = introduction(long_name="Roof", is_licensed=True)
    async with radio_that_tells(*known, *messages) as port, running(port) as (_, heard):
        info = (await heard.until_kind(RadioUp)).info
        assert (info.region, info.preset, info.firmware) == ("", "", "3.1.4.abcdef0")
        assert (info.role, info.rebroadcast_mode) == ("ROUTER_LATE", "CORE_PORTNUMS_ONLY")
        assert (info.licensed, info.ok_to_mqtt, info.hop_limit) == (True, True, 5)
        assert info.channels[1:] == (RadioChannel(2, "serial", ChannelKey.OWN, uplink=True),)


async def test_a_radio_that_does_not_introduce_itself_is_used_all_the_same():
    number, _, channel = introduction()
    async with radio_that_tells(number, channel) as port, running(port) as (_, heard):
        info = (await heard.until_kind(RadioUp)).info
        assert (info.node_number, info.long_name) == (0x1234, "")
        with trio.fail_after(5):
            await port.request_node_info(7)


async def test_a_radio_that_restarts_while_it_is_opened_is_asked_again():
    asked = []

    async def serve(stream):
        decoder = FrameDecoder()
        async for data in stream:
            for message in decoder.feed(data):
                asked.append(mesh_pb2.ToRadio.FromString(message).want_config_id)
                answer = [mesh_pb2.FromRadio(rebooted=True)]
                if len(asked) > 1:
                    answer = [*introduction(), mesh_pb2.FromRadio(config_complete_id=asked[-1])]
                for part in answer:
                    await stream.send_all(frame(part.SerializeToString()))

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        async with running(MeshtasticPort.tcp(*listener.socket.getsockname(), Trace())) as (_, heard):
            assert isinstance(await heard.until_kind(RadioUp), RadioUp)
            assert not any(isinstance(event, RadioDown) for event in heard.events)
        nursery.cancel_scope.cancel()
