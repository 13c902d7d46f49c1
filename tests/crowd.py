"""Many radios on one air, whose owners write to all: the scene of Meshtasticator, and larger ones like it.

For tests and benchmarks; holds no test. It runs without trio: `Medium.advance` alone drives it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from random import Random

from protocol.airtime import DEFAULT_PRESET, Preset, time_on_air_s
from simulator.acquaintance import introduce
from simulator.device import Client, VirtualRadio
from simulator.firmware.host import QueueStatus
from simulator.firmware.mac import OLDEST
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.firmware.txqueue import QUEUE_PLACES
from simulator.lora import DETECTION_MARGIN_DB, distance_for_loss_m, noise_floor_dbm, path_loss, required_snr_db
from simulator.medium import Link, Medium, Transmission
from simulator.packet import BROADCAST, Packet
from simulator.topology import node_numbers

Place = tuple[float, float]
TEXT_BYTES, TEXT_PORT = 33, 256
"""With what Meshtastic adds, 56 bytes on the air: as Meshtasticator's 40 and 16."""
POWER_DBM = 30.0
FREQUENCY_HZ = 902e6 + 27 * 250e3
APART_M = 10.0
GAP_S, TIME_S, SIDE_M = 100.0, 1800.0, 15_000.0
SUBURBAN = path_loss("suburban", FREQUENCY_HZ)


def snr_db(distance_m: float, preset: Preset = DEFAULT_PRESET) -> float:
    """Between two antennas of one metre."""
    return POWER_DBM - SUBURBAN.loss_db(distance_m) - noise_floor_dbm(preset.bandwidth_hz)


def range_m(preset: Preset = DEFAULT_PRESET, margin_db: float = 0.0) -> float:
    """How far a radio is heard that much below what reception needs."""
    needed_dbm = noise_floor_dbm(preset.bandwidth_hz) + required_snr_db(preset.spreading_factor) - margin_db
    return distance_for_loss_m(SUBURBAN, POWER_DBM - needed_dbm)


def meshtasticator_places(count: int, rng: Random, side_m: float = SIDE_M) -> list[Place]:
    """Each in reach of an earlier one and `APART_M` from all: drawn as Meshtasticator does, so that seeds agree."""
    reach_m = range_m()
    places: list[Place] = []
    while len(places) < count:
        place = (rng.random() * side_m, rng.random() * side_m)
        distances = [math.dist(place, other) for other in places]
        if not places or (min(distances) >= APART_M and min(distances) <= reach_m):
            places.append(place)
    return places


def scattered(count: int, rng: Random, per_km2: float) -> list[Place]:
    """Anywhere in a square of that density."""
    side_m = 1000 * math.sqrt(count / per_km2)
    return [(rng.uniform(0, side_m), rng.uniform(0, side_m)) for _ in range(count)]


def pairs(places: list[Place], reach_m: float) -> Iterator[tuple[int, int, float]]:
    """Who is nearer to whom than that, each pair once, and how near."""
    cells: dict[tuple[int, int], list[int]] = {}
    for number, (x, y) in enumerate(places):
        cells.setdefault((int(x // reach_m), int(y // reach_m)), []).append(number)
    for (column, row), members in cells.items():
        for right, down in product((-1, 0, 1), repeat=2):
            for one, other in product(members, cells.get((column + right, row + down), ())):
                if one < other and (distance_m := math.dist(places[one], places[other])) <= reach_m:
                    yield one, other, distance_m


@dataclass(slots=True)
class Text:
    """One that somebody wrote."""

    written_s: float
    is_acknowledged: bool = False
    sent_by: set[str] = field(default_factory=set)
    """Radios that sent it, the writer's and relays, while it is not acknowledged."""


class Owner(Client):
    """Writes to all, pauses when that was acknowledged or given up, and writes again.

    As in Meshtasticator he looks whether it was acknowledged whenever the next try is due, and takes it for
    acknowledged too when any radio that sent it, not only his own, hears it again.
    """

    def __init__(self, crowd: Crowd, radio: VirtualRadio, gap_s: Callable[[], float]) -> None:
        self._crowd = crowd
        self._radio = radio
        self._gap_s = gap_s
        self.texts = 0
        """Received, each once."""
        radio.attach(self)
        self._pause()

    def _pause(self) -> None:
        """Write again after a while, unless too near the end to get round."""
        at_s = self._crowd.medium.now_s + self._gap_s()
        if at_s + self._radio.hop_limit * self._crowd.airtime_s < self._crowd.until_s:
            self._crowd.medium.call_at(at_s, self._write)

    def _write(self) -> None:
        text = Packet(0, BROADCAST, 0, TEXT_PORT, bytes(TEXT_BYTES), want_ack=self._crowd.wants_ack)
        key = self._radio.node_number, self._radio.submit(text)
        self._crowd.texts[key] = Text(self._crowd.medium.now_s)
        self._look(key, OLDEST.own_tries if self._crowd.wants_ack else 0)

    def _look(self, key: tuple[int, int], tries_left: int) -> None:
        text = self._crowd.texts[key]
        if text.is_acknowledged or not tries_left:
            text.sent_by.clear()
            text.is_acknowledged = True
            self._pause()
        else:
            at_s = self._crowd.medium.now_s + self._try_s()
            self._crowd.medium.call_at(at_s, lambda: self._look(key, tries_left - 1))

    def _try_s(self) -> float:
        window = OLDEST.own_window(100 * self._crowd.used_s[self._radio.name] / self._crowd.medium.now_s)
        slots_s = OLDEST.retry_slots(window) * OLDEST.slot_s(DEFAULT_PRESET)
        return 2 * self._crowd.airtime_s + slots_s + 4.5

    def heard(self, packet: Packet, snr_db: float | None) -> None:
        if packet.port == TEXT_PORT:
            self.texts += 1

    def queued(self, status: QueueStatus) -> None:
        pass

    def learnt(self, node: KnownNode) -> None:
        pass

    def gone(self, reason: str) -> None:
        pass


@dataclass(frozen=True)
class Counts:
    """What came of it, counted as Meshtasticator does."""

    messages: int
    """Texts written."""
    packets: int
    """Transmissions, and what still waits to be sent at the end."""
    transmissions: int
    receptions: int
    """Transmissions received by a radio, each time."""
    reach: float
    """Share of the others that a text gets to."""
    collided: float
    """Share of the receptions sensed that overlap spoilt; those of packets that still wait count as sensed."""
    delay_s: float
    """From writing to a reception, mean over all of them, repeated ones and those by the writer himself too."""


class Crowd:
    """Radios with owners, ready to run."""

    def __init__(
        self,
        places: list[Place],
        settings: RadioSettings,
        seed: int,
        gap_s: Callable[[int], Callable[[], float]],
        *,
        until_s: float = TIME_S,
        wants_ack: bool = True,
        **medium,
    ) -> None:
        """`gap_s`: number of a radio -> what draws the seconds between its owner's texts; `medium` are its options."""
        self.until_s = until_s
        self.wants_ack = wants_ack
        self.airtime_s = time_on_air_s(DEFAULT_PRESET, 23 + TEXT_BYTES)
        self.texts: dict[tuple[int, int], Text] = {}
        self.medium = Medium(DEFAULT_PRESET, Random(f"medium {seed}"), **medium)
        self.transmissions = self.receptions = 0
        self._delays_s = 0.0
        self.used_s: Counter[str] = Counter()
        names = tuple(f"n{number}" for number in range(len(places)))
        numbers = node_numbers(names, seed)
        self.radios = [
            VirtualRadio(name, numbers[name], self.medium, Random(f"radio {name} {seed}"), settings) for name in names
        ]
        heard: dict[str, dict[str, float]] = {name: {} for name in names}
        for one, other, distance_m in pairs(places, range_m(margin_db=DETECTION_MARGIN_DB)):
            level_db = snr_db(distance_m)
            for sender, receiver in ((one, other), (other, one)):
                self.medium.connect(names[sender], names[receiver], Link(level_db))
                if level_db >= required_snr_db(DEFAULT_PRESET.spreading_factor):
                    heard[names[receiver]][names[sender]] = level_db
        self._hearers = Counter(sender for senders in heard.values() for sender in senders)
        introduce(self.radios, heard)
        self.medium.observe(self._see)
        self.medium.advance(0.0)
        self.owners = [Owner(self, radio, gap_s(number)) for number, radio in enumerate(self.radios)]

    def run(self) -> Counts:
        """Let the time pass."""
        self.medium.advance(self.until_s)
        texts = sum(owner.texts for owner in self.owners)
        waiting = {radio.name: QUEUE_PLACES - radio.free_places for radio in self.radios}
        unsent = sum(number * self._hearers[name] for name, number in waiting.items())
        sensed = self.medium.collisions + self.receptions + unsent
        return Counts(
            messages=len(self.texts),
            packets=self.transmissions + sum(waiting.values()),
            transmissions=self.transmissions,
            receptions=self.receptions,
            reach=texts / (len(self.texts) * (len(self.owners) - 1)),
            collided=self.medium.collisions / max(sensed, 1),
            delay_s=self._delays_s / max(self.receptions, 1),
        )

    def _see(self, transmission: Transmission) -> None:
        text = self.texts.get((transmission.sender, transmission.packet_id))
        if not transmission.ended:
            self.transmissions += 1
            if text is not None and not text.is_acknowledged:
                text.sent_by.add(transmission.radio)
            return
        heard_by = transmission.heard_by
        self.receptions += len(heard_by)
        if self.wants_ack:
            for name in (transmission.radio, *heard_by, *transmission.lost_at, *transmission.lost_at):
                self.used_s[name] += transmission.airtime_s
        if text is not None:
            self._delays_s += len(heard_by) * (self.medium.now_s - text.written_s)
            if not text.is_acknowledged:
                text.is_acknowledged = not text.sent_by.isdisjoint(heard_by)


def meshtasticator_gaps(number: int) -> Callable[[], float]:
    """Gaps between texts as Meshtasticator draws them: each owner from a seed that is his number."""
    rng = Random(number)
    return lambda: rng.expovariate(1 / GAP_S)
