"""What a virtual radio tells its client: refusals of every kind, limits, utilisation, and what it keeps."""

from dataclasses import replace

import pytest
import trio
from radio_world import PLAIN, mesh, number

from protocol.airtime import PRESETS
from simulator.channels import REGIONS
from simulator.firmware.airload import AirLoad
from simulator.firmware.clientlimits import ClientLimits, Limit
from simulator.firmware.settings import RadioSettings, key_pair
from simulator.packet import BROADCAST, ROUTING_PORT, Packet, RoutingError
from simulator.topology import line

STOCK = RadioSettings()
UNSET = RadioSettings(region="UNSET")


async def test_texts_every_half_second_mostly_vanish_with_a_status_that_says_nothing(autojump_clock):
    # client_sends text_burst_0.5s_broadcast: two of eight go out; six refusals go to node 0, on the air
    async with mesh(line(2)) as (_, phones, flown):
        sent = []
        for _ in range(8):
            sent.append(phones["A"].send(port=1))
            await trio.sleep(0.5)
        await trio.sleep(60)
        own = [flight for flight in flown if flight.radio == "A" and not flight.relayed]
        assert [flight.packet_id for flight in own if flight.port == 1] == [sent[0], sent[4]]
        astray = [flight for flight in own if flight.port == ROUTING_PORT]
        assert [(flight.to, flight.hop_limit, flight.payload) for flight in astray] == [(0, 0, b"\x18\x26")] * 6
        assert [(packet_id, error) for packet_id, error, _ in phones["A"].statuses] == [(one, 0) for one in sent]
        assert phones["A"].acks == []


async def test_texts_two_seconds_apart_all_go_out(autojump_clock):
    # client_sends text_interval_2.1s
    async with mesh(line(2)) as (_, phones, flown):
        for _ in range(4):
            phones["A"].send(port=1)
            await trio.sleep(2.1)
        await trio.sleep(60)
        assert len([flight for flight in flown if flight.radio == "A"]) == 4


def test_private_packets_have_no_limit_and_other_kinds_have_theirs():
    limits = ClientLimits()
    sent = {port: Packet(1, 2, 3, port, b"") for port in (1, 3, 67, 70, 256)}
    assert {limits.verdict(packet, 0.0) for packet in sent.values()} == {Limit.PASSED}
    assert limits.verdict(sent[256], 0.0) is Limit.PASSED
    assert limits.verdict(sent[1], 1.9) is Limit.REFUSED
    assert limits.verdict(sent[1], 2.0) is Limit.PASSED
    assert limits.verdict(sent[3], 9.0) is limits.verdict(sent[70], 29.0) is Limit.DROPPED
    assert limits.verdict(sent[3], 10.0) is limits.verdict(sent[70], 30.0) is Limit.PASSED
    assert limits.verdict(Packet(1, BROADCAST, 3, 70, b"", hop_limit=3), 99.0) is Limit.DROPPED


async def test_a_second_traceroute_within_half_a_minute_is_dropped_in_silence(autojump_clock):
    async with mesh(line(2)) as (_, phones, flown):
        ids = []
        for _ in range(2):
            ids.append(phones["A"].send(to=number(phones, "B"), port=70, payload=b""))
            await trio.sleep(10)
        assert [flight.packet_id for flight in flown if flight.port == 70] == ids[:1]
        assert phones["A"].statuses[-1] == (ids[1], 0, 16)
        assert phones["A"].acks == []


@pytest.mark.parametrize(("region", "percent"), [("EU_868", 10), ("EU_866", 2.5), ("UA_868", 1)])
async def test_a_regions_duty_cycle_is_a_hard_stop_that_ends_with_the_hour(autojump_clock, region, percent):
    async with mesh(line(2), RadioSettings(region=region), preset=PRESETS["LONG_SLOW"]) as (_, phones, flown):
        refused = None
        while refused is None:
            sent = phones["A"].send(payload=bytes(200), hop_limit=1)
            await trio.sleep(30)
            refused = next((ack for ack in phones["A"].acks if ack[0] == sent), None)
        assert refused[1:3] == ("implicit", RoutingError.DUTY_CYCLE_LIMIT)
        assert phones["A"].statuses[-1][:2] == (sent, RoutingError.DUTY_CYCLE_LIMIT)
        on_air_s = sum(flight.airtime_s for flight in flown if flight.radio == "A")
        assert on_air_s > percent / 100 * 3600 >= on_air_s - flown[0].airtime_s
        await trio.sleep(3660)
        phones["A"].send()
        await trio.sleep(30)
        assert phones["A"].statuses[-1][1] == 0


async def test_a_relay_that_has_used_up_its_duty_cycle_passes_nothing_on_and_says_nothing(autojump_clock):
    busy = RadioSettings(region="EU_866")
    async with mesh(line(3), busy, preset=PRESETS["LONG_SLOW"]) as (_, phones, flown):
        for _ in range(10):
            phones["B"].send(payload=bytes(200), hop_limit=1)
            await trio.sleep(30)
        assert phones["B"].statuses[-1][1] == RoutingError.DUTY_CYCLE_LIMIT
        told = len(phones["B"].acks)
        phones["A"].send(to=number(phones, "C"))
        await trio.sleep(30)
        assert flown[-1].radio == "A"
        assert len(phones["B"].acks) == told


async def test_where_the_law_sets_no_limit_there_is_none(autojump_clock):
    async with mesh(line(2), preset=PRESETS["LONG_SLOW"]) as (_, phones, _flown):
        for _ in range(60):
            phones["A"].send(payload=bytes(200), hop_limit=1)
            await trio.sleep(30)
        assert {error for _, error, _ in phones["A"].statuses} == {0}


async def test_a_radio_without_a_region_hears_but_transmits_nothing(autojump_clock):
    async with mesh(line(2), UNSET) as (_, phones, flown):
        phones["A"].send()
        assured = phones["A"].send(to=number(phones, "B"), want_ack=True)
        await trio.sleep(60)
        assert flown == []
        assert {error for _, error, _ in phones["A"].statuses} == {RoutingError.PKI_FAILED}
        assert [ack[:3] for ack in phones["A"].acks] == [(assured, "implicit", RoutingError.MAX_RETRANSMIT)]


async def test_a_full_queue_is_told_in_the_status_alone_and_a_packet_that_wanted_an_ack_is_tried_again(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        for _ in range(16):
            phones["A"].send(want_ack=False, priority=100)
        assured = phones["A"].send(to=number(phones, "B"), want_ack=True)
        assert phones["A"].acks == []
        await trio.sleep(120)
        assert (assured, RoutingError.BAD_REQUEST, 0) in phones["A"].statuses
        assert assured in [flight.packet_id for flight in flown]


async def test_the_first_region_makes_the_keys_and_the_node_number_follows_them(autojump_clock):
    # handshake_*: "the node number changes when keys are first made"
    async with mesh(line(2), UNSET) as (neighbourhood, phones, flown):
        radio = neighbourhood.radios["A"]
        before = radio.node_number
        assert radio.public_key == b""
        radio.configure(replace(radio.settings, region="US"))
        radio.restart()
        await trio.sleep(5)
        assert phones["A"].farewells == ["the radio restarts"]
        assert radio.is_on
        assert radio.public_key == key_pair(before)[1]
        after = radio.node_number
        assert after != before
        radio.configure(replace(radio.settings, region="EU_868"))
        assert radio.region == "US"
        radio.restart()
        await trio.sleep(5)
        assert radio.region == "EU_868"
        assert radio.node_number == after
        assert flown == []


async def test_a_restart_keeps_settings_and_known_nodes_and_loses_what_waited(autojump_clock):
    async with mesh(line(2), PLAIN) as (neighbourhood, phones, flown):
        radio = neighbourhood.radios["A"]
        phones["A"].send()
        radio.configure(replace(radio.settings, hop_limit=5))
        radio.restart()
        await trio.sleep(10)
        assert flown == []
        assert list(radio.known_nodes) == [number(phones, "B")]
        assert (radio.hop_limit, radio.long_name) == (5, "Virtual A")


async def test_radios_with_other_presets_do_not_hear_each_other(autojump_clock):
    async with mesh(line(2), PLAIN, B=replace(PLAIN, preset=PRESETS["SHORT_FAST"])) as (_, phones, flown):
        phones["A"].send()
        phones["B"].send()
        await trio.sleep(10)
        by_radio = {flight.radio: flight for flight in flown}
        assert by_radio["A"].airtime_s > 5 * by_radio["B"].airtime_s
        assert phones["A"].packets == phones["B"].packets == []


def test_every_region_has_a_band_and_a_share_of_the_hour():
    for low_mhz, high_mhz, percent in REGIONS.values():
        assert 0 < low_mhz < high_mhz
        assert 0 < percent <= 100


def test_utilisation_forgets_after_a_minute_and_own_sending_after_an_hour():
    load = AirLoad()
    load.sent(5.0, 3.0)
    load.sensed(15.0, 3.0)
    assert load.channel_percent(20.0) == pytest.approx(10.0)
    assert load.channel_percent(64.0) == pytest.approx(5.0)
    assert load.channel_percent(80.0) == 0.0
    assert load.sending_percent(3599.0) == pytest.approx(100 * 3 / 3600)
    assert load.sending_percent(3601.0) == 0.0
    load.sensed(100.0, 90.0)
    assert load.channel_percent(100.0) == 100.0
