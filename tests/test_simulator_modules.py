"""What a virtual radio's firmware does by itself: NodeInfo and keys, traceroute, telemetry, refusals; and its bytes."""

from dataclasses import replace
from random import Random

import pytest
import trio
from meshtastic.protobuf import config_pb2, mesh_pb2, telemetry_pb2
from radio_world import PLAIN, mesh, number

from simulator.firmware.payloads import DeviceMetrics, NodeInfo, Route, read_metrics, read_node_info, read_route
from simulator.firmware.settings import ROLES, RadioSettings
from simulator.packet import (
    ADMIN_PORT,
    BROADCAST,
    NODEINFO_PORT,
    ROUTING_PORT,
    TELEMETRY_PORT,
    TRACEROUTE_PORT,
    RoutingError,
)
from simulator.topology import full, line

STOCK = RadioSettings()
CHATTY = RadioSettings(chatter=True)


def ask_who(phones, name, of):
    """The phone on `name` exchanges NodeInfo with radio `of`."""
    return phones[name].send(
        to=number(phones, of), port=NODEINFO_PORT, payload=phones[name].radio.node_info, want_response=True
    )


async def test_a_missing_key_is_fetched_by_asking_for_node_information(autojump_clock):
    async with mesh(line(3)) as (neighbourhood, phones, _flown):
        a, c = neighbourhood.radios["A"], neighbourhood.radios["C"]
        a.known_nodes.clear()
        c.known_nodes.clear()
        asked = ask_who(phones, "A", "C")
        await trio.sleep(30)
        assert a.known_nodes[c.node_number].public_key == c.public_key
        assert c.known_nodes[a.node_number].public_key == a.public_key
        assert c.node_number in phones["A"].learned
        (answer,) = phones["A"].packets
        assert (answer.port, answer.request_id) == (NODEINFO_PORT, asked)
        phones["A"].send(to=c.node_number, payload=b"sealed", want_ack=True)
        await trio.sleep(30)
        assert [packet.payload for packet in phones["C"].packets if packet.pkc] == [b"sealed"]


async def test_the_same_asker_is_answered_once_in_twelve_hours(autojump_clock):
    async with mesh(line(2)) as (_, phones, flown):
        answers = []
        for wait_s in (30, 11 * 3600, 12 * 3600 + 60, 0):
            ask_who(phones, "A", "B")
            await trio.sleep(30)
            answers.append(len([f for f in flown if f.radio == "B" and f.port == NODEINFO_PORT]))
            await trio.sleep(wait_s)
        assert answers == [1, 1, 1, 2]


async def test_node_information_is_not_given_twice_within_ten_minutes_whoever_asks(autojump_clock):
    async with mesh(full(3)) as (_, phones, flown):
        ask_who(phones, "A", "B")
        await trio.sleep(30)
        ask_who(phones, "C", "B")
        await trio.sleep(30)
        assert len([flight for flight in flown if flight.radio == "B" and flight.port == NODEINFO_PORT]) == 1


async def test_strangers_exchange_node_information_by_themselves_when_one_is_heard(autojump_clock):
    async with mesh(line(2)) as (neighbourhood, phones, flown):
        for radio in neighbourhood.radios.values():
            radio.known_nodes.clear()
        phones["A"].send(port=1)
        await trio.sleep(60)
        a, b = neighbourhood.radios["A"], neighbourhood.radios["B"]
        assert b.known_nodes[a.node_number].public_key == a.public_key
        assert a.known_nodes[b.node_number].public_key == b.public_key
        assert [flight.radio for flight in flown if flight.port == NODEINFO_PORT] == ["B", "A"]


async def test_a_chatty_radio_announces_itself_after_half_a_minute_and_every_three_hours(autojump_clock):
    async with mesh(line(2), CHATTY, B=replace(CHATTY, role="CLIENT_HIDDEN")) as (_, _phones, flown):
        await trio.sleep(4 * 3600)
        announced = [flight.time_s for flight in flown if flight.port == NODEINFO_PORT and not flight.relayed]
        assert len(announced) == 2
        assert 30 <= announced[0] <= 61
        assert announced[1] - announced[0] == pytest.approx(3 * 3600, abs=2)
        assert {flight.to for flight in flown} == {BROADCAST}


async def test_a_quiet_radio_says_nothing_by_itself(autojump_clock):
    async with mesh(line(3)) as (_, _phones, flown):
        await trio.sleep(24 * 3600)
        assert flown == []


async def test_another_key_under_a_known_number_is_not_believed(autojump_clock):
    async with mesh(line(2)) as (neighbourhood, phones, _flown):
        a, b = neighbourhood.radios["A"], neighbourhood.radios["B"]
        forged = NodeInfo(a.node_number, "Virtual A", "A", public_key=bytes(32)).encode()
        phones["A"].send(port=NODEINFO_PORT, payload=forged)
        await trio.sleep(10)
        assert b.known_nodes[a.node_number].public_key == a.public_key


async def test_a_traceroute_names_its_relays_there_and_back_with_how_they_heard(autojump_clock):
    async with mesh(line(4)) as (_, phones, flown):
        phones["A"].send(to=number(phones, "D"), port=TRACEROUTE_PORT, payload=b"", want_response=True)
        await trio.sleep(60)
        (answer,) = [packet for packet in phones["A"].packets if packet.port == TRACEROUTE_PORT]
        route = mesh_pb2.RouteDiscovery.FromString(answer.payload)
        there = [number(phones, name) for name in "BC"]
        assert list(route.route) == there
        assert list(route.route_back) == there[::-1]
        assert list(route.snr_towards) == list(route.snr_back) == [24, 24, 24]
        assert flown[0].phy_bytes < flown[-1].phy_bytes


async def test_a_relay_that_cannot_read_a_traceroute_is_an_unknown_hop(autojump_clock):
    from simulator.channels import Channel

    member = RadioSettings(channels=(Channel(), Channel("secret", bytes(16))))
    async with mesh(line(3), STOCK, A=member, C=member) as (_, phones, _flown):
        phones["A"].send(to=number(phones, "C"), port=TRACEROUTE_PORT, payload=b"", want_response=True, channel=1)
        await trio.sleep(60)
        (answer,) = [packet for packet in phones["A"].packets if packet.port == TRACEROUTE_PORT]
        assert read_route(answer.payload) == Route((BROADCAST,), (-128, 24), (BROADCAST,), (-128, 24))


async def test_the_client_is_told_every_minute_how_busy_the_air_is(autojump_clock):
    heard = []
    async with mesh(line(2), PLAIN) as (neighbourhood, phones, flown):
        phones["B"].heard = lambda packet, snr_db: heard.append((packet, snr_db))
        await trio.sleep(50)
        phones["A"].send(payload=bytes(200), hop_limit=1, to=number(phones, "B"))
        await trio.sleep(140)
        own = [packet for packet, snr_db in heard if packet.port == TELEMETRY_PORT and snr_db is None]
        assert {(packet.sender, packet.to) for packet in own} == {(neighbourhood.radios["B"].node_number, BROADCAST)}
        busy = [telemetry_pb2.Telemetry.FromString(packet.payload).device_metrics for packet in own]
        airtime_s = flown[0].airtime_s
        assert [metrics.uptime_seconds for metrics in busy] == [60, 120, 180]
        expected = [airtime_s / 60 * 100, 0, 0]
        assert [metrics.channel_utilization for metrics in busy] == pytest.approx(expected, abs=1e-4)
        assert [flight.port for flight in flown] == [256]


async def test_the_share_of_the_hour_that_a_radio_sent_itself_is_told_too(autojump_clock):
    heard = []
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        phones["A"].heard = lambda packet, snr_db: heard.append(packet)
        phones["A"].send(payload=bytes(200), hop_limit=1)
        await trio.sleep(70)
        metrics = read_metrics(heard[-1].payload)
        sent_s = sum(flight.airtime_s for flight in flown if flight.radio == "A")
        assert metrics.air_util_tx_percent == pytest.approx(sent_s / 3600 * 100, rel=1e-3)


async def test_figures_are_given_to_another_radio_that_asks(autojump_clock):
    async with mesh(line(2)) as (_, phones, _flown):
        asked = telemetry_pb2.Telemetry(device_metrics=telemetry_pb2.DeviceMetrics()).SerializeToString()
        phones["A"].send(to=number(phones, "B"), port=TELEMETRY_PORT, payload=asked, want_response=True)
        heard = []
        phones["A"].heard = lambda packet, snr_db: heard.append(packet)
        await trio.sleep(20)
        assert read_metrics(heard[0].payload).uptime_s <= 20


async def test_a_wanted_response_that_nobody_gives_is_refused_on_the_air(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        phones["A"].send(to=number(phones, "B"), want_response=True)
        await trio.sleep(30)
        assert [(kind, error) for _, kind, error, _ in phones["A"].acks] == [("real", RoutingError.NO_RESPONSE)]
        assert [flight.port for flight in flown] == [256, ROUTING_PORT]
        assert [packet.payload for packet in phones["B"].packets] == [b"hello"]


async def test_administration_from_afar_is_refused_and_the_refusal_wants_an_acknowledgement(autojump_clock):
    # client_sends remote_admin_refused: refusal, then its acknowledgement over no hop
    async with mesh(line(2)) as (_, phones, flown):
        phones["A"].send(to=number(phones, "B"), port=ADMIN_PORT, want_response=True, want_ack=True)
        await trio.sleep(30)
        assert [(flight.radio, flight.port, flight.hop_limit) for flight in flown] == [
            ("A", ADMIN_PORT, 3),
            ("B", ROUTING_PORT, 2),
            ("A", ROUTING_PORT, 0),
        ]
        assert [error for _, _, error, _ in phones["A"].acks] == [37]


def test_the_payloads_are_those_of_meshtastics_own_protobuf():
    user = mesh_pb2.User(
        id="!0000beef",
        long_name="Käfer",
        short_name="KÄ",
        hw_model=mesh_pb2.HardwareModel.PORTDUINO,
        role=11,
        public_key=bytes(range(32)),
        is_licensed=True,
    )
    info = NodeInfo(0xBEEF, "Käfer", "KÄ", "ROUTER_LATE", bytes(range(32)), licensed=True)
    assert mesh_pb2.User.FromString(info.encode()) == user
    assert read_node_info(user.SerializeToString(), 0xBEEF) == info
    route = mesh_pb2.RouteDiscovery(route=[1, 2**32 - 1], snr_towards=[-128, 24], route_back=[7], snr_back=[-5])
    ours = Route((1, 2**32 - 1), (-128, 24), (7,), (-5,))
    assert mesh_pb2.RouteDiscovery.FromString(ours.encode()) == route
    assert read_route(route.SerializeToString()) == ours
    metrics = DeviceMetrics(12.5, 0.25, 3600)
    told = telemetry_pb2.Telemetry.FromString(metrics.encode()).device_metrics
    assert (told.channel_utilization, told.air_util_tx, told.uptime_seconds) == (12.5, 0.25, 3600)
    assert read_metrics(metrics.encode()) == metrics


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_its_number(role):
    told = mesh_pb2.User.FromString(NodeInfo(1, "x", "x", role).encode())

    assert config_pb2.Config.DeviceConfig.Role.Name(told.role) == role


def test_no_bytes_whatever_upset_the_readers():
    rng = Random(1)
    for length in range(300):
        noise = rng.randbytes(length)
        for payload in (noise, b"\x12" + noise, NodeInfo(1, "a", "b").encode()[:length], b"\x0a\x03abc" + noise):
            read_node_info(payload, 1)
            read_route(payload)
            read_metrics(payload)
    assert read_route(Route(tuple(range(9))).encode()) is None
    assert read_node_info(b"\x10\x01", 1) is None
    assert read_metrics(b"\x1a\x00") is None
    assert read_node_info(b"", 5) == NodeInfo(5, "", "")
