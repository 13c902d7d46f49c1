"""Who can read a packet in the virtual air: channels, direct messages sealed for one receiver, and those refused.

Expected behaviour is what the native firmware 2.8.0 was recorded to do; the recording's name stands beside it.
"""

from dataclasses import replace

import pytest
import trio
from radio_world import LONG_FAST, PLAIN, Phone, mesh, number

from protocol.errors import LocalError
from simulator.channels import DEFAULT_KEY, Channel, channel_hash, expanded_key, shown_name, tuning
from simulator.firmware.settings import RadioSettings
from simulator.packet import BROADCAST, ROUTING_PORT, Cipher, Packet, RoutingError
from simulator.topology import line

PRIMARY = Channel()
SECRET = Channel("secret", bytes(range(16)))
OTHER_KEY = Channel("secret", bytes(reversed(range(16))))
STOCK = RadioSettings()
MEMBER = RadioSettings(channels=(PRIMARY, SECRET))


def payloads(phone):
    return [packet.payload for packet in phone.packets]


def verdicts(phone):
    return [(kind, error) for _, kind, error, _ in phone.acks]


def test_the_default_channel_has_the_hash_and_the_frequency_of_the_real_ones():
    assert shown_name(PRIMARY, LONG_FAST) == "LongFast"
    assert channel_hash("LongFast", expanded_key(DEFAULT_KEY)) == 8  # channel_hash in air_line3_nopkc
    assert tuning(LONG_FAST, "US", "LongFast").slot == 19
    assert tuning(LONG_FAST, "EU_868", "LongFast").slot == tuning(LONG_FAST, "EU_868", "any").slot == 0
    assert expanded_key(b"\x00") == b""
    assert expanded_key(b"\x02")[-1] == expanded_key(b"\x01")[-1] + 1
    assert expanded_key(bytes(32)) == bytes(32)


@pytest.mark.parametrize("wrong", [{"name": "twelve bytes"}, {"key": bytes(5)}])
def test_a_channel_that_no_radio_could_hold_is_refused(wrong):
    with pytest.raises(LocalError):
        Channel(**wrong)


async def test_a_sealed_message_is_twelve_bytes_longer_and_only_its_receiver_reads_it(autojump_clock):
    # air_line3_pkc dm_256: 43 bytes on a channel, 55 sealed
    async with mesh(line(3)) as (_, phones, flown):
        phones["A"].send(to=number(phones, "C"), payload=bytes(20))
        phones["A"].send(payload=bytes(20), hop_limit=1)
        await trio.sleep(60)
        assert {(flight.pkc, flight.phy_bytes) for flight in flown} == {(True, 55), (False, 43)}
        assert [packet.pkc for packet in phones["C"].packets] == [True, False]
        assert [packet.to for packet in phones["B"].packets] == [BROADCAST]


@pytest.mark.parametrize(("port", "longest"), [(1, 220), (256, 219)])
async def test_the_longest_sealed_message_flies_and_one_byte_more_is_refused(autojump_clock, port, longest):
    # client_sends size_dm_pkc_*
    async with mesh(line(2)) as (_, phones, flown):
        fits = phones["A"].send(to=number(phones, "B"), port=port, payload=bytes(longest))
        await trio.sleep(3)
        too_long = phones["A"].send(to=number(phones, "B"), port=port, payload=bytes(longest + 1))
        await trio.sleep(30)
        assert [status[:2] for status in phones["A"].statuses] == [(fits, 0), (too_long, RoutingError.TOO_LARGE)]
        assert [flight.phy_bytes for flight in flown] == [255]


async def test_without_the_receivers_key_nothing_is_sent_and_the_client_is_told_twice(autojump_clock):
    # client_sends unknown_key_dm_256, unknown_key_dm_256_noack
    async with mesh(line(2)) as (neighbourhood, phones, flown):
        neighbourhood.radios["A"].known_nodes.clear()
        for want_ack in (True, False):
            sent = phones["A"].send(to=number(phones, "B"), want_ack=want_ack)
            await trio.sleep(60)
            assert phones["A"].statuses.pop() == (sent, RoutingError.PKI_SEND_FAIL_PUBLIC_KEY, 16)
            assert phones["A"].acks.pop()[:3] == (sent, "implicit", RoutingError.PKI_SEND_FAIL_PUBLIC_KEY)
            assert phones["A"].acks == flown == []


async def test_a_receiver_that_lacks_the_senders_key_is_silent_and_the_sender_gives_up(autojump_clock):
    # air_line5_pkc_nokey
    async with mesh(line(2)) as (neighbourhood, phones, flown):
        neighbourhood.radios["B"].known_nodes.clear()
        phones["A"].send(to=number(phones, "B"), want_ack=True)
        await trio.sleep(60)
        assert [flight.radio for flight in flown] == ["A", "A", "A"]
        assert payloads(phones["B"]) == []
        assert verdicts(phones["A"]) == [("implicit", RoutingError.MAX_RETRANSMIT)]


async def test_older_firmware_says_that_it_lacks_the_key_and_the_keys_are_exchanged(autojump_clock):
    async with mesh(line(2), RadioSettings(firmware="2.7.26")) as (neighbourhood, phones, _):
        neighbourhood.radios["B"].known_nodes.clear()
        phones["A"].send(to=number(phones, "B"), want_ack=True)
        await trio.sleep(20)
        assert verdicts(phones["A"]) == [("real", RoutingError.PKI_UNKNOWN_PUBKEY)]
        assert neighbourhood.radios["B"].known_nodes[number(phones, "A")].public_key
        phones["A"].send(to=number(phones, "B"), payload=b"again", want_ack=True)
        await trio.sleep(20)
        assert b"again" in payloads(phones["B"])


async def test_a_text_for_one_receiver_that_came_on_a_channel_is_refused_though_a_relay_was_heard(autojump_clock):
    # air_line3_nopkc dm_text
    async with mesh(line(3), STOCK, A=PLAIN) as (_, phones, _flown):
        phones["A"].send(to=number(phones, "C"), port=1, want_ack=True)
        await trio.sleep(60)
        assert payloads(phones["C"]) == []
        assert verdicts(phones["A"]) == [("implicit", 0)]


async def test_a_private_message_for_one_receiver_that_came_on_a_channel_is_taken(autojump_clock):
    async with mesh(line(3), STOCK, A=PLAIN) as (_, phones, _flown):
        phones["A"].send(to=number(phones, "C"), want_ack=True)
        await trio.sleep(60)
        assert payloads(phones["C"]) == [b"hello"]
        assert verdicts(phones["A"]) == [("implicit", 0), ("real", 0)]


async def test_a_channel_named_serial_is_exempt_from_sealing(autojump_clock):
    serial = RadioSettings(channels=(PRIMARY, Channel("serial", bytes(16))))
    async with mesh(line(3), serial) as (_, phones, flown):
        phones["A"].send(to=number(phones, "C"), channel=1, want_ack=True)
        await trio.sleep(60)
        assert {flight.pkc for flight in flown} == {False}
        assert [(packet.channel, packet.pkc) for packet in phones["C"].packets] == [(1, False)]
        assert verdicts(phones["A"]) == [("implicit", 0), ("real", 0)]


@pytest.mark.parametrize("port", [3, 4, 5, 70])
async def test_ports_that_every_relay_needs_are_never_sealed(autojump_clock, port):
    async with mesh(line(2)) as (_, phones, flown):
        phones["A"].send(to=number(phones, "B"), port=port)
        await trio.sleep(10)
        assert not flown[0].pkc


async def test_licensed_radios_send_everything_open(autojump_clock):
    async with mesh(line(2), RadioSettings(licensed=True)) as (neighbourhood, phones, flown):
        phones["A"].send(to=number(phones, "B"), port=1, want_ack=True)
        await trio.sleep(30)
        assert not any(flight.pkc for flight in flown)
        assert payloads(phones["B"]) == [b"hello"]
        assert neighbourhood.radios["A"].settings.key_of(0) == b""


async def test_members_of_a_channel_read_each_other_wherever_they_keep_it(autojump_clock):
    other_place = RadioSettings(channels=(PRIMARY, Channel("else", bytes(16)), SECRET))
    async with mesh(line(3), STOCK, A=MEMBER, C=other_place) as (_, phones, _flown):
        phones["A"].send(channel=1)
        await trio.sleep(60)
        assert payloads(phones["B"]) == []
        assert [(packet.payload, packet.channel) for packet in phones["C"].packets] == [(b"hello", 2)]


async def test_the_same_name_with_another_key_reads_nothing_even_where_the_hash_agrees(autojump_clock):
    assert channel_hash("secret", SECRET.key) == channel_hash("secret", OTHER_KEY.key)
    async with mesh(line(3), MEMBER, B=RadioSettings(channels=(PRIMARY, OTHER_KEY))) as (_, phones, flown):
        phones["A"].send(channel=1)
        await trio.sleep(60)
        assert payloads(phones["B"]) == payloads(phones["C"]) == []
        assert [flight.radio for flight in flown] == [
            "A"
        ]  # 2.8.0 does not pass on what it should have been able to read


async def test_a_secondary_channel_without_a_key_uses_the_primarys(autojump_clock):
    keyless = Channel("open", b"")
    settings = RadioSettings(channels=(SECRET, keyless))
    assert settings.key_of(1) == SECRET.key
    async with mesh(line(2), settings) as (_, phones, _flown):
        phones["A"].send(channel=1)
        await trio.sleep(10)
        assert [packet.channel for packet in phones["B"].packets] == [1]


async def test_a_channel_that_the_radio_has_not_is_refused_at_once(autojump_clock):
    # client_sends dm_bad_channel_index
    async with mesh(line(2)) as (_, phones, flown):
        sent = phones["A"].send(channel=5, port=1)
        await trio.sleep(10)
        assert phones["A"].statuses == [(sent, RoutingError.NO_CHANNEL, 16)]
        assert verdicts(phones["A"]) == [("implicit", RoutingError.NO_CHANNEL)]
        assert flown == []


async def test_an_acknowledgement_comes_on_the_channel_of_what_it_acknowledges(autojump_clock):
    serial = RadioSettings(channels=(PRIMARY, Channel("serial", bytes(16))))
    async with mesh(line(2), serial) as (neighbourhood, phones, flown):
        outsider = Phone(neighbourhood.radios["B"])
        phones["A"].send(to=number(phones, "B"), channel=1, want_ack=True)
        await trio.sleep(20)
        assert flown[1].port == ROUTING_PORT
        assert outsider.packets[0].channel == 1
        assert verdicts(phones["A"]) == [("real", 0)]


async def test_radios_whose_primary_channels_differ_in_name_are_on_different_frequencies(autojump_clock):
    moved = RadioSettings(channels=(SECRET, PRIMARY))
    async with mesh(line(2), STOCK, B=moved) as (_, phones, flown):
        phones["A"].send()
        await trio.sleep(10)
        assert flown[0].heard_by == flown[0].lost_at == ()
        assert payloads(phones["B"]) == []


async def test_signed_broadcasts_are_66_bytes_longer_where_that_fits(autojump_clock):
    async with mesh(line(2), replace(STOCK, signs=True)) as (_, phones, flown):
        for size in (40, 165, 166):
            phones["A"].send(payload=bytes(size), hop_limit=1)
        phones["A"].send(to=number(phones, "B"), payload=bytes(40))
        await trio.sleep(60)
        sizes = [flight.phy_bytes for flight in flown if not flight.relayed]
        assert sizes == [129, 255, 190, 75]


async def test_what_a_gateway_brings_from_the_internet_is_marked_for_everybody(autojump_clock):
    async with mesh(line(3)) as (neighbourhood, phones, _flown):
        stranger = 0x12345678
        cipher = Cipher(8, expanded_key(DEFAULT_KEY))
        packet = Packet(stranger, BROADCAST, 77, 1, b"far", hop_limit=3, hop_start=3, cipher=cipher)
        neighbourhood.radios["A"].hear_from_internet(packet)
        await trio.sleep(60)
        for name in "ABC":
            assert [(heard.payload, heard.via_mqtt) for heard in phones[name].packets] == [(b"far", True)]
        assert neighbourhood.radios["C"].known_nodes[stranger].via_mqtt


async def test_the_leave_to_use_the_internet_travels_with_the_packet(autojump_clock):
    async with mesh(line(2), STOCK, A=replace(STOCK, ok_to_mqtt=True)) as (_, phones, _flown):
        phones["A"].send()
        phones["B"].send(payload=b"no")
        await trio.sleep(30)
        assert [packet.ok_to_mqtt for packet in phones["B"].packets] == [True]
        assert [packet.ok_to_mqtt for packet in phones["A"].packets] == [False]
