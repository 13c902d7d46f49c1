"""The stream protocol of a virtual radio, byte by byte over TCP, held to what the native firmware was seen to send."""

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random

import pytest
import trio
from meshtastic.protobuf import admin_pb2, channel_pb2, config_pb2, mesh_pb2, module_config_pb2, portnums_pb2

from protocol.airtime import PRESETS
from protocol.errors import LocalError
from simulator.channels import Channel
from simulator.clients.streamapi import FrameDecoder, frame
from simulator.firmware.settings import RadioSettings
from simulator.neighbourhood import Neighbourhood
from simulator.topology import line


class Wire:
    """A bare client of the stream protocol."""

    def __init__(self, stream):
        self.stream = stream
        self._decoder = FrameDecoder()
        self._messages = []

    async def say(self, **fields):
        await self.stream.send_all(frame(mesh_pb2.ToRadio(**fields).SerializeToString()))

    async def send(self, to, payload=b"", port=256, **fields):
        data = mesh_pb2.Data(portnum=port, payload=payload)
        await self.say(packet=mesh_pb2.MeshPacket(to=to, decoded=data, **fields))

    async def hear(self):
        """The next message; None at the end of the stream."""
        with trio.fail_after(20):
            while not self._messages:
                data = await self.stream.receive_some(4096)
                if not data:
                    return None
                self._messages += self._decoder.feed(data)
        return mesh_pb2.FromRadio.FromString(self._messages.pop(0))

    async def hear_variant(self, variant):
        while (message := await self.hear()).WhichOneof("payload_variant") != variant:
            pass
        return getattr(message, variant)

    async def configure(self, config_id=5):
        """Download the configuration; returns the messages up to config_complete_id."""
        await self.say(want_config_id=config_id)
        messages = [await self.hear()]
        while messages[-1].WhichOneof("payload_variant") != "config_complete_id":
            messages.append(await self.hear())
        return messages

    async def administer(self, own_number, **request):
        """Send an AdminMessage to the client's own radio; returns the answering packet."""
        message = admin_pb2.AdminMessage(**request)
        await self.send(own_number, message.SerializeToString(), port=6, id=99, want_ack=True)
        assert (await self.hear()).queueStatus.mesh_packet_id == 99
        packet = (await self.hear()).packet
        assert packet.decoded.request_id == 99
        return packet.decoded

    async def write(self, own_number, **request):
        """Send a writing AdminMessage; returns the verdict."""
        data = await self.administer(own_number, **request)
        assert data.portnum == portnums_pb2.ROUTING_APP
        return data.payload[-1]


@asynccontextmanager
async def served(length, preset="SHORT_TURBO", settings=None):
    """A line of radios on TCP: (neighbourhood, connect) where `connect(name)` gives a Wire."""
    neighbourhood = Neighbourhood(line(length), PRESETS[preset], seed=1, settings=settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        addresses = await nursery.start(neighbourhood.serve)
        async with AsyncExitStack() as streams:

            async def connect(name):
                stream = await trio.open_tcp_stream(addresses[name].host, addresses[name].port)
                return Wire(await streams.enter_async_context(stream))

            yield neighbourhood, connect
        nursery.cancel_scope.cancel()


def variants(messages):
    return [message.WhichOneof("payload_variant") for message in messages]


def test_frames_are_found_in_any_slicing_and_between_any_garbage():
    rng = Random(1)
    messages = [rng.randbytes(rng.randrange(513)) for _ in range(50)]
    stream = b"".join(bytes(rng.choices(range(0x90), k=rng.randrange(9))) + frame(message) for message in messages)
    decoder = FrameDecoder()
    found = []
    while stream:
        cut = rng.randrange(1, 200)
        found += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert found == messages


def test_a_frame_of_impossible_length_is_skipped_and_the_next_one_found():
    decoder = FrameDecoder()
    assert decoder.feed(b"\x94\xc3\x02\x01" + bytes(20) + frame(b"next")) == [b"next"]
    assert decoder.feed(b"\x94\xc3\xff\xff" + frame(b"again")) == [b"again"]


def test_a_decoder_fed_with_noise_keeps_no_more_than_one_frame():
    decoder = FrameDecoder()
    for _ in range(100):
        decoder.feed(b"\x94" * 4096)
    assert len(decoder._buffer) <= 516


@pytest.mark.realtime
async def test_the_configuration_comes_in_the_firmwares_order():
    async with served(3) as (neighbourhood, connect):
        wire = await connect("A")
        messages = await wire.configure()
        expected = ["my_info", "node_info", "metadata", *["channel"] * 8, *["config"] * 10]
        assert variants(messages)[:21] == expected
        rest = variants(messages)[21:]
        assert rest == [*["moduleConfig"] * rest.count("moduleConfig"), "node_info", "node_info", "config_complete_id"]
        assert rest.count("moduleConfig") >= 16
        assert messages[0].my_info.my_node_num == messages[1].node_info.num == neighbourhood.radios["A"].node_number
        assert messages[1].node_info.user.id == f"!{neighbourhood.radios['A'].node_number:08x}"
        sections = [message.config.WhichOneof("payload_variant") for message in messages[11:21]]
        assert sections == [
            "device",
            "position",
            "power",
            "network",
            "display",
            "lora",
            "bluetooth",
            "security",
            "sessionkey",
            "device_ui",
        ]
        assert messages[-1].config_complete_id == 5
        lora = messages[16].config.lora
        assert (lora.use_preset, lora.hop_limit, lora.tx_enabled, lora.region) == (True, 3, True, 1)
        assert lora.modem_preset == lora.ModemPreset.Value("SHORT_TURBO")
        assert [(node.node_info.user.long_name, node.node_info.hops_away) for node in messages[-3:-1]] == [
            ("Virtual B", 0),
            ("Virtual C", 1),
        ]


@pytest.mark.realtime
async def test_a_preset_that_the_library_has_no_name_for_is_given_in_figures():
    async with served(1, "TINY_FAST") as (_, connect):
        messages = await (await connect("A")).configure()
        lora = next(message.config.lora for message in messages if message.config.HasField("lora"))
        assert (lora.use_preset, lora.spread_factor, lora.bandwidth, lora.coding_rate) == (False, 7, 15, 5)


@pytest.mark.realtime
async def test_the_two_short_downloads_leave_out_what_they_should():
    async with served(3) as (_, connect):
        wire = await connect("A")
        assert variants(await wire.configure(69420)).count("node_info") == 1
        assert variants(await wire.configure(69421)) == ["node_info"] * 3 + ["config_complete_id"]


@pytest.mark.realtime
async def test_nothing_is_said_before_the_client_asks_except_to_a_heartbeat():
    async with served(2) as (neighbourhood, connect):
        a, b = await connect("A"), await connect("B")
        await a.configure()
        await a.send(neighbourhood.radios["B"].node_number, b"early", id=3, want_ack=True)
        await a.hear_variant("packet")
        await trio.sleep(0.5)
        await b.say(heartbeat=mesh_pb2.Heartbeat())
        status = (await b.hear()).queueStatus
        assert (status.res, status.free, status.maxlen, status.mesh_packet_id) == (0, 16, 16, 0)
        await b.configure()
        packet = await b.hear_variant("packet")
        assert (packet.decoded.payload, packet.decoded.portnum) == (b"early", 256)
        assert (getattr(packet, "from"), packet.rx_snr) == (neighbourhood.radios["A"].node_number, 6.0)


@pytest.mark.realtime
async def test_each_packet_gets_a_queue_status_and_the_wanted_acknowledgement():
    async with served(2) as (neighbourhood, connect):
        a, b = await connect("A"), await connect("B")
        await a.configure()
        await b.configure()
        number_b = neighbourhood.radios["B"].node_number
        await a.send(number_b, b"hi", id=77, want_ack=True)
        status = (await a.hear()).queueStatus
        assert (status.res, status.free, status.mesh_packet_id) == (0, 15, 77)
        assert (await b.hear_variant("packet")).decoded.payload == b"hi"
        ack = await a.hear_variant("packet")
        assert getattr(ack, "from") == number_b
        assert (ack.decoded.portnum, ack.decoded.request_id) == (portnums_pb2.ROUTING_APP, 77)
        assert ack.decoded.payload == b"\x18\x00"


@pytest.mark.realtime
async def test_a_packet_too_large_for_the_air_is_refused_in_both_ways():
    async with served(1) as (_, connect):
        wire = await connect("A")
        await wire.configure()
        await wire.send(0xFFFFFFFF, bytes(232), id=5)
        assert (await wire.hear()).queueStatus.res == mesh_pb2.Routing.TOO_LARGE
        assert (await wire.hear()).packet.decoded.payload == b"\x18\x07"


@pytest.mark.realtime
async def test_garbage_and_broken_messages_are_skipped():
    async with served(1) as (_, connect):
        wire = await connect("A")
        await wire.stream.send_all(b"\xc3" * 32 + b"\x94\xc3\xff\xff" + Random(1).randbytes(3000))
        await wire.stream.send_all(frame(b"\xff\xff\xff") + frame(b"") + frame(b"\x0a\x05abc"))
        await wire.stream.send_all(frame(mesh_pb2.ToRadio(packet=mesh_pb2.MeshPacket(id=8)).SerializeToString()))
        assert (await wire.hear_variant("queueStatus")).res == mesh_pb2.Routing.BAD_REQUEST
        assert variants(await wire.configure())[-1] == "config_complete_id"


@pytest.mark.realtime
async def test_a_second_client_evicts_the_first_and_goodbye_ends_the_stream():
    async with served(1) as (_, connect):
        first = await connect("A")
        await first.configure()
        second = await connect("A")
        assert await first.hear() is None
        await second.configure()
        await second.say(disconnect=True)
        assert await second.hear() is None


@pytest.mark.realtime
async def test_nobody_answers_while_the_radio_is_off_and_the_port_stays_the_same():
    async with served(1) as (neighbourhood, connect):
        wire = await connect("A")
        await wire.configure()
        neighbourhood.radios["A"].switch_off()
        assert await wire.hear() is None
        await trio.sleep(0.1)
        with pytest.raises(OSError, match="all attempts to connect"):
            await connect("A")
        neighbourhood.radios["A"].switch_on()
        await trio.sleep(0.1)
        assert variants(await (await connect("A")).configure())[-1] == "config_complete_id"


@pytest.mark.realtime
async def test_a_client_that_hangs_up_without_goodbye_leaves_the_radio_free():
    async with served(1) as (_, connect):
        for _ in range(5):
            wire = await connect("A")
            await wire.say(want_config_id=1)
            await wire.stream.aclose()
        assert variants(await (await connect("A")).configure())[-1] == "config_complete_id"


@pytest.mark.realtime
async def test_questions_to_the_radio_itself_are_answered():
    async with served(1) as (neighbourhood, connect):
        wire = await connect("A")
        await wire.configure()
        own = neighbourhood.radios["A"].node_number

        async def ask(**request):
            data = await wire.administer(own, **request)
            assert data.portnum == portnums_pb2.ADMIN_APP
            return admin_pb2.AdminMessage.FromString(data.payload)

        session_key = await ask(get_config_request=admin_pb2.AdminMessage.SESSIONKEY_CONFIG)
        assert session_key.get_config_response.HasField("sessionkey")
        assert session_key.session_passkey
        assert (await ask(get_owner_request=True)).get_owner_response.long_name == "Virtual A"
        assert (await ask(get_channel_request=1)).get_channel_response.role == 1
        lora = await ask(get_config_request=admin_pb2.AdminMessage.LORA_CONFIG)
        assert lora.get_config_response.lora.hop_limit == 3
        mqtt = await ask(get_module_config_request=admin_pb2.AdminMessage.MQTT_CONFIG)
        assert mqtt.get_module_config_response.HasField("mqtt")
        metadata = await ask(get_device_metadata_request=True)
        assert metadata.get_device_metadata_response.firmware_version.startswith("2.8.0")
        assert (await ask(get_ringtone_request=True)).get_ringtone_response == ""
        canned = await ask(get_canned_message_module_messages_request=True)
        assert canned.get_canned_message_module_messages_response == ""


@pytest.mark.realtime
async def test_a_name_is_written_blank_ones_and_strange_requests_are_refused_in_so_many_words():
    async with served(1) as (neighbourhood, connect):
        wire = await connect("A")
        await wire.configure()
        own = neighbourhood.radios["A"].node_number
        write = partial(wire.write, own)

        assert await write(set_owner=mesh_pb2.User(long_name="Cabin", short_name="CAB")) == 0
        assert neighbourhood.radios["A"].long_name == "Cabin"
        assert await write(set_owner=mesh_pb2.User(long_name="  ")) == mesh_pb2.Routing.BAD_REQUEST
        assert await write(shutdown_seconds=1) == mesh_pb2.Routing.NOT_AUTHORIZED
        assert await write(set_time_only=1) == 0
        assert await write(set_config=config_pb2.Config()) == mesh_pb2.Routing.BAD_REQUEST
        assert await write(set_channel=channel_pb2.Channel(index=8)) == mesh_pb2.Routing.BAD_REQUEST
        long_name = channel_pb2.Channel(index=1, role=2, settings=channel_pb2.ChannelSettings(name="twelve bytes"))
        assert await write(set_channel=long_name) == mesh_pb2.Routing.BAD_REQUEST
        await wire.send(own, b"\xff\xff", port=6, id=4)
        assert (await wire.hear()).queueStatus.mesh_packet_id == 4
        assert (await wire.hear()).packet.decoded.payload[-1] == mesh_pb2.Routing.BAD_REQUEST


@pytest.mark.realtime
async def test_the_download_tells_role_mode_channels_keys_and_licence():
    settings = RadioSettings(
        role="ROUTER",
        channels=(Channel(), Channel("village", bytes(range(16)), uplink=True)),
        ok_to_mqtt=True,
        region="EU_868",
        preset=PRESETS["LONG_FAST"],
    )
    async with served(2, settings=settings) as (neighbourhood, connect):
        messages = await (await connect("A")).configure()
        a, b = (neighbourhood.radios[name] for name in "AB")
        sections = {m.config.WhichOneof("payload_variant"): m.config for m in messages if m.HasField("config")}
        device, lora, security = sections["device"].device, sections["lora"].lora, sections["security"].security
        assert device.role == device.Role.Value("ROUTER")
        assert device.rebroadcast_mode == device.RebroadcastMode.Value("CORE_PORTNUMS_ONLY")
        assert (lora.region, lora.config_ok_to_mqtt) == (lora.RegionCode.Value("EU_868"), True)
        assert (security.public_key, security.private_key) == (a.public_key, a.private_key)
        channels = [message.channel for message in messages if message.HasField("channel")]
        assert [channel.role for channel in channels] == [1, 2, 0, 0, 0, 0, 0, 0]
        village = channels[1].settings
        assert (village.name, village.psk, village.uplink_enabled) == ("village", bytes(range(16)), True)
        own, other = [message.node_info for message in messages if message.HasField("node_info")]
        assert (own.user.public_key, own.user.role, own.user.is_unmessagable) == (a.public_key, 2, True)
        assert (other.user.public_key, other.user.role) == (b.public_key, 2)


@pytest.mark.realtime
async def test_a_licensed_radio_shows_no_key_anywhere():
    async with served(1, settings=RadioSettings(licensed=True)) as (_, connect):
        messages = await (await connect("A")).configure()
        assert messages[1].node_info.user.is_licensed
        assert messages[1].node_info.user.public_key == b""


@pytest.mark.realtime
async def test_a_channel_works_as_soon_as_it_is_written():
    async with served(2) as (neighbourhood, connect):
        wires = {name: await connect(name) for name in "AB"}
        numbers = {name: neighbourhood.radios[name].node_number for name in "AB"}
        serial = channel_pb2.ChannelSettings(name="serial", psk=bytes(10), id=77)
        for name, wire in wires.items():
            await wire.configure()
            channel = channel_pb2.Channel(index=2, role=channel_pb2.Channel.SECONDARY, settings=serial)
            assert await wire.write(numbers[name], set_channel=channel) == 0
        await wires["A"].send(numbers["B"], b"open", channel=2)
        assert (await wires["A"].hear()).queueStatus.res == 0
        heard = await wires["B"].hear_variant("packet")
        assert (heard.decoded.payload, heard.channel, heard.pki_encrypted) == (b"open", 2, False)
        answer = await wires["A"].administer(numbers["A"], get_channel_request=3)
        shown = admin_pb2.AdminMessage.FromString(answer.payload).get_channel_response
        assert (shown.settings.psk, shown.settings.id) == (bytes(16), 77)
        assert neighbourhood.radios["A"].settings.channels[1].enabled is False
        gone = channel_pb2.Channel(index=2, role=channel_pb2.Channel.DISABLED)
        assert await wires["A"].write(numbers["A"], set_channel=gone) == 0
        assert len(neighbourhood.radios["A"].settings.channels) == 1


@pytest.mark.realtime
async def test_a_written_region_comes_into_force_with_a_restart_that_keeps_everything():
    async with served(1, settings=RadioSettings(region="UNSET")) as (neighbourhood, connect):
        radio = neighbourhood.radios["A"]
        wire = await connect("A")
        messages = await wire.configure()
        lora = next(message.config.lora for message in messages if message.config.HasField("lora"))
        assert (lora.region, lora.tx_enabled) == (0, False)
        lora.region, lora.modem_preset, lora.hop_limit, lora.tx_power = 3, lora.ModemPreset.Value("SHORT_TURBO"), 4, 14
        before = radio.node_number
        assert await wire.write(before, set_config=config_pb2.Config(lora=lora)) == 0
        assert (radio.region, radio.settings.region) == ("UNSET", "EU_868")
        assert await wire.hear() is None
        await radio.until_switched(on=True)
        await trio.sleep(0.1)
        assert radio.node_number != before
        messages = await (await connect("A")).configure()
        lora = next(message.config.lora for message in messages if message.config.HasField("lora"))
        assert (lora.region, lora.hop_limit, lora.tx_power, lora.tx_enabled) == (3, 4, 14, True)
        assert lora.modem_preset == lora.ModemPreset.Value("LONG_FAST")  # the law's band has no room for the wider one
        assert messages[1].node_info.num == radio.node_number


@pytest.mark.realtime
async def test_an_edit_of_several_settings_waits_for_its_end():
    async with served(1) as (neighbourhood, connect):
        radio = neighbourhood.radios["A"]
        wire = await connect("A")
        await wire.configure()
        write = partial(wire.write, radio.node_number)
        device = config_pb2.Config(device=config_pb2.Config.DeviceConfig(role=2, button_gpio=7))
        assert await write(begin_edit_settings=True) == 0
        assert await write(set_config=device) == 0
        assert await write(set_owner=mesh_pb2.User(long_name="Cabin", short_name="CAB")) == 0
        assert await write(set_module_config=module_config_pb2.ModuleConfig(mqtt={"enabled": True})) == 0
        await trio.sleep(2.5)
        assert radio.is_on
        assert await write(commit_edit_settings=True) == 0
        assert await wire.hear() is None
        await radio.until_switched(on=True)
        await trio.sleep(0.1)
        wire = await connect("A")
        messages = await wire.configure()
        device = next(message.config.device for message in messages if message.config.HasField("device"))
        assert (device.role, device.button_gpio) == (2, 7)
        assert device.rebroadcast_mode == device.RebroadcastMode.Value("CORE_PORTNUMS_ONLY")
        mqtt = next(message.moduleConfig.mqtt for message in messages if message.moduleConfig.HasField("mqtt"))
        assert mqtt.enabled


@pytest.mark.realtime
async def test_ham_mode_contacts_and_a_factory_reset():
    async with served(2) as (neighbourhood, connect):
        radio, other = (neighbourhood.radios[name] for name in "AB")
        wire = await connect("A")
        await wire.configure()
        write = partial(wire.write, radio.node_number)
        assert await write(remove_by_nodenum=other.node_number) == 0
        assert radio.known_nodes == {}
        contact = admin_pb2.SharedContact(node_num=other.node_number, user={"public_key": other.public_key})
        assert await write(add_contact=contact) == 0
        assert radio.known_nodes[other.node_number].public_key == other.public_key
        await wire.send(other.node_number, b"sealed", id=7)
        assert (await wire.hear()).queueStatus.res == 0
        assert await write(set_ham_mode=admin_pb2.HamParameters(call_sign="N0CALL")) == 0
        assert (radio.long_name, radio.settings.mode, radio.settings.channels[0].key) == ("N0CALL", "LOCAL_ONLY", b"")
        assert await write(factory_reset_config=1) == 0
        assert (radio.settings.region, radio.settings.licensed, radio.known_nodes) == ("UNSET", False, {})


@pytest.mark.realtime
async def test_a_port_that_is_taken_is_named_and_the_others_are_given_back():
    taken = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = taken[0].socket.getsockname()[1]
    neighbourhood = Neighbourhood(line(2), seed=1)
    async with taken[0]:
        with pytest.raises(LocalError, match=rf"Port {port} on 127\.0\.0\.1 is in use"):
            await neighbourhood.serve(ports={"B": port})
