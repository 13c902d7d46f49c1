"""Which packets virtual radios pass on, by role, rebroadcast mode and firmware version.

The counts are those of the recordings of the native firmware 2.8.0 whose names stand beside them: one packet of 20
bytes, LONG_FAST, every link alike.
"""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
import trio
from radio_world import PLAIN, diamond, mesh, number

from protocol.errors import LocalError
from simulator.channels import Channel
from simulator.firmware.mac import PRESENT
from simulator.firmware.settings import REBROADCAST_MODES, ROLES, RadioSettings
from simulator.kernel import run
from simulator.packet import RoutingError
from simulator.topology import full, line

STOCK = RadioSettings()
OLDER = RadioSettings(firmware="2.7.26")
ROUTER = RadioSettings(role="ROUTER")
MEMBER = RadioSettings(channels=(Channel(), Channel("secret", bytes(range(16)))))
SEEDS = 20


async def _one(topology, settings, special, seed, how):
    """Send one packet from A to the last radio: (its transmissions, deliveries there, verdicts, A's send times)."""
    async with mesh(topology, settings, seed=seed, **special) as (_, phones, flown):
        end = topology.names[-1]
        to = {} if how.pop("broadcast", False) else {"to": number(phones, end)}
        sent = phones["A"].send(payload=bytes(20), **to, **how)
        await trio.sleep(120)
        copies = [flight for flight in flown if flight.packet_id == sent]
        verdicts = [(kind, error) for packet_id, kind, error, _ in phones["A"].acks if packet_id == sent]
        return len(copies), len(phones[end].packets), verdicts, [f.time_s for f in copies if f.radio == "A"]


def runs(topology, settings=None, special=None, seeds=SEEDS, **how):
    """Many seeds of `_one`: [(transmissions, deliveries, verdicts, times)]."""
    return [run(_one, topology, settings, special or {}, seed, dict(how), seed=seed) for seed in range(seeds)]


def usual(outcomes):
    """What most seeds sent, and its share."""
    ((transmissions, times),) = Counter(outcome[0] for outcome in outcomes).most_common(1)
    return transmissions, times / len(outcomes)


@pytest.mark.parametrize(
    ("topology", "transmissions"),
    [(line(3), 2), (diamond(2), 7), (diamond(3), 22), (diamond(4), 53)],
    ids=["line3", "diamond2", "diamond3", "diamond4"],
)
def test_relays_repeat_every_copy_of_what_they_cannot_read(topology, transmissions):
    # dm_256_noack of air_line3_pkc, air_diamond2_pkc, air_diamond3_pkc (19-22), air_diamond4_pkc (48-53)
    outcomes = runs(topology)
    assert usual(outcomes)[0] == max(outcome[0] for outcome in outcomes) == transmissions
    assert usual(outcomes)[1] >= 0.6
    assert {outcome[1] for outcome in outcomes} == {1}


@pytest.mark.parametrize(
    ("topology", "least", "most"),
    [(diamond(2), 4, 4), (diamond(3), 6, 9), (diamond(4), 8, 19)],
    ids=["diamond2", "diamond3", "diamond4"],
)
def test_an_acknowledgement_that_relays_can_read_cancels_copies(topology, least, most):
    # dm_text and dm_256 of air_diamond2_pkc (4), air_diamond3_pkc (6-8), air_diamond4_pkc (14-19, twice far more)
    outcomes = runs(topology, want_ack=True)
    within = [outcome for outcome in outcomes if least <= outcome[0] <= most]
    assert len(within) >= 0.85 * SEEDS
    assert all(verdicts == [("real", 0)] for _, _, verdicts, _ in within)


def test_a_sealed_message_over_four_hops_arrives_while_its_sender_often_hears_that_it_failed():
    # air_line5_pkc: delivered 10 of 10, MAX_RETRANSMIT after 21.4-21.9 s in 7 of 10; 6 to 15 transmissions
    outcomes = runs(line(5), want_ack=True)
    assert all(delivered >= 1 for _, delivered, _, _ in outcomes)
    failed = sum(("implicit", RoutingError.MAX_RETRANSMIT) in verdicts for _, _, verdicts, _ in outcomes)
    assert 0.2 * SEEDS <= failed <= 0.9 * SEEDS
    assert not any(("implicit", 0) in verdicts for _, _, verdicts, _ in outcomes)
    assert all(5 <= transmissions <= 15 for transmissions, *_ in outcomes)


def test_tries_of_a_sealed_message_are_seven_seconds_apart():
    # air_line3_router dm_text: 0.1, 7.2, 14.4 s
    (_, _, verdicts, times_s), *_ = runs(line(3), STOCK, {"B": ROUTER}, seeds=1, want_ack=True)
    assert times_s == [pytest.approx(expected_s, abs=0.3) for expected_s in (0.1, 7.2, 14.4)]
    assert verdicts == [("implicit", RoutingError.MAX_RETRANSMIT)]


@pytest.mark.parametrize(
    ("topology", "transmissions"),
    [(line(3), 2), (diamond(3), 2), (line(5), 4)],
    ids=["line3", "diamond3", "line5"],
)
def test_what_relays_can_read_is_passed_on_once_and_confirmed_twice(topology, transmissions):
    # dm_256 of air_line3_nopkc, air_diamond3_nopkc, air_line5_nopkc
    outcomes = runs(topology, PLAIN, want_ack=True)
    assert usual(outcomes) == (transmissions, pytest.approx(1, abs=0.15))
    assert {tuple(verdicts) for _, _, verdicts, _ in outcomes} == {(("implicit", 0), ("real", 0))}


@pytest.mark.parametrize("topology", [line(3), diamond(3), diamond(4)], ids=["line3", "diamond3", "diamond4"])
def test_firmware_before_2_8_passes_on_one_copy_of_what_it_cannot_read_and_that_confirms_it(topology):
    outcomes = runs(topology, OLDER, want_ack=True)
    assert usual(outcomes) == (2, pytest.approx(1, abs=0.15))
    assert {tuple(verdicts) for _, _, verdicts, _ in outcomes} == {(("implicit", 0), ("real", 0))}


def test_a_broadcast_on_a_channel_of_two_is_repeated_by_the_relay_that_is_no_member():
    # air_line3_pkc bc_256_secret: 4, of which the member beyond sends one
    outcomes = runs(line(3), STOCK, {"A": MEMBER, "C": MEMBER}, broadcast=True, channel=1)
    assert usual(outcomes) == (4, 1)
    assert {delivered for _, delivered, *_ in outcomes} == {1}


@pytest.mark.parametrize(
    ("how", "transmissions", "arrives"),
    [
        ({"broadcast": True, "port": 1}, 3, True),
        ({"broadcast": True}, 1, False),
        ({"port": 70}, 2, True),
        ({}, 1, False),
        ({"port": 1}, 1, False),
        ({"broadcast": True, "channel": 1}, 1, False),
    ],
    ids=["text to all", "private to all", "traceroute", "sealed", "sealed text", "unknown channel"],
)
def test_a_router_as_the_only_path_passes_on_core_ports_that_it_can_read_and_nothing_of_ours(
    how, transmissions, arrives
):
    # air_line3_router: bc_text 3, bc_256 1, dm_256_noack 1, dm_text 1 a try, bc_256_secret 1
    outcomes = runs(line(3), STOCK, {"A": MEMBER, "B": ROUTER, "C": MEMBER}, seeds=5, **how)
    assert usual(outcomes) == (transmissions, 1)
    assert {bool(delivered) for _, delivered, *_ in outcomes} == {arrives}


def test_clients_beside_a_router_carry_what_it_drops():
    # air_diamond3_router dm_256_noack: 7, the count of two relays
    outcomes = runs(diamond(3), STOCK, {"B": ROUTER})
    assert usual(outcomes)[0] == 7
    assert {delivered for _, delivered, *_ in outcomes} == {1}


async def test_a_router_drops_private_messages_for_itself_though_it_confirms_the_second_try(autojump_clock):
    # Firmware: the first copy is dropped for its port after it entered the history, so the next one is "a repetition".
    async with mesh(line(2), STOCK, B=ROUTER) as (_, phones, flown):
        phones["A"].send(to=number(phones, "B"), want_ack=True)
        phones["A"].send(to=number(phones, "B"), port=1, payload=b"text")
        await trio.sleep(60)
        assert [packet.payload for packet in phones["B"].packets] == [b"text"]
        assert [(flight.radio, flight.port) for flight in flown] == [("A", 1), ("A", 256), ("A", 256), ("B", 5)]
        assert [verdict[1:3] for verdict in phones["A"].acks] == [("real", 0)]


async def test_a_router_of_older_firmware_passes_on_what_it_cannot_read(autojump_clock):
    router = replace(OLDER, role="ROUTER")
    async with mesh(line(3), OLDER, B=router) as (_, phones, _flown):
        phones["A"].send(to=number(phones, "C"))
        phones["A"].send(payload=b"to all")
        await trio.sleep(60)
        assert [packet.payload for packet in phones["C"].packets] == [b"hello"]


async def test_a_router_sends_before_the_clients_and_never_drops_its_copy(autojump_clock):
    # air_diamond3_router: 0.2-0.4 s after hearing, clients 0.65 s at least
    for seed in range(10):
        async with mesh(full(4), PLAIN, seed=seed, B=replace(ROUTER, has_pkc=False, rebroadcast_mode="ALL")) as world:
            _, phones, flown = world
            phones["A"].send()
            await trio.sleep(30)
            relayed = [flight for flight in flown if flight.relayed]
            assert relayed[0].radio == "B"
            waited_s = relayed[0].time_s - flown[0].time_s - flown[0].airtime_s
            assert -1e-9 <= waited_s <= 13 * 0.028 + 1e-9
            assert len(relayed) == 1


async def test_a_late_router_keeps_its_copy_and_sends_it_after_everybody_else(autojump_clock):
    late = replace(PLAIN, role="ROUTER_LATE")
    second = 0
    for seed in range(10):
        async with mesh(full(3), PLAIN, seed=seed, B=late) as (_, phones, flown):
            phones["A"].send()
            await trio.sleep(60)
            relayed = [flight.radio for flight in flown if flight.relayed]
            assert "B" in relayed
            second += relayed == ["C", "B"]
    assert second >= 2


async def test_a_mute_client_hears_but_passes_nothing_on(autojump_clock):
    async with mesh(line(3), STOCK, B=RadioSettings(role="CLIENT_MUTE")) as (_, phones, flown):
        phones["A"].send(port=1)
        phones["A"].send(to=number(phones, "C"))
        await trio.sleep(60)
        assert [flight.radio for flight in flown] == ["A", "A"]
        assert len(phones["B"].packets) == 1


MODES = {
    "ALL": (True, True, True),
    "ALL_SKIP_DECODING": (True, True, True),
    "LOCAL_ONLY": (True, True, False),
    "KNOWN_ONLY": (True, True, False),
    "CORE_PORTNUMS_ONLY": (True, False, False),
    "NONE": (False, False, False),
}
"""Mode -> whether 2.8.0 passes on a text, a private broadcast, and a sealed message."""


@pytest.mark.parametrize("mode", REBROADCAST_MODES)
async def test_each_rebroadcast_mode_passes_on_what_it_should(autojump_clock, mode):
    async with mesh(line(3), STOCK, B=RadioSettings(rebroadcast_mode=mode)) as (_, phones, _flown):
        phones["A"].send(payload=b"text", port=1)
        await trio.sleep(30)
        phones["A"].send(payload=b"private")
        await trio.sleep(30)
        phones["A"].send(to=number(phones, "C"), payload=b"sealed")
        await trio.sleep(30)
        arrived = {packet.payload for packet in phones["C"].packets}
        assert tuple(payload in arrived for payload in (b"text", b"private", b"sealed")) == MODES[mode]


async def test_a_radio_that_knows_whom_it_relays_ignores_strangers(autojump_clock):
    async with mesh(line(3), STOCK, B=RadioSettings(rebroadcast_mode="KNOWN_ONLY")) as (neighbourhood, phones, flown):
        del neighbourhood.radios["B"].known_nodes[number(phones, "A")]
        phones["A"].send(port=1)
        await trio.sleep(30)
        assert phones["B"].packets == []
        assert [flight.radio for flight in flown] == ["A"]


async def test_a_licensed_relay_passes_on_nothing_of_the_unlicensed_whom_it_knows(autojump_clock):
    async with mesh(line(3), STOCK, B=RadioSettings(licensed=True)) as (_, phones, flown):
        phones["A"].send(port=1)
        phones["A"].send(to=number(phones, "C"))
        await trio.sleep(30)
        assert [flight.radio for flight in flown] == ["A", "A"]


async def test_a_copy_with_more_hops_left_replaces_the_one_that_waits(autojump_clock):
    from simulator.packet import BROADCAST, Cipher, Packet

    async with mesh(line(2), PLAIN) as (neighbourhood, phones, flown):
        cipher = Cipher(8, PLAIN.key_of(0))
        poor = Packet(number(phones, "A"), BROADCAST, 9, 256, b"x", hop_limit=1, hop_start=3, cipher=cipher)
        radio = neighbourhood.radios["B"]
        radio.on_heard(poor, 6.0, 0.5)
        radio.on_heard(replace(poor, hop_limit=2), 6.0, 0.5)
        await trio.sleep(30)
        assert [flight.hop_limit for flight in flown if flight.radio == "B"] == [1]


def test_the_worse_a_relay_heard_the_sooner_it_may_send():
    rng = Random(1)
    waits = {
        snr_db: [PRESENT.relay_wait_slots("CLIENT", snr_db, rng) for _ in range(3000)] for snr_db in (-20.0, -5.0, 10.0)
    }
    longest = [max(slots) for slots in waits.values()]
    assert longest == [16 + 7, 16 + 31, 16 + 255]
    assert max(PRESENT.relay_wait_slots("ROUTER", 6.0, rng) for _ in range(3000)) == 13


def test_each_role_installs_the_mode_that_the_firmware_gives_it():
    modes = {role: RadioSettings(role=role).mode for role in ROLES}
    assert (modes["ROUTER"], modes["CLIENT_HIDDEN"]) == ("CORE_PORTNUMS_ONLY", "LOCAL_ONLY")
    assert set(modes.values()) == {"ALL", "CORE_PORTNUMS_ONLY", "LOCAL_ONLY"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "KING"},
        {"rebroadcast_mode": "SOME"},
        {"region": "MARS"},
        {"channels": ()},
        {"channels": (Channel(),) * 9},
        {"hop_limit": 8},
        {"firmware": "x.y"},
        {"firmware": "2"},
    ],
)
def test_settings_that_no_radio_has_are_refused_by_name(wrong):
    with pytest.raises(LocalError):
        RadioSettings(**wrong)


async def test_settings_for_a_radio_that_is_not_there_are_refused(autojump_clock):
    with pytest.raises(LocalError, match="not there: Q"):
        async with mesh(line(2), Q=STOCK):
            pass
