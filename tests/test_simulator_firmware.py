"""A virtual radio's firmware on the shared air, held to what the native firmware was seen to do."""

from dataclasses import replace
from itertools import pairwise

import pytest
import trio
from radio_world import LONG_FAST, PLAIN, Phone, diamond, mesh, number

from simulator.packet import BROADCAST, ROUTING_PORT, Packet, RoutingError
from simulator.topology import full, line


async def test_a_direct_message_crosses_a_line_of_three_in_two_transmissions(autojump_clock):
    async with mesh(line(3), PLAIN) as (_, phones, flown):
        phones["A"].send(to=number(phones, "C"))
        await trio.sleep(60)
        assert [transmission.radio for transmission in flown] == ["A", "B"]
        assert [transmission.relayed for transmission in flown] == [False, True]
        (packet,) = phones["C"].packets
        assert (packet.payload, packet.hop_start, packet.hop_limit) == (b"hello", 3, 2)
        assert phones["B"].packets == []


async def test_a_broadcast_is_relayed_once_by_everybody_and_delivered_once(autojump_clock):
    async with mesh(line(3), PLAIN) as (_, phones, flown):
        phones["A"].send(port=1)
        await trio.sleep(60)
        assert [transmission.radio for transmission in flown] == ["A", "B", "C"]
        assert [len(phones[name].packets) for name in "ABC"] == [0, 1, 1]


async def test_the_hop_limit_ends_a_flood(autojump_clock):
    async with mesh(line(7), PLAIN) as (_, phones, flown):
        phones["A"].send()
        await trio.sleep(60)
        assert [transmission.hop_limit for transmission in flown] == [3, 2, 1, 0]
        assert [len(phones[name].packets) for name in "BCDEFG"] == [1, 1, 1, 1, 0, 0]


async def test_a_client_may_ask_for_fewer_or_more_hops_up_to_seven(autojump_clock):
    async with mesh(line(10), PLAIN) as (_, phones, flown):
        phones["A"].send(hop_limit=1)
        await trio.sleep(60)
        assert len(flown) == 2
        phones["A"].send(hop_limit=9)
        await trio.sleep(120)
        assert len(flown) == 2 + 8


async def test_hearing_a_relay_cancels_ones_own(autojump_clock):
    sends = []
    for seed in range(60):
        async with mesh(diamond(2), PLAIN, seed=seed) as (_, phones, flown):
            phones["A"].send(to=number(phones, "Z"))
            await trio.sleep(60)
            sends.append(len(flown))
            assert len(flown) == 2 or flown[1].time_s == pytest.approx(flown[2].time_s, abs=0.02)
    assert sends.count(2) >= 54


async def test_relays_wait_as_long_as_the_native_firmware_does_at_this_snr(autojump_clock):
    waits_s = []
    for seed in range(80):
        async with mesh(line(3), PLAIN, seed=seed) as (_, phones, flown):
            sent_s = trio.current_time()
            phones["A"].send(to=number(phones, "C"))
            await trio.sleep(30)
            assert 0 <= flown[0].time_s - sent_s <= 7 * 0.028 + 1e-9
            waits_s.append(flown[1].time_s - flown[0].time_s - flown[0].airtime_s)
    assert 0.448 - 1e-9 <= min(waits_s) < 0.8
    assert 3.6 < max(waits_s) <= 0.448 + 127 * 0.028 + 1e-9
    assert 1.9 < sorted(waits_s)[40] < 3.0


async def test_nobody_starts_while_hearing_somebody(autojump_clock):
    async with mesh(full(4), PLAIN, seed=3) as (_, phones, flown):
        for phone in phones.values():
            phone.send(payload=bytes(100))
        await trio.sleep(120)
        flown.sort(key=lambda transmission: transmission.time_s)
        for one, other in pairwise(flown):
            together = other.time_s - one.time_s < LONG_FAST.slot_s
            assert together or other.time_s >= one.time_s + one.airtime_s - 1e-9


async def test_the_destination_answers_and_the_relay_is_overheard(autojump_clock):
    async with mesh(line(3), PLAIN) as (_, phones, flown):
        sent = phones["A"].send(to=number(phones, "C"), want_ack=True)
        await trio.sleep(60)
        assert [(ack[0], ack[1], ack[2]) for ack in phones["A"].acks] == [(sent, "implicit", 0), (sent, "real", 0)]
        assert [(transmission.radio, transmission.port) for transmission in flown] == [
            ("A", 256),
            ("B", 256),
            ("C", ROUTING_PORT),
            ("B", ROUTING_PORT),
        ]
        assert flown[2].request_id == sent
        assert flown[2].phy_bytes == 29


async def test_a_direct_neighbour_gives_only_the_real_acknowledgement(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        sent = phones["A"].send(to=number(phones, "B"), want_ack=True)
        await trio.sleep(60)
        assert [(ack[0], ack[1]) for ack in phones["A"].acks] == [(sent, "real")]
        assert [transmission.hop_limit for transmission in flown] == [3, 2]


async def test_a_texts_acknowledgement_asks_for_one_itself(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        phones["A"].send(to=number(phones, "B"), port=1, want_ack=True)
        await trio.sleep(60)
        assert [(transmission.radio, transmission.port) for transmission in flown] == [
            ("A", 1),
            ("B", ROUTING_PORT),
            ("A", ROUTING_PORT),
        ]
        assert flown[2].hop_limit == 0


async def test_without_an_acknowledgement_a_packet_is_sent_three_times_then_given_up(autojump_clock):
    async with mesh(line(2), PLAIN) as (neighbourhood, phones, flown):
        neighbourhood.radios["B"].switch_off()
        sent = phones["A"].send(to=number(phones, "B"), payload=bytes(20), want_ack=True)
        await trio.sleep(60)
        assert [transmission.time_s for transmission in flown] == [
            pytest.approx(expected_s, abs=0.3) for expected_s in (0.1, 7.2, 14.4)
        ]
        ((packet_id, kind, error, given_up_s),) = phones["A"].acks
        assert (packet_id, kind, error) == (sent, "implicit", RoutingError.MAX_RETRANSMIT)
        assert given_up_s == pytest.approx(21.5, abs=0.4)


async def test_a_broadcast_that_wants_an_acknowledgement_gets_the_implicit_one(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, _flown):
        sent = phones["A"].send(want_ack=True)
        await trio.sleep(60)
        assert [(ack[0], ack[1], ack[2]) for ack in phones["A"].acks] == [(sent, "implicit", 0)]
        assert not phones["B"].packets[0].want_ack


async def test_a_retransmission_that_arrives_again_is_acknowledged_again_but_delivered_once(autojump_clock):
    async with mesh(line(2), PLAIN) as (neighbourhood, phones, flown):
        neighbourhood.medium.connect("B", "A", None)
        phones["A"].send(to=number(phones, "B"), want_ack=True)
        await trio.sleep(60)
        assert [transmission.radio for transmission in flown] == ["A", "B", "A", "B", "A", "B"]
        assert len(phones["B"].packets) == 1


async def test_a_message_to_oneself_is_acknowledged_and_stays_off_the_air(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        sent = phones["A"].send(to=number(phones, "A"), want_ack=True)
        await trio.sleep(1)
        assert [ack[:3] for ack in phones["A"].acks] == [(sent, "implicit", 0)]
        assert flown == []


@pytest.mark.parametrize(("port", "longest"), [(1, 232), (256, 231)])
async def test_the_longest_payload_flies_and_one_byte_more_is_refused(autojump_clock, port, longest):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        fits = phones["A"].send(port=port, payload=bytes(longest))
        await trio.sleep(3)
        too_long = phones["A"].send(port=port, payload=bytes(longest + 1))
        await trio.sleep(60)
        assert [status[:2] for status in phones["A"].statuses] == [(fits, 0), (too_long, RoutingError.TOO_LARGE)]
        assert [ack[0] for ack in phones["A"].acks] == [too_long]
        assert [transmission.phy_bytes for transmission in flown] == [255, 255]


async def test_a_reply_and_a_wanted_response_cost_their_bytes(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        plain = Packet(0, BROADCAST, 0, 256, b"")
        for packet in (plain, replace(plain, reply_id=7), replace(plain, want_response=True)):
            phones["A"].radio.submit(packet)
        await trio.sleep(60)
        own = [transmission.phy_bytes for transmission in flown if transmission.radio == "A"]
        assert sorted(own) == [23, 25, 28]


async def test_the_queue_takes_sixteen_and_refuses_the_next(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        ids = [phones["A"].send() for _ in range(17)]
        await trio.sleep(300)
        assert phones["A"].statuses == [
            *((packet_id, 0, 15 - place) for place, packet_id in enumerate(ids[:16])),
            (ids[16], RoutingError.BAD_REQUEST, 0),
        ]
        assert [transmission.packet_id for transmission in flown if not transmission.relayed] == ids[:16]


async def test_a_persons_text_passes_bulk_traffic_that_came_before_it(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        bulk = [phones["A"].send(priority=10) for _ in range(3)]
        private = phones["A"].send()
        text = phones["A"].send(port=1)
        await trio.sleep(60)
        own = [transmission.packet_id for transmission in flown if not transmission.relayed]
        assert own == [text, private, *bulk]


async def test_a_full_queue_gives_up_bulk_traffic_for_a_text(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        bulk = [phones["A"].send(priority=10) for _ in range(16)]
        text = phones["A"].send(port=1)
        await trio.sleep(300)
        own = [transmission.packet_id for transmission in flown if not transmission.relayed]
        assert own == [text, *bulk[:15]]


async def test_utilisation_counts_what_was_heard_in_the_last_minute(autojump_clock):
    async with mesh(line(2), PLAIN) as (neighbourhood, phones, flown):
        phones["A"].send(payload=bytes(200), hop_limit=1, to=number(phones, "B"))
        await trio.sleep(20)
        assert neighbourhood.radios["B"].utilisation_percent == pytest.approx(flown[0].airtime_s / 60 * 100)
        await trio.sleep(70)
        neighbourhood.medium.catch_up()
        assert neighbourhood.radios["B"].utilisation_percent == 0


@pytest.mark.parametrize(("port", "kept"), [(256, b"abcdefgh"), (1, b"cdefghij")])
async def test_a_small_radio_keeps_eight_packets_for_a_client_that_is_away_and_a_new_text_costs_the_oldest(
    autojump_clock, port, kept
):
    async with mesh(line(2), replace(PLAIN, kept_packets=8)) as (neighbourhood, phones, _):
        neighbourhood.radios["B"].detach(phones["B"])
        for letter in b"abcdefghij":
            phones["A"].send(payload=bytes([letter]), port=port)
            await trio.sleep(10)
        assert phones["B"].packets == []
        late = Phone(neighbourhood.radios["B"])
        assert b"".join(packet.payload for packet in late.packets) == kept


async def test_a_radio_keeps_thirty_two_packets_but_none_of_its_own_telemetry(autojump_clock):
    async with mesh(line(2), PLAIN) as (neighbourhood, phones, _):
        neighbourhood.radios["B"].detach(phones["B"])
        for index in range(40):
            phones["A"].send(payload=bytes([index]))
            await trio.sleep(10)
        late = Phone(neighbourhood.radios["B"])
        assert b"".join(packet.payload for packet in late.packets) == bytes(range(32))


async def test_a_new_client_takes_the_radio_from_the_old_one(autojump_clock):
    async with mesh(line(2), PLAIN) as (neighbourhood, phones, _):
        newcomer = Phone(neighbourhood.radios["B"])
        phones["A"].send()
        await trio.sleep(10)
        assert phones["B"].farewells == ["another client took the radio"]
        assert phones["B"].packets == []
        assert len(newcomer.packets) == 1


async def test_a_radio_switched_on_again_starts_afresh(autojump_clock):
    async with mesh(line(3), PLAIN) as (neighbourhood, phones, flown):
        neighbourhood.radios["B"].switch_off()
        phones["A"].send(to=number(phones, "C"))
        await trio.sleep(30)
        assert phones["C"].packets == []
        assert phones["B"].farewells == ["the radio was switched off"]
        neighbourhood.radios["B"].switch_on()
        phones["A"].send(to=number(phones, "C"))
        await trio.sleep(30)
        assert len(phones["C"].packets) == 1
        assert [transmission.radio for transmission in flown] == ["A", "A", "B"]


async def test_a_radio_switched_off_amid_its_work_says_nothing_more(autojump_clock):
    async with mesh(line(3), PLAIN) as (neighbourhood, phones, flown):
        phones["A"].send(to=number(phones, "C"), want_ack=True)
        await trio.sleep(0.3)
        neighbourhood.radios["A"].switch_off()
        await trio.sleep(60)
        assert [transmission.radio for transmission in flown] == ["A"]
        assert flown[0].heard_by == ()
        assert phones["A"].acks == []
