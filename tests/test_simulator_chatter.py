"""What virtual radios say by themselves: how often, how long, and when they keep quiet for others."""

from collections import Counter
from dataclasses import replace

import pytest
import trio
from meshtastic.protobuf import mesh_pb2, telemetry_pb2
from radio_world import mesh

from protocol.airtime import PRESETS
from simulator.firmware.housekeeping import ONLINE_S, Chatter, interval_s, nodes_online
from simulator.firmware.payloads import Position
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.packet import BROADCAST, NODEINFO_PORT, POSITION_PORT, TELEMETRY_PORT
from simulator.topology import full, line

CHATTY = RadioSettings(chatter=True)
LONG_ON = replace(CHATTY, long_on=True)
HOUR_S = 3600.0
LONG_FAST = PRESETS["LONG_FAST"]


def said(flown, radio="A"):
    """Port -> when the radio said something of its own on it."""
    ports = {NODEINFO_PORT: [], POSITION_PORT: [], TELEMETRY_PORT: []}
    for flight in flown:
        if flight.radio == radio and not flight.relayed:
            ports[flight.port].append(flight.time_s)
    return ports


@pytest.mark.parametrize(
    ("role", "introductions", "positions", "telemetry"),
    [
        ("CLIENT", 8, 24, 24),
        ("TRACKER", 8, 24, 24),
        ("ROUTER", 8, 2, 2),
        ("ROUTER_LATE", 8, 2, 2),
        ("CLIENT_HIDDEN", 0, 0, 0),
    ],
)
async def test_a_day_of_chatter(autojump_clock, role, introductions, positions, telemetry):
    async with mesh(line(1), replace(CHATTY, role=role)) as (_, _phones, flown):
        await trio.sleep(24 * HOUR_S)
        times = said(flown)
        assert [len(times[port]) for port in times] == [introductions, positions, telemetry]
        assert {flight.to for flight in flown} <= {BROADCAST}


async def test_the_first_position_and_telemetry_come_at_any_time_of_their_interval(autojump_clock):
    async with mesh(full(20), CHATTY) as (world, _phones, flown):
        await trio.sleep(HOUR_S + 30)
        for port in (POSITION_PORT, TELEMETRY_PORT):
            firsts = sorted(said(flown, name)[port][0] for name in world.radios)
            assert firsts[0] < 0.25 * HOUR_S
            assert firsts[-1] > 0.75 * HOUR_S
            assert 0.3 * HOUR_S < sum(firsts) / 20 < 0.7 * HOUR_S


async def test_a_radio_that_was_on_long_before_introduces_itself_at_any_time_of_three_hours(autojump_clock):
    async with mesh(full(20), LONG_ON) as (world, _phones, flown):
        await trio.sleep(3 * HOUR_S)
        firsts = sorted(said(flown, name)[NODEINFO_PORT][0] for name in world.radios)
        assert len(flown) > 60
        assert firsts[0] < 0.75 * HOUR_S
        assert firsts[-1] > 2.25 * HOUR_S


def test_a_crowd_stretches_the_intervals_of_clients_and_of_nobody_else():
    def hours(kind=Chatter.POSITION, role="CLIENT", preset="LONG_FAST", online=140):
        return interval_s(kind, replace(CHATTY, role=role), PRESETS[preset], online) / HOUR_S

    assert [hours(online=online) for online in (1, 40)] == [1, 1]
    assert [hours(online=online) for online in (41, 140)] == pytest.approx([1.08192, 9.192])
    assert hours(Chatter.TELEMETRY, preset="SHORT_FAST") == pytest.approx(1.512)
    assert hours(Chatter.INTRODUCTION) == 3
    assert [hours(role=role) for role in ("ROUTER", "ROUTER_LATE", "TRACKER", "SENSOR")] == [12, 12, 1, 1]


def test_nodes_count_as_online_for_two_hours_and_those_known_before_the_run_always():
    nodes = {number: KnownNode(number, heard_s=heard_s) for number, heard_s in ((5, 0.0), (6, 100.0), (7, None))}
    assert nodes_online(nodes, ONLINE_S - 1) == 4
    assert nodes_online(nodes, ONLINE_S) == 3


async def test_a_radio_that_hears_a_crowd_falls_silent_for_longer(autojump_clock):
    async with mesh(line(1), CHATTY) as (world, _phones, flown):
        for number in range(1, 140):
            world.radios["A"].known_nodes[number] = KnownNode(number)
        await trio.sleep(24 * HOUR_S)
        assert len(said(flown)[POSITION_PORT]) in (2, 3)


@pytest.mark.parametrize(
    ("role", "busy_percent", "ports"),
    [
        ("CLIENT", 20, {NODEINFO_PORT, POSITION_PORT, TELEMETRY_PORT}),
        ("CLIENT", 30, {NODEINFO_PORT}),
        ("CLIENT", 45, set()),
        ("TRACKER", 30, {NODEINFO_PORT, POSITION_PORT}),
        ("SENSOR", 30, {NODEINFO_PORT, TELEMETRY_PORT}),
        ("ROUTER", 30, {NODEINFO_PORT, TELEMETRY_PORT}),
        ("ROUTER", 45, set()),
    ],
)
async def test_a_busy_channel_stops_positions_and_telemetry_first_and_introductions_last(
    autojump_clock, role, busy_percent, ports
):
    async with mesh(line(1), replace(LONG_ON, role=role)) as (world, _phones, flown):
        await _busy(world.radios["A"], busy_percent, (13 if role == "ROUTER" else 3.1) * HOUR_S)
        assert {flight.port for flight in flown} == ports


async def _busy(radio, percent, lasts_s):
    """Let the radio hear noise for that share of the time."""
    ends_s = trio.current_time() + lasts_s
    while trio.current_time() < ends_s:
        radio.medium.catch_up()
        radio.on_noise(percent / 10)
        await trio.sleep(10)


async def test_what_a_busy_channel_put_off_is_said_as_soon_as_it_is_quiet(autojump_clock):
    async with mesh(line(1), CHATTY) as (world, _phones, flown):
        await _busy(world.radios["A"], 30, 1.5 * HOUR_S)
        assert said(flown)[POSITION_PORT] == []
        quiet_s = trio.current_time()
        await trio.sleep(200)
        (position_s,), (telemetry_s,) = (said(flown)[port] for port in (POSITION_PORT, TELEMETRY_PORT))
        # 30 % of the last minute falls below 25 % when two of its six periods are over.
        assert position_s - quiet_s <= 30
        assert telemetry_s - quiet_s <= 81


async def test_half_of_a_legal_share_is_kept_free_of_chatter(autojump_clock):
    async with mesh(line(1), replace(CHATTY, region="EU_868")) as (world, phones, flown):
        radio = world.radios["A"]
        radio.on_sent(None, 0.06 * HOUR_S)
        await trio.sleep(0.9 * HOUR_S)
        assert flown == []
        phones["A"].send(port=1)
        await trio.sleep(10)
        assert [flight.port for flight in flown] == [1]


async def test_chatter_is_bulk_that_lets_everything_else_pass(autojump_clock):
    async with mesh(line(2), CHATTY) as (world, phones, _flown):
        heard = []
        phones["A"].radio.to_client = lambda packet, snr_db=None: heard.append(packet)
        await trio.sleep(4 * HOUR_S)
        assert {packet.priority for packet in heard if packet.sender == world.radios["A"].node_number} <= {10}
        assert Counter(packet.port for packet in phones["B"].packets)[POSITION_PORT] >= 3


async def test_positions_and_telemetry_are_as_long_as_real_ones_and_read_as_such(autojump_clock):
    async with mesh(line(1), LONG_ON) as (_, _phones, flown):
        await trio.sleep(4 * HOUR_S)
        positions = [flight.payload for flight in flown if flight.port == POSITION_PORT]
        metrics = [flight.payload for flight in flown if flight.port == TELEMETRY_PORT]
        assert {len(payload) for payload in positions} <= set(range(25, 36))
        assert {len(payload) for payload in metrics} <= set(range(20, 31))
        for payload in positions:
            position = mesh_pb2.Position.FromString(payload)
            assert (position.altitude, position.sats_in_view, position.precision_bits) == (100, 9, 32)
        told = telemetry_pb2.Telemetry.FromString(metrics[-1])
        assert told.time > HOUR_S
        assert told.device_metrics.battery_level == 101


def test_a_position_is_meshtastics_own():
    position = mesh_pb2.Position.FromString(Position(-521234567, 134567890, 45, 1700000000).encode())
    assert (position.latitude_i, position.longitude_i) == (-521234567, 134567890)
    assert (position.altitude, position.time, position.PDOP) == (45, 1700000000, 150)
    assert mesh_pb2.Position.LocSource.Name(position.location_source) == "LOC_INTERNAL"
