"""A hostile client or neighbour can't upset a virtual radio: whatever it writes, radios go on and stay bounded."""

from dataclasses import replace
from random import Random

import pytest
import trio
from meshtastic.protobuf import admin_pb2, channel_pb2, config_pb2, mesh_pb2, module_config_pb2
from radio_world import PLAIN, mesh, number

from simulator.clients.conversation import Conversation
from simulator.firmware.settings import RadioSettings
from simulator.packet import BROADCAST, Cipher, Packet
from simulator.topology import line


def some_messages(own):
    """Well-formed ToRadio messages of every kind, to be spoiled."""
    lora = config_pb2.Config.LoRaConfig(
        region=3, use_preset=False, bandwidth=62, spread_factor=9, coding_rate=6, channel_num=5, hop_limit=3
    )
    requests = [
        admin_pb2.AdminMessage(set_config=config_pb2.Config(lora=lora)),
        admin_pb2.AdminMessage(set_config=config_pb2.Config(lora={"use_preset": True, "modem_preset": 8, "region": 1})),
        admin_pb2.AdminMessage(set_config=config_pb2.Config(device={"role": 2, "rebroadcast_mode": 4})),
        admin_pb2.AdminMessage(set_config=config_pb2.Config(security={"private_key": bytes(32)})),
        admin_pb2.AdminMessage(set_module_config=module_config_pb2.ModuleConfig(mqtt={"enabled": True})),
        admin_pb2.AdminMessage(
            set_channel=channel_pb2.Channel(index=3, role=2, settings={"name": "village", "psk": bytes(16)})
        ),
        admin_pb2.AdminMessage(set_owner=mesh_pb2.User(long_name="Somebody", short_name="SOME", is_licensed=True)),
        admin_pb2.AdminMessage(set_ham_mode=admin_pb2.HamParameters(call_sign="N0CALL", tx_power=5)),
        admin_pb2.AdminMessage(add_contact=admin_pb2.SharedContact(node_num=9, user={"public_key": bytes(32)})),
        admin_pb2.AdminMessage(get_channel_request=8),
        admin_pb2.AdminMessage(get_config_request=9),
        admin_pb2.AdminMessage(get_module_config_request=3),
        admin_pb2.AdminMessage(reboot_seconds=3),
        admin_pb2.AdminMessage(factory_reset_config=1),
        admin_pb2.AdminMessage(begin_edit_settings=True),
        admin_pb2.AdminMessage(commit_edit_settings=True),
    ]
    packets = [
        mesh_pb2.MeshPacket(to=own, id=5, decoded={"portnum": 6, "payload": request.SerializeToString()})
        for request in requests
    ]
    for port in (1, 3, 4, 5, 67, 70, 256):
        data = mesh_pb2.Data(portnum=port, payload=b"\x0a\x04four", want_response=True, request_id=3, emoji=1)
        packets.append(mesh_pb2.MeshPacket(to=BROADCAST, id=7, channel=1, hop_limit=3, want_ack=True, decoded=data))
    messages = [mesh_pb2.ToRadio(packet=packet) for packet in packets]
    return [*messages, mesh_pb2.ToRadio(want_config_id=7), mesh_pb2.ToRadio(heartbeat=mesh_pb2.Heartbeat())]


@pytest.mark.parametrize("seed", range(4))
async def test_a_client_that_writes_nonsense_breaks_nothing(autojump_clock, seed):
    rng = Random(seed)
    async with mesh(line(2), RadioSettings()) as (neighbourhood, _, _):
        radio = neighbourhood.radios["A"]
        told = []
        conversation = Conversation(radio, told.append, lambda: None)
        for _ in range(400):
            message = bytearray(rng.choice(some_messages(radio.node_number)).SerializeToString())
            for _ in range(rng.choice((0, 0, 1, 3))):
                message[rng.randrange(len(message))] = rng.randrange(256)
            if radio.is_on:
                radio.attach(conversation)
                conversation.understand(bytes(message))
            await trio.sleep(rng.choice((0, 0, 0.5, 4)))
        assert told
        await radio.until_switched(on=True)
        told.clear()
        radio.attach(conversation)
        conversation.understand(mesh_pb2.ToRadio(want_config_id=1).SerializeToString())
        assert mesh_pb2.FromRadio.FromString(told[-1]).config_complete_id == 1
        assert all(len(message) <= 512 for message in told)
        assert len(radio.stored) <= 8 + 16 + 10


async def test_a_neighbour_that_sends_nonsense_breaks_nothing(autojump_clock):
    rng = Random(5)
    async with mesh(line(3), PLAIN) as (neighbourhood, phones, _):
        radio = neighbourhood.radios["B"]
        ends = [number(phones, name) for name in "ABC"] + [0, 7, BROADCAST]
        for _ in range(3000):
            packet = Packet(
                rng.choice(ends),
                rng.choice(ends),
                rng.randrange(50),
                rng.choice((0, 1, 3, 4, 5, 6, 67, 70, 256, 511)),
                rng.randbytes(rng.randrange(60)),
                rng.random() < 0.5,
                rng.randrange(8),
                rng.randrange(8),
                rng.randrange(256),
                request_id=rng.randrange(3),
                reply_id=rng.randrange(2),
                want_response=rng.random() < 0.3,
                cipher=Cipher(rng.choice((0, 8, 9)), PLAIN.key_of(0), rng.choice((b"", b"key"))),
            )
            radio.on_heard(packet, rng.uniform(-25, 12), 0.3)
            await trio.sleep(rng.choice((0, 0.1, 3)))
        await trio.sleep(3600)
        phones["A"].packets.clear()
        phones["C"].packets.clear()
        phones["A"].send(payload=b"still there")
        await trio.sleep(60)
        assert b"still there" in [packet.payload for packet in phones["C"].packets]


async def test_a_flood_of_packets_keeps_queue_history_nodes_and_what_waits_for_the_client_bounded(autojump_clock):
    async with mesh(line(2), replace(PLAIN, kept_packets=8)) as (neighbourhood, phones, _):
        radio = neighbourhood.radios["B"]
        radio.detach(phones["B"])
        for index in range(5000):
            cipher = Cipher(8, PLAIN.key_of(0))
            radio.on_heard(Packet(index + 9, BROADCAST, index + 1, 1, b"x", False, 3, 3, cipher=cipher), 6.0, 0.01)
        await trio.sleep(1)
        assert radio.free_places == 0
        assert len(radio._kept) == 8
        assert len(radio.known_nodes) <= 250
        assert len(radio._firmware._history._met) <= 1024
