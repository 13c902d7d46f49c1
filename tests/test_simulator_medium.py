"""The shared air: durations, half duplex, overlap, loss, links and stations that come and go."""

from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from protocol.airtime import PRESETS
from simulator.channels import Tuning
from simulator.lora import REJECTION_DB
from simulator.medium import Link, Medium, Station
from simulator.packet import Packet


class Recorder(Station):
    """A station that sends when told and writes down what it hears."""

    def __init__(self, name, medium):
        self.name = name
        self.node_number = ord(name)
        self.medium = medium
        self.heard, self.noise, self.sent_at_s = [], [], []
        medium.join(self)

    def send(self, payload_bytes, port=1):
        self.medium.catch_up()
        number = len(self.sent_at_s)
        self.medium.transmit(self, Packet(self.node_number, 0xFFFFFFFF, number + 1, port, bytes(payload_bytes)))

    def on_sent(self, packet, airtime_s):
        self.sent_at_s.append(self.medium.now_s)

    def on_heard(self, packet, snr_db, airtime_s):
        self.heard.append((chr(packet.sender), snr_db))

    def on_noise(self, airtime_s):
        self.noise.append(airtime_s)


@asynccontextmanager
async def air(links, preset="LONG_FAST", snr_db=6.0, loss=0.0, seed=1):
    """A running medium with a station for each letter in `links`, such as "AB BA" for two that hear each other."""
    medium = Medium(PRESETS[preset], Random(seed))
    stations = {name: Recorder(name, medium) for name in sorted(set(links) - {" "})}
    for sender, receiver in links.split():
        medium.connect(sender, receiver, Link(snr_db, loss))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(medium.run)
        yield medium, *stations.values()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("preset", "payload_bytes", "milliseconds"),
    [
        ("SHORT_TURBO", 34, 28.992),
        ("MEDIUM_FAST", 34, 190.976),
        ("LONG_FAST", 34, 681.984),
        ("LONG_FAST", 232, 2156.544),
        ("LONG_SLOW", 34, 4071.424),
    ],
)
async def test_a_packet_occupies_the_air_for_its_time_on_air(autojump_clock, preset, payload_bytes, milliseconds):
    async with air("AB", preset=preset) as (_, a, b):
        a.send(payload_bytes)
        await trio.sleep(milliseconds / 1000 - 1e-5)
        assert b.heard == []
        await trio.sleep(2e-5)
        assert b.heard == [("A", 6.0)]
        assert a.sent_at_s == [pytest.approx(milliseconds / 1000)]


async def test_two_that_send_at_once_do_not_hear_each_other(autojump_clock):
    async with air("AB BA") as (_, a, b):
        a.send(20)
        b.send(20)
        await trio.sleep(5)
        assert a.heard == b.heard == []


async def test_who_starts_sending_loses_what_it_was_hearing(autojump_clock):
    async with air("AB BC") as (_, a, b, c):
        a.send(100)
        await trio.sleep(0.3)
        b.send(1)
        await trio.sleep(5)
        assert b.heard == []
        assert c.heard == [("B", 6.0)]


async def test_packets_that_overlap_at_a_receiver_are_both_lost_there_only(autojump_clock):
    async with air("AB CB CD") as (_, a, b, c, d):
        a.send(60)
        await trio.sleep(0.5)
        c.send(10)
        await trio.sleep(5)
        assert b.heard == []
        assert len(b.noise) == 2
        assert d.heard == [("C", 6.0)]


async def test_a_packet_that_starts_when_the_last_one_ends_is_heard(autojump_clock):
    async with air("AB CB") as (_, a, b, c):
        a.send(34)
        await trio.sleep(0.681985)
        c.send(34)
        await trio.sleep(5)
        assert [sender for sender, _ in b.heard] == ["A", "C"]


async def test_a_link_works_in_its_own_direction_only(autojump_clock):
    async with air("AB") as (_, a, b):
        b.send(10)
        await trio.sleep(5)
        a.send(10)
        await trio.sleep(5)
        assert a.heard == []
        assert b.heard == [("A", 6.0)]


async def test_a_lossy_link_loses_its_share_and_the_seed_decides_which(autojump_clock):
    async def run(seed):
        async with air("AB", "SHORT_TURBO", snr_db=-3.0, loss=0.3, seed=seed) as (medium, a, b):
            outcomes = []
            medium.observe(lambda transmission: outcomes.append(transmission.heard_by) if transmission.ended else None)
            for _ in range(2000):
                a.send(1)
                await trio.sleep(0.1)
            assert b.heard[0] == ("A", -3.0)
            return outcomes

    first = await run(1)
    assert first.count(()) / len(first) == pytest.approx(0.3, abs=0.03)
    assert await run(1) == first
    assert await run(2) != first


async def test_a_station_that_leaves_loses_what_it_heard_and_what_it_sent(autojump_clock):
    async with air("AB CD") as (medium, a, b, c, d):
        a.send(100)
        c.send(100)
        await trio.sleep(0.3)
        medium.leave("B")
        medium.leave("C")
        await trio.sleep(5)
        assert b.heard == d.heard == []
        assert c.sent_at_s == []
        medium.join(b)
        a.send(10)
        await trio.sleep(5)
        assert b.heard == [("A", 6.0)]


async def test_a_cut_link_carries_nothing_until_it_is_mended(autojump_clock):
    async with air("AB") as (medium, a, b):
        a.send(10)
        medium.connect("A", "B", None)
        await trio.sleep(5)
        a.send(10)
        await trio.sleep(5)
        assert b.heard == []
        medium.connect("A", "B", Link(snr_db=1.5))
        a.send(10)
        await trio.sleep(5)
        assert b.heard == [("A", 1.5)]


async def test_a_channel_looks_busy_once_a_transmission_can_be_detected(autojump_clock):
    async with air("AB") as (medium, a, _):
        a.send(34)
        await trio.sleep(0.015)
        medium.catch_up()
        assert not medium.is_busy("B")
        await trio.sleep(0.010)
        medium.catch_up()
        assert medium.is_busy("B")
        assert not medium.is_busy("A")
        assert medium.is_sending("A")
        await trio.sleep(5)
        medium.catch_up()
        assert not medium.is_busy("B")


async def test_observers_see_each_transmission_start_and_end_with_its_fate(autojump_clock):
    async with air("AB AC DC") as (medium, a, _b, _c, d):
        seen = []
        medium.observe(seen.append)
        await trio.sleep(10)
        a.send(34, port=256)
        d.send(1)
        await trio.sleep(5)
        started, _, short_ended, ended = seen
        assert (started.number, started.radio, started.time_s, started.ended) == (0, "A", 10.0, False)
        assert (started.port, len(started.payload), started.phy_bytes) == (256, 34, 57)
        assert started.heard_by == started.lost_at == ()
        assert not started.relayed
        assert (short_ended.number, short_ended.heard_by, short_ended.lost_at) == (1, (), ("C",))
        assert (ended.number, ended.heard_by, ended.lost_at) == (0, ("B",), ("C",))


async def test_a_cancelled_timer_does_nothing(autojump_clock):
    async with air("AB") as (medium, *_):
        fired = []
        medium.call_at(2.0, lambda: fired.append("cancelled")).cancel()
        medium.call_at(1.0, lambda: fired.append("kept"))
        await trio.sleep(3)
        assert fired == ["kept"]


class Tuned(Recorder):
    """A station with a preset and a part of the band of its own."""

    def __init__(self, name, medium, preset, slot=0):
        self._tuning = Tuning(PRESETS[preset], "US", slot)
        super().__init__(name, medium)

    @property
    def tuning(self):
        return self._tuning


@pytest.mark.parametrize(
    ("stranger", "slot", "snr_db", "other_first", "is_heard"),
    [
        ("SHORT_FAST", 0, 28.0, False, True),
        ("SHORT_FAST", 0, 28.0, True, True),
        ("SHORT_FAST", 0, 34.0, False, False),
        ("SHORT_FAST", 0, 34.0, True, False),
        ("SHORT_FAST", 1, 34.0, False, True),
        ("SHORT_TURBO", 0, 34.0, False, True),
    ],
)
@pytest.mark.parametrize("rejection", [None, REJECTION_DB])
async def test_another_spreading_factor_spoils_only_where_it_is_far_stronger_on_one_frequency(
    autojump_clock, rejection, stranger, slot, snr_db, other_first, is_heard
):
    """Goursaud and Gorce: SF11 survives SF7 that is up to 33 dB stronger."""
    medium = Medium(PRESETS["LONG_FAST"], Random(1), rejection=rejection)
    a, b = Tuned("A", medium, "LONG_FAST"), Tuned("B", medium, "LONG_FAST")
    c = Tuned("C", medium, stranger, slot)
    medium.connect("A", "B", Link(0.0))
    medium.connect("C", "B", Link(snr_db))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(medium.run)
        first, second = (c, a) if other_first else (a, c)
        first.send(230)
        await trio.sleep(0.1)
        second.send(230)
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert bool(b.heard) == (is_heard or rejection is None)
    assert len(b.noise) == medium.collisions == (not b.heard)
    assert c.heard == []


async def test_another_spreading_factor_that_ends_before_the_preamble_is_needed_spoils_nothing(autojump_clock):
    medium = Medium(PRESETS["LONG_FAST"], Random(1), rejection=REJECTION_DB)
    a, b = Tuned("A", medium, "LONG_FAST"), Tuned("B", medium, "LONG_FAST")
    c = Tuned("C", medium, "SHORT_FAST")
    medium.connect("A", "B", Link(0.0))
    medium.connect("C", "B", Link(60.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(medium.run)
        for early_s in (0.02, 0.04):
            c.send(0)
            await trio.sleep(early_s)
            a.send(20)
            await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert len(b.heard) == 2


def test_every_preset_has_its_place_in_the_table_of_rejections():
    factors = {preset.spreading_factor for preset in PRESETS.values()}
    assert all(factors <= row.keys() for row in (REJECTION_DB, *REJECTION_DB.values()))
