"""Recorded conversations of the native firmware 2.8.0 with its client, repeated with a virtual radio.

Kept apart on purpose, and named where it is: what the native program sends that no client of ours reads.
"""

from collections import defaultdict
from contextlib import asynccontextmanager
from itertools import groupby

import pytest
import trio
from firmware_traces import PORTS, rows
from meshtastic.protobuf import mesh_pb2
from radio_world import mesh

from simulator.clients.conversation import Conversation
from simulator.kernel import run
from simulator.topology import line

OURS_LACKS = {"deviceuiConfig", "field", "fileInfo"}
"""What a virtual radio leaves out of the configuration download: settings of a screen that it lacks, a table of regions
that the library of today has no field for, and the files in a memory that it lacks."""
NEWER_MODULE = "moduleConfig None"
"""A module's settings that the library of today has no field for."""


class Line:
    """A client's end of a conversation with one virtual radio."""

    def __init__(self, radio):
        self.heard, self.ended = [], False
        self.conversation = Conversation(radio, self._take, self._end)
        radio.attach(self.conversation, listening=False)

    def say(self, **fields):
        return self.conversation.understand(mesh_pb2.ToRadio(**fields).SerializeToString())

    def _take(self, message):
        self.heard.append((trio.current_time(), mesh_pb2.FromRadio.FromString(message)))

    def _end(self):
        self.ended = True


@asynccontextmanager
async def talking(seed=1):
    """Two radios in direct range, as in the recordings, and the client of A."""
    async with mesh(line(2), seed=seed) as (world, phones, flown):
        yield world, Line(world.radios["A"]), phones["B"], flown


def kind(message):
    """A message as the recordings name it."""
    variant = message.WhichOneof("payload_variant")
    part = getattr(message, variant)
    if variant in ("config", "moduleConfig"):
        return f"{variant} {part.WhichOneof('payload_variant')}"
    return f"{variant} {part.index}" if variant == "channel" else variant


def recorded_kind(row):
    if row["variant"] == "channel":
        return f"channel {row['sub'].split()[1]}"
    return f"{row['variant']} {row['sub']}" if row["variant"] in ("config", "moduleConfig") else row["variant"]


def recorded_downloads(file):
    """What came in answer to each `want_config_id`: [(the id, kinds of message)]."""
    downloads = []
    for row in rows(file):
        if row["dir"] == "out" and row["variant"].startswith("want_config_id"):
            downloads.append((int(row["variant"].split()[1]), []))
        elif row["dir"] == "in" and downloads and "config_complete_id" not in downloads[-1][1]:
            downloads[-1][1].append(recorded_kind(row))
    return downloads


@pytest.mark.parametrize(
    "file",
    ["handshake_random", "handshake_69420", "handshake_69421", "handshake_again_and_disconnect", "second_client"],
)
async def test_the_configuration_comes_in_the_recorded_order(autojump_clock, file):
    async with talking() as (_, client, _, _):
        for config_id, recorded in recorded_downloads(file):
            client.heard.clear()
            client.say(want_config_id=config_id)
            messages = [message for _, message in client.heard]
            assert [kind(message) for message in messages] == [
                name for name in recorded if name not in (*OURS_LACKS, NEWER_MODULE)
            ]
            assert messages[-1].config_complete_id == config_id


async def test_our_messages_have_the_fields_that_the_recorded_ones_have(autojump_clock):
    ours = {}
    async with talking() as (_, client, _, _):
        client.say(want_config_id=5)
        for _, message in client.heard:
            ours.setdefault(kind(message), message)
    for row in rows("handshake_random"):
        if row["dir"] == "in" and (name := recorded_kind(row)) in ("my_info", "channel 0", "config lora"):
            recorded = mesh_pb2.FromRadio.FromString(bytes.fromhex(row["hex"]))
            theirs = _filled(recorded)
            assert _filled(ours[name]) >= theirs - _NOT_OURS, (name, theirs - _filled(ours[name]))


_NOT_OURS = {
    "my_info.reboot_count",
    "my_info.device_id",
    "my_info.firmware_edition",
    "config.lora.channel_num",
    "config.lora.tx_power",
    "config.lora.sx126x_rx_boosted_gain",
    "config.lora.ignore_mqtt",
    "config.lora.config_ok_to_mqtt",
}
"""Particulars of hardware, and settings that differ between the two set-ups."""


def _filled(message, path=""):
    names = set()
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        if field.message_type and hasattr(value, "ListFields"):
            names |= _filled(value, f"{name}.")
        else:
            names.add(name)
    return names


async def test_a_heartbeat_is_answered_at_any_time_and_goodbye_ends_it(autojump_clock):
    recorded = [row for row in rows("handshake_again_and_disconnect") if row["variant"] == "queueStatus"]
    async with talking() as (_, client, _, _):
        client.say(heartbeat=mesh_pb2.Heartbeat())
        ((_, message),) = client.heard
        status = message.queueStatus
        assert [status.res, status.free, status.maxlen] == [
            recorded[0]["sub"][field] for field in ("res", "free", "maxlen")
        ]
        assert client.say(disconnect=True) is False


async def test_a_second_client_ends_the_first_ones_conversation_without_a_word(autojump_clock):
    ended = [row["client"] for row in rows("second_client") if row["variant"] == "EOF"]
    async with talking() as (world, first, _, _):
        first.say(want_config_id=11)
        first.heard.clear()
        second = Line(world.radios["A"])
        second.say(want_config_id=12)
        assert (ended, first.ended, first.heard, second.ended) == (["1"], True, [], False)


ROWS = rows("client_sends")
OUT = {name: list(part) for name, part in groupby(ROWS, key=lambda row: row["exp"])}
LASTS_S = 45.0
NOT_REPEATED = {
    "admin_set_config_device_reboots": "its answer was lost with the connection; tests of administration cover it",
}


def _data(row):
    sub = row["sub"]
    data = mesh_pb2.Data(portnum=PORTS[sub["port"]], payload=bytes(sub["payload_bytes"]))
    data.want_response = bool(sub.get("want_response"))
    if sub["port"] == "ADMIN_APP":
        data.payload = _ADMIN[row["exp"]]
    return data


_ADMIN = {
    "admin_get_owner": b"\x18\x01",
    "admin_get_config_lora": b"\x28\x05",
    "admin_get_config_sessionkey": b"\x28\x08",
    "admin_get_device_metadata": b"\x60\x01",
    "admin_get_channel0": b"\x08\x01",
    "admin_set_owner": b"\x82\x02\x0b\x12\x04Hill\x1a\x03HIL",
    "remote_admin_refused": b"\x18\x01",
}
"""The requests by name; the recordings hold only their sizes."""


async def _repeat(sends, seed):
    """Say to a virtual radio what was said to the native one: (what the client heard, what flew)."""
    async with talking(seed) as (world, client, _, flown):
        a, b = (world.radios[name].node_number for name in "AB")
        numbers = {"ffffffff": 0xFFFFFFFF, "12345678": 0x12345678}
        client.say(want_config_id=5)
        await trio.sleep(1)
        client.heard.clear()
        began_s = trio.current_time()
        unreachable = sends[0]["exp"] in ("broadcast_text_want_ack_nobody", "dm_256_ack_unreachable")
        if unreachable:
            world.radios["B"].switch_off()
        own = next(row["sub"]["from"] for row in ROWS if row["variant"] == "air_tx" and row["node"] == "A")
        for send in sends:
            await trio.sleep(max(send["t"] - (trio.current_time() - began_s), 0))
            sub = send["sub"]
            packet = mesh_pb2.MeshPacket(
                to=a if sub["to"] == own else numbers.get(sub["to"], b),
                id=int(sub["id"], 16),
                want_ack=bool(sub.get("want_ack")),
                priority=sub.get("prio", 0),
                channel=7 if send["exp"] == "dm_bad_channel_index" else 0,
                decoded=_data(send),
            )
            client.say(packet=packet)
        await trio.sleep(LASTS_S)
        return client.heard, flown, (a, b)


def _sends(name):
    return [row for row in OUT[name] if row.get("dir") == "out"]


def _statuses(name, ids):
    """Packet -> the first queue status for it: the second is the simulated radio's own."""
    first = {}
    for row in OUT[name]:
        if row["variant"] == "queueStatus" and row["node"] == "A" and row["sub"]["mesh_packet_id"] in ids:
            first.setdefault(row["sub"]["mesh_packet_id"], row["sub"]["res"])
    return first


def _verdicts(name, ids):
    """Packet -> what the client was told of it, and whether as from its own radio."""
    told = defaultdict(list)
    for row in ROWS:
        sub = row.get("sub") or {}
        if (
            row["variant"] == "packet"
            and row["node"] == "A"
            and row.get("dir") == "in"
            and sub.get("request_id") in ids
        ):
            told[sub["request_id"]].append((sub["port"], sub.get("error", ""), sub["from"] == sub["to"]))
    return dict(told)


@pytest.mark.parametrize("name", [name for name in OUT if name not in NOT_REPEATED])
def test_a_client_gets_the_recorded_statuses_and_verdicts(name):
    sends = _sends(name)
    ids = [send["sub"]["id"] for send in sends]
    heard, _, (own, _) = run(_repeat, sends, 1, seed=1)
    statuses, verdicts = {}, defaultdict(list)
    for _, message in heard:
        if message.HasField("queueStatus"):
            statuses.setdefault(f"{message.queueStatus.mesh_packet_id:08x}", message.queueStatus.res)
        elif message.packet.decoded.request_id:
            data = message.packet.decoded
            error = ""
            if data.portnum == PORTS["ROUTING_APP"]:
                error = mesh_pb2.Routing.Error.Name(mesh_pb2.Routing.FromString(data.payload).error_reason)
            port = next(port for port, number in PORTS.items() if number == data.portnum)
            verdicts[f"{data.request_id:08x}"].append((port, error, getattr(message.packet, "from") == own))
    recorded = _statuses(name, ids)
    if name == "private_256_burst_20_back_to_back":
        # The native radio's statuses overwrite one another in a burst; ours gives one for each packet.
        assert {statuses[packet_id] for packet_id in ids[:16]} == {0}
        assert {statuses[packet_id] for packet_id in ids[16:]} == {32} == set(recorded.values()) - {0}
    elif name == "priority_mix":
        assert {packet_id: statuses[packet_id] for packet_id in recorded} == recorded
    else:
        assert statuses == recorded
    blank = {
        # Payloads that the simulated radio blanked: what it told of them is an artefact.
        row["sub"]["id"]
        for row in sends
        if row["sub"]["payload_bytes"] > (200 if row["sub"].get("want_ack") else 221)
    }
    expected = _verdicts(name, ids)
    for packet_id in ids:
        refused = recorded.get(packet_id)
        if packet_id not in blank or refused:
            assert verdicts.get(packet_id, []) == expected.get(packet_id, []), (packet_id, refused)


SENT = ["text_burst_0.5s_broadcast", "text_interval_2.1s", "private_256_burst_20_back_to_back", "priority_mix"]


@pytest.mark.parametrize("name", SENT)
def test_the_same_packets_leave_in_the_recorded_order(name):
    sends = _sends(name)
    ids = [send["sub"]["id"] for send in sends]
    _, flown, (own, _) = run(_repeat, sends, 1, seed=1)
    ours = [f"{flight.packet_id:08x}" for flight in flown if flight.radio == "A" and flight.sender == own]
    recorded = [row["sub"]["id"] for row in OUT[name] if row["variant"] == "air_tx" and row["node"] == "A"]
    firsts = [list(dict.fromkeys(packet_id for packet_id in sent if packet_id in ids)) for sent in (ours, recorded)]
    assert firsts[0] == firsts[1]


def test_a_text_too_soon_is_refused_on_the_air_to_nobody():
    name = "text_burst_0.5s_broadcast"
    sends = _sends(name)
    _, flown, _ = run(_repeat, sends, 1, seed=1)
    refusals = [row["sub"] for row in OUT[name] if row["variant"] == "air_tx" and row["sub"]["to"] == "00000000"]
    ours = [(f"{flight.request_id:08x}", flight.hop_limit) for flight in flown if flight.to == 0]
    assert sorted(ours) == sorted((sub["request_id"], sub["hop_limit"]) for sub in refusals)
    assert len(ours) == 6


def test_a_hop_limit_of_none_goes_out_as_three():
    _, flown, _ = run(_repeat, _sends("dm_256_ack_hop0"), 1, seed=1)
    recorded = [row["sub"]["hop_limit"] for row in OUT["dm_256_ack_hop0"] if row["variant"] == "air_tx"]
    assert [flight.hop_limit for flight in flown] == recorded == [3, 2]


@pytest.mark.parametrize("name", ["dm_text_ack", "dm_256_ack", "remote_admin_refused"])
def test_the_other_radio_answers_with_as_many_packets_as_recorded(name):
    _, flown, _ = run(_repeat, _sends(name), 1, seed=1)
    sent = _sends(name)[0]["sub"]["id"]
    answers = [row["sub"] for row in OUT[name] if row["variant"] == "air_tx" and row["sub"].get("request_id") == sent]
    confirmed = [sub["id"] for sub in answers]
    again = [
        row["sub"] for row in OUT[name] if row["variant"] == "air_tx" and row["sub"].get("request_id") in confirmed
    ]
    assert [flight.hop_limit for flight in flown[1:]] == [sub["hop_limit"] for sub in answers + again]


@pytest.mark.parametrize("name", ["broadcast_text_want_ack_nobody", "dm_256_ack_unreachable"])
def test_tries_and_the_end_of_them_come_when_recorded(name):
    heard, flown, _ = run(_repeat, _sends(name), 1, seed=1)
    ours = [flight.time_s - flown[0].time_s for flight in flown]
    recorded = [row["t"] for row in OUT[name] if row["variant"] == "air_tx"]
    # On both sides each try begins with a wait of up to seven slots, 0.2 s; the native program noticed a timeout a
    # tenth of a second late, and its timeouts are shorter by up to two of LoRa's steps.
    for number, (our_s, their_s) in enumerate(zip(ours, recorded, strict=True)):
        assert our_s == pytest.approx(their_s - recorded[0], abs=0.4 + number * 0.19)
    (end_s,) = [row["t"] for row in OUT[name] if (row.get("sub") or {}).get("error") == "MAX_RETRANSMIT"]
    (our_end_s,) = [time_s for time_s, message in heard if message.packet.decoded.request_id]
    assert our_end_s - 1 == pytest.approx(end_s, abs=0.4 + 3 * 0.19)
