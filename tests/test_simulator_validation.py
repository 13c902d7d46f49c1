"""The air against published results: the ALOHA limit, and LoRaSim's delivery with and without capture.

Sources: N. Abramson, "The ALOHA System" (1970); M. Bor, U. Roedig, T. Voigt, J. Alonso, "Do LoRa Low-Power Wide-Area
Networks Scale?" (2016), whose simulator LoRaSim gave the table here with the same scene.
"""

from __future__ import annotations

import math
from itertools import count
from random import Random

import pytest

from protocol.airtime import PRESETS, Preset, time_on_air_s
from simulator.medium import Link, Medium, Station
from simulator.packet import Packet

PERIOD_S = 1000.0
PAYLOAD_BYTES = 20
NEVER = {"capture_db": math.inf, "preamble_saves": False}


class Sensor(Station):
    """Sends now and then, whatever is on the air."""

    def __init__(self, name, number, medium, rng):
        self.name, self.node_number = name, number
        self._medium, self._rng = medium, rng
        self._ids = count(1)
        self.sent = 0
        medium.join(self)
        self._wait()

    def _wait(self):
        self._medium.call_at(self._medium.now_s + self._rng.expovariate(1 / PERIOD_S), self._send)

    def _send(self):
        self.sent += 1
        self._medium.transmit(self, Exactly(self.node_number, 0, next(self._ids), 1, b""))

    def on_sent(self, packet, airtime_s):
        self._wait()

    def on_heard(self, packet, snr_db, airtime_s):
        pass

    def on_noise(self, airtime_s):
        pass


class Sink(Station):
    name, node_number = "sink", 0

    def __init__(self):
        self.heard = 0

    def on_sent(self, packet, airtime_s):
        pass

    def on_heard(self, packet, snr_db, airtime_s):
        self.heard += 1

    def on_noise(self, airtime_s):
        pass


class Exactly(Packet):
    """A packet of exactly 20 bytes on the air: sensors have none of Meshtastic's header."""

    phy_bytes = PAYLOAD_BYTES


def delivery(preset, sensors, snr_db, seed, packets, **medium_options):
    """The share of so many packets that gets to the sink; `snr_db(rng)` draws each sensor's."""
    rng = Random(seed)
    medium = Medium(preset, Random(f"medium {seed}"), **medium_options)
    medium.advance(0.0)
    sink = Sink()
    medium.join(sink)
    all_sensors = []
    for number in range(1, sensors + 1):
        all_sensors.append(Sensor(f"sensor {number}", number, medium, rng))
        medium.connect(f"sensor {number}", "sink", Link(snr_db(rng)))
    medium.advance(PERIOD_S * packets / sensors)
    return sink.heard / sum(sensor.sent for sensor in all_sensors)


@pytest.mark.parametrize("sensors", [20, 100, 300])
def test_without_capture_delivery_is_the_aloha_limit(sensors):
    preset = PRESETS["LONG_FAST"]
    airtime_s = time_on_air_s(preset, PAYLOAD_BYTES)
    shares = [delivery(preset, sensors, lambda rng: 6.0, seed, 20_000, **NEVER) for seed in range(3)]
    limit = math.exp(-2 * (sensors - 1) * airtime_s / (PERIOD_S + airtime_s))
    assert sum(shares) / 3 == pytest.approx(limit, abs=0.01)


# LoRaSim: sensors anywhere in a disc of 99 m around the sink, 14 dBm, 20 bytes, once in 1,000 s.
RADIUS_M, NEAREST_M = 99.0, 1.0
SF12_CR8 = Preset("SF12_CR8", 12, 125_000, 8)
SF12_CR5 = Preset("SF12_CR5", 12, 125_000, 5)


def lorasim_snr_db(rng):
    distance_m = max(RADIUS_M * math.sqrt(rng.random()), NEAREST_M)
    return 14.0 - (127.41 + 20.8 * math.log(distance_m / 40.0)) - (-174.0 + 10 * math.log10(125_000) + 6.0)


@pytest.mark.parametrize(
    ("preset", "sensors", "simple", "full"),
    [
        (SF12_CR8, 30, 0.909, 0.937),
        (SF12_CR8, 64, 0.803, 0.864),
        (SF12_CR8, 120, 0.657, 0.763),
        (SF12_CR8, 200, 0.506, 0.646),
        (SF12_CR8, 400, 0.257, 0.443),
        (SF12_CR5, 30, 0.927, 0.951),
        (SF12_CR5, 64, 0.848, 0.899),
        (SF12_CR5, 120, 0.728, 0.815),
        (SF12_CR5, 200, 0.595, 0.717),
        (SF12_CR5, 400, 0.349, 0.525),
    ],
)
def test_delivery_is_lorasims_with_and_without_capture(preset, sensors, simple, full):
    def mean(**options):
        shares = [
            delivery(preset, sensors, lorasim_snr_db, seed, 6000, preamble_symbols=8, **options) for seed in range(3)
        ]
        return sum(shares) / len(shares)

    assert mean(**NEVER) == pytest.approx(simple, abs=0.02)
    assert mean() == pytest.approx(full, abs=0.02)
